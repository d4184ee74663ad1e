//! What would be done, in print.

use std::fmt::Display;
use std::io::Write as _;

use super::Reconciler;
use crate::model::finding::Finding;
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
            let desired = self.desired(&group, &snapshot).await?;
            let observed = self.memory.recall(&group).await?;
            let plan = plan::diff(&desired, &observed, &self.plan_context());
            page.section(format_args!("group {group}"), &plan, plan.is_empty())?;
            let blocking = super::blocking(&desired, &observed);
            print_findings(desired.findings.iter().chain(&blocking))?;
        }
        let all = self.all_desired(&snapshot).await?;
        let (desired, _) = self.desired_backend(&all, &snapshot).await?;
        let plan = diff_backend(&desired, &self.memory.recall_backend().await?);
        page.section("backend security group", &plan, plan.is_empty())?;
        if let Some(records) = &self.records {
            let looked = records.look(self, &all, &snapshot).await?;
            page.section("DNS records", &looked.plan, looked.plan.is_empty())?;
            print_findings(looked.findings.iter().map(|(_, finding)| finding))?;
        }
        Ok(page.changes())
    }
}

/// What is printed, with whether anything would change.
#[derive(Default)]
struct Page {
    changed: bool,
}

impl Page {
    fn section(
        &mut self,
        title: impl Display,
        plan: &impl Display,
        is_empty: bool,
    ) -> std::io::Result<()> {
        self.changed |= !is_empty;
        let mut out = std::io::stdout().lock();
        if is_empty {
            writeln!(out, "{title}: nothing to do")
        } else {
            writeln!(out, "{title}:")?;
            for line in plan.to_string().lines() {
                writeln!(out, "  {line}")?;
            }
            Ok(())
        }
    }

    fn changes(self) -> Changes {
        if self.changed {
            Changes::Something
        } else {
            Changes::Nothing
        }
    }
}

fn print_findings<'a>(findings: impl Iterator<Item = &'a Finding>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for finding in findings {
        writeln!(out, "  ! {finding}")?;
    }
    Ok(())
}
