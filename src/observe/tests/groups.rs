//! What a group and the account cost to read, and what becomes of the answers.

use super::*;

#[tokio::test]
async fn a_restart_reads_the_account_once_and_each_group_once() {
    let server = Server::start(account).await;
    let memory = Memory::new(server.aws.clone(), scope());
    let observed = memory.recall(&group()).await.unwrap();
    assert_eq!(
        server.actions(),
        [
            "DescribeListenerCertificates",
            "DescribeListeners",
            "DescribeLoadBalancers",
            "DescribeLoadBalancers",
            "DescribeRules",
            "DescribeSecurityGroups",
            "DescribeTags",
            "DescribeTags",
            "DescribeTargetGroups",
            "DescribeTargetHealth",
        ]
    );

    let [lb] = observed.load_balancers.as_slice() else {
        panic!("{observed:?}");
    };
    assert_eq!(lb.spec.name, "k8s-a");
    assert_eq!(lb.state, LoadBalancerState::Active);
    assert_eq!(
        lb.spec.security_groups,
        BTreeSet::from([SecurityGroupRef::Frontend, SecurityGroupRef::Backend])
    );
    let listener = &lb.listeners[&443];
    assert_eq!(listener.spec.default_certificate, Some(Arn::from("cert-1")));
    assert_eq!(
        listener.spec.sni_certificates,
        BTreeSet::from([Arn::from("cert-2")])
    );
    assert_eq!(
        listener.spec.default_action,
        Action::FixedResponse {
            status_code: "404".to_owned(),
            content_type: Some("text/plain".to_owned()),
            body: None,
        }
    );
    assert_eq!(listener.rules.keys().collect::<Vec<_>>(), [&1, &2]);
    let rule = &listener.rules[&1].spec;
    assert_eq!(
        rule.conditions,
        [Condition::PathPattern(vec!["/a".to_owned()])]
    );
    let tg = Arn(format!("{ARN}targetgroup/k8s-tg/73e2"));
    assert_eq!(
        rule.action,
        Action::Forward(TargetGroupRef::Arn(tg.clone()))
    );
    assert_eq!(rule.tags, marks("80"));

    let [live] = observed.target_groups.as_slice() else {
        panic!("{observed:?}");
    };
    assert_eq!(live.arn, tg);
    assert_eq!(live.spec.key.0, "shop/web-svc:80");
    assert_eq!(live.targets.len(), 1, "the draining one is gone");
    assert_eq!(observed.security_groups.len(), 1);

    let before = server.seen().len();
    assert_eq!(memory.recall(&group()).await.unwrap(), observed);
    let other = GroupId::Explicit("nothing-there".to_owned());
    assert!(memory.recall(&other).await.unwrap().is_empty());
    assert_eq!(memory.groups().await.unwrap(), BTreeSet::from([group()]));
    assert_eq!(server.seen().len(), before, "all of that is known");
}

#[tokio::test]
async fn only_what_is_other_than_before_is_looked_at_again() {
    let server = Server::start(account).await;
    let memory = Memory::new(server.aws.clone(), scope());
    memory.groups().await.unwrap();
    assert!(!memory.live(&group()).1, "only a listing is known");
    let (listed, all) = memory.others_since(None);
    assert_eq!(all, None, "nobody has looked");
    let others = |seen: u64| memory.others_since(Some(seen)).1.unwrap();
    let observed = memory.recall(&group()).await.unwrap();
    assert_eq!(others(listed), BTreeSet::from([group()]));
    assert_eq!(memory.live(&group()), (observed, true));

    let (seen, _) = memory.others_since(Some(listed));
    assert!(others(seen).is_empty());
    // A listing that shows the same.
    memory.list_since(Some(Instant::now())).await.unwrap();
    assert!(others(seen).is_empty());
    memory.remember(&group(), |observed| observed.security_groups.clear());
    assert_eq!(others(seen), BTreeSet::from([group()]));
    assert_eq!(others(listed), BTreeSet::from([group()]));

    let gone = GroupId::Explicit("gone".to_owned());
    assert_eq!(memory.live(&gone), (Arc::default(), true));
    memory.mark_stale(&gone);
    assert!(!others(seen).contains(&gone), "there is nothing still");
}

#[tokio::test]
async fn many_who_want_the_listing_share_one() {
    let server = Server::start(account).await;
    let memory = Memory::new(server.aws.clone(), scope());
    let groups: Vec<GroupId> = (0..20)
        .map(|n| GroupId::Explicit(format!("g{n}")))
        .collect();
    futures::future::try_join_all(groups.iter().map(|g| memory.recall(g)))
        .await
        .unwrap();
    let listings = server
        .actions()
        .iter()
        .filter(|a| *a == "DescribeTargetGroups")
        .count();
    assert_eq!(listings, 1);
}

#[tokio::test]
async fn many_who_want_a_group_share_one_read() {
    let server = Server::start(account).await;
    let memory = Memory::new(server.aws.clone(), scope());
    let group = group();
    futures::future::try_join_all((0..3).map(|_| memory.recall(&group)))
        .await
        .unwrap();
    let reads = server.actions();
    let reads = reads.iter().filter(|a| *a == "DescribeRules").count();
    assert_eq!(reads, 1);
}

#[tokio::test]
async fn a_group_in_doubt_is_read_again_and_our_own_write_stays() {
    let server = Server::start(account).await;
    let memory = Memory::new(server.aws.clone(), scope());
    memory.recall(&group()).await.unwrap();
    memory.remember(&group(), |observed| {
        observed.target_groups[0].spec.health_check.path = "/new".to_owned();
        observed.security_groups.clear();
    });
    memory.mark_stale(&group());
    let before = server.seen().len();
    let observed = memory.recall(&group()).await.unwrap();
    assert!(server.seen().len() > before);
    assert_eq!(observed.target_groups[0].spec.health_check.path, "/new");
    assert!(observed.security_groups.is_empty(), "deleted a moment ago");
    let after = server.seen().len();
    memory.recall(&group()).await.unwrap();
    assert_eq!(server.seen().len(), after, "the doubt is settled");
}

#[tokio::test]
async fn verification_waits_and_then_finds_what_somebody_took_away() {
    let gone = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&gone);
    let server = Server::start(move |request| {
        if flag.load(Ordering::SeqCst) && request.starts_with("Action=DescribeTargetGroups") {
            elb("DescribeTargetGroups", "<TargetGroups></TargetGroups>")
        } else {
            account(request)
        }
    })
    .await;
    let memory = Memory::new(server.aws.clone(), scope());
    memory.recall(&group()).await.unwrap();
    memory.facts().await.unwrap();
    let before = server.seen().len();
    let soon = Instant::now() + Duration::from_mins(4);
    assert_eq!(memory.verify_tick(soon).await, Drift::default());
    assert_eq!(server.seen().len(), before, "too early");

    gone.store(true, Ordering::SeqCst);
    let due = Instant::now() + Duration::from_mins(6);
    let drift = memory.verify_tick(due).await;
    assert_eq!(drift.read, [Tier::Fast]);
    let found: Vec<&str> = drift.groups[&group()]
        .iter()
        .map(|found| found.what.as_str())
        .collect();
    assert_eq!(found, ["target group shop/web-svc:80 is gone"]);
    let observed = memory.recall(&group()).await.unwrap();
    assert!(observed.target_groups.is_empty());
}

#[tokio::test]
async fn security_groups_of_ours_come_and_go_without_drift_and_those_of_others_do_not() {
    let more = Arc::new(Mutex::new(String::new()));
    let there = Arc::clone(&more);
    let server = Server::start(move |request| {
        let (status, body) = account(request);
        let more = there.lock().unwrap().clone() + "</securityGroupInfo>";
        (status, body.replace("</securityGroupInfo>", &more))
    })
    .await;
    let memory = Memory::new(server.aws.clone(), scope());
    memory.recall(&group()).await.unwrap();
    memory.facts().await.unwrap();
    let made = |tag: &str| {
        format!(
            "<item><groupId>sg-new</groupId><groupName>new</groupName>\
             <groupDescription>d</groupDescription><vpcId>vpc-1</vpcId>\
             <tagSet><item><key>{tag}</key><value>prod</value></item></tagSet></item>"
        )
    };
    *more.lock().unwrap() = made(ownership::CLUSTER_TAG);
    let due = Instant::now() + Duration::from_mins(6);
    let drift = memory.verify_tick(due).await;
    assert!(drift.is_empty(), "{drift:?}");
    let facts = memory.facts().await.unwrap();
    assert!(facts.security_groups.contains_key("sg-new"));

    *more.lock().unwrap() = made("Name");
    let drift = memory.verify_tick(due + Duration::from_hours(1)).await;
    assert!(drift.facts && drift.groups.is_empty(), "{drift:?}");
}

#[tokio::test]
async fn facts_are_read_once_and_again_at_most_once_a_minute() {
    let server = Server::start(account).await;
    let memory = Memory::new(server.aws.clone(), scope());
    let facts = memory.facts().await.unwrap();
    assert_eq!(facts.vpc_cidrs, ["10.0.0.0/16".parse().unwrap()]);
    assert!(facts.subnets[0].routed_to_internet);
    assert_eq!(facts.subnets[0].locale, "availability-zone");
    assert_eq!(facts.security_groups.len(), 3);
    assert_eq!(server.seen().len(), 5);
    memory.facts().await.unwrap();
    assert!(memory.facts_again().await.unwrap().is_none());
    let backend = memory.recall_backend().await.unwrap();
    assert_eq!(server.seen().len(), 5);
    assert_eq!(backend.group.unwrap().arn.0, "sg-back");
    let rules = &backend.rules["sg-node"];
    assert_eq!(rules.len(), 1, "a rule by hand is not ours");
    assert_eq!(rules.first().unwrap().ports, Some((8080, 8080)));
}

#[tokio::test]
async fn nodes_and_pods_cost_one_call_and_a_new_pod_on_a_known_node_none() {
    let server = Server::start(account).await;
    let memory = Memory::new(server.aws.clone(), scope());
    memory.facts().await.unwrap();
    let pod = |address: &str, instance: Option<&str>| PodAddress {
        address: address.to_owned(),
        instance: instance.map(str::to_owned),
        own_interface: false,
    };
    let nodes = BTreeSet::from(["i-1".to_owned()]);
    let before = server.seen().len();
    let mut pods = BTreeSet::from([pod("10.0.0.9", Some("i-1"))]);
    let facts = memory.backend_facts(&nodes, &pods).await.unwrap();
    let node_groups = BTreeSet::from(["sg-node".to_owned()]);
    assert_eq!(facts.instance_security_groups["i-1"], node_groups);
    assert_eq!(facts.pod_security_groups["10.0.0.9"], node_groups);
    assert_eq!(server.seen().len(), before + 1);

    pods.insert(pod("10.0.0.10", Some("i-1")));
    let facts = memory.backend_facts(&nodes, &pods).await.unwrap();
    assert_eq!(facts.pod_security_groups["10.0.0.10"], node_groups);
    assert_eq!(server.seen().len(), before + 1);

    pods.insert(pod("10.0.7.7", None));
    let facts = memory.backend_facts(&nodes, &pods).await.unwrap();
    assert_eq!(
        facts.pod_security_groups["10.0.7.7"],
        BTreeSet::from(["sg-pod".to_owned()])
    );
    assert_eq!(server.actions().last().unwrap(), "DescribeVpcs");
    assert_eq!(server.seen().len(), before + 2);
}

#[tokio::test]
async fn verdicts_are_facts_until_they_expire() {
    let server = Server::start(account).await;
    let memory = Memory::new(server.aws.clone(), scope());
    let verdict = Verdict {
        ingress: ObjectName::new("shop", "web"),
        subject: "certificate-arn".to_owned(),
        value: "cert-9".to_owned(),
        code: "CertificateNotFound".to_owned(),
        message: "no".to_owned(),
    };
    assert!(memory.add_verdict(&group(), verdict.clone()));
    assert!(!memory.add_verdict(&group(), verdict.clone()));
    assert_eq!(memory.facts().await.unwrap().verdicts, [verdict]);
    let late = Instant::now() + Duration::from_hours(2);
    let drift = memory.verify_tick(late).await;
    assert_eq!(drift.expired, BTreeSet::from([group()]));
    assert!(memory.facts().await.unwrap().verdicts.is_empty());
}

#[tokio::test]
async fn a_group_that_aws_holds_nothing_for_any_more_is_forgotten() {
    let server = Server::start(account).await;
    let memory = Memory::new(server.aws.clone(), scope());
    memory.recall(&group()).await.unwrap();
    let gone = GroupId::Explicit("gone".to_owned());
    let made = memory.remembered(&group());
    memory.remember(&gone, |observed| observed.clone_from(&made));
    memory.remember(&gone, |observed| *observed = Observed::default());
    let known = || {
        lock(&memory.groups)
            .known
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(known(), [gone.clone(), group()]);
    // A read that began now might still show it.
    memory.list_since(Some(Instant::now())).await.unwrap();
    assert_eq!(known(), [gone.clone(), group()]);
    lock(&memory.groups).forget_gone(Instant::now() + Duration::from_mins(11));
    assert_eq!(known(), [group()]);
    let before = server.seen().len();
    assert!(memory.recall(&gone).await.unwrap().is_empty());
    assert_eq!(server.seen().len(), before, "the listing says so");
}

#[tokio::test]
async fn a_load_balancer_that_is_being_made_is_polled_in_one_call() {
    let server = Server::start(account).await;
    let memory = Memory::new(server.aws.clone(), scope());
    memory.recall(&group()).await.unwrap();
    memory.poll_load_balancers().await.unwrap();
    assert!(memory.take_other_state().is_empty());
    memory.remember(&group(), being_made);
    let before = server.seen().len();
    memory.poll_load_balancers().await.unwrap();
    assert_eq!(server.seen().len(), before + 1);
    assert_eq!(memory.take_other_state(), BTreeSet::from([group()]));
    let observed = memory.remembered(&group());
    assert_eq!(observed.load_balancers[0].state, LoadBalancerState::Active);
    memory.poll_load_balancers().await.unwrap();
    assert!(memory.take_other_state().is_empty());
    assert_eq!(server.seen().len(), before + 1, "none is waited for now");
}

#[tokio::test]
async fn who_waits_for_a_load_balancer_is_told_whichever_read_sees_it_first() {
    let server = Server::start(account).await;
    let memory = Memory::new(server.aws.clone(), scope());
    memory.recall(&group()).await.unwrap();
    memory.facts().await.unwrap();

    memory.remember(&group(), being_made);
    let due = Instant::now() + Duration::from_mins(6);
    let drift = memory.verify_tick(due).await;
    assert!(drift.is_empty(), "it is what was waited for: {drift:?}");
    assert_eq!(memory.take_other_state(), BTreeSet::from([group()]));

    memory.remember(&group(), being_made);
    memory.mark_stale(&group());
    memory.recall(&group()).await.unwrap();
    assert_eq!(memory.take_other_state(), BTreeSet::from([group()]));
}

fn being_made(observed: &mut Observed) {
    observed.load_balancers[0].state = LoadBalancerState::Provisioning;
}

#[tokio::test]
async fn security_groups_of_a_load_balancer_that_went_are_remembered_for_a_while() {
    let server = Server::start(account).await;
    let memory = Memory::new(server.aws.clone(), scope());
    memory.recall(&group()).await.unwrap();
    let lb = &memory.remembered(&group()).load_balancers[0];
    assert!(lb.spec.security_groups.contains(&SecurityGroupRef::Backend));
    assert!(memory.is_backend_carried());
    // One that goes on without them has let go of them at once.
    memory.remember(&group(), |observed| {
        let groups = &mut observed.load_balancers[0].spec.security_groups;
        groups.remove(&SecurityGroupRef::Frontend);
    });
    assert_eq!(memory.let_go_at("sg-front"), None);
    memory.remember(&group(), |observed| observed.load_balancers.clear());
    assert!(memory.let_go_at("sg-back").is_some());
    assert!(!memory.is_backend_carried());
}
