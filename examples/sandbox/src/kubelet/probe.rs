//! Probes: what a container's probe asks, and when its answers make a verdict.
//!
//! Questions go to the loopback socket that stands for the container's port.
//! `exec` probes always pass, since images are not run; `grpc` probes and
//! `httpGet` over HTTPS are asked as a TCP connect.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::net::TcpStream;

/// A probe with its defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What is asked.
    pub question: Question,
    /// Wait after the start of the container.
    pub initial_delay: Duration,
    /// Time between two questions.
    pub period: Duration,
    /// Time for an answer.
    pub timeout: Duration,
    /// Good answers in a row that make a pass.
    pub passes_after: u32,
    /// Bad answers in a row that make a failure.
    pub fails_after: u32,
}

/// What a probe asks of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// A GET must be answered with a status from 200 to 399.
    Http {
        /// Port of the container.
        port: u16,
        /// Path and query.
        path: String,
        /// Headers to send, `Host` among them if the probe has one.
        headers: Vec<(String, String)>,
    },
    /// A connection must be taken.
    Tcp {
        /// Port of the container.
        port: u16,
    },
    /// Nothing: the answer is good.
    Nothing,
}

impl Check {
    /// Reads a probe of `container`.
    ///
    /// # Errors
    /// When the probe names a port that the container does not have.
    pub fn of(probe: &Probe, container: &Container) -> Result<Self, String> {
        let question = if let Some(http) = &probe.http_get {
            let port = port_of(&http.port, container)?;
            if http.scheme.as_deref() == Some("HTTPS") {
                Question::Tcp { port }
            } else {
                let path = http.path.clone().unwrap_or_default();
                Question::Http {
                    port,
                    path: if path.starts_with('/') {
                        path
                    } else {
                        format!("/{path}")
                    },
                    headers: http
                        .http_headers
                        .iter()
                        .flatten()
                        .map(|header| (header.name.clone(), header.value.clone()))
                        .collect(),
                }
            }
        } else if let Some(tcp) = &probe.tcp_socket {
            Question::Tcp {
                port: port_of(&tcp.port, container)?,
            }
        } else if let Some(grpc) = &probe.grpc {
            Question::Tcp {
                port: port_of(&IntOrString::Int(grpc.port), container)?,
            }
        } else {
            Question::Nothing
        };
        Ok(Self {
            question,
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            timeout: seconds(probe.timeout_seconds, 1),
            passes_after: count(probe.success_threshold, 1),
            fails_after: count(probe.failure_threshold, 3),
        })
    }

    /// The port that is asked, if any.
    pub fn port(&self) -> Option<u16> {
        match self.question {
            Question::Http { port, .. } | Question::Tcp { port } => Some(port),
            Question::Nothing => None,
        }
    }

    /// Asks once, at the socket that stands for the port.
    ///
    /// # Errors
    /// What was wrong with the answer, in words.
    pub async fn ask(&self, socket: Option<SocketAddr>) -> Result<(), String> {
        if self.question == Question::Nothing {
            return Ok(());
        }
        let socket = socket.ok_or_else(|| "nothing listens on that port".to_owned())?;
        match tokio::time::timeout(self.timeout, self.question.put(socket)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {:?}", self.timeout)),
        }
    }
}

impl Question {
    async fn put(&self, socket: SocketAddr) -> Result<(), String> {
        let stream = TcpStream::connect(socket)
            .await
            .map_err(|error| format!("cannot connect: {error}"))?;
        let Self::Http { path, headers, .. } = self else {
            return Ok(());
        };
        let mut request = Request::get(path).header(header::USER_AGENT, "kube-probe/sandbox");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            request = request.header(header::HOST, socket.to_string());
        }
        let request = request
            .body(Empty::<Bytes>::new())
            .map_err(|error| format!("the probe makes no valid request: {error}"))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| format!("no HTTP: {error}"))?;
        let answer = async {
            sender
                .send_request(request)
                .await
                .map_err(|error| format!("no HTTP answer: {error}"))
        };
        // The connection is driven only as long as the answer is waited for.
        let status = tokio::select! {
            answer = answer => answer?.status(),
            ended = connection => {
                return Err(match ended {
                    Ok(()) => "the connection was closed before an answer".to_owned(),
                    Err(error) => format!("the connection broke: {error}"),
                });
            }
        };
        if (200..400).contains(&status.as_u16()) {
            Ok(())
        } else {
            Err(format!("HTTP status {}", status.as_u16()))
        }
    }
}

/// The number of a port that is given by number or by name.
///
/// # Errors
/// When the container has no port of that name, or the number is no port.
pub fn port_of(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => container
            .ports
            .iter()
            .flatten()
            .find(|declared| declared.name.as_deref() == Some(name))
            .map(|declared| declared.container_port)
            .or_else(|| name.parse().ok())
            .ok_or_else(|| format!("container {} has no port named {name}", container.name))?,
    };
    u16::try_from(number).map_err(|_| format!("{number} is no port"))
}

fn seconds(given: Option<i32>, default: u64) -> Duration {
    Duration::from_secs(given.map_or(default, |given| u64::try_from(given).unwrap_or(0)))
}

/// A threshold of 0 counts as one that is not given, as the apiserver does it.
fn count(given: Option<i32>, default: u32) -> u32 {
    given
        .and_then(|given| u32::try_from(given).ok())
        .filter(|given| *given > 0)
        .unwrap_or(default)
}

/// Counts answers until they make a verdict.
#[derive(Debug, Default)]
pub struct Streak {
    good: u32,
    bad: u32,
}

/// What a row of answers means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Enough good answers in a row.
    Passes,
    /// Enough bad answers in a row.
    Fails,
}

impl Streak {
    /// Counts an answer; the verdict once there are enough alike in a row.
    pub fn count(&mut self, good: bool, check: &Check) -> Option<Verdict> {
        if good {
            self.bad = 0;
            self.good = self.good.saturating_add(1);
            (self.good >= check.passes_after).then_some(Verdict::Passes)
        } else {
            self.good = 0;
            self.bad = self.bad.saturating_add(1);
            (self.bad >= check.fails_after).then_some(Verdict::Fails)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn container() -> Container {
        serde_json::from_value(json!({
            "name": "web", "ports": [{"name": "http", "containerPort": 8080}],
        }))
        .unwrap()
    }

    fn check(probe: serde_json::Value) -> Result<Check, String> {
        Check::of(&serde_json::from_value(probe).unwrap(), &container())
    }

    #[test]
    fn defaults_are_those_of_kubernetes() {
        let check = check(json!({"httpGet": {"port": "http", "path": "ready"}})).unwrap();
        assert_eq!(
            check,
            Check {
                question: Question::Http {
                    port: 8080,
                    path: "/ready".to_owned(),
                    headers: vec![],
                },
                initial_delay: Duration::ZERO,
                period: Duration::from_secs(10),
                timeout: Duration::from_secs(1),
                passes_after: 1,
                fails_after: 3,
            }
        );
    }

    #[test]
    fn a_port_that_is_not_there_is_said() {
        assert_eq!(
            check(json!({"httpGet": {"port": "metrics"}})),
            Err("container web has no port named metrics".to_owned())
        );
        assert_eq!(
            check(json!({"tcpSocket": {"port": 70000}})),
            Err("70000 is no port".to_owned())
        );
        let exec = check(json!({"exec": {"command": ["true"]}})).unwrap();
        assert_eq!(exec.question, Question::Nothing);
    }

    #[test]
    fn verdicts_need_a_row_of_answers() {
        let check = check(json!({
            "tcpSocket": {"port": 1}, "successThreshold": 2, "failureThreshold": 3,
        }))
        .unwrap();
        let mut streak = Streak::default();
        let verdicts: Vec<_> = [true, true, false, false, true, false, false, false]
            .into_iter()
            .map(|good| streak.count(good, &check))
            .collect();
        let (pass, fail) = (Some(Verdict::Passes), Some(Verdict::Fails));
        assert_eq!(verdicts, [None, pass, None, None, None, None, None, fail]);
    }

    #[tokio::test]
    async fn an_http_probe_is_really_asked() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = listener.local_addr().unwrap();
        let router = axum::Router::new().route("/good", axum::routing::get(|| async { "ok" }));
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let good = check(json!({"httpGet": {"port": 80, "path": "/good"}})).unwrap();
        assert_eq!(good.ask(Some(socket)).await, Ok(()));
        let bad = check(json!({"httpGet": {"port": 80, "path": "/bad"}})).unwrap();
        assert_eq!(
            bad.ask(Some(socket)).await,
            Err("HTTP status 404".to_owned())
        );
        assert!(good.ask(None).await.is_err());
        server.abort();
        let _ = server.await;
        assert!(good.ask(Some(socket)).await.is_err());
    }
}
