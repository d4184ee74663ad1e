//! What happens: from one wish to another, and back.

use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::Scene;

/// All that is wished in a scene.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    ingresses: Vec<Value>,
    /// Addresses of the pods of the Service `web`.
    pods: Vec<&'static str>,
}

/// Names of all Ingresses that any wish has.
const INGRESSES: [&str; 2] = ["shop", "side"];
/// The pod of the Service `api`.
const API: &str = "10.0.64.81";
/// Pods of `web`, where nothing else is said.
const WEB: [&str; 2] = ["10.0.48.71", "10.0.48.72"];
/// Every address that may ever be a target.
pub const ADDRESSES: [&str; 4] = [API, WEB[0], WEB[1], "10.0.80.73"];

/// A story has two wishes; it is told from the first to the second and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// A group is made, and deleted.
    Made,
    /// Much of an Ingress is edited, and edited back.
    Edited,
    /// A rule moves to the front of others, and back.
    Moved,
    /// A pod is replaced, and comes back.
    Replaced,
    /// A member leaves its group for one of its own, and comes back.
    Left,
}

impl Story {
    /// The name, for scenes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Edited => "edited",
            Self::Moved => "moved",
            Self::Replaced => "replaced",
            Self::Left => "left",
        }
    }

    /// Its two wishes.
    pub fn wishes(self, scene: &Scene) -> [Wish; 2] {
        let paths = [("/a", "web"), ("/b", "api")];
        let shop = || ingress("shop", &[("shop.example.com", &paths)], &[]);
        let serve = |ingresses: &[Value]| Wish {
            ingresses: ingresses.to_vec(),
            pods: WEB.to_vec(),
        };
        match self {
            Self::Made => [serve(&[]), serve(&[shop()])],
            Self::Edited => {
                let certificate = scene.ids.certificates[0].as_str();
                let more = [("/a", "web"), ("/b", "web"), ("/c", "web")];
                let hosts: [(&str, &[_]); 2] =
                    [("shop.example.com", &more), ("new.example.com", &more[..1])];
                let changed = ingress(
                    "shop",
                    &hosts,
                    &[
                        ("certificate-arn", certificate),
                        ("listen-ports", r#"[{"HTTP": 80}, {"HTTPS": 443}]"#),
                        ("healthcheck-path", "/healthz"),
                    ],
                );
                [serve(&[shop()]), serve(&[changed])]
            }
            Self::Moved => {
                let before = [("/a", "web"), ("/b", "web"), ("/c", "web")];
                let after = [("/c", "web"), ("/a", "web"), ("/b", "web")];
                let of = |paths| ingress("shop", &[("shop.example.com", paths)], &[]);
                [serve(&[of(&before)]), serve(&[of(&after)])]
            }
            Self::Replaced => {
                let after = Wish {
                    pods: vec![WEB[1], ADDRESSES[3]],
                    ..serve(&[shop()])
                };
                [serve(&[shop()]), after]
            }
            Self::Left => {
                let group = ("group.name", scene.name.as_str());
                let shop = ingress("shop", &[("shop.example.com", &paths)], &[group]);
                let side = |more: &[_]| ingress("side", &[("side.example.com", &paths[1..])], more);
                [
                    serve(&[shop.clone(), side(&[group])]),
                    serve(&[shop, side(&[])]),
                ]
            }
        }
    }
}

fn ingress(name: &str, hosts: &[(&str, &[(&str, &str)])], annotations: &[(&str, &str)]) -> Value {
    let path = |(path, service): &(&str, &str)| {
        json!({ "path": path, "pathType": "Prefix", "backend": {
            "service": { "name": service, "port": { "number": 80 } }
        }})
    };
    let rule = |(host, paths): &(&str, &[(&str, &str)])| {
        let paths: Vec<Value> = paths.iter().map(path).collect();
        json!({ "host": host, "http": { "paths": paths } })
    };
    let mut all = json!({
        "alb.ingress.kubernetes.io/target-type": "ip",
        "alb.ingress.kubernetes.io/scheme": "internet-facing",
    });
    for (key, value) in annotations {
        all[format!("alb.ingress.kubernetes.io/{key}")] = json!(value);
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": { "name": name, "annotations": all },
        "spec": { "rules": hosts.iter().map(rule).collect::<Vec<_>>() },
    })
}

impl Wish {
    /// Nothing is to be served.
    pub fn nothing() -> Self {
        Self {
            pods: WEB.to_vec(),
            ..Self::default()
        }
    }

    /// How many Ingresses are served.
    pub fn ingresses(&self) -> usize {
        self.ingresses.len()
    }

    /// Says it to Kubernetes.
    pub async fn utter(&self, scene: &Scene) {
        let ns = &scene.name;
        scene.service(ns, "api", &[API]).await;
        scene.service(ns, "web", &self.pods).await;
        let api: Api<Ingress> = Api::namespaced(scene.client.clone(), ns);
        for name in INGRESSES {
            let wished = self
                .ingresses
                .iter()
                .find(|i| i["metadata"]["name"] == name);
            let Some(wished) = wished else {
                match api.delete(name, &DeleteParams::default()).await {
                    Err(kube::Error::Api(answer)) if answer.code == 404 => {}
                    deleted => drop(deleted.unwrap()),
                }
                continue;
            };
            // One that is on its way out would go all the same.
            let there = scene.ingress(ns, name).await;
            if there.is_some_and(|there| there.metadata.deletion_timestamp.is_some()) {
                scene.gone(ns, name).await;
            }
            let mut wished = wished.clone();
            wished["metadata"]["annotations"]["kubernetes.io/ingress.class"] = json!(ns);
            let how = PatchParams::apply("tests").force();
            api.patch(name, &how, &Patch::Apply(wished)).await.unwrap();
        }
    }
}
