//! What ten hours of verification cost with a hundred groups, counted at the
//! AWS end. Hours are values here: the memory is told what time it is.

use std::collections::BTreeMap;
use std::time::Duration;

use alb_ingress_controller::model::group::GroupId;
use alb_ingress_controller::model::spec::ObjectName;
use alb_ingress_controller::observe::{Drift, Periods, Tier};
use tokio::time::Instant;

use crate::round_trip::{Bench, cluster_of};

const GROUPS: usize = 100;
const TARGET_GROUPS: usize = 5 * GROUPS;
const HOUR: u64 = 3_600;

fn sum(calls: &BTreeMap<String, u64>) -> u64 {
    calls.values().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_groups_ten_hours_cost_what_is_promised() {
    let mut bench = Bench::start().await;
    bench.simulator.state().write(|state, _| {
        assert!(state.quotas.set("application-load-balancers", GROUPS));
    });
    let names: Vec<String> = (0..GROUPS).map(|n| format!("g{n:02}")).collect();
    let group = |name: &String| GroupId::Implicit(ObjectName::new("shop", name));
    let groups: Vec<GroupId> = names.iter().map(group).collect();
    let snapshot = cluster_of(&bench.ids.certificates[0], &names);
    bench.make(&groups, &snapshot).await;

    bench.restart_with(Periods {
        fast: Some(Duration::from_mins(5)),
        tag: Some(Duration::from_hours(1)),
        slow: Some(Duration::from_hours(10)),
        target: Some(Duration::from_hours(10)),
        network: Some(Duration::from_mins(10)),
    });
    bench.memory.facts().await.unwrap();
    for group in &groups {
        bench.memory.recall(group).await.unwrap();
    }
    bench.calls();

    let begun = Instant::now();
    let mut total = BTreeMap::new();
    let mut by_tier: BTreeMap<Tier, Vec<u64>> = BTreeMap::new();
    // From the first one on, which comes after five minutes.
    let mut end = HOUR;
    for second in 0.. {
        if second == end {
            break;
        }
        let drift = bench
            .memory
            .verify_tick(begun + Duration::from_secs(second))
            .await;
        let Drift { read, failed, .. } = &drift;
        assert!(drift.is_empty() && failed.is_empty(), "{drift:?}");
        if read.is_empty() {
            continue;
        }
        if by_tier.is_empty() {
            end = second + 10 * HOUR;
        }
        let calls = bench.calls();
        // A pass costs this much.
        if read == &[Tier::Fast] {
            let fast = [
                ("DescribeLoadBalancers", 1),
                ("DescribeSecurityGroups", 1),
                ("DescribeTargetGroups", 2),
            ];
            assert_eq!(calls, fast.map(|(a, n)| (a.to_owned(), n)).into());
        }
        for tier in read {
            by_tier.entry(*tier).or_default().push(second);
        }
        for (action, count) in calls {
            *total.entry(action).or_default() += count;
        }
    }
    let passes = |tier: Tier| by_tier[&tier].len() as u64;
    assert_eq!(passes(Tier::Fast), 120);
    assert_eq!(passes(Tier::Tag), 10);
    assert_eq!(passes(Tier::Network), 60);
    let close = |count: u64, expected: usize| count.abs_diff(expected as u64) <= 1;
    assert!(close(passes(Tier::Slow), GROUPS), "{}", passes(Tier::Slow));
    let targets = passes(Tier::Target);
    assert!(close(targets, TARGET_GROUPS), "{targets}");
    // One after the other, at even pauses.
    for (tier, pause) in [(Tier::Slow, 360), (Tier::Target, 72)] {
        for pair in by_tier[&tier].windows(2) {
            assert!(
                (pair[1] - pair[0]).abs_diff(pause) <= 1,
                "{tier:?} {pair:?}"
            );
        }
    }

    // Everything once: listeners, the rules of each of two, the certificates of
    // one, and the tags of twelve.
    let groups = passes(Tier::Slow);
    let expected = [
        ("DescribeLoadBalancers", 120),
        ("DescribeTargetGroups", 2 * 120),
        ("DescribeSecurityGroups", 120),
        ("GetResources", 18 * 10),
        ("DescribeListeners", groups),
        ("DescribeRules", 2 * groups),
        ("DescribeListenerCertificates", groups),
        ("DescribeTags", groups),
        ("DescribeTargetHealth", targets),
        ("DescribeVpcs", 60),
        ("DescribeSubnets", 60),
        ("DescribeRouteTables", 60),
        ("DescribeAvailabilityZones", 60),
    ];
    assert_eq!(total, expected.map(|(a, n)| (a.to_owned(), n)).into());
    // A thousand groups cost ten times as much at most, which is less than a
    // call in a second.
    assert!(10 * sum(&total) < 10 * HOUR, "{total:#?}");
}
