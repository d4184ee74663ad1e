//! Cases as folders: what is in the cluster, and the plan that follows.
//!
//! `tests/cases/NAME/cluster.yaml` is applied to an empty cluster that has
//! `tests/cases/world.yaml`; `plan.txt` is what is then planned for each load
//! balancer group, for the shared security group and for the records. It is
//! carried out on paper; what is left to plan must be nothing. Then comes
//! `cluster-2.yaml` with `plan-2.txt`, and so on: its objects replace those of
//! the same name, a line `# delete: Ingress shop/web` deletes one as kubectl
//! does, and `verdicts-2.txt` has what AWS is to have refused, a line each:
//! `shop/web | certificate-arn | arn:… | CertificateNotFound | message`.
//!
//! `UPDATE_CASES=1 cargo test --test it cases` writes the expected texts anew;
//! read the diff before committing it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use alb_ingress_controller::model::backend::ObservedBackend;
use alb_ingress_controller::model::backend_build::{
    Endpoints, build_backend, endpoints, group_ports,
};
use alb_ingress_controller::model::build;
use alb_ingress_controller::model::desired::{Desired, Intent};
use alb_ingress_controller::model::facts::{Facts, KnownSecurityGroup, Subnet};
use alb_ingress_controller::model::finding::{Finding, Verdict};
use alb_ingress_controller::model::group::GroupId;
use alb_ingress_controller::model::limits::Limits;
use alb_ingress_controller::model::membership::{self, Membership};
use alb_ingress_controller::model::records::{AliasTarget, ObservedRecords, Place, Zone};
use alb_ingress_controller::model::records_build::{
    RecordSources, build_records, host_rules, live_hosts,
};
use alb_ingress_controller::model::settings::{DnsSettings, Settings};
use alb_ingress_controller::model::snapshot::{Snapshot, snapshot_from_yaml};
use alb_ingress_controller::model::spec::{Arn, ObjectName, Tags};
use alb_ingress_controller::plan::backend::{diff_backend, effect_backend};
use alb_ingress_controller::plan::dns::{DnsContext, DnsPlan, diff_records, effect_records};
use alb_ingress_controller::plan::effect::Made;
use alb_ingress_controller::plan::{PlanContext, current, diff};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::paper_aws::PaperAws;

/// Everything outside the controller, on paper.
struct World {
    settings: Settings,
    snapshot: Snapshot,
    facts: Facts,
    groups: BTreeMap<GroupId, PaperAws>,
    backend: ObservedBackend,
    records: ObservedRecords,
}

fn subnet(id: &str, zone: &str, role: &str) -> Subnet {
    Subnet {
        id: id.to_owned(),
        availability_zone: zone.to_owned(),
        locale: "availability-zone".to_owned(),
        available_addresses: 4000,
        routed_to_internet: role == "elb",
        tags: Tags::from([
            (format!("kubernetes.io/role/{role}"), "1".to_owned()),
            (
                "Name".to_owned(),
                id.trim_start_matches("subnet-").to_owned(),
            ),
        ]),
    }
}

fn facts() -> Facts {
    let security_group = |name: &str| KnownSecurityGroup {
        name: name.to_owned(),
        tags: Tags::from([("Name".to_owned(), name.to_owned())]),
    };
    let on_nodes = || BTreeSet::from(["sg-nodes".to_owned()]);
    Facts {
        vpc_cidrs: vec!["10.0.0.0/16".parse().unwrap()],
        subnets: vec![
            subnet("subnet-public-a", "us-west-2a", "elb"),
            subnet("subnet-public-b", "us-west-2b", "elb"),
            subnet("subnet-private-a", "us-west-2a", "internal-elb"),
            subnet("subnet-private-b", "us-west-2b", "internal-elb"),
        ],
        security_groups: [("sg-nodes", "nodes"), ("sg-edge", "edge")]
            .map(|(id, name)| (id.to_owned(), security_group(name)))
            .into_iter()
            .collect(),
        instance_security_groups: ["i-a", "i-b"].map(|id| (id.to_owned(), on_nodes())).into(),
        pod_security_groups: (1..20)
            .map(|n| (format!("10.0.48.{n}"), on_nodes()))
            .collect(),
        verdicts: Vec::new(),
    }
}

impl World {
    fn new(manifests: &str) -> Self {
        let mut settings = Settings::new("harbor", "vpc-1");
        settings.dns = Some(DnsSettings::default());
        Self {
            settings,
            snapshot: snapshot_from_yaml(manifests).unwrap(),
            facts: facts(),
            groups: BTreeMap::new(),
            backend: ObservedBackend::default(),
            records: ObservedRecords::new(),
        }
    }

    /// Takes manifests in, as `kubectl apply` and `kubectl delete` would.
    fn apply(&mut self, manifests: &str) {
        let new = snapshot_from_yaml(manifests).unwrap();
        for (name, ingress) in new.ingresses {
            let mut ingress = (*ingress).clone();
            if let Some(old) = self.snapshot.ingresses.get(&name) {
                ingress
                    .metadata
                    .finalizers
                    .clone_from(&old.metadata.finalizers);
            }
            self.snapshot.ingresses.insert(name, Arc::new(ingress));
        }
        self.snapshot.ingress_classes.extend(new.ingress_classes);
        self.snapshot.services.extend(new.services);
        self.snapshot.endpoint_slices.extend(new.endpoint_slices);
        self.snapshot.pods.extend(new.pods);
        self.snapshot.nodes.extend(new.nodes);
        self.snapshot
            .target_group_bindings
            .extend(new.target_group_bindings);
        for line in manifests.lines() {
            let Some(what) = line.strip_prefix("# delete: ") else {
                continue;
            };
            let (kind, name) = what.split_once(' ').expect("kind and name");
            let (namespace, name) = name.split_once('/').expect("namespace/name");
            let name = ObjectName::new(namespace, name);
            match kind {
                "Ingress" => {
                    let old = self.snapshot.ingresses.get_mut(&name).expect("to delete");
                    let time: Time = serde_json::from_str("\"2026-01-02T00:00:00Z\"").unwrap();
                    Arc::make_mut(old).metadata.deletion_timestamp = Some(time);
                }
                "Service" => drop(self.snapshot.services.remove(&name)),
                other => panic!("cannot delete a {other}"),
            }
        }
    }

    fn context(&self, members: &[ObjectName]) -> PlanContext {
        let limits = Limits::said(members, &self.facts.verdicts);
        PlanContext {
            backend: self.backend.group.as_ref().map(|live| live.arn.to_string()),
            open_ports: self
                .backend
                .rules
                .values()
                .flatten()
                .filter_map(|permission| permission.ports)
                .flat_map(|(from, to)| from..=to)
                .collect(),
            limits,
            records_go_first: false,
        }
    }

    fn membership(&self) -> Membership {
        membership::groups(&self.snapshot, &self.settings)
    }

    /// What is desired for each group that has Ingresses or anything in AWS.
    fn desired(&self) -> Vec<Desired> {
        let members = self.membership().groups;
        let ids: BTreeSet<&GroupId> = members.keys().chain(self.groups.keys()).collect();
        ids.into_iter()
            .map(|id| build(id, &self.snapshot, &self.facts, &self.settings))
            .collect()
    }

    /// Plans everything, carries it out, and says what was planned.
    fn step(&mut self) -> String {
        let mut text = String::new();
        let all = self.desired();
        self.claim(&all);
        for desired in &all {
            self.group(desired, &mut text);
        }
        self.shared(&all, &mut text);
        // A host that moves to another zone goes into the new one, then from
        // the old.
        for title in ["records", "records, then"] {
            let (plan, findings) = self.plan_records(&all);
            let is_first = title == "records";
            if is_first || !plan.is_empty() {
                section(title, &findings, &plan.to_string(), &mut text);
            }
            for change in &plan.changes {
                let records = self.records.entry(change.place.clone());
                effect_records(change, records.or_default());
            }
        }
        assert!(self.plan_records(&all).0.is_empty(), "{text}");
        self.release(&all);
        for desired in self.desired() {
            let aws = self.groups.entry(desired.group.clone()).or_default();
            let cx = PlanContext {
                backend: self.backend.group.as_ref().map(|live| live.arn.to_string()),
                limits: Limits::said(&desired.members, &self.facts.verdicts),
                ..PlanContext::default()
            };
            let left = diff(&desired, &aws.observed, &cx);
            assert!(left.is_empty(), "{text}\nbut then\n{left}");
        }
        text
    }

    fn group(&mut self, desired: &Desired, text: &mut String) {
        let cx = self.context(&desired.members);
        let aws = self.groups.entry(desired.group.clone()).or_default();
        let plan = diff(desired, &aws.observed, &cx);
        let mut findings = desired.findings.clone();
        if aws.observed.load_balancers.is_empty() {
            findings.extend(desired.blocks_creation.clone());
        }
        let title = format!("group {}", desired.group);
        section(&title, &findings, &plan.to_string(), text);
        aws.run(&plan).unwrap();
    }

    fn shared(&mut self, all: &[Desired], text: &mut String) {
        let observed = |desired: &Desired| {
            let aws = self.groups.get(&desired.group);
            aws.map(|aws| &aws.observed)
        };
        // Read is only what is asked for.
        let asked: Vec<Endpoints> = all.iter().map(|d| endpoints(d, observed(d))).collect();
        let mut facts = self.facts.clone();
        let is_asked = |id: &String| asked.iter().any(|asked| asked.instances.contains(id));
        facts.instance_security_groups.retain(|id, _| is_asked(id));
        let is_asked = |id: &String| asked.iter().any(|asked| asked.addresses.contains(id));
        facts.pod_security_groups.retain(|id, _| is_asked(id));
        let ports: Vec<_> = all
            .iter()
            .map(|desired| group_ports(desired, observed(desired), &facts, &self.settings))
            .collect();
        let desired = build_backend(&ports, &self.snapshot, &self.settings);
        let plan = diff_backend(&desired, &self.backend);
        section("shared security group", &[], &plan.to_string(), text);
        let made = Made {
            arn: Some(Arn::from("sg-shared")),
            ..Made::default()
        };
        for planned in &plan.steps {
            effect_backend(&planned.step, &made, &mut self.backend);
        }
        assert!(diff_backend(&desired, &self.backend).is_empty());
    }

    fn plan_records(&mut self, all: &[Desired]) -> (DnsPlan, Vec<Finding>) {
        let serving = |desired: &Desired| {
            let live = current(desired, &self.groups[&desired.group].observed)?;
            Some((desired.group.clone(), live))
        };
        let served: BTreeMap<_, _> = all.iter().filter_map(serving).collect();
        let targets = served
            .iter()
            .map(|(group, live)| {
                let target = AliasTarget {
                    dns_name: live.dns_name.clone(),
                    hosted_zone_id: live.hosted_zone_id.clone(),
                };
                (group.clone(), target)
            })
            .collect();
        let rules = all
            .iter()
            .map(|desired| {
                let live = served.get(&desired.group).copied();
                (desired.group.clone(), host_rules(desired, live))
            })
            .collect();
        let schemes = served
            .iter()
            .map(|(group, live)| (group.clone(), live.spec.scheme))
            .collect();
        let zone = |id: &str, private_vpcs| Zone {
            id: id.to_owned(),
            name: "example".to_owned(),
            private_vpcs,
        };
        let zones = [
            zone("ZPUBLIC", None),
            zone("ZPRIVATE", Some(vec!["vpc-1".to_owned()])),
        ];
        let frozen = all.iter().flat_map(|d| d.frozen.clone()).collect();
        let live_hosts = all
            .iter()
            .filter(|d| !d.frozen.is_empty())
            .map(|d| (d.group.clone(), live_hosts(&self.groups[&d.group].observed)))
            .collect();
        let (desired, unmet) = build_records(
            &self.snapshot,
            &self.membership(),
            &self.settings,
            RecordSources {
                zones: &zones,
                targets: &targets,
                rules: &rules,
                successors: &BTreeMap::new(),
                schemes: &schemes,
                frozen: &frozen,
                live_hosts: &live_hosts,
            },
        );
        for (host, claims) in &desired {
            for zone in claims.iter().filter_map(|claim| claim.zone.as_ref()) {
                self.records.entry(Place::new(host, zone)).or_default();
            }
        }
        let cx = DnsContext {
            cluster: self.settings.cluster_name.clone(),
            cluster_uid: None,
            groups: all.iter().map(|d| d.group.clone()).collect(),
            sees_all: true,
            spreading: BTreeSet::new(),
        };
        let plan = diff_records(&desired, &self.records, &cx);
        let mut unmet: Vec<Finding> = unmet.into_values().flatten().collect();
        unmet.sort();
        let findings = plan.findings.values().flatten().cloned();
        let findings = findings.chain(unmet).collect();
        (plan, findings)
    }

    /// Writes the finalizers of members, as the controller does before it
    /// makes anything.
    fn claim(&mut self, all: &[Desired]) {
        for desired in all {
            if matches!(desired.intent, Intent::LeaveAlone) {
                continue;
            }
            for member in &desired.members {
                let ingress = self.snapshot.ingresses.get_mut(member).unwrap();
                let metadata = &mut Arc::make_mut(ingress).metadata;
                let finalizers = metadata.finalizers.get_or_insert_default();
                let finalizer = desired.group.finalizer();
                if !finalizers.contains(&finalizer) {
                    finalizers.push(finalizer);
                }
            }
        }
    }

    /// Takes the finalizers of leavers away, and with the last one the
    /// Ingress.
    fn release(&mut self, all: &[Desired]) {
        for desired in all {
            if matches!(desired.intent, Intent::LeaveAlone) {
                continue;
            }
            for leaver in &desired.leavers {
                let ingress = self.snapshot.ingresses.get_mut(&leaver.ingress).unwrap();
                let metadata = &mut Arc::make_mut(ingress).metadata;
                let finalizers = metadata.finalizers.get_or_insert_default();
                finalizers.retain(|f| *f != desired.group.finalizer());
                if finalizers.is_empty() && leaver.deleted {
                    self.snapshot.ingresses.remove(&leaver.ingress);
                }
            }
        }
    }
}

/// Adds a part of the text; a part in which there is nothing to say is left
/// out.
fn section(title: &str, findings: &[Finding], plan: &str, text: &mut String) {
    if findings.is_empty() && plan.is_empty() {
        return;
    }
    if !text.is_empty() {
        text.push('\n');
    }
    writeln!(text, "{title}").unwrap();
    for finding in findings {
        writeln!(text, "! ({:?}) {finding}", finding.effect).unwrap();
    }
    text.push_str(plan);
}

fn verdicts(text: &str) -> Vec<Verdict> {
    text.lines()
        .map(|line| {
            let parts: Vec<&str> = line.split(" | ").collect();
            let [ingress, subject, value, code, message] = parts[..] else {
                panic!("five parts: {line}");
            };
            let (namespace, name) = ingress.split_once('/').expect("namespace/name");
            Verdict {
                ingress: ObjectName::new(namespace, name),
                subject: subject.to_owned(),
                value: value.to_owned(),
                code: code.to_owned(),
                message: message.to_owned(),
            }
        })
        .collect()
}

/// Runs a case; says where it differs.
fn run(case: &Path, world: &str) -> Vec<String> {
    let mut differences = Vec::new();
    let mut paper = World::new(world);
    for number in 1.. {
        let suffix = if number == 1 {
            String::new()
        } else {
            format!("-{number}")
        };
        let Ok(manifests) = fs::read_to_string(case.join(format!("cluster{suffix}.yaml"))) else {
            assert!(number > 1, "{} has no cluster.yaml", case.display());
            break;
        };
        paper.apply(&manifests);
        if let Ok(text) = fs::read_to_string(case.join(format!("verdicts{suffix}.txt"))) {
            paper.facts.verdicts = verdicts(&text);
        }
        let planned = paper.step();
        let file = case.join(format!("plan{suffix}.txt"));
        if std::env::var_os("UPDATE_CASES").is_some() {
            fs::write(&file, &planned).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if planned != expected {
            differences.push(format!(
                "{}\n--- expected\n{expected}--- planned\n{planned}",
                file.display()
            ));
        }
    }
    differences
}

#[test]
fn every_case_plans_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let world = fs::read_to_string(folder.join("world.yaml")).unwrap();
    let mut cases: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    assert!(cases.len() >= 15, "{} cases only", cases.len());
    let differences: Vec<String> = cases.iter().flat_map(|case| run(case, &world)).collect();
    assert!(
        differences.is_empty(),
        "{} of the expected texts differ (UPDATE_CASES=1 writes them anew):\n\n{}",
        differences.len(),
        differences.join("\n\n")
    );
}
