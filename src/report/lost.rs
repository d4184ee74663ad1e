//! Ingresses that are in no group, shown as groups of one all the same: people
//! look there for what is not served.

use std::collections::BTreeMap;

use super::{Error, IngressGroupStatus, Reporter};
use crate::model::finding::Finding;
use crate::model::group::GroupId;

impl Reporter {
    /// Shows Ingresses that are in no group, each under the group that it
    /// would have alone; one that is lost no more vanishes, unless that group
    /// is one by now (`is_group`) and shows itself. Answers the number of
    /// writes.
    pub async fn publish_lost(
        &self,
        lost: &BTreeMap<GroupId, &Finding>,
        is_group: impl Fn(&GroupId) -> bool,
    ) -> Result<usize, Error> {
        let mut writes = 0;
        for (group, finding) in lost {
            self.memory().lost.insert(group.clone());
            let status = IngressGroupStatus::of_lost(finding);
            writes += self.show(group, status).await;
        }
        let shown = self.memory().lost.clone();
        for group in shown.iter().filter(|group| !lost.contains_key(group)) {
            if !is_group(group) {
                writes += self.delete_resource(group).await?;
                self.memory().groups.remove(group);
            }
            self.memory().lost.remove(group);
        }
        Ok(writes)
    }
}
