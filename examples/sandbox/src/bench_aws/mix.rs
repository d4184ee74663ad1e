//! The calls that are measured: 90 in 100 describe 1 to 20 things, 9 are about
//! tags and health, 1 is a full page of a list.

use super::client::{Requests, texts};
use super::world::{Balancer, World};

/// A repeatable source of numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Draws(u64);

impl Draws {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which is above 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let drawn = (u128::from(z) * bound as u128) >> 64;
        usize::try_from(drawn).unwrap_or_default()
    }
}

/// The kinds of calls, with how many of 100 are of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    LoadBalancers,
    TargetGroups,
    GroupsOfLoadBalancer,
    Listeners,
    Rules,
    RulesOfListener,
    Tags,
    Health,
    AddTags,
    PageOfLoadBalancers,
    PageOfTargetGroups,
}

impl Kind {
    /// All kinds with their weights, in percent.
    pub const ALL: [(Self, usize); 11] = [
        (Self::LoadBalancers, 20),
        (Self::TargetGroups, 20),
        (Self::GroupsOfLoadBalancer, 10),
        (Self::Listeners, 10),
        (Self::Rules, 20),
        (Self::RulesOfListener, 10),
        (Self::Tags, 4),
        (Self::Health, 4),
        (Self::AddTags, 1),
        // Half a percent each: one of the two is drawn.
        (Self::PageOfLoadBalancers, 1),
        (Self::PageOfTargetGroups, 0),
    ];

    /// A kind, as often as its weight says.
    pub fn draw(draws: &mut Draws) -> Self {
        let mut at = draws.below(100);
        for (kind, weight) in Self::ALL {
            if at < weight {
                return match kind {
                    Self::PageOfLoadBalancers if draws.below(2) == 0 => Self::PageOfTargetGroups,
                    kind => kind,
                };
            }
            at -= weight;
        }
        Self::LoadBalancers
    }
}

/// A request, and what its answer holds.
pub struct Drawn {
    pub request: Vec<u8>,
    /// Element of the answer that stands once for each thing.
    element: &'static str,
    things: usize,
}

impl Drawn {
    /// Says what is wrong with the body of the answer.
    pub fn complaint(&self, body: &[u8]) -> Option<String> {
        let found = texts(body, self.element).len();
        (found != self.things).then(|| {
            let request = String::from_utf8_lossy(&self.request);
            let body = String::from_utf8_lossy(body);
            format!(
                "{found} {}, not {}, in {body}\nto {request}",
                self.element, self.things
            )
        })
    }
}

/// Makes a call of a kind about things of the world.
pub fn draw(kind: Kind, world: &World, requests: &Requests, draws: &mut Draws) -> Drawn {
    let count = 1 + draws.below(20);
    let (action, list, element) = match kind {
        Kind::LoadBalancers => (
            "DescribeLoadBalancers",
            "LoadBalancerArns",
            "LoadBalancerArn",
        ),
        Kind::TargetGroups => ("DescribeTargetGroups", "TargetGroupArns", "TargetGroupName"),
        Kind::Rules => ("DescribeRules", "RuleArns", "RuleArn"),
        Kind::Tags => ("DescribeTags", "ResourceArns", "ResourceArn"),
        _ => return draw_other(kind, world, requests, draws),
    };
    let balancers = consecutive(world, count, draws).into_iter();
    let arns: Vec<&str> = match kind {
        Kind::LoadBalancers => balancers.map(|balancer| balancer.arn.as_str()).collect(),
        Kind::Rules => balancers.filter_map(|b| one(&b.rules, draws)).collect(),
        _ => balancers.filter_map(|b| one(&b.groups, draws)).collect(),
    };
    let names: Vec<String> = (1..=arns.len())
        .map(|number| format!("{list}.member.{number}"))
        .collect();
    let mut parameters = vec![("Action", action)];
    parameters.extend(names.iter().map(String::as_str).zip(arns.iter().copied()));
    Drawn {
        request: requests.form("elasticloadbalancing", &parameters),
        element,
        things: arns.len(),
    }
}

fn draw_other(kind: Kind, world: &World, requests: &Requests, draws: &mut Draws) -> Drawn {
    let balancer = &world.balancers[draws.below(world.balancers.len())];
    let group = one(&balancer.groups, draws).unwrap_or_default();
    let value = draws.below(1_000_000).to_string();
    let page = |all: usize| all.min(400);
    let (parameters, element, things) = match kind {
        Kind::GroupsOfLoadBalancer => (
            vec![
                ("Action", "DescribeTargetGroups"),
                ("LoadBalancerArn", &balancer.arn),
            ],
            "TargetGroupName",
            balancer.groups.len(),
        ),
        Kind::Listeners => (
            vec![
                ("Action", "DescribeListeners"),
                ("LoadBalancerArn", &balancer.arn),
            ],
            "ListenerArn",
            1,
        ),
        Kind::RulesOfListener => (
            vec![
                ("Action", "DescribeRules"),
                ("ListenerArn", &balancer.listener),
            ],
            "RuleArn",
            balancer.rules.len() + 1,
        ),
        Kind::Health => (
            vec![
                ("Action", "DescribeTargetHealth"),
                ("TargetGroupArn", group),
            ],
            "Port",
            balancer.targets.len() / balancer.groups.len(),
        ),
        Kind::AddTags => (
            vec![
                ("Action", "AddTags"),
                ("ResourceArns.member.1", group),
                ("Tags.member.1.Key", "changed"),
                ("Tags.member.1.Value", &value),
            ],
            "RequestId",
            1,
        ),
        Kind::PageOfTargetGroups => (
            vec![("Action", "DescribeTargetGroups"), ("PageSize", "400")],
            "TargetGroupName",
            page(world.groups()),
        ),
        _ => (
            vec![("Action", "DescribeLoadBalancers"), ("PageSize", "400")],
            "LoadBalancerArn",
            page(world.balancers.len()),
        ),
    };
    Drawn {
        request: requests.form("elasticloadbalancing", &parameters),
        element,
        things,
    }
}

/// Some load balancers from a random one on.
fn consecutive<'a>(world: &'a World, count: usize, draws: &mut Draws) -> Vec<&'a Balancer> {
    let all = &world.balancers;
    let first = draws.below(all.len());
    let places = (first..first + count.min(all.len())).map(|at| at % all.len());
    places.map(|at| &all[at]).collect()
}

fn one<'a>(all: &'a [String], draws: &mut Draws) -> Option<&'a str> {
    let at = draws.below(all.len().max(1));
    all.get(at).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_is_as_it_is_said() {
        let weights = Kind::ALL.map(|(_, weight)| weight);
        assert_eq!(weights[..6].iter().sum::<usize>(), 90);
        assert_eq!(weights[6..9].iter().sum::<usize>(), 9);
        assert_eq!(weights[9..].iter().sum::<usize>(), 1);
        let mut draws = Draws::new(7);
        let mut counts = [0_usize; Kind::ALL.len()];
        for _ in 0..100_000 {
            let drawn = Kind::draw(&mut draws);
            for (count, (kind, _)) in counts.iter_mut().zip(Kind::ALL) {
                *count += usize::from(kind == drawn);
            }
        }
        assert!((19_000..21_000).contains(&counts[0]), "{counts:?}");
        assert!((350..650).contains(&counts[9]), "{counts:?}");
        assert!((350..650).contains(&counts[10]), "{counts:?}");
    }

    #[test]
    fn draws_are_repeatable_and_bounded() {
        let draw = || {
            let mut draws = Draws::new(1);
            (0..100).map(|_| draws.below(3)).collect::<Vec<_>>()
        };
        assert_eq!(draw(), draw());
        assert!(draw().iter().all(|drawn| *drawn < 3));
        assert!((0..3).all(|wanted| draw().contains(&wanted)));
    }
}
