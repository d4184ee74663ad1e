//! Who may call: keys and roles that were registered, and temporary keys that
//! STS gave out. Any other key belongs to the configured account with all
//! rights, unless only known keys are taken.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::state::{ids::Ids, regions::partition};

/// A key as it is registered under `/_sim/keys`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// Access key id.
    pub id: String,
    /// Secret access key.
    pub secret: String,
    /// Twelve digits; the configured account if absent.
    pub account: Option<String>,
    /// Name of the user that has the key; made of the id if absent.
    pub user: Option<String>,
    /// Session token that has to be sent along.
    pub token: Option<String>,
    /// Policy of the user, as an object or as its text.
    #[serde(default, deserialize_with = "policy")]
    pub policy: Option<Value>,
    /// From when on it is refused: ISO 8601, or seconds since 1970.
    #[serde(default, deserialize_with = "moment")]
    pub expires: Option<Timestamp>,
}

impl NewKey {
    /// A key of the configured account with all rights.
    pub fn of(id: &str, secret: &str) -> Self {
        Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
            account: None,
            user: None,
            token: None,
            policy: None,
            expires: None,
        }
    }
}

/// A role as it is registered under `/_sim/roles`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// `arn:aws:iam::ACCOUNT:role/PATH/NAME`.
    pub arn: String,
    /// Who may assume it; anybody if absent.
    #[serde(default, deserialize_with = "policy")]
    pub trust_policy: Option<Value>,
    /// What its sessions may do.
    #[serde(default, deserialize_with = "policy")]
    pub policy: Option<Value>,
    /// The issuer of web identities that may assume it.
    pub issuer: Option<String>,
    /// The longest session, in seconds.
    #[serde(default = "longest")]
    pub max_session_seconds: i64,
}

fn longest() -> i64 {
    43_200
}

/// A policy document, which may also come as its text.
fn policy<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    let value = match Option::<Value>::deserialize(deserializer)? {
        Some(Value::String(text)) => {
            Some(serde_json::from_str(&text).map_err(serde::de::Error::custom)?)
        }
        other => other,
    };
    match value {
        None | Some(Value::Object(_)) => Ok(value),
        Some(_) => Err(serde::de::Error::custom("a policy is a JSON object")),
    }
}

/// A time, also in seconds since 1970.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    let time = match &value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.parse().ok(),
        Some(other) => other
            .as_i64()
            .and_then(|seconds| Timestamp::from_second(seconds).ok()),
    };
    time.map(Some)
        .ok_or_else(|| serde::de::Error::custom("not a time"))
}

/// Somebody who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Account.
    pub account: String,
    /// ARN of the user, the session or the account.
    pub arn: String,
    /// `AIDA…`, `AROA…:SESSION` or the account.
    pub user_id: String,
    /// The access key id; none for calls that are not signed.
    pub key: Option<String>,
    /// The session that a role was assumed for.
    pub session: Option<Session>,
    /// The policies that bind it; none for all rights.
    pub policies: Vec<Value>,
}

/// What is particular to temporary keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// ARN of the role; none for a user's own session.
    pub role: Option<String>,
    /// Session tags.
    pub tags: BTreeMap<String, String>,
    /// The policy of the session, which narrows that of the role.
    pub policy: Option<Value>,
}

/// A key with what it is checked by.
#[derive(Debug, Clone)]
pub struct Key {
    /// Secret access key.
    pub secret: String,
    /// Session token that has to be sent along.
    pub token: Option<String>,
    /// From when on it is refused.
    pub expires: Option<Timestamp>,
    /// Whose it is.
    pub caller: Caller,
}

/// All keys and roles.
#[derive(Debug)]
pub struct Callers {
    /// The account of keys that nobody registered.
    account: String,
    /// The region that is configured, which every account has.
    region: String,
    /// Whether such keys are refused.
    only_known: bool,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    keys: BTreeMap<String, Latest<Key>>,
    roles: BTreeMap<String, Latest<Role>>,
}

/// Something that may be known as it was before its last change for a while.
#[derive(Debug)]
struct Latest<T> {
    present: T,
    earlier: Option<(Timestamp, T)>,
}

impl<T: Clone> Latest<T> {
    fn at(&self, now: Timestamp) -> T {
        match &self.earlier {
            Some((until, earlier)) if now < *until => earlier.clone(),
            _ => self.present.clone(),
        }
    }

    /// Puts a value in place of the one that is there, which holds until then.
    fn put(all: &mut BTreeMap<String, Self>, id: String, value: T, until: Option<Timestamp>) {
        let before = all.remove(&id).map(|latest| latest.present);
        let latest = Self {
            present: value,
            earlier: until.zip(before),
        };
        all.insert(id, latest);
    }
}

impl Callers {
    /// Nobody known yet; other keys belong to `account`.
    pub fn new(account: &str, region: &str, only_known: bool) -> Self {
        Self {
            account: account.to_owned(),
            region: region.to_owned(),
            only_known,
            known: Mutex::default(),
        }
    }

    /// The region that is configured.
    pub fn region(&self) -> &str {
        &self.region
    }

    fn partition(&self) -> &'static str {
        partition(&self.region)
    }

    /// Registers a key, in place of one of the same id.
    pub fn register(&self, new: NewKey) {
        self.change_key(new, None);
    }

    /// Registers a key, in place of one of the same id, by which its calls are
    /// still judged until `held` if that is given.
    pub(crate) fn change_key(&self, new: NewKey, held: Option<Timestamp>) {
        let account = new.account.unwrap_or_else(|| self.account.clone());
        let name = new.user.unwrap_or_else(|| format!("user-of-{}", new.id));
        let arn = format!("arn:{}:iam::{account}:user/{name}", self.partition());
        let key = Key {
            secret: new.secret,
            token: new.token,
            expires: new.expires,
            caller: Caller {
                user_id: format!("AIDA{}", Ids::named(&arn).capitals(17)),
                account,
                arn,
                key: Some(new.id.clone()),
                session: None,
                policies: new.policy.into_iter().collect(),
            },
        };
        Latest::put(&mut self.lock().keys, new.id, key, held);
    }

    /// Takes a key in that STS gave out.
    pub fn give_out(&self, id: String, key: Key) {
        Latest::put(&mut self.lock().keys, id, key, None);
    }

    /// Registers a role, in place of one of the same ARN. Its sessions have its
    /// policy.
    pub fn register_role(&self, role: Role) {
        self.change_role(role, None);
    }

    /// Registers a role, in place of one of the same ARN, by which is still
    /// judged until `held` if that is given.
    pub(crate) fn change_role(&self, role: Role, held: Option<Timestamp>) {
        let arn = role.arn.clone();
        Latest::put(&mut self.lock().roles, arn, role, held);
    }

    /// A registered role as it is known now.
    pub fn role(&self, arn: &str, now: Timestamp) -> Option<Role> {
        self.lock().roles.get(arn).map(|role| role.at(now))
    }

    /// Whether a registered role trusts this issuer.
    pub fn trusts_issuer(&self, issuer: &str) -> bool {
        let known = self.lock();
        let roles = known.roles.values().map(|role| &role.present);
        let mut issuers = roles.filter_map(|role| role.issuer.as_ref());
        issuers.any(|trusted| trusted == issuer)
    }

    /// A registered key, or one that STS gave out, as it is known now.
    pub fn key(&self, id: &str, now: Timestamp) -> Option<Key> {
        let known = self.lock();
        let mut key = known.keys.get(id)?.at(now);
        let session = key.caller.session.as_ref();
        let role = session.and_then(|session| known.roles.get(session.role.as_ref()?));
        if let Some((session, role)) = session.zip(role) {
            let narrowing = session.policy.clone();
            key.caller.policies = role.at(now).policy.into_iter().chain(narrowing).collect();
        }
        Some(key)
    }

    /// The ids of all keys with their ARNs, and all roles.
    pub fn all(&self) -> (BTreeMap<String, String>, Vec<Role>) {
        let known = self.lock();
        let keys = known.keys.iter();
        let keys = keys.map(|(id, key)| (id.clone(), key.present.caller.arn.clone()));
        let roles = known.roles.values().map(|role| role.present.clone());
        (keys.collect(), roles.collect())
    }

    /// Whoever has a key that nobody registered; `None` when such keys are refused.
    pub fn stranger(&self, key: &str) -> Option<Caller> {
        (!self.only_known).then(|| Caller {
            key: Some(key.to_owned()),
            ..self.root()
        })
    }

    /// The account that keys belong to which nobody registered, as a caller.
    pub fn root(&self) -> Caller {
        Caller {
            account: self.account.clone(),
            arn: format!("arn:{}:iam::{}:root", self.partition(), self.account),
            user_id: self.account.clone(),
            key: None,
            session: None,
            policies: Vec::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn policies_come_as_objects_and_as_texts() {
        let read = |policy: Value| {
            serde_json::from_value::<NewKey>(json!({ "id": "A", "secret": "s", "policy": policy }))
        };
        let document = json!({ "Version": "2012-10-17", "Statement": [] });
        assert_eq!(
            read(document.clone()).unwrap().policy,
            Some(document.clone())
        );
        let text = Value::from(document.to_string());
        assert_eq!(read(text).unwrap().policy, Some(document));
        assert!(read(json!("nonsense")).is_err());
        assert!(read(json!([])).is_err());
    }

    #[test]
    fn times_are_texts_or_seconds() {
        let read = |expires: Value| {
            let key = json!({ "id": "A", "secret": "s", "expires": expires });
            serde_json::from_value::<NewKey>(key).map(|key| key.expires)
        };
        let time = "2026-11-23T08:44:57Z".parse().unwrap();
        assert_eq!(read(json!("2026-11-23T08:44:57Z")).unwrap(), Some(time));
        assert_eq!(read(json!(time.as_second())).unwrap(), Some(time));
        assert_eq!(read(Value::Null).unwrap(), None);
        assert!(read(json!("soon")).is_err());
    }

    #[test]
    fn strangers_have_all_rights_unless_only_known_keys_are_taken() {
        let callers = Callers::new("123456789012", "us-east-1", false);
        let stranger = callers.stranger("AKID").unwrap();
        assert_eq!(stranger.arn, "arn:aws:iam::123456789012:root");
        assert!(stranger.policies.is_empty());
        let strict = Callers::new("123456789012", "us-east-1", true);
        assert_eq!(strict.stranger("AKID"), None);
        let key = json!({ "id": "AKID", "secret": "s", "account": "999999999999", "user": "web" });
        let now = Timestamp::UNIX_EPOCH;
        strict.register(serde_json::from_value(key).unwrap());
        let known = strict.key("AKID", now).unwrap().caller;
        assert_eq!(known.account, "999999999999");
        assert_eq!(known.arn, "arn:aws:iam::999999999999:user/web");
        assert_eq!(known.user_id.len(), 21);
    }

    #[test]
    fn a_session_has_the_policy_that_its_role_has_now() {
        let callers = Callers::new("123456789012", "us-east-1", false);
        let at = |second| Timestamp::from_second(second).unwrap();
        let role = |policy: &str| Role {
            arn: "arn:aws:iam::123456789012:role/web".to_owned(),
            trust_policy: None,
            policy: Some(json!(policy)),
            issuer: None,
            max_session_seconds: 3600,
        };
        callers.register_role(role("first"));
        let caller = Caller {
            session: Some(Session {
                role: Some(role("").arn),
                tags: BTreeMap::new(),
                policy: Some(json!("narrow")),
            }),
            ..callers.root()
        };
        let key = Key {
            secret: "s".to_owned(),
            token: None,
            expires: None,
            caller,
        };
        callers.give_out("ASIA".to_owned(), key);
        let policies = |second| callers.key("ASIA", at(second)).unwrap().caller.policies;
        assert_eq!(policies(0), [json!("first"), json!("narrow")]);
        callers.change_role(role("second"), Some(at(20)));
        assert_eq!(policies(19), [json!("first"), json!("narrow")]);
        assert_eq!(policies(20), [json!("second"), json!("narrow")]);
        let known = callers.role(&role("").arn, at(19)).unwrap();
        assert_eq!(known.policy, Some(json!("first")));
    }
}
