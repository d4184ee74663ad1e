//! Raw HTTP/1.1 over kept connections, as cheap as can be: what is measured is
//! the simulator, and its client runs on the same cores.

use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection and the bytes that came in over it.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// The end of the head of a message.
const END: &[u8] = b"\r\n\r\n";

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await;
        let stream = stream.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Vec::with_capacity(64 << 10),
        })
    }

    /// Sends a request as it is and waits for its answer: status and body.
    ///
    /// # Errors
    /// The connection breaks, or the answer does not say how long it is.
    pub async fn send(&mut self, request: &[u8]) -> anyhow::Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.received.clear();
        let mut looked = 0;
        let head = loop {
            if let Some(at) = find(&self.received[looked..], END) {
                break looked + at;
            }
            looked = self.received.len().saturating_sub(END.len());
            self.read().await?;
        };
        let (status, length) = read_head(&self.received[..head])?;
        let begin = head + END.len();
        while self.received.len() < begin + length {
            self.read().await?;
        }
        Ok((status, &self.received[begin..begin + length]))
    }

    /// As [`send`](Self::send), for an answer that has to be a success.
    ///
    /// # Errors
    /// It is none, with what it says.
    pub async fn ask(&mut self, request: &[u8]) -> anyhow::Result<&[u8]> {
        let (status, body) = self.send(request).await?;
        if !(200..300).contains(&status) {
            let request = String::from_utf8_lossy(request);
            let body = String::from_utf8_lossy(body);
            bail!("answered {status}: {body}\nto {request}");
        }
        Ok(body)
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        let read = self.stream.read_buf(&mut self.received).await?;
        ensure!(read > 0, "the connection was closed before the answer");
        Ok(())
    }
}

/// Where a text begins in another one.
pub fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// Status and length of the body.
fn read_head(head: &[u8]) -> anyhow::Result<(u16, usize)> {
    let head = std::str::from_utf8(head)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status.context("an answer without a status")?.parse()?;
    for line in lines {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            return Ok((status, value.trim().parse()?));
        }
    }
    ensure!(status == 204, "an answer of unknown length: {head}");
    Ok((status, 0))
}

/// Makes requests to one endpoint.
#[derive(Clone, Debug)]
pub struct Requests {
    host: SocketAddr,
    date: String,
}

impl Requests {
    /// Requests to this address, signed now by a key that nobody knows, which
    /// has all rights.
    pub fn to(host: SocketAddr) -> Self {
        let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        Self { host, date: now }
    }

    /// A call in awsQuery or ec2Query; `service` as in signatures.
    pub fn form(&self, service: &str, parameters: &[(&str, &str)]) -> Vec<u8> {
        let version = match service {
            "ec2" => "2016-11-15",
            _ => "2015-12-01",
        };
        let mut body = format!("Version={version}");
        for (name, value) in parameters {
            let _ = write!(body, "&{name}=");
            encode(value, &mut body);
        }
        let (host, date, length) = (self.host, &self.date, body.len());
        let day = &date[..8];
        format!(
            "POST / HTTP/1.1\r\nhost: {host}\r\n\
             content-type: application/x-www-form-urlencoded; charset=utf-8\r\n\
             x-amz-date: {date}\r\n\
             authorization: AWS4-HMAC-SHA256 \
             Credential=AKIABENCH0000000000/{day}/us-west-2/{service}/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=00\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    /// A request to the simulator's own side.
    pub fn sim(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        let (host, length) = (self.host, body.len());
        format!(
            "{method} /_sim/{path} HTTP/1.1\r\nhost: {host}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

fn encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// The texts of all elements of a name, in their order.
pub fn texts(xml: &[u8], name: &str) -> Vec<String> {
    let xml = String::from_utf8_lossy(xml);
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&open)
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(&close)?.0.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn heads_are_read() {
        let head = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 12";
        assert_eq!(read_head(head).unwrap(), (200, 12));
        assert_eq!(
            read_head(b"HTTP/1.1 204 No Content\r\na: b").unwrap(),
            (204, 0)
        );
        assert!(read_head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked").is_err());
        assert!(read_head(b"nonsense").is_err());
    }

    #[test]
    fn forms_are_encoded() {
        let requests = Requests::to(SocketAddr::from(([127, 0, 0, 1], 1)));
        let form = requests.form("ec2", &[("Action", "a:b/c d")]);
        let form = String::from_utf8(form).unwrap();
        assert!(form.ends_with("\r\n\r\nVersion=2016-11-15&Action=a%3Ab%2Fc%20d"));
    }

    #[test]
    fn texts_of_elements() {
        assert_eq!(texts(b"<a><b>1</b><c/><b>2</b></a>", "b"), ["1", "2"]);
    }
}
