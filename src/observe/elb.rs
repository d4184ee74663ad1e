//! Reads of Elastic Load Balancing: the account-wide listing and all of one
//! group.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use aws_sdk_elasticloadbalancingv2::types as sdk;
use futures::future::try_join_all;

use super::normal;
use crate::aws::{Aws, Class, Error, operations};
use crate::model::spec::{
    Action, Arn, Live, LiveListener, LiveTargetGroup, Observed, Rule, Tags, TargetGroupRef,
};

/// How many resources `DescribeTags` and `DescribeLoadBalancers` take.
pub const CHUNK: usize = 20;

/// Page size of listings; the ceiling of the API.
const PAGE: i32 = 400;

/// All load balancers of the account and region.
pub async fn load_balancers(aws: &Aws) -> Result<Vec<sdk::LoadBalancer>, Error> {
    let mut all = Vec::new();
    let mut marker = None;
    loop {
        let call = aws
            .elb
            .describe_load_balancers()
            .page_size(PAGE)
            .set_marker(marker)
            .send();
        let page = aws.call(&operations::DESCRIBE_LOAD_BALANCERS, call).await?;
        all.extend(page.load_balancers.unwrap_or_default());
        marker = page.next_marker.filter(|m| !m.is_empty());
        if marker.is_none() {
            return Ok(all);
        }
    }
}

/// Load balancers by ARN, at most [`CHUNK`]; one that is not there fails the
/// call.
pub async fn load_balancers_by_arn(
    aws: &Aws,
    arns: &[Arn],
) -> Result<Vec<sdk::LoadBalancer>, Error> {
    let call = aws
        .elb
        .describe_load_balancers()
        .set_load_balancer_arns(Some(arns.iter().map(ToString::to_string).collect()))
        .send();
    let page = aws.call(&operations::DESCRIBE_LOAD_BALANCERS, call).await?;
    Ok(page.load_balancers.unwrap_or_default())
}

/// All target groups of the account and region.
pub async fn target_groups(aws: &Aws) -> Result<Vec<sdk::TargetGroup>, Error> {
    let mut all = Vec::new();
    let mut marker = None;
    loop {
        let call = aws
            .elb
            .describe_target_groups()
            .page_size(PAGE)
            .set_marker(marker)
            .send();
        let page = aws.call(&operations::DESCRIBE_TARGET_GROUPS, call).await?;
        all.extend(page.target_groups.unwrap_or_default());
        marker = page.next_marker.filter(|m| !m.is_empty());
        if marker.is_none() {
            return Ok(all);
        }
    }
}

/// Those of these load balancers that are there.
pub async fn existing_load_balancers(
    aws: &Aws,
    arns: &[Arn],
) -> Result<Vec<sdk::LoadBalancer>, Error> {
    let ask = |arns: Vec<Arn>| async move { load_balancers_by_arn(aws, &arns).await };
    existing(arns, ask).await
}

/// Those of these target groups that are there.
pub async fn existing_target_groups(
    aws: &Aws,
    arns: &[Arn],
) -> Result<Vec<sdk::TargetGroup>, Error> {
    let ask = |arns: Vec<Arn>| async move {
        let call = aws
            .elb
            .describe_target_groups()
            .set_target_group_arns(Some(arns.iter().map(ToString::to_string).collect()))
            .send();
        let page = aws.call(&operations::DESCRIBE_TARGET_GROUPS, call).await?;
        Ok(page.target_groups.unwrap_or_default())
    };
    existing(arns, ask).await
}

/// Asks for things by ARN, [`CHUNK`] in a call. One that is not there fails
/// the call: then one by one.
async fn existing<T, F, Fut>(arns: &[Arn], ask: F) -> Result<Vec<T>, Error>
where
    F: Fn(Vec<Arn>) -> Fut,
    Fut: Future<Output = Result<Vec<T>, Error>>,
{
    let mut found = Vec::new();
    for chunk in arns.chunks(CHUNK) {
        match ask(chunk.to_vec()).await {
            Err(error) if error.class == Class::Gone => {
                for arn in chunk.iter().filter(|_| chunk.len() > 1) {
                    match ask(vec![arn.clone()]).await {
                        Err(error) if error.class == Class::Gone => {}
                        answer => found.extend(answer?),
                    }
                }
            }
            answer => found.extend(answer?),
        }
    }
    Ok(found)
}

/// Tags of resources, in calls of [`CHUNK`] side by side. A resource that is
/// gone meanwhile is left out.
pub async fn tags(aws: &Aws, arns: &[Arn]) -> Result<BTreeMap<Arn, Tags>, Error> {
    let chunks = try_join_all(arns.chunks(CHUNK).map(|chunk| tags_of_chunk(aws, chunk))).await?;
    Ok(chunks.into_iter().flatten().collect())
}

async fn tags_of_chunk(aws: &Aws, arns: &[Arn]) -> Result<Vec<(Arn, Tags)>, Error> {
    let ask = |arns: Vec<Arn>| async move {
        let call = aws
            .elb
            .describe_tags()
            .set_resource_arns(Some(arns.iter().map(ToString::to_string).collect()))
            .send();
        let answer = aws.call(&operations::DESCRIBE_TAGS, call).await?;
        Ok(answer.tag_descriptions.unwrap_or_default())
    };
    let described = existing(arns, ask).await?.into_iter();
    let tags =
        described.filter_map(|d| Some((Arn::from(d.resource_arn()?), normal::tags(d.tags()))));
    Ok(tags.collect())
}

/// Reads all of one group: listeners, rules, certificates and targets of the
/// load balancers and target groups that `held` names, with tags; those of
/// load balancers and target groups that are there `by_name`. Targets of those
/// in `settled` stay as they are. What is gone meanwhile is left out.
pub async fn group(
    aws: &Aws,
    held: &Observed,
    by_name: &BTreeSet<Arn>,
    settled: &BTreeSet<Arn>,
) -> Result<Observed, Error> {
    let targets = held.target_groups.iter().map(|group| async {
        if settled.contains(&group.arn) {
            Ok(Some(group.clone()))
        } else {
            targets(aws, group).await
        }
    });
    let (listeners, targets) = futures::future::try_join(
        try_join_all(held.load_balancers.iter().map(|lb| listeners(aws, &lb.arn))),
        try_join_all(targets),
    )
    .await?;
    let mut observed = Observed {
        load_balancers: Vec::new(),
        target_groups: targets.into_iter().flatten().collect(),
        security_groups: held.security_groups.clone(),
    };
    for (lb, listeners) in held.load_balancers.iter().zip(listeners) {
        if let Some(listeners) = listeners {
            let mut lb = lb.clone();
            lb.listeners = listeners;
            observed.load_balancers.push(lb);
        }
    }
    put_tags(aws, &mut observed, by_name).await?;
    share_arns(&mut observed);
    Ok(observed)
}

/// Has the actions of a group name its target groups by the very ARNs that these
/// have: there are many more rules than target groups.
fn share_arns(observed: &mut Observed) {
    let arns = observed.target_groups.iter().map(|group| group.arn.clone());
    let arns: BTreeSet<Arn> = arns.collect();
    let share = |action: &mut Action| {
        if let Action::Forward(TargetGroupRef::Arn(arn)) = action
            && let Some(shared) = arns.get(arn)
        {
            arn.clone_from(shared);
        }
    };
    let lbs = observed.load_balancers.iter_mut();
    for listener in lbs.flat_map(|lb| lb.listeners.values_mut()) {
        share(&mut listener.spec.default_action);
        for rule in listener.rules.values_mut() {
            share(&mut rule.spec.action);
        }
    }
}

/// Tags of listeners and rules, and of what is there by its name, in as few
/// calls as can be.
async fn put_tags(
    aws: &Aws,
    observed: &mut Observed,
    by_name: &BTreeSet<Arn>,
) -> Result<(), Error> {
    let listeners = observed
        .load_balancers
        .iter()
        .flat_map(|lb| lb.listeners.values());
    let insides =
        listeners.flat_map(|l| std::iter::once(&l.arn).chain(l.rules.values().map(|r| &r.arn)));
    let lbs = observed.load_balancers.iter().map(|lb| &lb.arn);
    let tgs = observed.target_groups.iter().map(|tg| &tg.arn);
    let named = lbs.chain(tgs).filter(|arn| by_name.contains(*arn));
    let arns: Vec<Arn> = named.chain(insides).cloned().collect();
    let mut tags = tags(aws, &arns).await?;
    // One without an answer is gone.
    let there = |arn: &Arn| !by_name.contains(arn) || tags.contains_key(arn);
    observed.load_balancers.retain(|lb| there(&lb.arn));
    observed.target_groups.retain(|tg| there(&tg.arn));
    for group in &mut observed.target_groups {
        if let Some(tags) = tags.remove(&group.arn) {
            group.spec.tags = tags;
        }
    }
    for lb in &mut observed.load_balancers {
        if let Some(tags) = tags.remove(&lb.arn) {
            lb.spec.tags = tags;
        }
    }
    for lb in &mut observed.load_balancers {
        for listener in lb.listeners.values_mut() {
            listener.spec.tags = tags.remove(&listener.arn).unwrap_or_default();
            for rule in listener.rules.values_mut() {
                rule.spec.tags = tags.remove(&rule.arn).unwrap_or_default();
            }
        }
    }
    Ok(())
}

type Listeners = BTreeMap<u16, LiveListener>;

/// Listeners of a load balancer without tags; `None` when it is gone.
async fn listeners(aws: &Aws, load_balancer: &Arn) -> Result<Option<Listeners>, Error> {
    let mut all = Vec::new();
    let mut marker = None;
    loop {
        let call = aws
            .elb
            .describe_listeners()
            .load_balancer_arn(load_balancer.as_str())
            .page_size(PAGE)
            .set_marker(marker)
            .send();
        let page = match aws.call(&operations::DESCRIBE_LISTENERS, call).await {
            Err(error) if error.class == Class::Gone => return Ok(None),
            page => page?,
        };
        all.extend(page.listeners.unwrap_or_default());
        marker = page.next_marker.filter(|m| !m.is_empty());
        if marker.is_none() {
            break;
        }
    }
    let read = try_join_all(all.iter().map(|l| listener(aws, l))).await?;
    Ok(Some(
        read.into_iter()
            .flatten()
            .map(|l| (l.spec.port, l))
            .collect(),
    ))
}

async fn listener(aws: &Aws, listener: &sdk::Listener) -> Result<Option<LiveListener>, Error> {
    let Some(arn) = listener.listener_arn().map(Arn::from) else {
        return Ok(None);
    };
    let tls = listener.protocol() == Some(&sdk::ProtocolEnum::Https);
    let certificates = async {
        if tls {
            sni_certificates(aws, &arn).await
        } else {
            Ok(BTreeSet::new())
        }
    };
    let read = futures::future::try_join(rules(aws, &arn), certificates).await;
    let (rules, certificates) = match read {
        Err(error) if error.class == Class::Gone => return Ok(None),
        read => read?,
    };
    Ok(
        normal::listener(listener, certificates, Tags::new()).map(|spec| LiveListener {
            arn,
            spec,
            rules,
        }),
    )
}

async fn rules(aws: &Aws, listener: &Arn) -> Result<BTreeMap<u32, Live<Rule>>, Error> {
    let mut all = BTreeMap::new();
    let mut marker = None;
    loop {
        let call = aws
            .elb
            .describe_rules()
            .listener_arn(listener.as_str())
            .page_size(PAGE)
            .set_marker(marker)
            .send();
        let page = aws.call(&operations::DESCRIBE_RULES, call).await?;
        for rule in page.rules() {
            let Some(arn) = rule.rule_arn().map(Arn::from) else {
                continue;
            };
            if let Some((priority, spec)) = normal::rule(rule, Tags::new()) {
                all.insert(priority, Live { arn, spec });
            }
        }
        marker = page.next_marker.filter(|m| !m.is_empty());
        if marker.is_none() {
            return Ok(all);
        }
    }
}

/// The SNI list of a listener; its default certificate is listed too, marked.
async fn sni_certificates(aws: &Aws, listener: &Arn) -> Result<BTreeSet<Arn>, Error> {
    let mut all = BTreeSet::new();
    let mut marker = None;
    loop {
        let call = aws
            .elb
            .describe_listener_certificates()
            .listener_arn(listener.as_str())
            .page_size(PAGE)
            .set_marker(marker)
            .send();
        let page = aws
            .call(&operations::DESCRIBE_LISTENER_CERTIFICATES, call)
            .await?;
        all.extend(
            page.certificates()
                .iter()
                .filter(|c| c.is_default() != Some(true))
                .filter_map(|c| c.certificate_arn().map(Arn::from)),
        );
        marker = page.next_marker.filter(|m| !m.is_empty());
        if marker.is_none() {
            return Ok(all);
        }
    }
}

/// A target group with its targets; `None` when it is gone.
pub async fn targets(aws: &Aws, group: &LiveTargetGroup) -> Result<Option<LiveTargetGroup>, Error> {
    let call = aws
        .elb
        .describe_target_health()
        .target_group_arn(group.arn.as_str())
        .send();
    match aws.call(&operations::DESCRIBE_TARGET_HEALTH, call).await {
        Err(error) if error.class == Class::Gone => Ok(None),
        answer => Ok(Some(LiveTargetGroup {
            targets: normal::targets(answer?.target_health_descriptions()),
            ..group.clone()
        })),
    }
}
