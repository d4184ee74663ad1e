//! What is read again, and what is made of it.

use super::super::found::differences;
use super::super::merge::Stamps;
use super::*;
use std::sync::Arc;

fn words(found: &BTreeSet<Found>) -> Vec<(&str, &str)> {
    let words = found.iter().map(|f| (f.kind, f.what.as_str()));
    words.collect()
}

/// A memory that knows the account of one group, and verifies so.
async fn known(server: &Server, change: impl Fn(&mut Periods)) -> Memory {
    let mut scope = scope();
    scope.periods.fast = None;
    change(&mut scope.periods);
    let memory = Memory::new(server.aws.clone(), scope);
    memory.recall(&group()).await.unwrap();
    memory.facts().await.unwrap();
    memory
}

fn later(minutes: u64) -> Instant {
    Instant::now() + Duration::from_mins(minutes)
}

#[tokio::test]
async fn differences_are_named_without_the_parts_of_what_is_gone_or_new() {
    let server = Server::start(account).await;
    let memory = known(&server, |_| ()).await;
    let whole = memory.remembered(&group());
    let after = |change: fn(&mut Observed)| {
        let mut after = whole.clone();
        change(Arc::make_mut(&mut after));
        after
    };
    let nothing = Observed::default();
    let all = [
        ("load-balancer", "load balancer k8s-a is gone"),
        ("security-group", "security group name-sg-front is gone"),
        ("target-group", "target group shop/web-svc:80 is gone"),
    ];
    let found = differences(Tier::Fast, &whole, &nothing);
    assert_eq!(words(&found), all);
    let found = differences(Tier::Fast, &nothing, &whole);
    assert!(
        found.iter().all(|one| one.what.ends_with(" is new")),
        "{found:?}"
    );
    assert_eq!(found.len(), 3);
    assert!(differences(Tier::Fast, &whole, &whole).is_empty());

    let changed = after(|observed| {
        observed.target_groups[0].targets.clear();
        let lb = &mut observed.load_balancers[0];
        let listener = lb.listeners.get_mut(&443).unwrap();
        listener.spec.sni_certificates.clear();
        listener.rules.remove(&2);
        listener.rules.get_mut(&1).unwrap().spec.conditions.clear();
    });
    let found = differences(Tier::Slow, &whole, &changed);
    let expected = [
        ("listener", "the listener of port 443 is not as it was"),
        ("rule", "rule 1 of port 443 is not as it was"),
        ("rule", "rule 2 of port 443 is gone"),
        (
            "targets",
            "the targets of shop/web-svc:80 are not as they were",
        ),
    ];
    assert_eq!(words(&found), expected);
    let gone = after(|observed| observed.load_balancers[0].listeners.clear());
    let found = differences(Tier::Slow, &whole, &gone);
    assert_eq!(
        words(&found),
        [("listener", "the listener of port 443 is gone")]
    );
}

#[tokio::test]
async fn what_a_listing_leaves_out_is_there_if_it_is_there_by_its_name() {
    let server = Server::start(|request| {
        let page = request.starts_with("Action=DescribeTargetGroups");
        if page && !request.contains("TargetGroupArns") {
            return elb("DescribeTargetGroups", "<TargetGroups></TargetGroups>");
        }
        if page {
            let one = members(&[target_group_xml("k8s-tg")]);
            let inner = format!("<TargetGroups>{one}</TargetGroups>");
            return elb("DescribeTargetGroups", &inner);
        }
        account(request)
    })
    .await;
    let memory = Memory::new(server.aws.clone(), scope());
    // It was seen once.
    memory.recall(&group()).await.unwrap();
    let arn = Arn(format!("{ARN}targetgroup/k8s-tg/73e2"));
    let live = crate::model::spec::LiveTargetGroup {
        arn: arn.clone(),
        spec: {
            let mut spec = target_group("shop/web-svc:80");
            spec.name = "k8s-tg".to_owned();
            spec.tags = marks("shop/web-svc:80");
            spec
        },
        targets: BTreeSet::new(),
    };
    {
        let mut groups = lock(&memory.groups);
        groups.tags.insert(arn, live.spec.tags.clone());
        groups.known.change(&group(), |known| {
            Arc::make_mut(&mut known.observed).target_groups = vec![live];
        });
    }
    memory.facts().await.unwrap();
    let before = server.seen().len();
    let drift = memory.verify_tick(later(6)).await;
    assert!(drift.is_empty() && drift.read == [Tier::Fast], "{drift:?}");
    assert_eq!(memory.remembered(&group()).target_groups.len(), 1);
    let asked = server.seen().split_off(before);
    let by_name = |r: &&String| r.contains("TargetGroupArns.member.1=");
    assert_eq!(asked.iter().filter(by_name).count(), 1, "{asked:#?}");
    // Two pages of load balancers, one of each other kind, and the question.
    assert_eq!(asked.len(), 5, "{asked:#?}");
}

#[tokio::test]
async fn what_was_made_a_moment_ago_is_not_missed_in_a_listing() {
    let server = Server::start(account).await;
    let memory = known(&server, |p| p.fast = Some(Duration::from_mins(5))).await;
    memory.remember(&group(), |observed| {
        let mut made = observed.target_groups[0].clone();
        made.arn = Arn::from("made");
        observed.target_groups.push(made);
        observed.security_groups.clear();
    });
    let before = server.seen().len();
    let drift = memory.verify_tick(later(6)).await;
    assert!(drift.is_empty(), "{drift:?}");
    let now = memory.remembered(&group());
    assert_eq!(now.target_groups.len(), 2);
    assert!(now.security_groups.is_empty());
    let asked = server.seen().split_off(before);
    assert!(
        !asked.iter().any(|r| r.contains("Arns.member")),
        "{asked:#?}"
    );
}

#[tokio::test]
async fn a_target_group_is_read_by_itself_and_our_own_write_stays() {
    let empty = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&empty);
    let server = Server::start(move |request| {
        if flag.load(Ordering::SeqCst) && request.starts_with("Action=DescribeTargetHealth") {
            let none = "<TargetHealthDescriptions></TargetHealthDescriptions>";
            return elb("DescribeTargetHealth", none);
        }
        account(request)
    })
    .await;
    let hours = Duration::from_hours(1);
    let memory = known(&server, |p| p.target = Some(hours)).await;
    let before = server.seen().len();
    let drift = memory.verify_tick(later(65)).await;
    assert!(
        drift.is_empty() && drift.read == [Tier::Target],
        "{drift:?}"
    );
    assert_eq!(server.seen().len(), before + 1);

    // Written a moment ago, as far as the clock of reads goes.
    empty.store(true, Ordering::SeqCst);
    memory.remember(&group(), |observed| {
        let targets = &mut observed.target_groups[0].targets;
        let mut more = targets.first().unwrap().clone();
        more.port += 1;
        targets.insert(more);
    });
    let drift = memory.verify_tick(later(130)).await;
    assert!(
        drift.is_empty() && drift.read == [Tier::Target],
        "{drift:?}"
    );
    assert_eq!(
        memory.remembered(&group()).target_groups[0].targets.len(),
        2
    );

    {
        let known = &mut lock(&memory.groups).known;
        known.change(&group(), |known| known.stamps = Stamps::default());
    }
    let drift = memory.verify_tick(later(200)).await;
    let found = "the targets of shop/web-svc:80 are not as they were";
    assert_eq!(words(&drift.groups[&group()]), [("targets", found)]);
    assert!(
        memory.remembered(&group()).target_groups[0]
            .targets
            .is_empty()
    );
}

/// The tags that the index shows, as the API answers.
fn index(tags: &[(&str, Tags)]) -> (u16, String) {
    let resource = |(arn, tags): &(&str, Tags)| {
        let tags: Vec<serde_json::Value> = tags
            .iter()
            .map(|(key, value)| serde_json::json!({ "Key": key, "Value": value }))
            .collect();
        serde_json::json!({ "ResourceARN": format!("{ARN}{arn}"), "Tags": tags })
    };
    let list: Vec<serde_json::Value> = tags.iter().map(resource).collect();
    let body = serde_json::json!({ "PaginationToken": "", "ResourceTagMappingList": list });
    (200, body.to_string())
}

#[tokio::test]
async fn the_index_of_tags_is_a_reason_to_look_and_no_more() {
    let rule = "listener-rule/app/k8s-a/50dc/f2f7/1";
    let server = Server::start(move |request| {
        if request.starts_with("POST") {
            // It does not know the rules yet, nor what else there is.
            return index(&[("loadbalancer/app/k8s-a/50dc", marks("LoadBalancer"))]);
        }
        account(request)
    })
    .await;
    let memory = known(&server, |p| p.tag = Some(Duration::from_mins(5))).await;
    let before = server.seen().len();
    let drift = memory.verify_tick(later(6)).await;
    assert!(drift.is_empty() && drift.read == [Tier::Tag], "{drift:?}");
    let asked = server.seen().split_off(before);
    let asked_tags: Vec<&String> = asked
        .iter()
        .filter(|r| r.contains("DescribeTags"))
        .collect();
    assert_eq!(asked.len(), 2, "{asked:#?}");
    assert_eq!(asked_tags.len(), 1);
    assert!(
        parameters(asked_tags[0], "ResourceArns")
            .iter()
            .any(|arn| arn.ends_with(rule))
    );
    let known = parameters(asked_tags[0], "ResourceArns");
    assert!(
        !known.iter().any(|arn| arn.contains("loadbalancer/")),
        "{known:?}"
    );
}

#[tokio::test]
async fn tags_that_somebody_changed_are_found() {
    let changed = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&changed);
    let server = Server::start(move |request| {
        if request.starts_with("POST") {
            return index(&[]);
        }
        let other = flag.load(Ordering::SeqCst) && request.starts_with("Action=DescribeTags");
        if other {
            return tags_answer(request, |arn| {
                let mut tags = match arn {
                    _ if arn.contains("targetgroup") => marks("shop/web-svc:80"),
                    _ if arn.contains("/50dc/f2f7") => marks("80"),
                    _ => marks("LoadBalancer"),
                };
                if arn.contains("not-ours") {
                    tags = Tags::new();
                } else {
                    tags.insert("more", "1");
                }
                tags
            });
        }
        account(request)
    })
    .await;
    let memory = known(&server, |p| p.tag = Some(Duration::from_mins(5))).await;
    changed.store(true, Ordering::SeqCst);
    let drift = memory.verify_tick(later(6)).await;
    let found = words(&drift.groups[&group()]);
    let kinds: BTreeSet<&str> = found.iter().map(|(kind, _)| *kind).collect();
    let all = ["listener", "load-balancer", "rule", "target-group"];
    assert_eq!(kinds, all.into(), "{found:?}");
    assert!(drift.groups[&group()].iter().all(|f| f.tier == Tier::Tag));
    let now = memory.remembered(&group());
    assert_eq!(now.load_balancers[0].spec.tags.get("more"), Some("1"));
    assert_eq!(now.target_groups[0].spec.tags.get("more"), Some("1"));
}
