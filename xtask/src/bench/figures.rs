//! What was measured.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::Value;

use super::rows::Machine;

/// The figures of one kernel: instructions per packet, by row and path.
pub struct Measured {
    pub machine: &'static Machine,
    /// What `uname -r` prints there.
    pub kernel: String,
    figures: BTreeMap<(String, String), f64>,
}

impl Measured {
    /// Reads what the benchmark printed.
    ///
    /// # Errors
    ///
    /// When a line is no figure.
    pub fn read(machine: &'static Machine, kernel: &str, output: &str) -> anyhow::Result<Self> {
        let mut figures = BTreeMap::new();
        for line in output.lines() {
            let (row, path, instructions) =
                figure(line).with_context(|| format!("the benchmark printed {line:?}"))?;
            figures.insert((row, path), instructions);
        }
        Ok(Self {
            machine,
            kernel: kernel.to_owned(),
            figures,
        })
    }

    /// Instructions per packet; nothing where that was not measured.
    pub fn get(&self, row: &str, path: &str) -> Option<f64> {
        self.figures
            .get(&(row.to_owned(), path.to_owned()))
            .copied()
    }

    /// All figures, with row and path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, f64)> {
        let figures = self.figures.iter();
        figures.map(|((row, path), instructions)| (row.as_str(), path.as_str(), *instructions))
    }
}

/// A line of the benchmark: row, path, and instructions per packet.
pub fn figure(line: &str) -> Option<(String, String, f64)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let name = |key: &str| Some(line[key].as_str()?.to_owned());
    Some((name("row")?, name("path")?, line["instructions"].as_f64()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::rows::MACHINES;

    #[test]
    fn what_is_no_figure_is_an_error_that_shows_it() {
        let read = Measured::read(&MACHINES[0], "6.12", "thread 'main' panicked");
        let error = read.err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("panicked")));
    }
}
