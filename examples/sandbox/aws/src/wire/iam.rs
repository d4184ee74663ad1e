//! IAM, as far as load balancers need it: server certificates.

use jiff::Timestamp;

use super::{
    page::Paging,
    params::Input,
    xml::{Xml, time},
};
use crate::state::{
    Answer, State,
    acm::Pem,
    server_certificate::{NewServerCertificate, ServerCertificate},
};

/// Carries out an action; `None` when the service does not have it.
pub fn handle(
    action: &str,
    input: &Input,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Xml>> {
    Some(match action {
        "UploadServerCertificate" => upload(input, state, now),
        "GetServerCertificate" => get(input, state),
        "ListServerCertificates" => list(input, state),
        "UpdateServerCertificate" => update(input, state),
        "DeleteServerCertificate" => delete(input, state),
        "TagServerCertificate" => tag(input, state),
        "UntagServerCertificate" => untag(input, state),
        "ListServerCertificateTags" => list_tags(input, state),
        _ => return None,
    })
}

fn write(xml: &mut Xml, certificate: &ServerCertificate) {
    xml.leaf("Path", &certificate.path)
        .leaf("ServerCertificateName", &certificate.name)
        .leaf("ServerCertificateId", &certificate.id)
        .leaf("Arn", &certificate.arn)
        .leaf("UploadDate", time(certificate.uploaded))
        .leaf("Expiration", time(certificate.expiration));
}

fn write_tags(xml: &mut Xml, state: &State, id: &str) {
    let tags = state.tags.get(id).into_iter().flatten();
    xml.list("Tags", "member", tags, |xml, (key, value)| {
        xml.leaf("Key", key).leaf("Value", value);
    });
}

fn upload(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let new = NewServerCertificate {
        name: input.need("ServerCertificateName")?,
        path: input.text("Path"),
        pem: Pem {
            certificate: input.need("CertificateBody")?,
            private_key: input.need("PrivateKey")?,
            chain: input.text("CertificateChain"),
        },
        tags: input.pairs("Tags")?,
    };
    input.done()?;
    let name = state.upload_server_certificate(new, now)?;
    let certificate = state.server_certificate(&name)?;
    let mut xml = Xml::default();
    xml.nest("ServerCertificateMetadata", |xml| write(xml, certificate));
    if state
        .tags
        .get(&certificate.id)
        .is_some_and(|tags| !tags.is_empty())
    {
        write_tags(&mut xml, state, &certificate.id);
    }
    Ok(xml)
}

fn get(input: &Input, state: &State) -> Answer<Xml> {
    let name = input.need("ServerCertificateName")?;
    input.done()?;
    let certificate = state.server_certificate(&name)?;
    let mut xml = Xml::default();
    xml.nest("ServerCertificate", |xml| {
        xml.nest("ServerCertificateMetadata", |xml| write(xml, certificate));
        xml.leaf("CertificateBody", certificate.pem.certificate.trim())
            .maybe(
                "CertificateChain",
                certificate.pem.chain.as_deref().map(str::trim),
            );
        write_tags(xml, state, &certificate.id);
    });
    Ok(xml)
}

fn list(input: &Input, state: &State) -> Answer<Xml> {
    let prefix = input.text("PathPrefix").unwrap_or_else(|| "/".to_owned());
    let paging = Paging::read(input, "MaxItems", "Marker", 100)?;
    input.done()?;
    let found = state.server_certificates_below(&prefix);
    let page = paging.cut(input, found, |certificate| {
        certificate.name.to_ascii_lowercase()
    })?;
    let mut xml = Xml::default();
    xml.list("ServerCertificateMetadataList", "member", page.items, write);
    xml.leaf("IsTruncated", page.next.is_some())
        .maybe("Marker", page.next.as_ref());
    Ok(xml)
}

fn update(input: &Input, state: &mut State) -> Answer<Xml> {
    let name = input.need("ServerCertificateName")?;
    let (path, new) = (
        input.text("NewPath"),
        input.text("NewServerCertificateName"),
    );
    input.done()?;
    state.update_server_certificate(&name, path, new)?;
    Ok(Xml::default())
}

fn delete(input: &Input, state: &mut State) -> Answer<Xml> {
    let name = input.need("ServerCertificateName")?;
    input.done()?;
    state.delete_server_certificate(&name)?;
    Ok(Xml::default())
}

fn tag(input: &Input, state: &mut State) -> Answer<Xml> {
    let name = input.need("ServerCertificateName")?;
    let tags = input.pairs("Tags")?;
    input.done()?;
    state.tag_server_certificate(&name, &tags)?;
    Ok(Xml::default())
}

fn untag(input: &Input, state: &mut State) -> Answer<Xml> {
    let name = input.need("ServerCertificateName")?;
    let keys = input.texts("TagKeys");
    input.done()?;
    state.untag_server_certificate(&name, &keys)?;
    Ok(Xml::default())
}

fn list_tags(input: &Input, state: &State) -> Answer<Xml> {
    let name = input.need("ServerCertificateName")?;
    let paging = Paging::read(input, "MaxItems", "Marker", 100)?;
    input.done()?;
    let id = &state.server_certificate(&name)?.id;
    let tags = state.tags.get(id).into_iter().flatten();
    let page = paging.cut(input, tags, |(key, _)| (*key).clone())?;
    let mut xml = Xml::default();
    xml.list("Tags", "member", page.items, |xml, (key, value)| {
        xml.leaf("Key", key).leaf("Value", value);
    });
    xml.leaf("IsTruncated", page.next.is_some())
        .maybe("Marker", page.next.as_ref());
    Ok(xml)
}
