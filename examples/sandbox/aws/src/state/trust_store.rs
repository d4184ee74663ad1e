//! Trust stores: the certificate authorities that listeners verify clients with.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Answer, Listener, Refusal, State, Transition, arn,
    bundle::{count_certificates, count_revoked},
    outside::Object,
};

/// A trust store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustStore {
    /// `arn:…:truststore/NAME/ID`.
    pub arn: String,
    /// Name, unique in account and region.
    pub name: String,
    /// Whether it can be used yet.
    pub status: TrustStoreStatus,
    /// Where its bundle came from.
    pub source: Object,
    /// Certificates of authorities in PEM form.
    pub bundle: String,
    /// How many there are.
    pub certificates: usize,
    /// Revocation lists by their ids.
    pub revocations: BTreeMap<u64, Revocation>,
    /// Id of the list that was added last; no id is given twice.
    last_revocation: u64,
}

/// `Status` of a trust store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustStoreStatus {
    /// Being made.
    Creating,
    /// Usable.
    Active,
}

impl TrustStoreStatus {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
        }
    }
}

/// A revocation list of a trust store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Where it came from.
    pub source: Object,
    /// The list in PEM form.
    pub list: String,
    /// How many certificates it revokes.
    pub entries: usize,
}

impl TrustStore {
    /// How many certificates its lists revoke together.
    pub fn revoked_entries(&self) -> usize {
        self.revocations.values().map(|list| list.entries).sum()
    }

    /// Some of its revocation lists, or all if no ids are given; an unknown id
    /// is `RevocationIdNotFound`.
    pub fn described_revocations(&self, ids: &[u64]) -> Answer<Vec<(u64, &Revocation)>> {
        for id in ids {
            self.revocation(*id)?;
        }
        Ok(self
            .revocations
            .iter()
            .filter(|(id, _)| ids.is_empty() || ids.contains(id))
            .map(|(id, list)| (*id, list))
            .collect())
    }

    /// A revocation list by its id, or `RevocationIdNotFound`.
    pub fn revocation(&self, id: u64) -> Answer<&Revocation> {
        self.revocations.get(&id).ok_or_else(|| {
            Refusal::new(
                "RevocationIdNotFound",
                format!(
                    "Revocation ID '{id}' not found in trust store '{}'",
                    self.arn
                ),
            )
        })
    }
}

impl State {
    /// A trust store by ARN, or `TrustStoreNotFound`; an ARN of another kind is
    /// a `ValidationError`.
    pub fn trust_store(&self, arn: &str) -> Answer<&TrustStore> {
        check_kind(arn)?;
        self.trust_stores.get(arn).ok_or_else(|| not_found(arn))
    }

    fn trust_store_mut(&mut self, arn: &str) -> Answer<&mut TrustStore> {
        check_kind(arn)?;
        self.trust_stores.get_mut(arn).ok_or_else(|| not_found(arn))
    }

    /// CreateTrustStore: being made for a while, then usable. Answers the ARN;
    /// a repeat is refused.
    pub fn create_trust_store(
        &mut self,
        name: &str,
        source: Object,
        tags: &[(String, String)],
        now: Timestamp,
    ) -> Answer<String> {
        check_name(name)?;
        let tags = self.checked_tags(tags)?;
        if self.trust_stores.values().any(|store| store.name == name) {
            return Err(Refusal::new(
                "DuplicateTrustStoreName",
                format!("A trust store with the name '{name}' already exists"),
            ));
        }
        if self.trust_stores.len() >= self.quotas.limit("trust-stores") {
            return Err(Refusal::new(
                "TooManyTrustStores",
                "The maximum number of trust stores has been reached",
            ));
        }
        let (bundle, certificates) = self.checked_bundle(&source)?;
        let id = self.ids.hex(16);
        let arn = self.elb_arn(&format!("truststore/{name}/{id}"));
        let store = TrustStore {
            arn: arn.clone(),
            name: name.to_owned(),
            status: TrustStoreStatus::Creating,
            source,
            bundle,
            certificates,
            revocations: BTreeMap::new(),
            last_revocation: 0,
        };
        self.trust_stores.insert(arn.clone(), store);
        self.tags.insert(arn.clone(), tags);
        self.schedule(
            now,
            self.timing.trust_store_ms,
            Transition::TrustStoreActive(arn.clone()),
        );
        Ok(arn)
    }

    /// ModifyTrustStore: another bundle takes the place of the present one.
    pub fn modify_trust_store(&mut self, arn: &str, source: Object) -> Answer<()> {
        self.trust_store(arn)?;
        let (bundle, certificates) = self.checked_bundle(&source)?;
        let store = self.trust_store_mut(arn)?;
        store.source = source;
        store.bundle = bundle;
        store.certificates = certificates;
        Ok(())
    }

    /// DeleteTrustStore: refused while a listener verifies with it.
    pub fn delete_trust_store(&mut self, arn: &str) -> Answer<()> {
        self.trust_store(arn)?;
        if self.listeners_of_trust_store(arn).next().is_some() {
            return Err(Refusal::new(
                "TrustStoreInUse",
                format!("Trust store '{arn}' is currently in use by a listener"),
            ));
        }
        self.trust_stores.remove(arn);
        self.tags.remove(arn);
        Ok(())
    }

    /// AddTrustStoreRevocations: adds all lists or none, and answers their ids.
    pub fn add_revocations(&mut self, arn: &str, sources: &[Object]) -> Answer<Vec<u64>> {
        let store = self.trust_store(arn)?;
        if sources.is_empty() {
            return Err(Refusal::validation(
                "At least one revocation content must be specified",
            ));
        }
        let mut added = Vec::new();
        for source in sources {
            added.push(self.checked_revocation(source)?);
        }
        let lists = store.revocations.len() + added.len();
        let entries = added.iter().map(|list| list.entries).sum::<usize>();
        if lists > self.quotas.limit("revocation-lists-per-trust-store")
            || store.revoked_entries() + entries
                > self.quotas.limit("revocation-entries-per-trust-store")
        {
            return Err(Refusal::new(
                "TooManyTrustStoreRevocationEntries",
                format!("Trust store '{arn}' has too many revocation entries"),
            ));
        }
        let store = self.trust_store_mut(arn)?;
        let mut ids = Vec::new();
        for list in added {
            store.last_revocation += 1;
            store.revocations.insert(store.last_revocation, list);
            ids.push(store.last_revocation);
        }
        Ok(ids)
    }

    fn checked_revocation(&self, source: &Object) -> Answer<Revocation> {
        let list = self.outside.object(source).ok_or_else(|| {
            Refusal::new(
                "RevocationContentNotFound",
                format!(
                    "The revocation file 's3://{}/{}' does not exist",
                    source.bucket, source.key
                ),
            )
        })?;
        let entries = count_revoked(list).ok_or_else(|| {
            Refusal::new(
                "InvalidRevocationContent",
                format!(
                    "The revocation file 's3://{}/{}' has an invalid format or uses an incorrect algorithm",
                    source.bucket, source.key
                ),
            )
        })?;
        Ok(Revocation {
            source: source.clone(),
            list: list.to_owned(),
            entries,
        })
    }

    /// RemoveTrustStoreRevocations: removes all lists or none.
    pub fn remove_revocations(&mut self, arn: &str, ids: &[u64]) -> Answer<()> {
        let store = self.trust_store_mut(arn)?;
        if ids.is_empty() {
            return Err(Refusal::validation(
                "At least one revocation ID must be specified",
            ));
        }
        for id in ids {
            store.revocation(*id)?;
        }
        store.revocations.retain(|id, _| !ids.contains(id));
        Ok(())
    }

    /// DeleteSharedTrustStoreAssociation. Trust stores are not shared between
    /// accounts here, so an association is always one of the account itself,
    /// which this operation refuses.
    pub fn delete_shared_association(&self, arn: &str, resource: &str) -> Answer<()> {
        self.trust_store(arn)?;
        let own = self
            .listeners_of_trust_store(arn)
            .any(|listener| listener.arn == resource);
        Err(if own {
            Refusal::new(
                "DeleteAssociationSameAccount",
                "The specified association can't be within the same account",
            )
        } else {
            Refusal::new(
                "AssociationNotFound",
                format!("'{resource}' is not associated with trust store '{arn}'"),
            )
        })
    }

    /// The listeners that verify client certificates with a trust store.
    pub fn listeners_of_trust_store<'a>(
        &'a self,
        trust_store: &'a str,
    ) -> impl Iterator<Item = &'a Listener> {
        self.load_balancers
            .values()
            .flat_map(|balancer| balancer.listeners.values())
            .filter(move |listener| listener.trust_store() == Some(trust_store))
    }

    /// The text of a bundle and how many certificates it has.
    fn checked_bundle(&self, source: &Object) -> Answer<(String, usize)> {
        let place = format!("s3://{}/{}", source.bucket, source.key);
        let bundle = self.outside.object(source).ok_or_else(|| {
            Refusal::new(
                "CaCertificatesBundleNotFound",
                format!("The CA certificates bundle '{place}' does not exist"),
            )
        })?;
        let invalid = |text: &str| {
            Refusal::new(
                "InvalidCaCertificatesBundle",
                format!("The CA certificates bundle '{place}' {text}"),
            )
        };
        let count = count_certificates(bundle)
            .ok_or_else(|| invalid("is in an invalid format, or corrupt"))?;
        if count > self.quotas.limit("ca-certificates-per-trust-store") {
            return Err(invalid("has too many certificates"));
        }
        Ok((bundle.to_owned(), count))
    }
}

/// Refuses names that a trust store cannot have.
fn check_name(name: &str) -> Answer<()> {
    let word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric());
    if name.len() <= 32 && name.split('-').all(word) {
        return Ok(());
    }
    Err(Refusal::validation(format!(
        "The trust store name '{name}' must have 1 to 32 letters, digits and single hyphens between them"
    )))
}

fn check_kind(arn: &str) -> Answer<()> {
    if arn::kind(arn) == Some(arn::Kind::TrustStore) {
        return Ok(());
    }
    Err(Refusal::validation(format!(
        "'{arn}' is not a valid trust store ARN"
    )))
}

fn not_found(arn: &str) -> Refusal {
    Refusal::new(
        "TrustStoreNotFound",
        format!("Trust store '{arn}' not found"),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::SignedDuration;

    use super::*;
    use crate::{
        Timing,
        state::bundle::tests::{bundle, revocations},
    };

    fn object(key: &str) -> Object {
        Object {
            bucket: "trust".to_owned(),
            key: key.to_owned(),
            version: None,
        }
    }

    fn state() -> State {
        let mut state = State::new("123456789012", "us-east-1", Timing::default());
        let objects = [
            ("one", bundle(1)),
            ("two", bundle(2)),
            ("bad", "hello".to_owned()),
        ];
        for (key, text) in objects {
            state
                .outside
                .ca_bundles
                .insert(format!("trust/{key}"), text);
        }
        for (key, text) in [("none", revocations(0)), ("three", revocations(3))] {
            let lists = &mut state.outside.revocation_lists;
            lists.insert(format!("trust/{key}"), text);
        }
        let lists = &mut state.outside.revocation_lists;
        lists.insert("trust/bad".to_owned(), "hello".to_owned());
        state
    }

    #[test]
    fn a_trust_store_lives() {
        let start = Timestamp::UNIX_EPOCH;
        let mut state = state();
        let refused = |state: &mut State, name: &str, key: &str| {
            let made = state.create_trust_store(name, object(key), &[], start);
            made.unwrap_err().code
        };
        assert_eq!(
            refused(&mut state, "a", "zero"),
            "CaCertificatesBundleNotFound"
        );
        assert_eq!(
            refused(&mut state, "a", "bad"),
            "InvalidCaCertificatesBundle"
        );
        for name in ["", "-a", "a-", "a--b", "a_b", &"a".repeat(33)] {
            assert_eq!(
                refused(&mut state, name, "one"),
                "ValidationError",
                "{name}"
            );
        }
        let arn = state
            .create_trust_store("a-b", object("one"), &[], start)
            .unwrap();
        assert!(arn.contains(":truststore/a-b/"));
        assert_eq!(refused(&mut state, "a-b", "one"), "DuplicateTrustStoreName");
        let store = state.trust_store(&arn).unwrap();
        assert_eq!(store.status, TrustStoreStatus::Creating);
        state.advance(start.checked_add(SignedDuration::from_hours(1)).unwrap());
        let store = state.trust_store(&arn).unwrap();
        assert_eq!(
            (store.status, store.certificates),
            (TrustStoreStatus::Active, 1)
        );

        let bad = state.modify_trust_store(&arn, object("bad")).unwrap_err();
        assert_eq!(bad.code, "InvalidCaCertificatesBundle");
        assert_eq!(state.trust_store(&arn).unwrap().certificates, 1);
        state.modify_trust_store(&arn, object("two")).unwrap();
        assert_eq!(state.trust_store(&arn).unwrap().certificates, 2);

        state.quotas.set("trust-stores", 1);
        assert_eq!(refused(&mut state, "b", "one"), "TooManyTrustStores");
        state.delete_trust_store(&arn).unwrap();
        let gone = state.delete_trust_store(&arn).unwrap_err();
        assert_eq!(gone.code, "TrustStoreNotFound");
        let other = state.delete_trust_store("arn:aws:s3:::x").unwrap_err();
        assert_eq!(other.code, "ValidationError");
    }

    #[test]
    fn revocations_are_added_all_or_none_and_no_id_comes_twice() {
        let mut state = state();
        let made = state.create_trust_store("a", object("one"), &[], Timestamp::UNIX_EPOCH);
        let arn = made.unwrap();
        let lost = state.add_revocations(&arn, &[object("three"), object("zero")]);
        assert_eq!(lost.unwrap_err().code, "RevocationContentNotFound");
        let bad = state.add_revocations(&arn, &[object("three"), object("bad")]);
        assert_eq!(bad.unwrap_err().code, "InvalidRevocationContent");
        assert_eq!(state.trust_store(&arn).unwrap().revoked_entries(), 0);
        let ids = state.add_revocations(&arn, &[object("three"), object("none")]);
        assert_eq!(ids.unwrap(), [1, 2]);
        assert_eq!(state.trust_store(&arn).unwrap().revoked_entries(), 3);
        state.quotas.set("revocation-entries-per-trust-store", 5);
        let many = state.add_revocations(&arn, &[object("three")]).unwrap_err();
        assert_eq!(many.code, "TooManyTrustStoreRevocationEntries");
        let unknown = state.remove_revocations(&arn, &[2, 7]).unwrap_err();
        assert_eq!(unknown.code, "RevocationIdNotFound");
        state.remove_revocations(&arn, &[2]).unwrap();
        let ids = state.add_revocations(&arn, &[object("none")]).unwrap();
        assert_eq!(ids, [3]);
    }

    #[test]
    fn a_certificate_quota_counts_the_bundle() {
        let mut state = state();
        state.quotas.set("ca-certificates-per-trust-store", 1);
        let made = state.create_trust_store("a", object("two"), &[], Timestamp::UNIX_EPOCH);
        assert_eq!(made.unwrap_err().code, "InvalidCaCertificatesBundle");
    }
}
