//! The syntax of the values of resource records, type by type.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::dns_name;

/// The most characters of one string in quotation marks.
const STRING: usize = 255;

/// What is wrong with a value of a record type, in Route 53's words; `None`
/// when nothing is.
pub fn fault(kind: &str, value: &str) -> Option<String> {
    problem(kind, value).map(|(name, meaning)| {
        format!(
            "Invalid Resource Record: 'FATAL problem: {name} ({meaning}) encountered with '{value}''"
        )
    })
}

/// The form in which two spellings of one value are equal: domain names in
/// lower case with the final dot, addresses without spare zeros.
pub fn comparable(kind: &str, value: &str) -> String {
    match kind {
        "AAAA" => value
            .parse::<Ipv6Addr>()
            .map_or_else(|_| value.to_owned(), |address| address.to_string()),
        "CNAME" | "NS" | "PTR" => dns_name::canonical(value),
        "MX" | "SRV" => {
            let mut fields: Vec<String> = value.split_whitespace().map(str::to_owned).collect();
            if let Some(host) = fields.last_mut() {
                *host = dns_name::canonical(host);
            }
            fields.join(" ")
        }
        _ => value.to_owned(),
    }
}

/// Name and meaning of a problem.
type Problem = (String, &'static str);

fn problem(kind: &str, value: &str) -> Option<Problem> {
    let fields: Vec<&str> = value.split_whitespace().collect();
    let illegal = |what: &str, meaning| Some((format!("{kind}RRDATA{what}"), meaning));
    match kind {
        "A" => value.parse::<Ipv4Addr>().err().map(|_| {
            named(
                "ARRDATAIllegalIPv4Address",
                "Value is not a valid IPv4 address",
            )
        }),
        "AAAA" => value.parse::<Ipv6Addr>().err().map(|_| {
            named(
                "AAAARRDATAIllegalIPv6Address",
                "Value is not a valid IPv6 address",
            )
        }),
        "TXT" | "SPF" => text(value),
        "CNAME" | "NS" | "PTR" => domain(value, false),
        "MX" => match fields.as_slice() {
            [priority, host] => {
                number::<u16>(kind, "Priority", priority).or_else(|| domain(host, true))
            }
            _ => illegal("NotTwoFields", "Number of Fields should be exactly 2"),
        },
        "SRV" => match fields.as_slice() {
            [priority, weight, port, host] => number::<u16>(kind, "Priority", priority)
                .or_else(|| number::<u16>(kind, "Weight", weight))
                .or_else(|| number::<u16>(kind, "Port", port))
                .or_else(|| domain(host, true)),
            _ => illegal("NotFourFields", "Number of Fields should be exactly 4"),
        },
        "CAA" => caa(value),
        "NAPTR" => naptr(value),
        "SOA" => match fields.as_slice() {
            [server, person, numbers @ ..] if numbers.len() == 5 => domain(server, false)
                .or_else(|| domain(person, false))
                .or_else(|| {
                    numbers
                        .iter()
                        .find_map(|field| number::<u32>(kind, "Number", field))
                }),
            _ => illegal("NotSevenFields", "Number of Fields should be exactly 7"),
        },
        "DS" => match fields.as_slice() {
            [tag, algorithm, digest, hash] => number::<u16>(kind, "KeyTag", tag)
                .or_else(|| number::<u8>(kind, "Algorithm", algorithm))
                .or_else(|| match *digest {
                    "1" => hexadecimal(kind, hash, Some(40)),
                    "2" => hexadecimal(kind, hash, Some(64)),
                    "4" => hexadecimal(kind, hash, Some(96)),
                    _ => illegal("IllegalDigestType", "Digest type should be 1, 2 or 4"),
                }),
            _ => illegal("NotFourFields", "Number of Fields should be exactly 4"),
        },
        "TLSA" => match fields.as_slice() {
            [usage, selector, matching, data] => {
                one_of(kind, "Usage", usage, &["0", "1", "2", "3"])
                    .or_else(|| one_of(kind, "Selector", selector, &["0", "1"]))
                    .or_else(|| match *matching {
                        "0" => hexadecimal(kind, data, None),
                        "1" => hexadecimal(kind, data, Some(64)),
                        "2" => hexadecimal(kind, data, Some(128)),
                        _ => illegal("IllegalMatchingType", "Matching type should be 0, 1 or 2"),
                    })
            }
            _ => illegal("NotFourFields", "Number of Fields should be exactly 4"),
        },
        "SSHFP" => match fields.as_slice() {
            [algorithm, digest, hash] => {
                one_of(kind, "Algorithm", algorithm, &["1", "2", "3", "4", "6"]).or_else(|| {
                    match *digest {
                        "1" => hexadecimal(kind, hash, Some(40)),
                        "2" => hexadecimal(kind, hash, Some(64)),
                        _ => illegal("IllegalFingerprintType", "Type should be 1 or 2"),
                    }
                })
            }
            _ => illegal("NotThreeFields", "Number of Fields should be exactly 3"),
        },
        "SVCB" | "HTTPS" => match fields.as_slice() {
            [priority, host, parameters @ ..] => number::<u16>(kind, "Priority", priority)
                .or_else(|| domain(host, true))
                .or_else(|| service_parameters(kind, priority, parameters)),
            _ => illegal("NotTwoFields", "Number of Fields should be at least 2"),
        },
        _ => value
            .is_empty()
            .then(|| named("InvalidRRDATA", "Value is empty")),
    }
}

fn named(name: &str, meaning: &'static str) -> Problem {
    (name.to_owned(), meaning)
}

fn number<T: std::str::FromStr>(kind: &str, what: &str, field: &str) -> Option<Problem> {
    let digits = field.bytes().all(|byte| byte.is_ascii_digit());
    let good = digits && field.parse::<T>().is_ok();
    (!good).then(|| {
        (
            format!("{kind}RRDATAIllegal{what}"),
            "Value is not a number in the permitted range",
        )
    })
}

fn one_of(kind: &str, what: &str, field: &str, known: &[&str]) -> Option<Problem> {
    (!known.contains(&field)).then(|| {
        (
            format!("{kind}RRDATAIllegal{what}"),
            "Value is not one of the permitted numbers",
        )
    })
}

fn hexadecimal(kind: &str, field: &str, length: Option<usize>) -> Option<Problem> {
    let good = length.is_none_or(|length| field.len() == length)
        && field.len().is_multiple_of(2)
        && field.bytes().all(|byte| byte.is_ascii_hexdigit());
    (!good).then(|| {
        (
            format!("{kind}RRDATAIllegalHexadecimal"),
            "Value is not a hexadecimal number of the right length",
        )
    })
}

/// A domain name; in some places the root alone is one.
fn domain(text: &str, root: bool) -> Option<Problem> {
    if root && text == "." {
        return None;
    }
    let fault = dns_name::fault(text)?;
    for (name, meaning) in [
        (
            "UnsupportedCharacter",
            "Value contains unsupported characters",
        ),
        ("DomainLabelTooLong", "Domain label is too long"),
        ("DomainNameTooLong", "Domain name is too long"),
    ] {
        if fault.contains(name) {
            return Some(named(name, meaning));
        }
    }
    Some(named("DomainLabelEmpty", "Domain label is empty"))
}

/// One or more strings in quotation marks.
fn text(value: &str) -> Option<Problem> {
    match strings(value) {
        Err(problem) => Some(problem),
        Ok(strings) if strings.is_empty() => Some(unquoted()),
        Ok(strings) => strings.iter().any(|string| *string > STRING).then(|| {
            named(
                "CharacterStringTooLong",
                "Value exceeds the limit of 255 characters",
            )
        }),
    }
}

fn unquoted() -> Problem {
    named(
        "InvalidCharacterString",
        "Value should be enclosed in quotation marks",
    )
}

/// The lengths of strings in quotation marks, separated by blanks.
fn strings(value: &str) -> Result<Vec<usize>, Problem> {
    let mut lengths = Vec::new();
    let mut inside = None;
    let mut characters = value.chars().peekable();
    while let Some(c) = characters.next() {
        if !c.is_ascii() || (c.is_ascii_control() && c != '\t') {
            return Err(named(
                "UnsupportedCharacter",
                "Value contains unsupported characters",
            ));
        }
        match (c, inside) {
            ('"', Some(length)) => {
                lengths.push(length);
                inside = None;
            }
            ('"', None) => inside = Some(0),
            ('\\', Some(length)) => {
                // Three octal digits are one character, else the next one is meant.
                let mut digits = 0;
                while digits < 3 && characters.peek().is_some_and(char::is_ascii_digit) {
                    characters.next();
                    digits += 1;
                }
                if digits == 0 {
                    characters.next();
                }
                inside = Some(length + 1);
            }
            (_, Some(length)) => inside = Some(length + 1),
            (' ' | '\t', None) => {}
            _ => return Err(unquoted()),
        }
    }
    if inside.is_some() {
        return Err(unquoted());
    }
    Ok(lengths)
}

/// `flags tag "value"`.
fn caa(value: &str) -> Option<Problem> {
    let mut fields = value.trim().splitn(3, char::is_whitespace);
    let (Some(flags), Some(tag), Some(content)) = (fields.next(), fields.next(), fields.next())
    else {
        return Some(named(
            "CAARRDATANotThreeFields",
            "Number of Fields should be exactly 3",
        ));
    };
    if let Some(problem) = number::<u8>("CAA", "Flags", flags) {
        return Some(problem);
    }
    let good = (1..=15).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric());
    if !good {
        return Some(named(
            "CAARRDATAIllegalTag",
            "Tag should have letters and digits only",
        ));
    }
    match strings(content) {
        Err(problem) => Some(problem),
        Ok(strings) if strings.len() == 1 => None,
        Ok(_) => Some(unquoted()),
    }
}

/// `order preference "flags" "service" "regexp" replacement`.
fn naptr(value: &str) -> Option<Problem> {
    let six = || {
        named(
            "NAPTRRRDATANotSixFields",
            "Number of Fields should be exactly 6",
        )
    };
    let Some((head, rest)) = value.split_once('"') else {
        return Some(six());
    };
    let Some((quoted, replacement)) = rest.rsplit_once('"') else {
        return Some(six());
    };
    let head: Vec<&str> = head.split_whitespace().collect();
    let [order, preference] = head.as_slice() else {
        return Some(six());
    };
    match strings(&format!("\"{quoted}\"")) {
        Err(problem) => return Some(problem),
        Ok(strings) if strings.len() != 3 => return Some(six()),
        Ok(_) => {}
    }
    let replacement = replacement.trim();
    if replacement.is_empty() || replacement.contains(char::is_whitespace) {
        return Some(six());
    }
    number::<u16>("NAPTR", "Order", order)
        .or_else(|| number::<u16>("NAPTR", "Preference", preference))
        .or_else(|| domain(replacement, true))
}

/// `key=value` pairs; priority 0 is an alias and has none.
fn service_parameters(kind: &str, priority: &str, parameters: &[&str]) -> Option<Problem> {
    if priority == "0" && !parameters.is_empty() {
        return Some((
            format!("{kind}RRDATAIllegalParameters"),
            "Priority 0 takes no parameters",
        ));
    }
    let known = |key: &str| {
        matches!(
            key,
            "mandatory" | "alpn" | "no-default-alpn" | "port" | "ipv4hint" | "ech" | "ipv6hint"
        ) || key
            .strip_prefix("key")
            .is_some_and(|number| number.parse::<u16>().is_ok())
    };
    let mut seen: Vec<&str> = Vec::new();
    for parameter in parameters {
        let key = parameter.split('=').next().unwrap_or_default();
        if !known(key) || seen.contains(&key) {
            return Some((
                format!("{kind}RRDATAIllegalParameters"),
                "Parameters should be known keys, each once",
            ));
        }
        seen.push(key);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_values() {
        let long = format!("\"{}\"", "x".repeat(255));
        for (kind, value) in [
            ("A", "192.0.2.1"),
            ("AAAA", "2001:0db8:85a3:0:0:8a2e:0370:7334"),
            ("CNAME", "www.example.com"),
            ("NS", "ns-1.example.com."),
            ("PTR", "host.example.com"),
            ("MX", "10 mail.example.com."),
            ("MX", "0 ."),
            ("SRV", "10 5 80 hostname.example.com"),
            ("CAA", "0 issue \"ca.example.com; account=1\""),
            ("CAA", "128 iodef \"mailto:a@example.com\""),
            (
                "NAPTR",
                "100 50 \"u\" \"sip+E2U\" \"!^(\\\\+441632960083)$!sip:\\\\1@example.com!\" .",
            ),
            (
                "SOA",
                "ns-1.example.com. hostmaster.example.com. 1 7200 900 1209600 86400",
            ),
            ("DS", "123 4 1 1234567890abcdef1234567890ABCDEF12345678"),
            (
                "TLSA",
                "3 1 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971",
            ),
            ("SSHFP", "1 1 09F6A01D2175742B257C6B98B7C72C44C4040683"),
            ("HTTPS", "1 . alpn=h2,h3 port=443"),
            ("SVCB", "0 svc.example.com"),
            ("TXT", "\"a\" \"b \\\" c\""),
            ("TXT", long.as_str()),
            ("SPF", "\"v=spf1 -all\""),
        ] {
            assert_eq!(fault(kind, value), None, "{kind} {value}");
        }
    }

    #[test]
    fn bad_values() {
        let long = format!("\"{}\"", "x".repeat(256));
        for (kind, value, name) in [
            ("A", "192.0.2", "ARRDATAIllegalIPv4Address"),
            ("A", "2001:db8::1", "ARRDATAIllegalIPv4Address"),
            ("AAAA", "192.0.2.1", "AAAARRDATAIllegalIPv6Address"),
            ("CNAME", "a..b", "DomainLabelEmpty"),
            ("CNAME", "two words", "UnsupportedCharacter"),
            ("MX", "mail.example.com", "MXRRDATANotTwoFields"),
            ("MX", "x mail.example.com", "MXRRDATAIllegalPriority"),
            ("MX", "65536 mail.example.com", "MXRRDATAIllegalPriority"),
            ("SRV", "1 2 host.example.com", "SRVRRDATANotFourFields"),
            ("SRV", "1 2 70000 host.example.com", "SRVRRDATAIllegalPort"),
            ("CAA", "0 issue", "CAARRDATANotThreeFields"),
            ("CAA", "256 issue \"x\"", "CAARRDATAIllegalFlags"),
            ("CAA", "0 issue x", "InvalidCharacterString"),
            ("NAPTR", "100 50 \"u\" .", "NAPTRRRDATANotSixFields"),
            ("SOA", "a. b. 1 2 3 4", "SOARRDATANotSevenFields"),
            ("DS", "123 4 1 12", "DSRRDATAIllegalHexadecimal"),
            ("DS", "123 4 9 12", "DSRRDATAIllegalDigestType"),
            ("TLSA", "9 1 1 00", "TLSARRDATAIllegalUsage"),
            ("SSHFP", "1 1 zz", "SSHFPRRDATAIllegalHexadecimal"),
            ("HTTPS", "0 . alpn=h2", "HTTPSRRDATAIllegalParameters"),
            ("HTTPS", "1", "HTTPSRRDATANotTwoFields"),
            ("TXT", "no quotes", "InvalidCharacterString"),
            ("TXT", "\"open", "InvalidCharacterString"),
            ("TXT", "", "InvalidCharacterString"),
            ("TXT", "\"\u{e9}\"", "UnsupportedCharacter"),
            ("TXT", long.as_str(), "CharacterStringTooLong"),
        ] {
            let fault = fault(kind, value).unwrap_or_default();
            assert!(fault.contains(name), "{kind} {value}: {fault}");
        }
    }

    #[test]
    fn spellings_of_one_value() {
        assert_eq!(comparable("CNAME", "A.example.com"), "a.example.com.");
        assert_eq!(comparable("AAAA", "2001:0db8:0:0::1"), "2001:db8::1");
        assert_eq!(
            comparable("MX", "10  Mail.example.com"),
            "10 mail.example.com."
        );
        assert_eq!(comparable("TXT", "\"A\""), "\"A\"");
    }
}
