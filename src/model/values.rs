//! Values of annotations, read with the leniency of the Go code that users'
//! manifests were written for. An error says what was expected.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::spec::{Protocol, Scheme, Tags, TargetType};

/// What was expected instead, to be read after "expected".
pub type Expected = String;

/// A boolean: the spellings of Go's `strconv.ParseBool` and nothing else.
pub fn boolean(raw: &str) -> Result<bool, Expected> {
    match raw {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err("\"true\" or \"false\"".into()),
    }
}

/// A whole number in decimal, without blanks, within a range.
pub fn within(raw: &str, range: &RangeInclusive<i32>) -> Result<i32, Expected> {
    let fits = raw.parse().ok().filter(|number| range.contains(number));
    fits.ok_or_else(|| format!("a whole number from {} to {}", range.start(), range.end()))
}

/// A port number.
pub fn port(raw: &str) -> Result<u16, Expected> {
    match raw.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err("a port number from 1 to 65535".into()),
    }
}

/// A list separated by commas: pieces are trimmed, empty ones dropped.
pub fn string_list(raw: &str) -> Vec<String> {
    raw.split(',')
        .map(str::trim)
        .filter(|piece| !piece.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A map `k1=v1,k2=v2`. A backslash makes the next character literal. A comma
/// ends a pair only where some `=` follows; one at the very end belongs to the
/// last value.
pub fn string_map(raw: &str) -> Result<Tags, Expected> {
    const EXPECTED: &str = "pairs \"key=value\" separated by commas, with \"\\,\" for a comma \
                            inside a value and no empty key";
    let mut map = BTreeMap::new();
    let mut add = |pair: &str| {
        let (key, value) = pair.split_once('=').ok_or(EXPECTED)?;
        let key = key.trim();
        if key.is_empty() {
            return Err(EXPECTED);
        }
        map.insert(key.to_owned(), value.trim().to_owned());
        Ok(())
    };
    if raw.is_empty() {
        return Ok(Tags::new());
    }
    let mut pair = String::new();
    let mut characters = raw.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => pair.push(characters.next().unwrap_or('\\')),
            ',' => {
                let rest = characters.as_str();
                if rest.contains('=') {
                    add(&pair)?;
                    pair.clear();
                } else if rest.is_empty() {
                    pair.push(',');
                } else {
                    return Err(EXPECTED.into());
                }
            }
            other => pair.push(other),
        }
    }
    add(&pair)?;
    Ok(map.into_iter().collect())
}

/// `listen-ports`: a JSON array of objects `{"HTTP": port}` or
/// `{"HTTPS": port}`; one object may hold several. Of two entries for one port
/// the last one counts.
pub fn listen_ports(raw: &str) -> Result<BTreeMap<u16, Protocol>, Expected> {
    const EXPECTED: &str = "a JSON array such as [{\"HTTP\": 80}, {\"HTTPS\": 443}], \
                            with the keys HTTP and HTTPS in capitals and ports from 1 to 65535";
    let Ok(Value::Array(entries)) = serde_json::from_str(raw) else {
        return Err(EXPECTED.into());
    };
    let mut ports = BTreeMap::new();
    for entry in entries {
        let Value::Object(entry) = entry else {
            return Err(EXPECTED.into());
        };
        for (name, port) in entry {
            let protocol = protocol(&name).map_err(|_| EXPECTED)?;
            let port = port
                .as_u64()
                .and_then(|port| u16::try_from(port).ok())
                .filter(|port| *port != 0)
                .ok_or(EXPECTED)?;
            ports.insert(port, protocol);
        }
    }
    if ports.is_empty() {
        return Err(format!("at least one port: {EXPECTED}"));
    }
    Ok(ports)
}

/// `HTTP` or `HTTPS`.
pub fn protocol(raw: &str) -> Result<Protocol, Expected> {
    match raw {
        "HTTP" => Ok(Protocol::Http),
        "HTTPS" => Ok(Protocol::Https),
        _ => Err("\"HTTP\" or \"HTTPS\", in capitals".into()),
    }
}

/// `internal` or `internet-facing`.
pub fn scheme(raw: &str) -> Result<Scheme, Expected> {
    match raw {
        "internal" => Ok(Scheme::Internal),
        "internet-facing" => Ok(Scheme::InternetFacing),
        _ => Err("\"internal\" or \"internet-facing\"".into()),
    }
}

/// `instance` or `ip`.
pub fn target_type(raw: &str) -> Result<TargetType, Expected> {
    match raw {
        "instance" => Ok(TargetType::Instance),
        "ip" => Ok(TargetType::Ip),
        _ => Err("\"instance\" or \"ip\"".into()),
    }
}

/// `group.order`.
pub fn group_order(raw: &str) -> Result<i32, Expected> {
    match raw.parse() {
        Ok(order) if (-1000..=1000).contains(&order) => Ok(order),
        _ => Err("a whole number from -1000 to 1000".into()),
    }
}

/// `group.name`: lower-case letters, digits, `-` and `.`, a letter or digit
/// at both ends, at most 63 characters.
pub fn group_name(raw: &str) -> Result<String, Expected> {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = raw.as_bytes();
    let fits = bytes.len() <= 63
        && bytes.first().is_some_and(|byte| alphanumeric(*byte))
        && bytes.last().is_some_and(|byte| alphanumeric(*byte))
        && bytes
            .iter()
            .all(|byte| alphanumeric(*byte) || matches!(byte, b'-' | b'.'));
    if fits {
        Ok(raw.to_owned())
    } else {
        Err(
            "at most 63 lower-case letters, digits, \"-\" and \".\", with a letter or digit at \
             both ends"
                .into(),
        )
    }
}

/// Codes of HTTP answers that pass a health check: `200`, `200,201`, `200-299`.
pub fn success_codes(raw: &str) -> Result<String, String> {
    let code = |raw: &str| {
        let code = raw.trim().parse::<u16>().ok();
        code.filter(|code| (200..=499).contains(code))
    };
    let fits = |part: &str| match part.split_once('-') {
        Some((first, last)) => {
            matches!((code(first), code(last)), (Some(first), Some(last)) if first <= last)
        }
        None => code(part).is_some(),
    };
    if raw.split(',').all(fits) {
        Ok(raw.to_owned())
    } else {
        Err("codes from 200 to 499, as \"200\", \"200,201\" or \"200-299\"".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> Tags {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn booleans_are_go_s() {
        for yes in ["1", "t", "T", "TRUE", "true", "True"] {
            assert_eq!(boolean(yes), Ok(true));
        }
        for no in ["0", "f", "F", "FALSE", "false", "False"] {
            assert_eq!(boolean(no), Ok(false));
        }
        for bad in ["", "yes", "tRue", " true"] {
            assert!(boolean(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn codes_of_health_checks() {
        for good in ["200", "200,404", "200-299", "200-299,401"] {
            assert_eq!(success_codes(good).as_deref(), Ok(good));
        }
        for bad in [
            "", "abc", "600", "199", "299-200", "200-", "200,,201", "0-5",
        ] {
            assert!(success_codes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(within("15", &(5..=300)), Ok(15));
        assert_eq!(within("+15", &(5..=300)), Ok(15));
        for bad in ["15 ", "soon", "4", "301", "-15", "2147483648"] {
            let expected = Err("a whole number from 5 to 300".to_owned());
            assert_eq!(within(bad, &(5..=300)), expected, "{bad}");
        }
        assert_eq!(port("443"), Ok(443));
        assert!(port("0").is_err());
        assert!(port("65536").is_err());
        assert_eq!(group_order("-1000"), Ok(-1000));
        assert!(group_order("1001").is_err());
        assert!(group_order("first").is_err());
    }

    #[test]
    fn lists_drop_blanks() {
        assert_eq!(string_list(" a, b,,c "), ["a", "b", "c"]);
        assert!(string_list("").is_empty());
        assert!(string_list(" , ").is_empty());
    }

    #[test]
    fn maps() {
        assert_eq!(string_map("a=1,b=2"), Ok(map(&[("a", "1"), ("b", "2")])));
        assert_eq!(
            string_map(" a = 1 , b = 2 "),
            Ok(map(&[("a", "1"), ("b", "2")]))
        );
        assert_eq!(string_map("a=1=2"), Ok(map(&[("a", "1=2")])));
        assert_eq!(string_map("a="), Ok(map(&[("a", "")])));
        assert_eq!(string_map("a=1,"), Ok(map(&[("a", "1,")])));
        assert_eq!(
            string_map(r"a=x\,y,b=2"),
            Ok(map(&[("a", "x,y"), ("b", "2")]))
        );
        assert_eq!(string_map(r"a=x\\y"), Ok(map(&[("a", r"x\y")])));
        assert_eq!(string_map(""), Ok(map(&[])));
        for bad in ["a", "a=1,b", "=1", "a=1,=2"] {
            assert!(string_map(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ports_to_listen_on() {
        let both = BTreeMap::from([(80, Protocol::Http), (443, Protocol::Https)]);
        assert_eq!(
            listen_ports(r#"[{"HTTP":80},{"HTTPS":443}]"#),
            Ok(both.clone())
        );
        assert_eq!(listen_ports(r#"[{"HTTP":80,"HTTPS":443}]"#), Ok(both));
        assert_eq!(
            listen_ports(r#"[{"HTTP":80},{"HTTPS":80}]"#),
            Ok(BTreeMap::from([(80, Protocol::Https)]))
        );
        for bad in [
            "",
            "[]",
            "[{}]",
            "{}",
            "null",
            "80",
            r#"[{"http":80}]"#,
            r#"[{"HTTP":"80"}]"#,
            r#"[{"HTTP":0}]"#,
            r#"[{"HTTP":65536}]"#,
            r#"[{"TCP":80}]"#,
            r#"[{"HTTP":80}"#,
        ] {
            assert!(listen_ports(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn group_names() {
        assert!(group_name("team-a.shop").is_ok());
        assert!(group_name("a").is_ok());
        for bad in ["", "Grand_Opera", "-a", "a-", "a.", &"a".repeat(64)] {
            assert!(group_name(bad).is_err(), "{bad}");
        }
    }
}
