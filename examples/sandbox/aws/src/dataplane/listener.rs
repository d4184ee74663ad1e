//! The sockets of the listeners.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Shared;
use super::connection::http;
use super::course::Arrival;
use super::network;
use super::route::listener_of;
use super::tls;
use super::zones::Node;
use crate::state::{LoadBalancerState, Protocol, State};

/// Where a listener goes whose own port this user may not bind.
const UNPRIVILEGED: u16 = 20_000;

/// A client has this long for its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A listener that is to have a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) balancer: String,
    pub(super) name: String,
    pub(super) dns_name: String,
    pub(super) port: u16,
    pub(super) protocol: Protocol,
}

/// Every listener of an active load balancer that takes connections, by ARN.
pub(super) fn wanted(state: &State) -> BTreeMap<String, Wanted> {
    state
        .load_balancers
        .values()
        .filter(|balancer| balancer.state == LoadBalancerState::Active)
        .flat_map(|balancer| {
            let listeners = state.served_listeners(balancer).into_iter();
            let spoken = listeners.filter(|listener| {
                listener.protocol.is_http() || network::is_carried(listener.protocol)
            });
            spoken.map(move |listener| {
                let wanted = Wanted {
                    balancer: balancer.arn.clone(),
                    name: balancer.name.clone(),
                    dns_name: balancer.dns_name.clone(),
                    port: listener.port,
                    protocol: listener.protocol,
                };
                (listener.arn.clone(), wanted)
            })
        })
        .collect()
}

/// A listener with its socket.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) wanted: Wanted,
    pub(super) socket: SocketAddr,
    close: DropGuard,
    accepting: JoinHandle<()>,
}

impl Open {
    /// Closes the socket and waits until it is; requests in flight go on.
    pub(super) async fn close(self) {
        drop(self.close);
        // It neither panics nor is it aborted, so it ends here.
        let _ = self.accepting.await;
    }
}

/// Opens the socket of a listener and serves it until the result is dropped.
///
/// Errors when neither the listener's own port nor the one 20000 above it can
/// be bound on `address`.
pub(super) async fn open(
    shared: &Shared,
    arn: &str,
    wanted: Wanted,
    address: Ipv4Addr,
) -> io::Result<Open> {
    let listening = bind(address, wanted.port).await?;
    let socket = listening.local_addr()?;
    let close = shared.stop.child_token();
    let accepting = shared.tasks.spawn(accept(
        shared.clone(),
        arn.to_owned(),
        wanted.clone(),
        listening,
        close.clone(),
    ));
    Ok(Open {
        wanted,
        socket,
        close: close.drop_guard(),
        accepting,
    })
}

async fn bind(address: Ipv4Addr, port: u16) -> io::Result<TcpListener> {
    let own = TcpListener::bind(SocketAddr::new(IpAddr::V4(address), port)).await;
    match (own, port.checked_add(UNPRIVILEGED)) {
        (Err(_), Some(other)) => {
            TcpListener::bind(SocketAddr::new(IpAddr::V4(address), other)).await
        }
        (own, _) => own,
    }
}

async fn accept(
    shared: Shared,
    listener: String,
    wanted: Wanted,
    socket: TcpListener,
    close: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = close.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let arrival = Arrival {
                    listener: listener.clone(),
                    balancer: wanted.balancer.clone(),
                    port: wanted.port,
                    protocol: wanted.protocol,
                    peer,
                    node: Node::any(shared.state.chance()),
                    server_name: None,
                    certificate: None,
                    session: None,
                    client_chain: Vec::new(),
                };
                let connection = connection(shared.clone(), arrival, stream, close.clone());
                shared.tasks.spawn(connection);
            }
            Err(error) => {
                // Out of file descriptors, most likely: wait for some to close.
                tracing::warn!(listener, %error, "cannot accept connections");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(
    shared: Shared,
    mut arrival: Arrival,
    stream: TcpStream,
    close: CancellationToken,
) {
    let (listener, peer) = (arrival.listener.clone(), arrival.peer);
    let served = async {
        stream.set_nodelay(true)?;
        match arrival.protocol {
            Protocol::Https => {
                let state = shared.state.of_arn(&listener);
                let config = state.read(|state| tls::server(state, &listener))?;
                let accept = TlsAcceptor::from(Arc::new(config)).accept(stream);
                let stream = timeout(HANDSHAKE, accept).await??;
                let tls = stream.get_ref().1;
                let asked = tls.server_name();
                arrival.session = tls::session(tls);
                let http2 = tls.alpn_protocol() == Some(tls::HTTP2);
                arrival.server_name = asked.map(str::to_owned);
                let shown = tls.peer_certificates();
                arrival.client_chain = owned(shown.unwrap_or_default());
                arrival.certificate = state.read(|state| {
                    let (_, listener) = listener_of(state, &listener)?;
                    tls::chosen(state, listener, asked).arn
                });
                http(&shared, arrival, stream, close, http2).await
            }
            Protocol::Http => http(&shared, arrival, stream, close, false).await,
            _ => tokio::select! {
                carried = network::carry(&shared, &arrival, stream) => carried,
                () = close.cancelled() => Ok(()),
            },
        }
    };
    tokio::select! {
        served = served => {
            if let Err(error) = served {
                tracing::debug!(listener, %peer, %error, "connection ended early");
            }
        }
        () = shared.stop.cancelled() => {}
    }
}

fn owned(chain: &[CertificateDer<'_>]) -> Vec<CertificateDer<'static>> {
    chain.iter().map(|it| it.clone().into_owned()).collect()
}
