//! Zones and records.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::model::records::Place;

fn records(sets: &[(&str, &str)], next: Option<&str>) -> (u16, String) {
    let sets: Vec<String> = sets
        .iter()
        .map(|(name, kind)| {
            format!(
                "<ResourceRecordSet><Name>{name}</Name><Type>{kind}</Type><TTL>300</TTL>\
                 <ResourceRecords><ResourceRecord><Value>v</Value></ResourceRecord></ResourceRecords>\
                 </ResourceRecordSet>"
            )
        })
        .collect();
    let sets = sets.concat();
    let more = next.map_or(String::new(), |name| {
        format!("<NextRecordName>{name}</NextRecordName><NextRecordType>A</NextRecordType>")
    });
    let body = format!(
        "<ListResourceRecordSetsResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
         <ResourceRecordSets>{sets}</ResourceRecordSets><IsTruncated>{}</IsTruncated>{more}\
         <MaxItems>300</MaxItems></ListResourceRecordSetsResponse>",
        next.is_some()
    );
    (200, body)
}

fn dns(server: &Server) -> Dns {
    Dns::new(
        server.aws.clone(),
        "demo",
        Some(Duration::from_hours(1)),
        Duration::from_mins(5),
    )
}

fn place(host: &str) -> Place {
    Place::new(host, "Z1")
}

fn hosts(host: &str) -> BTreeSet<String> {
    BTreeSet::from([host.to_owned()])
}

fn wanted(host: &str) -> BTreeSet<Place> {
    BTreeSet::from([place(host)])
}

#[tokio::test]
async fn a_host_and_its_owner_are_read_in_one_call_and_then_remembered() {
    let server = Server::start(|_| {
        records(
            &[
                ("app.example.com.", "A"),
                ("_albc-a.app.example.com.", "TXT"),
                ("zoo.example.com.", "A"),
            ],
            Some("zoo2.example.com."),
        )
    })
    .await;
    let dns = dns(&server);
    let host = "app.example.com";
    let recalled = dns.recall(&wanted(host)).await;
    assert_eq!(server.seen().len(), 1);
    assert_eq!(recalled.records[&place(host)].at_host.len(), 1);
    assert_eq!(recalled.records[&place(host)].at_owner.len(), 1);
    dns.recall(&wanted(host)).await;
    assert_eq!(server.seen().len(), 1);
    dns.mark_stale(&place(host));
    assert!(dns.remembered(&hosts(host)).contains_key(&place(host)));
    dns.recall(&wanted(host)).await;
    dns.recall(&wanted(host)).await;
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn in_a_crowded_zone_the_owner_is_looked_up_by_name() {
    let server = Server::start(|request| {
        if request.contains("name=_albc-a") {
            records(
                &[("_albc-a.example.com.", "TXT"), ("a.example.com.", "A")],
                Some("b.example.com."),
            )
        } else {
            records(
                &[
                    ("example.com.", "NS"),
                    ("\\052.example.com.", "A"),
                    ("1.example.com.", "A"),
                ],
                Some("2.example.com."),
            )
        }
    })
    .await;
    let recalled = dns(&server).recall(&wanted("example.com")).await;
    assert_eq!(server.seen().len(), 2);
    let records = &recalled.records[&place("example.com")];
    assert_eq!(records.at_host.len(), 1);
    assert_eq!(records.at_owner.len(), 1);
}

#[tokio::test]
async fn a_host_with_many_records_is_read_to_its_end() {
    let server = Server::start(|request| {
        if request.contains("type=A") {
            records(
                &[("app.example.com.", "TXT"), ("zoo.example.com.", "A")],
                None,
            )
        } else {
            records(&[("app.example.com.", "A")], Some("app.example.com."))
        }
    })
    .await;
    let recalled = dns(&server).recall(&wanted("app.example.com")).await;
    assert_eq!(recalled.records[&place("app.example.com")].at_host.len(), 2);
}

#[tokio::test]
async fn zones_that_may_not_be_listed_are_an_answer() {
    let server = Server::start(|_| (403, error_body("AccessDenied", "no"))).await;
    let dns = dns(&server);
    let zones = dns.zones(&BTreeSet::new()).await.unwrap();
    assert!(zones.zones.is_empty());
    assert_eq!(zones.denied.as_ref().unwrap().class, Class::Denied);
    dns.zones(&BTreeSet::new()).await.unwrap();
    assert_eq!(server.seen().len(), 1, "remembered");
}

#[tokio::test]
async fn vpcs_are_looked_up_for_private_zones_that_matter() {
    let server = Server::start(|request| {
        let zone = |id: &str, name: &str, private: bool| {
            format!(
                "<HostedZone><Id>/hostedzone/{id}</Id><Name>{name}.</Name><CallerReference>r</CallerReference>\
                 <Config><PrivateZone>{private}</PrivateZone></Config></HostedZone>"
            )
        };
        let space = "xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"";
        let body = if request.contains("/hostedzone/") {
            format!(
                "<GetHostedZoneResponse {space}>{}<VPCs><VPC><VPCRegion>eu-west-1</VPCRegion>\
                 <VPCId>vpc-1</VPCId></VPC></VPCs></GetHostedZoneResponse>",
                zone("Z2", "in.example.com", true)
            )
        } else {
            format!(
                "<ListHostedZonesResponse {space}><HostedZones>{}{}{}</HostedZones>\
                 <Marker></Marker><IsTruncated>false</IsTruncated><MaxItems>100</MaxItems></ListHostedZonesResponse>",
                zone("Z1", "Example.com", false),
                zone("Z2", "in.example.com", true),
                zone("Z3", "else.org", true),
            )
        };
        (200, body)
    })
    .await;
    let dns = dns(&server);
    let hosts = BTreeSet::from(["a.in.example.com".to_owned()]);
    let zones = dns.zones(&hosts).await.unwrap();
    assert_eq!(server.seen().len(), 2);
    let by_id: BTreeMap<&str, _> = zones.zones.iter().map(|z| (z.id.as_str(), z)).collect();
    assert_eq!(by_id["Z1"].name, "example.com");
    assert_eq!(by_id["Z1"].private_vpcs, None);
    assert_eq!(by_id["Z2"].private_vpcs, Some(vec!["vpc-1".to_owned()]));
    assert_eq!(by_id["Z3"].private_vpcs, Some(Vec::new()));
    dns.zones(&hosts).await.unwrap();
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn after_a_start_a_zone_with_many_hosts_is_listed_once() {
    let names: Vec<String> = (0..5).map(|n| format!("h{n}.example.com")).collect();
    let answer: Vec<(String, &str)> = names
        .iter()
        .flat_map(|name| [(name.clone(), "A"), (ownership::txt_name(name), "TXT")])
        .collect();
    let server = Server::start(move |_| {
        let sets: Vec<(&str, &str)> = answer.iter().map(|(n, k)| (n.as_str(), *k)).collect();
        records(&sets, None)
    })
    .await;
    let hosts = names.iter().map(|n| place(n)).collect();
    let recalled = dns(&server).recall(&hosts).await;
    assert_eq!(server.seen().len(), 1);
    assert_eq!(recalled.records.len(), 5);
    for records in recalled.records.values() {
        assert_eq!((records.at_host.len(), records.at_owner.len()), (1, 1));
    }
}

#[tokio::test]
async fn a_zone_that_is_gone_has_no_records() {
    let gone = Arc::new(AtomicBool::new(false));
    let answer = Arc::clone(&gone);
    let server = Server::start(move |_| {
        if answer.load(Ordering::SeqCst) {
            (404, error_body("NoSuchHostedZone", "gone"))
        } else {
            records(&[("app.example.com.", "A")], None)
        }
    })
    .await;
    let dns = dns(&server);
    let host = "app.example.com";
    dns.recall(&wanted(host)).await;
    gone.store(true, Ordering::SeqCst);
    dns.mark_stale(&place(host));
    let recalled = dns.recall(&wanted(host)).await;
    assert!(recalled.records.is_empty() && recalled.failed.contains_key(&place(host)));
    assert!(dns.hosts().is_empty());
}

/// The answer with which a TXT of this cluster's is at the mark of a host.
fn marked(hosts: &[&str], next: Option<&str>) -> (u16, String) {
    let group = crate::model::group::GroupId::Explicit("web".to_owned());
    let value = ownership::txt_value("demo", None, &group);
    let names: Vec<String> = hosts.iter().map(|host| ownership::txt_name(host)).collect();
    let sets: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "TXT")).collect();
    let (status, body) = records(&sets, next);
    let value = format!("<Value>{}</Value>", value.replace('"', "&quot;"));
    (status, body.replace("<Value>v</Value>", &value))
}

fn hosts_of(found: BTreeMap<Place, ownership::TxtOwner>) -> Vec<String> {
    found.into_keys().map(|place| place.host).collect()
}

#[tokio::test]
async fn marks_that_nobody_asks_for_are_found_page_by_page() {
    let server = Server::start(|request| {
        if request.contains("/rrset") {
            if request.contains("name=z.example.com") {
                marked(&["z.example.com"], None)
            } else {
                marked(&["app.example.com", "b.example.com"], Some("z.example.com."))
            }
        } else {
            let body = "<ListHostedZonesResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
                 <HostedZones><HostedZone><Id>/hostedzone/Z1</Id><Name>example.com.</Name>\
                 <CallerReference>r</CallerReference></HostedZone></HostedZones>\
                 <IsTruncated>false</IsTruncated><MaxItems>100</MaxItems></ListHostedZonesResponse>";
            (200, body.to_owned())
        }
    })
    .await;
    let dns = dns(&server);
    dns.recall(&wanted("app.example.com")).await;
    let any = |_: &crate::model::records::Zone| true;
    let start = Instant::now();
    // Not before the first verification, and no page sooner than a part of the
    // interval after the one before it.
    assert!(!dns.look_for_forgotten(any, start).await.unwrap());
    let first = start + Duration::from_mins(6);
    assert!(dns.look_for_forgotten(any, first).await.unwrap());
    assert!(!dns.look_for_forgotten(any, first).await.unwrap());
    // How many there are is known when the zone is through.
    assert!(!dns.has_forgotten());
    let second = first + Duration::from_mins(1);
    assert!(dns.look_for_forgotten(any, second).await.unwrap());
    assert!(dns.has_news_of_forgotten());
    assert!(dns.has_forgotten() && !dns.has_news_of_forgotten());
    let found = hosts_of(dns.take_forgotten());
    assert_eq!(found, ["b.example.com", "z.example.com"]);
    assert!(!dns.has_forgotten());
    // The whole zone again after the interval.
    assert!(
        !dns.look_for_forgotten(any, second + Duration::from_mins(1))
            .await
            .unwrap()
    );
    let again = first + Duration::from_hours(1);
    for page in 0..2 {
        assert!(!dns.has_forgotten());
        let now = again + Duration::from_mins(page);
        assert!(dns.look_for_forgotten(any, now).await.unwrap());
    }
    assert!(dns.has_forgotten());
    // Not in zones that are not ours to look through.
    let later = again + Duration::from_hours(1);
    assert!(!dns.look_for_forgotten(|_| false, later).await.unwrap());
}

#[tokio::test]
async fn marks_in_a_zone_that_is_listed_anyway_are_found_then() {
    let asked = [
        "a.example.com",
        "b.example.com",
        "c.example.com",
        "d.example.com",
    ];
    let server = Server::start(move |_| {
        let all: Vec<&str> = asked.into_iter().chain(["left.example.com"]).collect();
        marked(&all, None)
    })
    .await;
    let dns = dns(&server);
    dns.recall(&asked.iter().map(|host| place(host)).collect())
        .await;
    assert_eq!(server.seen().len(), 1);
    assert_eq!(hosts_of(dns.take_forgotten()), ["left.example.com"]);
}
