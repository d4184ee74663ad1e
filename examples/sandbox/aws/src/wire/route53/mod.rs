//! Route 53: paths and XML bodies in, XML answers out.

mod records;
mod zones;

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    params::{decode_form, percent_decode},
    xml::{Element, Xml, time},
};
use crate::state::{Answer, Change, Refusal, State};

const PREFIX: &str = "/2013-04-01/";
const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";

/// A request that has been matched to an operation.
#[derive(Debug)]
pub struct Request {
    /// The operation.
    pub action: &'static str,
    /// Id of the zone or change in the path, without prefix.
    id: String,
    query: BTreeMap<String, String>,
    body: String,
}

impl Request {
    /// Matches method and path; `None` when no operation has them. Ids may
    /// stand with or without their prefix, also percent-encoded.
    pub fn parse(method: &str, path: &str, query: &str, body: &str) -> Option<Self> {
        let path = percent_decode(path.strip_prefix(PREFIX)?);
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        // `hostedzone//hostedzone/Z1` and `change//change/C1`: the prefix of the id.
        if parts.len() > 2 && parts[0] == parts[1] {
            parts.remove(1);
        }
        let (action, id) = match (method, parts.as_slice()) {
            ("GET", ["hostedzone"]) => ("ListHostedZones", ""),
            ("POST", ["hostedzone"]) => ("CreateHostedZone", ""),
            ("GET", ["hostedzonesbyname"]) => ("ListHostedZonesByName", ""),
            ("GET", ["hostedzone", id]) => ("GetHostedZone", *id),
            ("DELETE", ["hostedzone", id]) => ("DeleteHostedZone", *id),
            ("GET", ["hostedzone", id, "rrset"]) => ("ListResourceRecordSets", *id),
            ("POST", ["hostedzone", id, "rrset"]) => ("ChangeResourceRecordSets", *id),
            ("GET", ["change", id]) => ("GetChange", *id),
            ("GET", ["tags", "hostedzone", id]) => ("ListTagsForResource", *id),
            ("POST", ["tags", "hostedzone", id]) => ("ChangeTagsForResource", *id),
            ("POST", ["tags", "hostedzone"]) => ("ListTagsForResources", ""),
            _ => return None,
        };
        Some(Self {
            action,
            id: id.to_owned(),
            query: decode_form(query),
            body: body.to_owned(),
        })
    }

    /// The changes of a batch in one line each, for the log.
    pub fn changes(&self) -> BTreeMap<String, String> {
        let Some(body) =
            Element::parse(&self.body).filter(|_| self.action == "ChangeResourceRecordSets")
        else {
            return BTreeMap::new();
        };
        let changes = body
            .child("ChangeBatch")
            .map_or(&[][..], |batch| batch.items("Changes"));
        (1..)
            .zip(changes)
            .map(|(number, change)| {
                let record = change.child("ResourceRecordSet");
                let part = |name| {
                    record
                        .and_then(|record| record.text_of(name))
                        .unwrap_or("?")
                };
                let action = change.text_of("Action").unwrap_or("?");
                (
                    format!("change.{number:03}"),
                    format!("{action} {} {}", part("Type"), part("Name")),
                )
            })
            .collect()
    }

    /// The body, which has to have this root element in the right namespace.
    fn document(&self, root: &str) -> Answer<Element> {
        Element::parse(&self.body)
            .filter(|element| element.name == root)
            .filter(|element| element.namespace.as_deref() == Some(NAMESPACE))
            .ok_or_else(|| {
                Refusal::new(
                    "MalformedInput",
                    format!("The body is not valid, expected {root}"),
                )
            })
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.query
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    /// Refuses query parameters that the operation does not have.
    fn only(&self, known: &[&str]) -> Answer<()> {
        // SDKs may add the name of the operation.
        let stray = self
            .query
            .keys()
            .find(|name| !known.contains(&name.as_str()) && *name != "x-id");
        match stray {
            Some(name) => Err(invalid(format!(
                "The parameter '{name}' is not known to this operation"
            ))),
            None => Ok(()),
        }
    }

    /// `maxitems`, at most `most`.
    fn max_items(&self, most: usize) -> Answer<usize> {
        match self.text("maxitems").map(str::parse::<usize>) {
            None => Ok(most),
            Some(Ok(size)) if size > 0 => Ok(size.min(most)),
            Some(_) => Err(invalid("The value of maxitems is not valid")),
        }
    }
}

/// What an operation answers.
pub struct Done {
    /// The content of the root element.
    pub xml: Xml,
    /// 200, or 201 for what was created.
    pub status: u16,
    /// Where the created thing is.
    pub location: Option<String>,
}

/// Carries out a request.
pub fn handle(request: &Request, state: &mut State, now: Timestamp) -> Answer<Done> {
    let xml = match request.action {
        "CreateHostedZone" => return zones::create(request, state, now),
        "ListHostedZones" => zones::list(request, state),
        "ListHostedZonesByName" => zones::list_by_name(request, state),
        "GetHostedZone" => zones::get(request, state),
        "DeleteHostedZone" => zones::delete(request, state, now),
        "ListTagsForResource" => zones::list_tags(request, state),
        "ListTagsForResources" => zones::list_many_tags(request, state),
        "ChangeTagsForResource" => zones::change_tags(request, state),
        "ListResourceRecordSets" => records::list(request, state),
        "ChangeResourceRecordSets" => records::change(request, state, now),
        _ => get_change(request, state),
    };
    Ok(Done {
        xml: xml?,
        status: 200,
        location: None,
    })
}

fn get_change(request: &Request, state: &State) -> Answer<Xml> {
    request.only(&[])?;
    let mut xml = Xml::default();
    write_change(&mut xml, state.change(&request.id)?);
    Ok(xml)
}

fn write_change(xml: &mut Xml, change: &Change) {
    xml.nest("ChangeInfo", |xml| {
        xml.leaf("Id", format!("/change/{}", change.id))
            .leaf("Status", if change.insync { "INSYNC" } else { "PENDING" })
            .leaf("SubmittedAt", time(change.submitted))
            .maybe("Comment", change.comment.as_ref());
    });
}

fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::new("InvalidInput", text)
}
