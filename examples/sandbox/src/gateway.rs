//! The gateway for people: an ordinary browser on this machine reaches what
//! the load balancers serve, without root and without touching its DNS.
//!
//! Every browser takes `NAME.localhost` for loopback. So
//! `http://game.example.com.localhost:PORT/` comes here and is passed on to
//! the load balancer that the sandbox's DNS names for `game.example.com`. A
//! listener on another port than 80 is named by one more label
//! (`game.example.com.443.localhost`), which is how redirects between
//! listeners are passed on. Upgrades (WebSocket) are not.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use sandbox_aws::SharedState;
use sandbox_aws::dns::lookup;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::account::Account;
use crate::apps::echo;
use crate::web::{self, Listener};

/// Under which each host is reached.
const SUFFIX: &str = ".localhost";

/// Headers that belong to one connection and are not passed on.
const HOP_BY_HOP: [header::HeaderName; 6] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// A running gateway; closes when dropped.
pub struct Gateway {
    address: SocketAddr,
    _serving: AbortOnDropHandle<()>,
}

/// What the gateway asks.
struct Sources {
    port: u16,
    dns: SocketAddr,
    aws: String,
    account: SharedState,
}

impl Gateway {
    /// Listens on `port` of loopback, on any free one for 0.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(port: u16, account: &Account) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let sources = Sources {
            port: address.port(),
            dns: account.dns(),
            aws: account.endpoint_url(),
            account: account.state().clone(),
        };
        let router = Router::new().fallback(answer).with_state(Arc::new(sources));
        let serving = async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!("the gateway ended: {error}");
            }
        };
        Ok(Self {
            address,
            _serving: AbortOnDropHandle::new(tokio::spawn(serving)),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of `host` for a browser.
    pub fn url(&self, host: &str) -> String {
        let site = Site {
            host: host.to_owned(),
            port: None,
        };
        format!("http://{}/", site.authority(self.address.port()))
    }
}

/// A host, and the port of the listener if the browser asks for one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Site {
    host: String,
    port: Option<u16>,
}

impl Site {
    /// Reads `game.example.com.localhost:8080` or, with a listener's port,
    /// `game.example.com.443.localhost:8080`. None is the gateway itself.
    fn of(authority: &str) -> Option<Self> {
        let name = authority
            .rsplit_once(':')
            .map_or(authority, |(name, _)| name)
            .to_ascii_lowercase();
        let name = name.strip_suffix(SUFFIX).filter(|name| !name.is_empty())?;
        let port = name
            .rsplit_once('.')
            .and_then(|(host, label)| Some((host, label.parse().ok()?)));
        Some(match port {
            Some((host, port)) => Self {
                host: host.to_owned(),
                port: Some(port),
            },
            None => Self {
                host: name.to_owned(),
                port: None,
            },
        })
    }

    /// The host and port by which a browser asks for this at the gateway.
    fn authority(&self, gateway: u16) -> String {
        match self.port {
            Some(port) => format!("{}.{port}{SUFFIX}:{gateway}", self.host),
            None => format!("{}{SUFFIX}:{gateway}", self.host),
        }
    }

    /// Which of a load balancer's listeners is meant: the one asked for, else
    /// port 80, else 443, else the lowest.
    fn choose<'a>(&self, listeners: &'a [Listener]) -> Option<&'a Listener> {
        let on = |port| listeners.iter().find(|listener| listener.port == port);
        match self.port {
            Some(port) => on(port),
            None => on(80)
                .or_else(|| on(443))
                .or_else(|| listeners.iter().min_by_key(|listener| listener.port)),
        }
    }
}

/// Where a redirect leads, if it names a host: that host and the port.
fn redirected(location: &str) -> Option<(Site, Uri)> {
    let uri: Uri = location.parse().ok()?;
    let host = uri.host()?.to_ascii_lowercase();
    let implied = match uri.scheme_str()? {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let port = uri.port_u16().unwrap_or(implied);
    let site = Site {
        host,
        // Port 80 is what is asked for without a label.
        port: (port != 80).then_some(port),
    };
    Some((site, uri))
}

/// The redirect of a load balancer or an app as one of the gateway.
fn through_gateway(site: &Site, uri: &Uri, gateway: u16) -> String {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    format!("http://{}{path}", site.authority(gateway))
}

/// A cookie of the host as one that the browser keeps for the gateway's name.
fn rewritten_cookie(cookie: &str) -> String {
    cookie
        .split(';')
        .map(str::trim)
        .filter(|part| {
            let name = part.split('=').next().unwrap_or_default();
            !name.eq_ignore_ascii_case("domain")
        })
        .collect::<Vec<_>>()
        .join("; ")
}

async fn answer(State(sources): State<Arc<Sources>>, request: Request) -> Response {
    let Some(site) = Site::of(&echo::host(&request)) else {
        return sources.overview(StatusCode::OK, "").into_response();
    };
    let listeners = match sources.listeners(&site.host).await {
        Ok(listeners) => listeners,
        Err(message) => return sources.overview(StatusCode::NOT_FOUND, &message),
    };
    let Some(listener) = site.choose(&listeners) else {
        let ports: Vec<_> = listeners.iter().map(|each| each.port.to_string()).collect();
        let message = format!(
            "The load balancer of {} has no listener on port {}; it has: {}.",
            site.host,
            site.port.unwrap_or(80),
            ports.join(", ")
        );
        return sources.overview(StatusCode::NOT_FOUND, &message);
    };
    match pass_on(&site, listener, request).await {
        Ok(mut response) => {
            sources.rewrite(response.headers_mut()).await;
            response
        }
        Err(error) => {
            let message = format!("The load balancer of {} fails: {error:#}.", site.host);
            sources.overview(StatusCode::BAD_GATEWAY, &message)
        }
    }
}

async fn pass_on(site: &Site, listener: &Listener, request: Request) -> anyhow::Result<Response> {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = path.parse()?;
    for name in &HOP_BY_HOP {
        head.headers.remove(name);
    }
    let host = HeaderValue::from_str(&listener.authority(&site.host))?;
    head.headers.insert(header::HOST, host);
    let request = Request::from_parts(head, body);
    let (mut head, body) = web::send(listener, &site.host, request).await?.into_parts();
    for name in &HOP_BY_HOP {
        head.headers.remove(name);
    }
    Ok(Response::from_parts(head, Body::new(body)))
}

impl Sources {
    /// The listeners of the load balancer that DNS names for `host`.
    async fn listeners(&self, host: &str) -> Result<Vec<Listener>, String> {
        let addresses = self.addresses(host).await?;
        let all = web::listeners(&self.aws)
            .await
            .map_err(|error| format!("The AWS of the sandbox does not answer: {error:#}."))?;
        let of_host: Vec<Listener> = all
            .into_iter()
            .filter(|listener| addresses.contains(&listener.socket.ip()))
            .collect();
        if of_host.is_empty() {
            return Err(format!(
                "{host} has a record, but no listener is open there: the load balancer may still be provisioning."
            ));
        }
        Ok(of_host)
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let found = lookup(self.dns, host, "A")
            .await
            .map_err(|error| format!("The DNS of the sandbox does not answer: {error}."))?;
        let addresses = found.addresses();
        if addresses.is_empty() {
            let status = found.status();
            return Err(format!(
                "The sandbox's DNS has no address for {host} ({status})."
            ));
        }
        Ok(addresses)
    }

    /// Makes what an answer says about its own place true for the browser.
    async fn rewrite(&self, headers: &mut HeaderMap) {
        if let Some((site, uri)) = text(headers, header::LOCATION).and_then(redirected) {
            // A redirect out of the sandbox goes there.
            if self.addresses(&site.host).await.is_ok()
                && let Ok(location) =
                    HeaderValue::from_str(&through_gateway(&site, &uri, self.port))
            {
                headers.insert(header::LOCATION, location);
            }
        }
        let cookies: Vec<_> = headers
            .get_all(header::SET_COOKIE)
            .iter()
            .filter_map(|cookie| {
                HeaderValue::from_str(&rewritten_cookie(cookie.to_str().ok()?)).ok()
            })
            .collect();
        headers.remove(header::SET_COOKIE);
        for cookie in cookies {
            headers.append(header::SET_COOKIE, cookie);
        }
        // The gateway speaks HTTP: a browser that was told never to would be lost.
        headers.remove(header::STRICT_TRANSPORT_SECURITY);
    }

    /// The page of the gateway itself: what is served, and what was wrong.
    fn overview(&self, status: StatusCode, message: &str) -> Response {
        let hosts = self.account.read(|account| {
            let mut hosts: Vec<String> = account
                .hosted_zones
                .values()
                .flat_map(|zone| zone.records.values())
                .filter(|record| record.kind == "A" && record.alias.is_some())
                .map(|record| record.name.trim_end_matches('.').to_owned())
                .collect();
            hosts.sort();
            hosts
        });
        (status, Html(page(&hosts, message, self.port))).into_response()
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn page(hosts: &[String], message: &str, port: u16) -> String {
    let message = match message {
        "" => String::new(),
        message => format!("<p class=\"wrong\">{}</p>", escaped(message)),
    };
    let items: String = hosts
        .iter()
        .map(|host| {
            let site = Site {
                host: host.clone(),
                port: None,
            };
            let (host, authority) = (escaped(host), escaped(&site.authority(port)));
            if host.contains('*') {
                format!("<li><b>{host}</b> <span>any name in the place of the star</span></li>")
            } else {
                format!("<li><a href=\"http://{authority}/\">{host}</a></li>")
            }
        })
        .collect();
    let list = if items.is_empty() {
        "<p>No host has a record yet. Apply an Ingress with a host, and look again.</p>".to_owned()
    } else {
        format!("<ul>{items}</ul>")
    };
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Sandbox gateway</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>\
         body{{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:10vh auto;padding:0 1rem;\
         color:#2c3440;background:#f4f1ea}}h1{{font-size:1.6rem}}ul{{list-style:none;padding:0}}\
         li{{background:#fff;border-radius:10px;padding:.7rem 1rem;margin:.5rem 0}}\
         a{{color:#c24f2c;font-weight:600;text-decoration:none}}span{{color:#7b8494}}\
         .wrong{{background:#fbe7c2;border-radius:10px;padding:.7rem 1rem}}</style>\
         <h1>What the sandbox's load balancers serve</h1>{message}{list}\
         <p><span>http://HOST.localhost:{port}/ is passed on to the load balancer of HOST, as \
         Route 53 of the sandbox names it.</span></p></html>"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn site(host: &str, port: Option<u16>) -> Site {
        Site {
            host: host.to_owned(),
            port,
        }
    }

    #[test]
    fn names_at_the_gateway() {
        let cases = [
            (
                "game.example.com.localhost:8080",
                Some(site("game.example.com", None)),
            ),
            (
                "Game.Example.com.localhost",
                Some(site("game.example.com", None)),
            ),
            (
                "game.example.com.443.localhost:1",
                Some(site("game.example.com", Some(443))),
            ),
            ("localhost:8080", None),
            ("127.0.0.1:8080", None),
            (".localhost", None),
        ];
        for (authority, expected) in cases {
            assert_eq!(Site::of(authority), expected, "{authority}");
            if let Some(site) = expected {
                assert_eq!(Site::of(&site.authority(8080)), Some(site));
            }
        }
    }

    #[test]
    fn a_redirect_to_another_listener_stays_in_the_gateway() {
        let cases = [
            (
                "https://a.com:443/x?y=1",
                "http://a.com.443.localhost:9/x?y=1",
            ),
            ("https://a.com/", "http://a.com.443.localhost:9/"),
            ("http://a.com", "http://a.com.localhost:9/"),
            ("http://a.com:80/x", "http://a.com.localhost:9/x"),
            ("http://a.com:8080/x", "http://a.com.8080.localhost:9/x"),
            ("https://A.com:8443/x", "http://a.com.8443.localhost:9/x"),
        ];
        for (location, expected) in cases {
            let (site, uri) = redirected(location).unwrap();
            assert_eq!(through_gateway(&site, &uri, 9), expected, "{location}");
        }
        for own in ["/login", "login", "mailto:a@b.com", ""] {
            assert!(redirected(own).is_none(), "{own}");
        }
    }

    #[test]
    fn the_listener_of_a_site() {
        let listeners: Vec<Listener> = [(8080, "HTTP"), (443, "HTTPS")]
            .into_iter()
            .map(|(port, protocol)| Listener {
                name: "a".to_owned(),
                dns_name: "a".to_owned(),
                port,
                protocol: protocol.to_owned(),
                socket: ([127, 64, 0, 1], port).into(),
            })
            .collect();
        let chosen = |port| site("a", port).choose(&listeners).map(|each| each.port);
        assert_eq!(chosen(None), Some(443));
        assert_eq!(chosen(Some(8080)), Some(8080));
        assert_eq!(chosen(Some(80)), None);
    }

    #[test]
    fn cookies_lose_their_domain_only() {
        assert_eq!(
            rewritten_cookie("a=b; Domain=example.com; Path=/; HttpOnly"),
            "a=b; Path=/; HttpOnly"
        );
    }

    #[test]
    fn the_page_lists_hosts_and_shows_messages_as_text() {
        let page = page(&["a.com".to_owned(), "*.b.com".to_owned()], "<x>", 9);
        assert!(page.contains("href=\"http://a.com.localhost:9/\""));
        assert!(page.contains("*.b.com") && !page.contains("href=\"http://*"));
        assert!(page.contains("&lt;x&gt;") && !page.contains("<x>"));
    }
}
