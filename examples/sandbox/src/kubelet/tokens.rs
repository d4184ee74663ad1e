//! ServiceAccount tokens of pods that run as processes: asked for, written to
//! files, and asked for again before they expire.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};

use crate::control_plane::kubeconfig::{Credential, kubeconfig};

/// How long a token holds. It is renewed when four fifths of it are over.
const LIFETIME: Duration = Duration::from_hours(1);
/// Wait after a token could not be had.
const RETRY: Duration = Duration::from_secs(5);

/// Audience of the tokens that AWS takes as a web identity.
const AWS_AUDIENCE: &str = "sts.amazonaws.com";
/// Annotation of a ServiceAccount that names its AWS role.
const ROLE_ANNOTATION: &str = "eks.amazonaws.com/role-arn";

/// Where the API server is.
#[derive(Debug, Clone)]
pub struct ApiServer {
    /// `https://127.0.0.1:PORT`.
    pub url: String,
    /// Certificate of its authority.
    pub ca_pem: String,
}

/// The identity of a pod: files with its tokens and what its environment
/// says about them. The files are renewed until this is dropped.
pub struct PodIdentity {
    /// Variables by which a process finds the API server and AWS: KUBECONFIG,
    /// and those of the EKS pod identity webhook if the ServiceAccount has a role.
    pub environment: Vec<(String, String)>,
    renewals: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for PodIdentity {
    fn drop(&mut self) {
        for renewal in &self.renewals {
            renewal.abort();
        }
    }
}

impl PodIdentity {
    /// Asks for the tokens of a pod and writes them into `folder`.
    ///
    /// # Errors
    /// When the ServiceAccount is not there, a token is refused, or a file
    /// cannot be written.
    pub async fn issue(
        client: &Client,
        api_server: &ApiServer,
        pod: &Pod,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let namespace = pod.namespace().unwrap_or_default();
        let account = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.service_account_name.clone())
            .unwrap_or_else(|| "default".to_owned());
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &namespace);
        let found = accounts
            .get(&account)
            .await
            .with_context(|| format!("no ServiceAccount {namespace}/{account}"))?;

        let token = Token {
            accounts,
            account,
            pod: BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(pod.name_any()),
                uid: pod.uid(),
            },
            audience: None,
            file: folder.join("token"),
        };
        let config = folder.join("kubeconfig");
        let text = kubeconfig(
            &api_server.url,
            &api_server.ca_pem,
            Credential::TokenFile(&token.file),
            Some(&namespace),
        );
        std::fs::write(&config, text)
            .with_context(|| format!("cannot write {}", config.display()))?;
        let mut environment = vec![("KUBECONFIG".to_owned(), config.display().to_string())];
        let mut tokens = vec![];
        if let Some(role) = found.annotations().get(ROLE_ANNOTATION) {
            let web_identity = Token {
                audience: Some(AWS_AUDIENCE.to_owned()),
                file: folder.join("aws-token"),
                ..token.clone()
            };
            environment.extend(
                [
                    ("AWS_ROLE_ARN", role.clone()),
                    (
                        "AWS_WEB_IDENTITY_TOKEN_FILE",
                        web_identity.file.display().to_string(),
                    ),
                    ("AWS_STS_REGIONAL_ENDPOINTS", "regional".to_owned()),
                ]
                .map(|(name, value)| (name.to_owned(), value)),
            );
            tokens.push(web_identity);
        }
        tokens.push(token);
        let mut renewals = vec![];
        for token in tokens {
            token.renew().await?;
            renewals.push(tokio::spawn(token.keep_fresh()));
        }
        Ok(Self {
            environment,
            renewals,
        })
    }
}

#[derive(Clone)]
struct Token {
    accounts: Api<ServiceAccount>,
    account: String,
    pod: BoundObjectReference,
    audience: Option<String>,
    file: PathBuf,
}

impl Token {
    async fn renew(&self) -> anyhow::Result<()> {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: self.audience.iter().cloned().collect(),
                expiration_seconds: i64::try_from(LIFETIME.as_secs()).ok(),
                bound_object_ref: Some(self.pod.clone()),
            },
            ..TokenRequest::default()
        };
        let issued = self
            .accounts
            .create_token_request(&self.account, &PostParams::default(), &request)
            .await
            .with_context(|| format!("no token for ServiceAccount {}", self.account))?;
        let token = issued.status.context("the token request has no answer")?;
        // Renamed into place, so that no reader ever sees half a token.
        let fresh = self.file.with_extension("fresh");
        std::fs::write(&fresh, token.token)
            .and_then(|()| std::fs::rename(&fresh, &self.file))
            .with_context(|| format!("cannot write {}", self.file.display()))
    }

    async fn keep_fresh(self) {
        let mut wait = LIFETIME * 4 / 5;
        loop {
            tokio::time::sleep(wait).await;
            wait = match self.renew().await {
                Ok(()) => LIFETIME * 4 / 5,
                Err(error) => {
                    tracing::warn!("{error:#}");
                    RETRY
                }
            };
        }
    }
}
