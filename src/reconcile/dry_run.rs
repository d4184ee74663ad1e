//! What would be done, in print.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::Write as _;

use super::Reconciler;
use super::shares::Shares;
use crate::model::finding::Finding;
use crate::model::group::GroupId;
use crate::model::records::RecordState;
use crate::plan;
use crate::plan::backend::diff_backend;
use crate::run::Changes;

impl Reconciler {
    /// Prints each group's plan against live AWS, then the plan of the shared
    /// backend group and of the records.
    pub(super) async fn print_plans(&self) -> anyhow::Result<Changes> {
        let snapshot = self.parts.stores.snapshot();
        let mut page = Page::default();
        for group in self.all_groups(&snapshot).await? {
            let mut desired = self.desired(&group, &snapshot).await?;
            let observed = self.memory.recall(&group).await?;
            self.drop_anothers(&mut desired, &observed, &snapshot);
            if let Some(records) = &self.records {
                let shown = || self.parts.reporter.shown_hosts(&group);
                records.meet_rules(&desired, &observed, shown, &snapshot);
            }
            let plan = plan::diff(&desired, &observed, &self.plan_context(&desired, &observed));
            page.section(format_args!("group {group}"), &plan, plan.steps.len())?;
            let blocking = super::words::blocking(&desired, &observed);
            print_findings(desired.findings.iter().chain(&blocking))?;
        }
        if snapshot.index().strays().next().is_some() {
            page.section("Ingresses in no group", &"", 0)?;
            print_findings(snapshot.index().strays())?;
        }
        let mut shares = Shares::default();
        self.look_at_shares(&mut shares, &snapshot).await?;
        let desired = shares.union.desired(&snapshot, &self.settings);
        let plan = diff_backend(&desired, &self.memory.recall_backend().await?);
        page.section("backend security group", &plan, plan.steps.len())?;
        if let Some(records) = &self.records {
            let mut kept = records.kept().await;
            let looked = records.look(self, &mut kept, &snapshot).await?;
            page.section("DNS records", &looked.plan, looked.plan.changes.len())?;
            print_waiting(&looked.plan.states)?;
            let findings: BTreeSet<_> = looked.findings.values().flatten().collect();
            print_findings(findings.into_iter().map(|(_, finding)| finding))?;
        }
        page.end()
    }
}

/// What is printed, with how much would change.
#[derive(Default)]
struct Page {
    changes: usize,
}

impl Page {
    fn section(
        &mut self,
        title: impl Display,
        plan: &impl Display,
        changes: usize,
    ) -> std::io::Result<()> {
        self.changes += changes;
        let mut out = std::io::stdout().lock();
        if changes == 0 {
            return writeln!(out, "{title}: nothing to do");
        }
        writeln!(out, "{title}:")?;
        for line in plan.to_string().lines() {
            writeln!(out, "  {line}")?;
        }
        Ok(())
    }

    fn end(self) -> anyhow::Result<Changes> {
        let mut out = std::io::stdout().lock();
        if self.changes == 0 {
            writeln!(out, "Nothing would change.")?;
            return Ok(Changes::Nothing);
        }
        writeln!(out, "Would change: {}. Nothing was written.", self.changes)?;
        Ok(Changes::Something)
    }
}

/// Records that come later: a load balancer that is not there yet has no name.
fn print_waiting(states: &BTreeMap<String, (GroupId, RecordState)>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for (host, (group, state)) in states {
        if *state == RecordState::WaitingForLoadBalancer {
            writeln!(out, "  later: record {host}, {state} of {group}")?;
        }
    }
    Ok(())
}

fn print_findings<'a>(findings: impl Iterator<Item = &'a Finding>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for finding in findings {
        writeln!(out, "  ! {finding}")?;
    }
    Ok(())
}
