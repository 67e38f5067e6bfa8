//! Tables of figures, as Markdown, and all of them as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::figures::Measured;
use super::rows::{BESIDE, CONTAINERS, DRIVER, EMPTY_PROGRAM, Path, REFERENCE, Row};
use super::table::Table;

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
    let mut head = vec![title];
    head.extend(paths.iter().map(|path| path.title));
    let mut table = Table::new(&head);
    let is_measured = |row: &&Row| {
        let mut figures = paths.iter().map(|path| measured.get(row.name, path.name));
        figures.any(|figure| figure.is_some())
    };
    let mut rows = measured.machine.rows.iter().filter(is_measured).peekable();
    rows.peek()?;
    for row in rows {
        let cells = paths.iter().map(|path| cell(row.name, path));
        table.row([row.title.to_owned()].into_iter().chain(cells));
    }
    Some(table.render())
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
