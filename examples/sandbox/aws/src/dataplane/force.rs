//! `POST /_sim/health`: holds the health of a target as one wants it.

use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use serde::Deserialize;

use crate::shared::SharedState;
use crate::state::TargetKey;

/// What has to be said, for those who said something else.
const EXPECTED: &str = r#"expected {"target_group": "ARN", "target": "10.0.0.1:80", "state": "healthy", "unhealthy" or null}"#;

/// One target and the health that it is to show.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Forced {
    /// ARN of the target group.
    target_group: String,
    /// `ID:PORT` as registered.
    target: String,
    /// `null` lets the probes decide again. It has to be given, so that a word
    /// that was forgotten does not let a target go.
    #[serde(deserialize_with = "Option::deserialize")]
    state: Option<Health>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Healthy,
    Unhealthy,
}

/// Holds or lets go the health of a target; probes go on, but do not count
/// while it is held. Describes and the choice of targets follow at once. The
/// body is read as JSON whatever its media type says.
pub(super) async fn force(
    Extract(state): Extract<SharedState>,
    body: Bytes,
) -> Result<StatusCode, (StatusCode, String)> {
    let bad = |why: String| (StatusCode::BAD_REQUEST, format!("{why}\n"));
    let forced: Forced = serde_json::from_slice(&body)
        .map_err(|error| bad(format!("cannot read it: {error}; {EXPECTED}")))?;
    let key = key(&forced.target)
        .ok_or_else(|| bad(format!("'{}' is no target; {EXPECTED}", forced.target)))?;
    let healthy = forced.state.map(|health| health == Health::Healthy);
    state
        .of_arn(&forced.target_group)
        .write(|state, _| state.force_health(&forced.target_group, &key, healthy))
        .map_err(bad)?;
    Ok(StatusCode::NO_CONTENT)
}

fn key(target: &str) -> Option<TargetKey> {
    let (id, port) = target.rsplit_once(':')?;
    Some(TargetKey {
        id: id.to_owned(),
        port: port.parse().ok()?,
    })
}
