//! Requests of all protocols into one tree.
//!
//! The tree is JSON: structures and maps are objects, lists are arrays, texts,
//! blobs (in base64) and times are strings, numbers and booleans are
//! themselves. Members go by their name in the model, in EC2 by their name on
//! the wire.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    Kind, Model, Operation, Protocol, Shape,
    check::{self, Path, Step, Violation, Wrong},
    form, json, rest,
};

/// The content of a request before its operation is looked at.
#[derive(Debug, Clone)]
pub enum Content {
    /// awsQuery and ec2Query.
    Form(BTreeMap<String, String>),
    /// JSON 1.1.
    Json(String),
    /// rpcv2Cbor.
    Cbor(Vec<u8>),
    /// REST-XML.
    Rest {
        /// Parts of the path by their label.
        labels: BTreeMap<String, String>,
        /// The query string.
        query: BTreeMap<String, String>,
        /// The body.
        body: String,
    },
}

/// A body that is nothing of the kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Malformed {
    /// JSON that is none, or no object.
    Json(String),
    /// XML that is none, or has another root than this one.
    Xml(String),
}

/// Decodes and checks the parameters of an operation.
///
/// # Errors
/// When the body as a whole cannot be read.
pub fn decode(
    model: &Model,
    operation: &Operation,
    content: &Content,
) -> Result<(Value, Vec<Violation>), Malformed> {
    let empty = Shape::nothing();
    let shape = operation.input.as_deref();
    let described = shape.and_then(|name| model.shape(name)).unwrap_or(&empty);
    let mut decoder = Decoder {
        model,
        path: Vec::new(),
        found: Vec::new(),
    };
    let tree = match content {
        Content::Form(parameters) => form::decode(&mut decoder, described, parameters),
        Content::Json(body) => json::decode(&mut decoder, described, body)?,
        Content::Cbor(body) => json::decode_cbor(&mut decoder, described, body)?,
        Content::Rest {
            labels,
            query,
            body,
        } => rest::decode(&mut decoder, operation, described, labels, query, body)?,
    };
    let mut violations = decoder.found;
    // What cannot be read is not in the tree: it is not missing as well.
    let unreadable: Vec<Path> = violations.iter().map(|v| v.path.clone()).collect();
    if let Some(shape) = shape {
        let checked = check::check(model, shape, &tree);
        violations.extend(
            checked
                .into_iter()
                .filter(|violation| !unreadable.contains(&violation.path)),
        );
    }
    Ok((tree, violations))
}

/// Where the decoding is, and what it has found wrong.
pub(super) struct Decoder<'a> {
    pub(super) model: &'a Model,
    pub(super) path: Path,
    pub(super) found: Vec<Violation>,
}

impl<'a> Decoder<'a> {
    /// Notes something wrong at the present place.
    pub(super) fn add(&mut self, wrong: Wrong) {
        if self.found.len() < 100 {
            self.found.push(Violation {
                path: self.path.clone(),
                wrong,
            });
        }
    }

    /// Notes that the value here cannot be read.
    pub(super) fn unreadable(&mut self, value: &str, expected: &'static str) {
        let value = value.to_owned();
        self.add(Wrong::Unreadable { value, expected });
    }

    /// Notes a name that the structure here does not have.
    pub(super) fn stray(&mut self, name: &str) {
        self.within(Step::Member(name.to_owned(), name.to_owned()), |decoder| {
            decoder.add(Wrong::Unknown);
        });
    }

    /// Goes a step down, and back.
    pub(super) fn within<T>(&mut self, step: Step, work: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let done = work(self);
        self.path.pop();
        done
    }

    /// The shape of this name.
    pub(super) fn shape(&self, name: &str) -> Option<&'a Shape> {
        self.model.shape(name)
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.model.protocol
    }

    /// A text, number, boolean, time or blob that is written as text.
    pub(super) fn scalar(&mut self, shape: &Shape, text: &str) -> Option<Value> {
        match scalar(shape.kind, text) {
            Ok(value) => Some(value),
            Err(expected) => {
                self.unreadable(text, expected);
                None
            }
        }
    }
}

fn scalar(kind: Kind, text: &str) -> Result<Value, &'static str> {
    match kind {
        Kind::String => Ok(Value::from(text)),
        Kind::Boolean => match text.to_ascii_lowercase().as_str() {
            "true" => Ok(Value::from(true)),
            "false" => Ok(Value::from(false)),
            _ => Err("a boolean"),
        },
        Kind::Integer => text.parse::<i32>().map(Value::from).or(Err("an integer")),
        Kind::Long => text.parse::<i64>().map(Value::from).or(Err("a long")),
        Kind::Float | Kind::Double => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::from(number)),
            _ => Err("a number"),
        },
        Kind::Timestamp => match (text.parse::<Timestamp>(), text.parse::<f64>()) {
            (Ok(_), _) => Ok(Value::from(text)),
            (_, Ok(seconds)) if seconds.is_finite() => Ok(Value::from(seconds)),
            _ => Err("a timestamp"),
        },
        Kind::Blob => match STANDARD.decode(text) {
            Ok(_) => Ok(Value::from(text)),
            Err(_) => Err("base64"),
        },
        Kind::Structure => Err("a structure"),
        Kind::List => Err("a list"),
        Kind::Map => Err("a map"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::wire::{params::decode_form, service::Service};

    fn form(service: Service, action: &str, text: &str) -> (Value, Vec<Violation>) {
        let model = service.model();
        let content = Content::Form(decode_form(text));
        decode(model, &model.operations[action], &content).unwrap()
    }

    fn good(service: Service, action: &str, text: &str) -> Value {
        let (tree, violations) = form(service, action, text);
        assert_eq!(violations, [], "{text}");
        tree
    }

    #[test]
    fn forms_become_trees() {
        let tree = good(
            Service::Elb,
            "CreateRule",
            "Action=CreateRule&Version=2015-12-01&X-Amz-Date=x&ListenerArn=l&Priority=7\
             &Conditions.member.1.PathPatternConfig.Values.member.1=%2Fa\
             &Conditions.member.1.PathPatternConfig.Values.member.2=%2Fb&Transforms=\
             &Actions.member.1.Type=forward\
             &Actions.member.1.ForwardConfig.TargetGroupStickinessConfig.Enabled=True\
             &Actions.member.2.Type=authenticate-oidc\
             &Actions.member.2.AuthenticateOidcConfig.Issuer=i\
             &Actions.member.2.AuthenticateOidcConfig.AuthorizationEndpoint=a\
             &Actions.member.2.AuthenticateOidcConfig.TokenEndpoint=t\
             &Actions.member.2.AuthenticateOidcConfig.UserInfoEndpoint=u\
             &Actions.member.2.AuthenticateOidcConfig.ClientId=c\
             &Actions.member.2.AuthenticateOidcConfig.AuthenticationRequestExtraParams.entry.1.key=display\
             &Actions.member.2.AuthenticateOidcConfig.AuthenticationRequestExtraParams.entry.1.value=page",
        );
        assert_eq!(tree["Priority"], 7);
        assert_eq!(tree["Transforms"], json!([]));
        assert_eq!(
            tree["Conditions"],
            json!([{ "PathPatternConfig": { "Values": ["/a", "/b"] } }])
        );
        let actions = &tree["Actions"];
        assert_eq!(
            actions[0]["ForwardConfig"]["TargetGroupStickinessConfig"]["Enabled"],
            true
        );
        assert_eq!(
            actions[1]["AuthenticateOidcConfig"]["AuthenticationRequestExtraParams"],
            json!({ "display": "page" })
        );
    }

    #[test]
    fn maps_have_keys_and_values() {
        let oidc = "ListenerArn=l&Actions.member.1.Type=x&Actions.member.1.AuthenticateOidcConfig.AuthenticationRequestExtraParams";
        for bad in [
            ".entry.1.key=a",
            ".entry.1.value=a",
            ".entry.1.key=a&X.entry.1.value=b",
            ".entry.2.key=a",
            ".key=a",
            "=a",
        ] {
            let text = format!("{oidc}{}", bad.replace('X', &oidc[14..]));
            let (_, violations) = form(Service::Elb, "ModifyRule", &text);
            assert!(!violations.is_empty(), "{bad}");
        }
    }

    #[test]
    fn ec2_goes_by_the_names_of_the_wire() {
        let tree = good(
            Service::Ec2,
            "AuthorizeSecurityGroupIngress",
            "GroupId=sg-1&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=80\
             &IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0%2F8\
             &IpPermissions.1.Groups.1.GroupId=sg-2\
             &TagSpecification.1.ResourceType=security-group-rule\
             &TagSpecification.1.Tag.1.Key=k&DryRun=false",
        );
        assert_eq!(tree["IpPermissions"][0]["Groups"][0]["GroupId"], "sg-2");
        assert_eq!(tree["TagSpecification"][0]["Tag"][0]["Key"], "k");
        assert_eq!(tree["DryRun"], false);
    }

    #[test]
    fn what_cannot_be_read_is_not_also_missing() {
        let text = "ResourceArns=a&Tags.member.1.Key.Deep=b";
        let (_, violations) = form(Service::Elb, "AddTags", text);
        let wrong: Vec<&Wrong> = violations.iter().map(|found| &found.wrong).collect();
        assert!(matches!(wrong[0], Wrong::Unreadable { .. }), "{wrong:?}");
        assert!(wrong.contains(&&Wrong::Unknown));
        let deep = format!("{}=1", vec!["A"; 100_000].join("."));
        let (_, violations) = form(Service::Elb, "DescribeTags", &deep);
        assert!(violations.iter().any(|found| found.wrong == Wrong::Unknown));
    }

    #[test]
    fn rest_takes_from_path_query_and_body() {
        let model = Service::Route53.model();
        let content = |query: &str, body: &str| Content::Rest {
            labels: decode_form("Id=Z1&ResourceType=hostedzone&ResourceId=Z1"),
            query: decode_form(query),
            body: body.to_owned(),
        };
        let read = |action: &str, query: &str, body: &str| {
            decode(model, &model.operations[action], &content(query, body)).unwrap()
        };
        let (tree, violations) = read("ListResourceRecordSets", "name=a.&type=A&x-id=x", "");
        assert_eq!(violations, []);
        assert_eq!(
            tree,
            json!({ "HostedZoneId": "Z1", "StartRecordName": "a.", "StartRecordType": "A" })
        );
        let root =
            "ChangeTagsForResourceRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"";
        let body = format!(
            "<{root}><AddTags><Tag><Key>a</Key><Value>&lt;</Value></Tag></AddTags><RemoveTagKeys><Key>b</Key></RemoveTagKeys></ChangeTagsForResourceRequest>"
        );
        let (tree, violations) = read("ChangeTagsForResource", "", &body);
        assert_eq!(violations, []);
        assert_eq!(tree["AddTags"], json!([{ "Key": "a", "Value": "<" }]));
        assert_eq!(tree["RemoveTagKeys"], json!(["b"]));
        let twice = body.replace("<Key>a</Key>", "<Key>a</Key><Key>c</Key>");
        assert_eq!(read("ChangeTagsForResource", "", &twice).1.len(), 1);
        let prefixed = format!(
            "<r:{}><r:AddTags/></r:ChangeTagsForResourceRequest>",
            root.replace("xmlns", "xmlns:r")
        );
        assert_eq!(
            read("ChangeTagsForResource", "", &prefixed).0["AddTags"],
            json!([])
        );
    }

    #[test]
    fn bounds_count_as_aws_counts() {
        let model = Service::Sts.model();
        let name = |text: &str| {
            let form = format!("RoleArn=arn:aws:iam::1:role/web-of-a-test&RoleSessionName={text}");
            form_of(model, &form)
        };
        assert_eq!(name(&"a".repeat(64)), 0);
        assert_eq!(name(&"a".repeat(65)), 1);
        assert_eq!(name("a"), 1);
        assert_eq!(name("a b"), 1);
    }

    fn form_of(model: &Model, text: &str) -> usize {
        let content = Content::Form(decode_form(text));
        let found = decode(model, &model.operations["AssumeRole"], &content);
        found.unwrap().1.len()
    }
}
