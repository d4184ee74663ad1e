//! The clients of the API server.

use std::ffi::OsStr;
use std::time::Duration;

use anyhow::Context as _;
use hyper::{Method, Request};
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::retry::RetryLayer;
use tower::{BoxError, service_fn};

/// An answer of the API server of which nothing comes for this long is lost:
/// without it a connection that was cut without a word would hold its group
/// for ever.
const NO_ANSWER: Duration = Duration::from_mins(2);

/// The connections to the API server, for clients to share.
pub(super) struct Connections(Client);

impl Connections {
    /// By kubeconfig files (several as in KUBECONFIG, the first wins), or as the
    /// usual places say. Connects to nothing yet.
    pub(super) async fn by(kubeconfig: Option<&OsStr>) -> anyhow::Result<Self> {
        let mut config = config(kubeconfig).await?;
        patient(&mut config, NO_ANSWER);
        Self::of(config).context("cannot make a client of the API server")
    }

    fn of(mut config: Config) -> kube::Result<Self> {
        // Each client tries again itself: a fence must be asked each time.
        config.default_retry = false;
        Client::try_from(config).map(Self)
    }

    /// A client that may do what the API server allows. Tries again when the
    /// server is too busy.
    pub(super) fn client(&self) -> Client {
        self.fenced(|| true)
    }

    /// The same, but a write is sent only while `fence` holds, asked before each
    /// attempt.
    pub(super) fn fenced(
        &self,
        fence: impl Fn() -> bool + Clone + Send + Sync + 'static,
    ) -> Client {
        let shared = self.0.clone();
        let attempt = move |request: Request<Body>| {
            let (shared, fence) = (shared.clone(), fence.clone());
            async move {
                if request.method() == Method::GET || fence() {
                    Ok::<_, BoxError>(shared.send(request).await?)
                } else {
                    Err("this process may not write now".into())
                }
            }
        };
        let again = RetryLayer::new(RetryPolicy::server_retry());
        ClientBuilder::new(service_fn(attempt), self.0.default_namespace())
            .with_layer(&again)
            .build()
    }
}

async fn config(kubeconfig: Option<&OsStr>) -> anyhow::Result<Config> {
    match kubeconfig {
        None => Config::infer().await.context(
            "no cluster: neither in a Pod nor with a kubeconfig; set KUBECONFIG or --kubeconfig",
        ),
        Some(files) => {
            let mut merged = Kubeconfig::default();
            for file in std::env::split_paths(files) {
                let read = Kubeconfig::read_from(&file)
                    .with_context(|| format!("cannot read the kubeconfig {}", file.display()))?;
                merged = merged
                    .merge(read)
                    .with_context(|| format!("cannot use the kubeconfig {}", file.display()))?;
            }
            Config::from_custom_kubeconfig(merged, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("cannot use the kubeconfig {}", files.display()))
        }
    }
}

/// Has a client give up an answer of which nothing comes for so long.
fn patient(config: &mut Config, no_answer: Duration) {
    // Watches hear more often than that, by bookmarks.
    config.read_timeout = Some(no_answer);
    config.reset_reader_on_write = true;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may fail loudly
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::http::StatusCode;
    use k8s_openapi::api::core::v1::Namespace;
    use kube::Api;
    use kube::api::{Patch, PatchParams};
    use tokio::net::TcpListener;

    use super::*;

    async fn listener() -> (TcpListener, Config) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        (listener, Config::new(url.parse().unwrap()))
    }

    #[tokio::test]
    async fn an_api_server_that_never_answers_is_not_waited_for() {
        let (listener, mut config) = listener().await;
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((connection, _)) = listener.accept().await {
                open.push(connection);
            }
        });
        patient(&mut config, Duration::from_millis(100));
        let client = Connections::of(config).unwrap().client();
        // Requests are tried again a few times.
        let patience = tokio::time::timeout(NO_ANSWER, client.apiserver_version());
        patience.await.unwrap().unwrap_err();
    }

    #[tokio::test]
    async fn a_fence_is_asked_before_each_attempt_of_a_write_and_lets_reads_through() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let leads = Arc::new(AtomicBool::new(true));
        let (listener, config) = listener().await;
        // Busy at first; whoever wrote leads no longer by the next attempt.
        let server = Router::new().fallback({
            let (seen, leads) = (Arc::clone(&seen), Arc::clone(&leads));
            async move |method: Method| {
                let first = leads.swap(false, Ordering::SeqCst);
                seen.lock().unwrap().push(method);
                if first {
                    return (StatusCode::SERVICE_UNAVAILABLE, String::new());
                }
                let found = r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {}}"#;
                (StatusCode::OK, found.to_owned())
            }
        });
        tokio::spawn(async move { axum::serve(listener, server).await });
        let connections = Connections::of(config).unwrap();
        let fenced = connections.fenced(move || leads.load(Ordering::SeqCst));
        let write = async |client: &Client| {
            let api: Api<Namespace> = Api::all(client.clone());
            let patch = Patch::Merge(serde_json::json!({}));
            api.patch("shop", &PatchParams::default(), &patch).await
        };
        let methods = || std::mem::take(&mut *seen.lock().unwrap());

        let refused = write(&fenced).await.unwrap_err().to_string();
        assert!(refused.contains("may not write"), "{refused}");
        assert_eq!(methods(), [Method::PATCH]);
        let api: Api<Namespace> = Api::all(fenced.clone());
        api.get("shop").await.unwrap();
        assert_eq!(methods(), [Method::GET]);
        write(&connections.client()).await.unwrap();
        assert_eq!(methods(), [Method::PATCH]);
    }
}
