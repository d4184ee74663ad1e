//! The connection to a target and the exchange of one request over it.
//!
//! A new connection for each request: a target that closes an idle connection
//! can then never be taken for one that fails.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{HeaderMap, Request, Response};
use futures::{StreamExt as _, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, BodyStream, StreamBody};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::activity::Activity;
use super::tls;

/// The load balancer gives up connecting after this long and answers 504.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest head of an answer.
const LONGEST_HEAD: usize = 32 * 1024;

/// So many headers fit into it, if they are of a decent length.
const MOST_HEADERS: usize = 1_000;

/// An answer that says that it is no longer than this is read to its end
/// before it goes on, so that one which is cut short can be an error.
const READ_AHEAD: u64 = 64 * 1024;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why no answer came from a target.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Nobody listens there, or what listens does not speak as it should.
    #[error("target refused or broke the connection")]
    Broken(#[source] Source),
    /// Silence.
    #[error("target did not answer in time")]
    Silent,
    /// The target's time to drain ended before its answer came.
    #[error("target left its group with the request unanswered")]
    Departed,
    /// More than 32 K.
    #[error("the headers of the target's answer are longer than 32 K")]
    LongHead,
    /// The client has closed its connection, or what it sends is no body.
    #[error("the client did not send the whole body of its request: {0}")]
    ClientBroke(String),
    /// The rest of the body does not come.
    #[error("the client did not send the rest of its request in time")]
    ClientSilent,
}

impl Failure {
    fn broken(error: impl Into<Source>) -> Self {
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
            Self::Broken(_) | Self::Departed | Self::LongHead => 502,
            Self::Silent => 504,
            Self::ClientBroke(_) => 400,
            Self::ClientSilent => 408,
        }
    }
}

/// What carries bytes to a target.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How a target is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// Where it really listens.
    pub(crate) socket: SocketAddr,
    /// Over TLS, whose certificate is not verified.
    pub(crate) tls: bool,
    /// HTTP/2, without asking first whether the target speaks it; the request
    /// then has an absolute target.
    pub(crate) http2: bool,
}

/// An answer whose body is still to be read, and the signs of life of both sides.
pub(crate) type Answered = (Response<Incoming>, Activity);

/// Sends `request` to a target and gives its answer.
///
/// `silence` bounds the wait for the head of the answer, from when the client
/// has last sent a part of the body.
pub(crate) async fn exchange<B>(
    way: Way,
    request: Request<B>,
    silence: Duration,
) -> Result<Answered, Failure>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Source>,
{
    let stream = match timeout(CONNECT_TIMEOUT, connect(way)).await {
        Ok(connected) => connected.map_err(Failure::broken)?,
        Err(_) => return Err(Failure::Silent),
    };
    let upload = Upload::default();
    let request = request.map(|body| Uploading {
        body,
        upload: upload.clone(),
    });
    let sending = async {
        if way.http2 {
            over_http2(stream, request).await
        } else {
            over_http1(stream, request).await
        }
    };
    upload.activity.touch();
    let sent = tokio::select! {
        sent = sending => sent,
        () = upload.activity.ceased(silence) => {
            return Err(if upload.is_awaited() { Failure::ClientSilent } else { Failure::Silent });
        }
    };
    let answer = sent.map_err(|error| match upload.broke() {
        Some(why) => Failure::ClientBroke(why),
        None => Failure::broken(error),
    })?;
    if head_length(answer.headers()) > LONGEST_HEAD {
        return Err(Failure::LongHead);
    }
    upload.activity.touch();
    Ok((answer, upload.activity))
}

/// The connections of these two go on by themselves; their errors reach the
/// caller through the answer or the answer's body.
async fn over_http1<B>(
    stream: Pin<Box<dyn Stream>>,
    request: Request<B>,
) -> hyper::Result<Response<Incoming>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Source>,
{
    let (mut sender, connection) = http1::Builder::new()
        .preserve_header_case(true)
        .max_headers(MOST_HEADERS)
        .handshake(TokioIo::new(stream))
        .await?;
    tokio::spawn(async move {
        let _ = connection.with_upgrades().await;
    });
    sender.send_request(request).await
}

async fn over_http2<B>(
    stream: Pin<Box<dyn Stream>>,
    request: Request<B>,
) -> hyper::Result<Response<Incoming>>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Source>,
{
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .handshake(TokioIo::new(stream))
        .await?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    sender.send_request(request).await
}

fn head_length(headers: &HeaderMap) -> usize {
    let lines = headers.iter();
    lines
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum()
}

async fn connect(way: Way) -> io::Result<Pin<Box<dyn Stream>>> {
    let stream = TcpStream::connect(way.socket).await?;
    stream.set_nodelay(true)?;
    if !way.tls {
        return Ok(Box::pin(stream));
    }
    let mut config = tls::client().map_err(io::Error::other)?;
    if way.http2 {
        config.alpn_protocols = vec![tls::HTTP2.to_vec()];
    }
    let name = ServerName::IpAddress(way.socket.ip().into());
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    Ok(Box::pin(stream))
}

/// How far the body of a request has come. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
struct Upload {
    activity: Activity,
    state: Arc<Mutex<UploadState>>,
}

#[derive(Debug, Default)]
struct UploadState {
    /// The next part is awaited from the client.
    awaited: bool,
    /// Why no more parts come.
    broke: Option<String>,
}

impl Upload {
    fn set(&self, change: impl FnOnce(&mut UploadState)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn is_awaited(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.awaited
    }

    fn broke(&self) -> Option<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.broke.clone()
    }
}

/// The body of a request on its way to the target.
struct Uploading<B> {
    body: B,
    upload: Upload,
}

impl<B> Body for Uploading<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Source>,
{
    type Data = Bytes;
    type Error = Source;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Source>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match polled {
            Poll::Pending => {
                self.upload.set(|state| state.awaited = true);
                Poll::Pending
            }
            Poll::Ready(Some(Err(error))) => {
                let error = error.into();
                let why = error.to_string();
                self.upload.set(|state| state.broke = Some(why));
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(frame) => {
                self.upload.set(|state| state.awaited = false);
                self.upload.activity.touch();
                Poll::Ready(frame.and_then(Result::ok).map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer on its way to the client.
pub(crate) type Guarded = UnsyncBoxBody<Bytes, io::Error>;

/// The body of an answer. Breaks off with an error as soon as `departed` is
/// cancelled, or when nothing has come or gone for as long as `silence`. Keeps
/// `held` until it has ended or is dropped.
pub(crate) fn guarded<H: Send + 'static>(
    body: Incoming,
    departed: CancellationToken,
    activity: Activity,
    silence: Duration,
    held: H,
) -> Guarded {
    let from = Some((BodyStream::new(body), departed, activity, held));
    let frames = stream::unfold(from, move |from| async move {
        let (mut body, departed, activity, held) = from?;
        let next = tokio::select! {
            next = body.next() => next,
            () = activity.ceased(silence) => {
                return Some((Err(io::ErrorKind::TimedOut.into()), None));
            }
            () = departed.cancelled() => {
                return Some((Err(io::Error::other("target left its group")), None));
            }
        };
        activity.touch();
        match next {
            Some(Ok(frame)) => Some((Ok(frame), Some((body, departed, activity, held)))),
            Some(Err(error)) => Some((Err(io::Error::other(error)), None)),
            None => None,
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

/// Reads a short answer to its end; a long one, and one that does not say how
/// long it is, goes on as it comes.
///
/// Errors when less comes than the answer says: as silence when the target
/// keeps its connection open.
pub(crate) async fn settled(body: Guarded, length: SizeHint) -> Result<Guarded, Failure> {
    match length.exact() {
        Some(1..=READ_AHEAD) => {}
        _ => return Ok(body),
    }
    match body.collect().await {
        Ok(whole) => Ok(whole.map_err(|never| match never {}).boxed_unsync()),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Failure::Silent),
        Err(error) => Err(Failure::broken(error)),
    }
}
