//! Web ACLs of WAF Classic Regional and the change tokens that every write needs.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Answer, Refusal, State, regions::partition, web_acl::AssociatedAcl};

/// Everything that an account has in WAF Classic in one region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WafRegional {
    /// Web ACLs by id.
    pub web_acls: BTreeMap<String, ClassicWebAcl>,
    /// Change tokens, with when they were used.
    tokens: BTreeMap<String, Option<Timestamp>>,
}

/// A web ACL of WAF Classic. It has no rules, since none can be made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicWebAcl {
    /// A UUID.
    pub id: String,
    /// Name; need not be unique.
    pub name: String,
    /// Letters and digits.
    pub metric_name: String,
    /// `ALLOW`, `BLOCK` or `COUNT`.
    pub default_action: String,
    /// When it was made.
    pub created: Timestamp,
}

/// How far a change has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeTokenStatus {
    /// Not used yet.
    Provisioned,
    /// Used a moment ago.
    Pending,
    /// Known everywhere.
    Insync,
}

impl ChangeTokenStatus {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioned => "PROVISIONED",
            Self::Pending => "PENDING",
            Self::Insync => "INSYNC",
        }
    }
}

/// What CreateWebACL of WAF Classic asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewClassicWebAcl {
    /// Name.
    pub name: String,
    /// Metric name.
    pub metric_name: String,
    /// `ALLOW`, `BLOCK` or `COUNT`.
    pub default_action: String,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

/// A change to the rules of a web ACL, of which only the rule matters: there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleChange {
    /// The rule that is put in or taken out.
    pub rule_id: String,
}

impl State {
    /// GetChangeToken: the same until it is used.
    pub fn change_token(&mut self) -> String {
        let tokens = &self.waf_regional.tokens;
        if let Some((unused, _)) = tokens.iter().find(|(_, used)| used.is_none()) {
            return unused.clone();
        }
        let token = self.ids.uuid();
        self.waf_regional.tokens.insert(token.clone(), None);
        token
    }

    /// GetChangeTokenStatus.
    pub fn change_token_status(&self, token: &str, now: Timestamp) -> Answer<ChangeTokenStatus> {
        let used = self
            .waf_regional
            .tokens
            .get(token)
            .ok_or_else(nonexistent)?;
        let lag = i64::try_from(self.timing.insync_ms).unwrap_or(i64::MAX);
        Ok(match used {
            None => ChangeTokenStatus::Provisioned,
            Some(at) if now.duration_since(*at) < SignedDuration::from_millis(lag) => {
                ChangeTokenStatus::Pending
            }
            Some(_) => ChangeTokenStatus::Insync,
        })
    }

    /// CreateWebACL of WAF Classic; answers the id.
    pub fn create_classic_web_acl(
        &mut self,
        new: NewClassicWebAcl,
        token: &str,
        now: Timestamp,
    ) -> Answer<&ClassicWebAcl> {
        self.check_token(token)?;
        if matches!(new.metric_name.as_str(), "All" | "Default_Action") {
            return Err(Refusal::new(
                "WAFDisallowedNameException",
                "The name specified is invalid.",
            ));
        }
        let plain = new.metric_name.bytes().all(|b| b.is_ascii_alphanumeric());
        if !plain || new.metric_name.is_empty() {
            return Err(invalid("MetricName", &new.metric_name));
        }
        let tags = self.checked_waf_tags(&new.tags)?;
        if self.waf_regional.web_acls.len() >= self.quotas.limit("waf-classic-web-acls") {
            return Err(Refusal::new(
                "WAFLimitsExceededException",
                "Operation would result in exceeding resource limits.",
            ));
        }
        self.use_token(token, now);
        let id = self.ids.uuid();
        let arn = self.classic_web_acl_arn(&id);
        self.tags.insert(arn, tags);
        let acl = ClassicWebAcl {
            id: id.clone(),
            name: new.name,
            metric_name: new.metric_name,
            default_action: new.default_action,
            created: now,
        };
        Ok(self.waf_regional.web_acls.entry(id).or_insert(acl))
    }

    /// A web ACL of WAF Classic by id.
    pub fn classic_web_acl(&self, id: &str) -> Answer<&ClassicWebAcl> {
        self.waf_regional.web_acls.get(id).ok_or_else(nonexistent)
    }

    /// UpdateWebACL of WAF Classic: the default action can change; a rule that
    /// is named does not exist.
    pub fn update_classic_web_acl(
        &mut self,
        id: &str,
        default_action: Option<String>,
        rules: &[RuleChange],
        token: &str,
        now: Timestamp,
    ) -> Answer<()> {
        self.check_token(token)?;
        if !self.waf_regional.web_acls.contains_key(id) {
            if rules.is_empty() {
                return Err(nonexistent());
            }
            return Err(Refusal::new(
                "WAFNonexistentContainerException",
                "The referenced container does not exist.",
            ));
        }
        if !rules.is_empty() {
            return Err(nonexistent());
        }
        self.use_token(token, now);
        if let (Some(acl), Some(action)) = (self.waf_regional.web_acls.get_mut(id), default_action)
        {
            acl.default_action = action;
        }
        Ok(())
    }

    /// DeleteWebACL of WAF Classic: refused while it is associated.
    pub fn delete_classic_web_acl(&mut self, id: &str, token: &str, now: Timestamp) -> Answer<()> {
        self.check_token(token)?;
        self.classic_web_acl(id)?;
        if !self
            .resources_of_acl(&AssociatedAcl::Classic(id.to_owned()))
            .is_empty()
        {
            return Err(Refusal::new(
                "WAFReferencedItemException",
                "This entity is still referenced by other entities.",
            ));
        }
        self.use_token(token, now);
        self.waf_regional.web_acls.remove(id);
        let arn = self.classic_web_acl_arn(id);
        self.tags.remove(&arn);
        Ok(())
    }

    /// AssociateWebACL of WAF Classic: takes the place of another web ACL,
    /// also of one of WAFv2.
    pub fn associate_classic_web_acl(&mut self, id: &str, resource: &str) -> Answer<()> {
        self.classic_web_acl(id)?;
        self.check_associable_classic(resource)?;
        self.associate(resource, AssociatedAcl::Classic(id.to_owned()))
    }

    /// DisassociateWebACL of WAF Classic: without an association nothing happens.
    pub fn disassociate_classic_web_acl(&mut self, resource: &str) -> Answer<()> {
        self.check_associable_classic(resource)?;
        if matches!(
            self.web_acl_associations.get(resource),
            Some(AssociatedAcl::Classic(_))
        ) {
            self.web_acl_associations.remove(resource);
        }
        Ok(())
    }

    /// GetWebACLForResource of WAF Classic: `None` when there is none.
    pub fn classic_web_acl_of(&self, resource: &str) -> Answer<Option<&ClassicWebAcl>> {
        self.check_associable_classic(resource)?;
        Ok(match self.web_acl_associations.get(resource) {
            Some(AssociatedAcl::Classic(id)) => self.waf_regional.web_acls.get(id),
            _ => None,
        })
    }

    /// ListResourcesForWebACL of WAF Classic.
    pub fn resources_of_classic_web_acl(
        &self,
        id: &str,
        kind: Option<&str>,
    ) -> Answer<Vec<String>> {
        self.classic_web_acl(id)?;
        if kind == Some("API_GATEWAY") {
            return Ok(Vec::new());
        }
        Ok(self.resources_of_acl(&AssociatedAcl::Classic(id.to_owned())))
    }

    /// `arn:aws:waf-regional:REGION:ACCOUNT:webacl/ID`.
    pub fn classic_web_acl_arn(&self, id: &str) -> String {
        format!(
            "arn:{}:waf-regional:{}:{}:webacl/{id}",
            partition(&self.region),
            self.region,
            self.account
        )
    }

    /// The web ACL of WAF Classic that an ARN names.
    pub(super) fn classic_web_acl_of_arn(&self, arn: &str) -> Option<&ClassicWebAcl> {
        let id = arn.rsplit('/').next()?;
        let acl = self.waf_regional.web_acls.get(id)?;
        (self.classic_web_acl_arn(id) == arn).then_some(acl)
    }

    fn check_associable_classic(&self, resource: &str) -> Answer<()> {
        self.check_associable(resource).map_err(|refusal| {
            if refusal.code == "WAFNonexistentItemException" {
                nonexistent()
            } else {
                invalid("ResourceArn", resource)
            }
        })
    }

    fn check_token(&self, token: &str) -> Answer<()> {
        match self.waf_regional.tokens.get(token) {
            Some(None) => Ok(()),
            _ => Err(Refusal::new(
                "WAFStaleDataException",
                "The input token is no longer current.",
            )),
        }
    }

    fn use_token(&mut self, token: &str, now: Timestamp) {
        self.waf_regional.tokens.insert(token.to_owned(), Some(now));
    }
}

pub(super) fn nonexistent() -> Refusal {
    Refusal::new(
        "WAFNonexistentItemException",
        "The referenced item does not exist.",
    )
}

fn invalid(field: &str, value: &str) -> Refusal {
    Refusal::new(
        "WAFInvalidParameterException",
        format!("The value '{value}' of {field} is not valid."),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Timing;
    use super::*;

    fn new(name: &str) -> NewClassicWebAcl {
        NewClassicWebAcl {
            name: name.to_owned(),
            metric_name: "metric".to_owned(),
            default_action: "ALLOW".to_owned(),
            tags: Vec::new(),
        }
    }

    #[test]
    fn a_token_serves_one_change() {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let now = Timestamp::UNIX_EPOCH;
        let token = state.change_token();
        assert_eq!(state.change_token(), token);
        assert_eq!(
            state.change_token_status(&token, now),
            Ok(ChangeTokenStatus::Provisioned)
        );
        let id = state
            .create_classic_web_acl(new("a"), &token, now)
            .unwrap()
            .id
            .clone();
        assert_eq!(
            state.change_token_status(&token, now),
            Ok(ChangeTokenStatus::Pending)
        );
        let later = now + SignedDuration::from_secs(120);
        assert_eq!(
            state.change_token_status(&token, later),
            Ok(ChangeTokenStatus::Insync)
        );
        for spent in [token.as_str(), "invented"] {
            let refusal = state.delete_classic_web_acl(&id, spent, now).unwrap_err();
            assert_eq!(refusal.code, "WAFStaleDataException");
        }
        let token = state.change_token();
        let mut reserved = new("b");
        reserved.metric_name = "All".to_owned();
        let refusal = state
            .create_classic_web_acl(reserved, &token, now)
            .unwrap_err();
        assert_eq!(refusal.code, "WAFDisallowedNameException");
        // A refused change leaves the token as it was.
        state.delete_classic_web_acl(&id, &token, now).unwrap();
    }
}
