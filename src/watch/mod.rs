//! KUBERNETES IN. Watches all kinds that decisions depend on, keeps what is
//! needed of them, and tells which keys a change concerns.
//!
//! May use: `kube`, `k8s-openapi`, the types of `model`. Promises: a change
//! that no decision depends on (our own status writes, heartbeats) wakes
//! nobody; what is in the stores when a key is woken is at least as new as the
//! change; one object that cannot be read does not stop the others.

mod kinds;
pub mod routes;
mod stores;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use self::kinds::{Binding, Kind};
use self::stores::Change;
pub use self::stores::Stores;
use crate::api_error::ApiError;
use crate::key::Key;
use crate::lane::Lane;
use crate::model::settings::Settings;

/// A CRD that is not installed is looked for again after this time, should the
/// watch of it have told nothing.
const LOOK_AGAIN: Duration = Duration::from_mins(1);
/// First pause until a kind is asked for again whose CRD has just changed: it
/// is served a moment after that.
const SOON: Duration = Duration::from_millis(100);
/// A question that was not answered is asked again after this time.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// A first list of which nothing comes for this long is asked for anew: who
/// waits for it can do nothing, and a connection that was lost without a word
/// tells of nothing. Also ends the longest pauses after errors.
const SILENCE: Duration = Duration::from_secs(20);

/// HTTP status of what is not there. The code and not the reason, which the
/// answer about a kind that is not installed does not have.
const NOT_FOUND: u16 = 404;

/// Told of each key that a change concerns, and how urgent that is, once every kind's first list is
/// in. May be called at any time and must not block.
pub type Wake = Arc<dyn Fn(Key, Lane) + Send + Sync>;

/// Starts watching; the tasks end only with an error, or when the set is
/// dropped. With a namespace, only that one's objects are watched, and those
/// that are in none.
pub fn start(
    client: &Client,
    namespace: Option<&str>,
    settings: Arc<Settings>,
    wake: Wake,
) -> (Arc<Stores>, JoinSet<&'static str>) {
    let kinds = [
        name::<Ingress>(),
        name::<IngressClass>(),
        name::<Service>(),
        name::<EndpointSlice>(),
        name::<Pod>(),
        name::<Node>(),
        name::<Namespace>(),
        name::<Binding>(),
    ];
    let stores = Arc::new(Stores::waiting_for(kinds, settings));
    let watch = Watch {
        stores: Arc::clone(&stores),
        wake,
    };
    let mut tasks = JoinSet::new();
    let mut spawn = |task: Task| tasks.spawn(task);
    spawn(
        watch
            .clone()
            .task(in_namespace::<Ingress>(client, namespace)),
    );
    spawn(watch.clone().task(everywhere::<IngressClass>(client)));
    spawn(
        watch
            .clone()
            .task(in_namespace::<Service>(client, namespace)),
    );
    spawn(
        watch
            .clone()
            .task(in_namespace::<EndpointSlice>(client, namespace)),
    );
    spawn(watch.clone().task(in_namespace::<Pod>(client, namespace)));
    spawn(watch.clone().task(everywhere::<Node>(client)));
    spawn(watch.clone().task(everywhere::<Namespace>(client)));
    spawn(Box::pin(watch.bindings(
        in_namespace(client, namespace),
        Api::all(client.clone()),
    )));
    (stores, tasks)
}

type Task = std::pin::Pin<Box<dyn Future<Output = &'static str> + Send>>;

/// Name of a kind, as people know it.
fn name<K: Kind>() -> &'static str {
    // The kinds that are watched have constant names.
    match K::kind(&()) {
        std::borrow::Cow::Borrowed(name) => name,
        std::borrow::Cow::Owned(_) => std::any::type_name::<K>(),
    }
}

fn everywhere<K: Kind>(client: &Client) -> Api<DeserializeGuard<K>> {
    Api::all(client.clone())
}

fn in_namespace<K>(client: &Client, namespace: Option<&str>) -> Api<DeserializeGuard<K>>
where
    K: Kind + Resource<Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// A watch's error in one line.
fn said(error: watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => ApiError::from(error).to_string(),
        watcher::Error::WatchError(status) => ApiError::from(kube::Error::Api(status)).to_string(),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}

#[derive(Clone)]
struct Watch {
    stores: Arc<Stores>,
    wake: Wake,
}

/// Why a watch ended.
enum Ended {
    /// The API server does not stream lists.
    NoStreaming,
    /// There is no such kind.
    NoSuchKind,
}

impl Watch {
    fn task<K: Kind>(self, api: Api<DeserializeGuard<K>>) -> Task {
        Box::pin(async move {
            self.reflect(api).await;
            name::<K>()
        })
    }

    /// Keeps the stores of one kind up to date; returns only when there is no
    /// such kind. Everything else is tried again, with back-off.
    async fn reflect<K: Kind>(&self, api: Api<DeserializeGuard<K>>) {
        let streaming = watcher::Config::default().streaming_lists();
        if let Ended::NoStreaming = self.follow(api.clone(), streaming).await {
            tracing::info!(
                kind = name::<K>(),
                "the API server does not stream lists; they are read in pages"
            );
            self.follow(api, watcher::Config::default()).await;
        }
    }

    async fn follow<K: Kind>(
        &self,
        api: Api<DeserializeGuard<K>>,
        config: watcher::Config,
    ) -> Ended {
        let streaming = config.initial_list_strategy == watcher::InitialListStrategy::StreamingList;
        let start = || Box::pin(watcher(api.clone(), config.clone()).default_backoff());
        let mut events = start();
        let mut list: Vec<(K::Id, Arc<K::Kept>)> = Vec::new();
        let mut listed = false;
        loop {
            let next = if listed {
                Ok(events.next().await)
            } else {
                tokio::time::timeout(SILENCE, events.next()).await
            };
            let Ok(event) = next else {
                let seconds = SILENCE.as_secs();
                tracing::warn!(
                    kind = name::<K>(),
                    "no list came within {seconds} s; asking anew"
                );
                events = start();
                continue;
            };
            // The stream of a watcher does not end.
            let Some(event) = event else {
                return Ended::NoSuchKind;
            };
            let settled = self.stores.pending().is_empty();
            let changes: Vec<Change> = match event {
                Ok(Event::Init) => {
                    listed = false;
                    list.clear();
                    Vec::new()
                }
                Ok(Event::InitApply(object)) => {
                    list.push(self.readable(object));
                    Vec::new()
                }
                Ok(Event::InitDone) => {
                    listed = true;
                    let changes = self.stores.replace::<K>(std::mem::take(&mut list));
                    self.stores.listed(name::<K>());
                    changes
                }
                Ok(Event::Apply(object)) => {
                    let (id, object) = self.readable(object);
                    self.stores.keep::<K>(id, object).into_iter().collect()
                }
                Ok(Event::Delete(object)) => {
                    let id = K::id(object.meta());
                    self.stores.forget::<K>(&id).into_iter().collect()
                }
                Err(watcher::Error::WatchStartFailed(kube::Error::Api(answer)))
                    if streaming && (answer.is_invalid() || answer.code == 400) =>
                {
                    return Ended::NoStreaming;
                }
                Err(
                    watcher::Error::WatchStartFailed(kube::Error::Api(answer))
                    | watcher::Error::InitialListFailed(kube::Error::Api(answer)),
                ) if answer.code == NOT_FOUND => return Ended::NoSuchKind,
                Err(error) => {
                    let error = said(error);
                    tracing::warn!(kind = name::<K>(), error, "the watch failed; trying again");
                    Vec::new()
                }
            };
            // Before that everything is woken when the last list is in.
            if settled {
                self.route::<K>(&changes);
            }
        }
    }

    fn route<K: Kind>(&self, changes: &[Change]) {
        let keys: BTreeSet<&Key> = changes.iter().flatten().collect();
        for key in keys {
            tracing::debug!(kind = name::<K>(), %key, "changed");
            (self.wake)(key.clone(), K::LANE);
        }
    }

    /// What is kept of the object. One that cannot be read counts as it was
    /// when it could be read; if it never could, as one of which only the
    /// metadata is known: it is there, and must not look deleted.
    fn readable<K: Kind>(&self, object: DeserializeGuard<K>) -> (K::Id, Arc<K::Kept>) {
        match object.0 {
            Ok(object) => (K::id(object.meta()), Arc::new(object.kept())),
            Err(unreadable) => {
                tracing::error!(
                    kind = name::<K>(),
                    namespace = unreadable.metadata.namespace,
                    name = unreadable.metadata.name,
                    error = unreadable.error,
                    "an object cannot be read; it counts as it was before"
                );
                let id = K::id(&unreadable.metadata);
                let before = self.stores.find::<K>(&id);
                let kept = before.unwrap_or_else(|| {
                    let mut object = K::default();
                    *object.meta_mut() = unreadable.metadata;
                    Arc::new(object.kept())
                });
                (id, kept)
            }
        }
    }

    /// TargetGroupBindings are watched while their CRD is installed, and
    /// looked for again when it comes.
    async fn bindings(
        self,
        api: Api<DeserializeGuard<Binding>>,
        definitions: Api<PartialObjectMeta<CustomResourceDefinition>>,
    ) -> &'static str {
        let changed = Notify::new();
        tokio::select! {
            () = definition_of_bindings(definitions, &changed) => {}
            () = self.bindings_while_installed(api, &changed) => {}
        }
        name::<Binding>()
    }

    async fn bindings_while_installed(
        &self,
        api: Api<DeserializeGuard<Binding>>,
        changed: &Notify,
    ) {
        let mut look_again = LOOK_AGAIN;
        loop {
            let pause = match api.list_metadata(&ListParams::default().limit(1)).await {
                Ok(_) => {
                    self.reflect(api.clone()).await;
                    SOON
                }
                Err(kube::Error::Api(answer)) if answer.code == NOT_FOUND => {
                    let settled = self.stores.pending().is_empty();
                    let changes = self.stores.replace::<Binding>(Vec::new());
                    self.stores.listed(name::<Binding>());
                    if settled {
                        self.route::<Binding>(&changes);
                    }
                    let pause = look_again;
                    look_again = (look_again * 2).min(LOOK_AGAIN);
                    pause
                }
                Err(error) => {
                    let error = ApiError::from(error);
                    tracing::warn!(
                        %error,
                        "cannot tell whether TargetGroupBindings exist; trying again"
                    );
                    ASK_AGAIN
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = changed.notified() => look_again = SOON,
            }
        }
    }
}

/// Tells whenever the CRD of TargetGroupBindings comes, changes or goes. Who
/// may not watch it is told nothing and looks for it now and then.
async fn definition_of_bindings(
    api: Api<PartialObjectMeta<CustomResourceDefinition>>,
    changed: &Notify,
) {
    let definition = format!("{}.{}", Binding::plural(&()), Binding::group(&()));
    let config = watcher::Config::default().fields(&format!("metadata.name={definition}"));
    let mut events = pin!(watcher(api, config).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init | Event::InitDone) => {}
            Ok(_) => changed.notify_one(),
            Err(error) if is_forbidden(&error) => {
                tracing::info!(
                    "the CRD {definition} may not be watched, so it is looked for once a minute; \
                     allow it with the ClusterRole of deploy/rbac.yaml"
                );
                break;
            }
            Err(error) => {
                let error = said(error);
                tracing::debug!(
                    error,
                    "the watch of the CRD {definition} failed; trying again"
                );
            }
        }
    }
    std::future::pending::<()>().await;
}

fn is_forbidden(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(answer))
        | watcher::Error::WatchStartFailed(kube::Error::Api(answer)) => answer.is_forbidden(),
        _ => false,
    }
}
