#![allow(clippy::unwrap_used)] // a test may fail loudly

use super::*;
use crate::model::records::AliasTarget;

const HOST: &str = "shop.example";

fn group(name: &str) -> GroupId {
    GroupId::Implicit(ObjectName::new("shop", name))
}

fn target(name: &str) -> AliasTarget {
    AliasTarget {
        dns_name: format!("{name}.elb.amazonaws.com"),
        hosted_zone_id: "ZELB".to_owned(),
    }
}

fn claim(name: &str, ready: bool) -> Claim {
    Claim {
        ingress: ObjectName::new("shop", name),
        group: group(name),
        zone: Some("Z1".to_owned()),
        target: ready.then(|| target(name)),
        comes: ready,
        frozen: false,
    }
}

fn wanted(claims: &[Claim]) -> DesiredRecords {
    BTreeMap::from([(HOST.to_owned(), claims.to_vec())])
}

fn place() -> Place {
    Place::new(HOST, "Z1")
}

fn cx() -> DnsContext {
    DnsContext {
        cluster: "prod".to_owned(),
        cluster_uid: Some("uid-1".to_owned()),
        groups: [group("a"), group("b")].into_iter().collect(),
        sees_all: true,
        spreading: BTreeSet::new(),
    }
}

fn read(at_host: Vec<RecordSet>, at_owner: Vec<RecordSet>) -> ObservedRecords {
    let records = HostRecords { at_host, at_owner };
    BTreeMap::from([(place(), records)])
}

fn ours(name: &str) -> ObservedRecords {
    read(
        vec![record(HOST, &target(name))],
        vec![owner_txt(HOST, &group(name), &cx())],
    )
}

fn plain(kind: &str, value: &str) -> RecordSet {
    RecordSet {
        name: HOST.to_owned(),
        kind: kind.to_owned(),
        ttl: Some(60),
        values: vec![value.to_owned()],
        alias: None,
        set_identifier: None,
    }
}

/// The changes in short: `-A +A -TXT +TXT`.
fn short(plan: &DnsPlan) -> String {
    let mut text = Vec::new();
    for change in plan.changes.iter().flat_map(|host| &host.changes) {
        text.push(match change {
            RecordChange::Delete(record) => format!("-{}", record.kind),
            RecordChange::Create(record) => format!("+{}", record.kind),
        });
    }
    text.join(" ")
}

fn refused(plan: &DnsPlan) -> bool {
    plan.is_empty()
        && matches!(plan.states.get(HOST), Some((_, RecordState::Refused(_))))
        && plan
            .findings
            .values()
            .flatten()
            .all(|f| f.reason == Reason::RecordConflict)
        && !plan.findings.is_empty()
}

fn reasons(plan: &DnsPlan) -> Vec<(&str, Reason)> {
    let findings = plan.findings.values().flatten();
    findings
        .map(|finding| (finding.ingress.name.as_str(), finding.reason))
        .collect()
}

/// Route 53 takes a change.
fn take(change: &HostChange, observed: &mut ObservedRecords) {
    effect_records(change, observed.entry(change.place.clone()).or_default());
}

/// Plans, applies, and checks that a second plan is empty.
fn settle(desired: &DesiredRecords, observed: &mut ObservedRecords) -> String {
    let plan = diff_records(desired, observed, &cx());
    for change in &plan.changes {
        take(change, observed);
    }
    assert!(diff_records(desired, observed, &cx()).is_empty());
    short(&plan)
}

#[test]
fn the_decision_table() {
    let want = wanted(&[claim("a", true)]);
    let txt = |name: &str| vec![owner_txt(HOST, &group(name), &cx())];
    let mut other = cx();
    other.cluster = "rival".to_owned();
    let foreign_txt = vec![owner_txt(HOST, &group("a"), &other)];
    let alias = |name: &str| vec![record(HOST, &target(name))];

    assert_eq!(settle(&want, &mut read(vec![], vec![])), "+A +TXT");
    assert_eq!(settle(&want, &mut read(vec![], txt("a"))), "-TXT +A +TXT");
    assert_eq!(settle(&want, &mut read(alias("a"), txt("a"))), "");
    assert_eq!(settle(&want, &mut read(alias("x"), txt("a"))), "-A +A");
    let drifted = vec![plain("A", "192.0.2.1")];
    assert_eq!(settle(&want, &mut read(drifted, txt("a"))), "-A +A");

    for observed in [
        read(vec![], foreign_txt.clone()),
        read(alias("a"), foreign_txt),
        read(alias("a"), vec![]),
        read(alias("x"), vec![]),
        read(vec![plain("A", "192.0.2.1")], vec![]),
        read(vec![plain("CNAME", "x.example")], vec![]),
        read(vec![plain("CNAME", "x.example")], txt("a")),
        read(vec![plain("AAAA", "2001:db8::1")], vec![]),
    ] {
        assert!(
            refused(&diff_records(&want, &observed, &cx())),
            "{observed:?}"
        );
    }
    let mut weighted = plain("A", "192.0.2.1");
    weighted.set_identifier = Some("blue".to_owned());
    let observed = read(vec![weighted], txt("a"));
    assert!(refused(&diff_records(&want, &observed, &cx())));
}

#[test]
fn other_types_at_the_host_are_no_conflict() {
    let mut observed = read(vec![plain("TXT", "\"v=spf1 -all\"")], vec![]);
    assert_eq!(
        settle(&wanted(&[claim("a", true)]), &mut observed),
        "+A +TXT"
    );
}

#[test]
fn the_holder_keeps_the_host_and_the_other_is_told() {
    // `b` is younger but holds the record.
    let plan = diff_records(
        &wanted(&[claim("a", true), claim("b", true)]),
        &ours("b"),
        &cx(),
    );
    assert!(plan.is_empty());
    assert_eq!(plan.states[HOST], (group("b"), RecordState::InSync));
    assert_eq!(reasons(&plan), [("a", Reason::HostClaimedByOther)]);
}

#[test]
fn a_holder_that_leaves_hands_over_in_one_batch() {
    let mut observed = ours("b");
    assert_eq!(
        settle(&wanted(&[claim("a", true)]), &mut observed),
        "-A -TXT +A +TXT"
    );
    assert_eq!(held(&observed, &cx())[&place()], group("a"));
}

#[test]
fn a_record_waits_for_a_follower_that_is_coming_and_for_no_other() {
    let want = wanted(&[claim("a", false)]);
    let mut coming = claim("a", false);
    coming.comes = true;
    let plan = diff_records(&wanted(&[coming]), &ours("b"), &cx());
    assert!(plan.is_empty());
    assert_eq!(plan.states[HOST].1, RecordState::WaitingForLoadBalancer);
    assert_eq!(short(&diff_records(&want, &ours("b"), &cx())), "-A -TXT");
    // The holder's own record stays while its load balancer is remade.
    assert_eq!(short(&diff_records(&want, &ours("a"), &cx())), "");
}

#[test]
fn a_record_that_does_not_come_does_not_wait_for_the_load_balancer() {
    let nothing = read(vec![], vec![]);
    let state = |claim: Claim| {
        let plan = diff_records(&wanted(&[claim]), &nothing, &cx());
        plan.states[HOST].1.to_string()
    };
    let mut coming = claim("a", false);
    coming.comes = true;
    assert_eq!(state(coming), "waits for the load balancer");
    assert_eq!(
        state(claim("a", false)),
        "not made: the load balancer gets no rule for the host"
    );
    let mut frozen = claim("a", false);
    frozen.frozen = true;
    assert_eq!(state(frozen), "not made while Ingress shop/a is frozen");
}

#[test]
fn what_nobody_wants_goes_and_only_if_it_is_ours() {
    let none = DesiredRecords::new();
    assert_eq!(settle(&none, &mut ours("a")), "-A -TXT");
    let mut taken = ours("a");
    taken.get_mut(&place()).unwrap().at_host = vec![plain("CNAME", "x.example")];
    assert_eq!(settle(&none, &mut taken), "-TXT");
    let unmarked = read(vec![record(HOST, &target("a"))], vec![]);
    assert!(diff_records(&none, &unmarked, &cx()).is_empty());
}

#[test]
fn a_group_that_is_not_known_may_be_a_neighbours() {
    let mut narrow = cx();
    narrow.sees_all = false;
    narrow.groups = [group("a")].into_iter().collect();
    assert!(diff_records(&DesiredRecords::new(), &ours("b"), &narrow).is_empty());
    let plan = diff_records(&wanted(&[claim("a", true)]), &ours("b"), &narrow);
    assert!(refused(&plan));
}

#[test]
fn a_cluster_of_the_same_name_is_another_one() {
    let mut twin = cx();
    twin.cluster_uid = Some("uid-2".to_owned());
    let plan = diff_records(&wanted(&[claim("a", true)]), &ours("a"), &twin);
    assert!(refused(&plan));
}

#[test]
fn a_host_that_was_not_read_is_left_alone() {
    let plan = diff_records(&wanted(&[claim("a", true)]), &ObservedRecords::new(), &cx());
    assert!(plan.is_empty());
    assert_eq!(plan.states[HOST], (group("a"), RecordState::Pending));
}

#[test]
fn a_host_that_changes_its_zone_is_made_in_the_new_one_first() {
    let mut moved = claim("a", true);
    moved.zone = Some("Z2".to_owned());
    let want = wanted(&[moved]);
    let mut observed = ours("a");
    // Not before the new place was read.
    assert!(diff_records(&want, &observed, &cx()).is_empty());
    let new = Place::new(HOST, "Z2");
    observed.insert(new.clone(), HostRecords::default());
    let plan = diff_records(&want, &observed, &cx());
    assert_eq!(short(&plan), "+A +TXT");
    assert_eq!(plan.changes[0].place, new);
    take(&plan.changes[0], &mut observed);
    let mut spreading = cx();
    spreading.spreading.insert(new);
    assert!(diff_records(&want, &observed, &spreading).is_empty());
    let plan = diff_records(&want, &observed, &cx());
    assert_eq!(short(&plan), "-A -TXT");
    assert_eq!(plan.changes[0].place, place());
}

#[test]
fn a_holder_keeps_the_host_against_an_older_claim_for_another_zone() {
    let mut older = claim("a", true);
    older.zone = Some("Z2".to_owned());
    let mut observed = ours("b");
    observed.insert(Place::new(HOST, "Z2"), HostRecords::default());
    let plan = diff_records(&wanted(&[older, claim("b", true)]), &observed, &cx());
    assert!(plan.is_empty());
    assert_eq!(plan.states[HOST], (group("b"), RecordState::InSync));
    assert_eq!(reasons(&plan), [("a", Reason::HostClaimedByOther)]);
}

#[test]
fn a_record_stays_while_its_host_has_no_zone_and_goes_with_its_group() {
    let nowhere = |name| Claim {
        zone: None,
        ..claim(name, true)
    };
    assert!(diff_records(&wanted(&[nowhere("a")]), &ours("a"), &cx()).is_empty());
    let plan = diff_records(&wanted(&[nowhere("b")]), &ours("a"), &cx());
    assert_eq!(short(&plan), "-A -TXT");
    // Whoever can have a record does not wait for one who cannot.
    let want = wanted(&[nowhere("a"), claim("b", true)]);
    assert_eq!(settle(&want, &mut read(vec![], vec![])), "+A +TXT");
}

#[test]
fn a_wildcard_has_its_txt_at_a_name_of_its_own() {
    let change = owner_txt("*.shop.example", &group("a"), &cx());
    assert_eq!(change.name, "_albc-a._wildcard.shop.example");
}

#[test]
fn text() {
    let plan = diff_records(&wanted(&[claim("a", true)]), &ours("b"), &cx());
    assert_eq!(
        plan.to_string(),
        "1. - record shop.example A alias b.elb.amazonaws.com (zone Z1; the group that held it has left)\n\
         2. - record _albc-a.shop.example TXT \"heritage=external-dns,external-dns/cluster-uid=uid-1,\
         external-dns/owner=albc/prod,external-dns/resource=ingress/shop/b\" (zone Z1)\n\
         3. + record shop.example A alias a.elb.amazonaws.com (zone Z1)\n\
         4. + record _albc-a.shop.example TXT \"heritage=external-dns,external-dns/cluster-uid=uid-1,\
         external-dns/owner=albc/prod,external-dns/resource=ingress/shop/a\" (zone Z1)\n"
    );
}

#[test]
fn batches_keep_a_hosts_changes_together() {
    let mut plan = DnsPlan::default();
    for n in 0..300 {
        let host = format!("h{n}.example");
        plan.changes.push(HostChange {
            changes: vec![
                RecordChange::Create(record(&host, &target("a"))),
                RecordChange::Create(owner_txt(&host, &group("a"), &cx())),
            ],
            place: Place::new(host, if n == 7 { "Z2" } else { "Z1" }),
            holder: Some(group("a")),
            why: String::new(),
        });
    }
    let batches = plan.batches();
    let sizes: Vec<(&str, usize)> = batches
        .iter()
        .map(|batch| (batch[0].place.zone.as_str(), batch.len()))
        .collect();
    assert_eq!(sizes.iter().map(|(_, n)| n).sum::<usize>(), 300);
    assert!(sizes.contains(&("Z2", 1)));
    assert!(batches.iter().all(|batch| batch.len() <= 250));
    assert!(
        batches
            .iter()
            .all(|b| b.iter().all(|c| c.place.zone == b[0].place.zone))
    );
}

#[test]
fn a_record_that_leads_to_a_replaced_load_balancer_goes_when_no_zone_is_for_the_new_one() {
    let mut homeless = claim("a", true);
    homeless.zone = None;
    // The one that it leads to serves on.
    let desired = wanted(std::slice::from_ref(&homeless));
    assert_eq!(settle(&desired, &mut ours("a")), "");
    homeless.target = Some(target("a-internal"));
    assert_eq!(settle(&wanted(&[homeless]), &mut ours("a")), "-A -TXT");
}
