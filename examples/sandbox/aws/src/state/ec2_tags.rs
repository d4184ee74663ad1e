//! Tags of EC2's resources: their rules differ from those of other services.

use super::{Answer, InstanceState, Refusal, State, Tags, ec2_id::Kind, tags::check_lengths};

/// Ids that one call of CreateTags or DeleteTags takes.
const MOST_RESOURCES: usize = 1000;

impl State {
    /// CreateTags of EC2: all or none.
    pub fn create_ec2_tags(&mut self, ids: &[String], tags: &[(String, String)]) -> Answer<()> {
        self.check_resources(ids)?;
        let tags = self.checked_ec2_tags(tags)?;
        let most = self.quotas.limit("tags-per-resource");
        for id in ids {
            let mut after = self.tags.get(id).cloned().unwrap_or_default();
            after.extend(tags.clone());
            if after.len() > most {
                return Err(too_many(most));
            }
        }
        for id in ids {
            self.tags
                .entry(id.clone())
                .or_default()
                .extend(tags.clone());
        }
        Ok(())
    }

    /// DeleteTags of EC2: a key without value removes any value, one with a
    /// value only that value; no keys at all remove every tag.
    pub fn delete_ec2_tags(
        &mut self,
        ids: &[String],
        keys: &[(String, Option<String>)],
    ) -> Answer<()> {
        self.check_resources(ids)?;
        for id in ids {
            let Some(tags) = self.tags.get_mut(id) else {
                continue;
            };
            if keys.is_empty() {
                tags.clear();
            }
            tags.retain(|key, value| {
                !keys.iter().any(|(gone, only)| {
                    gone == key && only.as_ref().is_none_or(|only| only == value)
                })
            });
        }
        Ok(())
    }

    /// Tags of an EC2 call, checked.
    pub(super) fn checked_ec2_tags(&self, tags: &[(String, String)]) -> Answer<Tags> {
        let mut checked = Tags::new();
        for (key, value) in tags {
            if key.to_ascii_lowercase().starts_with("aws:") {
                return Err(Refusal::parameter(
                    "Tag keys starting with 'aws:' are reserved for internal use",
                ));
            }
            check_lengths(key, value).map_err(Refusal::parameter)?;
            if checked.insert(key.clone(), value.clone()).is_some() {
                return Err(Refusal::parameter(format!(
                    "Duplicate tag key '{key}' specified."
                )));
            }
        }
        let most = self.quotas.limit("tags-per-resource");
        if checked.len() > most {
            return Err(too_many(most));
        }
        Ok(checked)
    }

    fn check_resources(&self, ids: &[String]) -> Answer<()> {
        if ids.len() > MOST_RESOURCES {
            return Err(Refusal::parameter(format!(
                "At most {MOST_RESOURCES} resources can be tagged in one call"
            )));
        }
        ids.iter().try_for_each(|id| self.check_resource(id))
    }

    /// Refuses an id that nothing with tags has.
    pub(super) fn check_resource(&self, id: &str) -> Answer<()> {
        let Some(kind) = Kind::of(id).filter(|kind| kind.resource_type().is_some()) else {
            return Err(Refusal::new(
                "InvalidID",
                format!("The ID '{id}' is not valid"),
            ));
        };
        let known = match kind {
            Kind::Vpc => self.vpcs.contains_key(id),
            Kind::Subnet => self.subnets.contains_key(id),
            Kind::SecurityGroup => self.security_groups.contains_key(id),
            Kind::SecurityGroupRule => self
                .security_groups
                .values()
                .any(|group| group.rules.iter().any(|rule| rule.id == id)),
            Kind::Instance => self.instances.contains_key(id),
            Kind::NetworkInterface => self.network_interfaces.contains_key(id),
            Kind::InternetGateway => self.internet_gateways.contains_key(id),
            Kind::EgressOnlyGateway => self.egress_only_gateways.contains_key(id),
            Kind::NatGateway => self.nat_gateways.contains_key(id),
            Kind::RouteTable => self.route_tables.contains_key(id),
            Kind::NetworkAcl => self.vpcs.values().any(|vpc| vpc.network_acl == id),
            Kind::PrefixList => self.prefix_lists.contains_key(id),
            Kind::Address => self.addresses.contains_key(id),
            Kind::Peering => self.peerings.contains_key(id),
            Kind::Volume => self.instances.values().any(|instance| {
                instance.volume_id == id && instance.state != InstanceState::Terminated
            }),
            // Amazon's images are not ours to tag.
            Kind::Image
            | Kind::Attachment
            | Kind::RouteTableAssociation
            | Kind::AddressAssociation => false,
        };
        if known {
            Ok(())
        } else {
            Err(kind.not_found(id))
        }
    }
}

fn too_many(most: usize) -> Refusal {
    Refusal::new(
        "TagLimitExceeded",
        format!("The maximum number of tags for a resource, {most}, has been reached."),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Timing;

    fn tag(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn bad_tags_change_nothing() {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let vpc = state.create_vpc("10.0.0.0/16", &[tag("a", "1")]).unwrap();
        let gone = "vpc-00000000000000000".to_owned();
        let many: Vec<_> = (0..50).map(|n| tag(&format!("k{n}"), "")).collect();
        for (ids, tags, code) in [
            (
                vec![vpc.clone(), gone],
                vec![tag("b", "1")],
                "InvalidVpcID.NotFound",
            ),
            (vec!["x".to_owned()], vec![tag("b", "1")], "InvalidID"),
            (
                vec![vpc.clone()],
                vec![tag("aws:b", "1")],
                "InvalidParameterValue",
            ),
            (
                vec![vpc.clone()],
                vec![tag("", "1")],
                "InvalidParameterValue",
            ),
            (
                vec![vpc.clone()],
                vec![tag(&"k".repeat(129), "1")],
                "InvalidParameterValue",
            ),
            (
                vec![vpc.clone()],
                vec![tag("k", &"v".repeat(257))],
                "InvalidParameterValue",
            ),
            (
                vec![vpc.clone()],
                vec![tag("b", "1"), tag("b", "2")],
                "InvalidParameterValue",
            ),
            (vec![vpc.clone()], many, "TagLimitExceeded"),
        ] {
            let refused = state.create_ec2_tags(&ids, &tags).unwrap_err();
            assert_eq!(refused.code, code, "{ids:?}");
        }
        assert_eq!(state.tags[&vpc].len(), 1);
    }

    #[test]
    fn deleted_by_key_and_value() {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let tags = [tag("a", "1"), tag("b", ""), tag("c", "3"), tag("d", "4")];
        let vpc = state.create_vpc("10.0.0.0/16", &tags).unwrap();
        let ids = [vpc.clone()];
        let mut delete = |keys: &[(&str, Option<&str>)]| {
            let keys: Vec<_> = keys
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned)))
                .collect();
            state.delete_ec2_tags(&ids, &keys).unwrap();
            state.tags[&vpc].keys().cloned().collect::<String>()
        };
        assert_eq!(delete(&[("a", Some("2")), ("a", Some(""))]), "abcd");
        assert_eq!(delete(&[("b", Some("")), ("x", None)]), "acd");
        assert_eq!(delete(&[("a", None)]), "cd");
        assert_eq!(delete(&[]), "");
    }
}
