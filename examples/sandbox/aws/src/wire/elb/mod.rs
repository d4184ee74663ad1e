//! Elastic Load Balancing, version 2: parameters in, answers out.

mod actions;
mod balancers;
mod capacity;
mod conditions;
mod groups;
mod health;
mod listeners;
mod policies;
mod rules;
mod shapes;
mod tags;
mod trust_stores;

use jiff::Timestamp;

use super::{
    page::{self, Page},
    params::Input,
    xml::Xml,
};
use crate::state::{Answer, Refusal, State};

/// Carries out an action; `None` when the service does not have it.
pub fn handle(
    action: &str,
    input: &Input,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Xml>> {
    balancers::handle(action, input, state, now)
        .or_else(|| listeners::handle(action, input, state))
        .or_else(|| rules::handle(action, input, state))
        .or_else(|| groups::handle(action, input, state))
        .or_else(|| health::handle(action, input, state, now))
        .or_else(|| tags::handle(action, input, state))
        .or_else(|| capacity::handle(action, input, state, now))
        .or_else(|| trust_stores::handle(action, input, state, now))
        .or_else(|| policies::handle(action, input, state))
}

/// What `Marker` and `PageSize` ask for.
struct Paging<'a> {
    input: &'a Input<'a>,
    paging: page::Paging,
}

impl<'a> Paging<'a> {
    /// Reads the two parameters; `default` is the size of a page that is not asked for.
    fn read(input: &'a Input<'a>, default: usize) -> Answer<Self> {
        let paging = page::Paging::read(input, "PageSize", "Marker", default)?;
        Ok(Self { input, paging })
    }

    fn cut<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        key: impl Fn(&T) -> String,
    ) -> Answer<Page<T>> {
        self.paging.cut(self.input, items, key)
    }
}

/// Refuses more ARNs than one describe call takes.
fn at_most_20(arns: &[String]) -> Answer<()> {
    if arns.len() > 20 {
        return Err(Refusal::validation(format!(
            "At most 20 ARNs can be specified in one call, got {}",
            arns.len()
        )));
    }
    Ok(())
}

/// An answer without content.
fn nothing(done: Answer<()>) -> Answer<Xml> {
    done.map(|()| Xml::default())
}
