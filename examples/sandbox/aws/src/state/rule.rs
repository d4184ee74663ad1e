//! Rules: conditions, actions, transforms, priorities.

use ipnet::IpNet;

use super::{
    Answer, Listener, Refusal, State,
    action::{Action, NewAction, Site},
    arn,
    condition::{self, NewCondition},
    transform::{self, NewTransform, Transform},
};

/// A rule of a listener. Its priority is its key in the listener.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// `arn:…:listener-rule/app/NAME/LBID/LISTENERID/ID`.
    pub arn: String,
    /// All have to match.
    pub conditions: Vec<Condition>,
    /// In order; the last one answers.
    pub actions: Vec<Action>,
    /// At most one of each kind.
    pub transforms: Vec<Transform>,
}

/// A condition; one of its values has to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Host name patterns with `*` and `?`, compared without regard to letter case.
    HostHeader(Patterns),
    /// Path patterns with `*` and `?`, letter case counts.
    PathPattern(Patterns),
    /// Patterns for the values of one request header.
    HttpHeader {
        /// Header name, without regard to letter case.
        name: String,
        /// Value patterns, letter case does not count.
        patterns: Patterns,
    },
    /// Methods, compared exactly.
    HttpRequestMethod(Vec<String>),
    /// Query parameters; a pattern without key matches any key.
    QueryString(Vec<QueryPair>),
    /// Addresses of the client.
    SourceIp(Vec<IpNet>),
}

/// Either wildcard patterns or regular expressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Patterns {
    /// `*` is any text, `?` one character.
    Wildcards(Vec<String>),
    /// Regular expressions.
    Regexes(Vec<String>),
}

impl Patterns {
    /// The values, whatever they mean.
    pub fn values(&self) -> &[String] {
        match self {
            Self::Wildcards(values) | Self::Regexes(values) => values,
        }
    }
}

/// A query parameter to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryPair {
    /// Key pattern, if it matters.
    pub key: Option<String>,
    /// Value pattern.
    pub value: String,
}

/// What CreateRule asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewRule {
    /// Listener.
    pub listener_arn: String,
    /// 1 to 50000.
    pub priority: u32,
    /// Conditions.
    pub conditions: Vec<NewCondition>,
    /// Actions.
    pub actions: Vec<NewAction>,
    /// Transforms.
    pub transforms: Vec<NewTransform>,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

/// What ModifyRule asks for; what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuleChange {
    /// Conditions.
    pub conditions: Option<Vec<NewCondition>>,
    /// Actions.
    pub actions: Option<Vec<NewAction>>,
    /// Transforms.
    pub transforms: Option<Vec<NewTransform>>,
    /// Whether all transforms go.
    pub reset_transforms: bool,
}

impl State {
    /// A rule by ARN with its listener and priority, or `RuleNotFound`;
    /// the default rule is refused as `OperationNotPermitted`.
    pub fn rule(&self, arn: &str) -> Answer<(&Listener, u32, &Rule)> {
        let listener = self.listener_of_rule(arn)?;
        if listener.default_rule_arn == arn {
            return Err(Refusal::new(
                "OperationNotPermitted",
                format!("Default rule '{arn}' cannot be modified or deleted"),
            ));
        }
        listener
            .rules
            .iter()
            .find(|(_, rule)| rule.arn == arn)
            .map(|(priority, rule)| (listener, *priority, rule))
            .ok_or_else(|| not_found(arn))
    }

    /// The listener to which a rule ARN (also that of the default rule) leads.
    pub fn listener_of_rule(&self, arn: &str) -> Answer<&Listener> {
        if arn::kind(arn) != Some(arn::Kind::Rule) {
            return Err(Refusal::validation(format!(
                "'{arn}' is not a valid listener rule ARN"
            )));
        }
        arn::listener_of(arn)
            .and_then(|listener| self.listener(&listener).ok())
            .ok_or_else(|| not_found(arn))
    }

    /// Whether a rule exists, the default rule counted.
    pub(super) fn check_rule_exists(&self, arn: &str) -> Answer<()> {
        if self.listener_of_rule(arn)?.default_rule_arn == arn {
            return Ok(());
        }
        self.rule(arn).map(|_| ())
    }

    /// CreateRule: answers the ARN. A repeat is refused as `PriorityInUse`.
    pub fn create_rule(&mut self, new: &NewRule) -> Answer<String> {
        let listener = self.listener(&new.listener_arn)?;
        let balancer = self.load_balancer(&listener.load_balancer_arn)?;
        check_priority(new.priority)?;
        if arn::is_network(&listener.arn) {
            return Err(Refusal::new(
                "UnsupportedProtocol",
                format!(
                    "Rules are not supported by listeners with the protocol '{}'",
                    listener.protocol.as_str()
                ),
            ));
        }
        let conditions = condition::resolve(&new.conditions, &self.quotas)?;
        let site = Site {
            balancer,
            protocol: listener.protocol,
            port: listener.port,
            holder: None,
        };
        let actions = self.resolve_actions(&new.actions, site)?;
        let transforms = transform::resolve(&new.transforms)?;
        let tags = self.checked_tags(&new.tags)?;
        if listener.rules.contains_key(&new.priority) {
            return Err(in_use(new.priority));
        }
        let count: usize = balancer.listeners.values().map(|l| l.rules.len()).sum();
        if count >= self.quotas.limit("rules-per-application-load-balancer") {
            return Err(Refusal::new(
                "TooManyRules",
                format!(
                    "The maximum number of rules on load balancer {} has been reached",
                    balancer.arn
                ),
            ));
        }
        let base = listener.arn.replacen(":listener/", ":listener-rule/", 1);
        let arn = format!("{base}/{}", self.ids.hex(16));
        let rule = Rule {
            arn: arn.clone(),
            conditions,
            actions: actions.clone(),
            transforms,
        };
        self.listener_mut(&new.listener_arn)?
            .rules
            .insert(new.priority, rule);
        self.tags.insert(arn.clone(), tags);
        self.set_references(&arn, &[], &actions);
        Ok(arn)
    }

    /// ModifyRule: the lists that are given are replaced whole.
    pub fn modify_rule(&mut self, arn: &str, change: &RuleChange) -> Answer<()> {
        let (listener, priority, rule) = self.rule(arn)?;
        if change.reset_transforms && change.transforms.is_some() {
            return Err(Refusal::validation(
                "Transforms and ResetTransforms cannot be specified at the same time",
            ));
        }
        let site = Site {
            balancer: self.load_balancer(&listener.load_balancer_arn)?,
            protocol: listener.protocol,
            port: listener.port,
            holder: Some(arn),
        };
        let before = rule.actions.clone();
        let changed = Rule {
            arn: arn.to_owned(),
            conditions: match &change.conditions {
                Some(conditions) => condition::resolve(conditions, &self.quotas)?,
                None => rule.conditions.clone(),
            },
            actions: match &change.actions {
                Some(actions) => self.resolve_actions(actions, site)?,
                None => before.clone(),
            },
            transforms: match &change.transforms {
                Some(transforms) => transform::resolve(transforms)?,
                None if change.reset_transforms => Vec::new(),
                None => rule.transforms.clone(),
            },
        };
        let after = changed.actions.clone();
        let listener_arn = listener.arn.clone();
        self.listener_mut(&listener_arn)?
            .rules
            .insert(priority, changed);
        self.set_references(arn, &before, &after);
        Ok(())
    }

    /// SetRulePriorities: judged on the order that results, so that rules can
    /// change places in one call; all or nothing.
    pub fn set_rule_priorities(&mut self, priorities: &[(String, u32)]) -> Answer<()> {
        let Some((first, _)) = priorities.first() else {
            return Err(Refusal::validation(
                "At least one rule priority must be specified",
            ));
        };
        let listener_arn = self.rule(first)?.0.arn.clone();
        let mut rules = self.listener(&listener_arn)?.rules.clone();
        let mut moved: Vec<(u32, Rule)> = Vec::new();
        for (arn, priority) in priorities {
            let (listener, old, rule) = self.rule(arn)?;
            if listener.arn != listener_arn {
                return Err(Refusal::validation(
                    "The rules must all belong to the same listener",
                ));
            }
            check_priority(*priority)?;
            if moved
                .iter()
                .any(|(taken, other)| taken == priority || other.arn == *arn)
            {
                return Err(Refusal::validation(format!(
                    "The rule '{arn}' or the priority '{priority}' was specified more than once"
                )));
            }
            rules.remove(&old);
            moved.push((*priority, rule.clone()));
        }
        for (priority, rule) in moved {
            if rules.insert(priority, rule).is_some() {
                return Err(in_use(priority));
            }
        }
        self.listener_mut(&listener_arn)?.rules = rules;
        Ok(())
    }

    /// DeleteRule: one that is unknown is refused.
    pub fn delete_rule(&mut self, arn: &str) -> Answer<()> {
        let (listener, priority, rule) = self.rule(arn)?;
        let (listener_arn, actions) = (listener.arn.clone(), rule.actions.clone());
        self.listener_mut(&listener_arn)?.rules.remove(&priority);
        self.tags.remove(arn);
        self.set_references(arn, &actions, &[]);
        Ok(())
    }
}

fn check_priority(priority: u32) -> Answer<()> {
    if (1..=50_000).contains(&priority) {
        return Ok(());
    }
    Err(Refusal::validation(format!(
        "1 validation error detected: Value '{priority}' at 'priority' failed to satisfy constraint: Member must be between 1 and 50000"
    )))
}

fn in_use(priority: u32) -> Refusal {
    Refusal::new(
        "PriorityInUse",
        format!("Priority '{priority}' is currently in use"),
    )
}

fn not_found(arn: &str) -> Refusal {
    Refusal::new("RuleNotFound", format!("Rule '{arn}' not found"))
}
