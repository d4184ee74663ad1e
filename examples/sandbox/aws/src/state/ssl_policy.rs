//! The predefined TLS policies: their protocols and ciphers.
//!
//! From the tables of the user guides of Application and Network Load
//! Balancers. The guides do not state which ciphers the `INTEROP` policies of
//! RFC 9151 have; what stands here for them is the order in which their names
//! promise to let in more clients.

use super::{Answer, Refusal};

/// The policy of a secure listener that is made without one.
pub const DEFAULT: &str = "ELBSecurityPolicy-2016-08";

const PREFIX: &str = "ELBSecurityPolicy-";

/// Versions of TLS, newest first, as DescribeSSLPolicies spells them.
const VERSIONS: [&str; 4] = ["TLSv1.3", "TLSv1.2", "TLSv1.1", "TLSv1"];

/// Ciphers with the groups to which they belong, in order of preference.
const CIPHERS: &[(&str, Group)] = &[
    ("TLS_AES_128_GCM_SHA256", Group::Aes128),
    ("TLS_AES_256_GCM_SHA384", Group::Aes256),
    ("TLS_CHACHA20_POLY1305_SHA256", Group::ChaCha),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", Group::EphemeralGcm128),
    ("ECDHE-RSA-AES128-GCM-SHA256", Group::EphemeralGcm128),
    ("ECDHE-ECDSA-AES128-SHA256", Group::EphemeralCbc),
    ("ECDHE-RSA-AES128-SHA256", Group::EphemeralCbc),
    ("ECDHE-ECDSA-AES128-SHA", Group::EphemeralSha),
    ("ECDHE-RSA-AES128-SHA", Group::EphemeralSha),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", Group::EphemeralGcm256),
    ("ECDHE-RSA-AES256-GCM-SHA384", Group::EphemeralGcm256),
    ("ECDHE-ECDSA-AES256-SHA384", Group::EphemeralCbc),
    ("ECDHE-RSA-AES256-SHA384", Group::EphemeralCbc),
    ("ECDHE-RSA-AES256-SHA", Group::EphemeralSha),
    ("ECDHE-ECDSA-AES256-SHA", Group::EphemeralSha),
    ("AES128-GCM-SHA256", Group::Rsa),
    ("AES128-SHA256", Group::Rsa),
    ("AES128-SHA", Group::RsaSha),
    ("AES256-GCM-SHA384", Group::RsaGcm256),
    ("AES256-SHA256", Group::Rsa),
    ("AES256-SHA", Group::RsaSha),
    ("DES-CBC3-SHA", Group::TripleDes),
];

/// Ciphers that policies have together or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    /// Of TLS 1.3.
    Aes128,
    /// Of TLS 1.3.
    Aes256,
    /// Of TLS 1.3, not in FIPS policies.
    ChaCha,
    EphemeralGcm128,
    EphemeralGcm256,
    EphemeralCbc,
    EphemeralSha,
    /// Without forward secrecy.
    Rsa,
    /// Without forward secrecy, the one that RFC 9151 knows.
    RsaGcm256,
    RsaSha,
    TripleDes,
}

use Group::{
    Aes128, Aes256, ChaCha, EphemeralCbc, EphemeralGcm128, EphemeralGcm256, EphemeralSha, Rsa,
    RsaGcm256, RsaSha, TripleDes,
};

const TLS13: &[Group] = &[Aes128, Aes256, ChaCha];
const TLS13_FIPS: &[Group] = &[Aes128, Aes256];
const TLS13_STRICT: &[Group] = &[Aes256];
const GCM: &[Group] = &[EphemeralGcm128, EphemeralGcm256];
const SECRET: &[Group] = &[EphemeralGcm128, EphemeralGcm256, EphemeralCbc];
const SECRET_SHA: &[Group] = &[EphemeralGcm128, EphemeralGcm256, EphemeralCbc, EphemeralSha];
const WITH_RSA: &[Group] = &[
    EphemeralGcm128,
    EphemeralGcm256,
    EphemeralCbc,
    Rsa,
    RsaGcm256,
];
const ALL: &[Group] = &[
    EphemeralGcm128,
    EphemeralGcm256,
    EphemeralCbc,
    EphemeralSha,
    Rsa,
    RsaGcm256,
    RsaSha,
];
const OLDEST: &[Group] = &[
    EphemeralGcm128,
    EphemeralGcm256,
    EphemeralCbc,
    EphemeralSha,
    Rsa,
    RsaGcm256,
    RsaSha,
    TripleDes,
];
const CNSA: &[Group] = &[EphemeralGcm256];
const CNSA_RSA: &[Group] = &[EphemeralGcm256, RsaGcm256];

/// Name without prefix, versions (3 is TLS 1.3, 0 is TLS 1.0), ciphers of
/// TLS 1.3, ciphers of older versions. In the order in which AWS lists them.
type Row = (
    &'static str,
    &'static str,
    &'static [Group],
    &'static [Group],
);

const POLICIES: &[Row] = &[
    ("2016-08", "210", &[], ALL),
    ("TLS13-1-2-2021-06", "32", TLS13, SECRET),
    ("TLS13-1-2-Res-2021-06", "32", TLS13, GCM),
    ("TLS13-1-2-Ext1-2021-06", "32", TLS13, WITH_RSA),
    ("TLS13-1-2-Ext2-2021-06", "32", TLS13, ALL),
    ("TLS13-1-1-2021-06", "321", TLS13, ALL),
    ("TLS13-1-0-2021-06", "3210", TLS13, ALL),
    ("TLS13-1-3-2021-06", "3", TLS13, &[]),
    ("TLS-1-2-2017-01", "2", &[], WITH_RSA),
    ("TLS-1-1-2017-01", "21", &[], ALL),
    ("TLS-1-2-Ext-2018-06", "2", &[], ALL),
    ("FS-2018-06", "210", &[], SECRET_SHA),
    ("2015-05", "210", &[], ALL),
    ("TLS-1-0-2015-04", "210", &[], OLDEST),
    ("FS-1-2-Res-2019-08", "2", &[], SECRET),
    ("FS-1-1-2019-08", "21", &[], SECRET_SHA),
    ("FS-1-2-2019-08", "2", &[], SECRET_SHA),
    ("FS-1-2-Res-2020-10", "2", &[], GCM),
    ("TLS13-1-2-FIPS-2023-04", "32", TLS13_FIPS, SECRET),
    ("TLS13-1-2-Res-FIPS-2023-04", "32", TLS13_FIPS, GCM),
    ("TLS13-1-2-Ext0-FIPS-2023-04", "32", TLS13_FIPS, SECRET_SHA),
    ("TLS13-1-2-Ext1-FIPS-2023-04", "32", TLS13_FIPS, WITH_RSA),
    ("TLS13-1-2-Ext2-FIPS-2023-04", "32", TLS13_FIPS, ALL),
    ("TLS13-1-1-FIPS-2023-04", "321", TLS13_FIPS, ALL),
    ("TLS13-1-0-FIPS-2023-04", "3210", TLS13_FIPS, ALL),
    ("TLS13-1-3-FIPS-2023-04", "3", TLS13_FIPS, &[]),
    ("TLS13-1-2-PQ-2025-09", "32", TLS13, SECRET),
    ("TLS13-1-2-Res-PQ-2025-09", "32", TLS13, GCM),
    ("TLS13-1-2-Ext1-PQ-2025-09", "32", TLS13, WITH_RSA),
    ("TLS13-1-2-Ext2-PQ-2025-09", "32", TLS13, ALL),
    ("TLS13-1-0-PQ-2025-09", "3210", TLS13, ALL),
    ("TLS13-1-3-PQ-2025-09", "3", TLS13, &[]),
    ("TLS13-1-2-FIPS-PQ-2025-09", "32", TLS13_FIPS, SECRET),
    ("TLS13-1-2-Res-FIPS-PQ-2025-09", "32", TLS13_FIPS, GCM),
    (
        "TLS13-1-2-Ext0-FIPS-PQ-2025-09",
        "32",
        TLS13_FIPS,
        SECRET_SHA,
    ),
    ("TLS13-1-2-Ext1-FIPS-PQ-2025-09", "32", TLS13_FIPS, WITH_RSA),
    ("TLS13-1-2-Ext2-FIPS-PQ-2025-09", "32", TLS13_FIPS, ALL),
    ("TLS13-1-0-FIPS-PQ-2025-09", "3210", TLS13_FIPS, ALL),
    ("TLS13-1-3-FIPS-PQ-2025-09", "3", TLS13_FIPS, &[]),
    ("TLS13-1-3-RFC9151-FIPS-2023-07", "3", TLS13_STRICT, &[]),
    ("TLS13-1-2-RFC9151-FIPS-2023-07", "32", TLS13_STRICT, CNSA),
    (
        "TLS13-1-2-Ext0-RFC9151-FIPS-2023-07",
        "32",
        TLS13_STRICT,
        CNSA_RSA,
    ),
    (
        "TLS13-1-2-RFC9151-INTEROP1-FIPS-2023-07",
        "32",
        TLS13_FIPS,
        CNSA,
    ),
    (
        "TLS13-1-2-RFC9151-INTEROP2-FIPS-2023-07",
        "32",
        TLS13_FIPS,
        GCM,
    ),
    (
        "TLS13-1-2-RFC9151-INTEROP3-FIPS-2023-07",
        "32",
        TLS13_FIPS,
        SECRET,
    ),
    (
        "TLS13-1-2-RFC9151-INTEROP4-FIPS-2023-07",
        "32",
        TLS13_FIPS,
        WITH_RSA,
    ),
];

/// A predefined policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SslPolicy {
    /// `ELBSecurityPolicy-…`.
    pub name: String,
    /// `TLSv1.3` and so on, newest first.
    pub protocols: Vec<&'static str>,
    /// Ciphers by their OpenSSL names, preferred ones first.
    pub ciphers: Vec<&'static str>,
}

/// Types of load balancers whose listeners can have a policy.
pub const LOAD_BALANCER_TYPES: [&str; 2] = ["application", "network"];

/// Whether there is a policy of this name.
pub fn exists(name: &str) -> bool {
    find(name).is_some()
}

/// Whether a policy is one of the FIPS policies, which cannot stand beside
/// others on one load balancer.
pub fn is_fips(name: &str) -> bool {
    name.contains("-FIPS-")
}

/// All policy names.
pub fn names() -> impl Iterator<Item = String> {
    POLICIES.iter().map(|(name, ..)| format!("{PREFIX}{name}"))
}

/// The policies of these names, in this order; all if there are no names. One
/// that does not exist is `SSLPolicyNotFound`.
pub fn described(wanted: &[String]) -> Answer<Vec<SslPolicy>> {
    if wanted.is_empty() {
        return Ok(POLICIES.iter().map(SslPolicy::of).collect());
    }
    wanted
        .iter()
        .map(|name| find(name).map(SslPolicy::of).ok_or_else(|| not_found(name)))
        .collect()
}

/// The refusal of a policy that does not exist.
pub fn not_found(name: &str) -> Refusal {
    Refusal::new(
        "SSLPolicyNotFound",
        format!("SSL policy '{name}' not found"),
    )
}

fn find(name: &str) -> Option<&'static Row> {
    let rest = name.strip_prefix(PREFIX)?;
    POLICIES.iter().find(|(known, ..)| *known == rest)
}

impl SslPolicy {
    fn of((name, versions, newest, older): &Row) -> Self {
        let protocols = VERSIONS
            .into_iter()
            .zip(['3', '2', '1', '0'])
            .filter(|(_, digit)| versions.contains(*digit))
            .map(|(version, _)| version)
            .collect();
        let ciphers = CIPHERS
            .iter()
            .filter(|(_, group)| newest.contains(group) || older.contains(group))
            .map(|(cipher, _)| *cipher)
            .collect();
        Self {
            name: format!("{PREFIX}{name}"),
            protocols,
            ciphers,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn policy(name: &str) -> SslPolicy {
        described(&[format!("{PREFIX}{name}")]).unwrap().remove(0)
    }

    #[test]
    fn protocols_and_ciphers_by_policy() {
        assert!(exists(DEFAULT));
        assert!(!exists("ELBSecurityPolicy-2031-01"));
        let refused = described(&["2016-08".to_owned()]).unwrap_err();
        assert_eq!(refused.code, "SSLPolicyNotFound");
        assert_eq!(policy("TLS13-1-3-2021-06").protocols, ["TLSv1.3"]);
        assert_eq!(policy("2016-08").protocols, ["TLSv1.2", "TLSv1.1", "TLSv1"]);
        let counts = [
            ("2016-08", 18),
            ("TLS13-1-2-2021-06", 11),
            ("TLS13-1-2-Res-2021-06", 7),
            ("TLS13-1-2-Ext1-2021-06", 15),
            ("TLS13-1-2-Ext2-2021-06", 21),
            ("TLS13-1-3-2021-06", 3),
            ("TLS-1-2-2017-01", 12),
            ("TLS-1-0-2015-04", 19),
            ("FS-2018-06", 12),
            ("FS-1-2-Res-2019-08", 8),
            ("FS-1-2-Res-2020-10", 4),
            ("TLS13-1-3-FIPS-2023-04", 2),
            ("TLS13-1-2-Ext0-FIPS-2023-04", 14),
            ("TLS13-1-2-Ext2-FIPS-2023-04", 20),
        ];
        for (name, count) in counts {
            assert_eq!(policy(name).ciphers.len(), count, "{name}");
        }
        assert_eq!(
            policy("TLS13-1-2-2021-06").ciphers,
            [
                "TLS_AES_128_GCM_SHA256",
                "TLS_AES_256_GCM_SHA384",
                "TLS_CHACHA20_POLY1305_SHA256",
                "ECDHE-ECDSA-AES128-GCM-SHA256",
                "ECDHE-RSA-AES128-GCM-SHA256",
                "ECDHE-ECDSA-AES128-SHA256",
                "ECDHE-RSA-AES128-SHA256",
                "ECDHE-ECDSA-AES256-GCM-SHA384",
                "ECDHE-RSA-AES256-GCM-SHA384",
                "ECDHE-ECDSA-AES256-SHA384",
                "ECDHE-RSA-AES256-SHA384",
            ]
        );
    }

    #[test]
    fn every_name_is_there_once() {
        let all: std::collections::BTreeSet<String> = names().collect();
        assert_eq!(all.len(), POLICIES.len());
        assert!(is_fips("ELBSecurityPolicy-TLS13-1-2-FIPS-PQ-2025-09"));
        assert!(!is_fips(DEFAULT));
    }
}
