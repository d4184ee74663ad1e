//! `GET /_sim/events`: calls and changes of state as they happen, as
//! server-sent events.
//!
//! An event `call` is a call as in `/_sim/log`. An event `state` says that
//! something has come into another state by itself or by a call, with the state
//! before and after, absent for what is new or gone. Every event has as its id
//! how many calls had been answered; `since` with an id tells the calls after it
//! again.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use axum::{
    extract::{Query, State as Extract},
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, stream};
use serde::{Deserialize, Serialize};

use crate::{control::Control, journal::Call, state::State};

/// States are compared no more often than this.
const PACE: Duration = Duration::from_millis(50);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Since {
    /// Id of the last event that was seen; absent for none of the past.
    since: Option<u64>,
}

/// A thing that has come into another state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Change {
    resource: String,
    before: Option<String>,
    after: Option<String>,
}

/// What is told.
enum Told {
    Call(Box<Call>),
    State(Change),
}

/// The things that have states, by name.
type Summary = BTreeMap<String, String>;

/// One listener, from a position on.
struct Following {
    control: Control,
    recorded: u64,
    summary: Summary,
}

/// Streams what happens.
pub(crate) async fn events(
    Extract(control): Extract<Control>,
    Query(since): Query<Since>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let recorded = since
        .since
        .unwrap_or_else(|| *control.journal.recorded().borrow());
    let following = Following {
        recorded,
        summary: control.state.everywhere(summary),
        control,
    };
    let batches = stream::unfold(following, |mut following| async move {
        let told = following.next().await;
        Some((stream::iter(told), following))
    });
    let events = futures::StreamExt::flatten(batches);
    Sse::new(events).keep_alive(KeepAlive::default())
}

impl Following {
    /// Waits for something to tell.
    async fn next(&mut self) -> Vec<Result<Event, Infallible>> {
        let mut recorded = self.control.journal.recorded();
        let mut changes = self.control.state.changes();
        loop {
            recorded.borrow_and_update();
            changes.borrow_and_update();
            let (calls, now) = self.control.journal.recorded_after(self.recorded);
            let first = now - calls.len() as u64;
            let calls = (first + 1..).zip(calls.into_iter().map(|c| Told::Call(Box::new(c))));
            let mut told: Vec<(u64, Told)> = calls.collect();
            self.recorded = now;
            let summary = self.control.state.everywhere(summary);
            let changed = differences(&self.summary, &summary);
            told.extend(changed.into_iter().map(|change| (now, Told::State(change))));
            self.summary = summary;
            if !told.is_empty() {
                return told
                    .into_iter()
                    .map(|(id, told)| Ok(event(id, &told)))
                    .collect();
            }
            tokio::select! {
                _ = recorded.changed() => {}
                _ = changes.changed() => {}
            }
            tokio::time::sleep(PACE).await;
        }
    }
}

fn event(id: u64, told: &Told) -> Event {
    let event = Event::default().id(id.to_string());
    let (kind, data) = match told {
        Told::Call(call) => ("call", serde_json::to_string(call)),
        Told::State(change) => ("state", serde_json::to_string(change)),
    };
    event.event(kind).data(data.unwrap_or_default())
}

/// What has states, with them.
fn summary(states: &[&State]) -> Summary {
    let mut all = Summary::new();
    for state in states {
        for (arn, balancer) in &state.load_balancers {
            all.insert(arn.clone(), balancer.state.as_str().to_owned());
        }
        for (arn, group) in &state.target_groups {
            let health_of = state.group_health(group);
            for key in group.targets.keys() {
                let health = health_of.of(key);
                let text = match health.reason {
                    Some(reason) => format!("{} ({reason})", health.state.as_str()),
                    None => health.state.as_str().to_owned(),
                };
                all.insert(format!("{arn} {}:{}", key.id, key.port), text);
            }
        }
        for (id, change) in &state.changes {
            let status = if change.insync { "INSYNC" } else { "PENDING" };
            all.insert(format!("/change/{id}"), status.to_owned());
        }
        for (arn, certificate) in &state.certificates {
            all.insert(arn.clone(), certificate.status.as_str().to_owned());
        }
        for (id, instance) in &state.instances {
            all.insert(id.clone(), instance.state.as_str().to_owned());
        }
    }
    all
}

fn differences(before: &Summary, after: &Summary) -> Vec<Change> {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| Change {
            resource: name.clone(),
            before: before.get(name).cloned(),
            after: after.get(name).cloned(),
        })
        .collect()
}
