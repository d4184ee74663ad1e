//! Which security groups a load balancer has, and what the managed one lets
//! in.

use std::collections::BTreeSet;

use super::facts::Facts;
use super::group::GroupId;
use super::names;
use super::ownership::{self, FRONTEND_DESCRIPTION, FRONTEND_RESOURCE};
use super::settings::Settings;
use super::spec::{Permission, SecurityGroup, Source, Tags};

/// Everybody, over IPv4.
const ANYWHERE: &str = "0.0.0.0/0";

/// The security groups that an annotation names by id or by their tag `Name`.
/// `Err` says which are missing.
pub(super) fn given(names: &[String], facts: &Facts) -> Result<BTreeSet<String>, String> {
    let mut ids = BTreeSet::new();
    let mut missing = Vec::new();
    for name in names {
        let found: Vec<&String> = if name.starts_with("sg-") {
            let known = facts.security_groups.contains_key(name);
            known.then_some(name).into_iter().collect()
        } else {
            facts
                .security_groups
                .iter()
                .filter(|(_, group)| group.tags.get("Name") == Some(name))
                .map(|(id, _)| id)
                .collect()
        };
        if found.is_empty() {
            missing.push(name.as_str());
        }
        ids.extend(found.into_iter().cloned());
    }
    if missing.is_empty() {
        Ok(ids)
    } else {
        Err(format!(
            "the VPC has no security group {}: expected ids (sg-...) or values of the tag Name of \
             security groups in the VPC",
            missing.join(", ")
        ))
    }
}

/// The managed frontend security group: everybody may reach every listener.
pub(super) fn frontend(
    group: &GroupId,
    ports: impl Iterator<Item = u16>,
    annotated: &Tags,
    settings: &Settings,
) -> SecurityGroup {
    SecurityGroup {
        name: names::frontend_security_group(&settings.cluster_name, group),
        description: FRONTEND_DESCRIPTION.to_owned(),
        tags: ownership::tags(
            &settings.cluster_name,
            group,
            FRONTEND_RESOURCE,
            &settings.default_tags,
            annotated,
        ),
        ingress: ports
            .map(|port| Permission {
                protocol: "tcp".to_owned(),
                ports: Some((port, port)),
                source: Source::Cidr(ANYWHERE.to_owned()),
                description: String::new(),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::facts::KnownSecurityGroup;

    fn facts() -> Facts {
        let group = |name: &str| KnownSecurityGroup {
            name: name.to_owned(),
            tags: Tags::from([("Name".to_owned(), name.to_owned())]),
        };
        Facts {
            security_groups: [("sg-1", "edge"), ("sg-2", "partners"), ("sg-3", "edge")]
                .into_iter()
                .map(|(id, name)| (id.to_owned(), group(name)))
                .collect(),
            ..Facts::default()
        }
    }

    #[test]
    fn by_id_and_by_name() {
        let ids = |ids: &[&str]| Ok(ids.iter().map(|id| (*id).to_owned()).collect());
        assert_eq!(given(&["sg-2".into()], &facts()), ids(&["sg-2"]));
        assert_eq!(given(&["edge".into()], &facts()), ids(&["sg-1", "sg-3"]));
        assert!(
            given(&["sg-9".into(), "edge".into(), "x".into()], &facts())
                .is_err_and(|error| error.contains("no security group sg-9, x"))
        );
    }

    #[test]
    fn the_managed_group_lets_everybody_in_at_the_listeners() {
        let group = GroupId::Explicit("finance".into());
        let settings = Settings::new("harbor", "vpc-1");
        let spec = frontend(&group, [80, 443].into_iter(), &Tags::new(), &settings);
        assert_eq!(spec.name, "k8s-finance-d798a9f512");
        let rules: Vec<_> = spec.ingress.iter().map(ToString::to_string).collect();
        assert_eq!(rules, ["tcp 80 from 0.0.0.0/0", "tcp 443 from 0.0.0.0/0"]);
    }
}
