//! DNS over UDP on loopback: the names of the load balancers and the Route 53
//! zones of all accounts.
//!
//! Touches one UDP socket. What is answered is decided in `zone`, which is pure.

mod cache;
mod choice;
mod lookup;
#[cfg(test)]
mod tests;
mod zone;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::DNSClass;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::cache::Cache;
pub use self::lookup::{Lookup, LookupError, lookup};
use self::zone::Known;
use crate::chance::Purpose;
use crate::dataplane::Loopbacks;
use crate::shared::SharedState;

/// Largest answer over UDP that is sent to a client which names a larger one (RFC 9715).
const MAX_PAYLOAD: u16 = 1400;

/// Largest query that is read.
const MAX_QUERY: usize = 4096;

/// A running DNS server; dropping it closes its socket.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
    stop: DropGuard,
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the socket and waits until it is closed.
    pub async fn stop(self) {
        drop(self.stop);
        // It neither panics nor is it aborted, so it ends here.
        let _ = self.task.await;
    }
}

/// Answers DNS queries for `state` on `address`, which has to be on loopback;
/// port 0 takes a free one. `loopbacks` are those of the data plane.
pub async fn serve(
    address: SocketAddr,
    state: SharedState,
    loopbacks: Loopbacks,
) -> io::Result<Server> {
    if !address.ip().is_loopback() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{address} is no loopback address: DNS is served on loopback only"),
        ));
    }
    let socket = UdpSocket::bind(address).await?;
    let address = socket.local_addr()?;
    let stop = CancellationToken::new();
    let task = tokio::spawn(run(Arc::new(socket), state, loopbacks, stop.clone()));
    Ok(Server {
        address,
        task,
        stop: stop.drop_guard(),
    })
}

async fn run(
    socket: Arc<UdpSocket>,
    state: SharedState,
    loopbacks: Loopbacks,
    stop: CancellationToken,
) {
    let mut buffer = vec![0; MAX_QUERY];
    let mut cache = Cache::default();
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            () = stop.cancelled() => return,
        };
        let (length, peer) = match received {
            Ok(received) => received,
            Err(error) => {
                // Linux reports here that an earlier answer could not be delivered.
                tracing::debug!(%error, "DNS query could not be received");
                continue;
            }
        };
        let Some(answer) = reply(&buffer[..length], &state, &loopbacks, &mut cache) else {
            continue;
        };
        if let Err(error) = socket.send_to(&answer, peer).await {
            tracing::debug!(%peer, %error, "DNS answer could not be sent");
        }
    }
}

/// The answer to one datagram; `None` to what is no query at all.
fn reply(
    query: &[u8],
    state: &SharedState,
    loopbacks: &Loopbacks,
    cache: &mut Cache,
) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).ok()?;
    if query.metadata.message_type != MessageType::Query {
        return None;
    }
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.metadata.recursion_desired = query.metadata.recursion_desired;
    answer.add_queries(query.queries.iter().cloned());
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_PAYLOAD);
        answer.set_edns(edns);
    }
    match query.queries.as_slice() {
        _ if query.metadata.op_code != OpCode::Query => {
            answer.metadata.response_code = ResponseCode::NotImp;
        }
        [question] if question.query_class == DNSClass::IN => {
            let (found, cached) = cache.answer(question, state, || {
                // What has reached the name servers by now counts.
                state.advance();
                let draw = |below| state.chance().below_u32(Purpose::Dns, below);
                let now = state.now();
                state.everywhere(|states| {
                    let known = Known {
                        states,
                        loopbacks,
                        now,
                        draw: &draw,
                    };
                    zone::answer(known, &question.name, question.query_type)
                })
            });
            answer.metadata.response_code = found.code;
            answer.metadata.authoritative = !cached && found.code != ResponseCode::Refused;
            answer.add_answers(found.answers);
            answer.add_authorities(found.authorities);
        }
        [_] => answer.metadata.response_code = ResponseCode::Refused,
        _ => answer.metadata.response_code = ResponseCode::FormErr,
    }
    let room = query.max_payload().clamp(512, MAX_PAYLOAD);
    let wire = answer.to_vec().ok()?;
    if wire.len() <= usize::from(room) {
        return Some(wire);
    }
    answer.truncate().to_vec().ok()
}
