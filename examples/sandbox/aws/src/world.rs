//! A small account as Terraform makes it for a cluster on EKS.

use jiff::Timestamp;

use crate::state::{
    Answer, State, acm::NewCertificate, gateway::NewNatGateway, image, instance::NewInstance,
    route53::NewZone, security_group::NewPermission,
};

/// What the account is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// Name of the cluster, in the tags.
    pub cluster_name: String,
    /// Names of public hosted zones.
    pub zones: Vec<String>,
    /// Number of worker instances, spread over the private subnets.
    pub nodes: usize,
    /// Domains with an issued certificate each; the same name with `*.` is in it too.
    pub certificates: Vec<String>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            cluster_name: "sandbox".to_owned(),
            zones: vec!["example.com".to_owned()],
            nodes: 3,
            certificates: vec!["example.com".to_owned()],
        }
    }
}

/// The ids of what was made, in the order in which it was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorldIds {
    /// VPC 10.0.0.0/16.
    pub vpc: String,
    /// Its internet gateway.
    pub internet_gateway: String,
    /// Public subnets, one for each zone, 10.0.0.0/20 and so on.
    pub public_subnets: Vec<String>,
    /// Private subnets, one for each zone, 10.0.48.0/20 and so on.
    pub private_subnets: Vec<String>,
    /// Security group of the nodes.
    pub node_security_group: String,
    /// Instances.
    pub nodes: Vec<String>,
    /// Hosted zone ids.
    pub hosted_zones: Vec<String>,
    /// Certificate ARNs.
    pub certificates: Vec<String>,
}

impl World {
    /// Makes all of it.
    ///
    /// # Errors
    /// When the account refuses, as AWS would: it is not empty, or a name is not valid.
    pub fn build(&self, state: &mut State, now: Timestamp) -> Answer<WorldIds> {
        let owner = format!("kubernetes.io/cluster/{}", self.cluster_name);
        let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let name = |what: &str| tag("Name", &format!("{}-{what}", self.cluster_name));

        let vpc = state.create_vpc("10.0.0.0/16", &[name("vpc")])?;
        let internet_gateway = state.create_internet_gateway(&[name("igw")])?;
        state.attach_internet_gateway(&internet_gateway, &vpc)?;
        let public_table = state.create_route_table(&vpc, &[name("public")])?;
        state.create_route(&public_table, "0.0.0.0/0", &internet_gateway)?;
        let private_table = state.create_route_table(&vpc, &[name("private")])?;

        let mut ids = WorldIds {
            vpc: vpc.clone(),
            internet_gateway,
            ..WorldIds::default()
        };
        let zones: Vec<String> = state
            .availability_zones
            .iter()
            .map(|zone| zone.name.clone())
            .collect();
        for (index, zone) in zones.iter().enumerate() {
            for (public, role) in [
                (true, "kubernetes.io/role/elb"),
                (false, "kubernetes.io/role/internal-elb"),
            ] {
                let third = index * 16 + if public { 0 } else { 48 };
                let what = format!("{}-{zone}", if public { "public" } else { "private" });
                let tags = [name(&what), tag(role, "1"), tag(&owner, "shared")];
                let cidr = format!("10.0.{third}.0/20");
                let subnet = state.create_subnet(&vpc, &cidr, Some(zone), &tags)?;
                let table = if public {
                    &public_table
                } else {
                    &private_table
                };
                state.associate_route_table(table, &subnet)?;
                if public && index == 0 {
                    let gateway = NewNatGateway {
                        subnet_id: subnet.clone(),
                        allocation_id: Some(state.allocate_address(&[name("nat")])?),
                        tags: vec![name("nat")],
                        ..NewNatGateway::default()
                    };
                    let gateway = state.create_nat_gateway(&gateway, now)?;
                    state.nat_gateway_at_once(&gateway);
                    state.create_route(&private_table, "0.0.0.0/0", &gateway)?;
                }
                if public {
                    ids.public_subnets.push(subnet);
                } else {
                    ids.private_subnets.push(subnet);
                }
            }
        }

        let group = state.create_security_group(
            &format!("{}-node", self.cluster_name),
            "EKS node shared security group",
            &vpc,
            &[name("node"), tag(&owner, "owned")],
        )?;
        let among_nodes = NewPermission {
            protocol: "-1".to_owned(),
            groups: vec![(group.clone(), Some("Node to node".to_owned()))],
            ..NewPermission::default()
        };
        state.authorize(&group, false, &[among_nodes], &[])?;
        for (index, subnet) in ids
            .private_subnets
            .iter()
            .cycle()
            .take(self.nodes)
            .enumerate()
        {
            let new = NewInstance {
                image_id: image::FIRST.to_owned(),
                instance_type: Some("m5.large".to_owned()),
                subnet_id: subnet.clone(),
                security_groups: vec![group.clone()],
                tags: vec![name(&format!("node-{index}")), tag(&owner, "owned")],
                ..NewInstance::default()
            };
            ids.nodes.extend(state.run_instances(&new, 1, now)?);
        }
        state.instances_at_once();
        ids.node_security_group = group;

        for zone in &self.zones {
            let new = NewZone {
                name: zone.clone(),
                caller_reference: format!("{}-{zone}", self.cluster_name),
                ..NewZone::default()
            };
            ids.hosted_zones.push(state.create_hosted_zone(new, now)?.0);
        }
        for domain in &self.certificates {
            let new = NewCertificate {
                domain_name: domain.clone(),
                alternative_names: vec![format!("*.{domain}")],
                validation_method: Some("DNS".to_owned()),
                ..NewCertificate::default()
            };
            let arn = state.request_certificate(&new, now)?;
            state.issue_certificate(&arn, now);
            ids.certificates.push(arn);
        }
        Ok(ids)
    }
}
