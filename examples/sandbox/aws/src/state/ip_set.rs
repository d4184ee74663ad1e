//! Sets of addresses of WAFv2.

use std::collections::BTreeMap;

use ipnet::IpNet;
use jiff::Timestamp;

use super::{
    Answer, State,
    wafv2::{Entity, Kind, Naming, NewEntity, Wafv2, associated, invalid, limits_exceeded},
};

/// A set of address ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpSet {
    /// Name, id, ARN, …
    pub entity: Entity,
    /// `IPV4` or `IPV6`; never changes.
    pub version: String,
    /// Ranges, as sent.
    pub addresses: Vec<String>,
}

impl Kind for IpSet {
    const IN_ARN: &'static str = "ipset";
    const QUOTA: &'static str = "waf-ip-sets";

    fn entity(&self) -> &Entity {
        &self.entity
    }

    fn all(wafv2: &Wafv2) -> &BTreeMap<String, Self> {
        &wafv2.ip_sets
    }
}

impl State {
    /// CreateIPSet.
    pub fn create_ip_set(
        &mut self,
        new: &NewEntity,
        version: &str,
        addresses: Vec<String>,
        now: Timestamp,
    ) -> Answer<&Entity> {
        self.check_addresses(version, &addresses)?;
        let (entity, tags) = self.new_entity::<IpSet>(new, now)?;
        let arn = entity.arn.clone();
        self.tags.insert(arn.clone(), tags);
        let set = IpSet {
            entity,
            version: version.to_owned(),
            addresses,
        };
        Ok(&self.wafv2.ip_sets.entry(arn).or_insert(set).entity)
    }

    /// UpdateIPSet: replaces addresses and description; answers the next lock token.
    pub fn update_ip_set(
        &mut self,
        naming: &Naming,
        lock_token: &str,
        description: Option<String>,
        addresses: Vec<String>,
    ) -> Answer<String> {
        let arn = self.locked::<IpSet>(naming, lock_token)?;
        let version = self.wafv2.ip_sets.get(&arn).map(|set| set.version.clone());
        self.check_addresses(&version.unwrap_or_default(), &addresses)?;
        let next = self.ids.uuid();
        if let Some(set) = self.wafv2.ip_sets.get_mut(&arn) {
            set.addresses = addresses;
            set.entity.description = description.unwrap_or_default();
            set.entity.lock_token.clone_from(&next);
        }
        Ok(next)
    }

    /// DeleteIPSet: refused while a rule names it.
    pub fn delete_ip_set(&mut self, naming: &Naming, lock_token: &str) -> Answer<()> {
        let arn = self.locked::<IpSet>(naming, lock_token)?;
        if self.waf_rules_name(&arn) {
            return Err(associated());
        }
        self.wafv2.ip_sets.remove(&arn);
        self.tags.remove(&arn);
        Ok(())
    }

    /// Ranges in CIDR notation, of the set's version, and not of length 0.
    fn check_addresses(&self, version: &str, addresses: &[String]) -> Answer<()> {
        for address in addresses {
            let range: Option<IpNet> = address.parse().ok();
            let good = range.is_some_and(|range| {
                let same = matches!(
                    (version, range),
                    ("IPV4", IpNet::V4(_)) | ("IPV6", IpNet::V6(_))
                );
                same && range.prefix_len() > 0
            });
            if !good {
                return Err(invalid(
                    "The parameter contains formatting that is not valid.",
                    "IP_ADDRESS",
                    address,
                ));
            }
        }
        if addresses.len() > self.quotas.limit("waf-addresses-per-ip-set") {
            return Err(limits_exceeded());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{Timing, wafv2::Scope};
    use super::*;

    fn named(name: &str) -> NewEntity {
        NewEntity {
            name: name.to_owned(),
            scope: Scope::Regional,
            description: None,
            tags: Vec::new(),
        }
    }

    fn made(state: &mut State, name: &str) -> (Naming, String) {
        let ranges = vec!["192.0.2.0/24".to_owned()];
        let entity = state
            .create_ip_set(&named(name), "IPV4", ranges, Timestamp::UNIX_EPOCH)
            .unwrap();
        let naming = Naming {
            name: entity.name.clone(),
            scope: entity.scope,
            id: entity.id.clone(),
        };
        (naming, entity.lock_token.clone())
    }

    #[test]
    fn ranges_fit_the_version() {
        let mut state = State::new("123456789012", "eu-west-1", Timing::default());
        for (version, range) in [
            ("IPV4", "192.0.2.1"),
            ("IPV4", "0.0.0.0/0"),
            ("IPV4", "2001:db8::/32"),
            ("IPV6", "192.0.2.0/24"),
            ("IPV6", "::/0"),
            ("IPV4", ""),
            ("IPV4", "192.0.2.0/33"),
        ] {
            let refusal = state
                .create_ip_set(
                    &named("a"),
                    version,
                    vec![range.to_owned()],
                    Timestamp::UNIX_EPOCH,
                )
                .unwrap_err();
            assert_eq!(refusal.code, "WAFInvalidParameterException", "{range}");
        }
        assert!(state.wafv2.ip_sets.is_empty());
        let v6 = vec!["2001:db8::1/128".to_owned()];
        assert!(
            state
                .create_ip_set(&named("a"), "IPV6", v6, Timestamp::UNIX_EPOCH)
                .is_ok()
        );
    }

    #[test]
    fn a_write_names_the_present_lock_token() {
        let mut state = State::new("123456789012", "eu-west-1", Timing::default());
        let (naming, token) = made(&mut state, "a");
        let next = state
            .update_ip_set(&naming, &token, None, Vec::new())
            .unwrap();
        assert_ne!(next, token);
        let stale = state.delete_ip_set(&naming, &token).unwrap_err();
        assert_eq!(stale.code, "WAFOptimisticLockException");
        state.delete_ip_set(&naming, &next).unwrap();
        let gone = state.delete_ip_set(&naming, &next).unwrap_err();
        assert_eq!(gone.code, "WAFNonexistentItemException");
    }
}
