//! Headers by which the load balancer vouches for a client.

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, HeaderValue};

/// What a load balancer says of a client in headers of its own. What a client
/// sends under these names does not reach the target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Vouched {
    names: Vec<HeaderName>,
    set: Vec<(HeaderName, HeaderValue)>,
}

impl Vouched {
    /// Nothing yet, under these names.
    pub(crate) fn under(names: impl IntoIterator<Item = HeaderName>) -> Self {
        Self {
            names: names.into_iter().collect(),
            set: Vec::new(),
        }
    }

    /// Says something. What cannot stand in a header is left out.
    pub(crate) fn say(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.set.push((name, value));
        }
    }

    /// Says something under a name that nobody else may use.
    pub(crate) fn replace(&mut self, name: HeaderName, value: &str) {
        self.names.push(name.clone());
        self.say(name, value);
    }

    /// Puts this into the headers of a request.
    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        for name in self.names {
            headers.remove(name);
        }
        headers.extend(self.set);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn clients_cannot_vouch_for_themselves() {
        let (one, two) = (
            HeaderName::from_static("x-one"),
            HeaderName::from_static("x-two"),
        );
        let mut vouched = Vouched::under([one.clone(), two.clone()]);
        vouched.say(two.clone(), "true");
        vouched.say(one.clone(), "not\na header");
        let mut headers = HeaderMap::new();
        headers.append(&one, HeaderValue::from_static("forged"));
        headers.append(&two, HeaderValue::from_static("forged"));
        headers.append(&two, HeaderValue::from_static("twice"));
        vouched.tell(&mut headers);
        assert!(!headers.contains_key(&one));
        assert_eq!(headers.get_all(&two).iter().count(), 1);
        assert_eq!(headers[&two], "true");
    }
}
