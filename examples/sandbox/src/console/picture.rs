//! From what Kubernetes and AWS hold to the picture of it. Pure.

mod ingresses;
mod records;

use std::collections::{BTreeMap, BTreeSet};

use alb_ingress_controller::model::ownership::{CLUSTER_TAG, RESOURCE_TAG, STACK_TAG};
use alb_ingress_controller::report::{IngressGroup, IngressGroupStatus};
use k8s_openapi::api::core::v1::Pod;
use sandbox_aws::resources::{LoadBalancerView, Resources, RuleView, TargetGroupView, TargetView};

use super::model::{
    Controller, Finding, Group, Ingress, Listener, LoadBalancer, Picture, Record, Rule, Target,
    TargetGroup, Weight,
};
use super::objects::Objects;
use super::pods::{controller, pods_by_address};
use super::words;
use ingresses::{group_of, paths};
use records::{bare, leads_to};

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
mod tests;
