//! What AWS refused earlier: who stated the value, and whether it still
//! counts.

use super::desired::{Origin, Stack};
use super::finding::{Effect, Finding, NAME_TAKEN, RULES_SUBJECT, Reason, Verdict};
use super::group::GroupId;
use super::names;
use super::spec::{ObjectName, Rule, TargetGroup};

/// Subject of what the spec and not one annotation asks for.
pub const SPEC_SUBJECT: &str = "spec";

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

/// How many rules the desired listeners may have in all, where AWS said so
/// about one of these members.
pub fn rule_limit(members: &[ObjectName], verdicts: &[Verdict]) -> Option<usize> {
    verdicts
        .iter()
        .filter(|verdict| verdict.subject == RULES_SUBJECT && members.contains(&verdict.ingress))
        .filter_map(|verdict| verdict.value.parse().ok())
        .min()
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
    fn codes_have_reasons() {
        assert_eq!(reason("InvalidSubnet"), Reason::SubnetsNotFound);
        assert_eq!(reason("TooManyTargetGroups"), Reason::QuotaExceeded);
        assert_eq!(reason(NAME_TAKEN), Reason::NameTaken);
        assert_eq!(reason("ValidationError"), Reason::RefusedByAws);
    }

    #[test]
    fn the_smallest_rule_limit_of_a_member_counts() {
        let verdicts = [
            verdict(RULES_SUBJECT, "100", "TooManyRules"),
            verdict(RULES_SUBJECT, "90", "TooManyRules"),
        ];
        let web = ObjectName::new("shop", "web");
        assert_eq!(rule_limit(&[web], &verdicts), Some(90));
        assert_eq!(rule_limit(&[], &verdicts), None);
    }
}
