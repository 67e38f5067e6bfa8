//! Tables of figures, as Markdown, and all of them as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::figures::Measured;
use super::rows::{BESIDE, CONTAINERS, DRIVER, EMPTY_PROGRAM, Path, REFERENCE};

/// All figures, for programs.
pub fn json(measured: &[Measured]) -> anyhow::Result<String> {
    let kernels = measured.iter().map(|measured| {
        let figures = measured.iter().map(|(row, path, instructions)| {
            json!({"row": row, "path": path, "instructions_per_packet": instructions})
        });
        json!({"kernel": measured.kernel, "figures": figures.collect::<Vec<_>>()})
    });
    let all = json!({"kernels": kernels.collect::<Vec<Value>>()});
    Ok(serde_json::to_string_pretty(&all)?)
}

/// The tables, for people.
pub fn markdown(measured: &[Measured]) -> String {
    let mut text = String::new();
    for measured in measured {
        let parts = [
            table("Instructions per packet", measured, CONTAINERS, &ratio),
            table(
                "From the wire, through the driver",
                measured,
                DRIVER,
                &ratio,
            ),
            table("Other traffic of the NIC", measured, BESIDE, &difference),
        ];
        let _ = writeln!(text, "## Linux {}\n", measured.kernel);
        for part in parts.into_iter().flatten() {
            text.push_str(&part);
        }
    }
    text
}

/// What a cell says beside its figure.
type Compare = dyn Fn(&Measured, &str, f64) -> Option<String>;

/// To macvlan.
fn ratio(measured: &Measured, path: &str, figure: f64) -> Option<String> {
    let reference = measured.get(REFERENCE.name, path)?;
    Some(format!("{:.3}", figure / reference))
}

/// To an empty program.
fn difference(measured: &Measured, path: &str, figure: f64) -> Option<String> {
    let reference = measured.get(EMPTY_PROGRAM.name, path)?;
    Some(format!("{:+.0}", figure - reference))
}

/// Nothing if none of its rows has a figure.
fn table(title: &str, measured: &Measured, paths: &[Path], compare: &Compare) -> Option<String> {
    let cell = |row: &str, path: &Path| match measured.get(row, path.name) {
        None => "–".to_owned(),
        Some(figure) => match compare(measured, path.name, figure) {
            None => format!("{figure:.0}"),
            Some(compared) => format!("{figure:.0} ({compared})"),
        },
    };
    let rows: Vec<(&str, Vec<String>)> = measured
        .machine
        .rows
        .iter()
        .filter(|row| {
            paths
                .iter()
                .any(|path| measured.get(row.name, path.name).is_some())
        })
        .map(|row| {
            (
                row.title,
                paths.iter().map(|path| cell(row.name, path)).collect(),
            )
        })
        .collect();
    if rows.is_empty() {
        return None;
    }
    let mut head = vec![title];
    head.extend(paths.iter().map(|path| path.title));
    let mut text = String::new();
    let width = |column: usize| {
        let cells = rows.iter().map(|(title, cells)| match column {
            0 => title.chars().count(),
            _ => cells[column - 1].chars().count(),
        });
        cells
            .chain([head[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut line = |cells: &[&str]| {
        for (cell, width) in cells.iter().zip(&widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
    };
    line(&head);
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    line(&rule.iter().map(String::as_str).collect::<Vec<_>>());
    for (title, cells) in &rows {
        let mut all = vec![*title];
        all.extend(cells.iter().map(String::as_str));
        line(&all);
    }
    text.push('\n');
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::rows::MACHINES;

    #[test]
    fn a_table_has_ratios_and_differences() {
        let output = concat!(
            r#"{"row":"macvlan-on-vlan","path":"rx","instructions":4000.0}"#,
            "\n",
            r#"{"row":"vnet-veth","path":"rx","instructions":3999.6}"#,
            "\n",
            r#"{"row":"vnet-veth","path":"beside-untagged","instructions":2100.2}"#,
            "\n",
            r#"{"row":"empty-program","path":"beside-untagged","instructions":2000.0}"#,
        );
        let measured = Measured::read(&MACHINES[0], "6.12", output).unwrap();
        let text = markdown(&[measured]);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert!(lines.contains(&"## Linux 6.12"), "{text}");
        let is_in = |parts: &[&str]| {
            let has_all = |line: &&str| parts.iter().all(|part| line.contains(part));
            lines.iter().any(has_all)
        };
        assert!(is_in(&["| vnet, veth", "| 4000 (1.000)", "| –"]), "{text}");
        assert!(is_in(&["| vnet, veth", "| 2100 (+100)"]), "{text}");
        // What was not measured has no row, and a table without rows is none.
        assert!(
            !text.contains("bridge") && !text.contains("driver"),
            "{text}"
        );
    }
}
