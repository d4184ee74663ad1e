//! Finalizers: added before anything is made for an Ingress, taken off last.
//!
//! Each write is a JSON patch that tests what it changes: the Ingress is the
//! one that was looked at (its uid), and its list of finalizers is the one
//! that is edited. When the test fails the Ingress is read afresh, a few
//! times; what is still in the way then is the next run's.

use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::{Error, NOT_FOUND, Reporter, is_older};
use crate::model::spec::ObjectName;

/// Attempts to write one list, when others write it too.
const ATTEMPTS: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Add,
    Remove,
}

impl Reporter {
    /// What this installation is called as the writer of finalizers: those of
    /// several in a cluster have the same names, and the API server notes who
    /// put them.
    pub fn finalizer_writer(&self) -> &str {
        &self.finalizer_writer
    }

    /// Puts a finalizer on an Ingress; `false` when it has it.
    pub(super) async fn add_finalizer(
        &self,
        ingress: &Ingress,
        finalizer: &str,
    ) -> Result<bool, Error> {
        self.change_finalizer(ingress, finalizer, Change::Add).await
    }

    /// Takes a finalizer off an Ingress; `false` when it has none or is gone.
    pub(super) async fn remove_finalizer(
        &self,
        ingress: &Ingress,
        finalizer: &str,
    ) -> Result<bool, Error> {
        self.change_finalizer(ingress, finalizer, Change::Remove)
            .await
    }

    async fn change_finalizer(
        &self,
        ingress: &Ingress,
        finalizer: &str,
        change: Change,
    ) -> Result<bool, Error> {
        let name = ObjectName::new(ingress.namespace().unwrap_or_default(), ingress.name_any());
        if patch(ingress, finalizer, change).is_none() {
            return Ok(false);
        }
        let is_old = {
            let memory = self.memory();
            let of_ingress = memory.finalizers.get(&name);
            is_older(ingress, of_ingress.and_then(|of| of.get(finalizer)))
        };
        if is_old {
            return Ok(false);
        }
        let written = self
            .write_finalizer(&name, ingress.clone(), finalizer, change)
            .await?;
        let Some(version) = written else {
            return Ok(false);
        };
        let mut memory = self.memory();
        let of_ingress = memory.finalizers.entry(name).or_default();
        of_ingress.insert(finalizer.to_owned(), version);
        Ok(true)
    }

    /// Answers the version of the Ingress as it was written; `None` when
    /// nothing was to be written.
    async fn write_finalizer(
        &self,
        name: &ObjectName,
        mut ingress: Ingress,
        finalizer: &str,
        change: Change,
    ) -> Result<Option<String>, Error> {
        let api: Api<Ingress> = Api::namespaced(self.client.clone(), &name.namespace);
        let uid = ingress.uid();
        let parameters = PatchParams {
            field_manager: Some(self.finalizer_writer.clone()),
            ..PatchParams::default()
        };
        for _ in 0..ATTEMPTS {
            let Some(operations) = patch(&ingress, finalizer, change) else {
                return Ok(None);
            };
            let operations = serde_json::from_value(operations).map_err(|error| {
                Error::write("write the finalizers", name, kube::Error::SerdeError(error))
            })?;
            let patch = Patch::<Ingress>::Json(operations);
            match api.patch(&name.name, &parameters, &patch).await {
                Ok(ingress) => {
                    self.wrote("finalizer");
                    return Ok(Some(ingress.resource_version().unwrap_or_default()));
                }
                Err(kube::Error::Api(answer)) if answer.code == NOT_FOUND => {
                    return gone(name, change);
                }
                // A failed test is answered as invalid; so is a new finalizer
                // on an Ingress that is being deleted.
                Err(kube::Error::Api(answer)) if answer.is_conflict() || answer.is_invalid() => {}
                Err(error) => return Err(Error::write("write the finalizers", name, error)),
            }
            ingress = match api.get_opt(&name.name).await {
                Ok(Some(fresh)) if fresh.uid() == uid => fresh,
                Ok(_) => return gone(name, change),
                Err(error) => return Err(Error::write("read the finalizers", name, error)),
            };
            if change == Change::Add && ingress.metadata.deletion_timestamp.is_some() {
                break;
            }
        }
        Err(Error::Changed {
            object: name.to_string(),
        })
    }
}

/// An Ingress that is gone needs no finalizer taken off; but one that should
/// have been claimed must not be worked for.
fn gone(name: &ObjectName, change: Change) -> Result<Option<String>, Error> {
    match change {
        Change::Remove => Ok(None),
        Change::Add => Err(Error::Changed {
            object: name.to_string(),
        }),
    }
}

/// The operations of the JSON patch; `None` when nothing is to be changed.
fn patch(ingress: &Ingress, finalizer: &str, change: Change) -> Option<Value> {
    const LIST: &str = "/metadata/finalizers";
    let finalizers = ingress.finalizers();
    let position = finalizers.iter().position(|held| held == finalizer);
    let same_object = json!({ "op": "test", "path": "/metadata/uid", "value": ingress.uid() });
    // A list that is not there is tested as null.
    let same_list = if finalizers.is_empty() {
        json!({ "op": "test", "path": LIST, "value": null })
    } else {
        json!({ "op": "test", "path": LIST, "value": finalizers })
    };
    let edit = match (change, position) {
        (Change::Add, Some(_)) | (Change::Remove, None) => return None,
        (Change::Add, None) if finalizers.is_empty() => {
            json!({ "op": "add", "path": LIST, "value": [finalizer] })
        }
        (Change::Add, None) => {
            json!({ "op": "add", "path": format!("{LIST}/-"), "value": finalizer })
        }
        (Change::Remove, Some(position)) => {
            json!({ "op": "remove", "path": format!("{LIST}/{position}") })
        }
    };
    Some(json!([same_object, same_list, edit]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ingress(finalizers: &Value) -> Ingress {
        serde_json::from_value(json!({ "metadata": { "uid": "u1", "finalizers": finalizers } }))
            .unwrap()
    }

    #[test]
    fn a_patch_tests_the_object_and_the_list_that_it_edits() {
        let add = |held: Value| patch(&ingress(&held), "mine", Change::Add);
        let remove = |held: Value| patch(&ingress(&held), "mine", Change::Remove);
        assert_eq!(
            add(json!(null)).unwrap(),
            json!([
                { "op": "test", "path": "/metadata/uid", "value": "u1" },
                { "op": "test", "path": "/metadata/finalizers", "value": null },
                { "op": "add", "path": "/metadata/finalizers", "value": ["mine"] },
            ])
        );
        let added = add(json!(["other"])).unwrap();
        assert_eq!(added[1]["value"], json!(["other"]));
        assert_eq!(added[2]["path"], "/metadata/finalizers/-");
        let removed = remove(json!(["other", "mine"])).unwrap();
        assert_eq!(
            removed[2],
            json!({ "op": "remove", "path": "/metadata/finalizers/1" })
        );
        assert_eq!(add(json!(["mine"])), None);
        assert_eq!(remove(json!(["other"])), None);
    }
}
