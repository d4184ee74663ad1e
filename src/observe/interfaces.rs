//! Reads of network interfaces: which security groups nodes and pods have.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types as sdk;
use futures::future::try_join_all;
use ipnet::Ipv4Net;

use super::ec2::{FILTER_VALUES, filter};
use crate::aws::{Aws, Error, operations};

/// The interfaces of an instance, as far as security groups go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    /// Security groups of the primary interface.
    pub primary: BTreeSet<String>,
    /// All interfaces.
    pub interfaces: Vec<Interface>,
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its security groups.
    pub groups: BTreeSet<String>,
    /// Its addresses.
    pub addresses: BTreeSet<String>,
    /// Address prefixes that are delegated to it.
    pub prefixes: Vec<Ipv4Net>,
}

impl Interface {
    fn holds(&self, address: &str) -> bool {
        self.addresses.contains(address)
            || address
                .parse()
                .is_ok_and(|ip: std::net::Ipv4Addr| self.prefixes.iter().any(|p| p.contains(&ip)))
    }
}

impl Instance {
    /// Security groups of the interface that holds an address.
    pub fn groups_of(&self, address: &str) -> Option<&BTreeSet<String>> {
        let interface = self.interfaces.iter().find(|i| i.holds(address))?;
        Some(&interface.groups)
    }

    /// The security groups that every interface has, where all have the same:
    /// then an address that came to the instance after it was read has them
    /// too.
    pub fn uniform(&self) -> Option<&BTreeSet<String>> {
        self.interfaces
            .iter()
            .all(|i| i.groups == self.primary)
            .then_some(&self.primary)
            .filter(|groups| !groups.is_empty())
    }
}

/// Instances by id; those that do not exist are missing.
pub async fn instances(
    aws: &Aws,
    ids: &BTreeSet<String>,
) -> Result<BTreeMap<String, Instance>, Error> {
    let ids: Vec<String> = ids.iter().cloned().collect();
    let chunks = ids.chunks(FILTER_VALUES);
    let read = try_join_all(chunks.map(|ids| instances_of_chunk(aws, ids))).await?;
    Ok(read.into_iter().flatten().collect())
}

async fn instances_of_chunk(aws: &Aws, ids: &[String]) -> Result<Vec<(String, Instance)>, Error> {
    let mut all = Vec::new();
    let mut token = None;
    loop {
        let call = aws
            .ec2
            .describe_instances()
            .filters(filter("instance-id", ids.to_vec()))
            .set_next_token(token)
            .send();
        let page = aws.call(&operations::DESCRIBE_INSTANCES, call).await?;
        let instances = page
            .reservations()
            .iter()
            .flat_map(sdk::Reservation::instances);
        all.extend(instances.filter_map(|i| Some((i.instance_id()?.to_owned(), instance(i)))));
        token = page.next_token.filter(|t| !t.is_empty());
        if token.is_none() {
            return Ok(all);
        }
    }
}

fn group_ids(groups: &[sdk::GroupIdentifier]) -> BTreeSet<String> {
    groups
        .iter()
        .filter_map(|g| g.group_id().map(str::to_owned))
        .collect()
}

fn instance(instance: &sdk::Instance) -> Instance {
    let interfaces = instance.network_interfaces();
    let primary = interfaces
        .iter()
        .find(|i| i.attachment().is_some_and(|a| a.device_index() == Some(0)))
        .map_or_else(
            || group_ids(instance.security_groups()),
            |i| group_ids(i.groups()),
        );
    Instance {
        primary,
        interfaces: interfaces
            .iter()
            .map(|i| Interface {
                groups: group_ids(i.groups()),
                addresses: i
                    .private_ip_addresses()
                    .iter()
                    .filter_map(|a| a.private_ip_address())
                    .chain(i.private_ip_address())
                    .map(str::to_owned)
                    .collect(),
                prefixes: i
                    .ipv4_prefixes()
                    .iter()
                    .filter_map(|p| p.ipv4_prefix()?.parse().ok())
                    .collect(),
            })
            .collect(),
    }
}

/// Security groups of the interfaces that hold addresses; an address that no
/// interface has itself (it may lie in a delegated prefix) is missing.
pub async fn groups_by_address(
    aws: &Aws,
    vpc: &str,
    addresses: &BTreeSet<String>,
) -> Result<BTreeMap<String, BTreeSet<String>>, Error> {
    let addresses: Vec<String> = addresses.iter().cloned().collect();
    let mut found = BTreeMap::new();
    for addresses in addresses.chunks(FILTER_VALUES) {
        let mut token = None;
        loop {
            let call = aws
                .ec2
                .describe_network_interfaces()
                .filters(filter("vpc-id", [vpc.to_owned()]))
                .filters(filter("addresses.private-ip-address", addresses.to_vec()))
                .set_next_token(token)
                .send();
            let page = aws
                .call(&operations::DESCRIBE_NETWORK_INTERFACES, call)
                .await?;
            for interface in page.network_interfaces() {
                let groups = group_ids(interface.groups());
                for address in interface.private_ip_addresses() {
                    if let Some(address) = address.private_ip_address() {
                        found.insert(address.to_owned(), groups.clone());
                    }
                }
            }
            token = page.next_token.filter(|t| !t.is_empty());
            if token.is_none() {
                break;
            }
        }
    }
    found.retain(|address, _| addresses.binary_search(address).is_ok());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_by_interface_or_prefix() {
        let groups = |id: &str| BTreeSet::from([id.to_owned()]);
        let instance = Instance {
            primary: groups("sg-node"),
            interfaces: vec![
                Interface {
                    groups: groups("sg-node"),
                    addresses: BTreeSet::from(["10.0.0.5".to_owned()]),
                    prefixes: Vec::new(),
                },
                Interface {
                    groups: groups("sg-pods"),
                    addresses: BTreeSet::new(),
                    prefixes: "10.0.1.16/28".parse().into_iter().collect(),
                },
            ],
        };
        assert_eq!(instance.groups_of("10.0.0.5"), Some(&groups("sg-node")));
        assert_eq!(instance.groups_of("10.0.1.20"), Some(&groups("sg-pods")));
        assert_eq!(instance.groups_of("10.0.9.9"), None);
        assert_eq!(instance.uniform(), None, "the interfaces differ");
    }
}
