//! What is others' in the account, and is to stay as it is.

use jiff::Timestamp;
use sandbox_aws::State;
use sandbox_aws::journal::Call;
use sandbox_aws::state::action::NewAction;
use sandbox_aws::state::change_batch::ChangeAction;
use sandbox_aws::state::listener::NewListener;
use sandbox_aws::state::load_balancer::NewLoadBalancer;
use sandbox_aws::state::record_set::RecordSet;
use sandbox_aws::state::registration::NewTarget;
use sandbox_aws::state::target_group::NewTargetGroup;

use crate::support::Scene;

/// A record that somebody made by hand.
const BY_HAND: &str = "hand.example.com";

/// Ids, ARNs and names of what is others'.
#[derive(Debug)]
pub struct Foreign(Vec<String>);

impl Foreign {
    /// Puts two load balancers with all that belongs to them into the account,
    /// one with no marks at all and one of another cluster of ours, and a
    /// record.
    pub fn put(scene: &Scene) -> Self {
        let vpc = &scene.ids.vpc;
        let subnets = &scene.ids.public_subnets;
        let zone = &scene.ids.hosted_zones[0];
        let record = RecordSet {
            name: format!("{BY_HAND}."),
            kind: "A".to_owned(),
            ttl: Some(60),
            values: vec!["192.0.2.7".to_owned()],
            alias: None,
            routing: None,
            health_check_id: None,
        };
        let other = [
            ("elbv2.k8s.aws/cluster".to_owned(), "another".to_owned()),
            ("ingress.k8s.aws/stack".to_owned(), "team/web".to_owned()),
        ];
        scene.aws.state().write(|state, now| {
            let mut all = load_balancer(state, now, "by-hand", (vpc, subnets), &[]);
            all.extend(load_balancer(
                state,
                now,
                "k8s-team-web",
                (vpc, subnets),
                &other,
            ));
            let changes = vec![(ChangeAction::Create, record)];
            state.change_record_sets(zone, changes, None, now).unwrap();
            all.push(BY_HAND.to_owned());
            Self(all)
        })
    }

    /// Fails where a call that changes something names any of it.
    pub fn assert_left_alone(&self, calls: &[Call]) {
        for call in calls {
            for value in call.parameters.values() {
                let named = self.0.iter().find(|id| value.contains(id.as_str()));
                assert!(named.is_none(), "another's {named:?} is touched: {call:#?}");
            }
        }
    }
}

fn load_balancer(
    state: &mut State,
    now: Timestamp,
    name: &str,
    (vpc, subnets): (&str, &[String]),
    tags: &[(String, String)],
) -> Vec<String> {
    let group = state
        .create_security_group(name, "of somebody else", vpc, tags)
        .unwrap();
    let balancer = NewLoadBalancer {
        name: name.to_owned(),
        subnets: subnets.to_vec(),
        security_groups: vec![group.clone()],
        tags: tags.to_vec(),
        ..NewLoadBalancer::default()
    };
    let balancer = state.create_load_balancer(balancer, now).unwrap();
    let targets = NewTargetGroup {
        name: name.to_owned(),
        protocol: Some("HTTP".to_owned()),
        port: Some(80),
        vpc_id: Some(vpc.to_owned()),
        target_type: Some("ip".to_owned()),
        tags: tags.to_vec(),
        ..NewTargetGroup::default()
    };
    let targets = state.create_target_group(&targets).unwrap();
    let target = NewTarget {
        id: "10.0.48.200".to_owned(),
        port: Some(8080),
        ..NewTarget::default()
    };
    state.register_targets(&targets, &[target], now).unwrap();
    let listener = NewListener {
        load_balancer_arn: balancer.clone(),
        protocol: Some("HTTP".to_owned()),
        port: Some(80),
        default_actions: Some(vec![NewAction {
            kind: "forward".to_owned(),
            target_group_arn: Some(targets.clone()),
            ..NewAction::default()
        }]),
        tags: tags.to_vec(),
        ..NewListener::default()
    };
    let listener = state.create_listener(&listener).unwrap();
    vec![group, balancer, targets, listener]
}
