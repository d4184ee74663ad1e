//! The connection to a target and the exchange of one request over it.
//!
//! A new connection for each request: a target that closes an idle connection
//! can then never be taken for one that fails.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, Response};
use futures::{StreamExt as _, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, BodyStream, StreamBody};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::tls;

/// The load balancer gives up connecting after this long and answers 504.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why no answer came from a target.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Nobody listens there, or what listens does not speak as it should.
    #[error("target refused or broke the connection")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Silence.
    #[error("target did not answer in time")]
    Silent,
    /// The target's time to drain ended before its answer came.
    #[error("target left its group with the request unanswered")]
    Departed,
}

impl Failure {
    fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Broken(error.into())
    }

    /// What went wrong, with its causes, for people.
    pub(crate) fn tell(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }

    /// The status that a client sees.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Broken(_) | Self::Departed => 502,
            Self::Silent => 504,
        }
    }
}

/// What carries bytes to a target.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Whether a target speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Plain TCP.
    Plain,
    /// TLS; the certificate of the target is not verified.
    Tls,
}

/// Sends `request` to the target that listens on `socket` and gives its answer,
/// whose body is still to be read.
///
/// `silence` bounds the wait for the head of the answer.
pub(crate) async fn exchange<B>(
    socket: SocketAddr,
    transport: Transport,
    request: Request<B>,
    silence: Duration,
) -> Result<Response<Incoming>, Failure>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = match timeout(CONNECT_TIMEOUT, connect(socket, transport)).await {
        Ok(connected) => connected.map_err(Failure::broken)?,
        Err(_) => return Err(Failure::Silent),
    };
    let (mut sender, connection) = http1::Builder::new()
        .preserve_header_case(true)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(Failure::broken)?;
    tokio::spawn(async move {
        // Its errors reach the caller through the answer or the answer's body.
        let _ = connection.with_upgrades().await;
    });
    match timeout(silence, sender.send_request(request)).await {
        Ok(answer) => answer.map_err(Failure::broken),
        Err(_) => Err(Failure::Silent),
    }
}

async fn connect(socket: SocketAddr, transport: Transport) -> io::Result<Pin<Box<dyn Stream>>> {
    let stream = TcpStream::connect(socket).await?;
    stream.set_nodelay(true)?;
    match transport {
        Transport::Plain => Ok(Box::pin(stream)),
        Transport::Tls => {
            let config = tls::client().map_err(io::Error::other)?;
            let name = ServerName::IpAddress(socket.ip().into());
            let stream = TlsConnector::from(Arc::new(config))
                .connect(name, stream)
                .await?;
            Ok(Box::pin(stream))
        }
    }
}

/// The body of an answer. Breaks off with an error as soon as `departed` is
/// cancelled, or when nothing has come for as long as `silence`. Keeps `held`
/// until it has ended or is dropped.
pub(crate) fn guarded<H: Send + 'static>(
    body: Incoming,
    departed: CancellationToken,
    silence: Duration,
    held: H,
) -> UnsyncBoxBody<Bytes, io::Error> {
    let from = Some((BodyStream::new(body), departed, held));
    let frames = stream::unfold(from, move |from| async move {
        let (mut body, departed, held) = from?;
        let next = tokio::select! {
            next = timeout(silence, body.next()) => next,
            () = departed.cancelled() => {
                return Some((Err(io::Error::other("target left its group")), None));
            }
        };
        match next {
            Ok(Some(Ok(frame))) => Some((Ok(frame), Some((body, departed, held)))),
            Ok(Some(Err(error))) => Some((Err(io::Error::other(error)), None)),
            Ok(None) => None,
            Err(_) => Some((Err(io::ErrorKind::TimedOut.into()), None)),
        }
    });
    StreamBody::new(frames).boxed_unsync()
}
