//! The account that is measured, made call by call as a client makes it.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::client::{Connection, Requests, texts};

/// Target groups of a load balancer.
const GROUPS: usize = 5;

/// Rules of a load balancer, beside the default one.
const RULES: usize = 10;

/// Targets of a target group.
const TARGETS: usize = 2;

/// Connections that make the account.
const MAKERS: usize = 8;

const ELB: &str = "elasticloadbalancing";

/// What was made, by ARN.
#[derive(Debug, Default)]
pub struct World {
    /// One for each load balancer, in no order but that of its list.
    pub balancers: Vec<Balancer>,
}

/// A load balancer and what belongs to it.
#[derive(Debug, Default)]
pub struct Balancer {
    pub name: String,
    pub arn: String,
    pub listener: String,
    pub groups: Vec<String>,
    pub rules: Vec<String>,
    /// `ADDRESS:PORT` of the targets of its groups, [`TARGETS`] for each.
    pub targets: Vec<String>,
}

impl World {
    /// Makes an account with this many load balancers, each with a listener,
    /// five target groups of two addresses and ten rules; answers how many
    /// calls it took.
    ///
    /// # Errors
    /// A call is refused.
    pub async fn make(endpoint: SocketAddr, balancers: usize) -> anyhow::Result<(Self, usize)> {
        let requests = Requests::to(endpoint);
        let mut connection = Connection::open(endpoint).await?;
        let quotas = format!(
            r#"{{"timing": {{"health_scale": 1.0}}, "quotas": {{
                "application-load-balancers": {balancers}, "target-groups": {},
                "network-interfaces": {}}}}}"#,
            balancers * GROUPS,
            balancers * 2 + 100,
        );
        connection
            .ask(&requests.sim("POST", "config", &quotas))
            .await?;
        let mut maker = Maker {
            connection,
            requests,
            network: Arc::default(),
            calls: 0,
        };
        maker.network = Arc::new(maker.network().await?);
        let mut makers = JoinSet::new();
        for first in 0..MAKERS.min(balancers) {
            let mut maker = Maker {
                connection: Connection::open(endpoint).await?,
                requests: maker.requests.clone(),
                network: maker.network.clone(),
                calls: 0,
            };
            makers.spawn(async move {
                let mut made = Vec::new();
                for number in (first..balancers).step_by(MAKERS) {
                    made.push(maker.balancer(number).await?);
                }
                anyhow::Ok((made, maker.calls))
            });
        }
        let (mut world, mut calls) = (Self::default(), maker.calls);
        while let Some(made) = makers.join_next().await {
            let (made, took) = made.context("a maker has ended early")??;
            world.balancers.extend(made);
            calls += took;
        }
        Ok((world, calls))
    }

    /// How many target groups there are.
    pub fn groups(&self) -> usize {
        let groups = self.balancers.iter().map(|balancer| balancer.groups.len());
        groups.sum()
    }

    /// How many rules there are, without default ones.
    pub fn rules(&self) -> usize {
        let rules = self.balancers.iter().map(|balancer| balancer.rules.len());
        rules.sum()
    }
}

/// Where load balancers and targets are.
#[derive(Debug, Default)]
struct Network {
    vpc: String,
    subnets: Vec<String>,
}

struct Maker {
    connection: Connection,
    requests: Requests,
    network: Arc<Network>,
    calls: usize,
}

impl Maker {
    /// Calls, and reads the texts of elements of the answer.
    async fn call(
        &mut self,
        service: &str,
        parameters: &[(&str, &str)],
        element: &str,
    ) -> anyhow::Result<Vec<String>> {
        self.calls += 1;
        let request = self.requests.form(service, parameters);
        Ok(texts(self.connection.ask(&request).await?, element))
    }

    /// Calls what makes one thing: the first text of an element of the answer.
    async fn make(
        &mut self,
        service: &str,
        parameters: &[(&str, &str)],
        element: &str,
    ) -> anyhow::Result<String> {
        let made = self.call(service, parameters, element).await?;
        made.into_iter()
            .next()
            .with_context(|| format!("no {element} in the answer to {parameters:?}"))
    }

    async fn network(&mut self) -> anyhow::Result<Network> {
        let vpc = [("Action", "CreateVpc"), ("CidrBlock", "10.0.0.0/16")];
        let vpc = self.make("ec2", &vpc, "vpcId").await?;
        let mut subnets = Vec::new();
        // Targets are in a range that no load balancer takes an address of.
        for (cidr, zone) in [
            ("10.0.0.0/18", "us-west-2a"),
            ("10.0.64.0/18", "us-west-2b"),
            ("10.0.128.0/17", "us-west-2a"),
        ] {
            let subnet = [
                ("Action", "CreateSubnet"),
                ("VpcId", &vpc),
                ("CidrBlock", cidr),
                ("AvailabilityZone", zone),
            ];
            subnets.push(self.make("ec2", &subnet, "subnetId").await?);
        }
        subnets.truncate(2);
        Ok(Network { vpc, subnets })
    }

    async fn balancer(&mut self, number: usize) -> anyhow::Result<Balancer> {
        let network = self.network.clone();
        let name = format!("bench-{number}");
        let mut made = Balancer {
            name: name.clone(),
            ..Balancer::default()
        };
        let balancer = [
            ("Action", "CreateLoadBalancer"),
            ("Name", &name),
            ("Scheme", "internal"),
            ("Subnets.member.1", &network.subnets[0]),
            ("Subnets.member.2", &network.subnets[1]),
            ("Tags.member.1.Key", "cluster"),
            ("Tags.member.1.Value", "bench"),
            ("Tags.member.2.Key", "Name"),
            ("Tags.member.2.Value", &name),
        ];
        made.arn = self.make(ELB, &balancer, "LoadBalancerArn").await?;
        for index in 0..GROUPS {
            let name = format!("{name}-{index}");
            let group = [
                ("Action", "CreateTargetGroup"),
                ("Name", &name),
                ("Protocol", "HTTP"),
                ("Port", "8080"),
                ("TargetType", "ip"),
                ("VpcId", &network.vpc),
                ("Tags.member.1.Key", "cluster"),
                ("Tags.member.1.Value", "bench"),
                ("Tags.member.2.Key", "Name"),
                ("Tags.member.2.Value", &name),
            ];
            let arn = self.make(ELB, &group, "TargetGroupArn").await?;
            let first = (number * GROUPS + index) * TARGETS;
            let addresses: Vec<String> = (first..first + TARGETS).map(address).collect();
            let targets = [
                ("Action", "RegisterTargets"),
                ("TargetGroupArn", &arn),
                ("Targets.member.1.Id", &addresses[0]),
                ("Targets.member.2.Id", &addresses[1]),
            ];
            self.call(ELB, &targets, "RequestId").await?;
            made.groups.push(arn);
            let targets = addresses.iter().map(|address| format!("{address}:8080"));
            made.targets.extend(targets);
        }
        let listener = [
            ("Action", "CreateListener"),
            ("LoadBalancerArn", &made.arn),
            ("Protocol", "HTTP"),
            ("Port", "80"),
            ("DefaultActions.member.1.Type", "forward"),
            ("DefaultActions.member.1.TargetGroupArn", &made.groups[0]),
        ];
        made.listener = self.make(ELB, &listener, "ListenerArn").await?;
        for index in 0..RULES {
            let (priority, path) = ((index + 1).to_string(), format!("/{index}/*"));
            let rule = [
                ("Action", "CreateRule"),
                ("ListenerArn", &made.listener),
                ("Priority", &priority),
                ("Conditions.member.1.Field", "path-pattern"),
                ("Conditions.member.1.Values.member.1", &path),
                ("Conditions.member.2.Field", "host-header"),
                ("Conditions.member.2.Values.member.1", "*.example.com"),
                ("Actions.member.1.Type", "forward"),
                (
                    "Actions.member.1.TargetGroupArn",
                    &made.groups[index % GROUPS],
                ),
            ];
            made.rules.push(self.make(ELB, &rule, "RuleArn").await?);
        }
        Ok(made)
    }
}

/// The address of a target, in 10.0.128.0/17.
fn address(number: usize) -> String {
    // The first addresses of a subnet are AWS's own.
    let number = number + 16;
    format!("10.0.{}.{}", 128 + number / 256 % 128, number % 256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_distinct() {
        let all: std::collections::BTreeSet<String> = (0..10_000).map(address).collect();
        assert_eq!(all.len(), 10_000);
        assert!(all.iter().all(|address| address.starts_with("10.0.")));
    }
}
