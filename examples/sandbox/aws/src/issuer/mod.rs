//! The test issuer: an OpenID Connect provider on loopback, for what lies
//! outside this AWS and for the domains of Cognito user pools.
//!
//! It speaks HTTPS on a port of its own and tells by the `Host` of a request
//! whom it plays: a user pool for a domain of one, the key server of load
//! balancers for theirs, and for any other name an issuer of that name. Users
//! log in at once; who they are, and what goes wrong, is set under
//! `/_sim/issuer`.

mod control;
mod endpoints;
mod realm;
mod settings;
mod tokens;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub(crate) use self::control::router;
pub(crate) use self::realm::has_domain;
use self::settings::Settings;
use self::tokens::Grant;
use crate::SharedState;
use crate::authority;
use crate::dataplane::tls_key;

/// A client has this long for its handshake, and for each head of a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many codes or tokens are remembered.
const REMEMBERED: usize = 100_000;

/// The names of the certificate for clients that ask for none.
const OWN_NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// The test issuer. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Issuer {
    state: SharedState,
    listener: Arc<Mutex<Option<std::net::TcpListener>>>,
    socket: Option<SocketAddr>,
    memory: Arc<Mutex<Memory>>,
}

/// What it remembers.
#[derive(Debug, Default)]
struct Memory {
    settings: Settings,
    /// Grants by their codes; each is good once.
    codes: HashMap<String, Grant>,
    /// Grants by their refresh tokens.
    refresh_tokens: HashMap<String, Grant>,
    /// Claims by the ids of access tokens.
    claims: HashMap<String, serde_json::Map<String, serde_json::Value>>,
}

impl Memory {
    /// Forgets everybody when there are too many to remember.
    fn forget(&mut self) {
        let all = [
            self.codes.len(),
            self.refresh_tokens.len(),
            self.claims.len(),
        ];
        if all.into_iter().any(|count| count >= REMEMBERED) {
            self.codes.clear();
            self.refresh_tokens.clear();
            self.claims.clear();
        }
    }
}

impl Issuer {
    /// The issuer for these accounts. Takes a free port on loopback at once,
    /// and serves it once [`serve`](Self::serve) runs.
    pub(crate) fn of(state: SharedState) -> Self {
        let bound = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let bound = bound.and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, listener))
        });
        let (socket, listener) = match bound {
            Ok((socket, listener)) => (Some(socket), Some(listener)),
            Err(error) => {
                tracing::warn!(%error, "the test issuer has no port");
                (None, None)
            }
        };
        Self {
            state,
            listener: Arc::new(Mutex::new(listener)),
            socket,
            memory: Arc::default(),
        }
    }

    /// Where it listens; `None` when no port was free.
    pub(crate) fn socket(&self) -> Option<SocketAddr> {
        self.socket
    }

    /// Its URL as an issuer; empty when no port was free.
    pub(crate) fn url(&self) -> String {
        let port = self.socket.map(|socket| socket.port());
        port.map_or_else(String::new, |port| format!("https://localhost:{port}"))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves until `stop`.
    pub(crate) async fn serve(self, stop: CancellationToken) {
        let listener = self
            .listener
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(Ok(listener)) = listener.map(TcpListener::from_std) else {
            return;
        };
        let app = endpoints::router(&self);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (app, stop) = (app.clone(), stop.clone());
                    tokio::spawn(async move {
                        tokio::select! {
                            served = connection(stream, app) => {
                                if let Err(error) = served {
                                    tracing::debug!(%error, "connection to the test issuer ended early");
                                }
                            }
                            () = stop.cancelled() => {}
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the test issuer cannot accept connections");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn connection(stream: TcpStream, app: Router) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()?
    .with_no_client_auth()
    .with_cert_resolver(Arc::new(ByName));
    let accept = TlsAcceptor::from(Arc::new(config)).accept(stream);
    let stream = timeout(PATIENCE, accept).await??;
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
        .await?;
    Ok(())
}

/// Shows each client a certificate for the name that it asks for.
#[derive(Debug)]
struct ByName;

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let names = match hello.server_name() {
            Some(name) if name != "localhost" => vec![name.to_owned()],
            _ => OWN_NAMES.map(str::to_owned).to_vec(),
        };
        let issued = authority::stopgap("test issuer", names).ok()?;
        tls_key(&[&issued.pem, authority::pem().ok()?], &issued.key).ok()
    }
}
