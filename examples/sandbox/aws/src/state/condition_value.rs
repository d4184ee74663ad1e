//! What single values of conditions may be.

use ipnet::IpNet;

use super::{Answer, Refusal};

/// Whether a value is neither empty nor too long.
pub(super) fn check_length(value: &str) -> Answer<()> {
    if value.is_empty() || value.chars().count() > 128 {
        return Err(Refusal::validation(format!(
            "Condition value '{value}' must have 1 to 128 characters"
        )));
    }
    Ok(())
}

/// Host names need a dot, and letters after the last one.
pub(super) fn check_host(host: &str) -> Answer<()> {
    let good = host
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-.*?".contains(c));
    let ending = host.rsplit_once('.').map_or("", |(_, ending)| ending);
    if !good || ending.is_empty() || !ending.chars().all(|c| c.is_ascii_alphabetic()) {
        return Err(Refusal::validation(format!(
            "Condition value '{host}' contains a character that is not valid, has no '.', or has other characters than letters after the last '.'"
        )));
    }
    Ok(())
}

/// Paths have fewer characters than HTTP permits.
pub(super) fn check_path(path: &str) -> Answer<()> {
    let good = path
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_-.$/~\"'@:+&*?".contains(c));
    if !good {
        return Err(Refusal::validation(format!(
            "Condition value '{path}' contains a character that is not valid"
        )));
    }
    Ok(())
}

/// A header name is a token of HTTP; the host has a condition of its own.
pub(super) fn check_header_name(name: &str) -> Answer<()> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || name.len() > 40 || !name.chars().all(token) {
        return Err(Refusal::validation(format!(
            "The header name '{name}' must have 1 to 40 characters that HTTP permits in it"
        )));
    }
    if name.contains('*') {
        return Err(Refusal::validation(format!(
            "The header name '{name}' cannot have wildcards"
        )));
    }
    if name.eq_ignore_ascii_case("host") {
        return Err(Refusal::validation(
            "An http-header condition cannot match the host header; use a host-header condition",
        ));
    }
    Ok(())
}

/// Header values and query strings are visible ASCII.
pub(super) fn check_text(text: &str) -> Answer<()> {
    if text.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Refusal::validation(format!(
        "Condition value '{text}' contains a character that is not valid"
    )))
}

/// Ranges of addresses, but not the one of everybody on the link.
pub(super) fn check_source(source: &str) -> Answer<IpNet> {
    match source.parse::<IpNet>() {
        Ok(range) if source != "255.255.255.255/32" => Ok(range),
        _ => Err(Refusal::validation(format!(
            "Condition value '{source}' is not a valid CIDR"
        ))),
    }
}
