//! A question to a DNS server, and its answer as `dig` prints it.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// How long the server has for its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The answer to one question. Prints itself as `dig` does.
#[derive(Clone, Debug)]
pub struct Lookup {
    server: SocketAddr,
    pub(super) message: Message,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The name or the type cannot stand in a question.
    #[error("'{0}' is no DNS name or record type")]
    Question(String),
    /// The server could not be asked.
    #[error("cannot ask DNS server {0}")]
    Io(SocketAddr, #[source] io::Error),
    /// The server is silent.
    #[error("DNS server {0} did not answer in time")]
    Silent(SocketAddr),
    /// What came back is no answer to the question.
    #[error("DNS server {0} sent something that is no answer")]
    Malformed(SocketAddr),
}

/// Asks `server`, which has to be on loopback, for the records of `name` of a
/// type such as `A` or `TXT`.
pub async fn lookup(server: SocketAddr, name: &str, kind: &str) -> Result<Lookup, LookupError> {
    let asked = Name::from_ascii(format!("{}.", name.trim_end_matches('.')))
        .map_err(|_| LookupError::Question(name.to_owned()))?;
    let kind: RecordType = kind
        .to_ascii_uppercase()
        .parse()
        .map_err(|_| LookupError::Question(kind.to_owned()))?;
    let mut query = Message::new(rand::random(), MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(asked, kind));
    let wire = query
        .to_vec()
        .map_err(|_| LookupError::Question(name.to_owned()))?;

    let failed = |error| LookupError::Io(server, error);
    let here: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let socket = UdpSocket::bind((here, 0)).await.map_err(failed)?;
    socket.connect(server).await.map_err(failed)?;
    socket.send(&wire).await.map_err(failed)?;
    let mut buffer = vec![0; 4096];
    let length = timeout(PATIENCE, socket.recv(&mut buffer))
        .await
        .map_err(|_| LookupError::Silent(server))?
        .map_err(failed)?;
    match Message::from_vec(&buffer[..length]) {
        Ok(message) if message.metadata.id == query.metadata.id => Ok(Lookup { server, message }),
        _ => Err(LookupError::Malformed(server)),
    }
}

impl Lookup {
    /// The status as `dig` names it: `NOERROR`, `NXDOMAIN`, `REFUSED`, ….
    pub fn status(&self) -> String {
        match self.message.metadata.response_code {
            ResponseCode::NoError => "NOERROR".to_owned(),
            ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
            ResponseCode::Refused => "REFUSED".to_owned(),
            ResponseCode::ServFail => "SERVFAIL".to_owned(),
            ResponseCode::FormErr => "FORMERR".to_owned(),
            ResponseCode::NotImp => "NOTIMP".to_owned(),
            other => format!("RCODE{}", u16::from(other)),
        }
    }

    /// The IPv4 and IPv6 addresses of the answer.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.message
            .answers
            .iter()
            .filter_map(|record| match &record.data {
                RData::A(address) => Some(IpAddr::V4(address.0)),
                RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                _ => None,
            })
            .collect()
    }

    /// The data of each record of the answer, as `dig +short` prints it.
    pub fn values(&self) -> Vec<String> {
        self.message.answers.iter().map(value).collect()
    }
}

fn value(record: &Record) -> String {
    match &record.data {
        // A TXT prints its strings bare; in a zone file they stand in quotes.
        RData::TXT(txt) => {
            let strings: Vec<String> = txt
                .txt_data
                .iter()
                .map(|string| {
                    let string = String::from_utf8_lossy(string);
                    format!("\"{}\"", string.replace('\\', "\\\\").replace('"', "\\\""))
                })
                .collect();
            strings.join(" ")
        }
        other => other.to_string(),
    }
}

fn section(f: &mut fmt::Formatter<'_>, title: &str, records: &[Record]) -> fmt::Result {
    if records.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n;; {title} SECTION:")?;
    for record in records {
        writeln!(
            f,
            "{}\t{}\t{}\t{}\t{}",
            record.name,
            record.ttl,
            record.dns_class,
            record.record_type(),
            value(record)
        )?;
    }
    Ok(())
}

impl fmt::Display for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Message {
            metadata,
            queries,
            answers,
            authorities,
            ..
        } = &self.message;
        writeln!(
            f,
            ";; ->>HEADER<<- opcode: QUERY, status: {}, id: {}",
            self.status(),
            metadata.id
        )?;
        let flags: Vec<&str> = [
            (true, "qr"),
            (metadata.authoritative, "aa"),
            (metadata.truncation, "tc"),
            (metadata.recursion_desired, "rd"),
            (metadata.recursion_available, "ra"),
        ]
        .into_iter()
        .filter_map(|(set, flag)| set.then_some(flag))
        .collect();
        writeln!(
            f,
            ";; flags: {}; QUERY: {}, ANSWER: {}, AUTHORITY: {}, ADDITIONAL: 0",
            flags.join(" "),
            queries.len(),
            answers.len(),
            authorities.len()
        )?;
        writeln!(f, "\n;; QUESTION SECTION:")?;
        for query in queries {
            writeln!(
                f,
                ";{}\t\t{}\t{}",
                query.name, query.query_class, query.query_type
            )?;
        }
        section(f, "ANSWER", answers)?;
        section(f, "AUTHORITY", authorities)?;
        writeln!(
            f,
            "\n;; SERVER: {}#{}({}) (UDP)",
            self.server.ip(),
            self.server.port(),
            self.server.ip()
        )
    }
}
