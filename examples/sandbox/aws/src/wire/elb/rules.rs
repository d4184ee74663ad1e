//! Operations on rules.

use super::{Paging, actions, conditions, nothing};
use crate::{
    state::{
        Action, Answer, Condition, Listener, Refusal, Rule, State, Transform,
        rule::{NewRule, RuleChange},
    },
    wire::{params::Input, xml::Xml},
};

pub fn handle(action: &str, input: &Input, state: &mut State) -> Option<Answer<Xml>> {
    Some(match action {
        "CreateRule" => create(input, state),
        "DescribeRules" => describe(input, state),
        "ModifyRule" => modify(input, state),
        "SetRulePriorities" => set_priorities(input, state),
        "DeleteRule" => delete(input, state),
        _ => return None,
    })
}

/// A rule as it is answered; the default rule has priority 0 here.
struct Shown<'a> {
    arn: &'a str,
    priority: u32,
    conditions: &'a [Condition],
    actions: &'a [Action],
    transforms: &'a [Transform],
}

impl<'a> Shown<'a> {
    fn of(priority: u32, rule: &'a Rule) -> Self {
        Self {
            arn: &rule.arn,
            priority,
            conditions: &rule.conditions,
            actions: &rule.actions,
            transforms: &rule.transforms,
        }
    }

    fn default_of(listener: &'a Listener) -> Self {
        Self {
            arn: &listener.default_rule_arn,
            priority: 0,
            conditions: &[],
            actions: &listener.default_actions,
            transforms: &[],
        }
    }

    fn all_of(listener: &'a Listener) -> Vec<Self> {
        let rules = listener
            .rules
            .iter()
            .map(|(priority, rule)| Self::of(*priority, rule));
        rules.chain([Self::default_of(listener)]).collect()
    }

    /// The place in a listing: by priority, the default rule last.
    fn key(&self) -> String {
        let place = if self.priority == 0 {
            99_999
        } else {
            self.priority
        };
        format!("{place:05}")
    }

    fn write(&self, xml: &mut Xml) {
        xml.leaf("RuleArn", self.arn);
        if self.priority == 0 {
            xml.leaf("Priority", "default");
        } else {
            xml.leaf("Priority", self.priority);
        }
        conditions::write(xml, self.conditions);
        actions::write(xml, "Actions", self.actions);
        xml.leaf("IsDefault", self.priority == 0);
        if !self.transforms.is_empty() {
            conditions::write_transforms(xml, self.transforms);
        }
    }
}

fn answer<'a>(rules: impl IntoIterator<Item = Shown<'a>>) -> Xml {
    let mut xml = Xml::default();
    xml.list("Rules", "member", rules, |xml, rule| rule.write(xml));
    xml
}

fn create(input: &Input, state: &mut State) -> Answer<Xml> {
    let new = NewRule {
        listener_arn: input.need("ListenerArn")?,
        priority: input.need_number("Priority")?,
        conditions: conditions::read(input)?,
        actions: actions::read(input, "Actions")?,
        transforms: conditions::read_transforms(input)?,
        tags: input.pairs("Tags")?,
    };
    input.done()?;
    let arn = state.create_rule(&new)?;
    let (_, priority, rule) = state.rule(&arn)?;
    Ok(answer([Shown::of(priority, rule)]))
}

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    let listener = input.text("ListenerArn");
    let arns = input.texts("RuleArns");
    let paging = Paging::read(input, 100)?;
    input.done()?;
    let mut rules =
        match (&listener, arns.is_empty()) {
            (Some(arn), true) => Shown::all_of(state.listener(arn)?),
            (None, false) => {
                let mut rules = Vec::new();
                for arn in &arns {
                    let listener = state.listener_of_rule(arn)?;
                    let found = Shown::all_of(listener)
                        .into_iter()
                        .find(|rule| rule.arn == arn);
                    rules.push(found.ok_or_else(|| {
                        Refusal::new("RuleNotFound", "One or more rules not found")
                    })?);
                }
                rules
            }
            _ => {
                return Err(Refusal::validation(
                    "You must specify either listener rule ARNs or a listener ARN",
                ));
            }
        };
    let by_arn = listener.is_none();
    let key = |rule: &Shown| {
        if by_arn {
            rule.arn.to_owned()
        } else {
            rule.key()
        }
    };
    rules.sort_by_key(&key);
    let page = paging.cut(rules, key)?;
    let mut xml = answer(page.items);
    xml.maybe("NextMarker", page.next);
    Ok(xml)
}

fn modify(input: &Input, state: &mut State) -> Answer<Xml> {
    let arn = input.need("RuleArn")?;
    let change = RuleChange {
        conditions: if input.has("Conditions") {
            Some(conditions::read(input)?)
        } else {
            None
        },
        actions: if input.has("Actions") {
            Some(actions::read(input, "Actions")?)
        } else {
            None
        },
        transforms: if input.has("Transforms") {
            Some(conditions::read_transforms(input)?)
        } else {
            None
        },
        reset_transforms: input.flag("ResetTransforms")?.unwrap_or(false),
    };
    input.done()?;
    state.modify_rule(&arn, &change)?;
    let (_, priority, rule) = state.rule(&arn)?;
    Ok(answer([Shown::of(priority, rule)]))
}

fn set_priorities(input: &Input, state: &mut State) -> Answer<Xml> {
    let mut priorities = Vec::new();
    for part in input.list("RulePriorities") {
        priorities.push((part.need("RuleArn")?, part.need_number("Priority")?));
    }
    input.done()?;
    state.set_rule_priorities(&priorities)?;
    let mut rules = Vec::new();
    for (arn, _) in &priorities {
        let (_, priority, rule) = state.rule(arn)?;
        rules.push(Shown::of(priority, rule));
    }
    Ok(answer(rules))
}

fn delete(input: &Input, state: &mut State) -> Answer<Xml> {
    let arn = input.need("RuleArn")?;
    input.done()?;
    nothing(state.delete_rule(&arn))
}
