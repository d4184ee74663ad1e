//! The client of the API server.

use std::ffi::OsStr;
use std::time::Duration;

use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// An answer of the API server of which nothing comes for this long is lost:
/// without it a connection that was cut without a word would hold its group
/// for ever.
const NO_ANSWER: Duration = Duration::from_mins(2);

/// A client by kubeconfig files (several as in KUBECONFIG, the first wins), or
/// as the usual places say.
pub(super) async fn connect(kubeconfig: Option<&OsStr>) -> anyhow::Result<Client> {
    let mut config = match kubeconfig {
        None => Config::infer().await.context(
            "no cluster: neither in a Pod nor with a kubeconfig; set KUBECONFIG or --kubeconfig",
        )?,
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
                .with_context(|| format!("cannot use the kubeconfig {}", files.display()))?
        }
    };
    patient(&mut config, NO_ANSWER);
    Client::try_from(config).context("cannot make a client of the API server")
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
    use super::*;

    #[tokio::test]
    async fn an_api_server_that_never_answers_is_not_waited_for() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((connection, _)) = listener.accept().await {
                open.push(connection);
            }
        });
        let mut config = Config::new(url.parse().unwrap());
        patient(&mut config, Duration::from_millis(100));
        let client = Client::try_from(config).unwrap();
        // Requests are tried again a few times.
        let patience = tokio::time::timeout(NO_ANSWER, client.apiserver_version());
        patience.await.unwrap().unwrap_err();
    }
}
