//! Ids of EC2: their forms, and the codes that say that one is wrong.

use std::collections::BTreeMap;

use super::{Answer, Refusal, State};

/// A kind of resource of EC2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// VPC.
    Vpc,
    /// Subnet.
    Subnet,
    /// Security group.
    SecurityGroup,
    /// Rule of a security group.
    SecurityGroupRule,
    /// Instance.
    Instance,
    /// Network interface.
    NetworkInterface,
    /// Attachment of a network interface.
    Attachment,
    /// Internet gateway.
    InternetGateway,
    /// Egress-only internet gateway.
    EgressOnlyGateway,
    /// NAT gateway.
    NatGateway,
    /// Route table.
    RouteTable,
    /// Association of a route table.
    RouteTableAssociation,
    /// Network ACL.
    NetworkAcl,
    /// Managed prefix list.
    PrefixList,
    /// Allocated address.
    Address,
    /// Association of an allocated address.
    AddressAssociation,
    /// VPC peering connection.
    Peering,
    /// Image.
    Image,
    /// Volume.
    Volume,
}

/// What belongs to a kind.
struct Row {
    kind: Kind,
    prefix: &'static str,
    /// Code for an id that nothing has.
    not_found: &'static str,
    /// Code for a text that is no such id.
    malformed: &'static str,
    /// What texts call it.
    what: &'static str,
    /// The type in tag specifications; none where tags do not exist.
    tagged: Option<&'static str>,
}

const fn row(
    kind: Kind,
    prefix: &'static str,
    not_found: &'static str,
    malformed: &'static str,
    what: &'static str,
    tagged: Option<&'static str>,
) -> Row {
    Row {
        kind,
        prefix,
        not_found,
        malformed,
        what,
        tagged,
    }
}

/// Codes as AWS's page of error codes lists them; longer prefixes come first.
const ROWS: &[Row] = &[
    row(
        Kind::Vpc,
        "vpc",
        "InvalidVpcID.NotFound",
        "InvalidVpcID.Malformed",
        "vpc ID",
        Some("vpc"),
    ),
    row(
        Kind::Subnet,
        "subnet",
        "InvalidSubnetID.NotFound",
        "InvalidSubnetID.Malformed",
        "subnet ID",
        Some("subnet"),
    ),
    row(
        Kind::SecurityGroup,
        "sg",
        "InvalidGroup.NotFound",
        "InvalidGroupId.Malformed",
        "security group",
        Some("security-group"),
    ),
    row(
        Kind::SecurityGroupRule,
        "sgr",
        "InvalidSecurityGroupRuleId.NotFound",
        "InvalidSecurityGroupRuleId.Malformed",
        "security group rule ID",
        Some("security-group-rule"),
    ),
    row(
        Kind::Instance,
        "i",
        "InvalidInstanceID.NotFound",
        "InvalidInstanceID.Malformed",
        "instance ID",
        Some("instance"),
    ),
    row(
        Kind::Attachment,
        "eni-attach",
        "InvalidAttachmentID.NotFound",
        "InvalidNetworkInterfaceAttachmentId.Malformed",
        "network interface attachment ID",
        None,
    ),
    row(
        Kind::NetworkInterface,
        "eni",
        "InvalidNetworkInterfaceID.NotFound",
        "InvalidNetworkInterfaceId.Malformed",
        "networkInterface ID",
        Some("network-interface"),
    ),
    row(
        Kind::InternetGateway,
        "igw",
        "InvalidInternetGatewayID.NotFound",
        "InvalidInternetGatewayId.Malformed",
        "internetGateway ID",
        Some("internet-gateway"),
    ),
    row(
        Kind::EgressOnlyGateway,
        "eigw",
        "InvalidEgressOnlyInternetGatewayId.NotFound",
        "InvalidEgressOnlyInternetGatewayId.Malformed",
        "egress-only internet gateway ID",
        Some("egress-only-internet-gateway"),
    ),
    row(
        Kind::NatGateway,
        "nat",
        "NatGatewayNotFound",
        "NatGatewayMalformed",
        "NAT gateway",
        Some("natgateway"),
    ),
    row(
        Kind::RouteTableAssociation,
        "rtbassoc",
        "InvalidAssociationID.NotFound",
        "InvalidAssociationID.Malformed",
        "association ID",
        None,
    ),
    row(
        Kind::RouteTable,
        "rtb",
        "InvalidRouteTableID.NotFound",
        "InvalidRouteTableId.Malformed",
        "routeTable ID",
        Some("route-table"),
    ),
    row(
        Kind::NetworkAcl,
        "acl",
        "InvalidNetworkAclID.NotFound",
        "InvalidNetworkAclId.Malformed",
        "networkAcl ID",
        Some("network-acl"),
    ),
    row(
        Kind::PrefixList,
        "pl",
        "InvalidPrefixListID.NotFound",
        "InvalidPrefixListId.Malformed",
        "prefix list ID",
        Some("prefix-list"),
    ),
    row(
        Kind::Address,
        "eipalloc",
        "InvalidAllocationID.NotFound",
        "InvalidAllocationID.Malformed",
        "allocation ID",
        Some("elastic-ip"),
    ),
    row(
        Kind::AddressAssociation,
        "eipassoc",
        "InvalidAssociationID.NotFound",
        "InvalidAssociationID.Malformed",
        "association ID",
        None,
    ),
    row(
        Kind::Peering,
        "pcx",
        "InvalidVpcPeeringConnectionID.NotFound",
        "InvalidVpcPeeringConnectionId.Malformed",
        "vpcPeeringConnection ID",
        Some("vpc-peering-connection"),
    ),
    row(
        Kind::Image,
        "ami",
        "InvalidAMIID.NotFound",
        "InvalidAMIID.Malformed",
        "image id",
        Some("image"),
    ),
    row(
        Kind::Volume,
        "vol",
        "InvalidVolume.NotFound",
        "InvalidVolumeID.Malformed",
        "volume",
        Some("volume"),
    ),
];

impl Kind {
    fn row(self) -> &'static Row {
        ROWS.iter().find(|row| row.kind == self).unwrap_or(&ROWS[0])
    }

    /// The kind whose ids look like this one.
    pub fn of(id: &str) -> Option<Self> {
        let row = ROWS.iter().find(|row| has_form(row.prefix, id))?;
        Some(row.kind)
    }

    /// The kind of a resource type, as tag specifications name it.
    pub fn of_type(name: &str) -> Option<Self> {
        let row = ROWS.iter().find(|row| row.tagged == Some(name))?;
        Some(row.kind)
    }

    /// The type in tag specifications and in DescribeTags.
    pub fn resource_type(self) -> Option<&'static str> {
        self.row().tagged
    }

    /// Refuses a text that is no id of this kind.
    pub fn check_form(self, id: &str) -> Answer<()> {
        let row = self.row();
        if has_form(row.prefix, id) {
            return Ok(());
        }
        Err(Refusal::new(
            row.malformed,
            format!("Invalid id: \"{id}\" (expecting \"{}-...\")", row.prefix),
        ))
    }

    /// The refusal of an id that nothing has.
    pub fn not_found(self, id: &str) -> Refusal {
        let row = self.row();
        Refusal::new(
            row.not_found,
            format!("The {} '{id}' does not exist", row.what),
        )
    }

    /// What a map holds under an id of this kind.
    pub(super) fn find<'a, T>(self, map: &'a BTreeMap<String, T>, id: &str) -> Answer<&'a T> {
        self.check_form(id)?;
        map.get(id).ok_or_else(|| self.not_found(id))
    }

    /// What a map holds under an id of this kind, to change it.
    pub(super) fn find_mut<'a, T>(
        self,
        map: &'a mut BTreeMap<String, T>,
        id: &str,
    ) -> Answer<&'a mut T> {
        self.check_form(id)?;
        map.get_mut(id).ok_or_else(|| self.not_found(id))
    }
}

/// A prefix, a dash, and 17 hexadecimal digits, or the 8 of old ones.
fn has_form(prefix: &str, id: &str) -> bool {
    let digits = id
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('-'));
    digits.is_some_and(|digits| {
        matches!(digits.len(), 8 | 17)
            && digits
                .bytes()
                .all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
    })
}

impl State {
    /// An ARN of EC2 in this account and region.
    pub fn ec2_arn(&self, owner: &str, path: &str) -> String {
        let partition = super::regions::partition(&self.region);
        format!("arn:{partition}:ec2:{}:{owner}:{path}", self.region)
    }
}

/// A refusal of parameters that exclude each other.
pub(crate) fn combination(text: impl Into<String>) -> Refusal {
    Refusal::new("InvalidParameterCombination", text)
}

/// The refusal of a delete that something else stands in the way of.
pub(super) fn dependency(what: &str, id: &str) -> Refusal {
    Refusal::new(
        "DependencyViolation",
        format!("The {what} '{id}' has dependencies and cannot be deleted."),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn forms() {
        assert_eq!(Kind::of("vpc-0123456789abcdef0"), Some(Kind::Vpc));
        assert_eq!(Kind::of("sg-01234567"), Some(Kind::SecurityGroup));
        assert_eq!(
            Kind::of("sgr-0123456789abcdef0"),
            Some(Kind::SecurityGroupRule)
        );
        assert_eq!(
            Kind::of("eni-attach-0123456789abcdef0"),
            Some(Kind::Attachment)
        );
        for bad in [
            "vpc-",
            "vpc-012",
            "vpc-0123456789ABCDEF0",
            "x",
            "",
            "vpc-0123456g",
        ] {
            assert_eq!(Kind::of(bad), None, "{bad}");
        }
        let codes = |kind: Kind, id: &str| kind.check_form(id).unwrap_err().code;
        assert_eq!(codes(Kind::Subnet, "subnet-x"), "InvalidSubnetID.Malformed");
        assert_eq!(codes(Kind::NatGateway, "nat-x"), "NatGatewayMalformed");
        assert_eq!(
            codes(Kind::SecurityGroup, "sgr-0123456789abcdef0"),
            "InvalidGroupId.Malformed"
        );
        assert_eq!(Kind::of_type("elastic-ip"), Some(Kind::Address));
    }
}
