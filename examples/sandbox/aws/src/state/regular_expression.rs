//! Regular expressions of conditions and transforms: the language that AWS
//! has is smaller than that of most libraries.

use regex::Regex;

/// Tells why AWS does not take a regular expression; `None` when it does.
pub(super) fn fault(text: &str) -> Option<&'static str> {
    let mut rest = text.chars().peekable();
    let mut in_class = false;
    // Whether a quantifier stands before this character.
    let mut quantified = false;
    while let Some(c) = rest.next() {
        let after_quantifier = std::mem::take(&mut quantified);
        match c {
            '\\' => match rest.next() {
                Some('p' | 'P') => return Some("Unicode character classes are not supported"),
                Some('1'..='9' | 'k' | 'g') if !in_class => {
                    return Some("backreferences and subroutines are not supported");
                }
                _ => {}
            },
            '[' if !in_class => {
                in_class = true;
                // A bracket that stands first is a member of the class.
                if rest.peek() == Some(&'^') {
                    rest.next();
                }
                if rest.peek() == Some(&']') {
                    rest.next();
                }
            }
            ']' => in_class = false,
            '+' if after_quantifier => return Some("possessive quantifiers are not supported"),
            '*' | '+' | '?' | '}' if !in_class => quantified = !after_quantifier,
            '(' if !in_class && rest.peek() == Some(&'?') => {
                rest.next();
                let extended: String = rest.clone().take(2).collect();
                if let Some(fault) = group_fault(&extended) {
                    return Some(fault);
                }
            }
            _ => {}
        }
    }
    Regex::new(text).err().map(|_| "it cannot be compiled")
}

/// What is wrong with a group that begins with `(?` and these characters.
fn group_fault(after: &str) -> Option<&'static str> {
    let lookaround = ["=", "!", "<=", "<!"];
    if lookaround.iter().any(|mark| after.starts_with(mark)) {
        return Some("lookaheads and lookbehinds are not supported");
    }
    if after.starts_with('>') {
        return Some("atomic groups are not supported");
    }
    let called =
        after.starts_with(['R', '&', '+']) || after.starts_with(|c: char| c.is_ascii_digit());
    if called || after.starts_with("P>") || after.starts_with("P=") {
        return Some("subroutines and recursion are not supported");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_small() {
        for good in [
            "^/api/(.+)$",
            "^/v[0-9]+/users/(?:a|b)?$",
            "[]a]+",
            "[*+]+x",
            "\\d{2,3}\\.example\\.com",
            "a+?b*?c??",
            "\\++",
            "(?i)abc",
            "[\\d+]+",
        ] {
            assert_eq!(fault(good), None, "{good}");
        }
        for bad in [
            "(", "[a", "*a", "(?=a)b", "(?!a)b", "(?<=a)b", "(?<!a)b", "(a)\\1", "\\k<n>",
            "(?>a)b", "a*+b", "a++", "a?+", "a{2}+", "(?R)", "(?1)", "(?&n)", "\\p{L}", "\\P{L}",
            "[\\p{L}]", "\\pL", "(?P>n)",
        ] {
            assert!(fault(bad).is_some(), "{bad}");
        }
    }
}
