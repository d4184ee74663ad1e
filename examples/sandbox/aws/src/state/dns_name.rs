//! DNS names as Route 53 stores, sorts and answers them.
//!
//! Stored are lower-case letters and all other printable ASCII characters as
//! they are; what can only be written as an escape (a dot inside of a label, a
//! backslash, a space, bytes outside of ASCII) stays an octal escape, so that
//! a stored name still splits into labels at its dots.

use std::fmt::Write;

/// The longest label and the longest name, in octets (the name with its dots).
const LABEL: usize = 63;
const NAME: usize = 255;

/// Stored form: lower case, final dot, octal escapes (`\052`) resolved where
/// the character can stand for itself.
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
        // A stored backslash begins an escape that is written already.
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'\\') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "\\{byte:03o}");
        }
    }
    out
}

/// The order of listings: labels from the root downwards, joined by dots and
/// with the final dot, which takes part in the comparison.
pub fn reversed(name: &str) -> String {
    let labels: Vec<&str> = name.trim_end_matches('.').split('.').rev().collect();
    labels.join(".") + "."
}

/// Whether `name` is `zone` or below it, by whole labels.
pub fn is_within(name: &str, zone: &str) -> bool {
    name == zone
        || name
            .strip_suffix(zone)
            .is_some_and(|rest| rest.ends_with('.'))
}

/// Whether a name in stored form is legal.
pub fn is_legal(name: &str) -> bool {
    fault(name).is_none()
}

/// What is wrong with a name as sent, in Route 53's words; `None` when nothing
/// is. A final dot may stand or not.
pub fn fault(text: &str) -> Option<String> {
    let problem = |kind: &str, meaning: &str, with: &str| {
        Some(format!(
            "FATAL problem: {kind} ({meaning}) encountered with '{with}'"
        ))
    };
    let unsupported = text.chars().find(|c| !c.is_ascii_graphic());
    if let Some(c) = unsupported {
        let meaning = "Value contains unsupported characters";
        return problem("UnsupportedCharacter", meaning, &c.to_string());
    }
    let name = unescape(text);
    let body = name.strip_suffix('.').unwrap_or(&name);
    for label in body.split('.') {
        if label.is_empty() {
            return problem("DomainLabelEmpty", "Domain label is empty", text);
        }
        if octets(label) > LABEL {
            return problem("DomainLabelTooLong", "Domain label is too long", label);
        }
    }
    if octets(body) + 1 > NAME {
        return problem("DomainNameTooLong", "Domain name is too long", text);
    }
    None
}

/// The length of a name or label in octets: an escape counts as one.
fn octets(text: &str) -> usize {
    text.len() - 3 * text.matches('\\').count()
}

/// Resolves escapes; what has to stay one stays one, and a backslash that
/// begins none becomes one.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest
            .get(at + 1..at + 4)
            .filter(|digits| digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit)))
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        let Some(code) = code else {
            out.push_str("\\134");
            rest = &rest[at + 1..];
            continue;
        };
        if code.is_ascii_graphic() && !matches!(code, b'.' | b'\\') {
            out.push(char::from(code));
        } else {
            let _ = write!(out, "\\{code:03o}");
        }
        rest = &rest[at + 4..];
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
        assert_eq!(
            canonical("a\\056b\\040\\351.example.com"),
            "a\\056b\\040\\351.example.com."
        );
        assert_eq!(escaped(&canonical("a\\056b.x")), "a\\056b.x.");
        assert_eq!(escaped(&canonical("a\\b.x")), "a\\134b.x.");
        assert_eq!(escaped(&canonical("a_b/c.x")), "a_b\\057c.x.");
        assert!(is_within("a.example.com.", "example.com."));
        assert!(is_within("example.com.", "example.com."));
        assert!(!is_within("badexample.com.", "example.com."));
    }

    #[test]
    fn the_final_dot_takes_part_in_the_order() {
        let mut names = [
            "example.com.",
            "a.example.com.",
            "*.example.com.",
            "example-x.com.",
            "example.org.",
            "z.a.example.com.",
        ];
        names.sort_by_key(|name| reversed(name));
        assert_eq!(
            names,
            [
                "example-x.com.",
                "example.com.",
                "*.example.com.",
                "a.example.com.",
                "z.a.example.com.",
                "example.org."
            ]
        );
    }

    #[test]
    fn what_is_wrong_with_a_name_is_said() {
        let fault = |text: &str| fault(text).unwrap_or_default();
        assert_eq!(fault("a.example.com."), "");
        assert_eq!(fault(&format!("{}.com", "a".repeat(63))), "");
        assert!(fault(&format!("{}.com", "a".repeat(64))).contains("DomainLabelTooLong"));
        assert!(fault("a..com").contains("DomainLabelEmpty"));
        assert!(fault("").contains("DomainLabelEmpty"));
        assert!(fault("a b.com").contains("UnsupportedCharacter"));
        assert!(fault("\u{e9}.com").contains("UnsupportedCharacter"));
        assert_eq!(fault("a\\040b.com"), "");
        let label = format!("{}.", "a".repeat(63));
        assert!(fault(&label.repeat(4)).contains("DomainNameTooLong"));
        assert_eq!(fault(&(label.repeat(3) + &"a".repeat(62) + ".")), "");
    }
}
