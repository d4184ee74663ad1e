//! What the parts of the model read from.

use std::cell::OnceCell;

use super::facts::Facts;
use super::group::GroupId;
use super::settings::Settings;
use super::snapshot::Snapshot;
use super::targets::Nodes;

/// The inputs of one group's desired state.
pub(super) struct Context<'a> {
    pub group: &'a GroupId,
    pub snapshot: &'a Snapshot,
    pub facts: &'a Facts,
    pub settings: &'a Settings,
    nodes: OnceCell<Nodes>,
}

impl<'a> Context<'a> {
    /// For one group.
    pub fn new(
        group: &'a GroupId,
        snapshot: &'a Snapshot,
        facts: &'a Facts,
        settings: &'a Settings,
    ) -> Self {
        Self {
            group,
            snapshot,
            facts,
            settings,
            nodes: OnceCell::new(),
        }
    }

    /// The nodes that may be targets, looked at once and only when needed.
    pub fn nodes(&self) -> &Nodes {
        self.nodes.get_or_init(|| Nodes::of(self.snapshot))
    }
}
