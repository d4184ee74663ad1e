//! TLS policies of listeners, by name.

/// The policy of an HTTPS listener that is made without one.
pub const DEFAULT: &str = "ELBSecurityPolicy-2016-08";

const PREFIX: &str = "ELBSecurityPolicy-";

const NAMES: &[&str] = &[
    "TLS13-1-2-2021-06",
    "TLS13-1-2-Res-2021-06",
    "TLS13-1-2-Ext1-2021-06",
    "TLS13-1-2-Ext2-2021-06",
    "TLS13-1-1-2021-06",
    "TLS13-1-0-2021-06",
    "TLS13-1-3-2021-06",
    "FS-1-2-Res-2020-10",
    "FS-1-2-Res-2019-08",
    "FS-1-2-2019-08",
    "FS-1-1-2019-08",
    "FS-2018-06",
    "TLS-1-2-Ext-2018-06",
    "TLS-1-2-2017-01",
    "TLS-1-1-2017-01",
    "2016-08",
    "TLS-1-0-2015-04",
    "2015-05",
    "TLS13-1-2-FIPS-2023-04",
    "TLS13-1-2-Res-FIPS-2023-04",
    "TLS13-1-2-Ext0-FIPS-2023-04",
    "TLS13-1-2-Ext1-FIPS-2023-04",
    "TLS13-1-2-Ext2-FIPS-2023-04",
    "TLS13-1-1-FIPS-2023-04",
    "TLS13-1-0-FIPS-2023-04",
    "TLS13-1-3-FIPS-2023-04",
    "TLS13-1-2-PQ-2025-09",
    "TLS13-1-2-Res-PQ-2025-09",
    "TLS13-1-2-Ext1-PQ-2025-09",
    "TLS13-1-2-Ext2-PQ-2025-09",
    "TLS13-1-3-PQ-2025-09",
    "TLS13-1-2-FIPS-PQ-2025-09",
    "TLS13-1-2-Res-FIPS-PQ-2025-09",
    "TLS13-1-2-Ext0-FIPS-PQ-2025-09",
    "TLS13-1-2-Ext1-FIPS-PQ-2025-09",
    "TLS13-1-2-Ext2-FIPS-PQ-2025-09",
    "TLS13-1-3-FIPS-PQ-2025-09",
];

/// Whether there is a policy of this name.
pub fn exists(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .is_some_and(|rest| NAMES.contains(&rest))
}

/// All policy names.
pub fn names() -> impl Iterator<Item = String> {
    NAMES.iter().map(|name| format!("{PREFIX}{name}"))
}

/// The protocol versions of a policy, newest first, as its name tells them.
pub fn protocols(name: &str) -> Vec<&'static str> {
    let rest = name.strip_prefix(PREFIX).unwrap_or(name);
    let newest = rest.starts_with("TLS13");
    let oldest = [("TLS13-1-3", 3), ("-1-2-", 2), ("-1-1-", 1)]
        .into_iter()
        .find(|(part, _)| rest.contains(part))
        .map_or(0, |(_, version)| version);
    [(3, "TLSv1.3"), (2, "TLSv1.2"), (1, "TLSv1.1"), (0, "TLSv1")]
        .into_iter()
        .filter(|(version, _)| *version >= oldest && (*version < 3 || newest))
        .map(|(_, text)| text)
        .collect()
}

/// Ciphers of TLS 1.3, and of the older versions with forward secrecy.
const CIPHERS: &[(&str, bool)] = &[
    ("TLS_AES_128_GCM_SHA256", true),
    ("TLS_AES_256_GCM_SHA384", true),
    ("TLS_CHACHA20_POLY1305_SHA256", true),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", false),
    ("ECDHE-RSA-AES128-GCM-SHA256", false),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", false),
    ("ECDHE-RSA-AES256-GCM-SHA384", false),
];

/// The ciphers that a policy surely has, best first. AWS's weaker policies have
/// more; nothing here negotiates by them.
pub fn ciphers(name: &str) -> Vec<&'static str> {
    let protocols = protocols(name);
    let newest = protocols.contains(&"TLSv1.3");
    let older = protocols.contains(&"TLSv1.2");
    CIPHERS
        .iter()
        .filter(|(_, of_newest)| if *of_newest { newest } else { older })
        .map(|(cipher, _)| *cipher)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_protocols() {
        assert!(exists(DEFAULT));
        assert!(!exists("ELBSecurityPolicy-2031-01"));
        assert_eq!(
            protocols("ELBSecurityPolicy-TLS13-1-3-2021-06"),
            ["TLSv1.3"]
        );
        assert_eq!(
            protocols("ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"),
            ["TLSv1.3", "TLSv1.2"]
        );
        assert_eq!(protocols(DEFAULT), ["TLSv1.2", "TLSv1.1", "TLSv1"]);
    }
}
