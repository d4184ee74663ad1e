//! Redirect actions.

use super::{
    Answer, Protocol, Refusal,
    action::{Site, invalid},
};

/// A redirect; the parts may hold `#{protocol}`, `#{host}`, `#{port}`, `#{path}`, `#{query}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// `HTTP`, `HTTPS` or `#{protocol}`.
    pub protocol: String,
    /// Port or `#{port}`.
    pub port: String,
    /// Host.
    pub host: String,
    /// Path with its leading slash.
    pub path: String,
    /// Query without the question mark.
    pub query: String,
    /// 301 or 302.
    pub status: u16,
}

/// `RedirectConfig`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewRedirect {
    /// Protocol.
    pub protocol: Option<String>,
    /// Port.
    pub port: Option<String>,
    /// Host.
    pub host: Option<String>,
    /// Path.
    pub path: Option<String>,
    /// Query.
    pub query: Option<String>,
    /// `HTTP_301` or `HTTP_302`.
    pub status_code: String,
}

impl Redirect {
    /// Checks a redirect and fills in the parts that stay as they are.
    pub(super) fn resolve(new: &NewRedirect, site: Site) -> Answer<Self> {
        let or = |value: &Option<String>, default: &str| {
            value.clone().unwrap_or_else(|| default.to_owned())
        };
        let redirect = Self {
            protocol: or(&new.protocol, "#{protocol}"),
            port: or(&new.port, "#{port}"),
            host: or(&new.host, "#{host}"),
            path: or(&new.path, "/#{path}"),
            query: or(&new.query, "#{query}"),
            status: match new.status_code.as_str() {
                "HTTP_301" => 301,
                "HTTP_302" => 302,
                other => {
                    return Err(Refusal::validation(format!(
                        "1 validation error detected: Value '{other}' at 'redirectConfig.statusCode' failed to satisfy constraint: Member must satisfy enum value set: [HTTP_301, HTTP_302]"
                    )));
                }
            },
        };
        redirect.check_parts()?;
        redirect.check_site(site)?;
        let same_protocol =
            redirect.protocol == "#{protocol}" || redirect.protocol == site.protocol.as_str();
        let same_port = redirect.port == "#{port}" || redirect.port == site.port.to_string();
        if same_protocol && same_port && redirect.host == "#{host}" && redirect.path == "/#{path}" {
            return Err(invalid(
                "The redirect leads back to itself: at least one of protocol, host, port and path must differ",
            ));
        }
        Ok(redirect)
    }

    fn check_parts(&self) -> Answer<()> {
        let bad = |part: &str, value: &str| {
            Err(Refusal::validation(format!(
                "The redirect {part} '{value}' is not valid"
            )))
        };
        if !matches!(self.protocol.as_str(), "HTTP" | "HTTPS" | "#{protocol}") {
            return bad("protocol", &self.protocol);
        }
        let digits = self.port.chars().all(|c| c.is_ascii_digit());
        let numbered = digits && self.port.parse::<u16>().is_ok_and(|port| port > 0);
        if self.port != "#{port}" && !numbered {
            return bad("port", &self.port);
        }
        let length = |text: &str| text.chars().count();
        let spaced = |text: &str| text.chars().any(|c| c.is_whitespace() || c.is_control());
        if !(1..=128).contains(&length(&self.host))
            || spaced(&self.host)
            || self.host.contains('/')
            || !places_only(&self.host, &["host"])
        {
            return bad("host", &self.host);
        }
        if !(1..=128).contains(&length(&self.path))
            || spaced(&self.path)
            || !self.path.starts_with('/')
            || !places_only(&self.path, &["host", "path", "port"])
        {
            return bad("path", &self.path);
        }
        let everything = ["protocol", "host", "port", "path", "query"];
        if length(&self.query) > 128
            || spaced(&self.query)
            || self.query.starts_with('?')
            || !places_only(&self.query, &everything)
        {
            return bad("query", &self.query);
        }
        Ok(())
    }

    /// Whether the redirect is possible on a listener.
    pub(super) fn check_site(&self, site: Site) -> Answer<()> {
        if site.protocol == Protocol::Https && self.protocol == "HTTP" {
            return Err(invalid("A redirect from HTTPS to HTTP is not permitted"));
        }
        Ok(())
    }
}

/// Whether the placeholders of a text are all among these.
fn places_only(text: &str, known: &[&str]) -> bool {
    text.split("#{").skip(1).all(|rest| {
        rest.split_once('}')
            .is_some_and(|(name, _)| known.contains(&name))
    })
}
