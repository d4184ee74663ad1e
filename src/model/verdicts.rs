//! What AWS refused earlier: who stated the value, and whether it still
//! counts.

use std::collections::BTreeSet;

use super::desired::{DesiredTargetGroup, Origin, Stack};
use super::finding::{Effect, Finding, NAME_TAKEN, Reason, Verdict};
use super::group::GroupId;
use super::limits::Counted;
use super::names;
use super::spec::{ObjectName, Protocol, Rule, Scheme, Target, TargetGroup, TargetGroupKey};
use super::subnets;

/// Subject of what the spec and not one annotation asks for.
pub const SPEC_SUBJECT: &str = "spec";
/// Subject of a verdict that says how many targets a target group may have:
/// its value is the key of the group, a blank, and the number.
pub const TARGETS_SUBJECT: &str = "targets";
/// Subject of a verdict on one target: its value is the key of the target
/// group, a blank, and the target's id.
pub const TARGET_SUBJECT: &str = "target";

/// Subject of the subnets that were found by their tags, which no annotation
/// states.
pub const SUBNETS_SUBJECT: &str = "found subnets";

/// Between what people call a thing and a digest of its settings.
const DIGEST_MARK: &str = " #";

/// The origin of a target group. Its value changes with all that AWS may
/// dislike about it.
pub fn target_group_origin(owner: &ObjectName, group: &TargetGroup) -> Origin {
    let settings = names::hash(&[&format!("{group:?}")]);
    Origin {
        ingress: owner.clone(),
        subject: SPEC_SUBJECT.to_owned(),
        value: format!("target group {}{DIGEST_MARK}{settings}", group.key),
    }
}

/// The origin of a group's load balancer, which every member asks for.
pub fn load_balancer_origin(owner: &ObjectName, group: &GroupId) -> Origin {
    Origin {
        ingress: owner.clone(),
        subject: SPEC_SUBJECT.to_owned(),
        value: format!("load balancer of group {group}"),
    }
}

/// The origin of a rule: its conditions and where it leads, tags aside.
pub fn rule_origin(owner: &ObjectName, rule: &Rule) -> Origin {
    Origin {
        ingress: owner.clone(),
        subject: SPEC_SUBJECT.to_owned(),
        value: format!("rule {rule}"),
    }
}

/// The origin of a port that is listened on; `stated`: by an annotation.
pub fn listener_origin(owner: &ObjectName, port: u16, protocol: Protocol, stated: bool) -> Origin {
    let (subject, value) = if stated {
        ("listen-ports", format!("{protocol}:{port}"))
    } else {
        (SPEC_SUBJECT, format!("listener {protocol}:{port}"))
    };
    Origin {
        ingress: owner.clone(),
        subject: subject.to_owned(),
        value,
    }
}

/// The origin of the number of targets that a target group may have.
pub fn targets_origin(owner: &ObjectName, key: &TargetGroupKey, count: usize) -> Origin {
    Origin {
        ingress: owner.clone(),
        subject: TARGETS_SUBJECT.to_owned(),
        value: format!("{key} {count}"),
    }
}

/// The origin of one target.
pub fn target_origin(owner: &ObjectName, key: &TargetGroupKey, target: &Target) -> Origin {
    Origin {
        ingress: owner.clone(),
        subject: TARGET_SUBJECT.to_owned(),
        value: format!("{key} {}", target.id),
    }
}

/// The origin of subnets that were found by their tags: other ones are
/// another value.
pub fn subnets_origin(owner: &ObjectName, ids: &BTreeSet<String>) -> Origin {
    Origin {
        ingress: owner.clone(),
        subject: SUBNETS_SUBJECT.to_owned(),
        value: ids
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// What AWS has said against the subnets that were found for an Ingress's load
/// balancer.
pub(super) fn refused_subnets(
    owner: &ObjectName,
    ids: &BTreeSet<String>,
    scheme: Scheme,
    verdicts: &[Verdict],
) -> Option<Finding> {
    let found = subnets_origin(owner, ids);
    let is_about = |verdict: &&Verdict| {
        verdict.ingress == found.ingress
            && verdict.subject == found.subject
            && verdict.value == found.value
    };
    let verdict = verdicts.iter().find(is_about)?;
    Some(Finding {
        ingress: owner.clone(),
        effect: Effect::Frozen,
        reason: reason(&verdict.code),
        message: format!(
            "AWS refused the subnets {}, found by their tags: {} ({}); expected subnets that it \
             accepts: mend them, tag others with {}=1, or name some in the annotation {}subnets; \
             it is tried again from time to time",
            found.value,
            verdict.message,
            verdict.code,
            subnets::role_tag(scheme),
            super::annotations::PREFIX
        ),
    })
}

/// Whether a verdict says anew what an older one says: about one value, or how
/// many of a kind there may be.
pub fn replaces(new: &Verdict, old: &Verdict) -> bool {
    let counts = |subject: &str| Counted::ALL.iter().any(|c| c.subject() == subject);
    let of_targets = |v: &Verdict| v.value.rsplit_once(' ').map(|(key, _)| key.to_owned());
    new.ingress == old.ingress
        && new.subject == old.subject
        && match new.subject.as_str() {
            TARGETS_SUBJECT => of_targets(new) == of_targets(old),
            subject => counts(subject) || new.value == old.value,
        }
}

/// Leaves out the targets that AWS does not take.
pub(super) fn fit_targets(group: &mut DesiredTargetGroup, verdicts: &[Verdict]) -> Vec<Finding> {
    let key = group.target_group.key.clone();
    let start = format!("{key} ");
    let (owner, start) = (group.owner.clone(), start.as_str());
    let about = |subject: &'static str| {
        let owner = &owner;
        let of_owner = move |v: &&Verdict| v.ingress == *owner && v.subject == subject;
        let own = verdicts.iter().filter(of_owner);
        own.filter_map(move |v| Some((v, v.value.strip_prefix(start)?)))
    };
    let mut found = Vec::new();
    let mut find = |verdict: &Verdict, reason: Reason, message: String| {
        found.push(Finding {
            ingress: verdict.ingress.clone(),
            effect: Effect::Degraded,
            reason,
            message,
        });
    };
    let mut targets = group.targets.clone();
    for (verdict, id) in about(TARGET_SUBJECT) {
        let before = targets.len();
        targets.retain(|target| target.id != id);
        if targets.len() < before {
            let message = format!(
                "target {id} of target group {key} is left out: AWS answered {} ({}); expected a \
                 target that it takes: mend or remove the node or pod; it is tried again from \
                 time to time",
                verdict.message, verdict.code
            );
            find(verdict, Reason::RefusedByAws, message);
        }
    }
    let mut most = about(TARGETS_SUBJECT).filter_map(|(v, count)| Some((v, count.parse().ok()?)));
    let latest: Option<(&Verdict, usize)> = most.next_back();
    if let Some((verdict, most)) = latest
        && targets.len() > most
    {
        let message = format!(
            "{} of the {} targets of target group {key} are left out: AWS allows {most}, and \
             answered {} ({}); expected room within the quota: raise it, use fewer targets, or \
             move Ingresses to another group; it is tried again from time to time",
            targets.len() - most,
            targets.len(),
            verdict.message,
            verdict.code
        );
        find(verdict, Reason::QuotaExceeded, message);
        targets = targets.into_iter().take(most).collect();
    }
    group.targets = targets;
    found
}

impl Stack {
    /// Who states a value of an annotation that went to AWS.
    pub fn origins_of<'a>(
        &'a self,
        subject: &'a str,
        value: &'a str,
    ) -> impl Iterator<Item = &'a Origin> {
        self.origins
            .iter()
            .filter(move |origin| origin.subject == subject && origin.value == value)
    }
}

/// The findings of the verdicts that still apply to an Ingress that states
/// these values.
pub(super) fn findings(origins: &[Origin], verdicts: &[Verdict]) -> Vec<Finding> {
    verdicts
        .iter()
        .filter(|verdict| {
            origins.iter().any(|origin| {
                origin.ingress == verdict.ingress
                    && origin.subject == verdict.subject
                    && origin.value == verdict.value
            })
        })
        .map(|verdict| Finding {
            ingress: verdict.ingress.clone(),
            effect: Effect::Frozen,
            reason: reason(&verdict.code),
            message: message(verdict),
        })
        .collect()
}

fn message(verdict: &Verdict) -> String {
    if verdict.code == NAME_TAKEN {
        return verdict.message.clone();
    }
    let what = if verdict.subject == SPEC_SUBJECT {
        let readable = verdict.value.split(DIGEST_MARK).next();
        format!("the {}", readable.unwrap_or_default())
    } else {
        format!(
            "{} of annotation {}{}",
            verdict.value,
            super::annotations::PREFIX,
            verdict.subject
        )
    };
    let remedy = if reason(&verdict.code) == Reason::QuotaExceeded {
        "expected room within the quota of the account: raise it, or remove what is no longer \
         needed, which"
    } else {
        "expected a value that AWS accepts: change it, or mend what it refers to, which"
    };
    format!(
        "AWS refused {what}: {} ({}); {remedy} is looked at again from time to time",
        verdict.message, verdict.code
    )
}

fn reason(code: &str) -> Reason {
    match code {
        NAME_TAKEN => Reason::NameTaken,
        "CertificateNotFound" | "UnsupportedCertificate" => Reason::CertificateNotFound,
        "SubnetNotFound" | "InvalidSubnet" | "InvalidSubnetID.NotFound" => Reason::SubnetsNotFound,
        "InvalidSecurityGroup" | "InvalidGroup.NotFound" | "InvalidGroupId.Malformed" => {
            Reason::SecurityGroupNotFound
        }
        code if code.starts_with("TooMany") || code.ends_with("LimitExceeded") => {
            Reason::QuotaExceeded
        }
        _ => Reason::RefusedByAws,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(subject: &str, value: &str, code: &str) -> Verdict {
        Verdict {
            ingress: ObjectName::new("shop", "web"),
            subject: subject.to_owned(),
            value: value.to_owned(),
            code: code.to_owned(),
            message: "no".to_owned(),
        }
    }

    fn origin(subject: &str, value: &str) -> Origin {
        Origin {
            ingress: ObjectName::new("shop", "web"),
            subject: subject.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn a_verdict_counts_while_its_value_is_stated() {
        let verdicts = [verdict("certificate-arn", "arn:1", "CertificateNotFound")];
        let found = findings(&[origin("certificate-arn", "arn:1")], &verdicts);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].reason, Reason::CertificateNotFound);
        assert_eq!(found[0].effect, Effect::Frozen);
        assert!(
            found[0]
                .message
                .contains("arn:1 of annotation alb.ingress.kubernetes.io/certificate-arn")
        );
        assert!(findings(&[origin("certificate-arn", "arn:2")], &verdicts).is_empty());
        assert!(findings(&[origin("ssl-policy", "arn:1")], &verdicts).is_empty());
    }

    #[test]
    fn found_subnets_are_refused_until_others_are_found() {
        let web = ObjectName::new("shop", "web");
        let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect();
        let refused = verdict(SUBNETS_SUBJECT, "subnet-1, subnet-2", "InvalidSubnet");
        let about = |found: &[&str]| {
            let found: BTreeSet<String> = ids(found);
            refused_subnets(
                &web,
                &found,
                Scheme::Internal,
                std::slice::from_ref(&refused),
            )
        };
        let finding = about(&["subnet-1", "subnet-2"]).map(|f| (f.reason, f.effect));
        assert_eq!(finding, Some((Reason::SubnetsNotFound, Effect::Frozen)));
        assert_eq!(about(&["subnet-1", "subnet-3"]), None);
    }

    #[test]
    fn codes_have_reasons() {
        assert_eq!(reason("InvalidSubnet"), Reason::SubnetsNotFound);
        assert_eq!(reason("TooManyTargetGroups"), Reason::QuotaExceeded);
        assert_eq!(reason(NAME_TAKEN), Reason::NameTaken);
        assert_eq!(reason("ValidationError"), Reason::RefusedByAws);
    }
}
