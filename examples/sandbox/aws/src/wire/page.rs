//! Pages of a listing. A token names the last element that was shown, so that
//! changes in between neither repeat nor skip the others. It leads on in the
//! operation that gave it out, and in no other.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::params::Input;
use crate::state::Answer;

/// Bytes of the checksum that tells a token of ours from anything else.
const CHECK: usize = 6;

/// A part of a listing.
#[derive(Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The elements.
    pub items: Vec<T>,
    /// Where the next page begins.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// What answers in JSON: the elements as `shown`, and where the next page
    /// begins under the name `token`.
    pub fn answer(self, token: &str, shown: impl FnOnce(Vec<T>) -> Value) -> Value {
        let mut answer = shown(self.items);
        if let Some(next) = self.next {
            answer[token] = Value::String(next);
        }
        answer
    }
}

/// Cuts a page out of elements that are sorted by key; `None` when the token
/// was not given out by this operation.
pub fn cut<T>(
    operation: &str,
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> String,
    token: Option<&str>,
    size: usize,
) -> Option<Page<T>> {
    let after = match token.filter(|token| !token.is_empty()) {
        Some(token) => Some(open(operation, token)?),
        None => None,
    };
    let mut rest = items
        .into_iter()
        .filter(|item| after.as_ref().is_none_or(|after| key(item) > *after))
        .peekable();
    let items: Vec<T> = rest.by_ref().take(size).collect();
    let more = rest.peek().is_some();
    let next = items
        .last()
        .filter(|_| more)
        .map(|last| seal(operation, &key(last)));
    Some(Page { items, next })
}

fn check(operation: &str, key: &str) -> [u8; CHECK] {
    let digest = Sha256::digest(format!("page of {operation} after {key}"));
    let mut check = [0; CHECK];
    check.copy_from_slice(&digest[..CHECK]);
    check
}

fn seal(operation: &str, key: &str) -> String {
    let mut bytes = check(operation, key).to_vec();
    bytes.extend(key.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn open(operation: &str, token: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (found, key) = bytes.split_at_checked(CHECK)?;
    let key = String::from_utf8(key.to_vec()).ok()?;
    (check(operation, &key) == found).then_some(key)
}

/// What a call asks for: how much, and after what.
#[derive(Debug)]
pub struct Paging {
    size: usize,
    token: Option<String>,
}

impl Paging {
    /// Reads the size, which has a default, and the token by their names.
    pub fn read(input: &Input, size: &str, token: &str, default: usize) -> Answer<Self> {
        Ok(Self {
            // Where a model allows 0 it means the default.
            size: input
                .number(size)?
                .filter(|size| *size > 0)
                .unwrap_or(default),
            token: input.text(token),
        })
    }

    /// Cuts the page; a token that was not given out is refused with the code
    /// of the service.
    pub fn cut<T>(
        &self,
        input: &Input,
        items: impl IntoIterator<Item = T>,
        key: impl Fn(&T) -> String,
    ) -> Answer<Page<T>> {
        let token = self.token.as_deref();
        cut(input.operation(), items, key, token, self.size)
            .ok_or_else(|| input.bad_token(self.token.as_deref()))
    }

    /// As [`cut`](Self::cut), but a full page always names a next one, though
    /// nothing may follow: some services look no further than a page.
    pub fn cut_full<T>(
        &self,
        input: &Input,
        items: impl IntoIterator<Item = T>,
        key: impl Fn(&T) -> String,
    ) -> Answer<Page<T>> {
        let mut page = self.cut(input, items, &key)?;
        if page.items.len() == self.size {
            let last = page.items.last();
            page.next = last.map(|last| seal(input.operation(), &key(last)));
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::wire::{params::Params, service::Service};

    #[test]
    fn pages_follow_each_other() {
        let items = ["a", "b", "c", "d", "e"];
        let key = |item: &&str| (*item).to_owned();
        let first = cut("ListThings", items, key, None, 2).unwrap();
        assert_eq!(first.items, ["a", "b"]);
        let second = cut("ListThings", items, key, first.next.as_deref(), 2).unwrap();
        assert_eq!(second.items, ["c", "d"]);
        let third = cut("ListThings", items, key, second.next.as_deref(), 2).unwrap();
        assert_eq!(third.items, ["e"]);
        assert_eq!(third.next, None);
        let shown = |items: Vec<&str>| json!({ "Items": items });
        assert_eq!(third.answer("Next", shown), json!({ "Items": ["e"] }));
        let token = second.next.clone();
        let answer = json!({ "Items": ["c", "d"], "Next": token });
        assert_eq!(second.answer("Next", shown), answer);
        for foreign in ["%", "YQ", "YWFhYWFhYWFhYWE", "token"] {
            assert_eq!(cut("ListThings", items, key, Some(foreign), 2), None);
        }
        let token = first.next.as_deref();
        assert_eq!(cut("ListOthers", items, key, token, 2), None);
    }

    #[test]
    fn foreign_tokens_are_refused_with_the_code_of_the_service() {
        for (service, code) in [
            (Service::Elb, "ValidationError"),
            (Service::Ec2, "InvalidParameterValue"),
            (Service::WafV2, "WAFInvalidParameterException"),
            (Service::Shield, "InvalidPaginationTokenException"),
        ] {
            let params = Params::new(service, "ListThings", json!({ "Size": 2, "Next": "abcd" }));
            let input = params.root();
            let paging = Paging::read(&input, "Size", "Next", 100).unwrap();
            let refused = paging.cut(&input, ["a"], |item| (*item).to_owned());
            assert_eq!(refused.unwrap_err().code, code);
            assert!(input.done().is_ok());
        }
    }

    #[test]
    fn a_full_page_may_lead_to_nothing() {
        let page = |token: &str| {
            let params = Params::new(
                Service::WafV2,
                "ListThings",
                json!({ "Size": 2, "Next": token }),
            );
            let input = params.root();
            let paging = Paging::read(&input, "Size", "Next", 100).unwrap();
            paging.cut_full(&input, ["a", "b"], |item| (*item).to_owned())
        };
        let first = page("").unwrap();
        assert_eq!(first.items, ["a", "b"]);
        let second = page(&first.next.unwrap()).unwrap();
        assert_eq!((second.items.len(), second.next), (0, None));
    }
}
