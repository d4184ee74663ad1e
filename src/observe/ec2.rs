//! Reads of EC2: VPC, subnets, security groups.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types as sdk;
use ipnet::Ipv4Net;

use crate::aws::{Aws, Error, operations};
use crate::model::facts::Subnet;
use crate::model::spec::{Arn, Live, Permission, SecurityGroup, SecurityGroupRef, Source, Tags};

/// Most values that EC2 takes in one filter.
pub(super) const FILTER_VALUES: usize = 199;
/// Page size where a VPC can hold many; EC2's ceiling.
const PAGE: i32 = 1000;

pub(super) fn filter(name: &str, values: impl IntoIterator<Item = String>) -> sdk::Filter {
    sdk::Filter::builder()
        .name(name)
        .set_values(Some(values.into_iter().collect()))
        .build()
}

fn tags(list: &[sdk::Tag]) -> Tags {
    list.iter()
        .filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default())))
        .filter(|(key, _)| !key.starts_with("aws:"))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// IPv4 ranges of a VPC that are in use.
pub async fn vpc_cidrs(aws: &Aws, vpc: &str) -> Result<Vec<Ipv4Net>, Error> {
    let call = aws
        .ec2
        .describe_vpcs()
        .filters(filter("vpc-id", [vpc.to_owned()]))
        .send();
    let answer = aws.call(&operations::DESCRIBE_VPCS, call).await?;
    let associated = |a: &&sdk::VpcCidrBlockAssociation| {
        a.cidr_block_state().and_then(|s| s.state())
            == Some(&sdk::VpcCidrBlockStateCode::Associated)
    };
    Ok(answer
        .vpcs()
        .iter()
        .flat_map(|vpc| vpc.cidr_block_association_set().iter().filter(associated))
        .filter_map(|a| a.cidr_block()?.parse().ok())
        .collect())
}

/// Subnets of a VPC, with the kind of their zone and whether they are routed
/// to the internet.
pub async fn subnets(aws: &Aws, vpc: &str) -> Result<Vec<Subnet>, Error> {
    let (raw, tables, zones) = futures::future::try_join3(
        raw_subnets(aws, vpc),
        route_tables(aws, vpc),
        zone_types(aws),
    )
    .await?;
    let open = OpenTables::new(&tables);
    Ok(raw
        .iter()
        .filter_map(|s| {
            let zone = s.availability_zone()?;
            let locale = if s.outpost_arn().is_some_and(|arn| !arn.is_empty()) {
                "outpost"
            } else {
                zones.get(zone).map_or("availability-zone", String::as_str)
            };
            Some(Subnet {
                id: s.subnet_id()?.to_owned(),
                availability_zone: zone.to_owned(),
                locale: locale.to_owned(),
                available_addresses: s.available_ip_address_count().unwrap_or(0),
                routed_to_internet: open.has(s.subnet_id()?),
                tags: tags(s.tags()),
            })
        })
        .collect())
}

async fn raw_subnets(aws: &Aws, vpc: &str) -> Result<Vec<sdk::Subnet>, Error> {
    let mut all = Vec::new();
    let mut token = None;
    loop {
        let call = aws
            .ec2
            .describe_subnets()
            .filters(filter("vpc-id", [vpc.to_owned()]))
            .set_next_token(token)
            .send();
        let page = aws.call(&operations::DESCRIBE_SUBNETS, call).await?;
        all.extend(page.subnets.unwrap_or_default());
        token = page.next_token.filter(|t| !t.is_empty());
        if token.is_none() {
            return Ok(all);
        }
    }
}

async fn route_tables(aws: &Aws, vpc: &str) -> Result<Vec<sdk::RouteTable>, Error> {
    let mut all = Vec::new();
    let mut token = None;
    loop {
        let call = aws
            .ec2
            .describe_route_tables()
            .filters(filter("vpc-id", [vpc.to_owned()]))
            .set_next_token(token)
            .send();
        let page = aws.call(&operations::DESCRIBE_ROUTE_TABLES, call).await?;
        all.extend(page.route_tables.unwrap_or_default());
        token = page.next_token.filter(|t| !t.is_empty());
        if token.is_none() {
            return Ok(all);
        }
    }
}

async fn zone_types(aws: &Aws) -> Result<BTreeMap<String, String>, Error> {
    let call = aws.ec2.describe_availability_zones().send();
    let answer = aws
        .call(&operations::DESCRIBE_AVAILABILITY_ZONES, call)
        .await?;
    Ok(answer
        .availability_zones()
        .iter()
        .filter_map(|z| Some((z.zone_name()?.to_owned(), z.zone_type()?.to_owned())))
        .collect())
}

/// Which subnets have a route to an internet gateway: by their own table,
/// else by the VPC's main one, which does not list them.
struct OpenTables {
    own: BTreeMap<String, bool>,
    main: bool,
}

impl OpenTables {
    fn new(tables: &[sdk::RouteTable]) -> Self {
        let mut open = Self {
            own: BTreeMap::new(),
            main: false,
        };
        for table in tables {
            let routed = table.routes().iter().any(|route| {
                route.gateway_id().is_some_and(|id| id.starts_with("igw-"))
                    && route.state() != Some(&sdk::RouteState::Blackhole)
            });
            for association in table.associations() {
                if let Some(subnet) = association.subnet_id() {
                    open.own.insert(subnet.to_owned(), routed);
                } else if association.main() == Some(true) {
                    open.main = routed;
                }
            }
        }
        open
    }

    fn has(&self, subnet: &str) -> bool {
        self.own.get(subnet).copied().unwrap_or(self.main)
    }
}

/// Security groups of a VPC: all, or those that carry a tag with a value. The
/// "ARN" is the group's id.
pub async fn security_groups(
    aws: &Aws,
    vpc: &str,
    tag: Option<(&str, &str)>,
) -> Result<Vec<Live<SecurityGroup>>, Error> {
    let tag = tag.map(|(key, value)| filter(&format!("tag:{key}"), [value.to_owned()]));
    let mut all = Vec::new();
    let mut token = None;
    loop {
        let filters = std::iter::once(filter("vpc-id", [vpc.to_owned()])).chain(tag.clone());
        let call = aws
            .ec2
            .describe_security_groups()
            .set_filters(Some(filters.collect()))
            .max_results(PAGE)
            .set_next_token(token)
            .send();
        let page = aws
            .call(&operations::DESCRIBE_SECURITY_GROUPS, call)
            .await?;
        all.extend(page.security_groups().iter().filter_map(security_group));
        token = page.next_token.filter(|t| !t.is_empty());
        if token.is_none() {
            return Ok(all);
        }
    }
}

/// Security groups of a VPC by name: none or one.
pub async fn security_groups_by_name(
    aws: &Aws,
    vpc: &str,
    name: &str,
) -> Result<Vec<Live<SecurityGroup>>, Error> {
    let call = aws
        .ec2
        .describe_security_groups()
        .filters(filter("vpc-id", [vpc.to_owned()]))
        .filters(filter("group-name", [name.to_owned()]))
        .send();
    let answer = aws
        .call(&operations::DESCRIBE_SECURITY_GROUPS, call)
        .await?;
    let groups = answer.security_groups().iter();
    Ok(groups.filter_map(security_group).collect())
}

/// Security groups by id, those that exist.
pub async fn security_groups_by_id(
    aws: &Aws,
    ids: &[String],
) -> Result<Vec<Live<SecurityGroup>>, Error> {
    let mut all = Vec::new();
    for ids in ids.chunks(FILTER_VALUES) {
        let call = aws
            .ec2
            .describe_security_groups()
            .filters(filter("group-id", ids.to_vec()))
            .send();
        let answer = aws
            .call(&operations::DESCRIBE_SECURITY_GROUPS, call)
            .await?;
        all.extend(answer.security_groups().iter().filter_map(security_group));
    }
    Ok(all)
}

fn security_group(group: &sdk::SecurityGroup) -> Option<Live<SecurityGroup>> {
    Some(Live {
        arn: Arn::from(group.group_id()?),
        spec: SecurityGroup {
            name: group.group_name()?.to_owned(),
            description: group.description().unwrap_or_default().to_owned(),
            tags: tags(group.tags()),
            ingress: permissions(group.ip_permissions()),
        },
    })
}

/// One permission for each source: EC2 groups them by protocol and ports.
pub fn permissions(list: &[sdk::IpPermission]) -> BTreeSet<Permission> {
    let mut all = BTreeSet::new();
    for permission in list {
        let protocol = permission.ip_protocol().unwrap_or("-1");
        let port = |port: Option<i32>| port.and_then(|p| u16::try_from(p).ok());
        let ports = port(permission.from_port()).zip(port(permission.to_port()));
        let mut add = |source, description: Option<&str>| {
            all.insert(Permission {
                protocol: protocol.to_owned(),
                ports,
                source,
                description: description.unwrap_or_default().to_owned(),
            });
        };
        for range in permission.ip_ranges() {
            if let Some(cidr) = range.cidr_ip() {
                add(Source::Cidr(cidr.to_owned()), range.description());
            }
        }
        for range in permission.ipv6_ranges() {
            if let Some(cidr) = range.cidr_ipv6() {
                add(Source::Cidr(cidr.to_owned()), range.description());
            }
        }
        for pair in permission.user_id_group_pairs() {
            if let Some(id) = pair.group_id() {
                let source = Source::Group(SecurityGroupRef::Id(id.to_owned()));
                add(source, pair.description());
            }
        }
        for list in permission.prefix_list_ids() {
            if let Some(id) = list.prefix_list_id() {
                add(Source::PrefixList(id.to_owned()), list.description());
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_for_each_source() {
        let answer = sdk::IpPermission::builder()
            .ip_protocol("tcp")
            .from_port(80)
            .to_port(80)
            .ip_ranges(sdk::IpRange::builder().cidr_ip("10.0.0.0/8").build())
            .ip_ranges(
                sdk::IpRange::builder()
                    .cidr_ip("192.168.0.0/16")
                    .description("office")
                    .build(),
            )
            .user_id_group_pairs(sdk::UserIdGroupPair::builder().group_id("sg-1").build())
            .build();
        let all = permissions(&[answer]);
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|p| p.ports == Some((80, 80))));
        assert!(
            all.iter().any(|p| p.description == "office"
                && p.source == Source::Cidr("192.168.0.0/16".to_owned()))
        );
    }

    #[test]
    fn all_protocols_have_no_ports() {
        let answer = sdk::IpPermission::builder()
            .ip_protocol("-1")
            .user_id_group_pairs(sdk::UserIdGroupPair::builder().group_id("sg-1").build())
            .build();
        assert!(permissions(&[answer]).iter().all(|p| p.ports.is_none()));
    }

    #[test]
    fn a_subnet_without_table_has_the_main_one() {
        let table = |gateway: &str, subnet: Option<&str>| {
            sdk::RouteTable::builder()
                .routes(sdk::Route::builder().gateway_id(gateway).build())
                .associations(
                    sdk::RouteTableAssociation::builder()
                        .main(subnet.is_none())
                        .set_subnet_id(subnet.map(str::to_owned))
                        .build(),
                )
                .build()
        };
        let open = OpenTables::new(&[table("igw-1", None), table("local", Some("subnet-a"))]);
        assert!(!open.has("subnet-a"));
        assert!(open.has("subnet-b"));
    }
}
