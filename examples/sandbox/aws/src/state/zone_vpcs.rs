//! The VPCs of private hosted zones.

use jiff::Timestamp;

use super::{Answer, HostedZone, Refusal, State, route53::invalid};

/// The quota on VPCs of one zone.
const ASSOCIATION_LIMIT: &str = "vpcs-per-hosted-zone";

impl State {
    /// Checks that a VPC exists in a region, else `InvalidVPCId`.
    pub(super) fn check_zone_vpc(&self, vpc: &str, region: &str) -> Answer<()> {
        if vpc.is_empty() || region.is_empty() {
            return Err(invalid("A VPC needs VPCId and VPCRegion"));
        }
        if region == self.region && self.vpcs.contains_key(vpc) {
            return Ok(());
        }
        let far = self.elsewhere.vpcs.get(vpc);
        if far.is_some_and(|far| far.region == region && far.account == self.account) {
            return Ok(());
        }
        Err(Refusal::new(
            "InvalidVPCId",
            format!("The VPC: {vpc} in region {region} does not exist or is not yours"),
        ))
    }

    /// A VPC sees one zone of a name, else `ConflictingDomainExists`.
    pub(super) fn check_no_namesake(&self, name: &str, vpc: &str, region: &str) -> Answer<()> {
        let namesake = self
            .hosted_zones
            .values()
            .find(|zone| zone.name == name && zone.has_vpc(vpc, region));
        match namesake {
            Some(zone) => Err(Refusal::new(
                "ConflictingDomainExists",
                format!(
                    "The VPC {vpc} in region {region} has already been associated with the hosted zone {} with the same domain name.",
                    zone.id
                ),
            )),
            None => Ok(()),
        }
    }

    /// AssociateVPCWithHostedZone: answers the change id.
    pub fn associate_zone_vpc(
        &mut self,
        id: &str,
        vpc: &str,
        region: &str,
        comment: Option<String>,
        now: Timestamp,
    ) -> Answer<String> {
        let bare = super::route53::bare_id(id);
        if self.elsewhere.hosted_zones.contains_key(bare) {
            // The owner of the zone has to authorize this, and its zone is not ours to change.
            return Err(Refusal::new(
                "NotAuthorizedException",
                format!("The VPC {vpc} is not authorized for the hosted zone {bare}"),
            ));
        }
        let zone = self.hosted_zone(id)?;
        zone.check_idle(now)?;
        if !zone.private {
            return Err(Refusal::new(
                "PublicZoneVPCAssociation",
                format!(
                    "The hosted zone {} is public: no VPC can be associated with it",
                    zone.id
                ),
            ));
        }
        self.check_zone_vpc(vpc, region)?;
        self.check_no_namesake(&zone.name, vpc, region)?;
        let most = self.quotas.limit(ASSOCIATION_LIMIT);
        if zone.vpcs.len() >= most {
            return Err(Refusal::new(
                "LimitsExceeded",
                format!("A hosted zone can be associated with at most {most} VPCs"),
            ));
        }
        let zone = self.zone_to_change(id, now)?;
        zone.vpcs.push((vpc.to_owned(), region.to_owned()));
        zone.vpcs.sort();
        let id = zone.id.clone();
        self.occupy_zone(&id, now);
        Ok(self.add_change(&id, comment, now))
    }

    /// DisassociateVPCFromHostedZone: answers the change id. The last VPC stays.
    pub fn disassociate_zone_vpc(
        &mut self,
        id: &str,
        vpc: &str,
        region: &str,
        comment: Option<String>,
        now: Timestamp,
    ) -> Answer<String> {
        if vpc.is_empty() || region.is_empty() {
            return Err(invalid("A VPC needs VPCId and VPCRegion"));
        }
        let zone = self.zone_to_change(id, now)?;
        if !zone.has_vpc(vpc, region) {
            return Err(Refusal::new(
                "VPCAssociationNotFound",
                format!(
                    "The VPC {vpc} in region {region} is not associated with the hosted zone {}",
                    zone.id
                ),
            ));
        }
        if zone.vpcs.len() == 1 {
            return Err(Refusal::new(
                "LastVPCAssociation",
                format!(
                    "The VPC {vpc} is the last one of the hosted zone {}",
                    zone.id
                ),
            ));
        }
        zone.vpcs.retain(|(id, of)| !(id == vpc && of == region));
        let id = zone.id.clone();
        self.occupy_zone(&id, now);
        Ok(self.add_change(&id, comment, now))
    }

    /// ListHostedZonesByVPC: the private zones of a VPC, by id.
    pub fn zones_of_vpc(&self, vpc: &str, region: &str) -> Answer<Vec<&HostedZone>> {
        if self.check_zone_vpc(vpc, region).is_err() {
            return Err(invalid(format!(
                "The VPC {vpc} in region {region} does not exist or is not yours"
            )));
        }
        let zones = self.hosted_zones.values();
        Ok(zones.filter(|zone| zone.has_vpc(vpc, region)).collect())
    }

    /// CreateVPCAssociationAuthorization; a repeat changes nothing.
    pub fn authorize_zone_vpc(&mut self, id: &str, vpc: &str, region: &str) -> Answer<()> {
        let zone = self.private_zone(id, vpc, region)?;
        zone.authorized.insert((vpc.to_owned(), region.to_owned()));
        Ok(())
    }

    /// DeleteVPCAssociationAuthorization.
    pub fn deauthorize_zone_vpc(&mut self, id: &str, vpc: &str, region: &str) -> Answer<()> {
        let zone = self.private_zone(id, vpc, region)?;
        if !zone.authorized.remove(&(vpc.to_owned(), region.to_owned())) {
            return Err(Refusal::new(
                "VPCAssociationAuthorizationNotFound",
                format!("The VPC {vpc} in region {region} is not authorized for the hosted zone"),
            ));
        }
        Ok(())
    }

    fn private_zone(&mut self, id: &str, vpc: &str, region: &str) -> Answer<&mut HostedZone> {
        let known = self.hosted_zone(id)?;
        if !known.private {
            return Err(invalid(format!(
                "The hosted zone {} is public: no VPC can be authorized for it",
                known.id
            )));
        }
        if region.is_empty() || !vpc.starts_with("vpc-") {
            return Err(Refusal::new(
                "InvalidVPCId",
                format!("The VPC: {vpc} in region {region} is not valid"),
            ));
        }
        let id = known.id.clone();
        self.hosted_zones
            .get_mut(&id)
            .ok_or_else(|| invalid("The hosted zone is gone"))
    }
}

impl HostedZone {
    /// Whether a VPC is associated with the zone.
    pub fn has_vpc(&self, vpc: &str, region: &str) -> bool {
        self.vpcs.iter().any(|(id, of)| id == vpc && of == region)
    }
}
