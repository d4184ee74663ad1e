//! The VPCs of private hosted zones.

use jiff::Timestamp;

use super::{
    Answer, HostedZone, Refusal, State,
    route53::{bare_id, invalid},
};

/// The quota on VPCs of one zone.
const ASSOCIATION_LIMIT: &str = "vpcs-per-hosted-zone";

/// A private zone as its VPC sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneOfVpc {
    /// Id without prefix.
    pub id: String,
    /// Name in stored form.
    pub name: String,
    /// Account of the zone.
    pub owner: String,
}

/// An association of a VPC with a zone of another account, for its owner to
/// carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FarAssociation {
    zone: String,
    vpc: (String, String),
    associated: bool,
}

impl State {
    /// Checks that a VPC exists in a region, else `InvalidVPCId`.
    pub(super) fn check_zone_vpc(&self, vpc: &str, region: &str) -> Answer<()> {
        if vpc.is_empty() || region.is_empty() {
            return Err(invalid("A VPC needs VPCId and VPCRegion"));
        }
        if region == self.region && self.vpcs.contains_key(vpc) {
            return Ok(());
        }
        if self.elsewhere.has_vpc(&self.account, region, vpc) {
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
            Some(zone) => Err(conflict(vpc, region, &zone.id)),
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
        if let Some(far) = self.far_zone(id) {
            let (far, bare) = (far.clone(), bare_id(id).to_owned());
            self.check_far_association(&bare, &far, vpc, region)?;
            return Ok(self.ask_owner(&bare, vpc, region, true, comment, now));
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
        let far = self.far_zone(id).map(|far| far.vpcs.clone());
        if let Some(vpcs) = far {
            // Who owns the VPC may take it away as well as who owns the zone.
            self.check_zone_vpc(vpc, region)?;
            check_leaving(&vpcs, bare_id(id), vpc, region)?;
            return Ok(self.ask_owner(bare_id(id), vpc, region, false, comment, now));
        }
        let zone = self.zone_to_change(id, now)?;
        check_leaving(&zone.vpcs, &zone.id, vpc, region)?;
        zone.vpcs.retain(|(id, of)| !(id == vpc && of == region));
        let id = zone.id.clone();
        self.occupy_zone(&id, now);
        Ok(self.add_change(&id, comment, now))
    }

    /// ListHostedZonesByVPC: the private zones of a VPC, also those of other
    /// accounts, by id.
    pub fn zones_of_vpc(&self, vpc: &str, region: &str) -> Answer<Vec<ZoneOfVpc>> {
        if self.check_zone_vpc(vpc, region).is_err() {
            return Err(invalid(format!(
                "The VPC {vpc} in region {region} does not exist or is not yours"
            )));
        }
        let own = self.hosted_zones.values();
        let own = own
            .filter(|zone| zone.has_vpc(vpc, region))
            .map(|zone| ZoneOfVpc {
                id: zone.id.clone(),
                name: zone.name.clone(),
                owner: self.account.clone(),
            });
        let far = self.elsewhere.hosted_zones();
        let far = far
            .filter(|(_, zone)| zone.has_vpc(vpc, region))
            .map(|(account, zone)| ZoneOfVpc {
                id: zone.id.clone(),
                name: zone.name.clone(),
                owner: account.to_owned(),
            });
        let mut zones: Vec<ZoneOfVpc> = own.chain(far).collect();
        zones.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(zones)
    }

    /// A zone of another account.
    fn far_zone(&self, id: &str) -> Option<&HostedZone> {
        let id = bare_id(id);
        let far = self.elsewhere.hosted_zone(id);
        far.filter(|_| !self.hosted_zones.contains_key(id))
            .map(|(_, zone)| zone)
    }

    /// Whether a VPC of ours may be associated with a zone of another account.
    fn check_far_association(
        &self,
        id: &str,
        far: &HostedZone,
        vpc: &str,
        region: &str,
    ) -> Answer<()> {
        let authorized = far
            .authorized
            .contains(&(vpc.to_owned(), region.to_owned()));
        if !authorized || !far.private {
            return Err(Refusal::new(
                "NotAuthorizedException",
                format!("The VPC {vpc} is not authorized for the hosted zone {id}"),
            ));
        }
        self.check_zone_vpc(vpc, region)?;
        self.check_no_namesake(&far.name, vpc, region)?;
        if far.has_vpc(vpc, region) {
            return Err(conflict(vpc, region, id));
        }
        Ok(())
    }

    /// Has the owner of a zone change it; answers the change id.
    fn ask_owner(
        &mut self,
        zone: &str,
        vpc: &str,
        region: &str,
        associated: bool,
        comment: Option<String>,
        now: Timestamp,
    ) -> String {
        self.asked_of_others.push(FarAssociation {
            zone: zone.to_owned(),
            vpc: (vpc.to_owned(), region.to_owned()),
            associated,
        });
        self.add_change(zone, comment, now)
    }

    /// Carries out what another account may ask for.
    pub(crate) fn take_association(&mut self, asked: &FarAssociation) {
        if let Some(zone) = self.hosted_zones.get_mut(&asked.zone) {
            zone.vpcs.retain(|vpc| *vpc != asked.vpc);
            if asked.associated {
                zone.vpcs.push(asked.vpc.clone());
                zone.vpcs.sort();
            }
        }
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

fn conflict(vpc: &str, region: &str, zone: &str) -> Refusal {
    Refusal::new(
        "ConflictingDomainExists",
        format!(
            "The VPC {vpc} in region {region} has already been associated with the hosted zone {zone} with the same domain name."
        ),
    )
}

/// Whether a VPC can leave a zone: it is there, and not the last one.
fn check_leaving(vpcs: &[(String, String)], zone: &str, vpc: &str, region: &str) -> Answer<()> {
    if !vpcs.iter().any(|(id, of)| id == vpc && of == region) {
        return Err(Refusal::new(
            "VPCAssociationNotFound",
            format!(
                "The VPC {vpc} in region {region} is not associated with the hosted zone {zone}"
            ),
        ));
    }
    if vpcs.len() == 1 {
        return Err(Refusal::new(
            "LastVPCAssociation",
            format!("The VPC {vpc} is the last one of the hosted zone {zone}"),
        ));
    }
    Ok(())
}
