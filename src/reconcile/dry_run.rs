//! What would be done, in print.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::{Stdout, Write, stdout};

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
    /// backend group and of the records, and how many steps all of them have.
    pub(super) async fn print_plans(&self) -> anyhow::Result<Changes> {
        let snapshot = self.parts.stores.snapshot();
        let mut page: Page<Stdout> = Page::new(stdout());
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
            page.findings(desired.findings.iter().chain(&blocking))?;
        }
        if snapshot.index().strays().next().is_some() {
            page.section("Ingresses in no group", &"", 0)?;
            page.findings(snapshot.index().strays())?;
        }
        let mut shares = Shares::default();
        self.look_at_shares(&mut shares, &snapshot).await?;
        let desired = shares.union.desired(&snapshot, &self.settings);
        let plan = diff_backend(&desired, &self.memory.recall_backend().await?);
        page.section("backend security group", &plan, plan.steps.len())?;
        if let Some(records) = &self.records {
            let mut kept = records.kept().await;
            let looked = records.look(self, &mut kept, &snapshot).await?;
            page.section("DNS records", &looked.plan, looked.plan.record_changes())?;
            page.waiting(&looked.plan.states)?;
            let findings: BTreeSet<_> = looked.findings.values().flatten().collect();
            page.findings(findings.into_iter().map(|(_, finding)| finding))?;
        }
        page.end()
    }
}

/// What is printed, with how many steps there were on it.
struct Page<W> {
    out: W,
    steps: usize,
}

impl<W: Write> Page<W> {
    fn new(out: W) -> Self {
        Self { out, steps: 0 }
    }

    /// A plan, which has a numbered line for each of its steps.
    fn section(
        &mut self,
        title: impl Display,
        plan: &impl Display,
        steps: usize,
    ) -> std::io::Result<()> {
        self.steps += steps;
        if steps == 0 {
            return writeln!(self.out, "{title}: nothing to do");
        }
        writeln!(self.out, "{title}:")?;
        for line in plan.to_string().lines() {
            writeln!(self.out, "  {line}")?;
        }
        Ok(())
    }

    /// Records that come later: a load balancer that is not there yet has no
    /// name.
    fn waiting(
        &mut self,
        states: &BTreeMap<String, (GroupId, RecordState)>,
    ) -> std::io::Result<()> {
        for (host, (group, state)) in states {
            if *state == RecordState::WaitingForLoadBalancer {
                writeln!(self.out, "  later: record {host}, {state} of {group}")?;
            }
        }
        Ok(())
    }

    fn findings<'a>(&mut self, findings: impl Iterator<Item = &'a Finding>) -> std::io::Result<()> {
        for finding in findings {
            writeln!(self.out, "  ! {finding}")?;
        }
        Ok(())
    }

    fn end(mut self) -> anyhow::Result<Changes> {
        match self.steps {
            0 => {
                writeln!(self.out, "Nothing would change.")?;
                return Ok(Changes::Nothing);
            }
            1 => write!(self.out, "1 step would be taken")?,
            steps => write!(self.out, "{steps} steps would be taken")?,
        }
        writeln!(self.out, ": the numbered lines. Nothing was written.")?;
        Ok(Changes::Something)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may fail loudly
mod tests {
    use super::*;
    use crate::model::records::{Place, RecordSet};
    use crate::plan::dns::{DnsPlan, HostChange, RecordChange};
    use crate::plan::step::{Plan, Planned, Step};

    fn deletion(id: &str) -> Planned {
        Planned {
            step: Step::DeleteSecurityGroup {
                id: id.to_owned(),
                name: "front".to_owned(),
            },
            after: [].into(),
            needs: [].into(),
            low_priority: false,
        }
    }

    fn host(name: &str) -> HostChange {
        let record = |kind: &str| RecordSet {
            name: name.to_owned(),
            kind: kind.to_owned(),
            ttl: Some(300),
            values: vec!["x".to_owned()],
            alias: None,
            set_identifier: None,
        };
        HostChange {
            place: Place::new(name, "Z1"),
            holder: None,
            changes: ["A", "TXT"]
                .map(|kind| RecordChange::Delete(record(kind)))
                .into(),
            why: "left over".to_owned(),
        }
    }

    #[test]
    fn it_ends_with_the_number_of_lines_that_a_person_counts() {
        let print = |steps: &[&str], hosts: &[&str]| {
            let mut text = Vec::new();
            let mut page = Page::new(&mut text);
            let plan = Plan {
                steps: steps.iter().map(|id| deletion(id)).collect(),
                ..Plan::default()
            };
            let records = DnsPlan {
                changes: hosts.iter().map(|name| host(name)).collect(),
                ..DnsPlan::default()
            };
            page.section("group g", &plan, plan.steps.len()).unwrap();
            page.section("DNS records", &records, records.record_changes())
                .unwrap();
            page.end().unwrap();
            String::from_utf8(text).unwrap()
        };
        for (steps, hosts) in [(&["sg-1"][..], &[][..]), (&["sg-1", "sg-2"], &["a", "b"])] {
            let text = print(steps, hosts);
            let is_numbered =
                |line: &&str| line.trim_start().starts_with(|c: char| c.is_ascii_digit());
            let (end, above) = {
                let mut lines: Vec<&str> = text.lines().collect();
                (lines.pop().unwrap(), lines)
            };
            let counted = above.into_iter().filter(is_numbered).count();
            assert_eq!(counted, steps.len() + 2 * hosts.len(), "{text}");
            assert!(end.starts_with(&format!("{counted} step")), "{text}");
        }
        assert!(print(&[], &[]).ends_with("Nothing would change.\n"));
    }
}
