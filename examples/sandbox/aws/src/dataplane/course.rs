//! The course that a request takes: what the access log tells of each request,
//! and on demand a trace of everything that was looked at on the way.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Instant;

use rustls::pki_types::CertificateDer;
use serde::Serialize;

use super::head::Deviation;
use super::vouched::Vouched;
use super::zones::Node;
use crate::state::Protocol;

/// How and where a request came to a listener.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// ARN of the listener.
    pub(crate) listener: String,
    /// ARN of the load balancer.
    pub(crate) balancer: String,
    /// Port of the listener as its state says.
    pub(crate) port: u16,
    /// Protocol of the listener.
    pub(crate) protocol: Protocol,
    /// The client.
    pub(crate) peer: SocketAddr,
    /// The node of the load balancer that it came to.
    pub(crate) node: Node,
    /// The name that the client asked for in its TLS handshake (SNI).
    pub(crate) server_name: Option<String>,
    /// ARN of the certificate that was shown.
    pub(crate) certificate: Option<String>,
    /// What TLS has agreed on.
    pub(crate) session: Option<Session>,
    /// The certificates that the client has shown, its own one first.
    pub(crate) client_chain: Vec<CertificateDer<'static>>,
}

/// Version and cipher suite of TLS, by the names that OpenSSL has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// `TLSv1.3` and so on.
    pub(crate) version: &'static str,
    pub(crate) suite: &'static str,
}

/// What became of one request, as far as it has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Course {
    /// Priority of the rule that matched, 0 for the default one.
    pub(crate) priority: Option<u32>,
    /// Set when a web ACL has let it pass or blocked it: the headers that its
    /// rules add for the target.
    pub(crate) firewall: Option<Vouched>,
    /// The action before it that looked at who asks, as access logs name it.
    pub(crate) authentication: Option<&'static str>,
    /// The action that was executed, as on the wire.
    pub(crate) action: Option<&'static str>,
    /// ARN of the chosen target group.
    pub(crate) group: Option<String>,
    /// The chosen target, `ID:PORT`.
    pub(crate) target: Option<String>,
    /// The trace header that the target got.
    pub(crate) trace_id: Option<String>,
    /// When the request went on to the target.
    pub(crate) sent: Option<Instant>,
    /// When the head of the target's answer was there.
    pub(crate) answered: Option<Instant>,
    /// The status of the target's answer.
    pub(crate) target_status: Option<u16>,
    /// Where a redirect leads.
    pub(crate) redirect: Option<String>,
    /// Why the request is not compliant, if it is not, as for the desync mitigation.
    pub(crate) deviations: Vec<Deviation>,
    /// Why the load balancer itself has answered.
    pub(crate) reason: Option<Cow<'static, str>>,
    /// Filled only when somebody asked for it.
    pub(crate) trace: Option<Box<Trace>>,
}

impl Course {
    /// Adds to the trace if there is one; `note` is not run otherwise.
    pub(crate) fn note(&mut self, note: impl FnOnce(&mut Trace)) {
        if let Some(trace) = &mut self.trace {
            note(trace);
        }
    }
}

/// Everything that was looked at on the way of a request, in its order.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Trace {
    /// Absent where no TLS is spoken.
    pub(crate) certificate: Option<ShownCertificate>,
    /// Absent where clients are not asked for a certificate.
    pub(crate) client_certificate: Option<SeenClientCertificate>,
    pub(crate) listener: Option<AskedListener>,
    /// What the web ACL has made of it; absent where there is none.
    pub(crate) web_acl: Option<SeenWebAcl>,
    /// The rules that were looked at, up to the one that matched.
    pub(crate) rules: Vec<SeenRule>,
    /// What the action that looks at who asks has found; absent where there is none.
    pub(crate) authentication: Option<SeenAuthentication>,
    /// The action that was executed, as on the wire.
    pub(crate) action: Option<&'static str>,
    /// What the transforms of the rule did.
    pub(crate) rewrites: Vec<SeenRewrite>,
    pub(crate) target_group: Option<ChosenGroup>,
    pub(crate) target: Option<ChosenTarget>,
    /// Who answered, and for what reason.
    pub(crate) reason: String,
}

/// The certificate that a client gets to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ShownCertificate {
    /// Absent where the listener has none left and shows a stopgap.
    pub(crate) arn: Option<String>,
    pub(crate) why: String,
}

/// What a listener makes of the certificate of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SeenClientCertificate {
    /// `passthrough` or `verify`.
    pub(crate) mode: &'static str,
    /// As RFC 2253 writes it; absent where none was shown.
    pub(crate) subject: Option<String>,
    /// Whether the connection comes about.
    pub(crate) accepted: bool,
    pub(crate) why: String,
}

/// What a web ACL makes of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct SeenWebAcl {
    pub(crate) name: String,
    /// The rules that were looked at, in their order.
    pub(crate) rules: Vec<SeenWafRule>,
    /// What it does with the request, and by what.
    pub(crate) action: String,
}

/// A rule of a web ACL that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SeenWafRule {
    pub(crate) name: String,
    /// Null where its statement cannot be evaluated here, so that it decides nothing.
    pub(crate) matched: Option<bool>,
    /// `Allow`, `Block`, `Count` and so on.
    pub(crate) action: String,
}

/// What an action that looks at who asks has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SeenAuthentication {
    /// `authenticate-oidc`, `authenticate-cognito` or `jwt-validation`.
    pub(crate) action: &'static str,
    /// Whether the request went on to the next action.
    pub(crate) passed: bool,
    pub(crate) why: String,
}

/// The listener that a request came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AskedListener {
    pub(crate) arn: String,
    pub(crate) load_balancer: String,
    pub(crate) protocol: &'static str,
    pub(crate) port: u16,
}

/// A rule that was compared with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SeenRule {
    /// A number, or `default`.
    pub(crate) priority: String,
    pub(crate) arn: String,
    pub(crate) matched: bool,
    /// Compared in this order; the last one decided: it is the first that was
    /// not met, or all were.
    pub(crate) conditions: Vec<SeenCondition>,
}

/// A condition that was compared with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SeenCondition {
    /// `host-header` and so on.
    pub(crate) field: &'static str,
    /// What the rule wants, one of these.
    pub(crate) wanted: Vec<String>,
    /// What the request has.
    pub(crate) found: Vec<String>,
    pub(crate) met: bool,
}

/// A transform that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SeenRewrite {
    /// `host-header-rewrite` or `url-rewrite`.
    pub(crate) transform: &'static str,
    pub(crate) from: String,
    /// Absent where its expression matched nothing.
    pub(crate) to: Option<String>,
}

/// The target group that a forward has chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ChosenGroup {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) why: String,
}

/// The target that was chosen in its group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ChosenTarget {
    /// `ID:PORT`
    pub(crate) target: String,
    /// Where it really listens; absent where that was not told, so that it refuses.
    pub(crate) socket: Option<SocketAddr>,
    pub(crate) why: String,
}
