//! VPCs and the zones of a region.

use std::collections::BTreeSet;

use ipnet::{Ipv4Net, Ipv6Net};

use super::{
    Answer, Peer, Permission, Refusal, SecurityGroupRule, State,
    cidr::{Association, vpc_range},
    ec2_id::{Kind, combination, dependency},
    ids::Ids,
};

/// A VPC.
#[derive(Debug, Clone, PartialEq)]
pub struct Vpc {
    /// `vpc-…`.
    pub id: String,
    /// Primary range.
    pub cidr: Ipv4Net,
    /// All IPv4 ranges, the primary one first.
    pub cidrs: Vec<Association<Ipv4Net>>,
    /// IPv6 ranges.
    pub ipv6: Vec<Association<Ipv6Net>>,
    /// Id of its `default` security group.
    pub default_security_group: String,
    /// Id of its main route table.
    pub main_route_table: String,
    /// Id of the association of the main route table.
    pub main_association: String,
    /// Id of its default network ACL.
    pub network_acl: String,
    /// Id of its set of DHCP options.
    pub dhcp_options: String,
    /// Whether it is the default VPC of the region.
    pub is_default: bool,
    /// `default` or `dedicated`.
    pub tenancy: String,
    /// What ModifyVpcAttribute changes.
    pub attributes: VpcAttributes,
    /// Ids of the subnets in it.
    pub subnets: BTreeSet<String>,
}

/// The attributes of a VPC that are switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VpcAttributes {
    /// Whether Amazon's name server answers.
    pub dns_support: bool,
    /// Whether instances with public addresses get names.
    pub dns_hostnames: bool,
    /// Whether usage of addresses is measured.
    pub usage_metrics: bool,
}

/// One attribute of a VPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VpcAttribute {
    /// `enableDnsSupport`.
    DnsSupport,
    /// `enableDnsHostnames`.
    DnsHostnames,
    /// `enableNetworkAddressUsageMetrics`.
    UsageMetrics,
}

/// What CreateVpc asks for besides the range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewVpc {
    /// IPv4 range.
    pub cidr: String,
    /// `default` or `dedicated`; `default` if absent.
    pub tenancy: Option<String>,
    /// Whether Amazon provides an IPv6 range.
    pub amazon_ipv6: bool,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

/// An availability zone of the region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvailabilityZone {
    /// Name, such as `us-east-1a`.
    pub name: String,
    /// Id, such as `use1-az1`; differs between accounts for one name.
    pub id: String,
}

/// The zones of a region: three of them, with ids as AWS abbreviates them
/// (`us-east-1` gives `use1-az1` and so on).
pub(super) fn zones_of(region: &str) -> Vec<AvailabilityZone> {
    let mut parts = region.split('-');
    let mut short: String = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part {
            "northeast" => short.push_str("ne"),
            "northwest" => short.push_str("nw"),
            "southeast" => short.push_str("se"),
            "southwest" => short.push_str("sw"),
            other => short.extend(other.chars().next()),
        }
    }
    ["a", "b", "c"]
        .iter()
        .zip(1..)
        .map(|(letter, number)| AvailabilityZone {
            name: format!("{region}{letter}"),
            id: format!("{short}-az{number}"),
        })
        .collect()
}

impl State {
    /// A VPC by id, or `InvalidVpcID.NotFound`.
    pub fn vpc(&self, id: &str) -> Answer<&Vpc> {
        Kind::Vpc.find(&self.vpcs, id)
    }

    /// The default VPC, if there is one.
    pub fn default_vpc(&self) -> Option<&Vpc> {
        self.vpcs.values().find(|vpc| vpc.is_default)
    }

    /// The network of a call that names none: the default VPC's.
    pub(super) fn implied_vpc(&self) -> Answer<&Vpc> {
        self.default_vpc()
            .ok_or_else(|| Refusal::new("VPCIdNotSpecified", "No default VPC for this user"))
    }

    /// CreateVpc with nothing but a range and tags; answers the id.
    pub fn create_vpc(&mut self, cidr: &str, tags: &[(String, String)]) -> Answer<String> {
        self.make_vpc(&NewVpc {
            cidr: cidr.to_owned(),
            tags: tags.to_vec(),
            ..NewVpc::default()
        })
    }

    /// CreateVpc, with the default security group, main route table and default
    /// network ACL that every VPC has; answers the id.
    pub fn make_vpc(&mut self, new: &NewVpc) -> Answer<String> {
        let cidr = vpc_range(&new.cidr)?;
        let tenancy = new.tenancy.clone().unwrap_or_else(|| "default".to_owned());
        if !matches!(tenancy.as_str(), "default" | "dedicated") {
            return Err(Refusal::parameter(format!(
                "Value ({tenancy}) for parameter instanceTenancy is invalid. Allowed values: default, dedicated"
            )));
        }
        if self.vpcs.len() >= self.quotas.limit("vpcs") {
            return Err(Refusal::new(
                "VpcLimitExceeded",
                "The maximum number of VPCs has been reached.",
            ));
        }
        let tags = self.checked_ec2_tags(&new.tags)?;
        let id = self.ids.ec2("vpc");
        let default_security_group =
            self.add_security_group("default", "default VPC security group", &id);
        let within = SecurityGroupRule {
            id: self.ids.ec2("sgr"),
            permission: Permission {
                egress: false,
                protocol: "-1".to_owned(),
                from_port: None,
                to_port: None,
                peer: Peer::Group(default_security_group.clone()),
            },
            description: None,
        };
        if let Some(group) = self.security_groups.get_mut(&default_security_group) {
            group.rules.push(within);
        }
        let main_route_table = self.add_route_table(&id);
        let primary = Association {
            id: self.ids.ec2("vpc-cidr-assoc"),
            range: cidr,
        };
        let vpc = Vpc {
            id: id.clone(),
            cidr,
            cidrs: vec![primary],
            ipv6: Vec::new(),
            default_security_group,
            main_route_table,
            main_association: self.ids.ec2("rtbassoc"),
            network_acl: self.ids.ec2("acl"),
            dhcp_options: self.default_dhcp_options(),
            is_default: false,
            tenancy,
            attributes: VpcAttributes {
                dns_support: true,
                dns_hostnames: false,
                usage_metrics: false,
            },
            subnets: BTreeSet::new(),
        };
        self.vpcs.insert(id.clone(), vpc);
        self.tags.insert(id.clone(), tags);
        if new.amazon_ipv6 {
            self.provide_ipv6(&id)?;
        }
        Ok(id)
    }

    /// The set of DHCP options that every account has in a region.
    fn default_dhcp_options(&self) -> String {
        let seed = format!("{}{}", self.account, self.region)
            .bytes()
            .fold(0_u64, |sum, byte| {
                sum.wrapping_mul(131).wrapping_add(u64::from(byte))
            });
        Ids::new(seed).ec2("dopt")
    }

    /// CreateDefaultVpc: 172.31.0.0/16 with a gateway to the internet and a
    /// subnet in each zone; answers the id.
    pub fn create_default_vpc(&mut self) -> Answer<String> {
        if self.default_vpc().is_some() {
            return Err(Refusal::new(
                "DefaultVpcAlreadyExists",
                "A Default VPC already exists for this account in this region.",
            ));
        }
        let id = self.create_vpc("172.31.0.0/16", &[])?;
        if let Some(vpc) = self.vpcs.get_mut(&id) {
            vpc.is_default = true;
            vpc.attributes.dns_hostnames = true;
        }
        let gateway = self.create_internet_gateway(&[])?;
        self.attach_internet_gateway(&gateway, &id)?;
        let table = self.vpc(&id)?.main_route_table.clone();
        self.create_route(&table, "0.0.0.0/0", &gateway)?;
        let zones: Vec<String> = self
            .availability_zones
            .iter()
            .map(|zone| zone.name.clone())
            .collect();
        for zone in zones {
            self.create_default_subnet(&zone)?;
        }
        Ok(id)
    }

    /// ModifyVpcAttribute.
    pub fn modify_vpc(&mut self, id: &str, attribute: VpcAttribute, value: bool) -> Answer<()> {
        let vpc = Kind::Vpc.find_mut(&mut self.vpcs, id)?;
        let attributes = &mut vpc.attributes;
        match attribute {
            VpcAttribute::DnsSupport => {
                if !value && attributes.dns_hostnames {
                    return Err(combination(
                        "DNS support cannot be disabled while DNS hostnames are enabled",
                    ));
                }
                attributes.dns_support = value;
            }
            VpcAttribute::DnsHostnames => {
                if value && !attributes.dns_support {
                    return Err(combination(
                        "DNS hostnames can only be enabled if DNS support is enabled",
                    ));
                }
                attributes.dns_hostnames = value;
            }
            VpcAttribute::UsageMetrics => attributes.usage_metrics = value,
        }
        Ok(())
    }

    /// DeleteVpc: refused while anything is in it that it was not made with.
    pub fn delete_vpc(&mut self, id: &str) -> Answer<()> {
        let vpc = self.vpc(id)?;
        let own_group = vpc.default_security_group.clone();
        let own_table = vpc.main_route_table.clone();
        let own_acl = vpc.network_acl.clone();
        let busy = !vpc.subnets.is_empty()
            || self
                .network_interfaces
                .values()
                .any(|interface| interface.vpc_id == id)
            || self
                .internet_gateways
                .values()
                .any(|gateway| gateway.vpc_id.as_deref() == Some(id))
            || self
                .egress_only_gateways
                .values()
                .any(|gateway| gateway.vpc_id == id)
            || self
                .security_groups
                .values()
                .any(|group| group.vpc_id == id && group.id != own_group)
            || self
                .route_tables
                .values()
                .any(|table| table.vpc_id == id && table.id != own_table);
        if busy {
            return Err(dependency("vpc", id));
        }
        if let Some(group) = self.security_groups.remove(&own_group) {
            for rule in group.rules {
                self.tags.remove(&rule.id);
            }
        }
        self.route_tables.remove(&own_table);
        self.vpcs.remove(id);
        for gone in [id, &own_group, &own_table, &own_acl] {
            self.tags.remove(gone);
        }
        self.end_peerings_of(id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Timing;

    fn state() -> State {
        State::new("123456789012", "us-east-1", Timing::default())
    }

    #[test]
    fn ranges_that_a_vpc_can_have() {
        let mut state = state();
        for (cidr, code) in [
            ("10.0.0.0/15", "InvalidVpc.Range"),
            ("10.0.0.0/29", "InvalidVpc.Range"),
            ("127.0.0.0/16", "InvalidVpc.Range"),
            ("10.0.0.0", "InvalidParameterValue"),
            ("10.0.0.256/24", "InvalidParameterValue"),
        ] {
            assert_eq!(
                state.create_vpc(cidr, &[]).unwrap_err().code,
                code,
                "{cidr}"
            );
        }
        let id = state.create_vpc("100.68.0.18/18", &[]).unwrap();
        assert_eq!(state.vpcs[&id].cidr.to_string(), "100.68.0.0/18");
    }

    #[test]
    fn what_blocks_a_delete() {
        let mut state = state();
        let id = state.create_vpc("10.0.0.0/16", &[]).unwrap();
        let blocked = |state: &mut State| {
            assert_eq!(
                state.delete_vpc(&id).unwrap_err().code,
                "DependencyViolation"
            );
        };
        let subnet = state.create_subnet(&id, "10.0.0.0/24", None, &[]).unwrap();
        blocked(&mut state);
        state.delete_subnet(&subnet).unwrap();
        let group = state.create_security_group("x", "x", &id, &[]).unwrap();
        blocked(&mut state);
        state.delete_security_group(&group).unwrap();
        let gateway = state.create_internet_gateway(&[]).unwrap();
        state.attach_internet_gateway(&gateway, &id).unwrap();
        blocked(&mut state);
        state.detach_internet_gateway(&gateway, &id).unwrap();
        let table = state.create_route_table(&id, &[]).unwrap();
        blocked(&mut state);
        state.delete_route_table(&table).unwrap();
        state.delete_vpc(&id).unwrap();
        assert_eq!(
            state.delete_vpc(&id).unwrap_err().code,
            "InvalidVpcID.NotFound"
        );
        assert!(state.security_groups.is_empty() && state.route_tables.is_empty());
        assert!(state.tags.keys().all(|key| *key == gateway));
    }

    #[test]
    fn there_is_one_default_vpc() {
        let mut state = state();
        let id = state.create_default_vpc().unwrap();
        assert_eq!(state.subnets.len(), 3);
        assert!(
            state
                .subnets
                .values()
                .all(|s| s.map_public_ip && s.default_for_az)
        );
        assert!(state.vpcs[&id].attributes.dns_hostnames);
        let again = state.create_default_vpc().unwrap_err();
        assert_eq!(again.code, "DefaultVpcAlreadyExists");
    }

    #[test]
    fn dns_attributes_depend_on_each_other() {
        let mut state = state();
        let id = state.create_vpc("10.0.0.0/16", &[]).unwrap();
        state
            .modify_vpc(&id, VpcAttribute::DnsHostnames, true)
            .unwrap();
        let refused = state.modify_vpc(&id, VpcAttribute::DnsSupport, false);
        assert_eq!(refused.unwrap_err().code, "InvalidParameterCombination");
        state
            .modify_vpc(&id, VpcAttribute::DnsHostnames, false)
            .unwrap();
        state
            .modify_vpc(&id, VpcAttribute::DnsSupport, false)
            .unwrap();
        assert!(!state.vpcs[&id].attributes.dns_support);
    }
}
