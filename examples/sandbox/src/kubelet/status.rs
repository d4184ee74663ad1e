//! The status of a Pod, from its containers. Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::container::{Ended, Phase, View};

/// What is known of a pod besides its object.
#[derive(Debug)]
pub struct Seen<'a> {
    /// Address of the pod, once it has one.
    pub address: Option<Ipv4Addr>,
    /// Address of its node.
    pub node: Ipv4Addr,
    /// When the kubelet took it up.
    pub since: Timestamp,
    /// Its containers, in the order of the spec.
    pub containers: &'a [View],
    /// The present time.
    pub now: Timestamp,
}

/// Remembers since when each condition is as it is.
#[derive(Debug, Default)]
pub struct Conditions(BTreeMap<String, (bool, Timestamp)>);

/// The status of `pod`.
pub fn status(pod: &Pod, seen: &Seen<'_>, conditions: &mut Conditions) -> PodStatus {
    let spec = pod.spec.as_ref();
    let names = spec.map_or(&[][..], |spec| &spec.containers);
    let ready = seen.containers.iter().all(|view| view.ready);
    let gates_open = spec
        .and_then(|spec| spec.readiness_gates.as_ref())
        .into_iter()
        .flatten()
        .all(|gate| is_true(pod, &gate.condition_type));
    let (waiting, unready) = ("ContainersNotReady", "ReadinessGatesNotReady");
    let all = [
        ("PodReadyToStartContainers", seen.address.is_some(), waiting),
        ("Initialized", true, waiting),
        ("ContainersReady", ready, waiting),
        (
            "Ready",
            ready && gates_open,
            if ready { unready } else { waiting },
        ),
    ];
    PodStatus {
        phase: Some(phase(seen.containers).to_owned()),
        host_ip: Some(seen.node.to_string()),
        host_ips: Some(vec![HostIP {
            ip: seen.node.to_string(),
        }]),
        pod_ip: seen.address.map(|address| address.to_string()),
        pod_ips: seen.address.map(|address| {
            vec![PodIP {
                ip: address.to_string(),
            }]
        }),
        start_time: Some(Time(seen.since)),
        conditions: Some(
            all.into_iter()
                .map(|(kind, holds, reason)| PodCondition {
                    type_: kind.to_owned(),
                    status: if holds { "True" } else { "False" }.to_owned(),
                    reason: (!holds).then(|| reason.to_owned()),
                    last_transition_time: Some(Time(conditions.since(kind, holds, seen.now))),
                    ..PodCondition::default()
                })
                .collect(),
        ),
        container_statuses: Some(
            names
                .iter()
                .zip(seen.containers)
                .map(|(container, view)| {
                    let image = container.image.clone().unwrap_or_default();
                    container_status(&container.name, image, view)
                })
                .collect(),
        ),
        ..PodStatus::default()
    }
}

impl Conditions {
    fn since(&mut self, kind: &str, holds: bool, now: Timestamp) -> Timestamp {
        let entry = self.0.entry(kind.to_owned()).or_insert((holds, now));
        if entry.0 != holds {
            *entry = (holds, now);
        }
        entry.1
    }
}

fn is_true(pod: &Pod, kind: &str) -> bool {
    pod.status
        .as_ref()
        .and_then(|status| status.conditions.as_ref())
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == kind && condition.status == "True")
}

fn phase(containers: &[View]) -> &'static str {
    let ended: Vec<&Ended> = containers
        .iter()
        .filter_map(|view| match &view.phase {
            Phase::Ended(ended) => Some(ended),
            _ => None,
        })
        .collect();
    if !containers.is_empty() && ended.len() == containers.len() {
        if ended.iter().all(|ended| ended.exit_code == 0) {
            "Succeeded"
        } else {
            "Failed"
        }
    } else if containers
        .iter()
        .all(|view| matches!(view.phase, Phase::Waiting(..)) && view.last.is_none())
    {
        "Pending"
    } else {
        "Running"
    }
}

fn container_status(name: &str, image: String, view: &View) -> ContainerStatus {
    let mut state = ContainerState::default();
    match &view.phase {
        Phase::Waiting(reason, message) => {
            state.waiting = Some(ContainerStateWaiting {
                reason: Some((*reason).to_owned()),
                message: Some(message.clone()).filter(|message| !message.is_empty()),
            });
        }
        Phase::Running(since) => {
            state.running = Some(ContainerStateRunning {
                started_at: Some(Time(*since)),
            });
        }
        Phase::Ended(ended) => state.terminated = Some(terminated(ended)),
    }
    ContainerStatus {
        name: name.to_owned(),
        image_id: format!("sandbox://{image}"),
        image,
        ready: view.ready,
        started: Some(view.started),
        restart_count: view.restarts,
        state: Some(state),
        last_state: view.last.as_ref().map(|ended| ContainerState {
            terminated: Some(terminated(ended)),
            ..ContainerState::default()
        }),
        ..ContainerStatus::default()
    }
}

fn terminated(ended: &Ended) -> ContainerStateTerminated {
    ContainerStateTerminated {
        exit_code: ended.exit_code,
        reason: Some(
            if ended.exit_code == 0 {
                "Completed"
            } else {
                "Error"
            }
            .to_owned(),
        ),
        message: Some(ended.message.clone()).filter(|message| !message.is_empty()),
        started_at: Some(Time(ended.since)),
        finished_at: Some(Time(ended.at)),
        ..ContainerStateTerminated::default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn pod(gates: serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "spec": {"containers": [{"name": "c", "image": "i"}], "readinessGates": gates},
            "status": {"conditions": [{"type": "gate/open", "status": "True"}]},
        }))
        .unwrap()
    }

    fn view(phase: Phase, ready: bool) -> View {
        View {
            phase,
            ready,
            ..View::waiting()
        }
    }

    fn of(pod: &Pod, view: View, now: i64, conditions: &mut Conditions) -> PodStatus {
        let seen = Seen {
            address: Some(Ipv4Addr::new(10, 0, 48, 11)),
            node: Ipv4Addr::new(10, 0, 48, 10),
            since: at(0),
            containers: &[view],
            now: at(now),
        };
        status(pod, &seen, conditions)
    }

    fn condition<'a>(status: &'a PodStatus, kind: &str) -> &'a PodCondition {
        let mut all = status.conditions.as_ref().unwrap().iter();
        all.find(|condition| condition.type_ == kind).unwrap()
    }

    #[test]
    fn ready_needs_containers_and_gates() {
        let running = || view(Phase::Running(at(1)), true);
        let cases = [
            (json!([]), running(), "True"),
            (json!([{"conditionType": "gate/open"}]), running(), "True"),
            (json!([{"conditionType": "gate/shut"}]), running(), "False"),
            (json!([]), view(Phase::Running(at(1)), false), "False"),
        ];
        for (gates, view, expected) in cases {
            let status = of(&pod(gates.clone()), view, 1, &mut Conditions::default());
            assert_eq!(condition(&status, "Ready").status, expected, "{gates}");
        }
    }

    #[test]
    fn a_condition_keeps_its_time_until_it_changes() {
        let pod = pod(json!([]));
        let mut conditions = Conditions::default();
        let mut since = |ready, now| {
            let status = of(
                &pod,
                view(Phase::Running(at(0)), ready),
                now,
                &mut conditions,
            );
            let since = condition(&status, "Ready").last_transition_time.clone();
            since.unwrap().0
        };
        assert_eq!(since(false, 1), at(1));
        assert_eq!(since(false, 2), at(1));
        assert_eq!(since(true, 3), at(3));
    }

    #[test]
    fn phases() {
        let ended = |exit_code| {
            Phase::Ended(Ended {
                exit_code,
                since: at(0),
                at: at(1),
                message: String::new(),
            })
        };
        assert_eq!(phase(&[View::waiting()]), "Pending");
        assert_eq!(phase(&[view(Phase::Running(at(0)), false)]), "Running");
        assert_eq!(phase(&[view(ended(0), false)]), "Succeeded");
        assert_eq!(
            phase(&[view(ended(0), false), view(ended(1), false)]),
            "Failed"
        );
        let Phase::Ended(last) = ended(1) else {
            return;
        };
        let crashed = View {
            last: Some(last),
            ..View::waiting()
        };
        assert_eq!(phase(&[crashed]), "Running");
    }
}
