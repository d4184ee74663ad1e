//! A small world: what Kubernetes and AWS say, and a controller's side of it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use serde_json::{Value, json};

use super::super::kept::Part;
use super::super::noting::Times;
use super::super::*;
use crate::apply::dns::DnsApplied;
use crate::aws::{Class, operations};
use crate::model::desired::Leaver;
use crate::model::membership::GroupMembers;
use crate::model::records::{AliasTarget, Zone};
use crate::model::records_build::HostRules;
use crate::model::settings::{DnsSettings, Settings};
use crate::model::spec::{ObjectName, Scheme};
use crate::plan::dns::effect_records;

pub(super) const VPC: &str = "vpc-1";
pub(super) const GRACE: Duration = Duration::from_secs(30);

pub(super) fn host(n: usize) -> String {
    format!("h{n}.example.com")
}

pub(super) fn ingress(n: usize) -> ObjectName {
    ObjectName::new("n", format!("i{n}"))
}

pub(super) fn group(n: usize) -> GroupId {
    GroupId::Implicit(ingress(n))
}

pub(super) fn target(n: usize) -> AliasTarget {
    AliasTarget {
        dns_name: format!("lb{n}.elb"),
        hosted_zone_id: "ZELB".to_owned(),
    }
}

pub(super) fn settings() -> Settings {
    Settings {
        default_scheme: Scheme::InternetFacing,
        dns: Some(DnsSettings::default()),
        ..Settings::new("demo", VPC)
    }
}

/// Public and private zones of one name, or some of them.
pub(super) fn zones(variant: usize, listing: u64) -> Zones {
    let zone = |id: &str, private: bool| Zone {
        id: id.to_owned(),
        name: "example.com".to_owned(),
        private_vpcs: private.then(|| vec![VPC.to_owned()]),
    };
    let zones = match variant {
        0 => vec![zone("Z1", false), zone("Z2", true)],
        1 => vec![zone("Z1", false)],
        2 => vec![zone("Z2", true)],
        3 => vec![zone("Z1", false), zone("Z3", false)],
        _ => Vec::new(),
    };
    Zones {
        zones,
        denied: None,
        listing,
    }
}

/// What is said of a group.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// Bits: the hosts that its own Ingress states.
    pub(super) hosts: u8,
    /// Whether its own Ingress is in it.
    pub(super) is_member: bool,
    /// Another one's Ingress that leaves it.
    pub(super) leaver: Option<usize>,
    pub(super) frozen: bool,
    pub(super) live_hosts: u8,
    pub(super) target: Option<usize>,
    pub(super) internal: bool,
    pub(super) rules: Option<HostRules>,
    pub(super) successor: Option<(bool, usize)>,
}

pub(super) fn hosts(bits: u8) -> BTreeSet<String> {
    let hosts = (0..4).filter(|bit| bits & (1 << bit) != 0);
    hosts.map(host).collect()
}

pub(super) fn scheme(internal: bool) -> Scheme {
    if internal {
        Scheme::Internal
    } else {
        Scheme::InternetFacing
    }
}

/// What Kubernetes and AWS say.
#[derive(Default)]
pub(super) struct World {
    pub(super) said: BTreeMap<usize, Said>,
    pub(super) snapshot: Indexed,
    pub(super) zones: Zones,
    /// What Route 53 holds.
    pub(super) route53: ObservedRecords,
    pub(super) sees_all: bool,
}

impl World {
    pub(super) fn say(&mut self, of: usize, said: Option<Said>) {
        match said {
            Some(said) => drop(self.said.insert(of, said)),
            None => drop(self.said.remove(&of)),
        }
        let mut snapshot = Snapshot::default();
        let class: Value = json!({ "metadata": { "name": "alb" },
            "spec": { "controller": "ingress.k8s.aws/alb" } });
        let class: IngressClass = serde_json::from_value(class).unwrap();
        let classes = &mut snapshot.ingress_classes;
        classes.insert("alb".to_owned(), Arc::new(class));
        for (n, said) in &self.said {
            let path = json!({ "path": "/", "pathType": "Prefix",
                "backend": { "service": { "name": "a", "port": { "number": 80 } } } });
            let rules: Vec<Value> = hosts(said.hosts)
                .into_iter()
                .map(|host| json!({ "host": host, "http": { "paths": [path] } }))
                .collect();
            let object: Value = json!({
                "metadata": { "namespace": "n", "name": ingress(*n).name,
                    "creationTimestamp": format!("2026-01-{:02}T00:00:00Z", 9 - n % 9) },
                "spec": { "ingressClassName": "alb", "rules": rules },
            });
            let object: Ingress = serde_json::from_value(object).unwrap();
            snapshot.ingresses.insert(ingress(*n), Arc::new(object));
        }
        self.snapshot = Indexed::of(snapshot, &settings());
    }

    pub(super) fn part(&self, of: usize) -> Option<Part> {
        let said = self.said.get(&of)?;
        let mut placed = GroupMembers::default();
        if said.is_member {
            placed.members.push(ingress(of));
        }
        let leaver = said.leaver.filter(|n| self.said.contains_key(n));
        let leaver = leaver.filter(|n| *n != of || !said.is_member);
        placed.leavers.extend(leaver.map(|n| Leaver {
            ingress: ingress(n),
            deleted: false,
        }));
        if placed == GroupMembers::default() {
            return None;
        }
        let rules = said.rules.map(|rules| {
            let hosts = hosts(said.hosts).into_iter();
            hosts.map(|host| (host, rules)).collect()
        });
        let load_balancer = LoadBalancerOf {
            target: said.target.map(target),
            scheme: Some(scheme(said.internal)),
            rules: rules.unwrap_or_default(),
            successor: said.successor.map(|(of, to)| (scheme(of), target(to))),
        };
        let frozen = said.frozen && said.is_member;
        Some(Part {
            load_balancer: Arc::new(load_balancer),
            keepers: frozen.then(|| ingress(of)).into_iter().collect(),
            live_hosts: frozen.then(|| hosts(said.live_hosts)),
            ..Part::new(placed, &self.snapshot)
        })
    }
}

/// The controller's side: what it remembers of Route 53, and of its looks.
#[derive(Default)]
pub(super) struct System {
    /// Whether it looks at everything each time.
    pub(super) is_whole: bool,
    pub(super) known: ObservedRecords,
    pub(super) stale: BTreeSet<Place>,
    pub(super) changed: BTreeSet<String>,
    pub(super) kept: Kept,
    pub(super) book: Book,
}

impl System {
    pub(super) fn remembered(&self, hosts: &BTreeSet<String>) -> ObservedRecords {
        let known = self.known.iter();
        let known = known.filter(|(place, _)| hosts.contains(&place.host));
        known.map(|(p, r)| (p.clone(), r.clone())).collect()
    }

    /// What changed of groups comes in as the real look brings it in: those
    /// that somebody leaves each time.
    pub(super) fn hear(&mut self, world: &World, of: usize) {
        self.kept.set(&group(of), world.part(of));
        let with_leavers = world.said.iter().filter(|(_, said)| said.leaver.is_some());
        for (n, _) in with_leavers {
            self.kept.set(&group(*n), world.part(*n));
        }
    }

    pub(super) fn look(&mut self, world: &World, is_broken: bool) -> Looked {
        if self.is_whole {
            self.kept.all_are_due();
        }
        self.kept.are_due(std::mem::take(&mut self.changed));
        let spreading = self.book.spreading_now();
        let none = BTreeMap::new();
        self.kept.compare(&self.book, &none, &spreading, None);
        let other = self.kept.is_other_listing(world.zones.listing);
        let remembered = || self.known.keys().map(|place| place.host.clone()).collect();
        let scope = self.kept.scope(&self.book, &none, remembered);
        assert!(!other || scope.hosts.len() >= self.book.hosts().count());
        let asked = Asked::new(
            &self.kept,
            scope,
            none,
            &world.zones,
            &world.snapshot,
            &settings(),
        );
        let mut places: BTreeSet<Place> = self.remembered(&asked.scope.hosts).into_keys().collect();
        places.extend(asked.places.iter().cloned());
        let mut records = ObservedRecords::new();
        let mut failed = BTreeMap::new();
        for place in places {
            let known = self
                .known
                .get(&place)
                .filter(|_| !self.stale.contains(&place));
            if let Some(known) = known {
                records.insert(place, known.clone());
            } else if is_broken {
                failed.insert(place, error());
            } else {
                let read = world.route53.get(&place).cloned().unwrap_or_default();
                self.stale.remove(&place);
                self.known.insert(place.clone(), read.clone());
                records.insert(place, read);
            }
        }
        let context = DnsContext {
            cluster: "demo".to_owned(),
            cluster_uid: None,
            groups: self.kept.known().clone(),
            sees_all: world.sees_all,
            spreading,
        };
        Looked::new(asked, records, failed, context, &world.snapshot)
    }

    pub(super) fn note(
        &mut self,
        looked: &Looked,
        applied: &DnsApplied,
        now: Instant,
    ) -> BTreeSet<GroupId> {
        for change in &looked.plan.changes {
            self.book.looked_at.remove(&change.place.host);
        }
        let is_taken = |place: &Place| applied.submitted.iter().any(|s| s.places.contains(place));
        for change in looked.plan.changes.iter().filter(|c| is_taken(&c.place)) {
            effect_records(change, self.known.entry(change.place.clone()).or_default());
            self.changed.insert(change.place.host.clone());
        }
        for place in applied.failed.keys() {
            self.stale.insert(place.clone());
            self.changed.insert(place.host.clone());
        }
        let times = Times {
            now,
            grace: GRACE,
            look_again: LOOK_AGAIN,
        };
        let records = self.remembered(&looked.asked.scope.hosts);
        let news = self
            .book
            .note(&mut self.kept, looked, applied, &records, &times);
        self.book.forget(looked);
        let book = &self.book;
        let hosts = &looked.asked.scope.hosts;
        let stays = asked::stays(book, looked);
        let stays = |place: &Place| !hosts.contains(&place.host) || stays(place);
        self.known.retain(|place, _| stays(place));
        self.stale.retain(stays);
        news
    }
}

pub(super) fn error() -> Error {
    let operation = operations::CHANGE_RESOURCE_RECORD_SETS;
    Error::here(&operation, Class::Denied, "no".to_owned())
}
