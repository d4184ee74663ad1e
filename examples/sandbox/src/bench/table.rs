//! The figures as a table, in Markdown, so that it can go into a document as it
//! is.

use std::fmt::Write as _;

use super::measure::{Case, Measured};

/// One table for each size; the controllers stand beside each other.
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
    let mut rows = vec![vec!["case".to_owned()], vec!["---".to_owned()]];
    for one in measured {
        for column in ["reads", "writes", "s", "CPU s", "MB"] {
            rows[0].push(match measured.len() {
                1 => column.to_owned(),
                _ => format!("{column} ({})", one.controller),
            });
            rows[1].push("---:".to_owned());
        }
    }
    for (index, case) in first.cases.iter().enumerate() {
        let mut row = vec![case.case.to_owned()];
        for one in measured {
            row.extend(one.cases.get(index).map_or_else(Default::default, cells));
        }
        rows.push(row);
    }
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    for row in &rows {
        for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = match index {
                0 => write!(text, "| {cell:<width$} |"),
                _ => write!(text, " {cell:>width$} |"),
            };
        }
        text.push('\n');
    }
    text.push('\n');
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
    use super::*;

    #[test]
    fn controllers_of_one_size_stand_beside_each_other() {
        let of = |controller: &str, groups| Measured {
            controller: controller.to_owned(),
            groups,
            latency_ms: 20,
            build: "release",
            cases: vec![Case {
                case: "restart",
                reads: 12,
                writes: 0,
                seconds: 1.5,
                cpu_seconds: 0.25,
                memory_mb: 19.0,
            }],
        };
        assert_eq!(
            text(&[of("ours", 100), of("lbc", 100), of("ours", 1)]),
            "\
Groups: 100; AWS answers after 20 ms; release build

| case    | reads (ours) | writes (ours) | s (ours) | CPU s (ours) | MB (ours) | reads (lbc) | writes (lbc) | s (lbc) | CPU s (lbc) | MB (lbc) |
| ---     |         ---: |          ---: |     ---: |         ---: |      ---: |        ---: |         ---: |    ---: |        ---: |     ---: |
| restart |           12 |             0 |     1.50 |         0.25 |      19.0 |          12 |            0 |    1.50 |        0.25 |     19.0 |

Groups: 1; AWS answers after 20 ms; release build

| case    | reads | writes |    s | CPU s |   MB |
| ---     |  ---: |   ---: | ---: |  ---: | ---: |
| restart |    12 |      0 | 1.50 |  0.25 | 19.0 |

"
        );
    }
}
