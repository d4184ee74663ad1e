//! Stands between a client's HTTP/1 connection and the HTTP library: looks at
//! each head before the library does, so that what the load balancer refuses
//! gets the answer that the load balancer gives, and knows when the client has
//! been silent for too long.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::activity::Activity;
use super::chunks::{Chunks, Reached};
use super::head::{self, Framing, LONGEST_HEADERS, LONGEST_LINE, Screened};

/// Read at once.
const PIECE: usize = 16 * 1024;

/// A head that has not ended by then is too long.
const LONGEST_HEAD: usize = LONGEST_LINE + LONGEST_HEADERS;

/// What the client still sends after it was refused is thrown away for this
/// long, so that it reads its answer before the connection breaks.
const LINGER: Duration = Duration::from_secs(1);

/// Stands in for a request that the library would not take; it is answered
/// with its refusal.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: -\r\nconnection: close\r\n\r\n";

/// The requests of one connection, between those who read and answer them.
#[derive(Debug, Default)]
pub(super) struct Turns {
    inner: Mutex<Inner>,
    activity: Activity,
}

#[derive(Debug, Default)]
struct Inner {
    /// What is known of requests that nobody has begun to answer, in order.
    screened: VecDeque<Screened>,
    /// How many are not answered to the end.
    open: usize,
    /// Whether the request that wished so has switched protocols.
    switched: Option<bool>,
    /// Who waits for that, or for the end of a request.
    waker: Option<Waker>,
    /// The next answer is to be the last.
    expired: bool,
}

impl Turns {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request has come.
    fn push(&self, screened: Screened) {
        let mut inner = self.inner();
        inner.screened.push_back(screened);
        inner.open += 1;
        inner.switched = None;
    }

    /// Begins to answer the request that came first of those that wait.
    pub(super) fn begin(self: &Arc<Self>) -> Turn {
        self.activity.touch();
        let mut inner = self.inner();
        let screened = inner.screened.pop_front().unwrap_or_else(|| {
            // Nobody screens HTTP/2: its heads come in one form only.
            inner.open += 1;
            Screened::default()
        });
        Turn {
            turns: self.clone(),
            screened,
        }
    }

    /// Makes the next answer the last one.
    pub(super) fn expire(&self) {
        self.inner().expired = true;
    }

    pub(super) fn is_expired(&self) -> bool {
        self.inner().expired
    }

    /// Returns once no request was open for as long as `silence`.
    pub(super) async fn idle(&self, silence: Duration) {
        loop {
            self.activity.ceased(silence).await;
            if self.inner().open == 0 {
                return;
            }
            // Whoever ends the last one touches.
            self.activity.touch();
        }
    }

    /// Whether a request is open; whoever asks is woken when one ends.
    fn waits(&self, cx: &Context<'_>) -> bool {
        let mut inner = self.inner();
        let open = inner.open > 0;
        if open {
            inner.waker = Some(cx.waker().clone());
        }
        open
    }
}

/// One request, until its answer has gone.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    pub(super) screened: Screened,
}

impl Turn {
    /// Whether this is the last request of its connection.
    pub(super) fn is_last(&self) -> bool {
        self.turns.is_expired()
    }

    /// Tells whether the request has switched protocols.
    pub(super) fn decide(&self, switched: bool) {
        let mut inner = self.turns.inner();
        inner.switched = Some(switched);
        if let Some(waker) = inner.waker.take() {
            waker.wake();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut inner = self.turns.inner();
        inner.open = inner.open.saturating_sub(1);
        self.turns.activity.touch();
        if let Some(waker) = inner.waker.take() {
            waker.wake();
        }
    }
}

/// A body that holds its turn.
#[derive(Debug)]
pub(super) struct Held<B> {
    body: B,
    _turn: Turn,
}

impl<B> Held<B> {
    pub(super) fn new(body: B, turn: Turn) -> Self {
        Self { body, _turn: turn }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Held<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What is being read.
#[derive(Clone, Copy, Debug)]
enum Flow {
    /// A head.
    Head,
    /// So many bytes of a body.
    Body(u64),
    /// A body in chunks.
    Chunked(Chunks),
    /// A request that wishes to switch protocols is being answered.
    Switch,
    /// Nothing that is to be understood here.
    Raw,
    /// Nothing more: the last request was refused.
    Refused,
}

/// A client's connection, whose heads are looked at on the way.
pub(super) struct Screen<S> {
    stream: S,
    turns: Arc<Turns>,
    /// The client may be silent for this long.
    silence: Duration,
    flow: Flow,
    /// Come, but not looked at.
    came: Vec<u8>,
    /// Looked at; `passed` of it is gone on.
    ready: Vec<u8>,
    passed: usize,
    ended: bool,
    /// When something came last.
    latest: Instant,
    timer: Pin<Box<Sleep>>,
    lingers_until: Option<Instant>,
}

impl<S> Screen<S> {
    pub(super) fn new(stream: S, turns: Arc<Turns>, silence: Duration) -> Self {
        let now = Instant::now();
        Self {
            stream,
            turns,
            silence,
            flow: Flow::Head,
            came: Vec::new(),
            ready: Vec::new(),
            passed: 0,
            ended: false,
            latest: now,
            timer: Box::pin(sleep_until(now)),
            lingers_until: None,
        }
    }

    fn refuse(&mut self, status: u16, reason: &'static str) {
        self.turns.push(Screened::refuse(status, reason));
        self.stand_in();
    }

    fn stand_in(&mut self) {
        self.ready.extend_from_slice(STAND_IN);
        self.came.clear();
        self.flow = Flow::Refused;
    }

    /// Moves what it can from `came` to `ready`.
    fn sort(&mut self) {
        if matches!(self.flow, Flow::Switch) {
            self.flow = match self.turns.inner().switched {
                Some(true) => Flow::Raw,
                Some(false) => Flow::Head,
                None => return,
            };
        }
        while !self.came.is_empty() {
            match &mut self.flow {
                Flow::Head => {
                    let Some(end) = head::end(&self.came) else {
                        self.limit();
                        return;
                    };
                    let head = head::screen(&self.came[..end]);
                    self.came.drain(..end);
                    let refused = head.screened.refused.is_some();
                    self.turns.push(head.screened);
                    if refused {
                        self.stand_in();
                        return;
                    }
                    self.ready.extend_from_slice(&head.bytes);
                    self.flow = match head.framing {
                        Framing::Length(0) => Flow::Head,
                        Framing::Length(length) => Flow::Body(length),
                        Framing::Chunked => Flow::Chunked(Chunks::START),
                        Framing::Switch => Flow::Switch,
                    };
                }
                Flow::Body(left) => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX);
                    let here = here.min(self.came.len());
                    self.ready.extend(self.came.drain(..here));
                    *left -= here as u64;
                    if *left == 0 {
                        self.flow = Flow::Head;
                    }
                }
                Flow::Chunked(chunks) => match chunks.feed(&self.came) {
                    Reached::On => self.ready.append(&mut self.came),
                    Reached::End(end) => {
                        self.ready.extend(self.came.drain(..end));
                        self.flow = Flow::Head;
                    }
                    // The library sees it too, and breaks the body off.
                    Reached::Nonsense => self.flow = Flow::Raw,
                },
                // Not decided yet.
                Flow::Switch => return,
                Flow::Raw => self.ready.append(&mut self.came),
                Flow::Refused => self.came.clear(),
            }
        }
    }

    /// Refuses a head that is too long before its end has come.
    fn limit(&mut self) {
        let line = self.came.iter().position(|byte| *byte == b'\n');
        if line.unwrap_or(self.came.len()) > LONGEST_LINE + 2 {
            self.refuse(414, "the request line is longer than 16 K");
        } else if self.came.len() > LONGEST_HEAD {
            self.refuse(400, "the headers are longer than 64 K");
        }
    }

    /// Whether the client was silent for too long, which is then said or ends
    /// the connection.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !matches!(self.flow, Flow::Head) {
            // A body has its time where it is passed on, a switched protocol
            // where its bytes are carried.
            return Poll::Pending;
        }
        let begun = !self.came.is_empty();
        if !begun && self.turns.waits(cx) {
            return Poll::Pending;
        }
        let latest = if begun {
            self.latest
        } else {
            self.latest.max(self.turns.activity.latest())
        };
        self.timer.as_mut().reset(latest + self.silence);
        ready!(self.timer.as_mut().poll(cx));
        if begun {
            self.refuse(
                408,
                "the client did not send the rest of its request in time",
            );
        } else {
            self.ended = true;
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> Screen<S> {
    /// Reads a piece; tells whether anything, or the end, has come.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut piece = [0; PIECE];
        let mut buf = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        self.latest = Instant::now();
        if buf.filled().is_empty() {
            self.ended = true;
        }
        self.came.extend_from_slice(buf.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Screen<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            this.sort();
            let rest = &this.ready[this.passed..];
            if !rest.is_empty() {
                let count = rest.len().min(buf.remaining());
                buf.put_slice(&rest[..count]);
                this.passed += count;
                if this.passed == this.ready.len() {
                    this.ready.clear();
                    this.passed = 0;
                }
                return Poll::Ready(Ok(()));
            }
            if matches!(this.flow, Flow::Refused) {
                // The library closes the connection when it has answered.
                return Poll::Pending;
            }
            if matches!(this.flow, Flow::Switch) && !this.came.is_empty() {
                // Read on only once it is known as what.
                let mut inner = this.turns.inner();
                if inner.switched.is_none() {
                    inner.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                continue;
            }
            if this.ended {
                let cut = matches!(this.flow, Flow::Head)
                    && this.came.iter().any(|byte| !byte.is_ascii_whitespace());
                if cut {
                    this.refuse(400, "the client closed the connection within a request");
                    continue;
                }
                return Poll::Ready(Ok(()));
            }
            match this.poll_more(cx) {
                Poll::Ready(read) => read?,
                Poll::Pending => ready!(this.poll_silence(cx)),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Screen<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingers_until.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            let until = Instant::now() + LINGER;
            this.lingers_until = Some(until);
            this.timer.as_mut().reset(until);
        }
        if matches!(this.flow, Flow::Switch | Flow::Raw) {
            // The other direction may go on.
            return Poll::Ready(Ok(()));
        }
        // Closing with bytes unread would reset the connection, and with it
        // the answer that is under way.
        while !this.ended {
            this.came.clear();
            match this.poll_more(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => break,
                Poll::Pending => {
                    ready!(this.timer.as_mut().poll(cx));
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
