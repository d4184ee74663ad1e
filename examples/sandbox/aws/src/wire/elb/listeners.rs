//! Operations on listeners, their certificates and policies.

use super::{Paging, actions, nothing, shapes};
use crate::{
    state::{
        Answer, Listener, Refusal, State,
        listener::NewListener,
        listener_tls::{
            IdentityFilter, MutualAuthentication, NewMutualAuthentication, Verification,
        },
    },
    wire::{params::Input, xml::Xml},
};

pub fn handle(action: &str, input: &Input, state: &mut State) -> Option<Answer<Xml>> {
    Some(match action {
        "CreateListener" => create(input, state),
        "DescribeListeners" => describe(input, state),
        "ModifyListener" => modify(input, state),
        "DeleteListener" => delete(input, state),
        "DescribeListenerAttributes" => describe_attributes(input, state),
        "ModifyListenerAttributes" => modify_attributes(input, state),
        "AddListenerCertificates" => add_certificates(input, state),
        "RemoveListenerCertificates" => remove_certificates(input, state),
        "DescribeListenerCertificates" => describe_certificates(input, state),
        _ => return None,
    })
}

/// What CreateListener and ModifyListener have in common.
fn read(input: &Input) -> Answer<NewListener> {
    let certificates = if input.has("Certificates") {
        Some(read_certificates(input)?)
    } else {
        None
    };
    let default_actions = if input.has("DefaultActions") {
        Some(actions::read(input, "DefaultActions")?)
    } else {
        None
    };
    let mutual_authentication = if input.has("MutualAuthentication") {
        Some(read_mutual(&input.part("MutualAuthentication"))?)
    } else {
        None
    };
    Ok(NewListener {
        load_balancer_arn: String::new(),
        protocol: input.text("Protocol"),
        port: input.number("Port")?,
        ssl_policy: input.text("SslPolicy"),
        certificates,
        alpn_policy: input.has("AlpnPolicy").then(|| input.texts("AlpnPolicy")),
        mutual_authentication,
        default_actions,
        tags: Vec::new(),
    })
}

fn read_mutual(mutual: &Input) -> Answer<NewMutualAuthentication> {
    let mut identity_filters = Vec::new();
    for filter in mutual.list("ClientCertificateIdentityFilters") {
        // There is no other action.
        filter.need("Action")?;
        identity_filters.push(IdentityFilter {
            field: filter.need("Field")?,
            match_type: filter.need("MatchType")?,
            value: filter.need("Value")?,
        });
    }
    Ok(NewMutualAuthentication {
        mode: mutual.text("Mode"),
        trust_store_arn: mutual.text("TrustStoreArn"),
        ignore_expiry: mutual.flag("IgnoreClientCertificateExpiry")?,
        advertise_names: mutual.text("AdvertiseTrustStoreCaNames"),
        identity_filters,
    })
}

fn read_certificates(input: &Input) -> Answer<Vec<(String, Option<bool>)>> {
    input
        .list("Certificates")
        .iter()
        .map(|part| Ok((part.need("CertificateArn")?, part.flag("IsDefault")?)))
        .collect()
}

fn create(input: &Input, state: &mut State) -> Answer<Xml> {
    let new = NewListener {
        load_balancer_arn: input.need("LoadBalancerArn")?,
        tags: input.pairs("Tags")?,
        ..read(input)?
    };
    input.done()?;
    if new.default_actions.is_none() {
        input.need("DefaultActions")?;
    }
    let arn = state.create_listener(&new)?;
    Ok(answer(state.listener(&arn)?))
}

fn modify(input: &Input, state: &mut State) -> Answer<Xml> {
    let arn = input.need("ListenerArn")?;
    let new = read(input)?;
    input.done()?;
    state.modify_listener(&arn, &new)?;
    Ok(answer(state.listener(&arn)?))
}

fn answer(listener: &Listener) -> Xml {
    let mut xml = Xml::default();
    xml.list("Listeners", "member", [listener], write);
    xml
}

fn write(xml: &mut Xml, listener: &Listener) {
    xml.leaf("ListenerArn", &listener.arn)
        .leaf("LoadBalancerArn", &listener.load_balancer_arn)
        .leaf("Port", listener.port)
        .leaf("Protocol", listener.protocol.as_str());
    if listener.protocol.is_secure() {
        xml.list(
            "Certificates",
            "member",
            &listener.certificate,
            |xml, arn| {
                xml.leaf("CertificateArn", arn);
            },
        );
        xml.maybe("SslPolicy", listener.ssl_policy.as_ref());
    }
    if listener.alpn_policy.is_some() {
        xml.texts("AlpnPolicy", "member", &listener.alpn_policy);
    }
    if let Some(mutual) = &listener.mutual_authentication {
        xml.nest("MutualAuthentication", |xml| {
            xml.leaf("Mode", mutual.mode());
            if let MutualAuthentication::Verify(verification) = mutual {
                write_verification(xml, verification);
            }
        });
    }
    actions::write(xml, "DefaultActions", &listener.default_actions);
}

fn write_verification(xml: &mut Xml, verification: &Verification) {
    let advertise = if verification.advertise_names {
        "on"
    } else {
        "off"
    };
    xml.leaf("TrustStoreArn", &verification.trust_store_arn)
        .leaf("IgnoreClientCertificateExpiry", verification.ignore_expiry)
        .leaf("TrustStoreAssociationStatus", "active")
        .leaf("AdvertiseTrustStoreCaNames", advertise);
    if !verification.identity_filters.is_empty() {
        xml.list(
            "ClientCertificateIdentityFilters",
            "member",
            &verification.identity_filters,
            |xml, filter| {
                xml.leaf("Field", &filter.field)
                    .leaf("Action", "accept")
                    .leaf("MatchType", &filter.match_type)
                    .leaf("Value", &filter.value);
            },
        );
    }
}

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    let balancer = input.text("LoadBalancerArn");
    let arns = input.texts("ListenerArns");
    let paging = Paging::read(input, 400)?;
    input.done()?;
    let listeners: Vec<&Listener> = match (&balancer, arns.is_empty()) {
        (Some(arn), true) => state.load_balancer(arn)?.listeners.values().collect(),
        (None, false) => arns
            .iter()
            .map(|arn| state.listener(arn))
            .collect::<Answer<_>>()?,
        _ => {
            return Err(Refusal::validation(
                "You must specify either listener ARNs or a load balancer ARN",
            ));
        }
    };
    let mut listeners = listeners;
    listeners.sort_by(|a, b| a.arn.cmp(&b.arn));
    let page = paging.cut(listeners, |listener| listener.arn.clone())?;
    let mut xml = Xml::default();
    xml.list("Listeners", "member", page.items, write);
    xml.maybe("NextMarker", page.next);
    Ok(xml)
}

fn delete(input: &Input, state: &mut State) -> Answer<Xml> {
    let arn = input.need("ListenerArn")?;
    input.done()?;
    nothing(state.delete_listener(&arn))
}

fn describe_attributes(input: &Input, state: &State) -> Answer<Xml> {
    let arn = input.need("ListenerArn")?;
    input.done()?;
    let mut xml = Xml::default();
    shapes::write_attributes(&mut xml, &state.listener(&arn)?.attributes);
    Ok(xml)
}

fn modify_attributes(input: &Input, state: &mut State) -> Answer<Xml> {
    let arn = input.need("ListenerArn")?;
    let changes = shapes::read_attributes(input)?;
    input.done()?;
    state.modify_listener_attributes(&arn, &changes)?;
    let mut xml = Xml::default();
    shapes::write_attributes(&mut xml, &state.listener(&arn)?.attributes);
    Ok(xml)
}

fn add_certificates(input: &Input, state: &mut State) -> Answer<Xml> {
    let arn = input.need("ListenerArn")?;
    let certificates = read_certificates(input)?;
    input.done()?;
    state.add_listener_certificate(&arn, &certificates)?;
    let list = &state.listener(&arn)?.sni_certificates;
    let mut xml = Xml::default();
    xml.list("Certificates", "member", list, |xml, arn| {
        xml.leaf("CertificateArn", arn).leaf("IsDefault", false);
    });
    Ok(xml)
}

fn remove_certificates(input: &Input, state: &mut State) -> Answer<Xml> {
    let arn = input.need("ListenerArn")?;
    let certificates = read_certificates(input)?;
    input.done()?;
    nothing(state.remove_listener_certificate(&arn, &certificates))
}

fn describe_certificates(input: &Input, state: &State) -> Answer<Xml> {
    let arn = input.need("ListenerArn")?;
    let paging = Paging::read(input, 400)?;
    input.done()?;
    let listener = state.listener(&arn)?;
    let default = listener.certificate.iter().map(|arn| (arn, true));
    let others = listener.sni_certificates.iter().map(|arn| (arn, false));
    // The default one has the least key, so that it comes first on the first page.
    let page = paging.cut(default.chain(others), |(arn, default)| {
        format!("{}{arn}", u8::from(!*default))
    })?;
    let mut xml = Xml::default();
    xml.list(
        "Certificates",
        "member",
        page.items,
        |xml, (arn, default)| {
            xml.leaf("CertificateArn", arn).leaf("IsDefault", default);
        },
    );
    xml.maybe("NextMarker", page.next);
    Ok(xml)
}
