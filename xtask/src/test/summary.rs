//! The table at the end of a test run.

use std::fmt::Write as _;
use std::time::Duration;

use super::libtest::Tally;

/// All that ran, in the order in which it did.
#[derive(Default)]
pub struct Summary {
    rows: Vec<Row>,
    /// What tests measured, and in which run.
    figures: Vec<(String, Vec<String>)>,
}

struct Row {
    label: String,
    tally: Tally,
    time: Option<Duration>,
}

impl Summary {
    pub fn add(&mut self, label: &str, tally: Tally, time: Option<Duration>) {
        self.rows.push(Row {
            label: label.to_owned(),
            tally,
            time,
        });
    }

    pub fn add_figures(&mut self, label: &str, figures: Vec<String>) {
        if !figures.is_empty() {
            self.figures.push((label.to_owned(), figures));
        }
    }

    pub fn succeeded(&self) -> bool {
        let Tally {
            passed,
            failed,
            ignored: _,
        } = self.total();
        passed > 0 && failed == 0
    }

    /// Whether any case passed or failed.
    pub fn ran_any(&self) -> bool {
        let Tally {
            passed,
            failed,
            ignored: _,
        } = self.total();
        passed + failed > 0
    }

    fn total(&self) -> Tally {
        self.rows.iter().fold(Tally::default(), |sum, row| Tally {
            passed: sum.passed + row.tally.passed,
            failed: sum.failed + row.tally.failed,
            ignored: sum.ignored + row.tally.ignored,
        })
    }

    /// The table, and as the last line the totals. CI reads that line.
    pub fn render(&self, without_machines: bool) -> String {
        let width = self
            .rows
            .iter()
            .map(|row| row.label.len())
            .max()
            .unwrap_or(0)
            .max(5);
        let mut text = format!("\n{:width$}  passed  failed  ignored      time\n", "cases");
        for Row { label, tally, time } in &self.rows {
            let time = time.map_or_else(String::new, |time| format!("{:.1} s", time.as_secs_f64()));
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{label:width$}  {:>6}  {:>6}  {:>7}  {time:>8}",
                tally.passed, tally.failed, tally.ignored
            );
        }
        for (label, figures) in &self.figures {
            let _ = writeln!(text, "\n{label}");
            for figure in figures {
                let _ = writeln!(text, "  {figure}");
            }
        }
        if without_machines {
            text.push_str(
                "\nleft out by --no-vm: the tests on other kernels and on emulated NICs\n",
            );
        }
        let Tally {
            passed,
            failed,
            ignored: _,
        } = self.total();
        let _ = writeln!(text, "\n{passed} passed, {failed} failed");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_has_the_totals() {
        let mut summary = Summary::default();
        assert!(!summary.succeeded(), "nothing has run");
        summary.add("format", Tally::success(), None);
        assert!(summary.succeeded());
        summary.add(
            "6.1 clsact+veth",
            Tally {
                passed: 7,
                failed: 2,
                ignored: 1,
            },
            Some(Duration::from_secs(61)),
        );
        assert!(!summary.succeeded());
        summary.add_figures("6.1 clsact+veth", vec!["12 of 13".to_owned()]);
        let text = summary.render(true);
        assert!(text.contains("\n6.1 clsact+veth\n  12 of 13\n"), "{text}");
        assert_eq!(text.lines().last(), Some("8 passed, 2 failed"));
        assert!(
            text.contains("6.1 clsact+veth       7       2        1    61.0 s"),
            "{text}"
        );
        assert!(text.contains("--no-vm"));
    }
}
