//! Whether one request can meet two rules: what decides which rule may go or
//! change only after another one is there.

use crate::model::spec::Condition;

/// Whether some request may meet both sets of conditions. Says yes where it
/// does not know.
pub(super) fn may_overlap(a: &[Condition], b: &[Condition]) -> bool {
    meet(hosts(a), hosts(b)) && meet(paths(a), paths(b))
}

fn hosts(conditions: &[Condition]) -> Option<&Vec<String>> {
    conditions.iter().find_map(|condition| match condition {
        Condition::HostHeader(values) => Some(values),
        _ => None,
    })
}

fn paths(conditions: &[Condition]) -> Option<&Vec<String>> {
    conditions.iter().find_map(|condition| match condition {
        Condition::PathPattern(values) => Some(values),
        _ => None,
    })
}

/// A condition that is not there lets everything through.
fn meet(a: Option<&Vec<String>>, b: Option<&Vec<String>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a
            .iter()
            .any(|a| b.iter().any(|b| patterns_meet(a.as_bytes(), b.as_bytes()))),
        _ => true,
    }
}

/// Whether some text matches both patterns (`*` any text, `?` one character).
fn patterns_meet(a: &[u8], b: &[u8]) -> bool {
    // `row[j]`: whether what is left of `a` from the row on and `b[j..]` meet;
    // filled from the end.
    let mut below = vec![false; b.len() + 1];
    for i in (0..=a.len()).rev() {
        let mut row = vec![false; b.len() + 1];
        for j in (0..=b.len()).rev() {
            row[j] = match (a.get(i), b.get(j)) {
                (None, None) => true,
                (Some(b'*'), None) => below[j],
                (None, Some(b'*')) => row[j + 1],
                (Some(b'*'), Some(_)) | (Some(_), Some(b'*')) => below[j] || row[j + 1],
                (Some(x), Some(y)) => (x == y || *x == b'?' || *y == b'?') && below[j + 1],
                _ => false,
            };
        }
        below = row;
    }
    below[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths_of(values: &[&str]) -> Vec<Condition> {
        vec![Condition::PathPattern(
            values.iter().map(|v| (*v).to_owned()).collect(),
        )]
    }

    #[test]
    fn patterns() {
        for (a, b, meets) in [
            ("/a", "/a", true),
            ("/a", "/b", false),
            ("/*", "/b/c", true),
            ("/a/*", "/b/*", false),
            ("/a*", "/ab", true),
            ("*.shop.example", "www.shop.example", true),
            ("*.shop.example", "shop.example", false),
            ("/a?c", "/abc", true),
            ("/a?c", "/ac", false),
            ("/*x", "/y*", true),
            ("*", "", true),
            ("/a*b", "/a*c", false),
        ] {
            assert_eq!(
                patterns_meet(a.as_bytes(), b.as_bytes()),
                meets,
                "{a} and {b}"
            );
            assert_eq!(
                patterns_meet(b.as_bytes(), a.as_bytes()),
                meets,
                "{b} and {a}"
            );
        }
    }

    #[test]
    fn other_conditions_are_taken_to_overlap() {
        let other = vec![Condition::Other("source-ip 10.0.0.0/8".to_owned())];
        assert!(may_overlap(&other, &paths_of(&["/a"])));
        assert!(!may_overlap(&paths_of(&["/a", "/c"]), &paths_of(&["/b"])));
        assert!(may_overlap(&paths_of(&["/a", "/c"]), &paths_of(&["/c"])));
    }
}
