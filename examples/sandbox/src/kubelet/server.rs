//! The kubelet's own HTTPS port, where the API server fetches logs for
//! `kubectl logs`. Only the API server may ask: it shows a certificate of the
//! control plane's authority.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::Stream;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_util::task::AbortOnDropHandle;

use super::logs::{ContainerName, Line, Log, Logs};
use crate::control_plane::certificates::Identity;

/// Serves logs until dropped.
pub struct LogServer {
    /// The port on loopback.
    pub port: u16,
    _serving: AbortOnDropHandle<()>,
}

impl LogServer {
    /// Binds a free port and serves `logs` there to clients that `ca_pem` vouches for.
    ///
    /// # Errors
    /// When a certificate cannot be read or no port is free.
    pub async fn start(logs: Logs, identity: &Identity, ca_pem: &str) -> anyhow::Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(tls(identity, ca_pem)?));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let router = Router::new()
            .route("/containerLogs/{namespace}/{pod}/{container}", get(answer))
            .with_state(logs);
        let serving = tokio::spawn(serve(listener, acceptor, router));
        Ok(Self {
            port,
            _serving: AbortOnDropHandle::new(serving),
        })
    }
}

fn tls(identity: &Identity, ca_pem: &str) -> anyhow::Result<ServerConfig> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes())
        .context("the authority's certificate is no PEM")?;
    roots.add(ca)?;
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
    let chain = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .context("the kubelet's certificate is no PEM")?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())
        .context("the kubelet's key is no PEM")?;
    Ok(ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)?)
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, router: Router) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, mostly: later there may be some.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let (acceptor, router) = (acceptor.clone(), router.clone());
        tokio::spawn(async move {
            // A client that is refused or goes away has seen why itself.
            if let Ok(stream) = acceptor.accept(stream).await {
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
                    .await;
            }
        });
    }
}

/// What `kubectl logs` asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wanted {
    follow: bool,
    previous: bool,
    timestamps: bool,
    tail_lines: Option<u64>,
    since_seconds: Option<i64>,
    since_time: Option<Timestamp>,
    limit_bytes: Option<usize>,
}

async fn answer(
    State(logs): State<Logs>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let name = ContainerName {
        namespace,
        pod,
        container,
    };
    let Some(log) = logs.of(&name, wanted.previous) else {
        let message = if wanted.previous {
            "the container has not been started again: it has no previous log\n"
        } else {
            "the container has not been started\n"
        };
        return (StatusCode::NOT_FOUND, message).into_response();
    };
    Body::from_stream(lines(log, wanted)).into_response()
}

/// The wanted lines as they come: what is there, then, if followed, the rest.
fn lines(log: Log, wanted: Wanted) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let since = match (wanted.since_time, wanted.since_seconds) {
        (Some(time), _) => Some(time),
        (None, Some(seconds)) => Timestamp::now()
            .checked_sub(SignedDuration::from_secs(seconds))
            .ok(),
        (None, None) => None,
    };
    let next = wanted.tail_lines.map_or(0, |count| log.tail(count));
    let left = wanted.limit_bytes.unwrap_or(usize::MAX);
    let progress = log.follow();
    let start = (log, progress, next, left, false);
    futures::stream::unfold(start, move |(log, mut progress, next, left, ended)| {
        let (follow, timestamps) = (wanted.follow, wanted.timestamps);
        async move {
            if ended || left == 0 {
                return None;
            }
            // Read before the lines: a line that comes in between is not lost.
            let seen = *progress.borrow_and_update();
            let fresh = log.since(next);
            let next = fresh.last().map_or(next, |line| line.number + 1);
            let mut text: String = fresh
                .iter()
                .filter(|line| since.is_none_or(|since| line.at >= since))
                .map(|line| written(line, timestamps))
                .collect();
            let mut cut = left.min(text.len());
            while !text.is_char_boundary(cut) {
                cut -= 1;
            }
            text.truncate(cut);
            let left = left - cut;
            let mut ended = !follow || seen.ended;
            if !ended && text.is_empty() {
                ended = progress.changed().await.is_err();
            }
            let chunk = Ok(Bytes::from(text));
            Some((chunk, (log, progress, next, left, ended)))
        }
    })
}

fn written(line: &Line, timestamps: bool) -> String {
    if timestamps {
        format!("{:.9} {}\n", line.at, line.text)
    } else {
        format!("{}\n", line.text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use futures::StreamExt;

    async fn all(log: &Log, wanted: Wanted) -> String {
        let chunks: Vec<_> = lines(log.clone(), wanted).collect().await;
        let bytes: Vec<u8> = chunks.into_iter().flat_map(Result::unwrap).collect();
        String::from_utf8(bytes).unwrap()
    }

    #[tokio::test]
    async fn tail_limit_and_time() {
        let log = Log::in_memory();
        for line in ["one", "two", "three"] {
            log.line(line);
        }
        assert_eq!(all(&log, Wanted::default()).await, "one\ntwo\nthree\n");
        let tail = Wanted {
            tail_lines: Some(2),
            ..Wanted::default()
        };
        assert_eq!(all(&log, tail).await, "two\nthree\n");
        let limit = Wanted {
            limit_bytes: Some(5),
            ..Wanted::default()
        };
        assert_eq!(all(&log, limit).await, "one\nt");
        let later = Wanted {
            since_time: Some(Timestamp::MAX),
            ..Wanted::default()
        };
        assert_eq!(all(&log, later).await, "");
    }

    #[tokio::test]
    async fn a_followed_log_gives_lines_as_they_come_until_its_end() {
        let log = Log::in_memory();
        log.line("one");
        let follow = Wanted {
            follow: true,
            ..Wanted::default()
        };
        let writer = log.clone();
        let writing = tokio::spawn(async move {
            tokio::task::yield_now().await;
            writer.line("two");
            tokio::task::yield_now().await;
            writer.line("three");
            writer.end();
        });
        assert_eq!(all(&log, follow).await, "one\ntwo\nthree\n");
        writing.await.unwrap();
    }
}
