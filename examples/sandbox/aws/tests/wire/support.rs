//! A simulator with a small world, and a client that speaks raw HTTP.

use std::{fmt::Write, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, body::Bytes};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use jiff::SignedDuration;
use sandbox_aws::{Options, Simulator, Timing, World, WorldIds};
use serde_json::Value;

const HOUR_MS: u64 = 3_600_000;

/// What AWS does later happens when a test lets time pass, so that no test
/// depends on the speed of the machine.
const TIMING: Timing = Timing {
    latency_ms: 0,
    provisioning_ms: HOUR_MS,
    insync_ms: HOUR_MS,
    zone_busy_ms: 0,
    eni_release_ms: HOUR_MS,
    draining_ms: Some(HOUR_MS),
    registration_lag_ms: 0,
    deregistration_lag_ms: 0,
    first_health_ms: 0,
    health_scale: 0.01,
    certificate_issue_ms: HOUR_MS,
    tag_linger_ms: HOUR_MS,
    instance_ms: HOUR_MS,
    trust_store_ms: HOUR_MS,
    capacity_ms: HOUR_MS,
    scale: 1.0,
    spread: 0.0,
};

pub struct Aws {
    pub simulator: Simulator,
    pub world: WorldIds,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer.
pub struct Reply {
    pub status: u16,
    pub request_id: Option<String>,
    pub location: Option<String>,
    pub body: String,
}

impl Reply {
    /// The answer, which has to be a success.
    pub fn ok(self) -> Self {
        assert!(self.status < 300, "{} {}", self.status, self.body);
        self
    }

    /// The error code; empty for a success.
    pub fn code(&self) -> String {
        if let Ok(json) = serde_json::from_str::<Value>(&self.body) {
            return json["__type"].as_str().unwrap_or_default().to_owned();
        }
        self.all("Code")
            .into_iter()
            .next()
            .filter(|_| self.status >= 400)
            .unwrap_or_default()
    }

    /// The texts of all elements of a name.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.body
            .split(&format!("<{name}>"))
            .skip(1)
            .filter_map(|rest| rest.split_once(&format!("</{name}>")))
            .map(|(text, _)| text.to_owned())
            .collect()
    }

    /// The text of the first element of a name.
    pub fn one(&self, name: &str) -> String {
        let found = self.all(name).into_iter().next();
        found.unwrap_or_else(|| panic!("no {name} in {}", self.body))
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").unwrap();
        }
    }
    out
}

pub fn signed(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261123/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=00"
    )
}

impl Aws {
    pub async fn start() -> Self {
        Self::start_with(World {
            nodes: 2,
            ..World::default()
        })
        .await
    }

    pub async fn start_with(world: World) -> Self {
        let options = Options {
            dns: None,
            timing: TIMING,
            ..Options::default()
        };
        let simulator = Simulator::start(options).await.unwrap();
        let world = simulator
            .state()
            .write(|state, now| world.build(state, now))
            .unwrap();
        Self {
            simulator,
            world,
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Follows `/_sim/events`.
    pub async fn events(&self, query: &str) -> Events {
        let uri = format!("{}/_sim/events{query}", self.simulator.endpoint());
        let request = Request::get(uri).body(Full::default()).unwrap();
        let answer = self.client.request(request).await.unwrap();
        Events {
            body: answer.into_body(),
            text: String::new(),
        }
    }

    /// Makes everything happen that was due in an hour and a half: what takes an
    /// hour, but not what follows another hour after it.
    pub fn let_time_pass(&self) {
        self.simulator.state().write(|state, now| {
            let later = now.checked_add(SignedDuration::from_mins(90)).unwrap();
            state.advance(later);
        });
    }

    /// A request as it is; `Err` when the connection broke.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Reply, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.simulator.endpoint()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body)).unwrap();
        let answer = self
            .client
            .request(request)
            .await
            .map_err(|error| error.to_string())?;
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.map_err(|error| error.to_string())?;
        let header = |name: &str| {
            let value = parts.headers.get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        Ok(Reply {
            status: parts.status.as_u16(),
            request_id: header("x-amzn-requestid"),
            location: header("location"),
            body: String::from_utf8(bytes.to_bytes().to_vec()).unwrap(),
        })
    }

    async fn form(
        &self,
        service: &str,
        version: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Reply {
        let mut body = format!("Action={action}&Version={version}");
        for (name, value) in parameters {
            write!(body, "&{name}={}", encode(value)).unwrap();
        }
        let headers = [
            ("authorization", signed(service)),
            (
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8".to_owned(),
            ),
        ];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        self.send(Method::POST, "/", &headers, body).await.unwrap()
    }

    pub async fn elb(&self, action: &str, parameters: &[(&str, &str)]) -> Reply {
        self.form("elasticloadbalancing", "2015-12-01", action, parameters)
            .await
    }

    pub async fn ec2(&self, action: &str, parameters: &[(&str, &str)]) -> Reply {
        self.form("ec2", "2016-11-15", action, parameters).await
    }

    pub async fn sts(&self, action: &str, parameters: &[(&str, &str)]) -> Reply {
        self.form("sts", "2011-06-15", action, parameters).await
    }

    pub async fn route53(&self, method: Method, path: &str, body: &str) -> Reply {
        let authorization = signed("route53");
        let path = format!("/2013-04-01/{path}");
        let headers = [("authorization", authorization.as_str())];
        self.send(method, &path, &headers, body.to_owned())
            .await
            .unwrap()
    }

    /// A change batch; `changes` is the XML inside `<Changes>`.
    pub async fn change(&self, zone: &str, changes: &str) -> Reply {
        let body = format!(
            r#"<?xml version="1.0"?><ChangeResourceRecordSetsRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ChangeBatch><Changes>{changes}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"#
        );
        self.route53(Method::POST, &format!("hostedzone/{zone}/rrset/"), &body)
            .await
    }

    pub async fn acm(&self, action: &str, body: Value) -> Reply {
        self.json("acm", &format!("CertificateManager.{action}"), body)
            .await
    }

    pub async fn wafv2(&self, action: &str, body: Value) -> Reply {
        self.json("wafv2", &format!("AWSWAF_20190729.{action}"), body)
            .await
    }

    async fn json(&self, service: &str, target: &str, body: Value) -> Reply {
        let authorization = signed(service);
        let headers = [
            ("authorization", authorization.as_str()),
            ("x-amz-target", target),
            ("content-type", "application/x-amz-json-1.1"),
        ];
        self.send(Method::POST, "/", &headers, body.to_string())
            .await
            .unwrap()
    }

    pub async fn sim(&self, method: Method, path: &str, body: &str) -> Reply {
        let path = format!("/_sim/{path}");
        self.send(
            method,
            &path,
            &[("content-type", "application/json")],
            body.to_owned(),
        )
        .await
        .unwrap()
    }

    /// A load balancer in the public subnets; answers its ARN.
    pub async fn balancer(&self, name: &str) -> String {
        let [a, b, c] = self.world.public_subnets.as_slice() else {
            panic!("three public subnets");
        };
        self.elb(
            "CreateLoadBalancer",
            &[
                ("Name", name),
                ("Subnets.member.1", a),
                ("Subnets.member.2", b),
                ("Subnets.member.3", c),
            ],
        )
        .await
        .ok()
        .one("LoadBalancerArn")
    }

    /// A target group of pod addresses; answers its ARN.
    pub async fn group(&self, name: &str) -> String {
        self.elb(
            "CreateTargetGroup",
            &[
                ("Name", name),
                ("Protocol", "HTTP"),
                ("Port", "8080"),
                ("VpcId", &self.world.vpc),
                ("TargetType", "ip"),
            ],
        )
        .await
        .ok()
        .one("TargetGroupArn")
    }

    /// An HTTP listener with a 404; answers its ARN.
    pub async fn listener(&self, balancer: &str, port: &str) -> String {
        self.elb(
            "CreateListener",
            &[
                ("LoadBalancerArn", balancer),
                ("Protocol", "HTTP"),
                ("Port", port),
                ("DefaultActions.member.1.Type", "fixed-response"),
                (
                    "DefaultActions.member.1.FixedResponseConfig.StatusCode",
                    "404",
                ),
            ],
        )
        .await
        .ok()
        .one("ListenerArn")
    }

    /// A rule for a path that forwards to a group.
    pub async fn rule(&self, listener: &str, priority: &str, path: &str, group: &str) -> Reply {
        self.elb(
            "CreateRule",
            &[
                ("ListenerArn", listener),
                ("Priority", priority),
                ("Conditions.member.1.Field", "path-pattern"),
                (
                    "Conditions.member.1.PathPatternConfig.Values.member.1",
                    path,
                ),
                ("Actions.member.1.Type", "forward"),
                ("Actions.member.1.TargetGroupArn", group),
            ],
        )
        .await
    }
}

/// Calls until the answer is as wanted; fails after half a minute.
pub async fn until<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    for _ in 0..1500 {
        if ask().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} did not happen in half a minute");
}

/// A stream of server-sent events.
pub struct Events {
    body: hyper::body::Incoming,
    text: String,
}

impl Events {
    /// The data of the next event of a kind that is the one looked for.
    pub async fn next(&mut self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| {
                    let mut lines = event.lines();
                    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                };
                let data = field("data")
                    .filter(|_| field("event") == Some(kind))
                    .map(|data| serde_json::from_str::<Value>(data).unwrap());
                if let Some(data) = data.filter(|data| wanted(data)) {
                    return data;
                }
            }
            let next = tokio::time::timeout(Duration::from_secs(20), self.body.frame());
            let frame = next.await.expect("an event").unwrap().unwrap();
            let bytes = frame.into_data().unwrap_or_default();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }
}
