use super::super::fixtures::{ingress_with, settings, shop, snapshot};
use super::super::membership;
use super::*;

const VPC: &str = "vpc-1";

fn zone(id: &str, name: &str, private: Option<&str>) -> Zone {
    Zone {
        id: id.into(),
        name: name.into(),
        private_vpcs: private.map(|vpc| vec![vpc.to_owned()]),
    }
}

fn ingress(name: &str, created: u32, annotations: &str, hosts: &[&str]) -> String {
    let rules: Vec<_> = hosts
        .iter()
        .map(|host| format!("{{host: '{host}'}}"))
        .collect();
    ingress_with(
        "shop",
        name,
        annotations,
        &format!("creationTimestamp: '2026-01-{created:02}T00:00:00Z'"),
        &format!("rules: [{}]", rules.join(", ")),
    )
}

fn alone(name: &str) -> GroupId {
    GroupId::Implicit(shop(name))
}

/// Records of internet-facing groups that are all ready.
fn records(
    manifests: &[String],
    zones: &[Zone],
    dns: DnsSettings,
    frozen: &[&str],
) -> (DesiredRecords, Vec<Finding>) {
    let snapshot = snapshot(manifests);
    let settings = Settings {
        default_scheme: Scheme::InternetFacing,
        dns: Some(dns),
        ..settings()
    };
    let membership = membership::groups(&snapshot, &settings);
    let targets = membership
        .groups
        .keys()
        .map(|group| {
            let target = AliasTarget {
                dns_name: format!("{group}.elb"),
                hosted_zone_id: "Z".into(),
            };
            (group.clone(), target)
        })
        .collect();
    let sources = RecordSources {
        zones,
        targets: &targets,
        rules: &BTreeMap::new(),
        successors: &BTreeMap::new(),
        schemes: &BTreeMap::from([(alone("inner"), Scheme::Internal)]),
        frozen: &frozen.iter().map(|name| shop(name)).collect(),
        live_hosts: &BTreeMap::new(),
    };
    let (records, findings) = build_records(&snapshot, &membership, &settings, sources);
    (records, flat(findings))
}

/// What is worth knowing about all hosts, by Ingress.
fn flat(findings: HostFindings) -> Vec<Finding> {
    let mut findings: Vec<Finding> = findings.into_values().flatten().collect();
    findings.sort();
    findings
}

fn zones_of(records: &DesiredRecords) -> Vec<(&str, &str)> {
    records
        .iter()
        .filter_map(|(host, claims)| Some((host.as_str(), claims[0].zone.as_deref()?)))
        .collect()
}

fn reasons(findings: &[Finding]) -> Vec<(&str, Reason)> {
    findings
        .iter()
        .map(|finding| (finding.ingress.name.as_str(), finding.reason))
        .collect()
}

#[test]
fn the_longest_zone_of_the_right_kind_is_chosen() {
    let zones = [
        zone("Z1", "example.com", None),
        zone("Z2", "eu.example.com", None),
        zone("Z3", "example.com", Some(VPC)),
        zone("Z4", "eu.example.com", Some("vpc-other")),
    ];
    let manifests = [
        ingress(
            "web",
            1,
            "",
            &[
                "a.eu.example.com",
                "example.com",
                "*.example.com",
                "b.example.com",
                "*.eu.example.com",
            ],
        ),
        ingress("inner", 1, "", &["c.eu.example.com"]),
    ];
    let (records, findings) = records(&manifests, &zones, DnsSettings::default(), &[]);
    assert_eq!(
        zones_of(&records),
        [
            ("*.eu.example.com", "Z2"),
            ("*.example.com", "Z1"),
            ("a.eu.example.com", "Z2"),
            ("b.example.com", "Z1"),
            ("c.eu.example.com", "Z3"),
            ("example.com", "Z1"),
        ]
    );
    assert!(findings.is_empty());
    let claim = &records["example.com"][0];
    assert_eq!(claim.group, alone("web"));
    assert_eq!(
        claim.target.as_ref().map(|target| target.dns_name.as_str()),
        Some("shop/web.elb")
    );
}

#[test]
fn without_a_zone_or_with_two_there_is_a_note() {
    let zones = [
        zone("Z1", "example.com", None),
        zone("Z2", "twin.com", None),
        zone("Z3", "twin.com", None),
    ];
    let manifests = [ingress(
        "web",
        1,
        "",
        &[
            "a.example.com",
            "b.other.com",
            "notexample.com",
            "c.twin.com",
        ],
    )];
    let (made, findings) = records(&manifests, &zones, DnsSettings::default(), &[]);
    assert_eq!(zones_of(&made), [("a.example.com", "Z1")]);
    assert_eq!(
        reasons(&findings),
        [
            ("web", Reason::NoHostedZone),
            ("web", Reason::NoHostedZone),
            ("web", Reason::AmbiguousZone),
        ]
    );
    assert!(findings.iter().all(|f| f.effect == Effect::Note));
    let only = DnsSettings {
        zone_id_filter: ["Z3".to_owned()].into(),
        ..DnsSettings::default()
    };
    let (made, _) = records(&manifests, &zones, only, &[]);
    assert_eq!(zones_of(&made), [("c.twin.com", "Z3")]);
}

#[test]
fn hosts_outside_of_the_domain_filter_are_nobodys_business() {
    let zones = [zone("Z1", "example.com", None)];
    let manifests = [ingress(
        "web",
        1,
        "",
        &[
            "a.eu.example.com",
            "eu.example.com",
            "a.neu.example.com",
            "x.other.com",
        ],
    )];
    let dns = DnsSettings {
        domain_filter: ["eu.example.com".to_owned()].into(),
        ..DnsSettings::default()
    };
    let (records, findings) = records(&manifests, &zones, dns, &[]);
    assert_eq!(
        zones_of(&records),
        [("a.eu.example.com", "Z1"), ("eu.example.com", "Z1")]
    );
    assert!(findings.is_empty());
}

#[test]
fn claims_are_ordered_by_age_then_name_and_frozen_ones_last() {
    let zones = [zone("Z1", "example.com", None)];
    let host = &["a.example.com"];
    let manifests = [
        ingress("frozen", 1, "", host),
        ingress("young", 9, "", host),
        ingress("old-b", 2, "", host),
        ingress("old-a", 2, "", host),
    ];
    let (records, _) = records(&manifests, &zones, DnsSettings::default(), &["frozen"]);
    let claims: Vec<_> = records["a.example.com"]
        .iter()
        .map(|claim| (claim.ingress.name.as_str(), claim.target.is_some()))
        .collect();
    assert_eq!(
        claims,
        [
            ("old-a", true),
            ("old-b", true),
            ("young", true),
            ("frozen", false),
        ]
    );
}

#[test]
fn each_claim_names_the_zone_that_its_load_balancer_needs() {
    let zones = [
        zone("Z1", "example.com", None),
        zone("Z2", "example.com", Some(VPC)),
    ];
    let manifests = [
        ingress("web", 1, "", &["a.example.com"]),
        ingress("inner", 2, "", &["a.example.com"]),
    ];
    let (records, findings) = records(&manifests, &zones, DnsSettings::default(), &[]);
    let claims = records["a.example.com"].iter();
    let zones: Vec<_> = claims.map(|claim| claim.zone.as_deref()).collect();
    assert_eq!(zones, [Some("Z1"), Some("Z2")]);
    assert!(findings.is_empty());
}

#[test]
fn a_frozen_ingress_is_not_told_that_its_host_has_no_zone() {
    let manifests = [ingress("web", 1, "", &["a.example.com"])];
    let told = |frozen: &[&str]| {
        let (_, findings) = records(&manifests, &[], DnsSettings::default(), frozen);
        findings.len()
    };
    assert_eq!((told(&[]), told(&["web"])), (1, 0));
}

#[test]
fn a_record_leads_to_a_load_balancer_only_when_the_rules_for_its_host_are_live() {
    let manifest = ingress_with(
        "shop",
        "web",
        "",
        "",
        "rules: [{host: A.example.com, http: {paths: [{path: /, pathType: Prefix, backend: \
         {service: {name: web, port: {number: 80}}}}]}}]",
    );
    let snapshot = snapshot(&[manifest]);
    let settings = Settings {
        default_scheme: Scheme::InternetFacing,
        dns: Some(DnsSettings::default()),
        ..settings()
    };
    let membership = membership::groups(&snapshot, &settings);
    let target = AliasTarget {
        dns_name: "web.elb".into(),
        hosted_zone_id: "Z".into(),
    };
    let leads = |rules: Option<HostRules>, frozen: bool| {
        let rules = rules.map(|rules| ("a.example.com".to_owned(), rules));
        let sources = RecordSources {
            zones: &[zone("Z1", "example.com", None)],
            targets: &BTreeMap::from([(alone("web"), target.clone())]),
            successors: &BTreeMap::new(),
            rules: &BTreeMap::from([(alone("web"), rules.into_iter().collect())]),
            schemes: &BTreeMap::new(),
            frozen: &frozen.then(|| shop("web")).into_iter().collect(),
            live_hosts: &BTreeMap::new(),
        };
        let (records, _) = build_records(&snapshot, &membership, &settings, sources);
        let claim = &records["a.example.com"][0];
        (claim.target.is_some(), claim.comes)
    };
    assert_eq!(leads(Some(HostRules::Live), false), (true, true));
    assert_eq!(leads(Some(HostRules::Desired), false), (false, true));
    assert_eq!(leads(None, false), (false, false));
    assert_eq!(leads(Some(HostRules::Live), true), (false, false));
}

#[test]
fn records_are_stranded_before_a_load_balancer_without_a_zone_takes_over() {
    let snapshot = snapshot(&[ingress("web", 1, "", &["a.example.com"])]);
    let settings = Settings {
        default_scheme: Scheme::Internal,
        dns: Some(DnsSettings::default()),
        ..settings()
    };
    let membership = membership::groups(&snapshot, &settings);
    let target = |name: &str| AliasTarget {
        dns_name: name.into(),
        hosted_zone_id: "Z".into(),
    };
    let claim = |zones: &[Zone], replaced: bool| {
        let successor = (alone("web"), (Scheme::Internal, target("new.elb")));
        let sources = RecordSources {
            zones,
            targets: &BTreeMap::from([(alone("web"), target("old.elb"))]),
            rules: &BTreeMap::new(),
            successors: &replaced.then_some(successor).into_iter().collect(),
            schemes: &BTreeMap::from([(alone("web"), Scheme::InternetFacing)]),
            frozen: &BTreeSet::new(),
            live_hosts: &BTreeMap::new(),
        };
        let (records, findings) = build_records(&snapshot, &membership, &settings, sources);
        let claim = records["a.example.com"][0].clone();
        let target = claim.target.map(|target| target.dns_name);
        (claim.zone, target, findings.len())
    };
    let public = zone("Z1", "example.com", None);
    let private = zone("Z2", "example.com", Some(VPC));
    let led = |zone: Option<&str>, target: &str, findings: usize| {
        (zone.map(str::to_owned), Some(target.to_owned()), findings)
    };
    let zones = [public.clone()];
    assert_eq!(claim(&zones, false), led(Some("Z1"), "old.elb", 0));
    assert_eq!(claim(&zones, true), led(None, "new.elb", 1));
    // One that has a zone is not made before the rules are there.
    assert_eq!(
        claim(&[public, private], true),
        led(Some("Z1"), "old.elb", 0)
    );
}

#[test]
fn who_is_deleted_in_a_group_that_is_left_alone_keeps_its_record_and_gets_none() {
    let deleted = ingress_with(
        "shop",
        "web",
        "",
        "deletionTimestamp: '2026-01-01T00:00:00Z'\n  finalizers: [ingress.k8s.aws/resources]",
        "rules: [{host: a.example.com}]",
    );
    let zones = [zone("Z1", "example.com", None)];
    let claims = |frozen: &[&str]| {
        let (records, _) = records(
            std::slice::from_ref(&deleted),
            &zones,
            DnsSettings::default(),
            frozen,
        );
        let claims = records.into_values().flatten();
        claims
            .map(|claim| (claim.frozen, claim.target))
            .collect::<Vec<_>>()
    };
    assert_eq!(claims(&[]), []);
    assert_eq!(claims(&["web"]), [(true, None)]);
}

#[test]
fn switched_off_there_are_no_records() {
    let snapshot = snapshot(&[ingress("web", 1, "", &["a.example.com"])]);
    let settings = settings();
    let membership = membership::groups(&snapshot, &settings);
    let (records, findings) = build_records(
        &snapshot,
        &membership,
        &settings,
        RecordSources {
            zones: &[],
            targets: &BTreeMap::new(),
            rules: &BTreeMap::new(),
            successors: &BTreeMap::new(),
            schemes: &BTreeMap::new(),
            frozen: &BTreeSet::new(),
            live_hosts: &BTreeMap::new(),
        },
    );
    assert!(records.is_empty() && findings.is_empty());
}

#[test]
fn what_is_live_and_stated_by_nobody_may_be_a_frozen_members() {
    let of_group = "group.name: shared";
    let manifests = [
        ingress("broken", 1, of_group, &["new.example.com"]),
        ingress("well", 2, of_group, &["well.example.com"]),
    ];
    let snapshot = snapshot(&manifests);
    let settings = Settings {
        default_scheme: Scheme::InternetFacing,
        dns: Some(DnsSettings::default()),
        ..settings()
    };
    let membership = membership::groups(&snapshot, &settings);
    let shared = GroupId::Explicit("shared".to_owned());
    let live = ["old.example.com", "well.example.com"].map(str::to_owned);
    let claims = |frozen: &[&str]| -> Vec<(String, Vec<String>)> {
        let sources = RecordSources {
            zones: &[zone("Z1", "example.com", None)],
            targets: &BTreeMap::new(),
            rules: &BTreeMap::new(),
            successors: &BTreeMap::new(),
            schemes: &BTreeMap::new(),
            frozen: &frozen.iter().map(|name| shop(name)).collect(),
            live_hosts: &BTreeMap::from([(shared.clone(), live.clone().into())]),
        };
        let (records, _) = build_records(&snapshot, &membership, &settings, sources);
        let names = |claims: Vec<Claim>| claims.into_iter().map(|c| c.ingress.name).collect();
        records
            .into_iter()
            .map(|(host, c)| (host, names(c)))
            .collect()
    };
    let by = |host: &str, name: &str| (host.to_owned(), vec![name.to_owned()]);
    let stated = [
        by("new.example.com", "broken"),
        by("well.example.com", "well"),
    ];
    assert_eq!(claims(&[]), stated);
    let mut with_old = stated.to_vec();
    with_old.insert(1, by("old.example.com", "broken"));
    assert_eq!(claims(&["broken"]), with_old);
}

#[test]
fn a_host_is_what_an_ingress_can_state() {
    for host in ["a.example", "*.a.example", "1-2.x", "localhost"] {
        assert!(is_host(host), "{host}");
    }
    let long = format!("{}.example", "a".repeat(64));
    for text in [
        "",
        ".",
        "a..b",
        "A.example",
        "a b",
        "*",
        "a.*.b",
        "-a.b",
        "a.b.",
        &long,
    ] {
        assert!(!is_host(text), "{text}");
    }
}
