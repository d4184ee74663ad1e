//! The predefined TLS policies and the account's limits.

use super::Paging;
use crate::{
    state::{Answer, Refusal, State, ssl_policy},
    wire::{params::Input, xml::Xml},
};

pub fn handle(action: &str, input: &Input, state: &State) -> Option<Answer<Xml>> {
    Some(match action {
        "DescribeSSLPolicies" => policies(input),
        "DescribeAccountLimits" => limits(input, state),
        _ => return None,
    })
}

fn policies(input: &Input) -> Answer<Xml> {
    let names = input.texts("Names");
    let kind = input.text("LoadBalancerType");
    let paging = Paging::read(input, 400)?;
    input.done()?;
    if let Some(kind) = kind.as_deref()
        && !["application", "network", "gateway"].contains(&kind)
    {
        return Err(Refusal::validation(format!(
            "The load balancer type '{kind}' is not valid"
        )));
    }
    let types = ssl_policy::LOAD_BALANCER_TYPES;
    let policies = ssl_policy::described(&names)?
        .into_iter()
        .zip(1..)
        .filter(|_| kind.as_deref().is_none_or(|kind| types.contains(&kind)));
    // The order is AWS's own, so that a page ends at a position.
    let page = paging.cut(policies, |(_, position): &(_, u32)| {
        format!("{position:04}")
    })?;
    let mut xml = Xml::default();
    xml.list("SslPolicies", "member", page.items, |xml, (policy, _)| {
        xml.texts("SslProtocols", "member", &policy.protocols);
        xml.list(
            "Ciphers",
            "member",
            policy.ciphers.iter().zip(1..),
            |xml, (cipher, priority)| {
                xml.leaf("Name", cipher).leaf("Priority", priority);
            },
        );
        xml.leaf("Name", &policy.name);
        xml.texts("SupportedLoadBalancerTypes", "member", types);
    });
    xml.maybe("NextMarker", page.next);
    Ok(xml)
}

fn limits(input: &Input, state: &State) -> Answer<Xml> {
    let paging = Paging::read(input, 400)?;
    input.done()?;
    let limits = state.quotas.account_limits().zip(1..);
    let page = paging.cut(limits, |(_, position): &(_, u32)| format!("{position:04}"))?;
    let mut xml = Xml::default();
    xml.list("Limits", "member", page.items, |xml, ((name, most), _)| {
        xml.leaf("Name", name).leaf("Max", most);
    });
    xml.maybe("NextMarker", page.next);
    Ok(xml)
}
