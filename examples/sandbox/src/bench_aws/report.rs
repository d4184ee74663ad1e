//! The figures, as a table for people and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

/// What was measured. Rates are per second.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Cores that simulator and client share.
    pub cores: usize,
    /// `release` or `debug`.
    pub build: &'static str,
    pub load_balancers: usize,
    pub target_groups: usize,
    pub rules: usize,
    /// Median time from the start of the process to its first answer.
    pub start_ms: f64,
    /// Calls that made the account, one after the other on eight connections.
    pub load_calls_per_second: f64,
    pub calls: usize,
    pub calls_per_second: f64,
    pub call_p50_ms: f64,
    pub call_p99_ms: f64,
    pub requests: usize,
    pub requests_per_second: f64,
    pub request_p50_ms: f64,
    pub request_p99_ms: f64,
    /// The most memory that the simulator had resident, in megabytes of 10^6
    /// bytes; absent where the system does not tell.
    pub peak_memory_mb: Option<f64>,
}

/// A figure with what it should be.
struct Goal {
    name: &'static str,
    value: f64,
    unit: &'static str,
    bound: f64,
    /// Whether more is better.
    least: bool,
}

impl Goal {
    fn is_met(&self) -> bool {
        if self.least {
            self.value >= self.bound
        } else {
            self.value < self.bound
        }
    }
}

impl Report {
    fn goals(&self) -> Vec<Goal> {
        let goal = |name, value, unit, bound, least| Goal {
            name,
            value,
            unit,
            bound,
            least,
        };
        let mut goals = vec![
            goal("start", self.start_ms, "ms", 100.0, false),
            goal("calls", self.calls_per_second, "/s", 3000.0, true),
            goal(
                "requests through the data plane",
                self.requests_per_second,
                "/s",
                2000.0,
                true,
            ),
        ];
        if let Some(memory) = self.peak_memory_mb {
            goals.push(goal("memory", memory, "MB", 300.0, false));
        }
        goals
    }

    /// The names of the figures that are not as they should be.
    pub fn missed(&self) -> Vec<&'static str> {
        let goals = self.goals();
        let missed = goals.iter().filter(|goal| !goal.is_met());
        missed.map(|goal| goal.name).collect()
    }

    /// The table for people.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{} load balancers, {} target groups, {} rules; {} cores for simulator and client; {} build\n\n",
            self.load_balancers, self.target_groups, self.rules, self.cores, self.build
        );
        for goal in self.goals() {
            let bound = if goal.least { ">=" } else { "<" };
            let _ = writeln!(
                text,
                "{:<32} {:>9.1} {:<3} {bound:>2} {:>5} {}",
                goal.name,
                goal.value,
                goal.unit,
                goal.bound,
                if goal.is_met() { "met" } else { "missed" }
            );
        }
        let _ = writeln!(
            text,
            "\ncalls:    {} (p50 {:.1} ms, p99 {:.1} ms), and {:.0}/s to make the account\n\
             requests: {} (p50 {:.1} ms, p99 {:.1} ms)",
            self.calls,
            self.call_p50_ms,
            self.call_p99_ms,
            self.load_calls_per_second,
            self.requests,
            self.request_p50_ms,
            self.request_p99_ms,
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missed_is_told() {
        let mut report = Report {
            cores: 2,
            build: "release",
            load_balancers: 1000,
            target_groups: 5000,
            rules: 10_000,
            start_ms: 20.0,
            load_calls_per_second: 5000.0,
            calls: 40_000,
            calls_per_second: 4000.0,
            call_p50_ms: 3.0,
            call_p99_ms: 9.0,
            requests: 30_000,
            requests_per_second: 3000.0,
            request_p50_ms: 10.0,
            request_p99_ms: 30.0,
            peak_memory_mb: Some(200.0),
        };
        assert!(report.missed().is_empty());
        assert!(!report.table().contains("missed"));
        report.calls_per_second = 2999.0;
        report.peak_memory_mb = Some(300.0);
        assert_eq!(report.missed(), ["calls", "memory"]);
        assert_eq!(report.table().matches("missed").count(), 2);
        report.peak_memory_mb = None;
        assert_eq!(report.missed(), ["calls"]);
    }
}
