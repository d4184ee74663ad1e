//! DNS through a real socket.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{DNSClass, Name, RecordType};
use tokio::net::UdpSocket;

use super::{Lookup, Server, lookup, serve};
use crate::SharedState;
use crate::dataplane::Loopbacks;
use crate::dataplane::tests::world::{
    account, add_balancer, add_group, add_listener, balancer_arn, forward, group_arn, register,
};
use crate::state::health_check::{HealthCheck, HealthCheckConfig};
use crate::state::route53::{Routing, RoutingPolicy};
use crate::state::{AliasTarget, HostedZone, Protocol, RecordKey, RecordSet, dns_name};

const BALANCER: &str = "web-1234567890.us-east-1.elb.amazonaws.com";

fn set(name: &str, kind: &str, values: &[&str]) -> RecordSet {
    RecordSet {
        name: name.to_owned(),
        kind: kind.to_owned(),
        ttl: Some(300),
        values: values.iter().map(|&value| value.to_owned()).collect(),
        alias: None,
        routing: None,
        health_check_id: None,
    }
}

fn alias(name: &str, kind: &str, target: &str) -> RecordSet {
    RecordSet {
        ttl: None,
        alias: Some(AliasTarget {
            hosted_zone_id: "Z35SXDOTRQ7X7K".to_owned(),
            dns_name: target.to_owned(),
            evaluate_target_health: true,
        }),
        ..set(name, kind, &[])
    }
}

fn weighted(name: &str, value: &str, weight: u8) -> RecordSet {
    RecordSet {
        routing: Some(Routing {
            set_identifier: value.to_owned(),
            policy: RoutingPolicy::Weighted(weight),
        }),
        ..set(name, "A", &[value])
    }
}

fn zone(id: &str, name: &str, private: bool, records: Vec<RecordSet>) -> HostedZone {
    let key = |set: &RecordSet| RecordKey {
        reversed: dns_name::reversed(&set.name),
        kind: set.kind.clone(),
        set_identifier: set
            .routing
            .as_ref()
            .map_or_else(String::new, |routing| routing.set_identifier.clone()),
    };
    HostedZone {
        id: id.to_owned(),
        name: name.to_owned(),
        caller_reference: id.to_owned(),
        comment: None,
        private,
        vpcs: Vec::new(),
        name_servers: Vec::new(),
        authorized: BTreeSet::new(),
        busy_until: None,
        records: records
            .into_iter()
            .map(|set| (key(&set), set))
            .collect::<BTreeMap<_, _>>(),
    }
}

/// A server for one load balancer and some zones, and the address of the former.
async fn started() -> (Server, IpAddr) {
    let (server, address, _) = started_with_state().await;
    (server, address)
}

async fn started_with_state() -> (Server, IpAddr, SharedState) {
    let mut state = account();
    add_balancer(&mut state, "web");
    let balancer = format!("{BALANCER}.");
    let soa = "ns-7.awsdns-00.com. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400";
    let records = vec![
        set("example.com.", "SOA", &[soa]),
        set("example.com.", "NS", &["ns-7.awsdns-00.com"]),
        alias("example.com.", "A", &balancer),
        alias("shop.example.com.", "A", &format!("dualstack.{balancer}")),
        alias("shop.example.com.", "AAAA", &balancer),
        set(
            "shop.example.com.",
            "TXT",
            &[r#""owner=a,b" "and \"more\"""#],
        ),
        alias("again.example.com.", "A", "shop.example.com."),
        alias("round.example.com.", "A", "round.example.com."),
        set("www.example.com.", "CNAME", &["shop.example.com"]),
        set("out.example.com.", "CNAME", &["elsewhere.example.net."]),
        set("six.example.com.", "AAAA", &["2001:db8::1"]),
        set("two.example.com.", "A", &["192.0.2.1", "192.0.2.2"]),
        set("a.deep.example.com.", "A", &["192.0.2.3"]),
        alias("*.example.com.", "A", &balancer),
        weighted("weighted.example.com.", "192.0.2.4", 0),
        weighted("weighted.example.com.", "192.0.2.5", 9),
    ];
    let inner = vec![set("db.in.example.com.", "A", &["10.0.0.9"])];
    let twin = vec![set("two.example.com.", "A", &["10.0.0.8"])];
    for zone in [
        zone("Z1", "example.com.", false, records),
        zone("Z2", "in.example.com.", true, inner),
        zone("Z0", "example.com.", true, twin),
    ] {
        state.hosted_zones.insert(zone.id.clone(), zone);
    }
    let loopbacks = Loopbacks::default();
    let address = loopbacks.of(&balancer_arn("web")).into();
    let here = "127.0.0.1:0".parse().unwrap();
    let state = SharedState::new(state);
    let server = serve(here, state.clone(), loopbacks).await.unwrap();
    (server, address, state)
}

/// Two load balancers with a target each, and a server for a zone of these records.
async fn of_balancers(records: Vec<RecordSet>) -> (Server, [IpAddr; 2], SharedState) {
    let mut state = account();
    let loopbacks = Loopbacks::default();
    let addresses = ["one", "two"].map(|name| {
        add_balancer(&mut state, name);
        let balancer = state.load_balancers.get_mut(&balancer_arn(name)).unwrap();
        let zone = "us-east-1a".to_owned();
        balancer.subnets.insert(zone, String::new());
        balancer.dns_name = format!("{name}-1.us-east-1.elb.amazonaws.com");
        add_listener(&mut state, name, 80, Protocol::Http);
        add_group(&mut state, name, name, 80);
        let balancer = state.load_balancers.get_mut(&balancer_arn(name)).unwrap();
        let listener = balancer.listeners.get_mut(&80).unwrap();
        listener.default_actions = vec![forward(&[(name, 1)])];
        register(&mut state, name, "10.0.48.11");
        loopbacks.of(&balancer_arn(name)).into()
    });
    let zone = zone("Z1", "example.com.", false, records);
    state.hosted_zones.insert("Z1".to_owned(), zone);
    let here = "127.0.0.1:0".parse().unwrap();
    let state = SharedState::new(state);
    let server = serve(here, state.clone(), loopbacks).await.unwrap();
    (server, addresses, state)
}

fn routed(identifier: &str, policy: RoutingPolicy, set: RecordSet) -> RecordSet {
    RecordSet {
        routing: Some(Routing {
            set_identifier: identifier.to_owned(),
            policy,
        }),
        ..set
    }
}

/// How often each of two addresses is answered, of 40 times.
async fn counted(server: &Server, name: &str, of: [IpAddr; 2]) -> [usize; 2] {
    let mut counts = [0; 2];
    for _ in 0..40 {
        let found = ask(server, name, "A").await.addresses();
        assert_eq!(found.len(), 1);
        for (count, address) in counts.iter_mut().zip(of) {
            *count += usize::from(found[0] == address);
        }
    }
    assert_eq!(counts.iter().sum::<usize>(), 40);
    counts
}

#[tokio::test]
async fn an_alias_to_a_load_balancer_without_a_healthy_target_is_left_out() {
    let to = |name: &str, number: &str| {
        alias(
            name,
            "A",
            &format!("{number}-1.us-east-1.elb.amazonaws.com."),
        )
    };
    let weighted = RoutingPolicy::Weighted;
    let unasked = |mut set: RecordSet| {
        set.alias.as_mut().unwrap().evaluate_target_health = false;
        set
    };
    let role = |role: &str| RoutingPolicy::Failover(role.to_owned());
    let checked = |set: RecordSet, id: &str| RecordSet {
        health_check_id: Some(id.to_owned()),
        ..set
    };
    let (server, addresses, state) = of_balancers(vec![
        routed("1", weighted(50), to("w.example.com.", "one")),
        routed("2", weighted(50), to("w.example.com.", "two")),
        routed("1", weighted(0), to("zero.example.com.", "one")),
        routed("2", weighted(0), to("zero.example.com.", "two")),
        routed(
            "1",
            weighted(50),
            unasked(to("unasked.example.com.", "one")),
        ),
        routed("2", weighted(50), to("unasked.example.com.", "two")),
        routed("1", role("PRIMARY"), to("f.example.com.", "one")),
        routed("2", role("SECONDARY"), to("f.example.com.", "two")),
        // By way of another record of the zone.
        to("one.example.com.", "one"),
        routed(
            "1",
            role("PRIMARY"),
            alias("g.example.com.", "A", "one.example.com."),
        ),
        routed("2", role("SECONDARY"), to("g.example.com.", "two")),
        // By a health check alone.
        routed(
            "1",
            role("PRIMARY"),
            checked(unasked(to("h.example.com.", "one")), "down"),
        ),
        routed("2", role("SECONDARY"), to("h.example.com.", "two")),
    ])
    .await;
    let [one, two] = addresses;
    let hold = |name: &str, healthy: bool| {
        state.write(|state, _| {
            let group = group_arn(name);
            let key = state.target_groups[&group].targets.keys().next().cloned();
            state
                .force_health(&group, &key.unwrap(), Some(healthy))
                .unwrap();
        });
    };
    let of = async |name: &str| counted(&server, name, addresses).await;
    let both = |counts: [usize; 2]| counts.iter().all(|count| *count > 5);

    // Nobody is healthy yet, which is as if all were.
    assert!(both(of("w.example.com").await));
    hold("two", true);
    assert_eq!(of("w.example.com").await, [0, 40]);
    assert_eq!(of("zero.example.com").await, [0, 40]);
    assert!(both(of("unasked.example.com").await));
    assert_eq!(of("f.example.com").await, [0, 40]);
    assert_eq!(of("g.example.com").await, [0, 40]);
    // One that has no sibling is answered whatever its health.
    assert_eq!(
        ask(&server, "one.example.com", "A").await.addresses(),
        [one]
    );

    hold("one", true);
    assert!(both(of("w.example.com").await));
    assert!(both(of("zero.example.com").await));
    for name in ["f.example.com", "g.example.com", "h.example.com"] {
        assert_eq!(of(name).await, [40, 0], "{name}");
    }
    state.write(|state, _| {
        let config = HealthCheckConfig {
            kind: "TCP".to_owned(),
            inverted: Some(true),
            ..HealthCheckConfig::default()
        };
        let check = HealthCheck {
            id: "down".to_owned(),
            caller_reference: "down".to_owned(),
            config,
            version: 1,
        };
        state.health_checks.insert("down".to_owned(), check);
    });
    assert_eq!(ask(&server, "h.example.com", "A").await.addresses(), [two]);
}

async fn ask(server: &Server, name: &str, kind: &str) -> Lookup {
    lookup(server.address(), name, kind).await.unwrap()
}

#[tokio::test]
async fn addresses_of_load_balancers_and_aliases() {
    let (server, address) = started().await;
    for name in [
        BALANCER,
        &BALANCER.to_uppercase(),
        &format!("dualstack.{BALANCER}."),
        "example.com",
        "shop.example.com",
        "SHOP.Example.COM.",
        "again.example.com",
        "anything.example.com",
        "two.labels.example.com",
    ] {
        let found = ask(&server, name, "A").await;
        assert_eq!(found.status(), "NOERROR", "{name}");
        assert_eq!(found.addresses(), [address], "{name}");
    }
    let wanted: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
    assert_eq!(
        ask(&server, "two.example.com", "A").await.addresses(),
        wanted
    );
    let inner = ask(&server, "db.in.example.com", "A").await;
    assert_eq!(inner.values(), ["10.0.0.9"]);
    for _ in 0..5 {
        let weighted = ask(&server, "weighted.example.com", "A").await;
        assert_eq!(weighted.values(), ["192.0.2.5"]);
    }
}

#[tokio::test]
async fn other_types() {
    let (server, address) = started().await;
    for (name, kind, values) in [
        ("six.example.com", "AAAA", "2001:db8::1"),
        ("shop.example.com", "TXT", r#""owner=a,b" "and \"more\"""#),
        ("example.com", "NS", "ns-7.awsdns-00.com."),
        (
            "example.com",
            "SOA",
            "ns-7.awsdns-00.com. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400",
        ),
        ("www.example.com", "CNAME", "shop.example.com."),
        ("out.example.com", "A", "elsewhere.example.net."),
    ] {
        let found = ask(&server, name, kind).await;
        assert_eq!(found.status(), "NOERROR", "{name} {kind}");
        assert_eq!(found.values(), [values], "{name} {kind}");
    }
    let followed = ask(&server, "www.example.com", "A").await;
    assert_eq!(
        followed.values(),
        ["shop.example.com.".to_owned(), address.to_string()]
    );
}

#[tokio::test]
async fn what_there_is_not() {
    let (server, _) = started().await;
    for (name, kind, status) in [
        // The name exists, with other types.
        ("shop.example.com", "MX", "NOERROR"),
        ("shop.example.com", "AAAA", "NOERROR"),
        ("six.example.com", "A", "NOERROR"),
        (BALANCER, "TXT", "NOERROR"),
        // Something is below it, so the wildcard does not cover it or what is beside.
        ("deep.example.com", "A", "NOERROR"),
        ("b.deep.example.com", "A", "NXDOMAIN"),
        ("other.in.example.com", "A", "NXDOMAIN"),
        ("gone-1.us-east-1.elb.amazonaws.com", "A", "NXDOMAIN"),
        ("round.example.com", "A", "NOERROR"),
    ] {
        let found = ask(&server, name, kind).await;
        assert_eq!(found.status(), status, "{name} {kind}");
        assert!(found.values().is_empty(), "{name} {kind}: {found}");
        assert_eq!(found.message.authorities.len(), 1, "{name} {kind}");
        assert_eq!(found.message.authorities[0].record_type(), RecordType::SOA);
    }
    for name in ["example.net", "notexample.com", "com", "elb.amazonaws.com"] {
        let found = ask(&server, name, "A").await;
        assert_eq!(found.status(), "REFUSED", "{name}");
        assert!(!found.message.metadata.authoritative);
    }
}

#[tokio::test]
async fn prints_as_dig_does() {
    let (server, address) = started().await;
    let found = ask(&server, "shop.example.com", "A").await;
    let text = found.to_string();
    let port = server.address().port();
    for line in [
        ";; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: ",
        ";; flags: qr aa rd; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 0\n",
        ";; QUESTION SECTION:\n;shop.example.com.\t\tIN\tA\n",
        &format!(";; ANSWER SECTION:\nshop.example.com.\t60\tIN\tA\t{address}\n"),
        &format!(";; SERVER: 127.0.0.1#{port}(127.0.0.1) (UDP)\n"),
    ] {
        assert!(text.contains(line), "{line:?} is not in:\n{text}");
    }
}

async fn raw(server: SocketAddr, message: &Message) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let wire = message.to_vec().unwrap();
    socket.send_to(&wire, server).await.unwrap();
    let mut buffer = [0; 4096];
    let (length, _) = socket.recv_from(&mut buffer).await.unwrap();
    Message::from_vec(&buffer[..length]).unwrap()
}

#[tokio::test]
async fn odd_questions_get_answers_too_and_garbage_none() {
    use hickory_proto::op::ResponseCode;

    let (server, _) = started().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(b"no query", server.address()).await.unwrap();
    let ask = |code: OpCode, class: DNSClass, questions: usize| {
        let mut message = Message::new(7, MessageType::Query, code);
        for _ in 0..questions {
            let name = Name::from_ascii("shop.example.com.").unwrap();
            let mut query = Query::query(name, RecordType::A);
            query.set_query_class(class);
            message.add_query(query);
        }
        message
    };
    for (message, code) in [
        (ask(OpCode::Query, DNSClass::IN, 1), ResponseCode::NoError),
        (ask(OpCode::Query, DNSClass::CH, 1), ResponseCode::Refused),
        (ask(OpCode::Query, DNSClass::IN, 0), ResponseCode::FormErr),
        (ask(OpCode::Notify, DNSClass::IN, 1), ResponseCode::NotImp),
    ] {
        let answer = raw(server.address(), &message).await;
        assert_eq!(answer.metadata.response_code, code, "{message:?}");
        assert_eq!(answer.metadata.id, 7);
    }
}

#[tokio::test]
async fn stays_on_loopback_and_ends_when_told() {
    let state = SharedState::new(account());
    let away = "0.0.0.0:0".parse().unwrap();
    assert!(serve(away, state, Loopbacks::default()).await.is_err());

    let (server, _) = started().await;
    let address = server.address();
    server.stop().await;
    UdpSocket::bind(address).await.unwrap();
}

#[tokio::test]
async fn resolvers_remember_what_they_were_told() {
    use std::time::Duration;

    use crate::state::lag::{Lag, Setting};
    let (server, _, state) = started_with_state().await;
    let remember = |ms| {
        state.write(|state, _| {
            let setting = Setting {
                ms,
                probability: 1.0,
            };
            state.lags.settings.insert(Lag::ResolverCache, setting);
        });
    };
    let to = |address: &str| {
        state.write(|state, _| {
            let zone = state.hosted_zones.get_mut("Z1").unwrap();
            for set in zone.records.values_mut() {
                if set.name == "two.example.com." {
                    set.values = vec![address.to_owned()];
                }
            }
        });
    };
    let lives = |found: &Lookup| found.message.answers[0].ttl;
    remember(3_600_000);
    let first = ask(&server, "two.example.com", "A").await;
    assert!(first.message.metadata.authoritative);
    to("192.0.2.99");
    state.forward(Duration::from_secs(100));
    let again = ask(&server, "TWO.example.com", "A").await;
    assert_eq!(again.addresses(), first.addresses());
    assert!(!again.message.metadata.authoritative, "out of a memory");
    assert_eq!(lives(&first), 300);
    assert!((195..=200).contains(&lives(&again)), "{}", lives(&again));
    state.forward(Duration::from_secs(200));
    let fresh = ask(&server, "two.example.com", "A").await;
    assert_eq!(fresh.values(), ["192.0.2.99"]);

    // That there is nothing is remembered too, as long as the SOA record says.
    let nothing = ask(&server, "b.deep.example.com", "A").await;
    assert_eq!(nothing.status(), "NXDOMAIN");
    state.write(|state, _| {
        let zone = state.hosted_zones.get_mut("Z1").unwrap();
        let deep = zone.records.values_mut();
        let mut deep = deep.filter(|set| set.name == "a.deep.example.com.");
        "b.deep.example.com.".clone_into(&mut deep.next().unwrap().name);
    });
    let nothing = ask(&server, "b.deep.example.com", "A").await;
    assert_eq!(nothing.status(), "NXDOMAIN");
    state.forward(Duration::from_secs(301));
    let found = ask(&server, "b.deep.example.com", "A").await;
    assert_eq!(found.values(), ["192.0.2.3"]);

    // No longer than the rule says, and not at all without it.
    remember(10_000);
    state.forward(Duration::from_hours(1));
    ask(&server, "two.example.com", "A").await;
    to("192.0.2.98");
    state.forward(Duration::from_secs(11));
    let fresh = ask(&server, "two.example.com", "A").await;
    assert_eq!(fresh.values(), ["192.0.2.98"]);
    to("192.0.2.97");
    state.write(|state, _| state.lags.settings.clear());
    let fresh = ask(&server, "two.example.com", "A").await;
    assert_eq!(fresh.values(), ["192.0.2.97"]);
}
