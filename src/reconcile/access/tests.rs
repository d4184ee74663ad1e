#![allow(clippy::unwrap_used)] // a test may fail loudly

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::model;
use crate::model::backend::ObservedBackend;
use crate::model::backend_build::reach;
use crate::model::backend_union::{Share, Union};
use crate::model::facts::{Facts, KnownSecurityGroup, Subnet};
use crate::model::limits::Limits;
use crate::model::settings::Settings;
use crate::model::snapshot::{Snapshot, snapshot_from_yaml};
use crate::model::spec::{Arn, LoadBalancerState, SecurityGroupRef, Tags};
use crate::plan::backend::{diff_backend, effect_backend};
use crate::plan::effect::{Made, effect};
use crate::plan::step::{Need, Plan, Step};
use crate::plan::{PlanContext, diff};

/// Groups in this world.
const GROUPS: usize = 2;
/// The security group that all pods have.
const PODS: &str = "sg-pods";

fn group(number: usize) -> GroupId {
    GroupId::Explicit(format!("g{number}"))
}

fn settings() -> Settings {
    Settings::new("harbor", "vpc-1")
}

fn facts() -> Facts {
    let subnet = |zone: &str| Subnet {
        id: format!("subnet-{zone}"),
        availability_zone: zone.to_owned(),
        locale: "availability-zone".to_owned(),
        available_addresses: 100,
        routed_to_internet: false,
        tags: Tags::from([("kubernetes.io/role/internal-elb", "1")]),
    };
    let given = KnownSecurityGroup {
        name: "edge".to_owned(),
        tags: Tags::new(),
    };
    let pods = 0..GROUPS;
    Facts {
        subnets: ["a", "b"].map(subnet).into(),
        security_groups: [("sg-1".to_owned(), given)].into_iter().collect(),
        pod_security_groups: pods
            .map(|number| (format!("10.0.48.{number}"), [PODS.to_owned()].into()))
            .collect(),
        ..Facts::default()
    }
}

/// What may be asked for: the port of the pods, and more annotations.
const WISHES: [(u16, &str); 6] = [
    (7000, ""),
    (8080, ""),
    (9000, ""),
    (8080, "healthcheck-port: '9500'"),
    (9000, "healthcheck-port: '7500'"),
    (8080, "security-groups: sg-1"),
];

fn manifests(number: usize, (port, annotation): (u16, &str)) -> String {
    let annotation = if annotation.is_empty() {
        String::new()
    } else {
        format!("    alb.ingress.kubernetes.io/{annotation}\n")
    };
    format!(
        "
kind: IngressClass
metadata: {{name: alb}}
spec: {{controller: ingress.k8s.aws/alb}}
---
kind: Service
metadata: {{name: web{number}, namespace: shop, uid: uid-{number}}}
spec: {{ports: [{{name: http, port: 80, targetPort: {port}}}]}}
---
kind: EndpointSlice
metadata: {{name: web{number}-1, namespace: shop, labels: {{kubernetes.io/service-name: web{number}}}}}
addressType: IPv4
ports: [{{name: http, port: {port}}}]
endpoints: [{{addresses: [10.0.48.{number}], targetRef: {{kind: Pod, name: p}}}}]
---
kind: Ingress
metadata:
  name: web{number}
  namespace: shop
  annotations:
    alb.ingress.kubernetes.io/group.name: g{number}
    alb.ingress.kubernetes.io/target-type: ip
{annotation}spec:
  ingressClassName: alb
  rules: [{{http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: web{number}, port: {{number: 80}}}}}}}}]}}}}]
"
    )
}

/// For each group what is desired by each wish; the last: it is gone.
static DESIRED: LazyLock<Vec<Vec<Desired>>> = LazyLock::new(|| {
    let build = |number: usize, text: &str| {
        let snapshot = snapshot_from_yaml(text).unwrap();
        model::build(&group(number), &snapshot, &facts(), &settings())
    };
    let all = |number: usize| {
        let wished = WISHES.iter().map(|wish| manifests(number, *wish));
        let wished = wished.chain([String::new()]);
        wished.map(|text| build(number, &text)).collect()
    };
    (0..GROUPS).map(all).collect()
});

/// A run of a group.
struct Run {
    plan: Plan,
    done: Vec<bool>,
    /// The step that is on its way, and whether AWS has carried it out.
    flying: Option<(usize, Made, bool)>,
    /// How often it has waited in vain.
    waited: usize,
}

/// A run of the backend key, between two moments of it.
enum Backend {
    Idle,
    /// It has looked at the runs, and at so many groups.
    Looking(Look, usize),
    /// It carries a plan out, up to here.
    Writing(Plan, usize),
}

struct World {
    access: Access,
    union: Union,
    runs_at: u64,
    wishes: [usize; GROUPS],
    aws: [Observed; GROUPS],
    remembered: [Observed; GROUPS],
    runs: [Option<Run>; GROUPS],
    backend: Backend,
    rules: ObservedBackend,
    made: usize,
    /// Groups for which somebody has given security groups of his own: whom
    /// those let in is his business, from the moment of the edit.
    given: [bool; GROUPS],
    /// What requests came to, and go to still.
    served: BTreeSet<(usize, Arn, u16)>,
}

impl World {
    fn new() -> Self {
        Self {
            access: Access::default(),
            union: Union::default(),
            runs_at: 0,
            wishes: [0; GROUPS],
            aws: Default::default(),
            remembered: Default::default(),
            runs: Default::default(),
            backend: Backend::Idle,
            rules: ObservedBackend::default(),
            made: 0,
            given: [false; GROUPS],
            served: BTreeSet::new(),
        }
    }

    fn desired(&self, number: usize) -> &'static Desired {
        &DESIRED[number][self.wishes[number]]
    }

    fn backend_id(&self) -> Option<String> {
        self.rules.group.as_ref().map(|group| group.arn.to_string())
    }

    fn is_open(&self, port: u16) -> bool {
        let mut rules = self.rules.rules.get(PODS).into_iter().flatten();
        rules.any(|rule| {
            let ports = rule.ports.unwrap();
            (ports.0..=ports.1).contains(&port)
        })
    }

    /// One moment of a run of a group; `choice` says which of several steps.
    fn run(&mut self, number: usize, choice: usize) {
        match self.runs[number].take() {
            None => self.begin(number),
            Some(run) => self.runs[number] = self.go_on(number, run, choice),
        }
    }

    fn begin(&mut self, number: usize) {
        let desired = self.desired(number);
        let observed = &self.remembered[number];
        let id = group(number);
        self.access.begin(&id, to_come(desired, observed));
        let plan = diff(desired, observed, &self.context());
        if plan.is_empty() {
            self.access.end(&id, false);
            return;
        }
        self.runs[number] = Some(Run {
            done: vec![false; plan.steps.len()],
            plan,
            flying: None,
            waited: 0,
        });
    }

    fn go_on(&mut self, number: usize, mut run: Run, choice: usize) -> Option<Run> {
        match run.flying.take() {
            Some((step, made, false)) => {
                effect(&run.plan.steps[step].step, &made, &mut self.aws[number]);
                run.flying = Some((step, made, true));
                return Some(run);
            }
            Some((step, made, true)) => {
                let remembered = &mut self.remembered[number];
                effect(&run.plan.steps[step].step, &made, remembered);
                run.done[step] = true;
                return Some(run);
            }
            None => {}
        }
        let ready = self.access.ready();
        let is_met = |need: &Need| match need {
            Need::BackendSecurityGroup => ready.group.is_some(),
            Need::BackendPort(port) => ready.ports.contains(port),
            Need::ActiveLoadBalancer { .. } | Need::RecordsGone => true,
        };
        let steps = run.plan.steps.iter().enumerate();
        let can = steps.filter(|(id, planned)| {
            let after = planned.after.iter().all(|before| run.done[*before]);
            !run.done[*id] && after && planned.needs.iter().all(is_met)
        });
        let can: Vec<usize> = can.map(|(id, _)| id).collect();
        if can.is_empty() {
            run.waited += 1;
            if run.done.iter().all(|done| *done) || run.waited == 4 {
                self.access.end(&group(number), true);
                return None;
            }
            return Some(run);
        }
        self.made += 1;
        let made = Made {
            arn: Some(Arn::from(format!("arn:{}", self.made))),
            state: Some(LoadBalancerState::Active),
            ..Made::default()
        };
        run.flying = Some((can[choice % can.len()], made, false));
        Some(run)
    }

    /// One moment of the backend key.
    fn back(&mut self) {
        self.backend = match std::mem::replace(&mut self.backend, Backend::Idle) {
            Backend::Idle => Backend::Looking(self.access.look(self.runs_at), 0),
            Backend::Looking(look, number) if number < GROUPS => {
                self.look_at(number, &look);
                Backend::Looking(look, number + 1)
            }
            Backend::Looking(look, _) => {
                self.runs_at = look.at;
                self.access.noted(look.at, &BTreeSet::new());
                let desired = self.union.desired(&Snapshot::default(), &settings());
                let plan = diff_backend(&desired, &self.rules);
                let left = BackendReady {
                    group: desired.group.and(self.backend_id()),
                    ports: self.union.open_ports(&self.rules),
                };
                let takes_away = plan.steps.iter().any(|planned| {
                    let step = &planned.step;
                    matches!(step, Step::RevokeIngress { .. })
                        || matches!(step, Step::DeleteSecurityGroup { .. })
                });
                if takes_away && !self.access.close(look.at, left) {
                    Backend::Idle
                } else {
                    Backend::Writing(plan, 0)
                }
            }
            Backend::Writing(plan, at) => {
                if let Some(planned) = plan.steps.get(at) {
                    let made = Made {
                        arn: Some(Arn::from("sg-shared")),
                        ..Made::default()
                    };
                    effect_backend(&planned.step, &made, &mut self.rules);
                    Backend::Writing(plan, at + 1)
                } else {
                    self.access.publish(BackendReady {
                        group: self.backend_id(),
                        ports: self.union.open_ports(&self.rules),
                    });
                    Backend::Idle
                }
            }
        };
    }

    fn look_at(&mut self, number: usize, look: &Look) {
        let desired = self.desired(number);
        let mut reach = reach(desired, Some(&self.remembered[number]));
        let groups = desired.target_groups();
        let mut ports: BTreeSet<u16> = groups
            .flat_map(|group| group.backend_ports.iter().copied())
            .collect();
        if let Some(under_way) = look.under_way.get(&group(number)) {
            reach.join(under_way);
            ports.extend(under_way.all_ports());
        }
        let share = Share {
            needed: reach.ports(&facts(), &settings()),
            ports,
            ..Share::default()
        };
        self.union.set(&group(number), Some(share));
    }

    /// What requests or health checks of each group come to.
    fn needed(&self) -> BTreeSet<(usize, Arn, u16)> {
        let mut needed = BTreeSet::new();
        for (number, observed) in self.aws.iter().enumerate() {
            let mut lbs = observed.load_balancers.iter();
            if !lbs.any(|lb| lb.spec.security_groups.contains(&SecurityGroupRef::Backend)) {
                continue;
            }
            for live in &observed.target_groups {
                let ports = live.targets.iter().map(|target| target.port);
                let asked = live.spec.health_check.port.parse().ok();
                let asked = asked.filter(|_| !live.targets.is_empty());
                let all = ports.chain(asked);
                needed.extend(all.map(|port| (number, live.arn.clone(), port)));
            }
        }
        needed
    }

    fn edit(&mut self, number: usize, wish: usize) {
        self.wishes[number] = wish;
        let gives = |(_, annotation): &(u16, &str)| annotation.starts_with("security-groups");
        self.given[number] |= WISHES.get(wish).is_some_and(gives);
    }

    /// Requests are sent only to where they come, and come there as long as
    /// they are sent.
    fn check(&mut self) -> Result<(), TestCaseError> {
        let needed = self.needed();
        let mut served = BTreeSet::new();
        for one in needed {
            let (number, arn, port) = &one;
            if self.is_open(*port) {
                served.insert(one);
                continue;
            }
            prop_assert!(self.given[*number], "{arn} of {number} is asked at {port}");
            let was_served = self.served.contains(&one);
            prop_assert!(!was_served, "{port} is closed, and {arn} is asked there");
        }
        self.served = served;
        Ok(())
    }

    /// Whether nobody has anything left to do.
    fn has_settled(&self) -> bool {
        let desired = self.union.desired(&Snapshot::default(), &settings());
        let is_done = |number: usize| {
            let observed = &self.remembered[number];
            let cx = self.context();
            self.runs[number].is_none() && diff(self.desired(number), observed, &cx).is_empty()
        };
        self.access.look(self.runs_at).others.is_empty()
            && diff_backend(&desired, &self.rules).is_empty()
            && (0..GROUPS).all(is_done)
    }

    fn context(&self) -> PlanContext {
        PlanContext {
            backend: self.backend_id(),
            open_ports: self.access.ready().ports,
            limits: Limits::default(),
            records_go_first: false,
        }
    }

    /// Lets all come to rest.
    fn rest(&mut self) -> Result<(), TestCaseError> {
        // Each waits for the other a few times.
        for _ in 0..40 {
            for number in 0..GROUPS {
                for _ in 0..30 {
                    self.run(number, 0);
                    self.check()?;
                }
            }
            for _ in 0..12 {
                self.back();
                self.check()?;
            }
            if self.has_settled() {
                break;
            }
        }
        prop_assert!(self.has_settled());
        let wished = |number: usize| self.desired(number).target_groups();
        let carried = (0..GROUPS).flat_map(wished);
        let mut ports: BTreeSet<u16> = BTreeSet::new();
        for group in carried {
            ports.extend(&group.backend_ports);
        }
        let rules = self.rules.rules.get(PODS).into_iter().flatten();
        let open: Vec<(u16, u16)> = rules.filter_map(|rule| rule.ports).collect();
        let range = ports.first().copied().zip(ports.last().copied());
        prop_assert_eq!(open, range.into_iter().collect::<Vec<_>>());
        Ok(())
    }
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Event {
    Edit(usize, usize),
    Run(usize, usize),
    Backend,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => (0..GROUPS, 0..=WISHES.len()).prop_map(|(number, wish)| Event::Edit(number, wish)),
        8 => (0..GROUPS, 0..4_usize).prop_map(|(number, choice)| Event::Run(number, choice)),
        8 => Just(Event::Backend),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_port_is_closed_that_requests_go_to_however_fast_edits_come(
        events in prop::collection::vec(event(), 1..250)
    ) {
        let mut world = World::new();
        for event in events {
            match event {
                Event::Edit(number, wish) => world.edit(number, wish),
                Event::Run(number, choice) => world.run(number, choice),
                Event::Backend => world.back(),
            }
            world.check()?;
        }
        world.rest()?;
    }
}

#[test]
fn who_looks_is_told_when_what_it_saw_has_ended_or_the_last_unread_group_is_read() {
    let access = Access::default();
    let run = |number: usize| access.begin(&group(number), Reach::default());
    run(0);
    assert!(!access.end(&group(0), false), "nobody has seen it");
    assert!(access.look(0).others.is_empty(), "it left nothing behind");
    run(0);
    assert!(!access.end(&group(0), true));
    let look = access.look(0);
    assert_eq!(look.others, [group(0)].into());
    assert!(access.close(look.at, BackendReady::default()));
    run(1);
    assert!(!access.close(look.at, BackendReady::default()));
    let look = access.look(look.at);
    assert_eq!(look.others, [group(1)].into());
    assert!(look.under_way.contains_key(&group(1)));
    assert!(
        access.end(&group(1), false),
        "somebody keeps its ports open"
    );
    assert!(!access.close(look.at, BackendReady::default()));

    let look = access.look(look.at);
    access.noted(look.at, &[group(0), group(1)].into());
    let is_last = [0, 1, 1].map(|number| {
        run(number);
        access.end(&group(number), false)
    });
    assert_eq!(is_last, [false, true, false]);
}
