//! Plans against raw answers: order, what goes on after a failure, what is
//! remembered, what is not deleted.

#![allow(clippy::unwrap_used, clippy::panic)]

mod deletion;
mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::aws::tests::{Server, error_body};
use crate::model::ownership;
use crate::model::records::RecordSet;
use crate::model::spec::{
    Action, Arn, Condition, Listener, LoadBalancer, Protocol, Rule, Scheme, SecurityGroup,
    SecurityGroupRef, Tags, TargetGroupKey, TargetGroupRef,
};
use crate::observe::Dns;
use crate::observe::tests::{ARN, ec2 as ec2_answer, elb as elb_answer, group, scope};
use crate::observe::tests::{tags_answer, target_group};
use crate::plan::dns::{DnsPlan, HostChange, RecordChange};
use crate::plan::step::{ListenerRef, LoadBalancerRef};

fn planned(step: Step, after: &[StepId]) -> Planned {
    Planned {
        step,
        after: after.iter().copied().collect(),
        needs: BTreeSet::new(),
        low_priority: false,
    }
}

fn plan(steps: Vec<Planned>) -> Plan {
    Plan {
        steps,
        ..Plan::default()
    }
}

fn load_balancer() -> LoadBalancer {
    LoadBalancer {
        name: "k8s-a".to_owned(),
        scheme: Scheme::Internal,
        subnets: BTreeSet::from(["subnet-a".to_owned(), "subnet-b".to_owned()]),
        security_groups: BTreeSet::from([SecurityGroupRef::Frontend, SecurityGroupRef::Backend]),
        tags: Tags::from([("a".to_owned(), "b".to_owned())]),
    }
}

fn frontend() -> SecurityGroup {
    SecurityGroup {
        name: "k8s-front".to_owned(),
        description: "d".to_owned(),
        tags: Tags::new(),
        ingress: BTreeSet::new(),
    }
}

fn key() -> TargetGroupKey {
    TargetGroupKey("shop/web-svc:80".to_owned())
}

fn rule(path: &str) -> Rule {
    Rule {
        conditions: vec![Condition::PathPattern(vec![path.to_owned()])],
        action: Action::Forward(TargetGroupRef::Key(key())),
        tags: Tags::new(),
    }
}

fn listener() -> Listener {
    Listener {
        port: 80,
        protocol: Protocol::Http,
        default_certificate: None,
        sni_certificates: BTreeSet::new(),
        ssl_policy: None,
        default_action: Action::FixedResponse {
            status_code: "404".to_owned(),
            content_type: Some("text/plain".to_owned()),
            body: None,
        },
        tags: Tags::new(),
    }
}

/// Security group, target group, load balancer, listener and two rules.
fn creation() -> Plan {
    let create_rule = |priority, path| Step::CreateRule {
        listener: ListenerRef::New(80),
        priority,
        rule: rule(path),
    };
    let mut with_need = planned(Step::CreateLoadBalancer(load_balancer()), &[0]);
    with_need.needs.insert(Need::BackendSecurityGroup);
    plan(vec![
        planned(
            Step::CreateSecurityGroup {
                group: SecurityGroupRef::Frontend,
                spec: frontend(),
            },
            &[],
        ),
        planned(Step::CreateTargetGroup(target_group(&key().0)), &[]),
        with_need,
        planned(
            Step::CreateListener {
                load_balancer: LoadBalancerRef::New,
                listener: listener(),
            },
            &[2],
        ),
        planned(create_rule(1, "/a"), &[1, 3]),
        planned(create_rule(2, "/b"), &[1, 3]),
    ])
}

fn action(request: &str) -> &str {
    let action = request.strip_prefix("Action=").unwrap_or(request);
    action.split('&').next().unwrap()
}

fn ok(request: &str) -> (u16, String) {
    match action(request) {
        "CreateSecurityGroup" => ec2_answer("CreateSecurityGroup", "<groupId>sg-new</groupId>"),
        "CreateTargetGroup" => elb_answer(
            "CreateTargetGroup",
            &format!(
                "<TargetGroups><member><TargetGroupArn>{ARN}targetgroup/t/1</TargetGroupArn>\
                 </member></TargetGroups>"
            ),
        ),
        "CreateLoadBalancer" => elb_answer(
            "CreateLoadBalancer",
            &format!(
                "<LoadBalancers><member><LoadBalancerArn>{ARN}loadbalancer/app/k8s-a/1</LoadBalancerArn>\
                 <DNSName>k8s-a.elb</DNSName><CanonicalHostedZoneId>Z9</CanonicalHostedZoneId>\
                 <State><Code>provisioning</Code></State></member></LoadBalancers>"
            ),
        ),
        "CreateListener" => elb_answer(
            "CreateListener",
            &format!(
                "<Listeners><member><ListenerArn>{ARN}listener/app/k8s-a/1/2</ListenerArn>\
                 </member></Listeners>"
            ),
        ),
        "CreateRule" => {
            let priority = request
                .split('&')
                .find_map(|p| p.strip_prefix("Priority="))
                .unwrap();
            elb_answer(
                "CreateRule",
                &format!(
                    "<Rules><member><RuleArn>{ARN}listener-rule/app/k8s-a/1/2/{priority}</RuleArn>\
                     </member></Rules>"
                ),
            )
        }
        other => elb_answer(other, ""),
    }
}

struct Bench {
    server: Server,
    memory: Memory,
    backend: watch::Sender<BackendReady>,
    announced: Announced,
    stop: CancellationToken,
}

impl Bench {
    async fn new(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let server = Server::start(answer).await;
        let memory = Memory::new(server.aws.clone(), scope());
        let (backend, _) = watch::channel(BackendReady {
            group: Some("sg-back".to_owned()),
            ports: BTreeSet::from([8080]),
        });
        Self {
            server,
            memory,
            backend,
            announced: unannounced(),
            stop: CancellationToken::new(),
        }
    }

    async fn run(&self, plan: &Plan) -> Applied {
        let cx = Context {
            aws: &self.server.aws,
            memory: &self.memory,
            backend: self.backend.subscribe(),
            patience: Duration::from_millis(50),
            deferred: &BTreeMap::new(),
            announced: self.announced.clone(),
            stop: self.stop.clone(),
        };
        run(&cx, Work::Group(&group()), plan).await
    }
}

fn marks(stack: &str) -> Tags {
    Tags::from([
        (ownership::CLUSTER_TAG.to_owned(), "prod".to_owned()),
        (ownership::STACK_TAG.to_owned(), stack.to_owned()),
    ])
}

#[tokio::test]
async fn what_a_plan_makes_has_the_names_that_its_steps_use() {
    let bench = Bench::new(ok).await;
    let applied = bench.run(&creation()).await;
    assert!(applied.is_complete(), "{applied:?}");
    let seen = bench.server.seen();
    let create = seen.iter().find(|r| action(r) == "CreateLoadBalancer");
    let create = create.unwrap();
    assert!(
        create.contains("=sg-new") && create.contains("=sg-back"),
        "{create}"
    );
    let rules = seen.iter().filter(|r| action(r) == "CreateRule");
    for request in rules {
        assert!(request.contains("targetgroup%2Ft%2F1"), "{request}");
        assert!(
            request.contains("listener%2Fapp%2Fk8s-a%2F1%2F2"),
            "{request}"
        );
    }
    let observed = bench.memory.remembered(&group());
    let lb = &observed.load_balancers[0];
    assert_eq!(lb.dns_name, "k8s-a.elb");
    assert_eq!(lb.state, LoadBalancerState::Provisioning);
    assert_eq!(lb.listeners[&80].rules.len(), 2);
    let tg = Arn(format!("{ARN}targetgroup/t/1"));
    assert_eq!(
        lb.listeners[&80].rules[&1].spec.action,
        Action::Forward(TargetGroupRef::Arn(tg))
    );
    let before = bench.server.seen().len();
    assert_eq!(bench.memory.recall(&group()).await.unwrap(), observed);
    assert_eq!(
        bench.server.seen().len(),
        before,
        "nothing is read after a write"
    );
}

#[tokio::test]
async fn after_a_failure_all_that_does_not_depend_on_it_still_runs() {
    let bench = Bench::new(|request| {
        if action(request) == "CreateRule" && request.contains("Priority=1") {
            (400, error_body("TooManyRules", "full"))
        } else {
            ok(request)
        }
    })
    .await;
    let applied = bench.run(&creation()).await;
    assert_eq!(applied.done.len(), 5);
    let [failure] = applied.failed.as_slice() else {
        panic!("{applied:?}");
    };
    assert_eq!((failure.step, failure.error.class), (4, Class::Quota));

    let bench = Bench::new(|request| {
        if action(request) == "CreateLoadBalancer" {
            (400, error_body("InvalidSubnet", "no space"))
        } else {
            ok(request)
        }
    })
    .await;
    let applied = bench.run(&creation()).await;
    assert_eq!(applied.done.len(), 2, "{applied:?}");
    assert_eq!(applied.skipped, [3, 4, 5]);
}

#[tokio::test]
async fn a_need_that_does_not_come_is_told_and_holds_up_nothing_else() {
    let bench = Bench::new(ok).await;
    bench.backend.send_replace(BackendReady::default());
    let applied = bench.run(&creation()).await;
    assert_eq!(
        applied.waiting,
        BTreeSet::from([Need::BackendSecurityGroup])
    );
    assert_eq!(applied.done.len(), 2);
    assert_eq!(applied.skipped, [2, 3, 4, 5]);
    assert!(applied.failed.is_empty());
}

#[tokio::test]
async fn a_listener_that_is_not_visible_yet_is_waited_for() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&tries);
    let bench = Bench::new(move |request| {
        if action(request) == "CreateRule"
            && request.contains("Priority=1")
            && counter.fetch_add(1, Ordering::SeqCst) == 0
        {
            (400, error_body("ListenerNotFound", "not yet"))
        } else {
            ok(request)
        }
    })
    .await;
    let applied = bench.run(&creation()).await;
    assert!(applied.is_complete(), "{applied:?}");
    assert_eq!(tries.load(Ordering::SeqCst), 2);
}

/// The marks of the target group, with one of them changed or, where it is
/// `None`, without it.
fn marks_but(key_of_tag: &str, value: Option<&str>) -> Tags {
    let mut marks = marks("shop/web");
    marks.insert(ownership::RESOURCE_TAG, &key().0);
    marks.retain(|key, _| key != key_of_tag);
    marks.extend(value.map(|value| (key_of_tag, value)));
    marks
}

#[tokio::test]
async fn a_name_that_something_without_our_marks_has_is_a_refusal_that_says_so() {
    let whole = marks_but("", None);
    let mut spec = target_group(&key().0);
    spec.tags.clone_from(&whole);
    let create = plan(vec![planned(Step::CreateTargetGroup(spec), &[])]);
    let meets = async |there: Tags| {
        let answer = move |request: &str| match action(request) {
            "CreateTargetGroup" => (400, error_body("DuplicateTargetGroupName", "taken")),
            "DescribeTargetGroups" => elb_answer(
                "DescribeTargetGroups",
                &format!(
                    "<TargetGroups><member><TargetGroupArn>{ARN}targetgroup/t/1</TargetGroupArn>\
                     </member></TargetGroups>"
                ),
            ),
            "DescribeTags" => tags_answer(request, |_| there.clone()),
            _ => ok(request),
        };
        let bench = Bench::new(answer).await;
        bench.run(&create).await.failed.remove(0).error
    };
    let (stack, resource) = (ownership::STACK_TAG, ownership::RESOURCE_TAG);
    for (there, lacking) in [
        (
            marks_but(stack, Some("somebody/else")),
            "ingress.k8s.aws/stack=shop/web",
        ),
        (marks_but(stack, None), "ingress.k8s.aws/stack=shop/web"),
        (
            marks_but(resource, None),
            "ingress.k8s.aws/resource=shop/web-svc:80",
        ),
    ] {
        let error = meets(there).await;
        assert_eq!(error.class, Class::NameTaken);
        let words = [lacking, "targetgroup/t/1", "tag it again", "delete it"];
        for word in words {
            assert!(error.message.contains(word), "{word}: {error}");
        }
        let others = error.message.matches("ingress.k8s.aws/").count();
        assert_eq!(others, 1, "{error}");
    }
    // Ours: it is read, and the next plan goes on from it.
    assert_eq!(meets(whole).await.class, Class::LostRace);
}

#[tokio::test]
async fn low_priority_comes_last_and_nothing_begins_after_a_stop() {
    let mut plan = creation();
    plan.steps.push(Planned {
        step: Step::AddTags {
            resources: BTreeSet::from([Arn::from("arn:rule")]),
            tags: Tags::from([("a".to_owned(), "b".to_owned())]),
            what: "rules".to_owned(),
        },
        after: BTreeSet::new(),
        needs: BTreeSet::new(),
        low_priority: true,
    });
    let bench = Bench::new(ok).await;
    let applied = bench.run(&plan).await;
    assert_eq!(applied.done.last(), Some(&6));
    assert_eq!(action(bench.server.seen().last().unwrap()), "AddTags");

    let bench = Bench::new(ok).await;
    bench.stop.cancel();
    let applied = bench.run(&plan).await;
    assert_eq!(applied.skipped.len(), 7);
    assert!(bench.server.seen().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_a_doubt_and_a_refusal_does_not() {
    for (status, code, reads) in [
        (503, "ServiceUnavailable", true),
        (400, "TooManyRules", false),
    ] {
        let bench = Bench::new(move |request| match action(request) {
            "CreateTargetGroup" => (status, error_body(code, "m")),
            "DescribeSecurityGroups" => {
                ec2_answer("DescribeSecurityGroups", "<securityGroupInfo/>")
            }
            _ => ok(request),
        })
        .await;
        bench.memory.recall(&group()).await.unwrap();
        let create = plan(vec![planned(
            Step::CreateTargetGroup(target_group(&key().0)),
            &[],
        )]);
        bench.run(&create).await;
        let before = bench.server.seen().len();
        bench.memory.recall(&group()).await.unwrap();
        assert_eq!(bench.server.seen().len() > before, reads, "{code}");
    }
}
