//! When the custom resource of a group is written, and what a new process
//! reads of it.
//!
//! A change costs two writes: the record says that it is pending before it
//! begins ([`Reporter::announce`]), and what has become of it together with
//! what people read ([`Reporter::publish`](super::Reporter::publish)). Both
//! tell of the plan and its outcome ([`LastChange`]). Hashes
//! of targets never make a write of their own on a group's way: they go with
//! one that happens anyway, or later ([`Reporter::write_late`]).

pub(super) mod resource;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject};
use serde_json::json;

use super::group::{Applied, IngressGroup, IngressGroupSpec, IngressGroupStatus, resource_name};
use super::{Error, GroupReport, LastChange, NOT_FOUND, Reporter, WRITER};
use crate::api_error::ApiError;
use crate::model::applied::SCHEMA;
use crate::model::desired::{Desired, Intent};
use crate::model::group::GroupId;
pub(super) use resource::Resource;

/// Label of custom resources: the installation that writes them.
const INSTALLATION_LABEL: &str = "ingress.k8s.aws/installation";
/// A CRD that is not installed is looked for again after this time.
const LOOK_AGAIN: Duration = Duration::from_mins(5);
/// Writes of hashes in one go, and side by side.
const AT_ONCE: (usize, usize) = (50, 8);
/// Objects on a page of a list.
const PAGE: u32 = 500;

fn parameters() -> PatchParams {
    PatchParams {
        field_manager: Some(WRITER.to_owned()),
        ..PatchParams::default()
    }
}

/// A group that nobody is in is not one for people: it is cleaned up or
/// another's.
fn is_nobodys(desired: &Desired) -> bool {
    let empty = desired.members.is_empty() && desired.leavers.is_empty();
    empty && matches!(desired.intent, Intent::Remove | Intent::LeaveAlone)
}

impl Reporter {
    /// Reads the custom resources of all groups, and deletes those of this
    /// installation's groups that are no more: of a group that went while its
    /// resource could not be deleted. Called once, at the start of leading.
    /// Answers what the records say.
    pub async fn read_resources(
        &self,
        groups: impl IntoIterator<Item = &GroupId>,
    ) -> Result<BTreeMap<GroupId, Applied>, Error> {
        let named: BTreeMap<String, &GroupId> = groups
            .into_iter()
            .map(|group| (resource_name(group), group))
            .collect();
        let mut records = BTreeMap::new();
        let mut strays = BTreeSet::new();
        for object in self.list_resources().await? {
            let Some(name) = object.metadata.name else {
                continue;
            };
            let Some(group) = named.get(&name) else {
                let labels = object.metadata.labels.unwrap_or_default();
                if labels.get(INSTALLATION_LABEL) == Some(&self.installation) {
                    strays.insert(name);
                }
                continue;
            };
            let status = object.data.get("status").cloned().unwrap_or_default();
            if object.data["spec"]["group"] != group.to_string().as_str() {
                continue;
            }
            let Ok(status) = serde_json::from_value::<IngressGroupStatus>(status) else {
                continue;
            };
            if let Some(record) = &status.applied {
                records.insert((*group).clone(), record.clone());
            }
            let mut memory = self.memory();
            let told = memory.groups.entry((*group).clone()).or_default();
            told.resource.written = Some(status);
        }
        for stray in strays {
            self.delete_named(&stray).await?;
        }
        Ok(records)
    }

    /// All custom resources, of whatever shape: one that cannot be read must
    /// not keep the others from being read.
    async fn list_resources(&self) -> Result<Vec<DynamicObject>, Error> {
        let kind = ApiResource::erase::<IngressGroup>(&());
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &kind);
        let mut all = Vec::new();
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list = match api.list(&page).await {
                Ok(list) => list,
                Err(kube::Error::Api(answer)) if answer.code == NOT_FOUND => return Ok(all),
                Err(error) => return Err(Error::write("list", &"IngressGroups", error)),
            };
            all.extend(list.items);
            match list.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => page = page.continue_token(&next),
                None => return Ok(all),
            }
        }
    }

    /// What a group's record says, as far as known.
    pub fn record(&self, group: &GroupId) -> Option<Applied> {
        self.memory().groups.get(group)?.resource.record().cloned()
    }

    /// The hosts that people read of as having records of a group.
    pub fn shown_hosts(&self, group: &GroupId) -> BTreeSet<String> {
        let memory = self.memory();
        let told = memory.groups.get(group);
        let shown = told.and_then(|told| told.resource.written.as_ref());
        let records = shown.into_iter().flat_map(|status| &status.records);
        records.map(|record| record.host.clone()).collect()
    }

    /// Notes in the record that a group is about to be changed to what the
    /// digest stands for, by the plan that `begun` tells of, if it does not say
    /// already that it is being changed.
    /// Where there can be no record the change goes on without: what has none
    /// is read in full.
    pub async fn announce(
        &self,
        desired: &Desired,
        digest: &str,
        begun: &LastChange,
    ) -> Result<(), Error> {
        let group = &desired.group;
        {
            let memory = self.memory();
            let resource = memory.groups.get(group).map(|told| &told.resource);
            let pending = resource
                .and_then(Resource::record)
                .is_some_and(|record| record.pending.is_some());
            if pending || is_nobodys(desired) || memory.is_not_installed() {
                return Ok(());
            }
        }
        match self.write_pending(desired, digest, begun).await {
            Ok(()) => {
                let mut memory = self.memory();
                let resource = &mut memory.groups.entry(group.clone()).or_default().resource;
                let status = resource.written.get_or_insert_default();
                status.last_change = Some(begun.clone());
                let record = status.applied.get_or_insert_default();
                record.schema = SCHEMA;
                record.pending = Some(digest.to_owned());
                Ok(())
            }
            Err(kube::Error::Api(answer)) if answer.code == NOT_FOUND => {
                self.note_not_installed();
                Ok(())
            }
            Err(kube::Error::Api(answer)) if answer.is_forbidden() => {
                let error = ApiError::from(kube::Error::Api(answer));
                tracing::warn!(%group, %error, "cannot write the IngressGroup");
                Ok(())
            }
            Err(error) => Err(Error::write(
                "note a change in the IngressGroup",
                group,
                error,
            )),
        }
    }

    /// Notes that the targets of these target groups of a group are about to
    /// change, so that their hashes in the record are not what they were made
    /// from any more. Writes nothing: nothing is in the way of a target.
    pub fn targets_change(&self, group: &GroupId, names: BTreeSet<String>) {
        if !names.is_empty() {
            let mut memory = self.memory();
            memory.resource(group, |told| told.changes(names, Instant::now()));
        }
    }

    async fn write_pending(
        &self,
        desired: &Desired,
        digest: &str,
        begun: &LastChange,
    ) -> kube::Result<()> {
        let api: Api<IngressGroup> = Api::all(self.client.clone());
        let name = resource_name(&desired.group);
        let record = json!({ "schema": SCHEMA, "pending": digest });
        // A merge takes away only what is named.
        let change = json!({
            "outcome": begun.outcome, "detail": null, "plan": begun.plan, "more": begun.more,
        });
        let noted = json!({ "status": { "applied": record, "lastChange": change } });
        let noted = Patch::Merge(noted);
        match api.patch_status(&name, &parameters(), &noted).await {
            Ok(_) => {}
            Err(kube::Error::Api(answer)) if answer.code == NOT_FOUND => {
                if desired.intent == Intent::Remove {
                    return Ok(());
                }
                self.create_resource(&desired.group).await?;
                let members: Vec<String> =
                    desired.members.iter().map(ToString::to_string).collect();
                let first = Patch::Merge(json!({ "status": {
                    "state": super::GroupState::Waiting.as_str(),
                    "memberCount": members.len(),
                    "members": members,
                    "applied": record,
                    "lastChange": begun,
                } }));
                api.patch_status(&name, &parameters(), &first).await?;
            }
            Err(error) => return Err(error),
        }
        self.wrote("group");
        Ok(())
    }

    /// Writes the custom resource when it would say something else than what
    /// it says, hashes of targets aside. A failure is logged and nothing else;
    /// the next report writes it.
    pub(super) async fn publish_resource(&self, report: &GroupReport<'_>) -> usize {
        let group = &report.desired.group;
        if is_nobodys(report.desired) {
            return 0;
        }
        let mut status = IngressGroupStatus::of(report);
        {
            let memory = self.memory();
            let told = memory.groups.get(group);
            let written = told.and_then(|told| told.resource.written.as_ref());
            if report.records.is_none()
                && let Some(written) = written
            {
                status.records.clone_from(&written.records);
            }
            status.last_change = LastChange::now(report.tried.as_ref(), &status, written);
        }
        self.show(group, status).await
    }

    /// Writes a status when it says something else than what is there, hashes
    /// of targets aside.
    pub(super) async fn show(&self, group: &GroupId, status: IngressGroupStatus) -> usize {
        {
            let mut memory = self.memory();
            let missing = memory.is_not_installed();
            if missing || !memory.resource(group, |told| told.takes(&status)) {
                return 0;
            }
        }
        match self.write_resource(group, &status).await {
            Ok(writes) => {
                let mut memory = self.memory();
                memory.not_installed = None;
                let told = memory.groups.entry(group.clone()).or_default();
                told.resource.wrote(status, Instant::now());
                writes
            }
            Err(kube::Error::Api(answer)) if answer.code == NOT_FOUND => {
                self.note_not_installed();
                0
            }
            Err(error) => {
                let error = ApiError::from(error);
                tracing::warn!(%group, %error, "cannot write the IngressGroup");
                0
            }
        }
    }

    fn note_not_installed(&self) {
        let since = self.memory().not_installed.replace(Instant::now());
        if since.is_none() {
            tracing::info!(
                "the CRD ingressgroups.ingress.k8s.aws is not installed, so groups are not shown \
                 by kubectl get alb, and a restart reads all of them; install it with kubectl \
                 apply -k deploy/crd"
            );
        }
    }

    /// Creates the resource when it is not there, then writes its status.
    async fn write_resource(
        &self,
        group: &GroupId,
        status: &IngressGroupStatus,
    ) -> kube::Result<usize> {
        let api: Api<IngressGroup> = Api::all(self.client.clone());
        let name = resource_name(group);
        // A JSON patch replaces the whole status: fields that went must go.
        let whole = json!([{ "op": "add", "path": "/status", "value": status }]);
        let whole = serde_json::from_value(whole).map_err(kube::Error::SerdeError)?;
        let whole = Patch::<IngressGroup>::Json(whole);
        let mut writes = 0;
        match api.patch_status(&name, &parameters(), &whole).await {
            Ok(_) => {}
            Err(kube::Error::Api(answer)) if answer.code == NOT_FOUND => {
                self.create_resource(group).await?;
                writes += 1;
                api.patch_status(&name, &parameters(), &whole).await?;
            }
            Err(error) => return Err(error),
        }
        self.wrote("group");
        Ok(writes + 1)
    }

    async fn create_resource(&self, group: &GroupId) -> kube::Result<()> {
        let api: Api<IngressGroup> = Api::all(self.client.clone());
        let spec = IngressGroupSpec {
            group: group.to_string(),
        };
        let mut new = IngressGroup::new(&resource_name(group), spec);
        let label = (INSTALLATION_LABEL.to_owned(), self.installation.clone());
        new.metadata.labels = Some(BTreeMap::from([label]));
        api.create(&PostParams::default(), &new).await?;
        self.wrote("group");
        Ok(())
    }

    /// Writes hashes of targets that changed, of each group at most once a
    /// minute, after those that are not so any more were taken away; at the
    /// end (`all`) those of all groups. A failure is logged, and it is tried
    /// again.
    pub async fn write_late(&self, all: bool) {
        let now = Instant::now();
        let most = if all { usize::MAX } else { AT_ONCE.0 };
        let due = self.memory().due(now, all, most);
        let writes = due.into_iter().map(|(group, targets)| async move {
            match self.write_targets(&group, &targets).await {
                Ok(()) => {
                    let mut memory = self.memory();
                    if let Some(told) = memory.groups.get_mut(&group) {
                        told.resource.wrote_targets(targets, now);
                    }
                }
                Err(error) => {
                    let error = ApiError::from(error);
                    tracing::warn!(%group, %error, "cannot write the IngressGroup");
                    if let Some(told) = self.memory().groups.get_mut(&group) {
                        told.resource.could_not_write_targets(now);
                    }
                }
            }
        });
        let mut writes = futures::stream::iter(writes).buffer_unordered(AT_ONCE.1);
        while writes.next().await.is_some() {}
    }

    /// Nothing but the hashes: whatever else the status says by now stays.
    async fn write_targets(
        &self,
        group: &GroupId,
        targets: &BTreeMap<String, String>,
    ) -> kube::Result<()> {
        let api: Api<IngressGroup> = Api::all(self.client.clone());
        let name = resource_name(group);
        let only = json!([{ "op": "add", "path": "/status/applied/targets", "value": targets }]);
        let only = serde_json::from_value(only).map_err(kube::Error::SerdeError)?;
        let only = Patch::<IngressGroup>::Json(only);
        api.patch_status(&name, &parameters(), &only).await?;
        self.wrote("group");
        Ok(())
    }

    /// Deletes the resource of a group that is no more; one that is not there
    /// is fine.
    pub(super) async fn delete_resource(&self, group: &GroupId) -> Result<usize, Error> {
        self.delete_named(&resource_name(group)).await
    }

    async fn delete_named(&self, name: &str) -> Result<usize, Error> {
        let api: Api<IngressGroup> = Api::all(self.client.clone());
        match api.delete(name, &DeleteParams::default()).await {
            Ok(_) => {
                self.wrote("group");
                Ok(1)
            }
            Err(kube::Error::Api(answer)) if answer.code == NOT_FOUND => Ok(0),
            // A role without the custom resource must not keep finalizers.
            Err(kube::Error::Api(answer)) if answer.is_forbidden() => {
                let error = ApiError::from(kube::Error::Api(answer));
                tracing::warn!(name, %error, "cannot delete the IngressGroup");
                Ok(0)
            }
            Err(error) => Err(Error::write("delete the IngressGroup", &name, error)),
        }
    }
}

impl super::Memory {
    /// Whether the CRD was found not to be installed, a moment ago.
    fn is_not_installed(&self) -> bool {
        self.not_installed
            .is_some_and(|since| since.elapsed() < LOOK_AGAIN)
    }

    /// Does something with what is known of a group's custom resource.
    fn resource<T>(&mut self, group: &GroupId, with: impl FnOnce(&mut Resource) -> T) -> T {
        let resource = &mut self.groups.entry(group.clone()).or_default().resource;
        let done = with(resource);
        if resource.is_late() {
            self.late.insert(group.clone());
        }
        done
    }

    /// The first groups of which hashes of targets are due to be written, with
    /// these. Looks at those alone of which some may be.
    fn due(
        &mut self,
        now: Instant,
        all: bool,
        most: usize,
    ) -> Vec<(GroupId, BTreeMap<String, String>)> {
        let groups = &self.groups;
        let is_late = |group: &GroupId| {
            groups
                .get(group)
                .is_some_and(|told| told.resource.is_late())
        };
        self.late.retain(is_late);
        let late = self.late.iter();
        let due = late.filter_map(|group| {
            let resource = &groups.get(group)?.resource;
            Some((group.clone(), resource.due(now, all)?))
        });
        due.take(most).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Memory;
    use super::*;
    use crate::report::group::IngressGroupStatus;

    #[test]
    fn only_groups_whose_hashes_may_be_due_are_looked_at() {
        let mut memory = Memory::default();
        let begun = Instant::now();
        let group = |number: usize| GroupId::Explicit(format!("g{number:03}"));
        let status = |hash: &str| IngressGroupStatus {
            applied: Some(Applied {
                schema: SCHEMA,
                targets: [("tg".to_owned(), hash.to_owned())].into(),
                ..Applied::default()
            }),
            ..IngressGroupStatus::default()
        };
        for number in 0..100 {
            memory.resource(&group(number), |told| {
                assert!(told.takes(&status("a")));
                told.wrote(status("a"), begun);
            });
        }
        assert!(memory.late.is_empty());
        let due = |memory: &mut Memory, seconds: u64, all: bool| {
            let due = memory.due(begun + Duration::from_secs(seconds), all, usize::MAX);
            let due = due.into_iter();
            due.map(|(group, hashes)| (group, hashes.into_values().collect()))
                .collect::<Vec<(GroupId, Vec<String>)>>()
        };
        assert_eq!(due(&mut memory, 90, true), []);
        // One has other targets, and of one they are changing.
        assert!(!memory.resource(&group(7), |told| told.takes(&status("b"))));
        memory.resource(&group(8), |told| told.changes(["tg".to_owned()], begun));
        assert_eq!(memory.late, [group(7), group(8)].into());
        assert_eq!(due(&mut memory, 1, false), [(group(8), vec![])]);
        let late = (group(7), vec!["b".to_owned()]);
        assert_eq!(due(&mut memory, 61, false), std::slice::from_ref(&late));
        assert_eq!(due(&mut memory, 1, true), [late, (group(8), vec![])]);
        // What is written, or gone, is not looked at any more.
        memory.resource(&group(7), |told| told.wrote(status("b"), begun));
        memory.groups.remove(&group(8));
        assert_eq!(due(&mut memory, 61, true), []);
        assert!(memory.late.is_empty());
    }
}
