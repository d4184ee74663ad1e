//! A client that speaks HTTPS and keeps cookies, as a browser does.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::header::{COOKIE, HOST, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, Request};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::world::Got;
use crate::dataplane::tls;

/// The host of the load balancer.
pub(super) const HOST_NAME: &str = "shop.example.com";

/// A browser that knows where two hosts are.
pub(super) struct Browser {
    pub(super) balancer: SocketAddr,
    pub(super) issuer: SocketAddr,
    pub(super) cookies: BTreeMap<String, String>,
}

/// Sends one request over TLS; the error of the connection if there is one.
pub(super) async fn over_tls(
    socket: SocketAddr,
    config: ClientConfig,
    name: &str,
    request: Request<Body>,
) -> Result<Got, String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let stream = TcpStream::connect(socket).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| told(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let answer = match sender.send_request(request).await {
        Ok(answer) => answer,
        // What the connection says is more to the point.
        Err(error) => {
            let ended = connection.await.unwrap();
            return Err(ended.map_or_else(
                |error| format!("{error}: {:?}", std::error::Error::source(&error)),
                |()| error.to_string(),
            ));
        }
    };
    let (parts, body) = answer.into_parts();
    let body = to_bytes(Body::new(body), usize::MAX).await;
    Ok(Got {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8(body.map_err(|error| told(&error))?.to_vec()).unwrap(),
    })
}

/// The lines that set cookies.
pub(super) fn set_cookies(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(SET_COOKIE).iter();
    lines
        .map(|line| line.to_str().unwrap().to_owned())
        .collect()
}

/// Where a redirect leads.
pub(super) fn location(got: &Got) -> String {
    assert_eq!(got.status, 302, "{got:?}");
    got.headers[LOCATION].to_str().unwrap().to_owned()
}

impl Browser {
    /// One request, no redirect followed.
    pub(super) async fn get(&mut self, url: &str) -> Got {
        let rest = url.strip_prefix("https://").unwrap();
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority.split(':').next().unwrap();
        let own = host == HOST_NAME;
        let mut request = Request::get(path).header(HOST, authority);
        if own && !self.cookies.is_empty() {
            let pairs: Vec<String> = self
                .cookies
                .iter()
                .map(|(n, v)| format!("{n}={v}"))
                .collect();
            request = request.header(COOKIE, pairs.join("; "));
        }
        let request = request.body(Body::empty()).unwrap();
        let socket = if own { self.balancer } else { self.issuer };
        let got = over_tls(socket, tls::client().unwrap(), host, request)
            .await
            .unwrap();
        for line in set_cookies(&got.headers) {
            assert!(own && line.len() <= 4_096, "{line}");
            let (name, rest) = line.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        got
    }

    /// Follows redirects to the end; answers the last URL too.
    pub(super) async fn visit(&mut self, url: &str) -> (String, Got) {
        let mut url = url.to_owned();
        for _ in 0..10 {
            let got = self.get(&url).await;
            if got.status != 302 {
                return (url, got);
            }
            url = location(&got);
        }
        panic!("redirected for ever, last to {url}");
    }
}
