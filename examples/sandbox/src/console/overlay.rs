//! A Kubernetes API server as it would be with some objects applied: lists
//! and objects come from the real one, those objects put in. For the
//! controller's dry run, so it answers reads only.
//!
//! Watches tell nothing: what reads here reads once. Lists are whole, however
//! short they are asked for.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use futures::stream;
use kube::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// A running overlay; ends when it is dropped.
pub struct Overlay {
    address: SocketAddr,
    token: String,
    _serving: AbortOnDropHandle<()>,
}

/// What requests are answered from.
struct Served {
    client: Client,
    token: String,
    objects: Vec<Value>,
}

impl Overlay {
    /// Listens on loopback. Who asks needs the token: behind this is a client
    /// with rights of its own.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start(client: Client, objects: Vec<Value>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let token = hex::encode(rand::random::<[u8; 16]>());
        let served = Served {
            client,
            token: token.clone(),
            objects,
        };
        let router = Router::new().fallback(answer).with_state(Arc::new(served));
        let serving = async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!("the overlay of the API server ended: {error}");
            }
        };
        Ok(Self {
            address,
            token,
            _serving: AbortOnDropHandle::new(tokio::spawn(serving)),
        })
    }

    /// A kubeconfig that leads here. JSON is YAML too.
    pub fn kubeconfig(&self) -> String {
        let url = format!("http://{}", self.address);
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "overlay",
            "clusters": [{ "name": "overlay", "cluster": { "server": url } }],
            "users": [{ "name": "overlay", "user": { "token": self.token } }],
            "contexts": [{ "name": "overlay", "context": { "cluster": "overlay", "user": "overlay" } }],
        });
        format!("{config:#}\n")
    }
}

async fn answer(State(served): State<Arc<Served>>, request: Request) -> Response {
    let (uri, headers) = (request.uri(), request.headers());
    if !is_known(headers, &served.token) {
        return status(StatusCode::UNAUTHORIZED, "another token is expected");
    }
    if request.method() != Method::GET {
        return status(StatusCode::FORBIDDEN, "nothing is written in a dry run");
    }
    let query: Vec<&str> = uri.query().unwrap_or_default().split('&').collect();
    if query
        .iter()
        .any(|each| each.starts_with("sendInitialEvents="))
    {
        return status(StatusCode::BAD_REQUEST, "lists are not streamed here");
    }
    if query
        .iter()
        .any(|each| *each == "watch=true" || *each == "watch=1")
    {
        let nothing = stream::pending::<Result<Vec<u8>, std::io::Error>>();
        return Body::from_stream(nothing).into_response();
    }
    match whole(&served.client, uri, &query, headers).await {
        Ok(mut list) => {
            put(&mut list, namespace(uri.path()), &served.objects);
            Json(list).into_response()
        }
        Err(kube::Error::Api(said)) => {
            let code = StatusCode::from_u16(said.code).unwrap_or(StatusCode::BAD_GATEWAY);
            (code, Json(said)).into_response()
        }
        Err(error) => status(StatusCode::BAD_GATEWAY, &error.to_string()),
    }
}

fn is_known(headers: &HeaderMap, token: &str) -> bool {
    let shown = headers.get(header::AUTHORIZATION);
    shown.is_some_and(|shown| shown.as_bytes() == format!("Bearer {token}").as_bytes())
}

/// The answer of the real API server, all pages of a list at once.
async fn whole(
    client: &Client,
    uri: &Uri,
    query: &[&str],
    headers: &HeaderMap,
) -> Result<Value, kube::Error> {
    let paging = |each: &&str| each.starts_with("limit=") || each.starts_with("continue=");
    let query: Vec<&str> = query.iter().copied().filter(|each| !paging(each)).collect();
    let mut asked = hyper::Request::get(format!("{}?{}", uri.path(), query.join("&")));
    if let Some(accept) = headers.get(header::ACCEPT) {
        asked = asked.header(header::ACCEPT, accept);
    }
    let asked = asked.body(Vec::new()).map_err(kube::Error::HttpError)?;
    let text = client.request_text(asked).await?;
    serde_json::from_str(&text).map_err(kube::Error::SerdeError)
}

/// The namespace in an API path.
fn namespace(path: &str) -> Option<&str> {
    let (_, after) = path.split_once("/namespaces/")?;
    // `/api/v1/namespaces/NAME` is a namespace, and nothing in one.
    let (namespace, _) = after.split_once('/')?;
    Some(namespace)
}

/// Puts the objects that belong there into a list.
fn put(list: &mut Value, namespace: Option<&str>, objects: &[Value]) {
    let (kind, version) = (list["kind"].clone(), list["apiVersion"].clone());
    let Some(kind) = kind.as_str().and_then(|kind| kind.strip_suffix("List")) else {
        return;
    };
    let Some(items) = list["items"].as_array_mut() else {
        return;
    };
    for object in objects {
        let belongs = object["kind"] == kind
            && object["apiVersion"] == version
            && namespace.is_none_or(|namespace| object["metadata"]["namespace"] == namespace);
        if !belongs {
            continue;
        }
        let same = |item: &&mut Value| {
            item["metadata"]["name"] == object["metadata"]["name"]
                && item["metadata"]["namespace"] == object["metadata"]["namespace"]
        };
        match items.iter_mut().find(same) {
            Some(item) => item.clone_from(object),
            None => items.push(object.clone()),
        }
    }
}

/// A refusal as an API server words it.
fn status(code: StatusCode, message: &str) -> Response {
    let said = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": code.canonical_reason().unwrap_or_default().replace(' ', ""),
        "code": code.as_u16(),
    });
    (code, Json(said)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ingress(namespace: &str, name: &str, host: &str) -> Value {
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": { "namespace": namespace, "name": name },
            "spec": { "rules": [{ "host": host }] },
        })
    }

    fn list(items: &[Value]) -> Value {
        json!({ "apiVersion": "networking.k8s.io/v1", "kind": "IngressList", "items": items })
    }

    #[test]
    fn an_object_takes_the_place_of_its_older_self_or_comes_last() {
        let live = [
            ingress("shop", "web", "old"),
            ingress("shop", "cart", "cart"),
        ];
        let new = [
            ingress("shop", "web", "new"),
            ingress("blog", "web", "blog"),
        ];
        let mut all = list(&live);
        put(&mut all, None, &new);
        let expected = [new[0].clone(), live[1].clone(), new[1].clone()];
        assert_eq!(all, list(&expected));

        let mut shop = list(&live);
        put(&mut shop, Some("shop"), &new);
        assert_eq!(shop, list(&[new[0].clone(), live[1].clone()]));
    }

    #[test]
    fn lists_of_another_kind_and_single_objects_stay_as_they_are() {
        let new = [ingress("shop", "web", "new")];
        for mut other in [
            json!({ "apiVersion": "v1", "kind": "ServiceList", "items": [] }),
            json!({ "apiVersion": "networking.k8s.io/v1beta1", "kind": "IngressList", "items": [] }),
            json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "items": [] }),
            ingress("shop", "web", "old"),
        ] {
            let before = other.clone();
            put(&mut other, None, &new);
            assert_eq!(other, before);
        }
    }

    #[test]
    fn namespaces_of_paths() {
        let of_ingresses = "/apis/networking.k8s.io/v1/namespaces/shop/ingresses";
        assert_eq!(namespace(of_ingresses), Some("shop"));
        assert_eq!(namespace("/api/v1/pods"), None);
        assert_eq!(namespace("/api/v1/namespaces/shop"), None);
    }
}
