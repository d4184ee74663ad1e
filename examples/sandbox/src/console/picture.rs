//! From what Kubernetes and AWS hold to the picture of it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use alb_ingress_controller::model::ownership::{
    CLUSTER_TAG, RESOURCE_TAG, STACK_TAG, TxtOwner, record_owner, txt_name,
};
use alb_ingress_controller::report::{IngressGroup, IngressGroupStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1 as networking;
use sandbox_aws::resources::{
    LoadBalancerView, RecordView, Resources, RuleView, TargetGroupView, TargetView, ZoneView,
};

use super::model::{
    Controller, Finding, Group, Ingress, Listener, LoadBalancer, Path, Picture, Record, Rule,
    Target, TargetGroup, Weight,
};
use super::objects::Objects;
use super::words;
use crate::controller::NAME;

/// The controller whose IngressClasses are about load balancers.
const CONTROLLER: &str = "ingress.k8s.aws/alb";
/// Prefix of annotations that the controller reads.
const PREFIX: &str = "alb.ingress.kubernetes.io/";
/// The annotation that came before `ingressClassName`.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
/// The annotation of a class that counts where none is named.
const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";
/// The label of an EndpointSlice that names its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";
/// What kubectl keeps in an annotation is not for people.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Where the picture is taken.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// Name of the cluster; empty where it is not known.
    pub cluster: String,
    /// Region of the account.
    pub region: String,
    /// Port of the gateway for browsers, if there is one.
    pub gateway: Option<u16>,
}

impl Place {
    /// Whether tags say nothing of another cluster. Where it is not known which
    /// one it is, all of them count.
    fn has(&self, tags: &BTreeMap<String, String>) -> bool {
        let cluster = tags.get(CLUSTER_TAG);
        self.cluster.is_empty() || cluster.is_none_or(|it| *it == self.cluster)
    }
}

/// Draws the picture.
pub fn draw(place: &Place, objects: &Objects, resources: &Resources) -> Picture {
    let drawing = Drawing::new(place, objects, resources);
    let records = drawing.records();
    let groups = drawing.keys.iter().map(|key| drawing.group(key, &records));
    Picture {
        cluster: place.cluster.clone(),
        region: place.region.clone(),
        controller: controller(objects),
        groups: groups.collect(),
        loose: drawing.loose(),
        records,
    }
}

/// The Pod at an address, among those that are not over.
pub fn pods_by_address(objects: &Objects) -> BTreeMap<&str, &str> {
    let mut pods = BTreeMap::new();
    for (name, pod) in &objects.pods {
        let status = pod.status.as_ref();
        let over = status
            .and_then(|status| status.phase.as_deref())
            .is_some_and(|phase| matches!(phase, "Succeeded" | "Failed"));
        if let Some(address) = status.and_then(|status| status.pod_ip.as_deref())
            && !over
        {
            pods.insert(address, name.as_str());
        }
    }
    pods
}

/// The Service, as `namespace/name`, that each Pod is an endpoint of.
pub fn services_of_pods(objects: &Objects) -> BTreeMap<String, String> {
    let mut services = BTreeMap::new();
    for slice in objects.slices.values() {
        let labels = slice.metadata.labels.as_ref();
        let service = labels.and_then(|labels| labels.get(SERVICE_LABEL));
        let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
        let Some(service) = service else {
            continue;
        };
        let pods = slice
            .endpoints
            .iter()
            .filter_map(|it| it.target_ref.as_ref());
        for pod in pods.filter_map(|pod| pod.name.as_deref()) {
            services.insert(
                format!("{namespace}/{pod}"),
                format!("{namespace}/{service}"),
            );
        }
    }
    services
}

/// The Pods of the controller, and which one its Lease names.
fn controller(objects: &Objects) -> Controller {
    let prefix = format!("{NAME}/");
    let pods = objects.pods.keys().filter(|name| name.starts_with(&prefix));
    let pods: Vec<String> = pods.cloned().collect();
    let leases = objects.leases.values();
    let holders = leases.filter_map(|lease| lease.spec.as_ref()?.holder_identity.as_deref());
    let names = pods.iter().filter_map(|name| name.strip_prefix(&prefix));
    let leads = |name: &str| holders.clone().any(|holder| holder.contains(name));
    Controller {
        present: !pods.is_empty(),
        leader: names
            .into_iter()
            .find(|name| leads(name))
            .map(str::to_owned),
        pods,
    }
}

/// What is looked up again and again.
struct Drawing<'a> {
    place: &'a Place,
    objects: &'a Objects,
    resources: &'a Resources,
    /// Keys of all groups.
    keys: BTreeSet<String>,
    /// Group of each Ingress that has one.
    members: BTreeMap<&'a str, String>,
    statuses: BTreeMap<&'a str, &'a IngressGroup>,
    pods: BTreeMap<&'a str, &'a str>,
    /// Target groups by ARN.
    target_groups: BTreeMap<&'a str, &'a TargetGroupView>,
    /// Service and Ingress of a target group, by ARN.
    origins: BTreeMap<&'a str, Origin<'a>>,
}

/// What a target group was made for.
struct Origin<'a> {
    ingress: &'a str,
    service: String,
}

impl<'a> Drawing<'a> {
    fn new(place: &'a Place, objects: &'a Objects, resources: &'a Resources) -> Self {
        let statuses: BTreeMap<&str, &IngressGroup> = objects
            .groups
            .values()
            .map(|group| (group.spec.group.as_str(), group))
            .collect();
        let mut members: BTreeMap<&str, String> = objects
            .ingresses
            .iter()
            .filter_map(|(name, ingress)| Some((name.as_str(), group_of(name, ingress, objects)?)))
            .collect();
        for group in objects.groups.values() {
            let Some(status) = &group.status else {
                continue;
            };
            for member in status.members.iter().chain(&status.leaving) {
                if objects.ingresses.contains_key(member) {
                    members.insert(member, group.spec.group.clone());
                }
            }
        }
        let mut keys: BTreeSet<String> = members.values().cloned().collect();
        keys.extend(statuses.keys().map(|key| (*key).to_owned()));
        let ours = |tags: &&BTreeMap<String, String>| place.has(tags);
        let balancers = resources.load_balancers.iter().map(|it| &it.tags);
        let stacks = balancers
            .filter(ours)
            .filter_map(|tags| tags.get(STACK_TAG));
        keys.extend(stacks.cloned());
        let target_groups: BTreeMap<&str, &TargetGroupView> = resources
            .target_groups
            .iter()
            .map(|group| (group.arn.as_str(), group))
            .collect();
        let origins = resources
            .target_groups
            .iter()
            .filter_map(|group| Some((group.arn.as_str(), origin(group, objects)?)))
            .collect();
        Self {
            place,
            objects,
            resources,
            keys,
            members,
            statuses,
            pods: pods_by_address(objects),
            target_groups,
            origins,
        }
    }

    fn group(&self, key: &str, records: &[Record]) -> Group {
        let status = self.statuses.get(key).and_then(|it| it.status.as_ref());
        let balancer = self.balancer(key, status);
        let state = match (status, balancer) {
            (Some(status), _) if !status.state.is_empty() => status.state.clone(),
            (_, Some(balancer)) if balancer.state == "active" => "Serving".to_owned(),
            (_, Some(_)) => "Waiting".to_owned(),
            (_, None) => "Unserved".to_owned(),
        };
        let members = self.members.iter().filter(|(_, group)| *group == key);
        let mut names: Vec<&str> = members.map(|(name, _)| *name).collect();
        if let Some(status) = status {
            // In the order of their rules.
            let place = |name: &&str| status.members.iter().position(|it| it == *name);
            names.sort_by_key(|name| place(name).unwrap_or(usize::MAX));
        }
        let findings: Vec<Finding> = status.map(findings).unwrap_or_default();
        let ingresses = names.into_iter().filter_map(|name| {
            let ingress = self.objects.ingresses.get(name)?;
            Some(self.ingress(name, ingress, balancer, &findings))
        });
        let mut waiting = status.map(|it| it.waiting_for.clone()).unwrap_or_default();
        let unsettled = status.map(|it| it.records.as_slice()).unwrap_or_default();
        let unsettled = unsettled.iter().filter(|it| it.state != "in sync");
        waiting.extend(unsettled.map(|it| format!("the record of {}: {}", it.host, it.state)));
        let of_group = records.iter().filter(|it| it.group.as_deref() == Some(key));
        Group {
            key: key.to_owned(),
            explicit: !key.contains('/'),
            state_text: words::group_state(&state).to_owned(),
            state,
            ingresses: ingresses.collect(),
            load_balancer: balancer.map(|it| self.load_balancer(key, it)),
            findings,
            failures: status.map(|it| it.failures.clone()).unwrap_or_default(),
            waiting_for: waiting,
            records: of_group.cloned().collect(),
        }
    }

    /// The load balancer of a group; of two, the one that its status names.
    fn balancer(
        &self,
        key: &str,
        status: Option<&IngressGroupStatus>,
    ) -> Option<&'a LoadBalancerView> {
        let all = self.resources.load_balancers.iter();
        let mut of_group = all.filter(|it| self.is_of(&it.tags, key));
        let named = status.and_then(|it| it.dns_name.as_deref());
        let is_named = |it: &&LoadBalancerView| {
            named.is_some_and(|name| it.dns_name.eq_ignore_ascii_case(name))
        };
        of_group.clone().find(is_named).or_else(|| of_group.next())
    }

    fn is_of(&self, tags: &BTreeMap<String, String>, key: &str) -> bool {
        tags.get(STACK_TAG).is_some_and(|stack| stack == key) && self.place.has(tags)
    }

    fn ingress(
        &self,
        name: &str,
        ingress: &networking::Ingress,
        balancer: Option<&LoadBalancerView>,
        findings: &[Finding],
    ) -> Ingress {
        let (namespace, short) = name.split_once('/').unwrap_or(("", name));
        let own: Vec<Finding> = findings
            .iter()
            .filter(|finding| finding.ingress == name)
            .cloned()
            .collect();
        let address = ingress
            .status
            .as_ref()
            .and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref()?.first())
            .and_then(|entry| entry.hostname.clone().or_else(|| entry.ip.clone()));
        let deleting = ingress.metadata.deletion_timestamp.is_some();
        let paths = paths(ingress);
        let mut hosts: Vec<String> = Vec::new();
        for path in paths.iter().filter(|path| !path.host.is_empty()) {
            if !hosts.contains(&path.host) {
                hosts.push(path.host.clone());
            }
        }
        let (served, served_text) = served(
            address.as_deref(),
            balancer,
            &own,
            deleting,
            self.has_controller(),
        );
        let mut annotations = ingress.metadata.annotations.clone().unwrap_or_default();
        annotations.remove(LAST_APPLIED);
        Ingress {
            namespace: namespace.to_owned(),
            name: short.to_owned(),
            class: class_of(ingress, self.objects).map(str::to_owned),
            hosts,
            paths,
            served,
            served_text,
            findings: own,
            address,
            deleting,
            annotations,
        }
    }

    /// Whether a controller has written anything yet.
    fn has_controller(&self) -> bool {
        !self.statuses.is_empty() || !self.resources.load_balancers.is_empty()
    }

    fn loose(&self) -> Vec<Ingress> {
        let ingresses = self.objects.ingresses.iter();
        let loose = ingresses.filter(|(name, _)| !self.members.contains_key(name.as_str()));
        loose
            .map(|(name, ingress)| {
                let class = class_of(ingress, self.objects);
                let mut drawn = self.ingress(name, ingress, None, &[]);
                drawn.served = false;
                drawn.served_text = match class {
                    None => "Not served: it names no IngressClass, and no class is the default. \
                             Set spec.ingressClassName to alb."
                        .to_owned(),
                    Some(class) if !self.objects.classes.contains_key(class) => format!(
                        "Not served: there is no IngressClass {class}. Create it, or name another."
                    ),
                    Some(class) => format!(
                        "Not served here: its IngressClass {class} is another controller's."
                    ),
                };
                drawn
            })
            .collect()
    }

    fn load_balancer(&self, key: &str, balancer: &LoadBalancerView) -> LoadBalancer {
        let listeners = balancer.listeners.iter().map(|listener| Listener {
            arn: listener.arn.clone(),
            protocol: listener.protocol.clone(),
            port: listener.port,
            certificates: listener.certificates.clone(),
            rules: listener
                .rules
                .iter()
                .map(|rule| self.rule(key, rule))
                .collect(),
        });
        let led_to = |group: &TargetGroupView| group.load_balancers.contains(&balancer.arn);
        let groups = self.resources.target_groups.iter();
        let groups = groups.filter(|group| self.is_of(&group.tags, key) || led_to(group));
        let named = |id: &String| {
            let mut groups = self.resources.security_groups.iter();
            match groups.find(|group| group.id == *id) {
                Some(group) => format!("{id} ({})", group.name),
                None => id.clone(),
            }
        };
        LoadBalancer {
            arn: balancer.arn.clone(),
            name: balancer.name.clone(),
            dns_name: balancer.dns_name.clone(),
            state: balancer.state.clone(),
            scheme: balancer.scheme.clone(),
            kind: balancer.kind.clone(),
            security_groups: balancer.security_groups.iter().map(named).collect(),
            url: self.url(balancer),
            listeners: listeners.collect(),
            target_groups: groups.map(|group| self.target_group(group)).collect(),
        }
    }

    /// By the gateway, under the first name that leads to it.
    fn url(&self, balancer: &LoadBalancerView) -> Option<String> {
        let port = self.place.gateway?;
        let zones = self.resources.zones.iter();
        let mut records = zones.flat_map(|zone| &zone.records);
        let record = records.find(|record| {
            record.kind == "A" && leads_to(record, balancer) && !record.name.contains('*')
        });
        let host = record.map_or(balancer.dns_name.as_str(), |record| bare(&record.name));
        Some(format!("http://{host}.localhost:{port}/"))
    }

    fn rule(&self, key: &str, rule: &RuleView) -> Rule {
        let forwards = rule.actions.iter().flat_map(|it| &it.target_groups);
        let weights: Vec<Weight> = forwards
            .map(|group| Weight {
                arn: group.arn.clone(),
                weight: group.weight,
            })
            .collect();
        let by_target_group = weights
            .iter()
            .find_map(|group| Some(self.origins.get(group.arn.as_str())?.ingress));
        let ingress = by_target_group.or_else(|| self.only_ingress_of(key, rule));
        Rule {
            arn: rule.arn.clone(),
            priority: rule.priority.clone(),
            conditions: rule.conditions.iter().map(words::condition).collect(),
            action: words::actions(&rule.actions, |arn| self.called(arn)),
            target_groups: weights,
            ingress: ingress.map(str::to_owned),
        }
    }

    /// The Ingress of a rule that forwards nowhere: the only one of the group
    /// that has its hosts.
    fn only_ingress_of(&self, key: &str, rule: &RuleView) -> Option<&'a str> {
        let hosts = rule
            .conditions
            .iter()
            .find(|condition| condition.field == "host-header")?;
        let members = self.members.iter().filter(|(_, group)| *group == key);
        let mut having = members.filter(|(name, _)| {
            let ingress = self.objects.ingresses.get(**name);
            let paths = ingress.map(paths).unwrap_or_default();
            paths.iter().any(|path| hosts.values.contains(&path.host))
        });
        let (name, _) = having.next()?;
        having.next().is_none().then_some(*name)
    }

    /// A target group by its name and its Service.
    fn called(&self, arn: &str) -> String {
        let name = self.target_groups.get(arn).map(|group| &group.name);
        let name = name.map_or_else(|| arn.to_owned(), Clone::clone);
        match self.origins.get(arn) {
            Some(origin) => format!("{name} (Service {})", origin.service),
            None => name,
        }
    }

    fn target_group(&self, group: &TargetGroupView) -> TargetGroup {
        let mut counts = BTreeMap::new();
        for target in &group.targets {
            *counts.entry(target.health.clone()).or_default() += 1;
        }
        let protocol = [&group.protocol, &group.protocol_version];
        let protocol: Vec<&str> = protocol.into_iter().flatten().map(String::as_str).collect();
        let origin = self.origins.get(group.arn.as_str());
        TargetGroup {
            arn: group.arn.clone(),
            name: group.name.clone(),
            service: origin.map(|origin| origin.service.clone()),
            target_type: group.target_type.clone(),
            protocol: protocol.join(" "),
            port: group.port,
            health_check: words::health_check(&group.health_check),
            counts,
            targets: group
                .targets
                .iter()
                .map(|target| self.target(group, target))
                .collect(),
        }
    }

    fn target(&self, group: &TargetGroupView, target: &TargetView) -> Target {
        let name = self.pods.get(target.id.as_str()).copied();
        let pod = name.and_then(|name| self.objects.pods.get(name));
        let on = |pod: &Pod| pod.spec.as_ref()?.node_name.clone();
        let node = self.resources.instances.get(&target.id).cloned();
        Target {
            id: target.id.clone(),
            port: target.port,
            zone: target.zone.clone(),
            health: target.health.clone(),
            reason: target.reason.clone(),
            description: target.description.clone(),
            text: words::target(target, group, name),
            pod: name.map(str::to_owned),
            node: pod.and_then(on).or(node),
            container: pod.map(words::containers),
        }
    }

    fn records(&self) -> Vec<Record> {
        let zones = self.resources.zones.iter();
        zones
            .flat_map(|zone| zone.records.iter().map(move |record| (zone, record)))
            .filter(|(_, record)| record.kind != "TXT")
            .map(|(zone, record)| self.record(zone, record))
            .collect()
    }

    fn record(&self, zone: &ZoneView, record: &RecordView) -> Record {
        let host = bare(&record.name).replace("\\052", "*");
        let owner = owner(zone, &host);
        let ours = owner
            .as_ref()
            .is_some_and(|owner| owner.owner == record_owner(&self.place.cluster));
        let resource = owner.as_ref().and_then(|owner| owner.resource.as_deref());
        let group = resource.and_then(|it| {
            it.strip_prefix("ingressgroup/")
                .or_else(|| it.strip_prefix("ingress/"))
        });
        let mut balancers = self.resources.load_balancers.iter();
        let balancer = balancers.find(|balancer| leads_to(record, balancer));
        let stack = balancer.and_then(|balancer| balancer.tags.get(STACK_TAG));
        let group = group
            .or(stack.map(String::as_str))
            .filter(|key| self.keys.contains(*key));
        let mut members = self
            .members
            .iter()
            .filter(|(_, key)| Some(key.as_str()) == group);
        let ingress = members.find_map(|(name, _)| {
            let paths = paths(self.objects.ingresses.get(*name)?);
            let has = paths
                .iter()
                .any(|path| path.host.eq_ignore_ascii_case(&host));
            has.then(|| (*name).to_owned())
        });
        let value = match &record.alias {
            Some(alias) => bare(alias).to_owned(),
            None => record.values.join(", "),
        };
        let leads = match balancer {
            Some(balancer) => format!("leads to load balancer {}", balancer.name),
            None if record.alias.is_some() => {
                format!("leads to {value}, which is no load balancer here")
            }
            None => format!("leads to {value}"),
        };
        let whose = match (&owner, group) {
            (None, _) => {
                "nobody has marked it as theirs, so the controller leaves it alone".to_owned()
            }
            (Some(_), Some(group)) if ours => {
                format!("this cluster's controller owns it, for the group {group}")
            }
            (Some(owner), _) if ours => format!(
                "this cluster's controller owns it, for {}",
                owner.resource.as_deref().unwrap_or("no group that is here")
            ),
            (Some(owner), _) => format!(
                "{} owns it by its TXT record, so this cluster's controller leaves it alone",
                owner.owner
            ),
        };
        Record {
            zone: bare(&zone.name).to_owned(),
            name: host.clone(),
            kind: record.kind.clone(),
            value,
            owner: owner
                .as_ref()
                .map_or("nobody has marked it", |owner| &owner.owner)
                .to_owned(),
            ingress,
            group: group.map(str::to_owned),
            ours,
            text: format!("{host} {leads}; {whose}."),
        }
    }
}

/// Who a TXT record beside a name says that owns it: of this controller, or as
/// external-dns names such records.
fn owner(zone: &ZoneView, host: &str) -> Option<TxtOwner> {
    let names = [
        txt_name(host),
        format!("a-{host}"),
        format!("cname-{host}"),
        host.to_owned(),
    ];
    let texts = zone.records.iter().filter(|record| record.kind == "TXT");
    let owner_of = |name: &String| {
        let mut named = texts
            .clone()
            .filter(|record| bare(&record.name).replace("\\052", "*") == *name);
        named.find_map(|record| record.values.iter().find_map(|it| TxtOwner::parse(it)))
    };
    names.iter().find_map(owner_of)
}

fn leads_to(record: &RecordView, balancer: &LoadBalancerView) -> bool {
    let alias = record.alias.as_deref().map(bare);
    alias.is_some_and(|alias| {
        let alias = alias.strip_prefix("dualstack.").unwrap_or(alias);
        alias.eq_ignore_ascii_case(&balancer.dns_name)
    })
}

/// A name without the dot at its end.
fn bare(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

fn findings(status: &IngressGroupStatus) -> Vec<Finding> {
    let findings = status.findings.iter();
    let findings = findings.filter_map(|finding| serde_json::to_value(finding).ok());
    findings
        .map(|finding| {
            let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
            Finding {
                ingress: text("ingress"),
                reason: text("reason"),
                effect: text("effect"),
                message: text("message"),
            }
        })
        .collect()
}

/// Whether an Ingress is served, in a sentence.
fn served(
    address: Option<&str>,
    balancer: Option<&LoadBalancerView>,
    findings: &[Finding],
    deleting: bool,
    has_controller: bool,
) -> (bool, String) {
    let bad = findings.iter().find(|finding| finding.effect != "Note");
    let active = balancer.filter(|it| it.state == "active");
    match (active, bad) {
        _ if deleting => (
            false,
            "Being deleted: it goes when nothing of it is left in AWS.".to_owned(),
        ),
        (Some(balancer), Some(finding)) if address.is_some() => (
            finding.effect != "Frozen",
            format!(
                "{}: {} ({}). What load balancer {} has of it is served on.",
                if finding.effect == "Frozen" {
                    "Frozen"
                } else {
                    "Served in part"
                },
                finding.message,
                finding.reason,
                balancer.name
            ),
        ),
        (_, Some(finding)) => (
            false,
            format!("Not served: {} ({}).", finding.message, finding.reason),
        ),
        (Some(balancer), None) if address.is_some() => {
            (true, format!("Served by load balancer {}.", balancer.name))
        }
        (Some(balancer), None) => (
            false,
            format!(
                "Not served yet: load balancer {} is active, its address is not in the status yet.",
                balancer.name
            ),
        ),
        (None, None) if balancer.is_some() => (
            false,
            "Not served yet: the load balancer is being provisioned.".to_owned(),
        ),
        (None, None) if has_controller => (
            false,
            "Not served yet: there is no load balancer for it.".to_owned(),
        ),
        (None, None) => (
            false,
            "Not served: no controller has done anything yet. Is one running?".to_owned(),
        ),
    }
}

/// The class that an Ingress names, or the default one.
fn class_of<'a>(ingress: &'a networking::Ingress, objects: &'a Objects) -> Option<&'a str> {
    let named = ingress
        .spec
        .as_ref()
        .and_then(|it| it.ingress_class_name.as_deref());
    let annotations = ingress.metadata.annotations.as_ref();
    let old = || annotations?.get(CLASS_ANNOTATION).map(String::as_str);
    let default = || {
        let mut classes = objects.classes.iter();
        let (name, _) = classes.find(|(_, class)| {
            let annotations = class.metadata.annotations.as_ref();
            annotations.is_some_and(|it| it.get(DEFAULT_CLASS).is_some_and(|v| v == "true"))
        })?;
        Some(name.as_str())
    };
    named.or_else(old).or_else(default)
}

/// The group of an Ingress by what it says; none if it is of another class.
fn group_of(name: &str, ingress: &networking::Ingress, objects: &Objects) -> Option<String> {
    let class = class_of(ingress, objects)?;
    let ours = match objects.classes.get(class) {
        Some(class) => class
            .spec
            .as_ref()
            .is_some_and(|spec| spec.controller.as_deref() == Some(CONTROLLER)),
        // The old annotation needs no class.
        None => class == "alb" && ingress.spec.as_ref()?.ingress_class_name.is_none(),
    };
    if !ours {
        return None;
    }
    let annotations = ingress.metadata.annotations.as_ref();
    let named = annotations.and_then(|it| it.get(&format!("{PREFIX}group.name")));
    Some(named.map_or_else(|| name.to_owned(), |named| named.trim().to_owned()))
}

fn paths(ingress: &networking::Ingress) -> Vec<Path> {
    let Some(spec) = &ingress.spec else {
        return Vec::new();
    };
    let path = |host: &str, path: &str, backend: &networking::IngressBackend| {
        let service = backend.service.as_ref();
        let port = service.and_then(|service| service.port.as_ref());
        Path {
            host: host.to_owned(),
            path: path.to_owned(),
            service: service.map(|it| it.name.clone()).unwrap_or_default(),
            port: port
                .and_then(|port| {
                    let number = port.number.map(|number| number.to_string());
                    number.or_else(|| port.name.clone())
                })
                .unwrap_or_default(),
        }
    };
    let mut paths = Vec::new();
    for rule in spec.rules.iter().flatten() {
        let host = rule.host.as_deref().unwrap_or_default();
        for it in rule.http.iter().flat_map(|http| &http.paths) {
            let text = it.path.as_deref().unwrap_or("/");
            paths.push(path(host, text, &it.backend));
        }
    }
    if let Some(backend) = &spec.default_backend {
        paths.push(path("", "(everything else)", backend));
    }
    paths
}

/// What a target group was made for, by its tag `namespace/ingress-service:port`.
fn origin<'a>(group: &'a TargetGroupView, objects: &'a Objects) -> Option<Origin<'a>> {
    let resource = group.tags.get(RESOURCE_TAG)?;
    let (before, port) = resource.rsplit_once(':')?;
    let ingresses = objects.ingresses.iter();
    let mut fitting: Vec<(&str, &str, bool)> = ingresses
        .filter_map(|(name, ingress)| {
            let service = before.strip_prefix(name.as_str())?.strip_prefix('-')?;
            let names = paths(ingress).iter().any(|path| path.service == service);
            Some((name.as_str(), service, names))
        })
        .collect();
    // Where the Ingress's name ends is told by the Service that it names.
    fitting.sort_by_key(|(_, service, names)| (!names, service.len()));
    let (ingress, service, _) = fitting.first()?;
    let namespace = ingress.split('/').next().unwrap_or_default();
    Some(Origin {
        ingress,
        service: format!("{namespace}/{service}:{port}"),
    })
}

/// What of a picture is another than before.
#[derive(Debug, Default, PartialEq)]
pub struct Difference<'a> {
    /// Groups that are new or changed.
    pub groups: Vec<&'a Group>,
    /// The controller's Pods, if they are others.
    pub controller: Option<&'a Controller>,
    /// Keys of groups that are gone.
    pub gone: Vec<&'a str>,
    /// The Ingresses of no group, if they are others.
    pub loose: Option<&'a [Ingress]>,
    /// The records, if they are others.
    pub records: Option<&'a [Record]>,
}

/// Compares two pictures.
pub fn difference<'a>(before: &'a Picture, after: &'a Picture) -> Difference<'a> {
    let of = |picture: &'a Picture| -> BTreeMap<&'a str, &'a Group> {
        let groups = picture.groups.iter();
        groups.map(|group| (group.key.as_str(), group)).collect()
    };
    let (old, new) = (of(before), of(after));
    Difference {
        groups: new
            .iter()
            .filter(|(key, group)| old.get(*key) != Some(group))
            .map(|(_, group)| *group)
            .collect(),
        gone: old
            .keys()
            .filter(|key| !new.contains_key(*key))
            .copied()
            .collect(),
        controller: (before.controller != after.controller).then_some(&after.controller),
        loose: (before.loose != after.loose).then_some(&after.loose),
        records: (before.records != after.records).then_some(&after.records),
    }
}

#[cfg(test)]
#[path = "picture_tests.rs"]
mod tests;
