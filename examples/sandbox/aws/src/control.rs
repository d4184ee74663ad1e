//! `/_sim`: what the simulator itself can be asked and told.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Query, State as Extract},
    http::StatusCode,
    routing::{any, get, post},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    SharedState, State, Timing,
    audit::{Finding, Naming, audit},
    authority,
    authorization::check_policy,
    callers::{Callers, NewKey, Role},
    events::events,
    faults::{Fault, Faults, Held},
    journal::{Call, Count, Journal},
    resources::{Resources, resources},
    state::{
        Outside,
        lag::{Lag, Setting},
        outside::Issuer,
    },
    throttle::{Limits, Throttles},
    timing::Profile,
};

/// What the wire and the control share.
#[derive(Debug, Clone)]
pub struct Control {
    /// The account.
    pub state: SharedState,
    /// Faults on demand.
    pub faults: Arc<Faults>,
    /// Calls.
    pub journal: Arc<Journal>,
    /// Who may call.
    pub callers: Arc<Callers>,
    /// Token buckets.
    pub throttle: Arc<Throttles>,
}

type Told = Result<StatusCode, (StatusCode, String)>;

/// The routes under `/_sim`, those of the data plane apart.
pub fn router(control: Control) -> Router {
    Router::new()
        .route(
            "/_sim/faults",
            get(faults).post(add_fault).delete(clear_faults),
        )
        .route("/_sim/held", get(held_calls).delete(let_go))
        .route("/_sim/calls", get(counts).delete(clear_calls))
        .route("/_sim/log", get(log))
        .route("/_sim/config", get(config).post(configure))
        .route("/_sim/audit", get(audited))
        .route("/_sim/resources", get(held_resources))
        .route("/_sim/ca.pem", get(authority_pem))
        .route("/_sim/events", get(events))
        .route("/_sim/time", get(time).post(forward))
        .route("/_sim/limits", get(limits).post(limit))
        .route("/_sim/outside", get(outside).post(declare))
        .route("/_sim/keys", get(callers).post(add_keys))
        .route("/_sim/roles", get(callers).post(add_roles))
        .route("/_sim/reset", post(reset))
        .route("/_sim/{*rest}", any(|| async { StatusCode::NOT_FOUND }))
        .with_state(control)
}

async fn faults(Extract(control): Extract<Control>) -> Json<Vec<Fault>> {
    Json(control.faults.all())
}

async fn add_fault(Extract(control): Extract<Control>, body: String) -> Told {
    // One or a list; of a list all or none.
    let faults: Vec<Fault> = if body.trim_start().starts_with('[') {
        parse(&body)?
    } else {
        vec![parse(&body)?]
    };
    for fault in &faults {
        fault.check().map_err(|why| bad(&why))?;
    }
    for fault in faults {
        control.faults.add(fault);
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn clear_faults(Extract(control): Extract<Control>) -> StatusCode {
    control.faults.clear();
    StatusCode::NO_CONTENT
}

async fn held_calls(Extract(control): Extract<Control>) -> Json<Vec<Held>> {
    Json(control.faults.held())
}

async fn let_go(Extract(control): Extract<Control>) -> StatusCode {
    control.faults.let_go();
    StatusCode::NO_CONTENT
}

async fn counts(Extract(control): Extract<Control>) -> Json<Vec<Count>> {
    Json(control.journal.counts())
}

async fn clear_calls(Extract(control): Extract<Control>) -> StatusCode {
    control.journal.clear();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct After {
    /// Only calls with a greater number.
    #[serde(default)]
    after: u64,
}

async fn log(Extract(control): Extract<Control>, Query(query): Query<After>) -> Json<Vec<Call>> {
    Json(control.journal.after(query.after))
}

async fn audited(
    Extract(control): Extract<Control>,
    Query(naming): Query<Naming>,
) -> Json<Vec<Finding>> {
    Json(control.state.everywhere(|states| audit(states, &naming)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whose {
    /// The configured one where it is absent.
    account: Option<String>,
    /// The configured one where it is absent.
    region: Option<String>,
}

/// What an account holds; of one that nobody has called yet, nothing.
async fn held_resources(
    Extract(control): Extract<Control>,
    Query(whose): Query<Whose>,
) -> Json<Resources> {
    let home = control.state.home();
    let account = whose.account.as_ref().unwrap_or(&home.place().account);
    let region = whose.region.as_ref().unwrap_or(&home.place().region);
    Json(control.state.everywhere(|states| {
        let mut states = states.iter();
        let state = states.find(|it| it.account == *account && it.region == *region);
        state.map(|state| resources(state)).unwrap_or_default()
    }))
}

/// The certificate of the authority that issues certificates here.
async fn authority_pem() -> Result<&'static str, (StatusCode, String)> {
    authority::pem().map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

async fn config(Extract(control): Extract<Control>) -> Json<serde_json::Value> {
    let (quotas, timing, lags) = control.state.read(|state| {
        let quotas: BTreeMap<String, usize> = state
            .quotas
            .names()
            .map(|name| (name.to_owned(), state.quotas.limit(name)))
            .collect();
        (quotas, state.timing, state.lags.settings.clone())
    });
    let seed = control.state.chance().seed();
    Json(serde_json::json!({ "quotas": quotas, "timing": timing, "lags": lags, "seed": seed }))
}

#[derive(Serialize)]
struct Time {
    /// The simulated time.
    now: Timestamp,
    /// How far it is ahead of the wall's.
    ahead_ms: i64,
}

async fn time(Extract(control): Extract<Control>) -> Json<Time> {
    let ahead_ms = *control.state.moves().borrow();
    let now = control.state.now();
    Json(Time { now, ahead_ms })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forward {
    forward_ms: u64,
}

async fn forward(
    Extract(control): Extract<Control>,
    body: String,
) -> Result<Json<Time>, (StatusCode, String)> {
    let Forward { forward_ms } = parse(&body)?;
    control.state.forward(Duration::from_millis(forward_ms));
    Ok(time(Extract(control)).await)
}

async fn limits(Extract(control): Extract<Control>) -> Json<Limits> {
    Json(control.throttle.limits())
}

async fn limit(Extract(control): Extract<Control>, body: String) -> Told {
    let change = parse(&body)?;
    control
        .throttle
        .configure(&change)
        .map_err(|why| bad(&why))?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    quotas: BTreeMap<String, usize>,
    /// The table of knobs to begin with; the one in force where it is absent.
    #[serde(default)]
    time: Option<Profile>,
    #[serde(default)]
    timing: serde_json::Map<String, serde_json::Value>,
    /// Rules of eventual consistency to switch on; `null` switches one off.
    #[serde(default)]
    lags: BTreeMap<Lag, Option<Setting>>,
    /// Begins all that is left to chance anew.
    #[serde(default)]
    seed: Option<u64>,
}

async fn configure(Extract(control): Extract<Control>, body: String) -> Told {
    let config: Config = parse(&body)?;
    let (mut quotas, timing, mut lags) = control.state.read(|state| {
        let lags = state.lags.settings.clone();
        (state.quotas.clone(), state.timing, lags)
    });
    if let Some(profile) = config.time {
        lags = profile.lags();
    }
    for (lag, setting) in config.lags {
        match setting {
            Some(setting) => {
                setting.check().map_err(|why| bad(&why))?;
                lags.insert(lag, setting);
            }
            None => {
                lags.remove(&lag);
            }
        }
    }
    let timing = config.time.map_or(timing, Profile::timing);
    // Named knobs change, the others keep their value.
    let mut timing = serde_json::to_value(timing).map_err(|error| bad(&error.to_string()))?;
    for (name, value) in config.timing {
        timing[&name] = value;
    }
    let timing: Timing = serde_json::from_value(timing).map_err(|error| bad(&error.to_string()))?;
    timing.check().map_err(|why| bad(&why))?;
    for (name, value) in config.quotas {
        if !quotas.set(&name, value) {
            let names: Vec<&str> = quotas.names().collect();
            return Err(bad(&format!(
                "there is no quota '{name}'; there are {}",
                names.join(", ")
            )));
        }
    }
    control.state.write_everywhere(|state, _| {
        state.quotas = quotas.clone();
        state.timing = timing;
        state.lags.settings = lags.clone();
    });
    if let Some(seed) = config.seed {
        control.state.reseed(seed);
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn outside(Extract(control): Extract<Control>) -> Json<Outside> {
    Json(control.state.read(|state| state.outside.clone()))
}

/// Declares what lies outside of this AWS. Each member that is given replaces
/// what was declared of its kind, the others stay.
async fn declare(Extract(control): Extract<Control>, body: String) -> Told {
    let given: serde_json::Map<String, serde_json::Value> = parse(&body)?;
    let declared = control.state.read(|state| state.outside.clone());
    let mut declared = serde_json::to_value(declared).map_err(|error| bad(&error.to_string()))?;
    for (name, value) in given {
        declared[&name] = value;
    }
    let declared: Outside =
        serde_json::from_value(declared).map_err(|error| bad(&error.to_string()))?;
    let mut sockets = declared.issuers.iter().filter_map(Issuer::socket);
    if let Some(away) = sockets.find(|socket| !socket.ip().is_loopback()) {
        return Err(bad(&format!(
            "'{away}' is no loopback address: the simulator connects to loopback only"
        )));
    }
    control
        .state
        .write_everywhere(|state, _| state.outside = declared.clone());
    Ok(StatusCode::NO_CONTENT)
}

/// One, or a list of them.
fn all<T: serde::de::DeserializeOwned>(body: &str) -> Result<Vec<T>, (StatusCode, String)> {
    if body.trim_start().starts_with('[') {
        parse(body)
    } else {
        Ok(vec![parse(body)?])
    }
}

/// Who is known: keys without their secrets, and roles.
async fn callers(Extract(control): Extract<Control>) -> Json<serde_json::Value> {
    let (keys, roles) = control.callers.all();
    Json(serde_json::json!({ "keys": keys, "roles": roles }))
}

async fn add_keys(Extract(control): Extract<Control>, body: String) -> Told {
    let keys = all::<NewKey>(&body)?;
    // Of a list all or none.
    for key in &keys {
        let digits = |account: &String| {
            account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())
        };
        if key.id.is_empty() || !key.account.as_ref().is_none_or(digits) {
            return Err(bad("a key has an id, and an account of twelve digits"));
        }
        check(&key.id, key.policy.as_ref())?;
    }
    for key in keys {
        let held = held(&control);
        control.callers.change_key(key, held);
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn add_roles(Extract(control): Extract<Control>, body: String) -> Told {
    let roles = all::<Role>(&body)?;
    for role in &roles {
        let parts: Vec<&str> = role.arn.split(':').collect();
        if !matches!(parts.as_slice(), ["arn", _, "iam", "", _, path] if path.starts_with("role/"))
        {
            return Err(bad(&format!("'{}' is no ARN of a role", role.arn)));
        }
        check(&role.arn, role.policy.as_ref())?;
    }
    for role in roles {
        let held = held(&control);
        control.callers.change_role(role, held);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Until when a caller that is known already is judged as before.
fn held(control: &Control) -> Option<Timestamp> {
    let home = control.state.home();
    home.write(|state, now| state.lags_until(Lag::ChangePolicy, now))
}

/// Refuses a policy that cannot be judged.
fn check(whose: &str, policy: Option<&serde_json::Value>) -> Result<(), (StatusCode, String)> {
    policy
        .map_or(Ok(()), check_policy)
        .map_err(|why| bad(&format!("the policy of {whose}: {why}")))
}

/// Empties all accounts and begins all draws anew; quotas, timing, lags and what
/// lies outside stay, and no id is given twice.
async fn reset(Extract(control): Extract<Control>) -> StatusCode {
    control.faults.clear();
    control.faults.give_up();
    control.state.write_everywhere(|state, _| {
        let empty = State::new(&state.account, &state.region, state.timing);
        let before = std::mem::replace(state, empty);
        state.ids = before.ids;
        state.lags.settings = before.lags.settings;
        state.quotas = before.quotas;
        state.outside = before.outside;
        state.availability_zones = before.availability_zones;
    });
    control.state.reseed(control.state.chance().seed());
    StatusCode::NO_CONTENT
}

fn parse<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, (StatusCode, String)> {
    serde_json::from_str(body).map_err(|error| bad(&error.to_string()))
}

fn bad(text: &str) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, format!("{text}\n"))
}
