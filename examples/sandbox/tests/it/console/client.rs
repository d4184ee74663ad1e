//! A page without a browser: it follows the console's stream, asks and acts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use http_body_util::BodyExt;
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use sandbox::sent_events::Lines;
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;

use crate::processes::eventually;

/// What a page knows by the stream, in the way that a page puts it together.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) groups: BTreeMap<String, Value>,
    pub(super) loose: Value,
    pub(super) records: Value,
    pub(super) controller: Value,
    pub(super) rate: Value,
    pub(super) story: BTreeMap<String, Value>,
    pub(super) pictures: usize,
}

impl Known {
    fn take(&mut self, kind: &str, data: Value) {
        match kind {
            "picture" => {
                self.pictures += 1;
                self.loose = data["loose"].clone();
                self.records = data["records"].clone();
                self.controller = data["controller"].clone();
                self.groups = data["groups"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|group| (group["key"].as_str().unwrap().to_owned(), group.clone()))
                    .collect();
            }
            "group" => {
                let key = data["key"].as_str().unwrap().to_owned();
                self.groups.insert(key, data);
            }
            "gone" => drop(self.groups.remove(data["key"].as_str().unwrap())),
            "loose" => self.loose = data,
            "records" => self.records = data,
            "controller" => self.controller = data,
            "rate" => self.rate = data,
            "story" => {
                for entry in data.as_array().unwrap() {
                    let id = entry["id"].as_str().unwrap().to_owned();
                    self.story.insert(id, entry.clone());
                }
            }
            other => panic!("an event {other}"),
        }
    }

    /// Targets of a group in a state of health.
    pub(super) fn targets(&self, group: &str, health: &str) -> Vec<Value> {
        let Some(group) = self.groups.get(group) else {
            return Vec::new();
        };
        let groups = group["loadBalancer"]["targetGroups"].as_array();
        let targets = groups.into_iter().flatten();
        let targets = targets.flat_map(|group| group["targets"].as_array().unwrap());
        let of_health = targets.filter(|target| target["health"] == health);
        of_health.cloned().collect()
    }

    /// Entries of a kind about a group.
    pub(super) fn told(&self, group: &str, kind: &str) -> Vec<&Value> {
        let entries = self.story.values();
        entries
            .filter(|entry| entry["group"] == group && entry["kind"] == kind)
            .collect()
    }
}

/// A page that is open.
pub(super) struct Page {
    pub(super) address: SocketAddr,
    known: Arc<Mutex<Known>>,
    _following: AbortOnDropHandle<()>,
}

impl Page {
    pub(super) async fn open(url: &str) -> Self {
        let address: SocketAddr = url
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .parse()
            .unwrap();
        assert!(address.ip().is_loopback());
        let known = Arc::new(Mutex::new(Known::default()));
        let stream = send(address, Method::GET, "/api/stream", &[], "").await;
        assert_eq!(stream.status(), 200);
        let shared = known.clone();
        let following = tokio::spawn(async move {
            let mut body = stream.into_body();
            let mut lines = Lines::default();
            while let Some(Ok(frame)) = body.frame().await {
                let Some(data) = frame.data_ref() else {
                    continue;
                };
                for event in lines.take(data) {
                    let data = serde_json::from_str(&event.data).unwrap();
                    shared.lock().unwrap().take(&event.kind, data);
                }
            }
        });
        Self {
            address,
            known,
            _following: AbortOnDropHandle::new(following),
        }
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.known.lock().unwrap())
    }

    pub(super) async fn sees(&self, what: &str, look: impl Fn(&Known) -> bool) {
        eventually(what, async || self.look(&look)).await;
    }

    pub(super) async fn ask(&self, method: Method, path: &str, body: &Value) -> (u16, String) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        text(send(self.address, method, path, &[], &body).await).await
    }

    pub(super) async fn tries(&self, action: &str) -> String {
        let path = format!("/api/actions/{action}");
        let (status, said) = self.ask(Method::POST, &path, &Value::Null).await;
        assert_eq!(status, 200, "{action}: {said}");
        said
    }
}

/// Sends a request to the console; `headers` take the place of its own `Host`.
pub(super) async fn send(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Response<hyper::body::Incoming> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    client.request(request).await.unwrap()
}

pub(super) async fn text(response: Response<hyper::body::Incoming>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}
