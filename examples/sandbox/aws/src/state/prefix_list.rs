//! Managed prefix lists: a customer's own, and Amazon's.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::{
    Answer, Peer, Refusal, State,
    ec2_id::{Kind, combination},
    ids::Ids,
    route_table::Destination,
};

/// Account to which Amazon's own lists belong.
pub const AWS_OWNER: &str = "AWS";

/// The most entries that a list can be made for.
const MOST_ENTRIES: usize = 1000;

/// A managed prefix list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixList {
    /// `pl-…`.
    pub id: String,
    /// Name.
    pub name: String,
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// Entries that it can have; so many rules it counts for.
    pub max_entries: usize,
    /// Number of the present version.
    pub version: i64,
    /// Entries of all versions.
    pub versions: BTreeMap<i64, Vec<Entry>>,
    /// Account, or `AWS`.
    pub owner: String,
}

/// An entry of a prefix list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Range.
    pub range: IpNet,
    /// Free text.
    pub description: Option<String>,
}

/// What CreateManagedPrefixList asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewPrefixList {
    /// Name.
    pub name: String,
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// Entries that it can have.
    pub max_entries: i64,
    /// Entries as spelt, with descriptions.
    pub entries: Vec<(String, Option<String>)>,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

/// What ModifyManagedPrefixList changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrefixListChange {
    /// The version that the caller knows.
    pub current_version: Option<i64>,
    /// New name.
    pub name: Option<String>,
    /// Entries to add, or to describe anew.
    pub add: Vec<(String, Option<String>)>,
    /// Entries to remove.
    pub remove: Vec<String>,
    /// New size.
    pub max_entries: Option<i64>,
}

/// Amazon's lists: name, family, how many rules each counts for, ranges.
/// The names hold `REGION` where the region stands.
const AWS_LISTS: &[(&str, &str, usize, &[&str])] = &[
    (
        "com.amazonaws.REGION.s3",
        "IPv4",
        1,
        &["52.216.0.0/15", "54.231.0.0/16", "3.5.0.0/19"],
    ),
    (
        "com.amazonaws.REGION.dynamodb",
        "IPv4",
        1,
        &["52.94.0.0/22", "52.119.224.0/20"],
    ),
    (
        "com.amazonaws.global.cloudfront.origin-facing",
        "IPv4",
        55,
        &["13.124.199.0/24", "130.176.0.0/18", "205.251.249.0/24"],
    ),
    (
        "com.amazonaws.global.ipv6.cloudfront.origin-facing",
        "IPv6",
        55,
        &["2600:9000:1000::/36", "2600:9000:f000::/36"],
    ),
    (
        "com.amazonaws.REGION.route53-healthchecks",
        "IPv4",
        25,
        &["15.177.0.0/18", "54.183.255.128/26"],
    ),
    (
        "com.amazonaws.REGION.vpc-lattice",
        "IPv4",
        10,
        &["169.254.171.0/24"],
    ),
    (
        "com.amazonaws.REGION.ec2-instance-connect",
        "IPv4",
        2,
        &["18.206.107.24/29"],
    ),
];

/// Ids of Amazon's lists that are known to everybody.
const KNOWN_IDS: &[(&str, &str)] = &[
    ("com.amazonaws.us-east-1.s3", "pl-63a5400a"),
    ("com.amazonaws.us-east-1.dynamodb", "pl-02cd2c6b"),
    (
        "us-east-1/com.amazonaws.global.cloudfront.origin-facing",
        "pl-3b927c52",
    ),
];

/// The lists of Amazon in a region.
pub(super) fn aws_lists(region: &str) -> BTreeMap<String, PrefixList> {
    AWS_LISTS
        .iter()
        .map(|(name, family, weight, ranges)| {
            let name = name.replace("REGION", region);
            let id = id_in(region, &name);
            let entries: Vec<Entry> = ranges
                .iter()
                .filter_map(|text| text.parse().ok())
                .map(|range| Entry {
                    range,
                    description: None,
                })
                .collect();
            let list = PrefixList {
                id: id.clone(),
                name,
                family: (*family).to_owned(),
                max_entries: *weight,
                version: 1,
                versions: BTreeMap::from([(1, entries)]),
                owner: AWS_OWNER.to_owned(),
            };
            (id, list)
        })
        .collect()
}

/// The id of one of Amazon's lists, the same in every account.
fn id_in(region: &str, name: &str) -> String {
    let full = format!("{region}/{name}");
    let known = KNOWN_IDS
        .iter()
        .find(|(known, _)| *known == name || *known == full);
    if let Some((_, id)) = known {
        return (*id).to_owned();
    }
    let seed = full.bytes().fold(0_u64, |sum, byte| {
        sum.wrapping_mul(131).wrapping_add(u64::from(byte))
    });
    format!("pl-{}", Ids::new(seed).hex(8))
}

impl PrefixList {
    /// The present entries.
    pub fn entries(&self) -> &[Entry] {
        self.versions.get(&self.version).map_or(&[], Vec::as_slice)
    }

    fn parse(&self, text: &str) -> Answer<IpNet> {
        parse_entry(text, &self.family)
    }
}

fn parse_entry(text: &str, family: &str) -> Answer<IpNet> {
    let bad = |why: &str| {
        Refusal::parameter(format!(
            "The CIDR '{text}' of a prefix list entry is invalid: {why}"
        ))
    };
    let range: IpNet = text.parse().map_err(|_| bad("it is not a CIDR block"))?;
    let fits = match range {
        IpNet::V4(_) => family == "IPv4",
        IpNet::V6(_) => family == "IPv6",
    };
    if !fits {
        return Err(bad(&format!("the address family of the list is {family}")));
    }
    Ok(range.trunc())
}

fn check_name(name: &str) -> Answer<()> {
    if name.is_empty() || name.chars().count() > 255 || name.starts_with("com.amazonaws") {
        return Err(Refusal::parameter(format!(
            "Value ({name}) for parameter prefixListName is invalid. It must have 1 to 255 characters and cannot start with com.amazonaws."
        )));
    }
    Ok(())
}

fn check_description(text: Option<&String>) -> Answer<()> {
    if text.is_some_and(|text| text.chars().count() > 255) {
        return Err(Refusal::parameter(
            "The description of a prefix list entry has at most 255 characters",
        ));
    }
    Ok(())
}

fn check_size(size: i64) -> Answer<usize> {
    usize::try_from(size)
        .ok()
        .filter(|size| (1..=MOST_ENTRIES).contains(size))
        .ok_or_else(|| {
            Refusal::parameter(format!(
                "Value ({size}) for parameter maxEntries is invalid. It must be from 1 to {MOST_ENTRIES}."
            ))
        })
}

fn too_many_entries(id: &str) -> Refusal {
    Refusal::new(
        "PrefixListMaxEntriesExceeded",
        format!("The prefix list '{id}' cannot have more entries than its maximum."),
    )
}

fn version_mismatch(id: &str) -> Refusal {
    Refusal::new(
        "PrefixListVersionMismatch",
        format!("The prefix list '{id}' has the incorrect version number."),
    )
}

impl State {
    /// A prefix list by id, or `InvalidPrefixListID.NotFound`.
    pub fn prefix_list(&self, id: &str) -> Answer<&PrefixList> {
        Kind::PrefixList.find(&self.prefix_lists, id)
    }

    /// CreateManagedPrefixList; answers the id.
    pub fn create_prefix_list(&mut self, new: &NewPrefixList) -> Answer<String> {
        check_name(&new.name)?;
        if !matches!(new.family.as_str(), "IPv4" | "IPv6") {
            return Err(Refusal::parameter(format!(
                "Value ({}) for parameter addressFamily is invalid. Valid values: IPv4, IPv6.",
                new.family
            )));
        }
        let max_entries = check_size(new.max_entries)?;
        let mut entries: Vec<Entry> = Vec::new();
        for (text, description) in &new.entries {
            let range = parse_entry(text, &new.family)?;
            check_description(description.as_ref())?;
            if entries.iter().any(|entry| entry.range == range) {
                return Err(Refusal::parameter(format!(
                    "The CIDR '{text}' was specified more than once"
                )));
            }
            entries.push(Entry {
                range,
                description: description.clone(),
            });
        }
        if entries.len() > max_entries {
            return Err(too_many_entries(&new.name));
        }
        let own = self
            .prefix_lists
            .values()
            .filter(|list| list.owner != AWS_OWNER);
        if own.count() >= self.quotas.limit("prefix-lists") {
            return Err(Refusal::new(
                "PrefixListLimitExceeded",
                "The maximum number of prefix lists has been reached.",
            ));
        }
        let tags = self.checked_ec2_tags(&new.tags)?;
        let id = self.ids.ec2("pl");
        let list = PrefixList {
            id: id.clone(),
            name: new.name.clone(),
            family: new.family.clone(),
            max_entries,
            version: 1,
            versions: BTreeMap::from([(1, entries)]),
            owner: self.account.clone(),
        };
        self.prefix_lists.insert(id.clone(), list);
        self.tags.insert(id.clone(), tags);
        Ok(id)
    }

    /// A list of one's own, to change it.
    fn own_prefix_list(&self, id: &str) -> Answer<&PrefixList> {
        let list = self.prefix_list(id)?;
        if list.owner == AWS_OWNER {
            return Err(Refusal::new(
                "OperationNotPermitted",
                format!("The prefix list '{id}' is managed by AWS and cannot be changed."),
            ));
        }
        Ok(list)
    }

    /// ModifyManagedPrefixList: entries make a new version, a name or a size do not.
    pub fn modify_prefix_list(&mut self, id: &str, change: &PrefixListChange) -> Answer<()> {
        let list = self.own_prefix_list(id)?;
        let changes_entries = !change.add.is_empty() || !change.remove.is_empty();
        if let Some(name) = &change.name {
            check_name(name)?;
        }
        if changes_entries && change.max_entries.is_some() {
            return Err(combination(
                "The entries and the size of a prefix list cannot be modified at the same time",
            ));
        }
        if !changes_entries && change.max_entries.is_none() && change.name.is_none() {
            return Err(Refusal::new(
                "MissingParameter",
                "The request must contain at least one change",
            ));
        }
        if changes_entries && change.current_version.is_none() {
            return Err(Refusal::new(
                "MissingParameter",
                "The request must contain the parameter CurrentVersion",
            ));
        }
        if change
            .current_version
            .is_some_and(|known| known != list.version)
        {
            return Err(version_mismatch(id));
        }
        let size = match change.max_entries {
            Some(size) => check_size(size)?,
            None => list.max_entries,
        };
        let entries = changed_entries(list, change)?;
        if entries.len() > size {
            return Err(too_many_entries(id));
        }
        if size > list.max_entries {
            self.check_weight(id, size)?;
        }
        let list = Kind::PrefixList.find_mut(&mut self.prefix_lists, id)?;
        list.max_entries = size;
        if let Some(name) = &change.name {
            list.name.clone_from(name);
        }
        if changes_entries {
            list.version += 1;
            list.versions.insert(list.version, entries);
        }
        Ok(())
    }

    /// RestoreManagedPrefixListVersion: the entries of an older version make a new one.
    pub fn restore_prefix_list(&mut self, id: &str, previous: i64, current: i64) -> Answer<()> {
        let list = self.own_prefix_list(id)?;
        if list.version != current {
            return Err(version_mismatch(id));
        }
        let entries = list.versions.get(&previous).cloned().ok_or_else(|| {
            Refusal::parameter(format!("The prefix list '{id}' has no version {previous}."))
        })?;
        if entries.len() > list.max_entries {
            return Err(too_many_entries(id));
        }
        let list = Kind::PrefixList.find_mut(&mut self.prefix_lists, id)?;
        list.version += 1;
        list.versions.insert(list.version, entries);
        Ok(())
    }

    /// The entries of a version; of the present one if none is named.
    pub fn prefix_list_entries(&self, id: &str, version: Option<i64>) -> Answer<&[Entry]> {
        let list = self.prefix_list(id)?;
        let version = version.unwrap_or(list.version);
        list.versions
            .get(&version)
            .map(Vec::as_slice)
            .ok_or_else(|| {
                Refusal::parameter(format!("The prefix list '{id}' has no version {version}."))
            })
    }

    /// Ids of what names a prefix list: security groups and route tables.
    pub fn users_of_prefix_list(&self, id: &str) -> Vec<String> {
        let named = Peer::PrefixList(id.to_owned());
        let groups = self
            .security_groups
            .values()
            .filter(|group| group.rules.iter().any(|rule| rule.permission.peer == named))
            .map(|group| group.id.clone());
        let tables = self
            .route_tables
            .values()
            .filter(|table| {
                table
                    .routes
                    .iter()
                    .any(|route| route.destination == Destination::PrefixList(id.to_owned()))
            })
            .map(|table| table.id.clone());
        groups.chain(tables).collect()
    }

    /// DeleteManagedPrefixList: refused while a rule or a route names it.
    pub fn delete_prefix_list(&mut self, id: &str) -> Answer<()> {
        self.own_prefix_list(id)?;
        let users = self.users_of_prefix_list(id);
        if !users.is_empty() {
            return Err(Refusal::new(
                "DependencyViolation",
                format!(
                    "The prefix list '{id}' is in use by {} and cannot be deleted.",
                    users.join(", ")
                ),
            ));
        }
        self.prefix_lists.remove(id);
        self.tags.remove(id);
        Ok(())
    }
}

/// The entries after a change.
fn changed_entries(list: &PrefixList, change: &PrefixListChange) -> Answer<Vec<Entry>> {
    let mut entries = list.entries().to_vec();
    let mut removed = Vec::new();
    for text in &change.remove {
        let range = list.parse(text)?;
        if !entries.iter().any(|entry| entry.range == range) {
            return Err(Refusal::parameter(format!(
                "The prefix list '{}' has no entry '{text}'",
                list.id
            )));
        }
        entries.retain(|entry| entry.range != range);
        removed.push(range);
    }
    let mut added: Vec<IpNet> = Vec::new();
    for (text, description) in &change.add {
        let range = list.parse(text)?;
        check_description(description.as_ref())?;
        if added.contains(&range) || removed.contains(&range) {
            return Err(Refusal::parameter(format!(
                "The CIDR '{text}' was specified more than once"
            )));
        }
        added.push(range);
        // An entry that is there gets the new description.
        entries.retain(|entry| entry.range != range);
        entries.push(Entry {
            range,
            description: description.clone(),
        });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests;
