//! Operations on trust stores and on resource policies.

use jiff::Timestamp;

use super::{Paging, nothing};
use crate::{
    state::{Answer, Refusal, State, TrustStore, arn, outside::Object, trust_store::Revocation},
    wire::{params::Input, xml::Xml},
};

pub fn handle(
    action: &str,
    input: &Input,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Xml>> {
    Some(match action {
        "CreateTrustStore" => create(input, state, now),
        "DescribeTrustStores" => describe(input, state),
        "ModifyTrustStore" => modify(input, state),
        "DeleteTrustStore" => delete(input, state),
        "AddTrustStoreRevocations" => add_revocations(input, state),
        "RemoveTrustStoreRevocations" => remove_revocations(input, state),
        "DescribeTrustStoreRevocations" => describe_revocations(input, state),
        "DescribeTrustStoreAssociations" => associations(input, state),
        "DeleteSharedTrustStoreAssociation" => delete_association(input, state),
        "GetTrustStoreCaCertificatesBundle" => bundle(input, state, now),
        "GetTrustStoreRevocationContent" => revocation_content(input, state, now),
        "GetResourcePolicy" => resource_policy(input),
        _ => return None,
    })
}

/// The bundle that CreateTrustStore and ModifyTrustStore name.
fn read_bundle(input: &Input) -> Answer<Object> {
    Ok(Object {
        bucket: input.need("CaCertificatesBundleS3Bucket")?,
        key: input.need("CaCertificatesBundleS3Key")?,
        version: input.text("CaCertificatesBundleS3ObjectVersion"),
    })
}

fn create(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let name = input.need("Name")?;
    let source = read_bundle(input)?;
    let tags = input.pairs("Tags")?;
    input.done()?;
    let arn = state.create_trust_store(&name, source, &tags, now)?;
    answer(state, &arn)
}

fn modify(input: &Input, state: &mut State) -> Answer<Xml> {
    let arn = input.need("TrustStoreArn")?;
    let source = read_bundle(input)?;
    input.done()?;
    state.modify_trust_store(&arn, source)?;
    answer(state, &arn)
}

fn answer(state: &State, arn: &str) -> Answer<Xml> {
    let store = state.trust_store(arn)?;
    let mut xml = Xml::default();
    xml.list("TrustStores", "member", [store], write);
    Ok(xml)
}

fn write(xml: &mut Xml, store: &TrustStore) {
    xml.leaf("Name", &store.name)
        .leaf("TrustStoreArn", &store.arn)
        .leaf("Status", store.status.as_str())
        .leaf("NumberOfCaCertificates", store.certificates)
        .leaf("TotalRevokedEntries", store.revoked_entries());
}

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    let arns = input.texts("TrustStoreArns");
    let names = input.texts("Names");
    let paging = Paging::read(input, 400)?;
    input.done()?;
    if !arns.is_empty() && !names.is_empty() {
        return Err(Refusal::validation(
            "Trust store names and trust store ARNs cannot be specified at the same time",
        ));
    }
    for arn in &arns {
        state.trust_store(arn)?;
    }
    let known = |name: &String| state.trust_stores.values().any(|s| s.name == *name);
    if !names.iter().all(known) {
        return Err(Refusal::new(
            "TrustStoreNotFound",
            "One or more trust stores not found",
        ));
    }
    let wanted = state.trust_stores.values().filter(|store| {
        (arns.is_empty() || arns.contains(&store.arn))
            && (names.is_empty() || names.contains(&store.name))
    });
    let page = paging.cut(wanted, |store| store.arn.clone())?;
    let mut xml = Xml::default();
    xml.list("TrustStores", "member", page.items, write);
    xml.maybe("NextMarker", page.next);
    Ok(xml)
}

fn delete(input: &Input, state: &mut State) -> Answer<Xml> {
    let arn = input.need("TrustStoreArn")?;
    input.done()?;
    nothing(state.delete_trust_store(&arn))
}

fn write_revocation(xml: &mut Xml, store: &str, id: u64, list: &Revocation) {
    xml.leaf("TrustStoreArn", store)
        .leaf("RevocationId", id)
        .leaf("RevocationType", "CRL")
        .leaf("NumberOfRevokedEntries", list.entries);
}

fn add_revocations(input: &Input, state: &mut State) -> Answer<Xml> {
    let arn = input.need("TrustStoreArn")?;
    let mut sources = Vec::new();
    for content in input.list("RevocationContents") {
        if let Some(kind) = content.text("RevocationType")
            && kind != "CRL"
        {
            return Err(Refusal::validation(format!(
                "The revocation type '{kind}' is not valid"
            )));
        }
        sources.push(Object {
            bucket: content.need("S3Bucket")?,
            key: content.need("S3Key")?,
            version: content.text("S3ObjectVersion"),
        });
    }
    input.done()?;
    let ids = state.add_revocations(&arn, &sources)?;
    let added = state.trust_store(&arn)?.described_revocations(&ids)?;
    let mut xml = Xml::default();
    xml.list(
        "TrustStoreRevocations",
        "member",
        added,
        |xml, (id, list)| {
            write_revocation(xml, &arn, id, list);
        },
    );
    Ok(xml)
}

fn read_ids(input: &Input) -> Answer<Vec<u64>> {
    input
        .texts("RevocationIds")
        .iter()
        .map(|text| {
            text.parse()
                .map_err(|_| Refusal::validation(format!("Revocation ID '{text}' is not valid")))
        })
        .collect()
}

fn remove_revocations(input: &Input, state: &mut State) -> Answer<Xml> {
    let arn = input.need("TrustStoreArn")?;
    let ids = read_ids(input)?;
    input.done()?;
    nothing(state.remove_revocations(&arn, &ids))
}

fn describe_revocations(input: &Input, state: &State) -> Answer<Xml> {
    let arn = input.need("TrustStoreArn")?;
    let ids = read_ids(input)?;
    let paging = Paging::read(input, 400)?;
    input.done()?;
    let lists = state.trust_store(&arn)?.described_revocations(&ids)?;
    let page = paging.cut(lists, |(id, _)| format!("{id:020}"))?;
    let mut xml = Xml::default();
    xml.list(
        "TrustStoreRevocations",
        "member",
        page.items,
        |xml, (id, list)| write_revocation(xml, &arn, id, list),
    );
    xml.maybe("NextMarker", page.next);
    Ok(xml)
}

fn associations(input: &Input, state: &State) -> Answer<Xml> {
    let arn = input.need("TrustStoreArn")?;
    let paging = Paging::read(input, 400)?;
    input.done()?;
    state.trust_store(&arn)?;
    let mut listeners: Vec<&str> = state
        .listeners_of_trust_store(&arn)
        .map(|listener| listener.arn.as_str())
        .collect();
    listeners.sort_unstable();
    let page = paging.cut(listeners, |listener| (*listener).to_owned())?;
    let mut xml = Xml::default();
    xml.list(
        "TrustStoreAssociations",
        "member",
        page.items,
        |xml, listener| {
            xml.leaf("ResourceArn", listener);
        },
    );
    xml.maybe("NextMarker", page.next);
    Ok(xml)
}

fn delete_association(input: &Input, state: &State) -> Answer<Xml> {
    let arn = input.need("TrustStoreArn")?;
    let resource = input.need("ResourceArn")?;
    input.done()?;
    nothing(state.delete_shared_association(&arn, &resource))
}

fn bundle(input: &Input, state: &State, now: Timestamp) -> Answer<Xml> {
    let arn = input.need("TrustStoreArn")?;
    input.done()?;
    let store = state.trust_store(&arn)?;
    Ok(location(state, &format!("{}/bundle", store.arn), now))
}

fn revocation_content(input: &Input, state: &State, now: Timestamp) -> Answer<Xml> {
    let arn = input.need("TrustStoreArn")?;
    let id: u64 = input.need_number("RevocationId")?;
    input.done()?;
    let store = state.trust_store(&arn)?;
    store.revocation(id)?;
    Ok(location(
        state,
        &format!("{}/revocations/{id}", store.arn),
        now,
    ))
}

/// A pre-signed URL of S3, good for ten minutes. What it names lies in a bucket
/// of Elastic Load Balancing itself, so that nothing here can serve it.
fn location(state: &State, object: &str, now: Timestamp) -> Xml {
    let path = object.rsplit(':').next().unwrap_or(object);
    let date = now.strftime("%Y%m%dT%H%M%SZ");
    let region = &state.region;
    let mut xml = Xml::default();
    xml.leaf(
        "Location",
        format!(
            "https://elb-truststore-{region}.s3.{region}.amazonaws.com/{}/{path}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={date}&X-Amz-Expires=600",
            state.account
        ),
    );
    xml
}

/// GetResourcePolicy: nothing is shared between accounts here, so that no
/// resource has a policy.
fn resource_policy(input: &Input) -> Answer<Xml> {
    let arn = input.need("ResourceArn")?;
    input.done()?;
    if arn::kind(&arn).is_none() {
        return Err(Refusal::validation(format!("'{arn}' is not a valid ARN")));
    }
    Err(Refusal::new(
        "ResourceNotFound",
        format!("No resource policy found for '{arn}'"),
    ))
}
