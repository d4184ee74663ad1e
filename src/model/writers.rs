//! Who put a finalizer on an object, as the API server has noted it: of several
//! controllers whose finalizers have the same names.
//!
//! The notes are `metadata.managedFields`: for each writer the fields that it
//! set, with the items of a set as keys `v:"<item>"`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use serde_json::{Value, json};

/// Where a note has the finalizers that a writer put.
const FINALIZERS: &str = "/f:metadata/f:finalizers";

/// Who put a finalizer on an object.
pub fn writer_of_finalizer<'a>(metadata: &'a ObjectMeta, finalizer: &str) -> Option<&'a str> {
    let item = format!("v:{}", Value::from(finalizer));
    let put = |entry: &&ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref();
        let finalizers = fields.and_then(|fields| fields.0.pointer(FINALIZERS));
        finalizers.is_some_and(|finalizers| finalizers.get(&item).is_some())
    };
    let mut entries = metadata.managed_fields.iter().flatten();
    entries.find(put)?.manager.as_deref()
}

/// Drops all notes but those that say who put finalizers.
pub fn keep_writers_of_finalizers(metadata: &mut ObjectMeta) {
    let entries = metadata.managed_fields.take().unwrap_or_default();
    let kept: Vec<ManagedFieldsEntry> = entries
        .into_iter()
        .filter_map(|mut entry| {
            let fields = entry.fields_v1.as_mut()?;
            let finalizers = fields.0.pointer_mut(FINALIZERS)?.take();
            fields.0 = json!({ "f:metadata": { "f:finalizers": finalizers } });
            Some(entry)
        })
        .collect();
    metadata.managed_fields = Some(kept).filter(|kept| !kept.is_empty());
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may fail loudly
mod tests {
    use super::*;

    fn metadata() -> ObjectMeta {
        serde_json::from_value(json!({ "managedFields": [
            { "manager": "kubectl", "fieldsV1": { "f:spec": { "f:rules": {} } } },
            { "manager": "a", "fieldsV1": { "f:metadata": {
                "f:annotations": { "f:x": {} },
                "f:finalizers": { ".": {}, "v:\"ingress.k8s.aws/resources\"": {} },
            } } },
            { "manager": "b", "fieldsV1": { "f:metadata": { "f:finalizers": {
                "v:\"group.ingress.k8s.aws/shop\"": {},
            } } } },
        ] }))
        .unwrap()
    }

    #[test]
    fn the_writer_of_each_finalizer_is_known_also_when_the_rest_is_dropped() {
        let mut metadata = metadata();
        for _ in 0..2 {
            let writer = |finalizer| writer_of_finalizer(&metadata, finalizer);
            assert_eq!(writer("ingress.k8s.aws/resources"), Some("a"));
            assert_eq!(writer("group.ingress.k8s.aws/shop"), Some("b"));
            assert_eq!(writer("group.ingress.k8s.aws/web"), None);
            keep_writers_of_finalizers(&mut metadata);
        }
        let kept = serde_json::to_string(&metadata).unwrap();
        assert!(
            !kept.contains("f:annotations") && !kept.contains("f:spec"),
            "{kept}"
        );
    }

    #[test]
    fn without_finalizers_nothing_is_kept() {
        let mut metadata = metadata();
        metadata.managed_fields.as_mut().unwrap().truncate(1);
        keep_writers_of_finalizers(&mut metadata);
        assert_eq!(metadata.managed_fields, None);
    }
}
