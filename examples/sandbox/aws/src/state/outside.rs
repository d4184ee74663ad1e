//! What lies outside this AWS and is only declared: S3 buckets with what is in
//! them, and pools of addresses. What is not declared does not exist for anybody.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything that was declared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outside {
    /// S3 buckets to which load balancers can write their logs.
    pub buckets: Vec<Bucket>,
    /// Bundles of CA certificates in PEM form, by `bucket/key`; one of several
    /// versions of an object by `bucket/key?versionId=VERSION`.
    pub ca_bundles: BTreeMap<String, String>,
    /// Certificate revocation lists in PEM form, named as `ca_bundles` are.
    pub revocation_lists: BTreeMap<String, String>,
    /// Pools of IPAM.
    pub ipam_pools: Vec<Pool>,
    /// Pools of customer-owned addresses.
    pub coip_pools: Vec<Pool>,
    /// Issuers of web identities (OpenID Connect).
    pub issuers: Vec<Issuer>,
    /// Clients of Cognito user pools of other accounts and regions.
    pub cognito: Vec<PoolClient>,
}

/// An issuer: its URL, or an object with more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Issuer {
    /// An issuer whose signatures are taken without a look.
    Url(String),
    /// An issuer with its properties.
    Described(DescribedIssuer),
}

/// The properties of an issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescribedIssuer {
    /// `https://…`, as in the claim `iss`.
    pub url: String,
    /// Its keys, a JSON Web Key Set; without them no signature is verified.
    #[serde(default)]
    pub jwks: Option<Value>,
    /// The audiences that are taken; any if empty.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Whether it can be reached.
    #[serde(default = "yes")]
    pub reachable: bool,
    /// Where it really listens for HTTPS, on loopback; at the test issuer if absent.
    #[serde(default)]
    pub socket: Option<SocketAddr>,
}

impl Issuer {
    /// `https://…`, as in the claim `iss`.
    pub fn url(&self) -> &str {
        match self {
            Self::Url(url) => url,
            Self::Described(issuer) => &issuer.url,
        }
    }

    /// Its keys, if they were declared.
    pub fn jwks(&self) -> Option<&Value> {
        match self {
            Self::Url(_) => None,
            Self::Described(issuer) => issuer.jwks.as_ref(),
        }
    }

    /// Where it really listens; `None` where the test issuer plays it.
    pub fn socket(&self) -> Option<SocketAddr> {
        match self {
            Self::Url(_) => None,
            Self::Described(issuer) => issuer.socket,
        }
    }

    /// The audiences that are taken; any if empty.
    pub fn audiences(&self) -> &[String] {
        match self {
            Self::Url(_) => &[],
            Self::Described(issuer) => &issuer.audiences,
        }
    }

    /// Whether it can be reached.
    pub fn reachable(&self) -> bool {
        match self {
            Self::Url(_) => true,
            Self::Described(issuer) => issuer.reachable,
        }
    }
}

/// A bucket: its name, or an object with more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Bucket {
    /// A bucket in every region, to which everybody can write.
    Name(String),
    /// A bucket with its properties.
    Described(DescribedBucket),
}

/// The properties of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescribedBucket {
    /// Name.
    pub name: String,
    /// Region in which it lies; any if absent.
    #[serde(default)]
    pub region: Option<String>,
    /// Whether its policy lets Elastic Load Balancing write.
    #[serde(default = "yes")]
    pub writable: bool,
}

/// A pool of addresses: its id, or an object with more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Pool {
    /// A pool of which nothing but the id is known.
    Id(String),
    /// A pool with its properties.
    Described(DescribedPool),
}

/// The properties of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescribedPool {
    /// `ipam-pool-…` or `ipv4pool-coip-…`.
    pub id: String,
    /// Its ranges.
    #[serde(default)]
    pub cidrs: Vec<String>,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A client of a Cognito user pool; it has a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolClient {
    /// ARN of the user pool.
    pub user_pool_arn: String,
    /// Id of the client.
    pub client_id: String,
    /// Prefix or name of the pool's domain.
    pub domain: String,
}

fn yes() -> bool {
    true
}

impl Bucket {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Described(bucket) => &bucket.name,
        }
    }

    fn takes_logs_in(&self, region: &str) -> bool {
        match self {
            Self::Name(_) => true,
            Self::Described(bucket) => {
                bucket.writable && bucket.region.as_deref().is_none_or(|own| own == region)
            }
        }
    }
}

impl Pool {
    /// Its id.
    pub fn id(&self) -> &str {
        match self {
            Self::Id(id) => id,
            Self::Described(pool) => &pool.id,
        }
    }

    /// Its ranges, as far as they were declared.
    pub fn cidrs(&self) -> &[String] {
        match self {
            Self::Id(_) => &[],
            Self::Described(pool) => &pool.cidrs,
        }
    }
}

impl Outside {
    /// Whether load balancers of a region can write their logs to a bucket.
    pub fn takes_logs(&self, bucket: &str, region: &str) -> bool {
        self.buckets
            .iter()
            .any(|known| known.name() == bucket && known.takes_logs_in(region))
    }

    /// The text of an object in S3, whatever it was declared as.
    pub fn object(&self, object: &Object) -> Option<&str> {
        let key = object.to_key();
        self.ca_bundles
            .get(&key)
            .or_else(|| self.revocation_lists.get(&key))
            .map(String::as_str)
    }

    /// The issuer of this URL.
    pub fn issuer(&self, url: &str) -> Option<&Issuer> {
        self.issuers.iter().find(|issuer| issuer.url() == url)
    }

    /// Whether there is an IPAM pool of this id.
    pub fn has_ipam_pool(&self, id: &str) -> bool {
        self.ipam_pools.iter().any(|pool| pool.id() == id)
    }

    /// Whether there is a pool of customer-owned addresses of this id.
    pub fn has_coip_pool(&self, id: &str) -> bool {
        self.coip_pools.iter().any(|pool| pool.id() == id)
    }
}

/// An object in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
    /// Version; the present one if absent.
    pub version: Option<String>,
}

impl Object {
    fn to_key(&self) -> String {
        match &self.version {
            Some(version) => format!("{}/{}?versionId={version}", self.bucket, self.key),
            None => format!("{}/{}", self.bucket, self.key),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_and_objects_can_be_mixed() {
        let outside: Outside = serde_json::from_str(
            r#"{"buckets": ["logs", {"name": "far", "region": "eu-west-1"},
                            {"name": "shut", "writable": false}],
                "ca_bundles": {"trust/ca.pem": "one", "trust/ca.pem?versionId=2": "two"},
                "ipam_pools": ["ipam-pool-1"],
                "coip_pools": [{"id": "ipv4pool-coip-1", "cidrs": ["192.0.2.0/24"]}]}"#,
        )
        .unwrap();
        assert!(outside.takes_logs("logs", "us-east-1"));
        assert!(!outside.takes_logs("far", "us-east-1"));
        assert!(outside.takes_logs("far", "eu-west-1"));
        assert!(!outside.takes_logs("shut", "us-east-1"));
        assert!(!outside.takes_logs("unheard-of", "us-east-1"));
        let mut object = Object {
            bucket: "trust".to_owned(),
            key: "ca.pem".to_owned(),
            version: None,
        };
        assert_eq!(outside.object(&object), Some("one"));
        object.version = Some("2".to_owned());
        assert_eq!(outside.object(&object), Some("two"));
        object.version = Some("3".to_owned());
        assert_eq!(outside.object(&object), None);
        assert!(outside.has_ipam_pool("ipam-pool-1"));
        assert_eq!(outside.coip_pools[0].cidrs(), ["192.0.2.0/24"]);
        assert!(!outside.has_coip_pool("ipv4pool-coip-2"));
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(serde_json::from_str::<Outside>(r#"{"bucket": []}"#).is_err());
        assert!(serde_json::from_str::<Outside>(r#"{"buckets": [{"nam": "x"}]}"#).is_err());
    }
}
