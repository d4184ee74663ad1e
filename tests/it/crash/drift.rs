//! Killed at each write by which verification mends what others changed.

use futures::future::join_all;
use sandbox_aws::State;

use super::blows::BLOWS;
use super::stories::Story;
use super::{Side, Stage};
use crate::support::{Blow, WATCHFUL};

/// Changes by hand a bit of everything that the controller looks after.
fn spoil(state: &mut State) {
    let of_others = |name: &str| ["by-hand", "k8s-team-web"].contains(&name);
    let mut gone = Vec::new();
    for balancer in state.load_balancers.values() {
        if of_others(&balancer.name) {
            continue;
        }
        let listeners = balancer.listeners.values();
        let mut rules = listeners.flat_map(|listener| listener.rules.values());
        gone.extend(rules.next().map(|rule| rule.arn.clone()));
    }
    assert_eq!(gone.len(), 1);
    for rule in gone {
        state.delete_rule(&rule).unwrap();
    }
    let groups = state.target_groups.values_mut();
    for group in groups.filter(|group| !of_others(&group.name)) {
        group.health_check.path = Some("/spoilt".to_owned());
        group.targets.clear();
    }
    let groups = state.security_groups.values_mut();
    for group in groups.filter(|group| group.name.starts_with("k8s-") && !of_others(&group.name)) {
        group.rules.retain(|rule| rule.permission.egress);
    }
    for zone in state.hosted_zones.values_mut() {
        let is_ours = |name: &str| name.starts_with("shop.");
        zone.records.retain(|_, record| !is_ours(&record.name));
    }
}

/// Spoils what was made again and again, each time with a blow at another write
/// of the mends. Answers how many there were.
async fn spoilt(blow: Blow) -> u64 {
    let label = format!("spoilt-{blow:?}").to_lowercase();
    let (mut stage, first) = Stage::set(Story::Made, &label, Side::Aws).await;
    first.kill().await;
    stage.arguments = &WATCHFUL;
    let mut controller = stage.start(&[]);
    stage.wishes[1].utter(&stage.scene).await;
    stage.settled(1, "it is made").await;
    let mut write = 0;
    stage.renew(&mut controller).await;
    let happens = async |stage: &Stage| {
        let state = stage.scene.aws.state();
        state.write(|state, _| spoil(state));
    };
    while stage
        .struck_after(happens, &mut controller, 1, blow, write)
        .await
    {
        write += 1;
        stage.renew(&mut controller).await;
    }
    stage.end().await;
    drop(controller);
    write
}

#[tokio::test(flavor = "multi_thread")]
async fn at_each_write_that_mends_what_others_changed() {
    let met = join_all(BLOWS.map(spoilt)).await;
    assert!(met.iter().all(|met| *met >= 5), "{met:?}");
}
