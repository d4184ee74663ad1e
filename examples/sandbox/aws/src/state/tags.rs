//! Tags of every kind of resource, in one place, keyed by ARN or EC2 id.

use std::collections::BTreeMap;

/// The tags of one resource.
pub type Tags = BTreeMap<String, String>;
