//! Rules: conditions, actions, priorities.

use ipnet::IpNet;

use super::listener::Action;

/// A rule of a listener. Its priority is its key in the listener.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// `arn:…:listener-rule/app/NAME/LBID/LISTENERID/ID`.
    pub arn: String,
    /// All have to match.
    pub conditions: Vec<Condition>,
    /// In order; the last one answers.
    pub actions: Vec<Action>,
}

/// A condition; one of its values has to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Host name patterns with `*` and `?`, compared without regard to letter case.
    HostHeader(Patterns),
    /// Path patterns with `*` and `?`, letter case counts.
    PathPattern(Patterns),
    /// Patterns for the values of one request header.
    HttpHeader {
        /// Header name, without regard to letter case.
        name: String,
        /// Value patterns, letter case does not count.
        patterns: Patterns,
    },
    /// Methods, compared exactly.
    HttpRequestMethod(Vec<String>),
    /// Query parameters; a pattern without key matches any key.
    QueryString(Vec<QueryPair>),
    /// Addresses of the client.
    SourceIp(Vec<IpNet>),
}

/// Either wildcard patterns or regular expressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Patterns {
    /// `*` is any text, `?` one character.
    Wildcards(Vec<String>),
    /// Regular expressions.
    Regexes(Vec<String>),
}

impl Patterns {
    /// The values, whatever they mean.
    pub fn values(&self) -> &[String] {
        match self {
            Self::Wildcards(values) | Self::Regexes(values) => values,
        }
    }
}

/// A query parameter to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryPair {
    /// Key pattern, if it matters.
    pub key: Option<String>,
    /// Value pattern.
    pub value: String,
}
