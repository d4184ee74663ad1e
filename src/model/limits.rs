//! How many of a kind one load balancer may have, where AWS has said so by
//! refusing one more; and who has to stand back: the last in group order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::annotations::PREFIX;
use super::finding::{Effect, Finding, Reason, Verdict};
use super::member::Member;
use super::merge::Merged;
use super::spec::{Arn, ObjectName, Protocol};

/// What AWS counts on one load balancer.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    /// Rules of all listeners, default rules aside.
    Rules,
    /// Listeners.
    Listeners,
    /// Certificates of all listeners, default ones aside.
    Certificates,
    /// Target groups, each once.
    TargetGroups,
}

impl Counted {
    /// All.
    pub const ALL: [Self; 4] = [
        Self::Rules,
        Self::Listeners,
        Self::Certificates,
        Self::TargetGroups,
    ];

    /// Subject of the verdict that says how many there may be; its value is a
    /// [`Limit`].
    pub fn subject(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Listeners => "listeners",
            Self::Certificates => "certificates",
            Self::TargetGroups => "target groups",
        }
    }
}

/// How many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// On the load balancer in all.
    pub allowed: usize,
    /// How many of them were live for frozen members when AWS said so: while
    /// a member is frozen, the others have to do with what is left.
    pub held: usize,
}

impl Limit {
    /// How many the served members together may have.
    pub fn of_served(self, any_frozen: bool) -> usize {
        let held = if any_frozen { self.held } else { 0 };
        self.allowed.saturating_sub(held)
    }

    /// What AWS allows, and what is not free for the served members.
    fn in_words(self, any_frozen: bool, what: &str) -> String {
        let allowed = format!("AWS allows {} {what}", self.allowed);
        match self.held {
            held if any_frozen && held > 0 => {
                format!("{allowed}, {held} of which are held for frozen Ingresses")
            }
            _ => allowed,
        }
    }

    fn parse(value: &str) -> Option<Self> {
        let (allowed, held) = value.split_once('/').unwrap_or((value, "0"));
        Some(Self {
            allowed: allowed.parse().ok()?,
            held: held.parse().ok()?,
        })
    }
}

/// As the value of a verdict: `100`, or `100/3` where three are held.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.allowed)?;
        match self.held {
            0 => Ok(()),
            held => write!(f, "/{held}"),
        }
    }
}

/// What AWS has said about one load balancer; `None` where it has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Rules.
    pub rules: Option<Limit>,
    /// Listeners.
    pub listeners: Option<Limit>,
    /// Certificates beside the default ones.
    pub certificates: Option<Limit>,
    /// Target groups.
    pub target_groups: Option<Limit>,
    /// Whether some target group takes no more targets: what goes from one
    /// goes before what comes.
    pub targets: bool,
}

impl Limits {
    /// Of one kind.
    pub fn of(self, counted: Counted) -> Option<Limit> {
        match counted {
            Counted::Rules => self.rules,
            Counted::Listeners => self.listeners,
            Counted::Certificates => self.certificates,
            Counted::TargetGroups => self.target_groups,
        }
    }

    /// Of the verdicts about these members, which stand in the order in which
    /// AWS gave them, the latest of each kind counts.
    pub fn said(members: &[ObjectName], verdicts: &[Verdict]) -> Self {
        let about = || verdicts.iter().filter(|v| members.contains(&v.ingress));
        let latest = |counted: Counted| {
            about()
                .filter(|verdict| verdict.subject == counted.subject())
                .filter_map(|verdict| Limit::parse(&verdict.value))
                .next_back()
        };
        Self {
            rules: latest(Counted::Rules),
            listeners: latest(Counted::Listeners),
            certificates: latest(Counted::Certificates),
            target_groups: latest(Counted::TargetGroups),
            targets: about().any(|verdict| verdict.subject == super::verdicts::TARGETS_SUBJECT),
        }
    }
}

/// What of an Ingress does not fit.
fn over(ingress: &ObjectName, message: String) -> Finding {
    Finding {
        ingress: ingress.clone(),
        effect: Effect::Degraded,
        reason: Reason::QuotaExceeded,
        message,
    }
}

/// Leaves out the ports beyond `limit`, those of the first member first.
pub(super) fn fit_ports(
    merged: &mut Merged,
    served: &[&Member],
    limit: Limit,
    any_frozen: bool,
) -> Vec<Finding> {
    let allowed = limit.in_words(any_frozen, "listeners on the load balancer");
    let limit = limit.of_served(any_frozen);
    let mut kept: BTreeSet<u16> = BTreeSet::new();
    let mut found = Vec::new();
    for member in served {
        for port in member.wishes.ports.keys() {
            if kept.contains(port) {
                continue;
            }
            if kept.len() < limit {
                kept.insert(*port);
                continue;
            }
            let stated = if member.ports_are_stated {
                format!("of annotation {PREFIX}listen-ports")
            } else {
                format!("(no annotation {PREFIX}listen-ports states another)")
            };
            found.push(over(
                &member.name,
                format!(
                    "port {port} {stated} is not listened on: {allowed}, and the last in group \
                     order do not fit; expected at most so many ports in the group: raise the \
                     quota, use fewer ports, or move Ingresses to another group"
                ),
            ));
        }
    }
    merged.ports.retain(|port, _| kept.contains(port));
    found
}

/// Leaves out the certificates beyond `limit`, those of the first member
/// first. The default certificate of a listener does not count.
pub(super) fn fit_certificates(
    merged: &mut Merged,
    served: &[&Member],
    limit: Limit,
    any_frozen: bool,
) -> Vec<Finding> {
    let what = "certificates on the load balancer beside the default ones";
    let allowed = limit.in_words(any_frozen, what);
    let limit = limit.of_served(any_frozen);
    let mut kept: BTreeMap<u16, BTreeSet<Arn>> = BTreeMap::new();
    for (port, merged) in &merged.ports {
        let default = merged.certificates.first().cloned();
        kept.insert(*port, default.into_iter().collect());
    }
    let mut count = 0;
    let mut found = Vec::new();
    for member in served {
        let https = member.wishes.ports.iter();
        let https = https.filter(|(_, protocol)| **protocol == Protocol::Https);
        for (port, _) in https {
            let Some(kept) = kept.get_mut(port) else {
                continue;
            };
            for certificate in &member.wishes.certificates {
                if kept.contains(certificate) {
                    continue;
                }
                if count < limit {
                    count += 1;
                    kept.insert(certificate.clone());
                    continue;
                }
                found.push(over(
                    &member.name,
                    format!(
                        "{certificate} of annotation {PREFIX}certificate-arn is not added to the \
                         listener on port {port}: {allowed}, and the last in group order do \
                         not fit; expected at most so many in the group: raise the quota, use \
                         one certificate for several hosts, or move Ingresses to another group"
                    ),
                ));
            }
        }
    }
    for (port, merged) in &mut merged.ports {
        let kept = kept.remove(port).unwrap_or_default();
        merged.certificates.retain(|c| kept.contains(c));
    }
    found
}

/// The findings of members some of whose rules do not fit: `dropped` counts
/// them, `reached` is what is full and `limit` what AWS allows of it.
pub(super) fn rules_left_out(
    dropped: BTreeMap<&ObjectName, usize>,
    reached: Counted,
    limit: Limit,
    any_frozen: bool,
) -> Vec<Finding> {
    let (what, rules, advice) = match reached {
        Counted::TargetGroups => (
            "target groups",
            "the rules that are last",
            "use fewer Services",
        ),
        _ => ("rules", "the last", "use fewer rules"),
    };
    let allowed = limit.in_words(any_frozen, &format!("{what} on the load balancer"));
    dropped
        .into_iter()
        .map(|(ingress, count)| {
            over(
                ingress,
                format!(
                    "{allowed}, and {rules} in group order do not fit: {count} of this Ingress \
                     are not served; expected at most so many in the group: raise the quota, \
                     {advice}, or move Ingresses to another group"
                ),
            )
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may fail loudly
mod tests {
    use super::*;

    fn verdict(ingress: &str, subject: &str, value: &str) -> Verdict {
        Verdict {
            ingress: ObjectName::new("shop", ingress),
            subject: subject.to_owned(),
            value: value.to_owned(),
            code: "TooMany".to_owned(),
            message: "no".to_owned(),
        }
    }

    #[test]
    fn the_latest_limit_of_a_member_counts() {
        let verdicts = [
            verdict("web", "rules", "90"),
            verdict("other", "rules", "5"),
            verdict("web", "rules", "100/3"),
            verdict("web", "listeners", "50"),
            verdict("web", "certificate-arn", "25"),
        ];
        let members = [ObjectName::new("shop", "web")];
        let limits = Limits::said(&members, &verdicts);
        let rules = limits.rules.unwrap();
        assert_eq!(rules.of_served(false), 100);
        assert_eq!(rules.of_served(true), 97);
        assert_eq!(rules.to_string(), "100/3");
        assert_eq!(limits.listeners.unwrap().to_string(), "50");
        assert_eq!((limits.certificates, limits.target_groups), (None, None));
        assert_eq!(Limits::said(&[], &verdicts), Limits::default());
    }
}
