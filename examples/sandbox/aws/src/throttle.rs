//! Request throttling: the token buckets of each account and region.
//!
//! Off unless asked for. `real` has AWS's published numbers (performance
//! reference, section 3), and `scale` multiplies both sizes of every bucket. A
//! call takes a token from each bucket that it belongs to, or from none and is
//! refused. Pure: the time comes in as milliseconds.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::state::Refusal;

/// Burst and refill of one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Tokens of a full bucket.
    pub burst: f64,
    /// Tokens that come back in a second.
    pub per_second: f64,
}

/// Whether calls are throttled, and how much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Every call passes.
    #[default]
    Off,
    /// The buckets count.
    Real,
}

/// The knobs, as `/_sim/limits` shows and takes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Whether the buckets count.
    pub mode: Mode,
    /// Multiplies burst and refill of every bucket; above 0.
    pub scale: f64,
    /// Buckets by name. One that ends in `:*` stands for a bucket for each
    /// operation.
    pub buckets: BTreeMap<String, Rate>,
}

/// Names and rates of AWS's buckets. Whether ELBv2's account bucket grew when
/// that of the reads did is not known, so it is as it was published.
const REAL: [(&str, f64, f64); 19] = [
    ("elasticloadbalancing:account", 40.0, 10.0),
    ("elasticloadbalancing:resource-intensive", 10.0, 0.2),
    ("elasticloadbalancing:registration", 20.0, 4.0),
    ("elasticloadbalancing:non-mutating", 200.0, 50.0),
    ("elasticloadbalancing:mutating", 20.0, 3.0),
    ("ec2:non-mutating:*", 100.0, 20.0),
    ("ec2:unfiltered:*", 50.0, 10.0),
    ("ec2:security-groups:*", 50.0, 5.0),
    ("ec2:tags:*", 100.0, 10.0),
    ("ec2:mutating:*", 50.0, 5.0),
    ("route53:account", 50.0, 10.0),
    ("route53:changes", 1500.0, 100.0),
    ("acm:ListCertificates", 8.0, 8.0),
    ("acm:RequestCertificate", 5.0, 5.0),
    ("acm:other:*", 10.0, 10.0),
    ("wafv2:association:*", 1.0, 0.5),
    ("wafv2:resources:*", 1.0, 1.0),
    ("wafv2:reads:*", 5.0, 5.0),
    ("wafv2:writes:*", 1.0, 1.0),
];

impl Default for Limits {
    fn default() -> Self {
        let rate = |burst, per_second| Rate { burst, per_second };
        Self {
            mode: Mode::Off,
            scale: 1.0,
            buckets: REAL
                .iter()
                .map(|(name, burst, per_second)| ((*name).to_owned(), rate(*burst, *per_second)))
                .collect(),
        }
    }
}

impl Limits {
    /// Takes other knobs in: those that are named change, the others stay.
    ///
    /// # Errors
    /// What is wrong with them, for people; then nothing has changed.
    pub fn change(&mut self, change: &LimitsChange) -> Result<(), String> {
        let mut changed = self.clone();
        changed.mode = change.mode.unwrap_or(changed.mode);
        changed.scale = change.scale.unwrap_or(changed.scale);
        if !(changed.scale.is_finite() && changed.scale > 0.0) {
            return Err("scale has to be a number above 0".to_owned());
        }
        for (name, rate) in &change.buckets {
            let Some(slot) = changed.buckets.get_mut(name) else {
                let names: Vec<&str> = self.buckets.keys().map(String::as_str).collect();
                return Err(format!(
                    "there is no bucket '{name}'; there are {}",
                    names.join(", ")
                ));
            };
            if !(rate.burst >= 1.0 && rate.per_second > 0.0) {
                return Err(format!(
                    "bucket '{name}' needs a burst of 1 or more and a refill above 0"
                ));
            }
            *slot = *rate;
        }
        *self = changed;
        Ok(())
    }
}

/// A change of [`Limits`].
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsChange {
    /// Whether the buckets count.
    pub mode: Option<Mode>,
    /// Multiplies burst and refill.
    pub scale: Option<f64>,
    /// Rates by the names of buckets.
    pub buckets: BTreeMap<String, Rate>,
}

/// A call as far as throttling looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Charged<'a> {
    /// Twelve digits.
    pub account: &'a str,
    /// Region that the service is called in.
    pub region: &'a str,
    /// Service as in the scope of signatures.
    pub service: &'a str,
    /// Operation.
    pub action: &'a str,
    /// Whether a list of EC2 is asked for whole: no filter, no ids, no page.
    pub unfiltered: bool,
    /// Changes of record sets in it; an UPSERT counts twice.
    pub changes: u32,
}

/// How full the buckets are.
#[derive(Debug, Clone, Default)]
pub struct Throttle {
    limits: Limits,
    levels: BTreeMap<(String, String, String), Level>,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    tokens: f64,
    at_ms: f64,
}

impl Throttle {
    /// The knobs.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Changes the knobs; every bucket is full afterwards.
    ///
    /// # Errors
    /// As [`Limits::change`].
    pub fn configure(&mut self, change: &LimitsChange) -> Result<(), String> {
        self.limits.change(change)?;
        self.levels.clear();
        Ok(())
    }

    /// Charges a call at a time in milliseconds.
    ///
    /// # Errors
    /// The refusal of its service when a bucket is empty; then nothing is taken.
    pub fn take(&mut self, call: Charged<'_>, now_ms: f64) -> Result<(), Refusal> {
        if self.limits.mode == Mode::Off {
            return Ok(());
        }
        let mut taken = Vec::new();
        for (bucket, name, cost) in buckets(call) {
            let Some(rate) = self.limits.buckets.get(bucket) else {
                continue;
            };
            let burst = (rate.burst * self.limits.scale).max(1.0);
            let per_second = rate.per_second * self.limits.scale;
            let key = (call.account.to_owned(), call.region.to_owned(), name);
            let level = self.levels.get(&key).copied().unwrap_or(Level {
                tokens: burst,
                at_ms: now_ms,
            });
            let elapsed = (now_ms - level.at_ms).max(0.0) / 1000.0;
            let tokens = (level.tokens + elapsed * per_second).min(burst);
            if tokens < cost.min(burst) {
                return Err(refusal(call.service));
            }
            let level = Level {
                tokens: tokens - cost,
                at_ms: now_ms,
            };
            taken.push((key, level));
        }
        self.levels.extend(taken);
        Ok(())
    }
}

/// The buckets behind a lock.
#[derive(Debug, Default)]
pub struct Throttles(Mutex<Throttle>);

impl Throttles {
    /// As [`Throttle::limits`].
    pub fn limits(&self) -> Limits {
        self.lock().limits().clone()
    }

    /// As [`Throttle::configure`].
    ///
    /// # Errors
    /// As [`Limits::change`].
    pub fn configure(&self, change: &LimitsChange) -> Result<(), String> {
        self.lock().configure(change)
    }

    /// As [`Throttle::take`].
    ///
    /// # Errors
    /// As [`Throttle::take`].
    pub fn take(&self, call: Charged<'_>, now_ms: f64) -> Result<(), Refusal> {
        self.lock().take(call, now_ms)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Throttle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The buckets of a call: the name that its rate has, the name that its level
/// has, and how many tokens it takes.
fn buckets(call: Charged<'_>) -> Vec<(&'static str, String, f64)> {
    let action = call.action;
    let one = |name: &'static str| {
        let level = name.strip_suffix('*');
        let level = level.map_or_else(|| name.to_owned(), |kind| format!("{kind}{action}"));
        (name, level, 1.0)
    };
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| action.starts_with(prefix));
    match call.service {
        "elasticloadbalancing" => {
            let category = match action {
                "CreateLoadBalancer" | "SetSubnets" => "elasticloadbalancing:resource-intensive",
                "RegisterTargets" | "DeregisterTargets" => "elasticloadbalancing:registration",
                _ if starts(&["Describe", "Get"]) => "elasticloadbalancing:non-mutating",
                _ => "elasticloadbalancing:mutating",
            };
            vec![one("elasticloadbalancing:account"), one(category)]
        }
        "ec2" => vec![match action {
            "DescribeInstances" | "DescribeNetworkInterfaces" | "DescribeSecurityGroups"
                if call.unfiltered =>
            {
                one("ec2:unfiltered:*")
            }
            "CreateTags" | "DeleteTags" => one("ec2:tags:*"),
            "CreateSecurityGroup"
            | "DeleteSecurityGroup"
            | "AuthorizeSecurityGroupIngress"
            | "RevokeSecurityGroupIngress" => one("ec2:security-groups:*"),
            _ if starts(&["Describe", "Get"]) => one("ec2:non-mutating:*"),
            _ => one("ec2:mutating:*"),
        }],
        "route53" => {
            let mut all = vec![one("route53:account")];
            if action == "ChangeResourceRecordSets" {
                let name = "route53:changes";
                all.push((name, name.to_owned(), f64::from(call.changes)));
            }
            all
        }
        "acm" => vec![match action {
            "ListCertificates" => one("acm:ListCertificates"),
            "RequestCertificate" => one("acm:RequestCertificate"),
            _ => one("acm:other:*"),
        }],
        "wafv2" => vec![match action {
            "AssociateWebACL" | "DisassociateWebACL" => one("wafv2:association:*"),
            "GetWebACLForResource" | "ListResourcesForWebACL" => one("wafv2:resources:*"),
            _ if starts(&["Get", "List", "Describe"]) => one("wafv2:reads:*"),
            _ => one("wafv2:writes:*"),
        }],
        _ => Vec::new(),
    }
}

/// How each service says that a call came too soon (aws reference, 1.7 and 4).
fn refusal(service: &str) -> Refusal {
    match service {
        "ec2" => Refusal::new("RequestLimitExceeded", "Request limit exceeded."),
        "elasticloadbalancing" | "route53" | "sts" | "iam" => {
            Refusal::new("Throttling", "Rate exceeded")
        }
        "tagging" => Refusal::new("ThrottledException", "Rate exceeded"),
        "cognito-idp" => Refusal::new("TooManyRequestsException", "Rate exceeded"),
        _ => Refusal::new("ThrottlingException", "Rate exceeded"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn call<'a>(service: &'a str, action: &'a str) -> Charged<'a> {
        Charged {
            account: "123456789012",
            region: "us-east-1",
            service,
            action,
            unfiltered: false,
            changes: 1,
        }
    }

    fn real(scale: f64) -> Throttle {
        let mut throttle = Throttle::default();
        let change = LimitsChange {
            mode: Some(Mode::Real),
            scale: Some(scale),
            ..LimitsChange::default()
        };
        throttle.configure(&change).unwrap();
        throttle
    }

    fn passes(throttle: &mut Throttle, call: Charged<'_>, now_ms: f64) -> usize {
        (0..1000)
            .take_while(|_| throttle.take(call, now_ms).is_ok())
            .count()
    }

    #[test]
    fn nothing_is_refused_while_off() {
        let mut off = Throttle::default();
        let create = call("elasticloadbalancing", "CreateLoadBalancer");
        assert_eq!(passes(&mut off, create, 0.0), 1000);
    }

    #[test]
    fn a_burst_then_the_refill() {
        let mut throttle = real(1.0);
        let create = call("elasticloadbalancing", "CreateLoadBalancer");
        assert_eq!(passes(&mut throttle, create, 0.0), 10);
        assert_eq!(passes(&mut throttle, create, 4_900.0), 0);
        assert_eq!(passes(&mut throttle, create, 5_000.0), 1);
        let refused = throttle.take(create, 5_000.0).unwrap_err();
        assert_eq!(refused.code, "Throttling");
        assert_eq!(refused.message, "Rate exceeded");
        // Other categories have tokens of their own.
        let rule = call("elasticloadbalancing", "CreateRule");
        assert_eq!(passes(&mut throttle, rule, 5_000.0), 20);
    }

    #[test]
    fn both_buckets_of_a_call_must_have_a_token() {
        let mut throttle = real(1.0);
        let modify = call("elasticloadbalancing", "ModifyRule");
        assert_eq!(passes(&mut throttle, modify, 0.0), 20);
        let describe = call("elasticloadbalancing", "DescribeRules");
        assert_eq!(
            passes(&mut throttle, describe, 0.0),
            20,
            "the account's rest"
        );
        let heavy = call("elasticloadbalancing", "SetSubnets");
        assert_eq!(
            passes(&mut throttle, heavy, 0.0),
            0,
            "the account's is empty"
        );
        assert_eq!(passes(&mut throttle, describe, 1_000.0), 10);
    }

    #[test]
    fn all_reads_of_elb_share_a_bucket() {
        let mut throttle = real(1.0);
        let wide =
            r#"{"buckets": {"elasticloadbalancing:account": {"burst": 900, "per_second": 1}}}"#;
        throttle
            .configure(&serde_json::from_str(wide).unwrap())
            .unwrap();
        let describe = call("elasticloadbalancing", "DescribeRules");
        assert_eq!(passes(&mut throttle, describe, 0.0), 200);
        let tags = call("elasticloadbalancing", "DescribeTags");
        assert_eq!(passes(&mut throttle, tags, 0.0), 0);
    }

    #[test]
    fn certificates_have_a_bucket_for_each_operation() {
        let mut throttle = real(1.0);
        for (action, burst) in [
            ("ListCertificates", 8),
            ("DescribeCertificate", 10),
            ("ListTagsForCertificate", 10),
            ("RequestCertificate", 5),
            ("DeleteCertificate", 10),
        ] {
            assert_eq!(
                passes(&mut throttle, call("acm", action), 0.0),
                burst,
                "{action}"
            );
        }
    }

    #[test]
    fn accounts_regions_and_operations_of_ec2_have_their_own() {
        let mut throttle = real(0.1);
        let subnets = call("ec2", "DescribeSubnets");
        assert_eq!(passes(&mut throttle, subnets, 0.0), 10);
        assert_eq!(passes(&mut throttle, call("ec2", "DescribeVpcs"), 0.0), 10);
        let elsewhere = Charged {
            region: "eu-west-1",
            ..subnets
        };
        assert_eq!(passes(&mut throttle, elsewhere, 0.0), 10);
        let whole = Charged {
            unfiltered: true,
            ..call("ec2", "DescribeInstances")
        };
        assert_eq!(passes(&mut throttle, whole, 0.0), 5);
        let refused = throttle.take(subnets, 0.0).unwrap_err();
        assert_eq!(refused.code, "RequestLimitExceeded");
    }

    #[test]
    fn a_batch_of_changes_costs_its_changes() {
        let mut throttle = real(1.0);
        let batch = Charged {
            changes: 1000,
            ..call("route53", "ChangeResourceRecordSets")
        };
        assert!(throttle.take(batch, 0.0).is_ok());
        assert!(throttle.take(batch, 1_000.0).is_err(), "600 are left");
        assert!(throttle.take(batch, 5_000.0).is_ok());
    }

    #[test]
    fn knobs_that_make_no_sense_change_nothing() {
        let mut throttle = real(1.0);
        let before = throttle.limits().clone();
        for text in [
            r#"{"scale": 0}"#,
            r#"{"buckets": {"x": {"burst": 1, "per_second": 1}}}"#,
            r#"{"scale": 2, "buckets": {"route53:account": {"burst": 0, "per_second": 1}}}"#,
        ] {
            let change: LimitsChange = serde_json::from_str(text).unwrap();
            assert!(throttle.configure(&change).is_err(), "{text}");
            assert_eq!(*throttle.limits(), before);
        }
    }
}
