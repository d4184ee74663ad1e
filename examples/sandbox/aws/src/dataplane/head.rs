//! The head of an HTTP/1 request as it came: what is refused before anybody
//! looks at rules, how the request is framed, and how it is classified for the
//! desync mitigation.
//!
//! Pure. Sources: the quotas, the troubleshooting page and the classification
//! reasons of the access logs in the guide; aws.md 3.8 and 5.8.

use axum::http::Uri;

/// The longest request line.
pub(super) const LONGEST_LINE: usize = 16 * 1024;
/// The longest header, name and value.
pub(super) const LONGEST_HEADER: usize = 16 * 1024;
/// The longest head of a request without its first line.
pub(super) const LONGEST_HEADERS: usize = 64 * 1024;
/// More lines than this are no honest request within 64 KiB.
pub(super) const MOST_HEADERS: usize = 1_000;

/// How much a request deviates from RFC 7230, in the words of the access log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Not at all.
    #[default]
    Compliant,
    /// It does, without danger.
    Acceptable,
    /// Servers may understand it differently.
    Ambiguous,
    /// It is dangerous.
    Severe,
}

impl Class {
    /// As the access log names it; compliant requests have no name there.
    pub(crate) fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Compliant => None,
            Self::Acceptable => Some("Acceptable"),
            Self::Ambiguous => Some("Ambiguous"),
            Self::Severe => Some("Severe"),
        }
    }
}

/// The reason for a class, as the access log names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deviation {
    AmbiguousUri,
    BadContentLength,
    BadHeader,
    BadMethod,
    BadTransferEncoding,
    BadUri,
    BadVersion,
    BothTeClPresent,
    DuplicateContentLength,
    EmptyHeader,
    GetHeadZeroContentLength,
    MissingHeaderColon,
    MissingUri,
    MultilineHeader,
    MultipleContentLength,
    MultipleTransferEncodingChunked,
    NonCompliantHeader,
    NonCompliantVersion,
    NonCrLfLineTermination,
    SpaceInUri,
    SuspiciousHeader,
    UndefinedContentLengthSemantics,
    UndefinedTransferEncodingSemantics,
}

impl Deviation {
    pub(crate) fn class(self) -> Class {
        match self {
            Self::GetHeadZeroContentLength
            | Self::NonCompliantHeader
            | Self::NonCompliantVersion
            | Self::NonCrLfLineTermination
            | Self::SpaceInUri => Class::Acceptable,
            Self::AmbiguousUri
            | Self::BothTeClPresent
            | Self::DuplicateContentLength
            | Self::EmptyHeader
            | Self::MissingHeaderColon
            | Self::MissingUri
            | Self::MultilineHeader
            | Self::SuspiciousHeader
            | Self::UndefinedContentLengthSemantics
            | Self::UndefinedTransferEncodingSemantics => Class::Ambiguous,
            Self::BadContentLength
            | Self::BadHeader
            | Self::BadMethod
            | Self::BadTransferEncoding
            | Self::BadUri
            | Self::BadVersion
            | Self::MultipleContentLength
            | Self::MultipleTransferEncodingChunked => Class::Severe,
        }
    }
}

/// Why a request is answered before any rule is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) reason: &'static str,
}

/// What the head of a request has told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Screened {
    /// Set where the request cannot go on in any mode.
    pub(crate) refused: Option<Refused>,
    /// In the order in which they were seen, each once.
    pub(crate) deviations: Vec<Deviation>,
}

impl Screened {
    /// The worst class of its deviations.
    pub(crate) fn class(&self) -> Class {
        let classes = self.deviations.iter().map(|it| it.class());
        classes.max().unwrap_or_default()
    }

    /// Only a refusal.
    pub(super) fn refuse(status: u16, reason: &'static str) -> Self {
        Self {
            refused: Some(Refused { status, reason }),
            deviations: Vec::new(),
        }
    }

    fn note(&mut self, deviation: Deviation) {
        if !self.deviations.contains(&deviation) {
            self.deviations.push(deviation);
        }
    }

    /// The first refusal counts.
    fn stop(&mut self, status: u16, reason: &'static str) {
        self.refused.get_or_insert(Refused { status, reason });
    }
}

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes, then the next head.
    Length(u64),
    /// Chunks, then the next head.
    Chunked,
    /// Whatever the protocol has that the client wishes to switch to, if the
    /// answer lets it.
    Switch,
}

/// A head that was looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) screened: Screened,
    pub(super) framing: Framing,
    /// The head in the form in which it goes on: what has two readings is gone.
    pub(super) bytes: Vec<u8>,
}

/// Where the head ends that `bytes` begin with; its last line is empty.
pub(super) fn end(bytes: &[u8]) -> Option<usize> {
    let mut blank = true;
    let mut begun = false;
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' if blank && begun => return Some(index + 1),
            b'\n' => blank = true,
            b'\r' => {}
            _ => (blank, begun) = (false, true),
        }
    }
    None
}

/// Looks at a head, which ends with its empty line.
pub(super) fn screen(head: &[u8]) -> Head {
    let mut screened = Screened::default();
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| {
        let stripped = line.strip_suffix(b"\r");
        (stripped.unwrap_or(line), stripped.is_some())
    });
    let (first, first_whole) = lines
        .find(|(line, _)| !line.is_empty())
        .unwrap_or((b"", true));
    if !first_whole {
        screened.note(Deviation::NonCrLfLineTermination);
    }
    let line = request_line(first, &mut screened);
    let headers = header_lines(lines, &mut screened);
    let (method, target, version) = line.unwrap_or((b"GET", b"/", b"HTTP/1.1"));
    let (carried, framing) = framed(method, version, headers, &mut screened);

    let mut bytes = Vec::with_capacity(head.len());
    for part in [method, b" ", target, b" ", version, b"\r\n"] {
        bytes.extend_from_slice(part);
    }
    for (name, value) in carried {
        for part in [name, b": ", value, b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    Head {
        screened,
        framing,
        bytes,
    }
}

type Line<'a> = (&'a [u8], &'a [u8], &'a [u8]);

fn request_line<'a>(line: &'a [u8], screened: &mut Screened) -> Option<Line<'a>> {
    if line.len() > LONGEST_LINE {
        screened.stop(414, "the request line is longer than 16 K");
        return None;
    }
    let first = line.iter().position(|byte| *byte == b' ');
    let last = line.iter().rposition(|byte| *byte == b' ');
    let (first, last) = match first.zip(last) {
        Some((first, last)) if first < last => (first, last),
        _ => {
            screened.note(Deviation::MissingUri);
            screened.stop(400, "the request line is not METHOD URI VERSION");
            return None;
        }
    };
    let (method, target, version) = (&line[..first], &line[first + 1..last], &line[last + 1..]);
    if !is_token(method) {
        screened.note(Deviation::BadMethod);
        screened.stop(400, "the method is malformed");
    }
    if version != b"HTTP/1.1" && version != b"HTTP/1.0" {
        if is_version(version) {
            screened.note(Deviation::NonCompliantVersion);
            screened.stop(
                505,
                "the request has another version than HTTP/1.1 and HTTP/1.0",
            );
        } else {
            screened.note(Deviation::BadVersion);
            screened.stop(400, "the version is malformed");
        }
    }
    if target.iter().any(|byte| matches!(byte, 0 | b'\r')) {
        screened.note(Deviation::BadUri);
    } else if target.iter().any(u8::is_ascii_control) {
        screened.note(Deviation::AmbiguousUri);
    } else if target.contains(&b' ') {
        screened.note(Deviation::SpaceInUri);
    }
    let valid = match method {
        b"CONNECT" => false,
        b"OPTIONS" if target == b"*" => true,
        _ => Uri::try_from(target).is_ok_and(|uri| {
            target.starts_with(b"/") || (uri.scheme().is_some() && uri.authority().is_some())
        }),
    };
    if !valid {
        screened.stop(400, "the request target is not valid");
    }
    Some((method, target, version))
}

/// `HTTP/2.0`, `HTTP/3` and so on.
fn is_version(text: &[u8]) -> bool {
    let Some(number) = text.strip_prefix(b"HTTP/") else {
        return false;
    };
    match number {
        [major] => major.is_ascii_digit(),
        [major, b'.', minor] => major.is_ascii_digit() && minor.is_ascii_digit(),
        _ => false,
    }
}

type Field<'a> = (&'a [u8], &'a [u8]);

fn header_lines<'a>(
    lines: impl Iterator<Item = (&'a [u8], bool)>,
    screened: &mut Screened,
) -> Vec<Field<'a>> {
    let mut fields = Vec::new();
    let mut length = 0;
    for (line, whole) in lines {
        if line.is_empty() {
            continue;
        }
        length += line.len() + 2;
        if line.len() > LONGEST_HEADER {
            screened.stop(400, "a header is longer than 16 K");
        }
        if !whole {
            screened.note(Deviation::NonCrLfLineTermination);
        }
        if line.iter().any(|byte| matches!(byte, 0 | b'\r')) {
            screened.note(Deviation::BadHeader);
            screened.stop(
                400,
                "a header contains a null character or a carriage return",
            );
        }
        let folded = matches!(line[0], b' ' | b'\t');
        let colon = line.iter().position(|byte| *byte == b':');
        // A line that goes on from the one before, or has no colon, is read as
        // the name of a header: the load balancer puts a colon behind it.
        let (name, value) = match colon {
            Some(colon) if !folded => (&line[..colon], line[colon + 1..].trim_ascii()),
            _ => (line.trim_ascii(), b"".as_slice()),
        };
        if name.is_empty() {
            screened.note(Deviation::EmptyHeader);
            continue;
        }
        if folded {
            screened.note(Deviation::MultilineHeader);
        } else if colon.is_none() {
            screened.note(Deviation::MissingHeaderColon);
        }
        if is_suspicious(name) {
            screened.note(Deviation::SuspiciousHeader);
        }
        let control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
        if value.iter().any(control) {
            screened.note(Deviation::NonCompliantHeader);
            screened.stop(400, "the value of a header contains a control character");
        }
        if !value.is_ascii() {
            screened.note(Deviation::NonCompliantHeader);
        }
        if is_token(name) {
            fields.push((name, value));
        } else {
            // No HTTP library of a target takes such a name, so it ends here
            // whatever routing.http.drop_invalid_header_fields says.
            screened.note(Deviation::NonCompliantHeader);
        }
    }
    if length > LONGEST_HEADERS {
        screened.stop(400, "the headers are longer than 64 K");
    }
    if fields.len() > MOST_HEADERS {
        screened.stop(400, "the request has more than 1000 headers");
    }
    fields
}

/// Whether a name looks like that of a header that frames the body, but is not.
fn is_suspicious(name: &[u8]) -> bool {
    let letters = name.iter().filter(|byte| byte.is_ascii_alphanumeric());
    let letters: Vec<u8> = letters.map(u8::to_ascii_lowercase).collect();
    match letters.as_slice() {
        b"transferencoding" => !name.eq_ignore_ascii_case(b"transfer-encoding"),
        b"contentlength" => !name.eq_ignore_ascii_case(b"content-length"),
        _ => false,
    }
}

/// The headers that go on, and how the body is framed.
fn framed<'a>(
    method: &[u8],
    version: &[u8],
    headers: Vec<Field<'a>>,
    screened: &mut Screened,
) -> (Vec<Field<'a>>, Framing) {
    let is = |field: &Field<'_>, name: &[u8]| field.0.eq_ignore_ascii_case(name);
    let of = |name: &'static [u8]| {
        let mine = headers.iter().filter(move |field| is(field, name));
        mine.map(|field| field.1)
    };
    let length = content_length(of(b"content-length"), screened);
    let chunked = transfer_encoding(of(b"transfer-encoding"), version, screened);
    let encoded = of(b"transfer-encoding").next().is_some();
    if encoded && length.is_some() {
        screened.note(Deviation::BothTeClPresent);
    }
    if matches!(method, b"GET" | b"HEAD") {
        match length {
            Some(0) => screened.note(Deviation::GetHeadZeroContentLength),
            Some(_) => screened.note(Deviation::UndefinedContentLengthSemantics),
            None => {}
        }
        if encoded {
            screened.note(Deviation::UndefinedTransferEncodingSemantics);
        }
    }
    let wishes = version == b"HTTP/1.1"
        && of(b"upgrade").next().is_some()
        && of(b"connection").any(|value| {
            let mut options = value.split(|byte| *byte == b',');
            options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
        });
    let framing = match (chunked, length) {
        (true, _) => Framing::Chunked,
        (false, None | Some(0)) if wishes => Framing::Switch,
        (false, length) => Framing::Length(length.unwrap_or_default()),
    };
    let mut lengths = 0;
    let carried = headers.iter().copied().filter(|field| {
        if is(field, b"transfer-encoding") {
            return false;
        }
        let is_length = is(field, b"content-length");
        lengths += usize::from(is_length);
        !is_length || (!chunked && lengths == 1)
    });
    let mut carried: Vec<Field<'a>> = carried.collect();
    if chunked {
        carried.push((b"transfer-encoding", b"chunked"));
    }
    (carried, framing)
}

fn content_length<'a>(
    mut values: impl Iterator<Item = &'a [u8]>,
    screened: &mut Screened,
) -> Option<u64> {
    let first = values.next()?;
    for other in values {
        if other == first {
            screened.note(Deviation::DuplicateContentLength);
        } else {
            screened.note(Deviation::MultipleContentLength);
            screened.stop(400, "there are several values of Content-Length");
        }
    }
    let digits = !first.is_empty() && first.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(first).ok().filter(|_| digits);
    let number = number.and_then(|text| text.parse().ok());
    if number.is_none() {
        screened.note(Deviation::BadContentLength);
        screened.stop(400, "the value of Content-Length is no number");
    }
    number
}

/// Whether the body comes in chunks.
fn transfer_encoding<'a>(
    values: impl Iterator<Item = &'a [u8]>,
    version: &[u8],
    screened: &mut Screened,
) -> bool {
    let (mut any, mut chunked) = (false, 0);
    for coding in values.flat_map(|value| value.split(|byte| *byte == b',')) {
        any = true;
        let coding = coding.trim_ascii();
        if coding.eq_ignore_ascii_case(b"chunked") {
            chunked += 1;
        } else if !coding.eq_ignore_ascii_case(b"identity") {
            screened.note(Deviation::BadTransferEncoding);
            screened.stop(501, "the transfer encoding is neither chunked nor identity");
        }
    }
    if chunked > 1 {
        screened.note(Deviation::MultipleTransferEncodingChunked);
        screened.stop(400, "the transfer encoding is chunked more than once");
    }
    if any && version == b"HTTP/1.0" {
        screened.note(Deviation::BadTransferEncoding);
        screened.stop(400, "HTTP/1.0 has no transfer encoding");
    }
    chunked > 0
}

/// RFC 9110, 5.6.2.
fn is_token(text: &[u8]) -> bool {
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(token)
}

#[cfg(test)]
mod tests;
