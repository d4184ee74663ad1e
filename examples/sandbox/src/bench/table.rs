//! The figures as a table, in Markdown, so that it can go into a document as it
//! is.

use std::fmt::Write as _;

use super::measure::{Case, EDITS, Measured};

/// One table for each size; the controllers stand below each other.
pub(super) fn text(measured: &[Measured]) -> String {
    let mut text = String::new();
    let mut rest = measured;
    while let Some(first) = rest.first() {
        let same = rest.iter().take_while(|m| m.groups == first.groups).count();
        let (now, later) = rest.split_at(same);
        one_size(&mut text, now);
        rest = later;
    }
    text
}

fn one_size(text: &mut String, measured: &[Measured]) {
    let Some(first) = measured.first() else {
        return;
    };
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "Groups: {}; AWS answers after {} ms; {} build\n",
        first.groups, first.latency_ms, first.build
    );
    // Ever so many controllers make it longer, not wider.
    let several = measured.len() > 1;
    let mut rows = vec![head(several)];
    for (index, case) in first.cases.iter().enumerate() {
        for one in measured {
            let mut row = vec![case.case.to_owned()];
            row.extend(several.then(|| one.controller.clone()));
            row.extend(one.cases.get(index).map_or_else(Default::default, cells));
            rows.push(row);
        }
    }
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let words = if several { 2 } else { 1 };
    for (index, row) in rows.iter().enumerate() {
        text.push('|');
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = if column < words {
                write!(text, " {cell:<width$} |")
            } else {
                write!(text, " {cell:>width$} |")
            };
        }
        text.push('\n');
        if index == 0 {
            text.push('|');
            for (column, width) in widths.iter().enumerate() {
                let end = if column < words { '-' } else { ':' };
                let _ = write!(text, " {}{end} |", "-".repeat(width - 1));
            }
            text.push('\n');
        }
    }
    let _ = writeln!(text, "\nCPU of an edit, the mean of {EDITS} in a row:");
    for one in measured {
        let _ = writeln!(text, "  {}: {:.1} ms", one.controller, one.edit_cpu_ms);
    }
    for one in measured {
        if let Some(ms) = one.model_ms {
            let _ = writeln!(
                text,
                "The model of all groups, built at the restart:\n  {}: {ms} ms",
                one.controller
            );
        }
    }
    text.push('\n');
}

fn head(several: bool) -> Vec<String> {
    let words = ["case", "controller"]
        .into_iter()
        .take(if several { 2 } else { 1 });
    let numbers = ["reads", "writes", "s", "CPU s", "MB"];
    words.chain(numbers).map(str::to_owned).collect()
}

fn cells(case: &Case) -> Vec<String> {
    vec![
        case.reads.to_string(),
        case.writes.to_string(),
        format!("{:.2}", case.seconds),
        format!("{:.2}", case.cpu_seconds),
        format!("{:.1}", case.memory_mb),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn controllers_of_one_size_stand_below_each_other() {
        let of = |controller: &str, groups, model_ms| Measured {
            controller: controller.to_owned(),
            groups,
            latency_ms: 20,
            build: "release",
            cases: vec![
                Case {
                    case: "restart",
                    reads: 12,
                    writes: 0,
                    calls: BTreeMap::default(),
                    seconds: 1.5,
                    cpu_seconds: 0.25,
                    memory_mb: 19.0,
                },
                Case {
                    case: "one pod",
                    reads: 1,
                    writes: 1,
                    calls: BTreeMap::default(),
                    seconds: 0.054,
                    cpu_seconds: 0.0,
                    memory_mb: 19.06,
                },
            ],
            edit_cpu_ms: 3.46,
            model_ms,
        };
        assert_eq!(
            text(&[
                of("ours", 100, Some(12)),
                of("other", 100, None),
                of("ours", 1, Some(0)),
            ]),
            "\
Groups: 100; AWS answers after 20 ms; release build

| case    | controller | reads | writes |    s | CPU s |   MB |
| ------- | ---------- | ----: | -----: | ---: | ----: | ---: |
| restart | ours       |    12 |      0 | 1.50 |  0.25 | 19.0 |
| restart | other      |    12 |      0 | 1.50 |  0.25 | 19.0 |
| one pod | ours       |     1 |      1 | 0.05 |  0.00 | 19.1 |
| one pod | other      |     1 |      1 | 0.05 |  0.00 | 19.1 |

CPU of an edit, the mean of 50 in a row:
  ours: 3.5 ms
  other: 3.5 ms
The model of all groups, built at the restart:
  ours: 12 ms

Groups: 1; AWS answers after 20 ms; release build

| case    | reads | writes |    s | CPU s |   MB |
| ------- | ----: | -----: | ---: | ----: | ---: |
| restart |    12 |      0 | 1.50 |  0.25 | 19.0 |
| one pod |     1 |      1 | 0.05 |  0.00 | 19.1 |

CPU of an edit, the mean of 50 in a row:
  ours: 3.5 ms
The model of all groups, built at the restart:
  ours: 0 ms

"
        );
    }
}
