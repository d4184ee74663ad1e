//! VPC peering connections.

use super::{Answer, Refusal, State, cidr::overlap, ec2_id::Kind};

/// A VPC peering connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peering {
    /// `pcx-…`.
    pub id: String,
    /// The side that asked for it.
    pub requester: PeerVpc,
    /// The side that was asked.
    pub accepter: PeerVpc,
    /// Status.
    pub status: Status,
}

/// One side of a peering connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerVpc {
    /// VPC.
    pub vpc_id: String,
    /// Account.
    pub owner: String,
    /// Region.
    pub region: String,
    /// Whether its name servers resolve public names of the other side privately.
    pub dns_resolution: bool,
}

/// Status of a peering connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Waits for the other side.
    PendingAcceptance,
    /// Works.
    Active,
    /// Refused by the other side.
    Rejected,
    /// Could never work.
    Failed,
    /// Gone; still shown.
    Deleted,
}

impl Status {
    /// The code on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PendingAcceptance => "pending-acceptance",
            Self::Active => "active",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Deleted => "deleted",
        }
    }

    fn is_open(self) -> bool {
        matches!(self, Self::PendingAcceptance | Self::Active)
    }
}

/// What CreateVpcPeeringConnection asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewPeering {
    /// The own VPC.
    pub vpc_id: String,
    /// The other VPC.
    pub peer_vpc_id: String,
    /// The other account; the own one if absent.
    pub peer_owner: Option<String>,
    /// The other region; the own one if absent.
    pub peer_region: Option<String>,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

impl State {
    /// CreateVpcPeeringConnection; answers the id. VPCs whose ranges overlap
    /// get a connection that has failed.
    pub fn create_peering(&mut self, new: &NewPeering) -> Answer<String> {
        let own = self.vpc(&new.vpc_id)?;
        Kind::Vpc.check_form(&new.peer_vpc_id)?;
        let owner = new
            .peer_owner
            .clone()
            .unwrap_or_else(|| self.account.clone());
        if owner.len() != 12 || !owner.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Refusal::parameter(format!(
                "Value ({owner}) for parameter peerOwnerId is invalid. It must be an account id of 12 digits."
            )));
        }
        let region = new
            .peer_region
            .clone()
            .unwrap_or_else(|| self.region.clone());
        let here = owner == self.account && region == self.region;
        let mut status = Status::PendingAcceptance;
        if here {
            if new.vpc_id == new.peer_vpc_id {
                return Err(Refusal::parameter(
                    "A VPC cannot have a peering connection with itself",
                ));
            }
            let other = self.vpc(&new.peer_vpc_id)?;
            let overlapping = own
                .cidrs
                .iter()
                .any(|a| other.cidrs.iter().any(|b| overlap(a.range, b.range)));
            if overlapping {
                status = Status::Failed;
            }
        }
        let exists = self.peerings.values().any(|peering| {
            let ends = [&peering.requester.vpc_id, &peering.accepter.vpc_id];
            peering.status.is_open()
                && ends.contains(&&new.vpc_id)
                && ends.contains(&&new.peer_vpc_id)
        });
        if exists {
            return Err(Refusal::new(
                "VpcPeeringConnectionAlreadyExists",
                format!(
                    "A VPC peering connection between {} and {} already exists.",
                    new.vpc_id, new.peer_vpc_id
                ),
            ));
        }
        let tags = self.checked_ec2_tags(&new.tags)?;
        let id = self.ids.ec2("pcx");
        let peering = Peering {
            id: id.clone(),
            requester: PeerVpc {
                vpc_id: new.vpc_id.clone(),
                owner: self.account.clone(),
                region: self.region.clone(),
                dns_resolution: false,
            },
            accepter: PeerVpc {
                vpc_id: new.peer_vpc_id.clone(),
                owner,
                region,
                dns_resolution: false,
            },
            status,
        };
        self.peerings.insert(id.clone(), peering);
        self.tags.insert(id.clone(), tags);
        Ok(id)
    }

    /// A peering connection by id, or `InvalidVpcPeeringConnectionID.NotFound`.
    pub fn peering(&self, id: &str) -> Answer<&Peering> {
        Kind::Peering.find(&self.peerings, id)
    }

    /// Moves a connection on, from one of `from`; by the accepter if `accepter`.
    fn move_peering(
        &mut self,
        id: &str,
        from: &[Status],
        to: Status,
        by_accepter: bool,
    ) -> Answer<()> {
        let (account, region) = (self.account.clone(), self.region.clone());
        let peering = Kind::Peering.find_mut(&mut self.peerings, id)?;
        let accepter = &peering.accepter;
        if by_accepter && (accepter.owner != account || accepter.region != region) {
            return Err(Refusal::new(
                "OperationNotPermitted",
                format!(
                    "User {account} cannot act on peering {id}: only the accepter {} in {} can",
                    accepter.owner, accepter.region
                ),
            ));
        }
        if !from.contains(&peering.status) {
            return Err(Refusal::new(
                "InvalidStateTransition",
                format!(
                    "Invalid state transition for {id}, attempted to transition from {} to {}",
                    peering.status.as_str(),
                    to.as_str()
                ),
            ));
        }
        peering.status = to;
        Ok(())
    }

    /// AcceptVpcPeeringConnection.
    pub fn accept_peering(&mut self, id: &str) -> Answer<()> {
        self.move_peering(id, &[Status::PendingAcceptance], Status::Active, true)
    }

    /// RejectVpcPeeringConnection.
    pub fn reject_peering(&mut self, id: &str) -> Answer<()> {
        self.move_peering(id, &[Status::PendingAcceptance], Status::Rejected, true)
    }

    /// DeleteVpcPeeringConnection.
    pub fn delete_peering(&mut self, id: &str) -> Answer<()> {
        let from = [Status::PendingAcceptance, Status::Active];
        self.move_peering(id, &from, Status::Deleted, false)
    }

    /// ModifyVpcPeeringConnectionOptions: DNS resolution of the two sides.
    pub fn modify_peering(
        &mut self,
        id: &str,
        requester: Option<bool>,
        accepter: Option<bool>,
    ) -> Answer<()> {
        let peering = Kind::Peering.find_mut(&mut self.peerings, id)?;
        if peering.status != Status::Active {
            return Err(Refusal::new(
                "OperationNotPermitted",
                format!("The VPC peering connection {id} is not active"),
            ));
        }
        if let Some(on) = requester {
            peering.requester.dns_resolution = on;
        }
        if let Some(on) = accepter {
            peering.accepter.dns_resolution = on;
        }
        Ok(())
    }

    /// Ends the connections of a VPC that is deleted.
    pub(super) fn end_peerings_of(&mut self, vpc_id: &str) {
        for peering in self.peerings.values_mut() {
            let own = peering.requester.vpc_id == vpc_id || peering.accepter.vpc_id == vpc_id;
            if own && peering.status.is_open() {
                peering.status = Status::Deleted;
            }
        }
    }

    /// Whether two VPCs are connected by an active connection.
    pub(super) fn are_peers(&self, a: &str, b: &str) -> bool {
        self.peerings.values().any(|peering| {
            let ends = [
                peering.requester.vpc_id.as_str(),
                peering.accepter.vpc_id.as_str(),
            ];
            peering.status == Status::Active && ends.contains(&a) && ends.contains(&b)
        })
    }

    /// The active connection of a VPC with one of another account.
    pub(super) fn peering_with_account(&self, vpc_id: &str, account: &str) -> Option<&Peering> {
        self.peerings.values().find(|peering| {
            let ends = [&peering.requester, &peering.accepter];
            peering.status == Status::Active
                && ends.iter().any(|end| end.vpc_id == vpc_id)
                && ends
                    .iter()
                    .any(|end| end.vpc_id != vpc_id && end.owner == account)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Timing;

    #[test]
    fn a_connection_between_two_vpcs() {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let a = state.create_vpc("10.0.0.0/16", &[]).unwrap();
        let b = state.create_vpc("10.1.0.0/16", &[]).unwrap();
        let same = state.create_vpc("10.1.128.0/20", &[]).unwrap();
        let new = |to: &str| NewPeering {
            vpc_id: a.clone(),
            peer_vpc_id: to.to_owned(),
            ..NewPeering::default()
        };
        let id = state.create_peering(&new(&b)).unwrap();
        let twice = state.create_peering(&new(&b)).unwrap_err();
        assert_eq!(twice.code, "VpcPeeringConnectionAlreadyExists");
        assert!(!state.are_peers(&a, &b));
        state.accept_peering(&id).unwrap();
        assert!(state.are_peers(&b, &a));
        let again = state.accept_peering(&id).unwrap_err();
        assert_eq!(again.code, "InvalidStateTransition");
        state.delete_peering(&id).unwrap();
        let again = state.delete_peering(&id).unwrap_err();
        assert_eq!(again.code, "InvalidStateTransition");

        let overlapping = NewPeering {
            vpc_id: b.clone(),
            peer_vpc_id: same,
            ..NewPeering::default()
        };
        let id = state.create_peering(&overlapping).unwrap();
        assert_eq!(state.peerings[&id].status, Status::Failed);
        let unknown = state.create_peering(&new("vpc-00000000000000000"));
        assert_eq!(unknown.unwrap_err().code, "InvalidVpcID.NotFound");
        let stranger = NewPeering {
            peer_owner: Some("210987654321".to_owned()),
            ..new("vpc-00000000000000000")
        };
        let id = state.create_peering(&stranger).unwrap();
        let refused = state.accept_peering(&id).unwrap_err();
        assert_eq!(refused.code, "OperationNotPermitted");
    }
}
