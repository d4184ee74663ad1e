//! Kubeconfig files. Pure text.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::certificates::Identity;

/// By what a client shows who it is.
#[derive(Clone, Copy, Debug)]
pub enum Credential<'a> {
    /// A client certificate.
    Certificate(&'a Identity),
    /// A bearer token, as it stands.
    Token(&'a str),
    /// A file with a bearer token, read again as it is renewed.
    TokenFile(&'a Path),
}

/// The text of a kubeconfig file with one context, `sandbox`, in `namespace`
/// if there is one.
pub fn kubeconfig(
    url: &str,
    ca_pem: &str,
    credential: Credential<'_>,
    namespace: Option<&str>,
) -> String {
    let user = match credential {
        Credential::Certificate(identity) => serde_json::json!({
            "client-certificate-data": STANDARD.encode(&identity.certificate_pem),
            "client-key-data": STANDARD.encode(&identity.key_pem),
        }),
        Credential::Token(token) => serde_json::json!({ "token": token }),
        Credential::TokenFile(path) => serde_json::json!({ "tokenFile": path }),
    };
    let mut context = serde_json::json!({ "cluster": "sandbox", "user": "sandbox" });
    if let Some(namespace) = namespace {
        context["namespace"] = namespace.into();
    }
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "sandbox",
        "clusters": [{ "name": "sandbox", "cluster": {
            "server": url,
            "certificate-authority-data": STANDARD.encode(ca_pem),
        }}],
        "users": [{ "name": "sandbox", "user": user }],
        "contexts": [{ "name": "sandbox", "context": context }],
    });
    // JSON is YAML too, and every client of Kubernetes reads it.
    format!("{config:#}\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use kube::config::Kubeconfig;

    use super::*;

    #[test]
    fn a_client_reads_back_what_was_written() {
        let text = kubeconfig(
            "https://127.0.0.1:6443",
            "PEM",
            Credential::TokenFile(Path::new("/run/token")),
            Some("shop"),
        );
        let config = Kubeconfig::from_yaml(&text).unwrap();
        assert_eq!(config.current_context.as_deref(), Some("sandbox"));
        let user = config.auth_infos[0].auth_info.as_ref().unwrap();
        assert_eq!(user.token_file.as_deref(), Some("/run/token"));
        let context = config.contexts[0].context.as_ref().unwrap();
        assert_eq!(context.namespace.as_deref(), Some("shop"));
        let cluster = config.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.server.as_deref(), Some("https://127.0.0.1:6443"));
        assert_eq!(cluster.certificate_authority_data.as_deref(), Some("UEVN"));
    }
}
