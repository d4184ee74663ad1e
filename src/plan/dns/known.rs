//! The groups that a controller knows, found by what owner records name.

use crate::model::group::GroupId;
use crate::model::map::Map;
use crate::model::ownership::record_resource;

/// Groups by the resource that the owner record of a host names; cheap to
/// clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnownGroups(Map<String, GroupId>);

impl KnownGroups {
    /// The group whose records name this resource.
    pub fn of(&self, resource: &str) -> Option<&GroupId> {
        self.0.get(resource)
    }

    /// Makes a group known; answers whether it was not.
    pub fn insert(&mut self, group: &GroupId) -> bool {
        let resource = record_resource(group);
        if self.0.contains_key(&resource) {
            return false;
        }
        self.0.insert(resource, group.clone());
        true
    }

    /// Forgets a group.
    pub fn remove(&mut self, group: &GroupId) {
        self.0.remove(&record_resource(group));
    }
}

impl Extend<GroupId> for KnownGroups {
    fn extend<I: IntoIterator<Item = GroupId>>(&mut self, groups: I) {
        for group in groups {
            self.insert(&group);
        }
    }
}

impl FromIterator<GroupId> for KnownGroups {
    fn from_iter<I: IntoIterator<Item = GroupId>>(groups: I) -> Self {
        let mut known = Self::default();
        known.extend(groups);
        known
    }
}
