//! Regions, zones, attributes of the account, and pools from outside.

use super::{
    filter::{Filters, Known},
    listing::{Paging, write_tags},
    ready,
};
use crate::{
    state::{
        Answer, Refusal, State, Tags,
        outside::Pool,
        regions::{self, Opting},
        vpc::AvailabilityZone,
    },
    wire::{params::Input, xml::Xml},
};

pub fn handle(action: &str, input: &Input, state: &State) -> Option<Answer<Xml>> {
    Some(match action {
        "DescribeRegions" => regions(input, state),
        "DescribeAvailabilityZones" => zones(input, state),
        "DescribeAccountAttributes" => attributes(input, state),
        "DescribeCoipPools" => coip_pools(input, state),
        "DescribeIpamPools" => ipam_pools(input, state),
        _ => return None,
    })
}

/// Filters of DescribeRegions.
const REGIONS: &Known = &[
    ("endpoint", "regionEndpoint"),
    ("opt-in-status", "optInStatus"),
    ("region-name", "regionName"),
];

fn regions(input: &Input, state: &State) -> Answer<Xml> {
    let names = input.texts("RegionName");
    let every = input.flag("AllRegions")?.unwrap_or(false);
    let filters = Filters::read(input, REGIONS, false)?;
    ready(input)?;
    let all: Vec<&str> = regions::names_beside(&state.region).collect();
    let unknown: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !all.contains(name))
        .collect();
    if !unknown.is_empty() {
        return Err(Refusal::parameter(format!(
            "Invalid region names provided: {}",
            unknown.join(", ")
        )));
    }
    let status = |name: &str| match regions::opting(name) {
        Opting::NotRequired => "opt-in-not-required",
        Opting::Required if name == state.region => "opted-in",
        Opting::Required => "not-opted-in",
    };
    let write = |xml: &mut Xml, name: &str| {
        xml.leaf("regionName", name)
            .leaf(
                "regionEndpoint",
                format!("ec2.{name}.{}", regions::dns_suffix(name)),
            )
            .leaf("optInStatus", status(name));
    };
    let wanted = all.into_iter().filter(|name| {
        (names.is_empty() || names.iter().any(|wanted| wanted == name))
            && (every || status(name) != "not-opted-in")
            && filters.pass(None, || {
                let mut xml = Xml::default();
                write(&mut xml, name);
                xml.into_text()
            })
    });
    let mut xml = Xml::default();
    xml.list("regionInfo", "item", wanted, write);
    Ok(xml)
}

/// Filters of DescribeAvailabilityZones.
const ZONES: &Known = &[
    ("group-long-name", "groupLongName"),
    ("group-name", "groupName"),
    ("message", "messageSet/message"),
    ("opt-in-status", "optInStatus"),
    ("parent-zone-id", "parentZoneId"),
    ("parent-zone-name", "parentZoneName"),
    ("parentZoneID", "parentZoneId"),
    ("parentZoneName", "parentZoneName"),
    ("region-name", "regionName"),
    ("state", "zoneState"),
    ("zone-id", "zoneId"),
    ("zone-name", "zoneName"),
    ("zone-type", "zoneType"),
];

fn zones(input: &Input, state: &State) -> Answer<Xml> {
    let names = input.texts("ZoneName");
    let ids = input.texts("ZoneId");
    // Every zone here is opted in, so asking for all of them changes nothing.
    input.flag("AllAvailabilityZones")?;
    let filters = Filters::read(input, ZONES, false)?;
    ready(input)?;
    let zones = &state.availability_zones;
    for name in &names {
        if !zones.iter().any(|zone| zone.name == *name) {
            return Err(Refusal::parameter(format!(
                "Invalid availability zone: [{name}]"
            )));
        }
    }
    for id in &ids {
        if !zones.iter().any(|zone| zone.id == *id) {
            return Err(Refusal::parameter(format!(
                "Invalid availability zone-id: [{id}]"
            )));
        }
    }
    let write = |xml: &mut Xml, zone: &AvailabilityZone| {
        xml.leaf("optInStatus", "opt-in-not-required")
            .leaf("zoneName", &zone.name)
            .leaf("zoneId", &zone.id)
            .leaf("zoneType", "availability-zone")
            .leaf("zoneState", "available")
            .leaf("regionName", &state.region)
            .leaf("groupName", format!("{}-zg-1", state.region))
            .leaf("networkBorderGroup", &state.region)
            .nest("messageSet", |_| {});
    };
    let wanted = zones.iter().filter(|zone| {
        (names.is_empty() || names.contains(&zone.name))
            && (ids.is_empty() || ids.contains(&zone.id))
            && filters.pass(None, || {
                let mut xml = Xml::default();
                write(&mut xml, zone);
                xml.into_text()
            })
    });
    let mut xml = Xml::default();
    xml.list("availabilityZoneInfo", "item", wanted, write);
    Ok(xml)
}

fn attributes(input: &Input, state: &State) -> Answer<Xml> {
    let names = input.texts("AttributeName");
    ready(input)?;
    let quota = |name: &str| state.quotas.limit(name).to_string();
    let default = state
        .default_vpc()
        .map_or_else(|| "none".to_owned(), |vpc| vpc.id.clone());
    let all = [
        ("supported-platforms", "VPC".to_owned()),
        ("default-vpc", default),
        ("max-instances", "20".to_owned()),
        (
            "vpc-max-security-groups-per-interface",
            quota("security-groups-per-network-interface"),
        ),
        ("max-elastic-ips", quota("elastic-ips")),
        ("vpc-max-elastic-ips", quota("elastic-ips")),
    ];
    if let Some(unknown) = names
        .iter()
        .find(|name| !all.iter().any(|(known, _)| known == name))
    {
        return Err(Refusal::parameter(format!(
            "Value ({unknown}) for parameter attributeName is invalid. Unknown attribute."
        )));
    }
    let wanted = all
        .into_iter()
        .filter(|(name, _)| names.is_empty() || names.iter().any(|wanted| wanted == name));
    let mut xml = Xml::default();
    xml.list(
        "accountAttributeSet",
        "item",
        wanted,
        |xml, (name, value)| {
            xml.leaf("attributeName", name);
            xml.list("attributeValueSet", "item", [value], |xml, value| {
                xml.leaf("attributeValue", value);
            });
        },
    );
    Ok(xml)
}

/// How pools from outside are listed.
struct Pools {
    ids: &'static str,
    not_found: &'static str,
    set: &'static str,
    filters: &'static Known,
}

fn tags_of(pool: &Pool) -> Option<&Tags> {
    match pool {
        Pool::Id(_) => None,
        Pool::Described(pool) => Some(&pool.tags),
    }
}

fn describe_pools(
    input: &Input,
    pools: &[Pool],
    how: &Pools,
    write: impl Fn(&mut Xml, &Pool),
) -> Answer<Xml> {
    let ids = input.texts(how.ids);
    let filters = Filters::read(input, how.filters, true)?;
    let paging = Paging::read(input, (5, 1000))?;
    ready(input)?;
    paging.check_alone(&ids, how.ids)?;
    if let Some(unknown) = ids
        .iter()
        .find(|id| !pools.iter().any(|pool| pool.id() == id.as_str()))
    {
        return Err(Refusal::new(
            how.not_found,
            format!("The pool ID '{unknown}' does not exist"),
        ));
    }
    let mut wanted: Vec<&Pool> = pools
        .iter()
        .filter(|pool| {
            (ids.is_empty() || ids.iter().any(|id| id == pool.id()))
                && filters.pass(tags_of(pool), || {
                    let mut xml = Xml::default();
                    write(&mut xml, pool);
                    xml.into_text()
                })
        })
        .collect();
    wanted.sort_by_key(|pool| pool.id());
    let page = paging.cut(input, wanted, |pool| pool.id().to_owned())?;
    let mut xml = Xml::default();
    xml.list(how.set, "item", page.items, |xml, pool| {
        write(xml, pool);
        write_tags(xml, tags_of(pool));
    });
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

const COIP_POOLS: Pools = Pools {
    ids: "PoolId",
    not_found: "InvalidPoolID.NotFound",
    set: "coipPoolSet",
    filters: &[
        (
            "coip-pool.local-gateway-route-table-id",
            "localGatewayRouteTableId",
        ),
        ("coip-pool.pool-id", "poolId"),
    ],
};

fn coip_pools(input: &Input, state: &State) -> Answer<Xml> {
    describe_pools(
        input,
        &state.outside.coip_pools,
        &COIP_POOLS,
        |xml, pool| {
            let arn = state.ec2_arn(&state.account, &format!("coip-pool/{}", pool.id()));
            xml.leaf("poolId", pool.id()).leaf("poolArn", arn).texts(
                "poolCidrSet",
                "item",
                pool.cidrs(),
            );
        },
    )
}

const IPAM_POOLS: Pools = Pools {
    ids: "IpamPoolId",
    not_found: "InvalidIpamPoolId.NotFound",
    set: "ipamPoolSet",
    filters: &[
        ("address-family", "addressFamily"),
        ("ipam-pool-id", "ipamPoolId"),
        ("ipam-scope-type", "ipamScopeType"),
        ("locale", "locale"),
        ("owner-id", "ownerId"),
        ("state", "state"),
    ],
};

fn ipam_pools(input: &Input, state: &State) -> Answer<Xml> {
    describe_pools(
        input,
        &state.outside.ipam_pools,
        &IPAM_POOLS,
        |xml, pool| {
            let arn = format!(
                "arn:{}:ec2::{}:ipam-pool/{}",
                regions::partition(&state.region),
                state.account,
                pool.id()
            );
            xml.leaf("ownerId", &state.account)
                .leaf("ipamPoolId", pool.id())
                .leaf("ipamPoolArn", arn)
                .leaf("ipamScopeType", "public")
                .leaf("ipamRegion", &state.region)
                .leaf("locale", &state.region)
                .leaf("poolDepth", 1)
                .leaf("state", "create-complete")
                .leaf("addressFamily", "ipv4")
                .leaf("publicIpSource", "amazon");
        },
    )
}
