//! What the cluster holds of what the console shows, and what has happened to
//! it. Values only; `cluster` fills them.

use std::collections::{BTreeMap, VecDeque};

use alb_ingress_controller::report::IngressGroup;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::{Resource, ResourceExt};

/// Most pieces of news that wait to be told.
const NEWS: usize = 10_000;

/// The objects by `namespace/name`, those of the cluster by name.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// Ingresses.
    pub ingresses: BTreeMap<String, Ingress>,
    /// IngressClasses.
    pub classes: BTreeMap<String, IngressClass>,
    /// Services.
    pub services: BTreeMap<String, Service>,
    /// EndpointSlices.
    pub slices: BTreeMap<String, EndpointSlice>,
    /// Pods.
    pub pods: BTreeMap<String, Pod>,
    /// Leases of the controller.
    pub leases: BTreeMap<String, Lease>,
    /// IngressGroups.
    pub groups: BTreeMap<String, IngressGroup>,
    /// Events.
    pub events: BTreeMap<String, Event>,
    /// What the story has not been told yet.
    pub news: VecDeque<News>,
}

/// Something for the story.
#[derive(Debug, Clone)]
pub enum News {
    /// An IngressGroup as it is now, and when that was seen.
    Group(Box<IngressGroup>, Timestamp),
    /// An IngressGroup is gone.
    GroupGone(Box<IngressGroup>, Timestamp),
    /// A Pod is gone.
    PodGone(Box<Pod>, Timestamp),
    /// An Event.
    Event(Box<Event>),
}

impl News {
    /// When it happened.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Group(_, at) | Self::GroupGone(_, at) | Self::PodGone(_, at) => *at,
            Self::Event(event) => event_time(event),
        }
    }
}

/// When an Event was last seen.
pub fn event_time(event: &Event) -> Timestamp {
    let series = event.series.as_ref();
    series
        .map(|series| series.last_observed_time.0)
        .or_else(|| event.event_time.as_ref().map(|time| time.0))
        .or_else(|| event.deprecated_last_timestamp.as_ref().map(|time| time.0))
        .or_else(|| {
            event
                .metadata
                .creation_timestamp
                .as_ref()
                .map(|time| time.0)
        })
        .unwrap_or_default()
}

/// A kind of object that is watched.
pub trait Watched: Resource<DynamicType = ()> + Clone + Sized {
    /// Where those of the kind are kept.
    fn shelf(objects: &mut Objects) -> &mut BTreeMap<String, Self>;

    /// What the story is told of an object.
    fn news(&self) -> Option<News> {
        None
    }

    /// What the story is told of one that is gone.
    fn gone(&self) -> Option<News> {
        None
    }
}

macro_rules! watched {
    ($($kind:ty => $shelf:ident),+ $(,)?) => {
        $(impl Watched for $kind {
            fn shelf(objects: &mut Objects) -> &mut BTreeMap<String, Self> {
                &mut objects.$shelf
            }
        })+
    };
}

watched! {
    Ingress => ingresses,
    IngressClass => classes,
    Service => services,
    EndpointSlice => slices,
    Lease => leases,
}

impl Watched for Pod {
    fn shelf(objects: &mut Objects) -> &mut BTreeMap<String, Self> {
        &mut objects.pods
    }

    fn gone(&self) -> Option<News> {
        Some(News::PodGone(Box::new(self.clone()), Timestamp::now()))
    }
}

impl Watched for IngressGroup {
    fn shelf(objects: &mut Objects) -> &mut BTreeMap<String, Self> {
        &mut objects.groups
    }

    fn news(&self) -> Option<News> {
        Some(News::Group(Box::new(self.clone()), written(self)))
    }

    fn gone(&self) -> Option<News> {
        Some(News::GroupGone(Box::new(self.clone()), Timestamp::now()))
    }
}

/// When an IngressGroup was written last, to the second of its field managers
/// where it was written long ago; else now.
fn written(group: &IngressGroup) -> Timestamp {
    let now = Timestamp::now();
    let fields = group.metadata.managed_fields.iter().flatten();
    let written = fields
        .filter_map(|fields| fields.time.as_ref())
        .map(|time| time.0)
        .max();
    written
        .filter(|written| now.duration_since(*written).as_secs() > 2)
        .unwrap_or(now)
}

impl Watched for Event {
    fn shelf(objects: &mut Objects) -> &mut BTreeMap<String, Self> {
        &mut objects.events
    }

    fn news(&self) -> Option<News> {
        Some(News::Event(Box::new(self.clone())))
    }
}

/// `namespace/name`, or the name alone of what has no namespace.
pub fn key_of(object: &impl Resource<DynamicType = ()>) -> String {
    let name = object.name_any();
    match object.namespace() {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name,
    }
}

impl Objects {
    /// Takes an object in.
    pub fn put<K: Watched>(&mut self, mut object: K) {
        if let Some(news) = object.news() {
            self.tell(news);
        }
        object.meta_mut().managed_fields = None;
        let key = key_of(&object);
        K::shelf(self).insert(key, object);
    }

    /// Takes an object out.
    pub fn remove<K: Watched>(&mut self, object: &K) {
        K::shelf(self).remove(&key_of(object));
        if let Some(news) = object.gone() {
            self.tell(news);
        }
    }

    /// Takes out what a new list did not have.
    pub fn retain<K: Watched>(&mut self, listed: &std::collections::BTreeSet<String>) {
        let shelf = K::shelf(self);
        let gone: Vec<K> = shelf
            .iter()
            .filter(|(key, _)| !listed.contains(*key))
            .map(|(_, object)| object.clone())
            .collect();
        for object in gone {
            self.remove(&object);
        }
    }

    fn tell(&mut self, news: News) {
        if self.news.len() == NEWS {
            self.news.pop_front();
        }
        self.news.push_back(news);
    }
}
