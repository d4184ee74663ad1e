//! Load balancers: how they are made, found and deleted. Changes are in
//! `load_balancer_change`, network interfaces in `load_balancer_interface`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    Answer, Refusal, State, Transition, arn,
    capacity::CapacityReservation,
    listener::Listener,
    load_balancer_attributes,
    placement::{SubnetMapping, Wanted, ZoneAddresses, check_address_type, check_name},
    regions::{canonical_zone, network_zone},
};

/// Type of a load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadBalancerKind {
    /// Application Load Balancer.
    Application,
    /// Network Load Balancer.
    Network,
}

impl LoadBalancerKind {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Network => "network",
        }
    }

    /// The word in ARNs.
    fn family(self) -> &'static str {
        match self {
            Self::Application => "app",
            Self::Network => "net",
        }
    }
}

/// Who can reach a load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Public addresses; the VPC needs an internet gateway.
    InternetFacing,
    /// Private addresses only.
    Internal,
}

impl Scheme {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InternetFacing => "internet-facing",
            Self::Internal => "internal",
        }
    }
}

/// `State.Code` of a load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadBalancerState {
    /// Made, not serving yet.
    Provisioning,
    /// Serving.
    Active,
}

impl LoadBalancerState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Active => "active",
        }
    }
}

/// A load balancer with all that hangs on it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadBalancer {
    /// `arn:…:loadbalancer/app/NAME/ID`, with `net` for Network Load Balancers.
    pub arn: String,
    /// Application or network.
    pub kind: LoadBalancerKind,
    /// Name, unique in account and region.
    pub name: String,
    /// `[internal-]NAME-DIGITS.REGION.elb.amazonaws.com` for Application and
    /// `NAME-ID.elb.REGION.amazonaws.com` for Network Load Balancers, in the
    /// name's letter case.
    pub dns_name: String,
    /// Zone id for Route 53 aliases, one per region and type.
    pub canonical_hosted_zone_id: String,
    /// When it was made.
    pub created: Timestamp,
    /// Public or private.
    pub scheme: Scheme,
    /// VPC of its subnets.
    pub vpc_id: String,
    /// Provisioning or active.
    pub state: LoadBalancerState,
    /// Enabled zones: zone name to subnet id.
    pub subnets: BTreeMap<String, String>,
    /// Addresses of a Network Load Balancer that were asked for, by zone name.
    pub addresses: BTreeMap<String, ZoneAddresses>,
    /// Attached security groups; a Network Load Balancer may have none.
    pub security_groups: BTreeSet<String>,
    /// Whether the rules of its security groups hold for PrivateLink; only on
    /// Network Load Balancers.
    pub private_link_rules: bool,
    /// `ipv4`, `dualstack` or `dualstack-without-public-ipv4`.
    pub ip_address_type: String,
    /// Whether IPv6 prefixes are used for source NAT; only on Network Load
    /// Balancers.
    pub source_nat: bool,
    /// Pool of customer-owned addresses.
    pub customer_owned_pool: Option<String>,
    /// IPAM pool out of which its public addresses come.
    pub ipam_pool: Option<String>,
    /// Every attribute that its type has, defaults included.
    pub attributes: BTreeMap<String, String>,
    /// Reserved capacity.
    pub capacity: Option<CapacityReservation>,
    /// When its reservation was made smaller.
    pub capacity_decreases: Vec<Timestamp>,
    /// Listeners by port.
    pub listeners: BTreeMap<u16, Listener>,
}

/// What CreateLoadBalancer asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewLoadBalancer {
    /// Name.
    pub name: String,
    /// Type; `application` if not given.
    pub kind: Option<String>,
    /// Subnet ids; either these or mappings.
    pub subnets: Vec<String>,
    /// Subnets with addresses.
    pub mappings: Vec<SubnetMapping>,
    /// Security groups; if empty, an Application Load Balancer gets the VPC's
    /// default one.
    pub security_groups: Vec<String>,
    /// Scheme; public if not given.
    pub scheme: Option<String>,
    /// Address type; `ipv4` if not given.
    pub ip_address_type: Option<String>,
    /// `on` or `off`; IPv6 prefixes for source NAT.
    pub source_nat: Option<String>,
    /// Pool of customer-owned addresses.
    pub customer_owned_pool: Option<String>,
    /// IPAM pool.
    pub ipam_pool: Option<String>,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

/// The parameters of a new load balancer, parsed.
struct Parsed {
    kind: LoadBalancerKind,
    scheme: Scheme,
    ip_address_type: String,
    source_nat: bool,
    mappings: Vec<SubnetMapping>,
}

impl State {
    /// A load balancer by ARN, or `LoadBalancerNotFound`; an ARN of another
    /// kind is a `ValidationError`.
    pub fn load_balancer(&self, arn: &str) -> Answer<&LoadBalancer> {
        check_kind(arn)?;
        self.load_balancers.get(arn).ok_or_else(|| not_found(arn))
    }

    pub(super) fn load_balancer_mut(&mut self, arn: &str) -> Answer<&mut LoadBalancer> {
        check_kind(arn)?;
        self.load_balancers
            .get_mut(arn)
            .ok_or_else(|| not_found(arn))
    }

    /// The load balancers that a DescribeLoadBalancers call names by ARN or by
    /// name, all if it names none, by ARN. One that does not exist fails the
    /// call.
    pub fn described_load_balancers(
        &self,
        arns: &[String],
        names: &[String],
    ) -> Answer<Vec<&LoadBalancer>> {
        let missing = || {
            Refusal::new(
                "LoadBalancerNotFound",
                "One or more load balancers not found",
            )
        };
        if !arns.is_empty() && !names.is_empty() {
            return Err(Refusal::validation(
                "Load balancer names and load balancer ARNs cannot be specified at the same time",
            ));
        }
        for arn in arns {
            check_kind(arn)?;
        }
        for name in names {
            if name.chars().count() > 32 {
                return Err(Refusal::validation(format!(
                    "The load balancer name '{name}' cannot be longer than '32' characters"
                )));
            }
        }
        if !arns.is_empty() {
            let arns: BTreeSet<&String> = arns.iter().collect();
            return arns
                .into_iter()
                .map(|arn| self.load_balancers.get(arn).ok_or_else(missing))
                .collect();
        }
        let all = self.load_balancers.values();
        if names.is_empty() {
            return Ok(all.collect());
        }
        let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let found: Vec<&LoadBalancer> = all
            .filter(|balancer| names.contains(balancer.name.as_str()))
            .collect();
        if found.len() < names.len() {
            return Err(missing());
        }
        Ok(found)
    }

    /// CreateLoadBalancer: answers the ARN. The same call again answers the
    /// load balancer that exists.
    pub fn create_load_balancer(&mut self, new: NewLoadBalancer, now: Timestamp) -> Answer<String> {
        check_name(&new.name)?;
        let parsed = parse(&new)?;
        let tags = self.checked_tags(&new.tags)?;
        let existing = self
            .load_balancers
            .values()
            .find(|balancer| balancer.name == new.name);
        if let Some(existing) = existing
            && self.is_same(existing, &new, &parsed)
            && self.tags.get(&existing.arn).cloned().unwrap_or_default() == tags
        {
            return Ok(existing.arn.clone());
        }
        let placement = self.place(&Wanted {
            kind: parsed.kind,
            scheme: parsed.scheme,
            ip_address_type: &parsed.ip_address_type,
            source_nat: parsed.source_nat,
            mappings: &parsed.mappings,
            held: None,
        })?;
        self.check_pools(&new, &parsed)?;
        let groups = self.checked_groups(&new.security_groups, parsed.kind, &placement.vpc_id)?;
        if existing.is_some() {
            return Err(Refusal::new(
                "DuplicateLoadBalancerName",
                format!(
                    "A load balancer with the same name '{}' exists, but with different settings",
                    new.name
                ),
            ));
        }
        self.check_balancer_quota(parsed.kind)?;

        let id = self.ids.hex(16);
        let family = parsed.kind.family();
        let arn = self.elb_arn(&format!("loadbalancer/{family}/{}/{id}", new.name));
        let zone = match parsed.kind {
            LoadBalancerKind::Application => canonical_zone(&self.region),
            LoadBalancerKind::Network => network_zone(&self.region),
        };
        let balancer = LoadBalancer {
            arn: arn.clone(),
            kind: parsed.kind,
            dns_name: self.balancer_name(&parsed, &new.name, &id),
            name: new.name,
            canonical_hosted_zone_id: zone.to_owned(),
            created: now,
            scheme: parsed.scheme,
            vpc_id: placement.vpc_id,
            state: LoadBalancerState::Provisioning,
            subnets: placement.subnets,
            addresses: placement.addresses,
            private_link_rules: true,
            security_groups: groups,
            ip_address_type: parsed.ip_address_type,
            source_nat: parsed.source_nat,
            customer_owned_pool: new.customer_owned_pool,
            ipam_pool: new.ipam_pool,
            attributes: load_balancer_attributes::initial(parsed.kind, parsed.scheme),
            capacity: None,
            capacity_decreases: Vec::new(),
            listeners: BTreeMap::new(),
        };
        for zone in balancer.subnets.keys() {
            self.add_balancer_interface(&balancer, zone);
        }
        self.load_balancers.insert(arn.clone(), balancer);
        self.tags.insert(arn.clone(), tags);
        self.schedule(
            now,
            self.timing.provisioning_ms,
            Transition::LoadBalancerActive(arn.clone()),
        );
        Ok(arn)
    }

    /// The name that a new load balancer gets in DNS.
    fn balancer_name(&mut self, parsed: &Parsed, name: &str, id: &str) -> String {
        let suffix = self.dns_suffix();
        let region = self.region.clone();
        match (parsed.kind, parsed.scheme) {
            (LoadBalancerKind::Network, _) => format!("{name}-{id}.elb.{region}.{suffix}"),
            (LoadBalancerKind::Application, scheme) => {
                let prefix = match scheme {
                    Scheme::Internal => "internal-",
                    Scheme::InternetFacing => "",
                };
                let digits = self.ids.digits(10);
                format!("{prefix}{name}-{digits}.{region}.elb.{suffix}")
            }
        }
    }

    fn check_balancer_quota(&self, kind: LoadBalancerKind) -> Answer<()> {
        let quota = format!("{}-load-balancers", kind.as_str());
        let held = self
            .load_balancers
            .values()
            .filter(|balancer| balancer.kind == kind)
            .count();
        if held >= self.quotas.limit(&quota) {
            return Err(Refusal::new(
                "TooManyLoadBalancers",
                "The maximum number of load balancers has been reached",
            ));
        }
        Ok(())
    }

    /// Whether a load balancer is what a CreateLoadBalancer call asks for, tags
    /// apart.
    fn is_same(&self, existing: &LoadBalancer, new: &NewLoadBalancer, parsed: &Parsed) -> bool {
        let groups = self.checked_groups(&new.security_groups, existing.kind, &existing.vpc_id);
        let same_zones = parsed.mappings.len() == existing.subnets.len()
            && parsed.mappings.iter().all(|mapping| {
                existing
                    .subnets
                    .iter()
                    .find(|(_, subnet)| **subnet == mapping.subnet_id)
                    .is_some_and(|(zone, _)| {
                        let none = ZoneAddresses::default();
                        existing.addresses.get(zone).unwrap_or(&none).fit(mapping)
                    })
            });
        existing.kind == parsed.kind
            && existing.scheme == parsed.scheme
            && existing.ip_address_type == parsed.ip_address_type
            && existing.source_nat == parsed.source_nat
            && existing.customer_owned_pool == new.customer_owned_pool
            && existing.ipam_pool == new.ipam_pool
            && same_zones
            && groups.is_ok_and(|groups| groups == existing.security_groups)
    }

    fn check_pools(&self, new: &NewLoadBalancer, parsed: &Parsed) -> Answer<()> {
        let refuse = |text: String| Err(Refusal::new("InvalidConfigurationRequest", text));
        if let Some(pool) = &new.customer_owned_pool {
            if parsed.kind == LoadBalancerKind::Network {
                return refuse(
                    "A customer-owned address pool cannot be specified for load balancers of type 'network'"
                        .to_owned(),
                );
            }
            if !self.outside.has_coip_pool(pool) {
                return refuse(format!(
                    "The customer-owned address pool '{pool}' does not exist"
                ));
            }
        }
        match &new.ipam_pool {
            Some(pool) => self.check_ipam_pool(parsed.kind, parsed.scheme, pool),
            None => Ok(()),
        }
    }

    /// Whether a load balancer can take its addresses out of an IPAM pool.
    pub(super) fn check_ipam_pool(
        &self,
        kind: LoadBalancerKind,
        scheme: Scheme,
        pool: &str,
    ) -> Answer<()> {
        let refuse = |text: String| Err(Refusal::new("InvalidConfigurationRequest", text));
        if kind == LoadBalancerKind::Network || scheme == Scheme::Internal {
            return refuse(
                "IPAM pools can only be used by internet-facing load balancers of type 'application'"
                    .to_owned(),
            );
        }
        if !self.outside.has_ipam_pool(pool) {
            return refuse(format!("The IPAM pool '{pool}' does not exist"));
        }
        Ok(())
    }

    /// DeleteLoadBalancer: one that is unknown counts as deleted. Its listeners
    /// and rules go with it, its target groups stay.
    pub fn delete_load_balancer(&mut self, arn: &str, now: Timestamp) -> Answer<()> {
        check_kind(arn)?;
        let Some(balancer) = self.load_balancers.get(arn) else {
            return Ok(());
        };
        if load_balancer_attributes::is_protected(&balancer.attributes) {
            return Err(Refusal::new(
                "OperationNotPermitted",
                format!(
                    "Load balancer '{arn}' cannot be deleted because deletion protection is enabled"
                ),
            ));
        }
        let target_of = self
            .target_groups
            .values()
            .find(|group| group.targets.keys().any(|target| target.id == arn));
        if let Some(group) = target_of {
            return Err(Refusal::new(
                "ResourceInUse",
                format!(
                    "Load balancer '{arn}' is currently a target of target group '{}'",
                    group.arn
                ),
            ));
        }
        let listeners: Vec<String> = balancer.listeners.values().map(|l| l.arn.clone()).collect();
        for listener in listeners {
            self.delete_listener(&listener)?;
        }
        self.load_balancers.remove(arn);
        self.tags.remove(arn);
        let interfaces = self.interfaces_of_balancer(arn);
        self.let_go_of(&interfaces, now);
        Ok(())
    }
}

fn parse(new: &NewLoadBalancer) -> Answer<Parsed> {
    let kind = match new.kind.as_deref() {
        None | Some("application") => LoadBalancerKind::Application,
        Some("network") => LoadBalancerKind::Network,
        Some("gateway") => {
            return Err(Refusal::new(
                "OperationNotPermitted",
                "Load balancers of type 'gateway' are not available to this account",
            ));
        }
        Some(other) => {
            return Err(Refusal::validation(format!(
                "The load balancer type '{other}' is not valid"
            )));
        }
    };
    let scheme = match new.scheme.as_deref() {
        None | Some("internet-facing") => Scheme::InternetFacing,
        Some("internal") => Scheme::Internal,
        Some(other) => {
            return Err(Refusal::new(
                "InvalidScheme",
                format!("The scheme '{other}' is not valid"),
            ));
        }
    };
    let ip_address_type = new
        .ip_address_type
        .clone()
        .unwrap_or_else(|| "ipv4".to_owned());
    check_address_type(kind, scheme, &ip_address_type)?;
    let mappings = SubnetMapping::all(&new.subnets, &new.mappings)?;
    let source_nat = source_nat(kind, &ip_address_type, new.source_nat.as_deref())?;
    Ok(Parsed {
        kind,
        scheme,
        ip_address_type,
        source_nat: source_nat.unwrap_or(false),
        mappings,
    })
}

/// What `EnablePrefixForIpv6SourceNat` asks for.
pub(super) fn source_nat(
    kind: LoadBalancerKind,
    ip_address_type: &str,
    word: Option<&str>,
) -> Answer<Option<bool>> {
    let refuse = |text: &str| Err(Refusal::new("InvalidConfigurationRequest", text));
    match word {
        None => Ok(None),
        Some(_) if kind == LoadBalancerKind::Application => refuse(
            "IPv6 prefixes for source NAT are not supported for load balancers of type 'application'",
        ),
        Some("on") if ip_address_type != "dualstack" => {
            refuse("The IP address type must be 'dualstack' to use IPv6 prefixes for source NAT")
        }
        Some("on") => Ok(Some(true)),
        Some("off") => Ok(Some(false)),
        Some(other) => Err(Refusal::validation(format!(
            "The value '{other}' for the IPv6 prefixes for source NAT must be 'on' or 'off'"
        ))),
    }
}

fn check_kind(arn: &str) -> Answer<()> {
    if arn::kind(arn) == Some(arn::Kind::LoadBalancer) {
        return Ok(());
    }
    Err(Refusal::validation(format!(
        "'{arn}' is not a valid load balancer ARN"
    )))
}

fn not_found(arn: &str) -> Refusal {
    Refusal::new(
        "LoadBalancerNotFound",
        format!("Load balancer '{arn}' not found"),
    )
}
