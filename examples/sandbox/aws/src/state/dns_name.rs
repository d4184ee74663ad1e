//! DNS names as Route 53 stores, sorts and answers them.

use std::fmt::Write;

/// Stored form: lower case, final dot, octal escapes (`\052`) resolved.
pub fn canonical(text: &str) -> String {
    let mut name = unescape(text).to_ascii_lowercase();
    if !name.ends_with('.') {
        name.push('.');
    }
    name
}

/// The form of answers: everything but letters, digits, `-`, `_` and dots as `\ooo`.
pub fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "\\{byte:03o}");
        }
    }
    out
}

/// Labels from the root downwards: the order of listings.
pub fn reversed(name: &str) -> Vec<String> {
    name.trim_end_matches('.')
        .split('.')
        .rev()
        .map(str::to_owned)
        .collect()
}

/// Whether `name` is `zone` or below it, by whole labels.
pub fn is_within(name: &str, zone: &str) -> bool {
    name == zone
        || name
            .strip_suffix(zone)
            .is_some_and(|rest| rest.ends_with('.'))
}

/// Whether a stored name is a legal DNS name.
pub fn is_legal(name: &str) -> bool {
    let body = name.trim_end_matches('.');
    name.len() <= 255
        && !body.is_empty()
        && body.split('.').all(|label| (1..=63).contains(&label.len()))
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest
            .get(at + 1..at + 4)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(code) = code {
            out.push(char::from(code));
            rest = &rest[at + 4..];
        } else {
            out.push('\\');
            rest = &rest[at + 1..];
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stored_and_answered_in_one_form() {
        assert_eq!(canonical("Shop.Example.com"), "shop.example.com.");
        assert_eq!(canonical("\\052.example.com."), "*.example.com.");
        assert_eq!(escaped("*.example.com."), "\\052.example.com.");
        assert!(is_within("a.example.com.", "example.com."));
        assert!(is_within("example.com.", "example.com."));
        assert!(!is_within("badexample.com.", "example.com."));
        assert!(reversed("b.example.com.") < reversed("a.example.org."));
        assert!(!is_legal(&canonical("a..b")));
    }
}
