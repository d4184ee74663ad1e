//! Eventual consistency: what a call finds that follows too soon on another.
//!
//! Each rule is named after what precedes, has a time and a probability, and
//! can be switched on by itself. A call that meets a rule leaves a piece of
//! news, which hides for a while what the call did. Calls that follow are
//! answered by the state as it was without it, so that the codes are those of
//! the operations themselves. Source: the aws reference, section 3.7.

mod news;
mod served;
mod veil;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Answer, Listener, RecordKey, RecordSet, Refusal, State, Tags, TargetKey, security_group,
    target_group, waf_regional, wafv2,
};

pub use self::veil::Veil;

/// A rule, by what precedes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lag {
    /// CreateLoadBalancer: it is not found.
    CreateLoadBalancer,
    /// CreateTargetGroup: it is not found.
    CreateTargetGroup,
    /// CreateListener: it is not found.
    CreateListener,
    /// CreateSecurityGroup: it is not found.
    CreateSecurityGroup,
    /// The last rule, listener or load balancer that named a target group went
    /// or was changed: DeleteTargetGroup finds it in use.
    ReleaseTargetGroup,
    /// DeleteRule: CreateRule still counts it.
    DeleteRule,
    /// A load balancer with a security group went or got others:
    /// DeleteSecurityGroup finds the group in use.
    ReleaseSecurityGroup,
    /// AuthorizeSecurityGroupIngress and …Egress: reads lack the rule.
    AuthorizeSecurityGroup,
    /// RegisterTargets: reads lack the target.
    RegisterTargets,
    /// Any change of tags: reads have the old ones.
    ChangeTags,
    /// ImportCertificate and the end of a validation: Elastic Load Balancing
    /// does not find the certificate, or finds it not issued.
    IssueCertificate,
    /// RequestCertificate: reads lack the records that prove the names.
    RequestCertificate,
    /// CreateLoadBalancer and CreateWebACL: AssociateWebACL does not know it.
    AssociateWebAcl,
    /// CreateLoadBalancer: ChangeResourceRecordSets does not find the name for an
    /// alias.
    AliasLoadBalancer,
    /// Any change of a listener, its rules and its certificates: the nodes of
    /// the load balancer act as before.
    ChangeListener,
    /// A key or role that is known gets another policy, secret or trust: it is
    /// judged as before.
    ChangePolicy,
    /// ChangeResourceRecordSets: DNS answers as before, at most until the
    /// change is in sync.
    ChangeRecords,
    /// DNS has answered: it answers the same again until the records have lived
    /// their time, as the resolvers between do, but no longer than this.
    ResolverCache,
}

/// How a rule is set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// How long the symptom lasts, in milliseconds; `scale` and `spread` of the
    /// timing apply.
    pub ms: u64,
    /// How often a call meets the rule, from 0 to 1.
    #[serde(default = "always")]
    pub probability: f64,
}

fn always() -> f64 {
    1.0
}

/// The rules that are switched on.
pub type Settings = BTreeMap<Lag, Setting>;

/// All rules as AWS has them. Times and frequencies are guesses around what was
/// seen.
const REAL: [(Lag, u64, f64); 18] = [
    (Lag::CreateLoadBalancer, 2_000, 0.1),
    (Lag::CreateTargetGroup, 2_000, 0.3),
    (Lag::CreateListener, 8_000, 0.3),
    (Lag::CreateSecurityGroup, 2_000, 0.1),
    (Lag::ReleaseTargetGroup, 10_000, 0.5),
    (Lag::DeleteRule, 3_000, 0.5),
    (Lag::ReleaseSecurityGroup, 90_000, 1.0),
    (Lag::AuthorizeSecurityGroup, 2_000, 0.5),
    (Lag::RegisterTargets, 10_000, 0.5),
    (Lag::ChangeTags, 5_000, 0.5),
    (Lag::IssueCertificate, 25_000, 1.0),
    (Lag::RequestCertificate, 12_000, 1.0),
    (Lag::AssociateWebAcl, 30_000, 1.0),
    (Lag::AliasLoadBalancer, 10_000, 0.5),
    (Lag::ChangeListener, 3_000, 1.0),
    (Lag::ChangePolicy, 20_000, 0.5),
    (Lag::ChangeRecords, 30_000, 0.5),
    (Lag::ResolverCache, 60_000, 1.0),
];

/// Every rule, set as AWS has it.
pub fn real() -> Settings {
    let all = REAL.into_iter();
    all.map(|(lag, ms, probability)| (lag, Setting { ms, probability }))
        .collect()
}

impl Setting {
    /// Says what is wrong with it, for people.
    ///
    /// # Errors
    /// The probability is none.
    pub fn check(&self) -> Result<(), String> {
        if (0.0..=1.0).contains(&self.probability) {
            Ok(())
        } else {
            Err("the probability of a lag has to be from 0 to 1".to_owned())
        }
    }
}

/// The rules in force and what they hide at present.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lags {
    /// The rules that are switched on.
    pub settings: Settings,
    news: Vec<News>,
}

/// A call as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<'a> {
    service: &'a str,
    action: &'a str,
    /// Whether it only asks.
    reads: bool,
    dry: bool,
    /// Texts among the parameters, also without what is before their last slash.
    names: BTreeSet<&'a str>,
}

/// Something that can be hidden.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    /// By ARN.
    LoadBalancer(String),
    /// By ARN.
    TargetGroup(String),
    /// By ARN.
    Listener(String),
    /// By id.
    SecurityGroup(String),
    /// By the ids of its group and of itself.
    Rule(String, String),
    /// By the ARN of its group.
    Target(String, TargetKey),
    /// By ARN.
    Certificate(String),
    /// By the ARN of WAFv2 or the id of WAF Classic.
    WebAcl(String),
}

/// What is hidden until a time.
#[derive(Debug, Clone, PartialEq)]
struct News {
    until: Timestamp,
    hidden: Hidden,
}

#[derive(Debug, Clone, PartialEq)]
enum Hidden {
    /// That something is there.
    Presence(Thing),
    /// That a certificate is issued, from Elastic Load Balancing.
    Issue(String),
    /// How the names of a certificate are proven.
    Records(String),
    /// That a target group or security group is free.
    Release(String),
    /// That a load balancer has a rule less.
    RuleGone(String),
    /// The present tags; the old ones are shown.
    Tags(String, Tags),
    /// A change of a listener, by ARN, from the nodes of its load balancer; how
    /// it was before, if it was there.
    Listener {
        arn: String,
        earlier: Option<Box<Listener>>,
    },
    /// A change of a record of a zone, from the name servers; how it was before,
    /// if it was there.
    Record {
        zone: String,
        key: RecordKey,
        earlier: Option<Box<RecordSet>>,
    },
    /// A load balancer, by ARN, from aliases.
    Name(String),
    /// A load balancer or web ACL, from AssociateWebACL; whether it is said not
    /// to exist, or not to be available.
    Associable { id: String, absent: bool },
}

impl<'a> Call<'a> {
    /// A call by the name of its service in signatures, its action and its
    /// parameters; `reads` when it only asks.
    pub fn new(service: &'a str, action: &'a str, parameters: &'a Value, reads: bool) -> Self {
        let mut names = BTreeSet::new();
        collect(parameters, &mut names);
        Self {
            service,
            action,
            reads,
            dry: parameters.get("DryRun").and_then(Value::as_bool) == Some(true),
            names,
        }
    }

    fn names(&self, id: &str) -> bool {
        self.names.contains(id)
    }
}

fn collect<'a>(value: &'a Value, names: &mut BTreeSet<&'a str>) {
    match value {
        Value::String(text) => {
            names.insert(text);
            if let Some((_, last)) = text.rsplit_once('/') {
                names.insert(last);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        Value::Object(members) => members.values().for_each(|member| collect(member, names)),
        _ => {}
    }
}

impl Lags {
    /// Whether there is nothing to look at.
    pub fn are_off(&self) -> bool {
        self.settings.is_empty() && self.news.is_empty()
    }

    /// Whether an alias cannot lead to a load balancer yet.
    pub(super) fn hide_name(&self, balancer: &str) -> bool {
        let mut news = self.news.iter();
        news.any(|news| matches!(&news.hidden, Hidden::Name(arn) if arn == balancer))
    }

    /// Forgets what everybody knows by now.
    pub(super) fn pass(&mut self, now: Timestamp) {
        self.news.retain(|news| news.until > now);
    }
}

impl State {
    /// Carries a call out by the rules of eventual consistency. `carry_out` is
    /// used on a copy of the state for a change that names what cannot be found
    /// yet, so that nothing but its refusal stays.
    pub fn with_lags<T, C>(
        &mut self,
        call: &Call,
        now: Timestamp,
        mut carry_out: C,
    ) -> Option<Answer<T>>
    where
        C: FnMut(&mut Self) -> Option<Answer<T>>,
    {
        self.lags.pass(now);
        if let Some(refusal) = self.lagging_refusal(call) {
            return Some(Err(refusal));
        }
        if call.reads {
            let veil = self.veil(call);
            let answered = carry_out(self);
            self.lift(veil);
            return answered;
        }
        // What counts as done when the thing is absent is done to the thing.
        if !call.action.starts_with("Delete") && self.names_hidden(call) {
            let mut earlier = self.clone();
            let _ = earlier.veil(call);
            if let Some(Err(refusal)) = carry_out(&mut earlier) {
                return Some(Err(refusal));
            }
        }
        let before = self.before(call);
        let known = self.known(call);
        let quota = self.count_deleted_rules(call);
        let answered = carry_out(self);
        self.lift(quota);
        if matches!(answered, Some(Ok(_))) {
            self.note_call(call, &before, now);
            self.note_served(call, known, now);
        }
        answered
    }

    /// The refusal of a call that follows too soon, where the state as it was
    /// does not give it by itself.
    fn lagging_refusal(&self, call: &Call) -> Option<Refusal> {
        if call.reads || call.dry {
            return None;
        }
        self.lags.news.iter().find_map(|news| match &news.hidden {
            Hidden::Release(id) if call.names(id) => match call.action {
                "DeleteTargetGroup" if self.target_groups.contains_key(id) => {
                    Some(target_group::in_use(id))
                }
                "DeleteSecurityGroup" if self.security_groups.contains_key(id) => {
                    Some(security_group::has_dependents(id))
                }
                _ => None,
            },
            Hidden::Associable { id, absent }
                if call.action == "AssociateWebACL" && call.names(id) =>
            {
                let classic = call.service == "waf-regional";
                Some(match (classic, absent) {
                    (false, true) => wafv2::nonexistent(),
                    (true, true) => waf_regional::nonexistent(),
                    (_, false) => wafv2::unavailable(),
                })
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests;
