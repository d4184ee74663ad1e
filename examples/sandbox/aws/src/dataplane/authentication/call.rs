//! Calls to providers. None leaves this machine: what is not on loopback has
//! to be known to the test issuer, or declared.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::http::header::{HOST, HeaderValue};
use axum::http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use tokio::time::timeout;

use crate::dataplane::Shared;
use crate::dataplane::forwarded::without_port;
use crate::dataplane::upstream::{Way, exchange};
use crate::issuer::has_domain;

/// A provider has to answer within this time.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no answer of a provider.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Nobody is there, or nobody who speaks as he should.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// It takes too long.
    #[error("does not answer in time")]
    Timeout,
    /// The answer is larger than load balancers take.
    #[error("answers with more than {0} bytes")]
    TooLarge(usize),
}

/// Sends a request to the URL of a provider whose tokens are of `issuer`, and
/// reads its answer, of at most `most` bytes.
pub(super) async fn call(
    shared: &Shared,
    issuer: &str,
    url: &str,
    mut request: Request<Full<Bytes>>,
    most: usize,
) -> Result<(StatusCode, Bytes), Failure> {
    let broken = |what: &str| Failure::Unreachable(what.to_owned());
    let uri: Uri = url.parse().map_err(|_| broken("its URL is not valid"))?;
    let authority = uri
        .authority()
        .ok_or_else(|| broken("its URL has no host"))?;
    let socket = socket(shared, issuer, authority.as_str()).map_err(Failure::Unreachable)?;
    let host = HeaderValue::from_str(authority.as_str());
    let host = host.map_err(|_| broken("its host is not valid"))?;
    request.headers_mut().insert(HOST, host);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().map_err(|_| broken("its path is not valid"))?;
    let asking = async {
        let way = Way {
            socket,
            tls: true,
            http2: false,
        };
        let answer = exchange(way, request, PATIENCE).await;
        let (answer, _) = answer.map_err(|failure| Failure::Unreachable(failure.tell()))?;
        read(answer, most).await
    };
    timeout(PATIENCE, asking)
        .await
        .unwrap_or(Err(Failure::Timeout))
}

async fn read(answer: Response<Incoming>, most: usize) -> Result<(StatusCode, Bytes), Failure> {
    let (parts, body) = answer.into_parts();
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok((parts.status, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::TooLarge(most)),
        Err(error) => Err(Failure::Unreachable(error.to_string())),
    }
}

/// Where a provider really listens.
///
/// Errors, in words, where it cannot be reached.
fn socket(shared: &Shared, issuer: &str, authority: &str) -> Result<SocketAddr, String> {
    let host = without_port(authority).trim_matches(['[', ']']);
    let port = authority.strip_prefix(without_port(authority));
    let port = port.and_then(|port| port.strip_prefix(':'));
    let port: u16 = port
        .map_or(Ok(443), str::parse)
        .map_err(|_| "its port is not valid")?;
    if host == "localhost" || host.ends_with(".localhost") {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    if let Ok(address) = host.parse::<IpAddr>()
        && address.is_loopback()
    {
        return Ok((address, port).into());
    }
    let declared = shared.state.everywhere(|states| {
        if has_domain(states, host) {
            return Some(Ok(None));
        }
        let issuer = states.first()?.outside.issuer(issuer)?;
        Some(if issuer.reachable() {
            Ok(issuer.socket())
        } else {
            Err("its issuer was declared to be unreachable".to_owned())
        })
    });
    let declared = declared.ok_or_else(|| {
        format!("nobody has declared the issuer '{issuer}' (POST /_sim/outside)")
    })??;
    let own = || {
        shared
            .issuer
            .socket()
            .ok_or("the test issuer has no socket")
    };
    Ok(declared.map_or_else(own, Ok)?)
}
