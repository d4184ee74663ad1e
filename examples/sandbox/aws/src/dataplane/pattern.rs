//! Wildcard patterns of listener rules: `*` is any run of characters, `?` is exactly one.
//!
//! Pure. Source: "Condition types for listener rules" of the Application Load Balancer guide.

/// Whether letters of different case are the same letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// `A` and `a` differ (paths, methods).
    Sensitive,
    /// `A` and `a` are one (hosts, header values, query strings).
    Insensitive,
}

/// What a backslash means in a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backslash {
    /// A character like any other (hosts, paths).
    Literal,
    /// `\*`, `\?` and `\\` are the characters themselves (query strings).
    Escape,
}

enum Token {
    Many,
    One,
    Byte(u8),
}

fn tokens(pattern: &str, backslash: Backslash) -> Vec<Token> {
    let mut bytes = pattern.bytes().peekable();
    let mut out = Vec::with_capacity(pattern.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'*' => Token::Many,
            b'?' => Token::One,
            b'\\' if backslash == Backslash::Escape => {
                match bytes.next_if(|next| matches!(next, b'*' | b'?' | b'\\')) {
                    Some(escaped) => Token::Byte(escaped),
                    None => Token::Byte(b'\\'),
                }
            }
            other => Token::Byte(other),
        });
    }
    out
}

/// Whether the whole of `text` fits `pattern`.
///
/// Works byte by byte: what a rule compares is visible ASCII. Takes at most
/// `pattern × text` steps, whatever the pattern.
pub(crate) fn fits(pattern: &str, text: &str, case: Case, backslash: Backslash) -> bool {
    let pattern = tokens(pattern, backslash);
    let text = text.as_bytes();
    let same = |a: u8, b: u8| match case {
        Case::Sensitive => a == b,
        Case::Insensitive => a.eq_ignore_ascii_case(&b),
    };
    let (mut p, mut t) = (0, 0);
    // Where the latest `*` stands, and how far into the text it is stretched.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(Token::Many) => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some(Token::One) => {
                p += 1;
                t += 1;
                continue;
            }
            Some(Token::Byte(byte)) if same(*byte, text[t]) => {
                p += 1;
                t += 1;
                continue;
            }
            _ => {}
        }
        let Some((at, stretched)) = star else {
            return false;
        };
        star = Some((at, stretched + 1));
        p = at + 1;
        t = stretched + 1;
    }
    pattern[p..]
        .iter()
        .all(|token| matches!(token, Token::Many))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (pattern, host, expected) in [
            ("shop.example.com", "shop.example.com", true),
            ("shop.example.com", "SHOP.Example.com", true),
            ("shop.example.com", "shop.example.com.evil", false),
            ("*.example.com", "test.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", true),
            ("w?b.example.com", "web.example.com", true),
            ("w?b.example.com", "wb.example.com", false),
            ("w?b.example.com", "weeb.example.com", false),
            ("*", "", true),
        ] {
            assert_eq!(
                fits(pattern, host, Case::Insensitive, Backslash::Literal),
                expected,
                "{pattern} against {host}"
            );
        }
    }

    #[test]
    fn paths() {
        for (pattern, path, expected) in [
            ("/v2", "/v2", true),
            ("/v2", "/v2/", false),
            ("/v2", "/v2example", false),
            ("/v2/*", "/v2", false),
            ("/v2/*", "/v2/", true),
            ("/v2/*", "/v2example", false),
            ("/v2/*", "/v2/a/b", true),
            ("/V2", "/v2", false),
            ("/*", "/", true),
            ("/img/*/pics", "/img/a/b/pics", true),
            ("/img/*/pics", "/img/pics", false),
            ("/a*b*c", "/aXbXbXc", true),
            ("/a*b*c", "/aXbXbX", false),
            ("/?", "/", false),
            ("/?", "/x", true),
        ] {
            assert_eq!(
                fits(pattern, path, Case::Sensitive, Backslash::Literal),
                expected,
                "{pattern} against {path}"
            );
        }
    }

    #[test]
    fn backslash_makes_wildcards_literal_where_it_escapes() {
        let fits = |pattern, text, backslash| fits(pattern, text, Case::Sensitive, backslash);
        assert!(fits(r"a\*", "a*", Backslash::Escape));
        assert!(!fits(r"a\*", "ab", Backslash::Escape));
        assert!(fits(r"a\?", "a?", Backslash::Escape));
        assert!(fits(r"a\b", r"a\b", Backslash::Escape));
        assert!(fits(r"a\*", r"a\bc", Backslash::Literal));
    }

    #[test]
    fn many_stars_do_not_explode() {
        let pattern = "a*".repeat(30) + "b";
        let text = "a".repeat(2_000);
        assert!(!fits(&pattern, &text, Case::Sensitive, Backslash::Literal));
    }
}
