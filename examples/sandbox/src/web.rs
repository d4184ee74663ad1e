//! A small HTTP client that connects where it is told to, whatever the host's
//! name: for the gateway and the demo, which know the sockets of the load
//! balancers. Certificates are not checked, since the simulator signs its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// Time for a whole answer of [`get`].
const PATIENCE: Duration = Duration::from_secs(10);

/// Time for what a load balancer answers for a target that does not: a minute
/// if nothing else is set.
const LONG_PATIENCE: Duration = Duration::from_secs(90);

/// A listener of a load balancer as `GET /_sim/endpoints` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Name of the load balancer.
    pub name: String,
    /// DNS name of the load balancer.
    pub dns_name: String,
    /// Port of the listener as AWS holds it.
    pub port: u16,
    /// `HTTP` or `HTTPS`.
    pub protocol: String,
    /// Where to connect.
    pub socket: SocketAddr,
}

impl Listener {
    /// Something on this machine that speaks HTTP.
    pub fn plain(socket: SocketAddr) -> Self {
        Self {
            name: socket.to_string(),
            dns_name: socket.to_string(),
            port: socket.port(),
            protocol: "HTTP".to_owned(),
            socket,
        }
    }

    /// The listener expects TLS.
    pub fn is_tls(&self) -> bool {
        self.protocol == "HTTPS"
    }

    /// How a browser names `host` at this listener: with the port unless it is
    /// the one that the protocol implies.
    pub fn authority(&self, host: &str) -> String {
        let implied = if self.is_tls() { 443 } else { 80 };
        if self.port == implied {
            host.to_owned()
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

/// An answer that has been read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status of the answer.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as text.
    pub body: String,
}

impl Answer {
    /// A header as text; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// The listeners that are open now, from the AWS simulator at `aws`
/// (`http://ADDRESS:PORT`).
///
/// # Errors
/// When the simulator does not answer.
pub async fn listeners(aws: &str) -> anyhow::Result<Vec<Listener>> {
    sim(aws, "/_sim/endpoints").await
}

/// An answer of the simulator's own paths, read as JSON.
///
/// # Errors
/// When it does not answer, or with something else.
pub async fn sim<T: serde::de::DeserializeOwned>(aws: &str, path: &str) -> anyhow::Result<T> {
    let answer = ask_sim(aws, Method::GET, path).await?;
    serde_json::from_str(&answer.body)
        .with_context(|| format!("{path} of the AWS simulator: {}", answer.body))
}

/// Makes the simulator forget the calls that it got so far.
///
/// # Errors
/// When it does not answer, or refuses.
pub async fn clear_calls(aws: &str) -> anyhow::Result<()> {
    let answer = ask_sim(aws, Method::DELETE, "/_sim/calls").await?;
    anyhow::ensure!(
        answer.status.is_success(),
        "the AWS simulator does not forget its calls: {}",
        answer.status
    );
    Ok(())
}

/// Tells one of the simulator's own paths something, as JSON.
///
/// # Errors
/// When it does not answer.
pub async fn tell_sim(aws: &str, path: &str, body: &serde_json::Value) -> anyhow::Result<Answer> {
    let (stream, authority) = connect(aws).await?;
    let (head, _) = request(Method::POST, authority, path)?.into_parts();
    let request = Request::from_parts(head, Body::from(body.to_string()));
    read(LONG_PATIENCE, exchange(stream, request)).await
}

/// An answer of the simulator's own paths whose body goes on and on.
///
/// # Errors
/// When it does not answer, or refuses.
pub async fn stream_sim(aws: &str, path: &str) -> anyhow::Result<Response<Incoming>> {
    let (stream, authority) = connect(aws).await?;
    let response = exchange(stream, request(Method::GET, authority, path)?).await?;
    anyhow::ensure!(
        response.status().is_success(),
        "{path} of the AWS simulator: {}",
        response.status()
    );
    Ok(response)
}

async fn ask_sim(aws: &str, method: Method, path: &str) -> anyhow::Result<Answer> {
    let (stream, authority) = connect(aws).await?;
    read(
        PATIENCE,
        exchange(stream, request(method, authority, path)?),
    )
    .await
}

/// Connects to a URL of this machine, `http://ADDRESS:PORT`.
async fn connect(url: &str) -> anyhow::Result<(TcpStream, &str)> {
    let authority = url.trim_start_matches("http://").trim_end_matches('/');
    let socket: SocketAddr = authority
        .parse()
        .with_context(|| format!("{url} is no address and port"))?;
    let stream = TcpStream::connect(socket)
        .await
        .with_context(|| format!("cannot connect to {url}"))?;
    Ok((stream, authority))
}

/// Asks `listener` for `path` of `host`. Redirects are not followed.
///
/// # Errors
/// When there is no whole answer within ten seconds.
pub async fn get(listener: &Listener, host: &str, path: &str) -> anyhow::Result<Answer> {
    let request = request(Method::GET, &listener.authority(host), path)?;
    read(PATIENCE, send(listener, host, request)).await
}

fn request(method: Method, authority: &str, path: &str) -> anyhow::Result<Request<Body>> {
    Ok(Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, authority)
        .body(Body::empty())?)
}

async fn read(
    patience: Duration,
    sent: impl Future<Output = anyhow::Result<Response<Incoming>>>,
) -> anyhow::Result<Answer> {
    let whole = async {
        let (head, body) = sent.await?.into_parts();
        let body = body.collect().await?.to_bytes();
        anyhow::Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    };
    tokio::time::timeout(patience, whole)
        .await
        .with_context(|| format!("no answer within {} seconds", patience.as_secs()))?
}

/// Sends a request to `listener`; `host` is the name that TLS asks for.
///
/// # Errors
/// When the listener cannot be reached or does not speak HTTP.
pub async fn send(
    listener: &Listener,
    host: &str,
    request: Request<Body>,
) -> anyhow::Result<Response<Incoming>> {
    let stream = TcpStream::connect(listener.socket)
        .await
        .with_context(|| format!("cannot connect to {}", listener.socket))?;
    if listener.is_tls() {
        let name = ServerName::try_from(host.to_owned())?;
        let stream = connector()?
            .connect(name, stream)
            .await
            .with_context(|| format!("no TLS with {}", listener.socket))?;
        exchange(stream, request).await
    } else {
        exchange(stream, request).await
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Body>,
) -> anyhow::Result<Response<Incoming>> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the answer's body, or with the other side.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

fn connector() -> anyhow::Result<TlsConnector> {
    let config = sandbox_aws::dataplane::tls_client()?;
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_named_where_the_protocol_does_not_imply_it() {
        let listener = |port, protocol: &str| Listener {
            name: "a".to_owned(),
            dns_name: "a.elb.amazonaws.com".to_owned(),
            port,
            protocol: protocol.to_owned(),
            socket: ([127, 64, 0, 1], 20080).into(),
        };
        assert_eq!(listener(80, "HTTP").authority("a.b"), "a.b");
        assert_eq!(listener(443, "HTTPS").authority("a.b"), "a.b");
        assert_eq!(listener(443, "HTTP").authority("a.b"), "a.b:443");
        assert_eq!(listener(8443, "HTTPS").authority("a.b"), "a.b:8443");
    }
}
