//! Pages of a listing. A token names the last element that was shown, so that
//! changes in between neither repeat nor skip the others.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// A part of a listing.
#[derive(Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The elements.
    pub items: Vec<T>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// Cuts a page out of elements that are sorted by key; `None` when the token
/// was not one of ours.
pub fn cut<T>(
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> String,
    token: Option<&str>,
    size: usize,
) -> Option<Page<T>> {
    let after = match token.filter(|token| !token.is_empty()) {
        Some(token) => {
            let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
            Some(String::from_utf8(bytes).ok()?)
        }
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
        .map(|last| URL_SAFE_NO_PAD.encode(key(last)));
    Some(Page { items, next })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let items = ["a", "b", "c", "d", "e"];
        let key = |item: &&str| (*item).to_owned();
        let first = cut(items, key, None, 2).unwrap();
        assert_eq!(first.items, ["a", "b"]);
        let second = cut(items, key, first.next.as_deref(), 2).unwrap();
        assert_eq!(second.items, ["c", "d"]);
        let third = cut(items, key, second.next.as_deref(), 2).unwrap();
        assert_eq!(third.items, ["e"]);
        assert_eq!(third.next, None);
        assert_eq!(cut(items, key, Some("%"), 2), None);
    }
}
