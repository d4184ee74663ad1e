//! Connections of Network Load Balancers: each goes whole to one target.
//!
//! TCP is carried as it comes, TLS ends here. Datagrams (UDP, QUIC) are not
//! carried. Targets see this machine as the client, unless the group sends the
//! header of the PROXY protocol.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::activity::Activity;
use super::course::Arrival;
use super::route::listener_of;
use super::targets::candidates;
use super::tls;
use super::upstream::Stream;
use super::zones::zone_of_node;
use crate::state::{ActionKind, HealthState, Protocol, State, TargetGroup, TargetKey};

/// A client has this long for its TLS handshake, a target for its connection.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The health of a target with open connections is looked at this often.
const LOOK: Duration = Duration::from_millis(500);

/// `tcp.idle_timeout.seconds` where it is not set.
const IDLE_S: u64 = 350;

/// The beginning of a header of the PROXY protocol, version 2.
const PROXY: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Whether connections of a protocol are carried.
pub(super) fn is_carried(protocol: Protocol) -> bool {
    matches!(
        protocol,
        Protocol::Tcp | Protocol::TcpUdp | Protocol::Tls | Protocol::TcpQuic
    )
}

/// Where a connection goes.
#[derive(Debug)]
struct Course {
    /// ARN of the target group.
    group: String,
    target: TargetKey,
    /// Whether the target speaks TLS.
    tls: bool,
    /// Whether the header of the PROXY protocol goes before all else.
    proxy: bool,
    /// Whether the connection ends when the target's time to drain is over.
    ends_with_draining: bool,
    /// Whether the connection ends when the target becomes unhealthy.
    ends_with_health: bool,
    /// What the listener negotiates as protocol inside of TLS, the best first.
    alpn: &'static [&'static [u8]],
    /// The connection ends when nothing has come either way for so long.
    idle: Duration,
}

/// Carries a connection that came to a listener to a target, and ends it
/// when one side does.
///
/// # Errors
/// No target takes it, or it broke.
pub(super) async fn carry(
    shared: &Shared,
    arrival: &Arrival,
    client: TcpStream,
) -> anyhow::Result<()> {
    let state = shared.state.of_arn(&arrival.listener);
    let now = shared.state.now();
    let decided = state.read(|state| {
        let course = decide(state, arrival, now)?;
        // Under the lock: the target is registered at this moment.
        let departed = shared.departures.watch(&course.group, &course.target);
        Some((course, departed))
    });
    let Some((course, departed)) = decided else {
        return refuse(&client, "there is no target");
    };
    let local = client.local_addr()?;
    if arrival.protocol == Protocol::Tls {
        let mut config = state.read(|state| tls::server(state, &arrival.listener))?;
        config.alpn_protocols = course.alpn.iter().map(|word| word.to_vec()).collect();
        let accept = TlsAcceptor::from(Arc::new(config)).accept(client);
        let client = timeout(HANDSHAKE, accept).await??;
        let target = open(shared, &course, arrival.peer, local).await?;
        return course.carry(shared, departed, client, target).await;
    }
    match open(shared, &course, arrival.peer, local).await {
        Ok(target) => course.carry(shared, departed, client, target).await,
        Err(error) => refuse(&client, &error.to_string()),
    }
}

/// Ends a connection as one that nobody takes: with a reset.
fn refuse(client: &TcpStream, why: &str) -> anyhow::Result<()> {
    client.set_zero_linger()?;
    anyhow::bail!("connection is refused: {why}")
}

/// The target of a connection, by the listener's only action; `None` when there
/// is none. A client comes to the same target with the same address and port,
/// in a sticky group with the same address.
fn decide(state: &State, arrival: &Arrival, now: jiff::Timestamp) -> Option<Course> {
    let (balancer, listener) = listener_of(state, &arrival.listener)?;
    let Some(ActionKind::Forward(forward)) = listener.default_actions.first().map(|it| &it.kind)
    else {
        return None;
    };
    let group = state
        .target_groups
        .get(&forward.target_groups.first()?.arn)?;
    let zone = zone_of_node(state, balancer, group, &arrival.node, now);
    let stale = state.is_stale(&arrival.listener);
    let candidates = candidates(state, group, zone, stale, now).targets;
    let set = |key: &str| {
        group
            .attributes
            .get(key)
            .is_some_and(|value| value == "true")
    };
    let mut hasher = DefaultHasher::new();
    arrival.listener.hash(&mut hasher);
    arrival.peer.ip().hash(&mut hasher);
    if !set("stickiness.enabled") {
        arrival.peer.port().hash(&mut hasher);
    }
    let count = u64::try_from(candidates.len()).unwrap_or(u64::MAX);
    let place = hasher.finish().checked_rem(count)?;
    let target = candidates.into_iter().nth(usize::try_from(place).ok()?)?;
    let idle = listener.attributes.get("tcp.idle_timeout.seconds");
    let idle = idle
        .and_then(|seconds| seconds.parse().ok())
        .unwrap_or(IDLE_S);
    let unhealthy = "target_health_state.unhealthy.connection_termination.enabled";
    Some(Course {
        group: group.arn.clone(),
        target,
        tls: group.protocol == Some(Protocol::Tls),
        proxy: set("proxy_protocol_v2.enabled"),
        ends_with_draining: set("deregistration_delay.connection_termination.enabled"),
        ends_with_health: group
            .attributes
            .get(unhealthy)
            .is_none_or(|it| it == "true"),
        alpn: match listener.alpn_policy.as_deref() {
            Some("HTTP1Only") => &[b"http/1.1"],
            Some("HTTP2Only") => &[b"h2"],
            Some("HTTP2Optional") => &[b"http/1.1", b"h2"],
            Some("HTTP2Preferred") => &[b"h2", b"http/1.1"],
            _ => &[],
        },
        idle: Duration::from_secs(idle),
    })
}

/// Connects to the target.
async fn open(
    shared: &Shared,
    course: &Course,
    client: SocketAddr,
    local: SocketAddr,
) -> anyhow::Result<Box<dyn Stream>> {
    let TargetKey { id, port } = &course.target;
    // A load balancer as a target is known by its ARN.
    let socket = if id.starts_with("arn:") {
        shared.endpoints.of(id, *port)
    } else {
        shared.addresses.of(id, *port)
    };
    let Some(socket) = socket else {
        anyhow::bail!("no socket is known for {id}:{port} (POST /_sim/addresses tells)");
    };
    let mut stream = timeout(HANDSHAKE, TcpStream::connect(socket)).await??;
    stream.set_nodelay(true)?;
    if course.proxy {
        stream.write_all(&proxy_header(client, local)).await?;
    }
    if !course.tls {
        return Ok(Box::new(stream));
    }
    let connector = TlsConnector::from(Arc::new(tls::client()?));
    let name = ServerName::IpAddress(socket.ip().into());
    let stream = timeout(HANDSHAKE, connector.connect(name, stream)).await??;
    Ok(Box::new(stream))
}

/// The header of the PROXY protocol, version 2, for a TCP connection.
fn proxy_header(client: SocketAddr, local: SocketAddr) -> Vec<u8> {
    // Version 2, a connection on somebody's behalf.
    const COMMAND: u8 = 0x21;
    const TCP_OVER_IPV4: u8 = 0x11;
    const TCP_OVER_IPV6: u8 = 0x21;
    let (family, addresses) = match (client.ip(), local.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            (TCP_OVER_IPV4, [from.octets(), to.octets()].concat())
        }
        (from, to) => {
            let wide = |address: IpAddr| match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                IpAddr::V6(v6) => v6.octets(),
            };
            (TCP_OVER_IPV6, [wide(from), wide(to)].concat())
        }
    };
    let ports = [client.port().to_be_bytes(), local.port().to_be_bytes()].concat();
    let length = u16::try_from(addresses.len() + ports.len()).unwrap_or(u16::MAX);
    let mut header = PROXY.to_vec();
    header.extend([COMMAND, family]);
    header.extend(length.to_be_bytes());
    header.extend(addresses);
    header.extend(ports);
    header
}

impl Course {
    /// Carries bytes both ways until both sides have ended or something ends
    /// the connection.
    async fn carry(
        &self,
        shared: &Shared,
        departed: CancellationToken,
        mut client: impl Stream,
        mut target: Box<dyn Stream>,
    ) -> anyhow::Result<()> {
        let activity = Activity::default();
        let carried = both_ways(&mut client, &mut target, &activity);
        tokio::select! {
            carried = carried => Ok(carried?),
            () = departed.cancelled(), if self.ends_with_draining => {
                anyhow::bail!("the target has left its group")
            }
            () = self.sickness(shared), if self.ends_with_health => {
                anyhow::bail!("the target is unhealthy")
            }
            () = activity.ceased(self.idle) => anyhow::bail!("the connection was idle"),
        }
    }

    /// Ends when the target has become unhealthy; in a group that fails open it
    /// may have been so from the beginning.
    async fn sickness(&self, shared: &Shared) {
        let state = shared.state.of_arn(&self.group);
        let sick = || {
            state.read(|state| {
                let group: Option<&TargetGroup> = state.target_groups.get(&self.group);
                group.is_some_and(|group| {
                    state.target_health(group, &self.target).state == HealthState::Unhealthy
                })
            })
        };
        let mut before = sick();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = sick();
            if now && !before {
                return;
            }
            before = now;
        }
    }
}

/// Carries bytes both ways; a side that has ended its sending still gets the rest.
async fn both_ways(
    client: &mut impl Stream,
    target: &mut Box<dyn Stream>,
    activity: &Activity,
) -> io::Result<()> {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_target, mut to_target) = tokio::io::split(target);
    let there = one_way(&mut from_client, &mut to_target, activity);
    let back = one_way(&mut from_target, &mut to_client, activity);
    tokio::try_join!(there, back)?;
    Ok(())
}

async fn one_way(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    activity: &Activity,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        activity.touch();
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
        to.flush().await?;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_proxy_protocol() {
        let header = proxy_header(
            "192.0.2.7:5123".parse().unwrap(),
            "127.64.0.1:443".parse().unwrap(),
        );
        assert_eq!(header[..12], PROXY);
        assert_eq!(header[12..16], [0x21, 0x11, 0, 12]);
        assert_eq!(header[16..24], [192, 0, 2, 7, 127, 64, 0, 1]);
        assert_eq!(header[24..], [0x14, 0x03, 0x01, 0xBB]);
        let wide = proxy_header(
            "[2001:db8::7]:1".parse().unwrap(),
            "127.64.0.1:2".parse().unwrap(),
        );
        assert_eq!(wide[12..16], [0x21, 0x21, 0, 36]);
        assert_eq!(wide.len(), 16 + 36);
    }
}
