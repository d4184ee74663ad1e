//! Record sets by themselves.
#![allow(clippy::unwrap_used)]
use super::*;

fn simple() -> NewRecordSet {
    NewRecordSet {
        name: "A.Example.com".to_owned(),
        kind: "A".to_owned(),
        ttl: Some(60),
        values: Some(vec!["192.0.2.1".to_owned()]),
        ..NewRecordSet::default()
    }
}

fn alias() -> AliasTarget {
    AliasTarget {
        hosted_zone_id: "Z1".to_owned(),
        dns_name: "LB.example.com".to_owned(),
        evaluate_target_health: false,
    }
}

#[test]
fn parts_that_exclude_each_other_are_invalid_input() {
    assert_eq!(simple().checked("CREATE").unwrap().name, "a.example.com.");
    let text = |text: &str| Some(text.to_owned());
    let cases = [
        (
            NewRecordSet {
                alias: Some(alias()),
                ..simple()
            },
            "but found more than one",
        ),
        (
            NewRecordSet {
                ttl: None,
                ..simple()
            },
            "but found none",
        ),
        (
            NewRecordSet {
                values: None,
                ..simple()
            },
            "but found none",
        ),
        (
            NewRecordSet {
                values: Some(Vec::new()),
                ..simple()
            },
            "but found none",
        ),
        (
            NewRecordSet {
                set_identifier: text("a"),
                ..simple()
            },
            "[Weight, Region, Failover",
        ),
        (
            NewRecordSet {
                weight: Some(1),
                ..simple()
            },
            "Missing field 'SetIdentifier'",
        ),
        (
            NewRecordSet {
                set_identifier: text("a"),
                weight: Some(1),
                failover: text("PRIMARY"),
                ..simple()
            },
            "but found more than one",
        ),
        (
            NewRecordSet {
                set_identifier: text("a"),
                multi_value: Some(true),
                ttl: None,
                values: None,
                alias: Some(alias()),
                ..simple()
            },
            "MultiValueAnswer cannot be specified",
        ),
        (
            NewRecordSet {
                set_identifier: text("a"),
                geoproximity: Some(Geoproximity::default()),
                ..simple()
            },
            "Expected exactly one of [AWSRegion",
        ),
        (
            NewRecordSet {
                cidr_collection: text("x"),
                ..simple()
            },
            "No CIDR collection",
        ),
        (
            NewRecordSet {
                traffic_policy_instance: text("x"),
                ttl: None,
                values: None,
                ..simple()
            },
            "No traffic policy instance",
        ),
    ];
    for (record, part) in cases {
        let refusal = record.checked("CREATE").unwrap_err();
        assert_eq!(refusal.code, "InvalidInput");
        assert!(refusal.message.contains(part), "{}", refusal.message);
    }
}

#[test]
fn each_fault_of_a_record_set_is_named() {
    let record = |change: &dyn Fn(&mut RecordSet)| {
        let mut record = simple().checked("CREATE").unwrap();
        change(&mut record);
        record.malformed(400)
    };
    let routed = |policy: RoutingPolicy| {
        Some(Routing {
            set_identifier: "a".to_owned(),
            policy,
        })
    };
    assert!(record(&|_| {}).is_empty());
    let two = record(&|r| {
        r.values = vec![
            "x".to_owned(),
            "192.0.2.1".to_owned(),
            "192.0.2.1".to_owned(),
        ];
    });
    assert_eq!(two.len(), 2, "{two:?}");
    assert!(two[1].contains("Duplicate Resource Record"));
    let many = record(&|r| {
        r.values = (0..401)
            .map(|n| format!("10.0.{}.{}", n / 256, n % 256))
            .collect();
    });
    assert!(many[0].contains("more than 400"), "{many:?}");
    let cname = record(&|r| {
        r.kind = "CNAME".to_owned();
        r.values = vec!["a.b".to_owned(), "c.d".to_owned()];
    });
    assert!(cname[0].contains("exactly one resource record"));
    let wild = record(&|r| {
        r.kind = "NS".to_owned();
        r.name = "*.example.com.".to_owned();
        r.values = vec!["a.b".to_owned()];
    });
    assert!(wild[0].contains("wildcard"));
    for policy in [
        RoutingPolicy::Weighted(1),
        RoutingPolicy::Latency("eu-west-1".to_owned()),
    ] {
        let faults = record(&|r| {
            r.routing = routed(policy.clone());
            r.values.push("192.0.2.2".to_owned());
        });
        assert!(faults[0].contains("exactly one resource record"));
    }
    let multi = record(&|r| {
        r.kind = "CNAME".to_owned();
        r.values = vec!["a.b".to_owned()];
        r.routing = routed(RoutingPolicy::MultiValue);
    });
    assert!(multi[0].contains("not permitted for multivalue answer"));
    let primary = record(&|r| {
        r.values.clear();
        r.alias = Some(alias());
        r.routing = routed(RoutingPolicy::Failover("PRIMARY".to_owned()));
    });
    assert!(primary[0].contains("primary failover alias"));
}
