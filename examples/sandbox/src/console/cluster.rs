//! The console's watches of Kubernetes. May read the API server; decides
//! nothing.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alb_ingress_controller::report::IngressGroup;
use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::events::v1::Event as Told;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::objects::{Objects, Watched, key_of};
use crate::controller::NAME;

/// A watch that fails, for example of a kind that is not installed, is begun
/// again after this long.
const AGAIN: Duration = Duration::from_millis(500);

/// The objects as the watches have them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    objects: Arc<Mutex<Objects>>,
    changed: Arc<Notify>,
}

impl Cluster {
    /// Looks at the objects, or takes news out of them. Held for one closure.
    pub fn with<T>(&self, look: impl FnOnce(&mut Objects) -> T) -> T {
        look(&mut self.objects())
    }

    /// Waits for a change since the last time.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Begins to watch; it ends when what is answered is dropped.
    pub fn watch(&self, client: &Client) -> Vec<AbortOnDropHandle<()>> {
        vec![
            self.follow::<Ingress>(Api::all(client.clone())),
            self.follow::<IngressClass>(Api::all(client.clone())),
            self.follow::<Service>(Api::all(client.clone())),
            self.follow::<EndpointSlice>(Api::all(client.clone())),
            self.follow::<Pod>(Api::all(client.clone())),
            self.follow::<IngressGroup>(Api::all(client.clone())),
            self.follow::<Told>(Api::all(client.clone())),
            self.follow::<Lease>(Api::namespaced(client.clone(), NAME)),
        ]
    }

    fn follow<K>(&self, api: Api<K>) -> AbortOnDropHandle<()>
    where
        K: Watched + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let cluster = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut events = std::pin::pin!(watcher(api, watcher::Config::default()));
            let mut listed = BTreeSet::new();
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => cluster.take(event, &mut listed),
                    Err(error) => {
                        tracing::debug!("the console's watch: {error}");
                        tokio::time::sleep(AGAIN).await;
                    }
                }
            }
        }))
    }

    fn take<K: Watched>(&self, event: Event<K>, listed: &mut BTreeSet<String>) {
        {
            let mut objects = self.objects();
            match event {
                Event::Init => {
                    listed.clear();
                    return;
                }
                Event::InitApply(object) => {
                    listed.insert(key_of(&object));
                    objects.put(object);
                }
                Event::InitDone => objects.retain::<K>(listed),
                Event::Apply(object) => objects.put(object),
                Event::Delete(object) => objects.remove(&object),
            }
        }
        self.changed.notify_one();
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
