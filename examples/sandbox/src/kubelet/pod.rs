//! The life of one pod: takes it up when it is bound to a node of ours, runs
//! its containers, reports its status, and sees its deletion through.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt;
use futures::future::select_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodStatus};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::app_body::{AppBody, or_usual};
use super::container::{Checks, Phase, Stop, View, keep};
use super::environment::{Addresses, expand, variables};
use super::hook::hook_sleep;
use super::logs::ContainerName;
use super::node::PlayedNode;
use super::process::{CONTROLLER_IMAGE, ProcessBody, base_environment, bind_to};
use super::sockets::draw_loopback;
use super::status::{Conditions, Seen, status};
use super::tokens::PodIdentity;
use crate::apps::{App, Identity};

/// Wait after something that a pod needs could not be had.
const RETRY: Duration = Duration::from_secs(1);
/// Grace of a pod that does not say its own.
const GRACE: Duration = Duration::from_secs(30);
/// Grace of processes when the sandbox itself ends.
const GRACE_AT_STOP: Duration = Duration::from_secs(5);

/// Plays a pod from its start to its end. `updates` follows the Pod object,
/// `gone` says that the object is no more.
pub async fn play(
    cx: Arc<Context>,
    node: PlayedNode,
    updates: watch::Receiver<Arc<Pod>>,
    gone: CancellationToken,
) {
    let pod = updates.borrow().clone();
    let namespace = pod.namespace().unwrap_or_default();
    let mut life = Life {
        api: Api::namespaced(cx.client.clone(), &namespace),
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        since: Timestamp::now(),
        address: None,
        views: vec![],
        containers: JoinSet::new(),
        stop: Stop::default(),
        conditions: Conditions::default(),
        reported: None,
        warned: HashSet::new(),
        identity: None,
        namespace,
        updates,
        node,
        cx,
    };
    let end = life.live(&gone).await;
    life.end(end, &gone).await;
}

/// Why a pod ends.
enum End {
    /// Its object is marked for deletion.
    Deleted,
    /// Its object is no more.
    Gone,
    /// The sandbox ends.
    Sandbox,
}

struct Life {
    cx: Arc<Context>,
    node: PlayedNode,
    api: Api<Pod>,
    namespace: String,
    name: String,
    uid: String,
    updates: watch::Receiver<Arc<Pod>>,
    since: Timestamp,
    address: Option<Ipv4Addr>,
    views: Vec<watch::Receiver<View>>,
    containers: JoinSet<()>,
    stop: Stop,
    conditions: Conditions,
    reported: Option<PodStatus>,
    /// Containers with the restart that an event told about.
    warned: HashSet<(String, i32)>,
    identity: Option<PodIdentity>,
}

impl Life {
    async fn live(&mut self, gone: &CancellationToken) -> End {
        let shutdown = self.cx.shutdown.clone();
        let mut started = false;
        let mut wait = Duration::ZERO;
        loop {
            if self.pod().metadata.deletion_timestamp.is_some() {
                return End::Deleted;
            }
            if !started {
                match self.start().await {
                    Ok(()) => started = true,
                    Err(error) => {
                        tracing::warn!(pod = self.name, "{error:#}");
                        wait = RETRY;
                    }
                }
            }
            if !self.report().await {
                wait = RETRY;
            }
            let again = async {
                if wait.is_zero() {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(wait).await;
            };
            tokio::select! {
                () = gone.cancelled() => return End::Gone,
                () = shutdown.cancelled() => return End::Sandbox,
                () = again => {}
                () = changed(&mut self.views) => {}
                changed = self.updates.changed() => if changed.is_err() {
                    return End::Gone;
                }
            }
            wait = Duration::ZERO;
        }
    }

    fn pod(&self) -> Arc<Pod> {
        self.updates.borrow().clone()
    }

    /// Gives the pod its address and starts its containers.
    async fn start(&mut self) -> anyhow::Result<()> {
        let pod = self.pod();
        let spec = pod.spec.clone().unwrap_or_default();
        let address = match self.address {
            Some(address) => address,
            None if spec.host_network == Some(true) => self.node.address,
            None => {
                let assigned = self.cx.cloud.assign(&self.node.instance);
                assigned.map_err(|error| anyhow::anyhow!("no address for the pod: {error}"))?
            }
        };
        self.address = Some(address);
        if spec.containers.iter().any(is_controller) && self.identity.is_none() {
            let folder = self.cx.folder.join("pods").join(&self.uid);
            std::fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
            let identity =
                PodIdentity::issue(&self.cx.client, &self.cx.api_server, &pod, &folder).await?;
            self.identity = Some(identity);
        }
        for container in &spec.containers {
            let (sender, view) = watch::channel(View::waiting());
            self.views.push(view);
            if let Err(message) = self.start_container(&pod, container, address, sender.clone()) {
                sender.send_modify(|view| {
                    view.phase = Phase::Waiting("CreateContainerConfigError", message);
                });
                // Its state is final; the sender stays for those who wait on it.
                let stop = self.stop.clone();
                self.containers.spawn(async move {
                    stop.term.cancelled().await;
                    drop(sender);
                });
            }
        }
        Ok(())
    }

    fn start_container(
        &mut self,
        pod: &Pod,
        container: &Container,
        address: Ipv4Addr,
        view: watch::Sender<View>,
    ) -> Result<(), String> {
        let checks = Checks::of(container)?;
        let addresses = Addresses {
            pod: address,
            node: self.node.address,
        };
        let environment = variables(pod, container, addresses)?;
        let ports: BTreeSet<u16> = container
            .ports
            .iter()
            .flatten()
            .filter_map(|port| u16::try_from(port.container_port).ok())
            .chain(checks.ports())
            .collect();
        let ports = ports.into_iter().collect();
        let name = ContainerName {
            namespace: self.namespace.clone(),
            pod: self.name.clone(),
            container: container.name.clone(),
        };
        let (sockets, stop) = (self.cx.sockets.clone(), self.stop.clone());
        if is_controller(container) {
            let body = self.process(container, name, environment, ports, address)?;
            self.containers
                .spawn(keep(body, checks, address, sockets, view, stop));
        } else {
            let image = container.image.clone().unwrap_or_default();
            let alone = pod
                .spec
                .as_ref()
                .is_some_and(|spec| spec.containers.len() == 1);
            let body = AppBody {
                app: App::of(&image, pod.annotations()),
                identity: Identity {
                    pod: self.name.clone(),
                    namespace: self.namespace.clone(),
                    node: self.node.name.clone(),
                    address: address.to_string(),
                    environment,
                },
                ports: or_usual(ports, alone),
                address,
                sockets: sockets.clone(),
                logs: self.cx.logs.clone(),
                name,
            };
            self.containers
                .spawn(keep(body, checks, address, sockets, view, stop));
        }
        Ok(())
    }

    fn process(
        &self,
        container: &Container,
        name: ContainerName,
        variables: BTreeMap<String, String>,
        ports: Vec<u16>,
        address: Ipv4Addr,
    ) -> Result<ProcessBody, String> {
        let controller = self.cx.controller.as_ref().ok_or(
            "the sandbox was started without a controller: start it without --no-controller",
        )?;
        let folder = self.cx.folder.join("pods").join(&self.uid);
        let mut environment = base_environment(&self.name, &folder);
        environment.extend(controller.environment.clone());
        if let Some(identity) = &self.identity {
            environment.extend(identity.environment.iter().cloned());
        }
        let loopback = draw_loopback();
        let given = container.args.iter().flatten();
        let arguments = given.map(|argument| expand(argument, &variables)).collect();
        environment.extend(variables);
        Ok(ProcessBody {
            program: controller.program.clone(),
            arguments: bind_to(arguments, loopback),
            environment,
            loopback,
            ports,
            address,
            grace: self.grace(),
            sockets: self.cx.sockets.clone(),
            logs: self.cx.logs.clone(),
            name,
            log_folder: folder,
            watchdog: self.cx.watchdog.clone(),
        })
    }

    fn grace(&self) -> Duration {
        let pod = self.pod();
        let seconds = pod.metadata.deletion_grace_period_seconds.or(pod
            .spec
            .as_ref()
            .and_then(|spec| spec.termination_grace_period_seconds));
        seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(GRACE, Duration::from_secs)
    }

    /// Writes the status if it changed; tells whether it is written.
    async fn report(&mut self) -> bool {
        let pod = self.pod();
        let mut views: Vec<View> = self
            .views
            .iter_mut()
            .map(|view| view.borrow_and_update().clone())
            .collect();
        let count = pod.spec.as_ref().map_or(0, |spec| spec.containers.len());
        views.resize(count, View::waiting());
        let seen = Seen {
            address: self.address,
            node: self.node.address,
            since: self.since,
            containers: &views,
            now: Timestamp::now(),
        };
        self.warn(&pod, &views).await;
        let status = status(&pod, &seen, &mut self.conditions);
        if self.reported.as_ref() == Some(&status) {
            return true;
        }
        // The uid keeps a pod's status from a namesake that came after it.
        let patch = json!({"metadata": {"uid": self.uid}, "status": status});
        let written = self
            .api
            .patch_status(
                &self.name,
                &PatchParams::default(),
                &Patch::Strategic(patch),
            )
            .await;
        match written {
            Ok(_) => self.reported = Some(status),
            Err(kube::Error::Api(answer)) if answer.code == 404 || answer.code == 409 => {}
            Err(error) => {
                tracing::warn!(pod = self.name, "cannot report the status: {error}");
                return false;
            }
        }
        true
    }

    /// Tells in an event what a container waits for, once for each restart.
    async fn warn(&mut self, pod: &Pod, views: &[View]) {
        for (container, view) in pod.spec.iter().flat_map(|spec| &spec.containers).zip(views) {
            let Phase::Waiting(reason, message) = &view.phase else {
                continue;
            };
            if message.is_empty() || !self.warned.insert((container.name.clone(), view.restarts)) {
                continue;
            }
            let ended = view.last.as_ref().map_or("", |last| &last.message);
            let event = Event {
                type_: EventType::Warning,
                reason: (*reason).to_owned(),
                note: Some(format!("{}: {message}. {ended}", container.name)),
                action: "Starting".to_owned(),
                secondary: None,
            };
            let published = self.cx.events.publish(&event, &pod.object_ref(&())).await;
            if let Err(error) = published {
                tracing::debug!(pod = self.name, "cannot publish an event: {error}");
            }
        }
    }

    /// Ends the containers and, if the object is marked for deletion, it too.
    async fn end(&mut self, end: End, gone: &CancellationToken) {
        let grace = match end {
            End::Deleted => self.grace(),
            End::Gone => Duration::ZERO,
            End::Sandbox => GRACE_AT_STOP,
        };
        let deadline = tokio::time::Instant::now() + grace;
        if matches!(end, End::Deleted) {
            let hook = self.pre_stop().min(grace);
            let _ = tokio::time::timeout(hook, gone.cancelled()).await;
        }
        self.stop.term.cancel();
        let ended = async { while self.containers.join_next().await.is_some() {} };
        tokio::select! {
            () = ended => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = gone.cancelled() => {}
        }
        self.stop.kill.cancel();
        while self.containers.join_next().await.is_some() {}
        if matches!(end, End::Deleted) {
            self.report().await;
            self.delete().await;
        }
        for container in self.pod().spec.iter().flat_map(|spec| &spec.containers) {
            self.cx.logs.forget(&ContainerName {
                namespace: self.namespace.clone(),
                pod: self.name.clone(),
                container: container.name.clone(),
            });
        }
        if let Some(address) = self.address
            && address != self.node.address
        {
            self.cx.cloud.release(&self.node.instance, address);
        }
    }

    /// How long the `preStop` hooks take: those that only sleep are played.
    fn pre_stop(&self) -> Duration {
        let pod = self.pod();
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        containers.map(hook_sleep).max().unwrap_or_default()
    }

    /// Takes the object away for good, as often as it takes.
    async fn delete(&self) {
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions {
                uid: Some(self.uid.clone()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        while !self.cx.shutdown.is_cancelled() {
            match self.api.delete(&self.name, &params).await {
                Ok(_) => return,
                Err(kube::Error::Api(answer)) if answer.code == 404 || answer.code == 409 => return,
                Err(error) => tracing::warn!(pod = self.name, "cannot delete the pod: {error}"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// The container is one of the controller's own image.
fn is_controller(container: &Container) -> bool {
    container
        .image
        .as_ref()
        .is_some_and(|image| image.contains(CONTROLLER_IMAGE))
}

/// Waits until one of the views changes; for ever if there is none.
async fn changed(views: &mut [watch::Receiver<View>]) {
    // A view whose container has ended changes no more.
    let waits: Vec<_> = views
        .iter_mut()
        .map(|view| {
            async move {
                if view.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            .boxed()
        })
        .collect();
    if waits.is_empty() {
        std::future::pending::<()>().await;
    }
    select_all(waits).await;
}
