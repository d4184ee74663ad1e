//! A proxy before the API server, for one controller: it can hold or lose the
//! answer to a write, be late with watches, repeat and swallow their events,
//! and be away.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::channel::mpsc;
use futures::{SinkExt as _, StreamExt as _};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use kube::Client;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// It is held and nothing is done.
    Before,
    /// It is carried out and its answer is held, until it is let go.
    After,
    /// It is carried out and its answer is lost.
    Lost,
}

/// Which writes meet a blow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// All but those of Leases.
    Any,
    /// Those by which a Lease is made, taken or renewed.
    Lease,
    /// Those by which a Lease is given back.
    Release,
}

impl Write {
    /// What a request is, if it writes.
    fn of(method: &Method, path: &str, body: &[u8]) -> Option<Self> {
        if *method == Method::GET {
            return None;
        }
        if !path.contains("/leases") {
            return Some(Self::Any);
        }
        let lease: Value = serde_json::from_slice(body).unwrap_or_default();
        if lease["spec"]["holderIdentity"] == "" {
            Some(Self::Release)
        } else {
            Some(Self::Lease)
        }
    }
}

/// How watches are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watches {
    /// As the API server says.
    Sound,
    /// Nothing comes until they are sound again; then all of it.
    Late,
    /// Every event comes again, with the one before it in between.
    Repeating,
    /// Nothing comes, and when they are sound again, those that missed
    /// something end with 410 Gone.
    Missing,
}

/// The proxy; ends when dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    kubeconfig: NamedTempFile,
    server: JoinHandle<()>,
}

struct Shared {
    client: Client,
    state: Mutex<State>,
    away: watch::Sender<bool>,
    watches: watch::Sender<Watches>,
    /// Told when a held answer is to come.
    let_go: Notify,
}

#[derive(Default)]
struct State {
    /// A blow, and how many writes pass before it.
    blow: Option<(Write, Blow, u64)>,
    met: Option<String>,
    writes: Vec<String>,
    /// End of a path; the next question that has it is never answered.
    mute: Option<&'static str>,
    /// Beginning of paths that lead nowhere.
    missing: Option<&'static str>,
}

type Body = UnsyncBoxBody<Bytes, io::Error>;

impl Proxy {
    /// Starts one that asks with the rights of a client.
    pub async fn start(client: Client) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            client,
            state: Mutex::default(),
            away: watch::Sender::new(false),
            watches: watch::Sender::new(Watches::Sound),
            let_go: Notify::new(),
        });
        let server = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self {
            shared,
            kubeconfig: kubeconfig(address),
            server,
        }
    }

    /// The flag that makes a controller use it.
    pub fn flag(&self) -> String {
        format!("--kubeconfig={}", self.kubeconfig.path().display())
    }

    /// Deals a blow to a write to come.
    pub fn strike(&self, write: Write, blow: Blow, skip: u64) {
        let mut state = self.shared.state();
        state.blow = Some((write, blow, skip));
        state.met = None;
    }

    /// From now on all paths that begin so lead nowhere.
    pub fn without(&self, beginning: &'static str) {
        self.shared.state().missing = Some(beginning);
    }

    /// The write that met the last blow.
    pub fn met(&self) -> Option<String> {
        self.shared.state().met.clone()
    }

    /// Whether the last blow still waits for its write.
    pub fn waits(&self) -> bool {
        self.shared.state().blow.is_some()
    }

    /// Takes back a blow that nobody met.
    pub fn spare(&self) {
        self.shared.state().blow = None;
    }

    /// Lets the answer come that is held after its write was carried out.
    pub fn let_go(&self) {
        self.shared.let_go.notify_one();
    }

    /// All writes so far, those of Leases left out.
    pub fn writes(&self) -> Vec<String> {
        self.shared.state().writes.clone()
    }

    /// The next question whose path ends so is never answered.
    pub fn mute(&self, end: &'static str) {
        self.shared.state().mute = Some(end);
    }

    /// Whether that question has not come yet.
    pub fn is_mute(&self) -> bool {
        self.shared.state().mute.is_some()
    }

    /// Goes away, with every connection, or comes back.
    pub fn away(&self, away: bool) {
        self.shared.away.send_replace(away);
    }

    /// Sets how watches are.
    pub fn watches(&self, watches: Watches) {
        self.shared.watches.send_replace(watches);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
        self.shared.away.send_replace(true);
    }
}

fn kubeconfig(address: SocketAddr) -> NamedTempFile {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "proxy",
        "clusters": [{ "name": "proxy", "cluster": { "server": format!("http://{address}") } }],
        "users": [{ "name": "proxy", "user": {} }],
        "contexts": [{ "name": "proxy", "context": { "cluster": "proxy", "user": "proxy" } }],
    });
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config.to_string()).unwrap();
    file
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        if !*shared.away.borrow() {
            tokio::spawn(connection(stream, Arc::clone(&shared)));
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let mut away = shared.away.subscribe();
    let service = service_fn(|request| answer(request, Arc::clone(&shared)));
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = connection => {}
        _ = away.wait_for(|away| *away) => {}
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a question is the one that is never answered.
    fn falls_silent(&self, path: &str) -> bool {
        let mut state = self.state();
        state.mute.take_if(|end| path.ends_with(*end)).is_some()
    }

    /// Whether a path leads nowhere.
    fn is_missing(&self, path: &str) -> bool {
        let missing = self.state().missing;
        missing.is_some_and(|beginning| path.starts_with(beginning))
    }

    /// Notes a write, and answers the blow that it meets.
    fn blow(&self, kind: Write, write: &str) -> Option<Blow> {
        let mut state = self.state();
        if kind == Write::Any {
            state.writes.push(write.to_owned());
        }
        let (_, blow, skip) = state.blow.as_mut().filter(|(of, ..)| *of == kind)?;
        if *skip > 0 {
            *skip -= 1;
            return None;
        }
        let blow = *blow;
        state.blow = None;
        Some(blow)
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> io::Result<Response<Body>> {
    let path = request.uri().path().to_owned();
    if shared.is_missing(&path) {
        return Ok(nowhere());
    }
    let is_watch = request.uri().query().is_some_and(|q| q.contains("watch="));
    let (mut head, body) = request.into_parts();
    head.headers.remove(hyper::header::HOST);
    head.headers.remove(hyper::header::CONTENT_LENGTH);
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let kind = Write::of(&head.method, &path, &body);
    let write = format!("{} {path}", head.method);
    let blow = kind.and_then(|kind| shared.blow(kind, &write));
    if blow == Some(Blow::Before) {
        shared.state().met = Some(write);
        return std::future::pending().await;
    }
    if kind.is_none() && shared.falls_silent(&path) {
        return std::future::pending().await;
    }
    let request = Request::from_parts(head, kube::client::Body::from(body));
    let answer = shared
        .client
        .send(request)
        .await
        .map_err(io::Error::other)?;
    let (mut head, body) = answer.into_parts();
    if is_watch && head.status.is_success() {
        let (sender, receiver) = mpsc::channel(16);
        tokio::spawn(watched(body, sender, shared.watches.subscribe()));
        let frames = receiver.map(|line: String| Ok(Frame::data(Bytes::from(line))));
        return Ok(Response::from_parts(
            head,
            StreamBody::new(frames).boxed_unsync(),
        ));
    }
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    if let Some(blow) = blow {
        shared.state().met = Some(write);
        if blow == Blow::Lost {
            return Err(io::Error::other("lost on purpose"));
        }
        shared.let_go.notified().await;
    }
    head.headers.remove(hyper::header::TRANSFER_ENCODING);
    let body = Full::new(body).map_err(|never: Infallible| match never {});
    Ok(Response::from_parts(head, body.boxed_unsync()))
}

/// What the API server says of a kind that it does not know.
fn nowhere() -> Response<Body> {
    let body = Full::new(Bytes::from("404 page not found\n"));
    let body = body.map_err(|never: Infallible| match never {});
    let mut answer = Response::new(body.boxed_unsync());
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}

/// Passes the lines of a watch on until either side ends.
async fn watched(
    body: kube::client::Body,
    mut to: mpsc::Sender<String>,
    mut watches: watch::Receiver<Watches>,
) {
    let mut data = body.into_data_stream();
    let mut rest = Vec::new();
    let mut last = String::new();
    let mut missed = false;
    loop {
        let chunk = tokio::select! {
            chunk = data.next() => chunk,
            changed = watches.changed() => {
                let sound = *watches.borrow() == Watches::Sound;
                if changed.is_err() || (missed && sound) {
                    let _ = to.send(gone()).await;
                    return;
                }
                continue;
            }
        };
        let Some(Ok(chunk)) = chunk else {
            return;
        };
        rest.extend_from_slice(&chunk);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let line = String::from_utf8(line).unwrap();
            let now = *watches.borrow();
            let lines = match now {
                Watches::Sound => vec![line],
                Watches::Late => {
                    if watches.wait_for(|now| *now != Watches::Late).await.is_err() {
                        return;
                    }
                    vec![line]
                }
                Watches::Repeating if last.is_empty() || is_bookmark(&line) => vec![line],
                Watches::Repeating => vec![line.clone(), last.clone(), line],
                Watches::Missing => {
                    missed = true;
                    continue;
                }
            };
            for line in lines {
                if !is_bookmark(&line) {
                    last.clone_from(&line);
                }
                if to.send(line).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn is_bookmark(line: &str) -> bool {
    let event: Value = serde_json::from_str(line).unwrap_or_default();
    event["type"] == "BOOKMARK"
}

/// What the API server says when it no longer has what came since.
fn gone() -> String {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version", "reason": "Expired", "code": 410,
    });
    format!("{}\n", json!({ "type": "ERROR", "object": status }))
}
