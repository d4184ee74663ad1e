//! Where a body in chunks ends (RFC 9112, 7.1).
//!
//! Pure.

/// Follows a chunked body to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunks {
    /// In the line with the size of a chunk.
    Size {
        size: u64,
        digits: bool,
        ended: bool,
    },
    /// So many bytes of a chunk are to come.
    Data(u64),
    /// The line end behind a chunk is to come.
    DataEnd,
    /// In the trailers; so many bytes of this line have come.
    Trailers(usize),
}

/// Where a body ends within some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// Nowhere: all of them belong to it.
    On,
    /// After so many.
    End(usize),
    /// They are no chunks.
    Nonsense,
}

impl Chunks {
    /// Before the first chunk.
    pub(super) const START: Self = Self::Size {
        size: 0,
        digits: false,
        ended: false,
    };

    /// Takes the next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Reached {
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            at += 1;
            match self {
                Self::Size {
                    size,
                    digits,
                    ended,
                } => match byte {
                    b'\n' if !*digits => return Reached::Nonsense,
                    b'\n' if *size == 0 => *self = Self::Trailers(0),
                    b'\n' => *self = Self::Data(*size),
                    b';' | b'\r' | b' ' | b'\t' => *ended = true,
                    _ if *ended => {}
                    _ => {
                        let digit = char::from(byte).to_digit(16);
                        let next = digit
                            .zip(size.checked_mul(16))
                            .and_then(|(digit, size)| size.checked_add(digit.into()));
                        let Some(next) = next else {
                            return Reached::Nonsense;
                        };
                        (*size, *digits) = (next, true);
                    }
                },
                Self::Data(left) => {
                    let here = (bytes.len() - at + 1) as u64;
                    let taken = here.min(*left);
                    // No more than the bytes at hand, so it fits.
                    at += usize::try_from(taken).unwrap_or(bytes.len()) - 1;
                    *left -= taken;
                    if *left == 0 {
                        *self = Self::DataEnd;
                    }
                }
                Self::DataEnd => match byte {
                    b'\r' => {}
                    b'\n' => *self = Self::START,
                    _ => return Reached::Nonsense,
                },
                Self::Trailers(length) => match byte {
                    b'\n' if *length == 0 => return Reached::End(at),
                    b'\n' => *length = 0,
                    b'\r' => {}
                    _ => *length += 1,
                },
            }
        }
        Reached::On
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_end_where_they_end() {
        let body = b"4;x=y\r\nab\r\n\r\nA\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\nGET /";
        let whole = body.len() - b"GET /".len();
        let mut chunks = Chunks::START;
        assert_eq!(chunks.feed(body), Reached::End(whole));
        // Also when they come byte by byte.
        let mut chunks = Chunks::START;
        for (index, byte) in body[..whole].iter().enumerate() {
            let expected = if index + 1 == whole {
                Reached::End(1)
            } else {
                Reached::On
            };
            assert_eq!(chunks.feed(&[*byte]), expected, "{index}");
        }
        for nonsense in ["\r\n", "x\r\n", "ffffffffffffffff1\r\n", "1\r\nabc"] {
            let mut chunks = Chunks::START;
            assert_eq!(
                chunks.feed(nonsense.as_bytes()),
                Reached::Nonsense,
                "{nonsense:?}"
            );
        }
    }
}
