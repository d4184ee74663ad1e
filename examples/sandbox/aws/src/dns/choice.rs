//! Which of several record sets of one name and type answer: by their routing
//! policy and by their health.
//!
//! Pure. Source: "How Amazon Route 53 chooses records when health checking is
//! configured" and "Choosing a routing policy" of the guide. All clients are in
//! the region of the configured account, and nobody knows in which country.

use std::cmp::Reverse;

use crate::state::health_check::HealthCheckConfig;
use crate::state::route53::RoutingPolicy;
use crate::state::{RecordSet, State};

/// So many values are answered at most for sets of multivalue answers.
const MOST_VALUES: usize = 8;

/// Chooses among sets, of which `healthy` tells whether each may answer. Where
/// none may, all are taken for healthy. `draw` gives a number below its argument.
pub(super) fn chosen<'a>(
    sets: &[&'a RecordSet],
    region: &str,
    healthy: impl Fn(&RecordSet) -> bool,
    draw: &dyn Fn(u32) -> u32,
) -> Vec<&'a RecordSet> {
    let policy = |set: &&RecordSet| set.routing.as_ref().map(|routing| routing.policy.clone());
    let Some(kind) = sets.first().and_then(policy) else {
        return sets.iter().copied().take(1).collect();
    };
    // Who is nowhere gets the default record, or nothing.
    let located = |set: &&&RecordSet| match policy(set) {
        Some(RoutingPolicy::Geolocation { country, .. }) => country.as_deref() == Some("*"),
        _ => true,
    };
    let all: Vec<&RecordSet> = sets.iter().filter(located).copied().collect();
    let fit: Vec<&RecordSet> = all.iter().copied().filter(|set| healthy(set)).collect();
    let fit = if fit.is_empty() { all } else { fit };
    let first = |sets: Vec<&'a RecordSet>| sets.into_iter().take(1).collect();
    match kind {
        RoutingPolicy::Weighted(_) => {
            let weight = |set: &&RecordSet| match policy(set) {
                Some(RoutingPolicy::Weighted(weight)) => u32::from(weight),
                _ => 0,
            };
            weighted(&fit, weight, draw).into_iter().collect()
        }
        RoutingPolicy::MultiValue => {
            let mut left = fit;
            let mut taken = Vec::new();
            while taken.len() < MOST_VALUES && !left.is_empty() {
                // Eight and fewer are all taken, in whatever order.
                let count = u32::try_from(left.len()).unwrap_or(u32::MAX);
                let at = usize::try_from(draw(count)).unwrap_or_default();
                taken.push(left.swap_remove(at.min(left.len() - 1)));
            }
            taken
        }
        RoutingPolicy::Failover(_) => {
            let mut fit = fit;
            fit.sort_by_key(|set| match policy(set) {
                Some(RoutingPolicy::Failover(role)) => role != "PRIMARY",
                _ => true,
            });
            first(fit)
        }
        RoutingPolicy::Latency(_) | RoutingPolicy::Geoproximity(_) => {
            let mut fit = fit;
            fit.sort_by_key(|set| {
                Reverse(match policy(set) {
                    Some(RoutingPolicy::Latency(there)) => there == region,
                    Some(RoutingPolicy::Geoproximity(place)) => {
                        place.region.as_deref() == Some(region)
                    }
                    _ => false,
                })
            });
            first(fit)
        }
        RoutingPolicy::Geolocation { .. } => first(fit),
    }
}

/// One of the sets, by weight. Those of weight 0 answer only where there is no
/// other, and then each as often.
fn weighted<'a>(
    sets: &[&'a RecordSet],
    weight: impl Fn(&&RecordSet) -> u32,
    draw: &dyn Fn(u32) -> u32,
) -> Option<&'a RecordSet> {
    let sum: u32 = sets.iter().map(&weight).sum();
    if sum == 0 {
        let count = u32::try_from(sets.len()).ok().filter(|count| *count > 0)?;
        return sets.get(usize::try_from(draw(count)).ok()?).copied();
    }
    let mut left = draw(sum);
    sets.iter().copied().find(|set| {
        let weight = weight(set);
        let mine = left < weight;
        left = left.saturating_sub(weight);
        mine
    })
}

/// Whether a health check of Route 53 is passed. Endpoints are not asked and
/// count as healthy, so that an inverted check fails; a calculated one counts
/// its children. One that is unknown counts as passed.
pub(super) fn passes(states: &[&State], id: &str, depth: usize) -> bool {
    let found = states.iter().find_map(|state| state.health_checks.get(id));
    let Some(check) = found else {
        return true;
    };
    let HealthCheckConfig {
        kind,
        inverted,
        disabled,
        health_threshold,
        children,
        ..
    } = &check.config;
    let healthy = match (kind.as_str(), depth.checked_sub(1)) {
        _ if *disabled == Some(true) => true,
        ("CALCULATED", Some(depth)) => {
            let healthy = children.iter().filter(|id| passes(states, id, depth));
            let wanted = health_threshold.unwrap_or_default();
            u32::try_from(healthy.count()).unwrap_or(u32::MAX) >= wanted
        }
        _ => true,
    };
    healthy != (*inverted == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::record_set::Routing;

    fn sets(policies: Vec<RoutingPolicy>) -> Vec<RecordSet> {
        let all = policies.into_iter().enumerate();
        all.map(|(number, policy)| RecordSet {
            name: "a.example.com.".to_owned(),
            kind: "A".to_owned(),
            ttl: Some(60),
            values: Vec::new(),
            alias: None,
            routing: Some(Routing {
                set_identifier: number.to_string(),
                policy,
            }),
            health_check_id: None,
        })
        .collect()
    }

    /// The numbers of the sets that answer, where these are not healthy.
    fn answer(policies: Vec<RoutingPolicy>, sick: &[&str], drawn: u32) -> Vec<String> {
        let sets = sets(policies);
        let sets: Vec<&RecordSet> = sets.iter().collect();
        let id = |set: &RecordSet| {
            let routing = set.routing.as_ref();
            routing.map_or_else(String::new, |routing| routing.set_identifier.clone())
        };
        let healthy = |set: &RecordSet| !sick.contains(&id(set).as_str());
        let draw = |below: u32| drawn.min(below - 1);
        let chosen = chosen(&sets, "us-east-1", healthy, &draw);
        chosen.into_iter().map(id).collect()
    }

    #[test]
    fn weights_and_health() {
        for (weighted, sick, drawn, expected) in [
            (&[10, 20, 0][..], &[][..], 0, "0"),
            (&[10, 20, 0], &[], 10, "1"),
            (&[10, 20, 0], &["1"], 9, "0"),
            // Only then those of weight 0 have their turn.
            (&[10, 20, 0], &["0", "1"], 0, "2"),
            // None is healthy: as if all were.
            (&[10, 20, 0], &["0", "1", "2"], 10, "1"),
            (&[0, 0, 0], &[], 2, "2"),
            (&[0, 0, 0], &["0"], 0, "1"),
        ] {
            let policies = weighted.iter().copied().map(RoutingPolicy::Weighted);
            let got = answer(policies.collect(), sick, drawn);
            assert_eq!(got, [expected], "{weighted:?} {sick:?} {drawn}");
        }
    }

    #[test]
    fn other_policies_and_health() {
        let failover = || {
            let roles = ["SECONDARY", "PRIMARY"].into_iter();
            roles.map(|role| RoutingPolicy::Failover(role.to_owned()))
        };
        let near = || {
            let regions = ["eu-west-1", "us-east-1"].into_iter();
            regions.map(|region| RoutingPolicy::Latency(region.to_owned()))
        };
        for (policies, sick, expected) in [
            (failover().collect(), &[][..], "1"),
            (failover().collect(), &["1"], "0"),
            (failover().collect(), &["0", "1"], "1"),
            (near().collect::<Vec<_>>(), &[], "1"),
            (near().collect(), &["1"], "0"),
        ] {
            assert_eq!(answer(policies, sick, 0), [expected], "{sick:?}");
        }
        let many = || vec![RoutingPolicy::MultiValue; 10];
        assert_eq!(answer(many(), &[], 0).len(), 8);
        assert_eq!(answer(many(), &["0", "1", "2"], 0).len(), 7);
        let place = |country: Option<&str>, continent: Option<&str>| RoutingPolicy::Geolocation {
            continent: continent.map(str::to_owned),
            country: country.map(str::to_owned),
            subdivision: None,
        };
        let europe = place(None, Some("EU"));
        let default = place(Some("*"), None);
        assert_eq!(answer(vec![europe.clone(), default], &["1"], 0), ["1"]);
        assert!(answer(vec![europe], &[], 0).is_empty());
    }
}
