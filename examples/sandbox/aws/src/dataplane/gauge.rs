//! How long the compressed headers of requests over HTTP/2 are.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

/// What every client sends first (RFC 9113, 3.4).
const PREFACE: usize = 24;

/// The head of a frame: length, type, flags, stream.
const FRAME_HEAD: usize = 9;

/// Types of the frames that carry headers.
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

/// Flags of them.
const END_HEADERS: u8 = 4;

/// A stream that watches the frames that are read from it, and cancels a token
/// when the headers of a request are longer than a limit before they are decoded.
#[derive(Debug)]
pub(super) struct Gauge<S> {
    stream: S,
    frames: Frames,
    limit: usize,
    exceeded: CancellationToken,
}

impl<S> Gauge<S> {
    pub(super) fn new(stream: S, limit: usize, exceeded: CancellationToken) -> Self {
        Self {
            stream,
            frames: Frames::default(),
            limit,
            exceeded,
        }
    }
}

/// Where in the frames a reader is.
#[derive(Debug, Default)]
struct Frames {
    /// Bytes of the preface that were read.
    preface: usize,
    /// The head of the next frame, as far as it was read.
    head: Vec<u8>,
    /// Bytes of the present frame that are to come.
    left: usize,
    /// Length of the present headers so far.
    headers: usize,
}

impl Frames {
    /// Goes on over bytes; answers the greatest length of headers among them.
    fn pass(&mut self, mut bytes: &[u8]) -> usize {
        let mut greatest = 0;
        while !bytes.is_empty() {
            let skipped = if self.preface < PREFACE {
                let skipped = bytes.len().min(PREFACE - self.preface);
                self.preface += skipped;
                skipped
            } else if self.left > 0 {
                let skipped = bytes.len().min(self.left);
                self.left -= skipped;
                skipped
            } else {
                let taken = bytes.len().min(FRAME_HEAD - self.head.len());
                self.head.extend_from_slice(&bytes[..taken]);
                if let [high, middle, low, kind, flags, ..] = self.head[..]
                    && self.head.len() == FRAME_HEAD
                {
                    let length = [high, middle, low].map(usize::from);
                    self.left = (length[0] << 16) | (length[1] << 8) | length[2];
                    greatest = greatest.max(self.begin(kind, flags));
                    self.head.clear();
                }
                taken
            };
            bytes = &bytes[skipped..];
        }
        greatest
    }

    /// The length of the headers with a frame that begins. Padding and priority
    /// count too, which nobody uses.
    fn begin(&mut self, kind: u8, flags: u8) -> usize {
        match kind {
            HEADERS => self.headers = self.left,
            CONTINUATION => self.headers += self.left,
            _ => return 0,
        }
        let length = self.headers;
        if flags & END_HEADERS != 0 {
            self.headers = 0;
        }
        length
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gauge<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = &buffer.filled()[before..];
        if self.frames.pass(read) > self.limit {
            self.exceeded.cancel();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gauge<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let [_, high, middle, low] = u32::try_from(length).unwrap_or_default().to_be_bytes();
        let mut frame = vec![high, middle, low, kind, flags, 0, 0, 0, 1];
        frame.resize(FRAME_HEAD + length, 0xff);
        frame
    }

    #[test]
    fn headers_are_measured_over_frames_however_they_come_in() {
        const DATA: u8 = 0;
        let mut wire = vec![b'P'; PREFACE];
        for part in [
            frame(4, 0, 18),
            frame(HEADERS, 0, 5_000),
            frame(CONTINUATION, END_HEADERS, 3_000),
            frame(DATA, 0, 70_000),
            frame(HEADERS, END_HEADERS, 300),
        ] {
            wire.extend(part);
        }
        for step in [1, 7, 4_096, wire.len()] {
            let mut frames = Frames::default();
            let lengths: Vec<usize> = wire.chunks(step).map(|it| frames.pass(it)).collect();
            assert_eq!(lengths.iter().max(), Some(&8_000), "{step}");
            assert_eq!(frames.pass(&frame(HEADERS, END_HEADERS, 200)), 200);
        }
    }
}
