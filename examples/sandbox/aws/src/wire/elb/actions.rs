//! Actions of listeners and rules, read and written.

use std::collections::BTreeMap;

use crate::{
    state::{
        Action, ActionKind, Answer, Forward, Redirect,
        action::NewAction,
        authenticate::{NewCognito, NewOidc, NewSession, Secret, Session},
        fixed_response::NewFixedResponse,
        forward::NewForward,
        jwt_validation::{AdditionalClaim, JwtValidation},
        redirect::NewRedirect,
    },
    wire::{params::Input, xml::Xml},
};

/// Reads a list of actions.
pub fn read(input: &Input, name: &str) -> Answer<Vec<NewAction>> {
    input.list(name).iter().map(read_action).collect()
}

fn read_action(action: &Input) -> Answer<NewAction> {
    Ok(NewAction {
        kind: action.need("Type")?,
        order: action.number("Order")?,
        target_group_arn: action.text("TargetGroupArn"),
        forward: maybe(action, "ForwardConfig", read_forward)?,
        redirect: maybe(action, "RedirectConfig", |redirect| {
            Ok(NewRedirect {
                protocol: redirect.text("Protocol"),
                port: redirect.text("Port"),
                host: redirect.text("Host"),
                path: redirect.text("Path"),
                query: redirect.text("Query"),
                status_code: redirect.need("StatusCode")?,
            })
        })?,
        fixed_response: maybe(action, "FixedResponseConfig", |fixed| {
            Ok(NewFixedResponse {
                status_code: fixed.need("StatusCode")?,
                message_body: fixed.text("MessageBody"),
                content_type: fixed.text("ContentType"),
            })
        })?,
        oidc: maybe(action, "AuthenticateOidcConfig", |oidc| {
            Ok(NewOidc {
                issuer: oidc.need("Issuer")?,
                authorization_endpoint: oidc.need("AuthorizationEndpoint")?,
                token_endpoint: oidc.need("TokenEndpoint")?,
                user_info_endpoint: oidc.need("UserInfoEndpoint")?,
                client_id: oidc.need("ClientId")?,
                client_secret: oidc.text("ClientSecret").map(Secret::new),
                use_existing_client_secret: oidc.flag("UseExistingClientSecret")?.unwrap_or(false),
                session: read_session(oidc)?,
            })
        })?,
        cognito: maybe(action, "AuthenticateCognitoConfig", |cognito| {
            Ok(NewCognito {
                user_pool_arn: cognito.need("UserPoolArn")?,
                user_pool_client_id: cognito.need("UserPoolClientId")?,
                user_pool_domain: cognito.need("UserPoolDomain")?,
                session: read_session(cognito)?,
            })
        })?,
        jwt_validation: maybe(action, "JwtValidationConfig", read_jwt)?,
    })
}

/// Reads a structure, if it is there.
fn maybe<T>(
    input: &Input,
    name: &str,
    read: impl FnOnce(&Input) -> Answer<T>,
) -> Answer<Option<T>> {
    if input.has(name) {
        read(&input.part(name)).map(Some)
    } else {
        Ok(None)
    }
}

fn read_forward(forward: &Input) -> Answer<NewForward> {
    let mut target_groups = Vec::new();
    for group in forward.list("TargetGroups") {
        target_groups.push((group.need("TargetGroupArn")?, group.number("Weight")?));
    }
    Ok(NewForward {
        target_groups,
        stickiness: maybe(forward, "TargetGroupStickinessConfig", |config| {
            let enabled = config.flag("Enabled")?.unwrap_or(false);
            Ok((enabled, config.number("DurationSeconds")?))
        })?,
    })
}

fn read_session(config: &Input) -> Answer<NewSession> {
    Ok(NewSession {
        cookie_name: config.text("SessionCookieName"),
        scope: config.text("Scope"),
        timeout_seconds: config.number("SessionTimeout")?,
        extra_parameters: config.map("AuthenticationRequestExtraParams"),
        on_unauthenticated: config.text("OnUnauthenticatedRequest"),
    })
}

fn read_jwt(jwt: &Input) -> Answer<JwtValidation> {
    let mut additional_claims = Vec::new();
    for claim in jwt.list("AdditionalClaims") {
        additional_claims.push(AdditionalClaim {
            format: claim.need("Format")?,
            name: claim.need("Name")?,
            values: claim.texts("Values"),
        });
    }
    Ok(JwtValidation {
        jwks_endpoint: jwt.need("JwksEndpoint")?,
        issuer: jwt.need("Issuer")?,
        additional_claims,
    })
}

/// Writes actions in the form in which AWS answers them: a forward to one
/// group in both of its spellings, redirects with every part, no secrets.
pub fn write(xml: &mut Xml, name: &str, actions: &[Action]) {
    xml.list(name, "member", actions, |xml, action| {
        xml.leaf("Type", action.kind.as_str());
        write_kind(xml, &action.kind);
        xml.maybe("Order", action.order);
    });
}

fn write_kind(xml: &mut Xml, kind: &ActionKind) {
    match kind {
        ActionKind::Forward(forward) => write_forward(xml, forward),
        ActionKind::Redirect(redirect) => write_redirect(xml, redirect),
        ActionKind::FixedResponse(fixed) => {
            xml.nest("FixedResponseConfig", |xml| {
                xml.leaf("StatusCode", fixed.status)
                    .maybe("MessageBody", fixed.body.as_ref())
                    .maybe("ContentType", fixed.content_type.as_ref());
            });
        }
        ActionKind::AuthenticateOidc(oidc) => {
            xml.nest("AuthenticateOidcConfig", |xml| {
                xml.leaf("Issuer", &oidc.issuer)
                    .leaf("AuthorizationEndpoint", &oidc.authorization_endpoint)
                    .leaf("TokenEndpoint", &oidc.token_endpoint)
                    .leaf("UserInfoEndpoint", &oidc.user_info_endpoint)
                    .leaf("ClientId", &oidc.client_id);
                write_session(xml, &oidc.session);
            });
        }
        ActionKind::AuthenticateCognito(cognito) => {
            xml.nest("AuthenticateCognitoConfig", |xml| {
                xml.leaf("UserPoolArn", &cognito.user_pool_arn)
                    .leaf("UserPoolClientId", &cognito.user_pool_client_id)
                    .leaf("UserPoolDomain", &cognito.user_pool_domain);
                write_session(xml, &cognito.session);
            });
        }
        ActionKind::JwtValidation(jwt) => write_jwt(xml, jwt),
    }
}

fn write_forward(xml: &mut Xml, forward: &Forward) {
    if let [only] = forward.target_groups.as_slice() {
        xml.leaf("TargetGroupArn", &only.arn);
    }
    xml.nest("ForwardConfig", |xml| {
        xml.list(
            "TargetGroups",
            "member",
            &forward.target_groups,
            |xml, group| {
                xml.leaf("TargetGroupArn", &group.arn)
                    .leaf("Weight", group.weight);
            },
        );
        xml.nest("TargetGroupStickinessConfig", |xml| {
            xml.leaf("Enabled", forward.stickiness.enabled);
            xml.maybe("DurationSeconds", forward.stickiness.duration_seconds);
        });
    });
}

fn write_redirect(xml: &mut Xml, redirect: &Redirect) {
    xml.nest("RedirectConfig", |xml| {
        xml.leaf("Protocol", &redirect.protocol)
            .leaf("Port", &redirect.port)
            .leaf("Host", &redirect.host)
            .leaf("Path", &redirect.path)
            .leaf("Query", &redirect.query)
            .leaf("StatusCode", format!("HTTP_{}", redirect.status));
    });
}

fn write_session(xml: &mut Xml, session: &Session) {
    xml.leaf("SessionCookieName", &session.cookie_name)
        .leaf("Scope", &session.scope)
        .leaf("SessionTimeout", session.timeout_seconds);
    write_map(
        xml,
        "AuthenticationRequestExtraParams",
        &session.extra_parameters,
    );
    xml.leaf("OnUnauthenticatedRequest", &session.on_unauthenticated);
}

/// A map without entries is left out.
fn write_map(xml: &mut Xml, name: &str, map: &BTreeMap<String, String>) {
    if !map.is_empty() {
        xml.list(name, "entry", map, |xml, (key, value)| {
            xml.leaf("key", key).leaf("value", value);
        });
    }
}

fn write_jwt(xml: &mut Xml, jwt: &JwtValidation) {
    xml.nest("JwtValidationConfig", |xml| {
        xml.leaf("JwksEndpoint", &jwt.jwks_endpoint)
            .leaf("Issuer", &jwt.issuer);
        if !jwt.additional_claims.is_empty() {
            xml.list(
                "AdditionalClaims",
                "member",
                &jwt.additional_claims,
                |xml, claim| {
                    xml.leaf("Format", &claim.format).leaf("Name", &claim.name);
                    xml.texts("Values", "member", &claim.values);
                },
            );
        }
    });
}
