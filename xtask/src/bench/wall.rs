//! Ratios of real traffic on this machine's own kernel.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::table::Table;
use crate::build;
use crate::workspace::Workspace;

/// One kind of traffic, as it went through macvlan and through another beside it.
pub struct Comparison {
    load: String,
    unit: String,
    way: String,
    flows: u64,
    mtu: u64,
    /// Who is beside macvlan: vnet, or macvlan again.
    beside: String,
    /// What macvlan came to, and the other, one right after the other.
    pairs: Vec<[f64; 2]>,
}

/// The one whose ratio says nothing but how much the machine is disturbed.
const AGAIN: &str = "macvlan again";

/// Measures, with a line for each comparison as it comes.
pub fn measure(workspace: &Workspace) -> anyhow::Result<Vec<Comparison>> {
    let benchmark = build::benchmark(workspace, "datapath")?;
    let mut child = Command::new(benchmark)
        .arg("wall")
        .env("VNET_BIN", workspace.vnet_user())
        .current_dir(workspace.root().join("tests"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the benchmark")?;
    let mut comparisons = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            let comparison = Comparison::read(&line)
                .with_context(|| format!("the benchmark printed {line:?}"))?;
            println!("{}", comparison.progress());
            comparisons.push(comparison);
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "the benchmark failed: {status}");
    Ok(comparisons)
}

impl Comparison {
    fn read(line: &str) -> Option<Self> {
        let line: Value = serde_json::from_str(line).ok()?;
        let text = |key: &str| Some(line[key].as_str()?.to_owned());
        let pair = |pair: &Value| Some([pair[0].as_f64()?, pair[1].as_f64()?]);
        let pairs: Option<Vec<_>> = line["pairs"].as_array()?.iter().map(pair).collect();
        Some(Self {
            load: text("load")?,
            unit: text("unit")?,
            way: text("way")?,
            flows: line["flows"].as_u64()?,
            mtu: line["mtu"].as_u64()?,
            beside: text("beside")?,
            pairs: pairs.filter(|pairs| !pairs.is_empty())?,
        })
    }

    fn progress(&self) -> String {
        format!("{}: {} {}", self.title(), self.beside, self.ratio())
    }

    /// What traffic it is.
    pub fn title(&self) -> String {
        let Self {
            load,
            unit,
            way,
            flows,
            mtu,
            ..
        } = self;
        let flows = match flows {
            1 => String::new(),
            flows => format!(", {flows} flows"),
        };
        format!("{load} ({unit}), {way}{flows}, MTU {mtu}")
    }

    /// Of the other to macvlan.
    pub fn ratio(&self) -> Spread {
        Spread::of(self.pairs.iter().map(|[macvlan, other]| other / macvlan))
    }

    fn macvlan(&self) -> f64 {
        Spread::of(self.pairs.iter().map(|[macvlan, _]| *macvlan)).median
    }

    /// The same traffic beside another.
    fn is_beside(&self, other: &Self) -> bool {
        let key = |it: &Self| {
            (
                it.load.clone(),
                it.unit.clone(),
                it.way.clone(),
                it.flows,
                it.mtu,
            )
        };
        key(self) == key(other)
    }
}

/// The quartiles of some figures.
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let at = |quarter: usize| {
            let place = (figures.len().saturating_sub(1) * quarter) as f64 / 4.0;
            let (below, above) = (place.floor() as usize, place.ceil() as usize);
            match (figures.get(below), figures.get(above)) {
                (Some(one), Some(other)) => one + (other - one) * place.fract(),
                _ => f64::NAN,
            }
        };
        Self {
            low: at(1),
            median: at(2),
            high: at(3),
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { low, median, high } = self;
        write!(f, "{median:.2} ({low:.2} to {high:.2})")
    }
}

/// All figures, for programs.
pub fn json(comparisons: &[Comparison]) -> anyhow::Result<String> {
    let all = comparisons.iter().map(|it| {
        json!({
            "load": it.load, "unit": it.unit, "way": it.way, "flows": it.flows, "mtu": it.mtu,
            "beside": it.beside, "pairs": it.pairs,
        })
    });
    let all = json!({"comparisons": all.collect::<Vec<_>>()});
    Ok(serde_json::to_string_pretty(&all)?)
}

/// A table of ratios: of each traffic vnet's to macvlan's, and macvlan's to its own.
pub fn markdown(comparisons: &[Comparison]) -> String {
    let head = [
        "traffic",
        "way",
        "flows",
        "MTU",
        "macvlan",
        "vnet / macvlan",
        "macvlan / macvlan",
    ];
    let mut table = Table::new(&head);
    for (vnet, again) in beside_itself(comparisons) {
        table.row([
            format!("{}, {}", vnet.load, vnet.unit),
            vnet.way.clone(),
            vnet.flows.to_string(),
            vnet.mtu.to_string(),
            three_digits(vnet.macvlan()),
            vnet.ratio().to_string(),
            again.map_or_else(|| "–".to_owned(), |again| again.ratio().to_string()),
        ]);
    }
    format!("## On this machine's kernel\n\n{}", table.render())
}

/// Each comparison of vnet, with that of macvlan with itself.
pub fn beside_itself(comparisons: &[Comparison]) -> Vec<(&Comparison, Option<&Comparison>)> {
    let of_vnet = comparisons.iter().filter(|it| it.beside != AGAIN);
    let with_again = of_vnet.map(|vnet| {
        let mut again = comparisons.iter().filter(|it| it.beside == AGAIN);
        (vnet, again.find(|it| it.is_beside(vnet)))
    });
    with_again.collect()
}

/// As many digits as mean something.
fn three_digits(figure: f64) -> String {
    match figure {
        figure if figure >= 100.0 => format!("{figure:.0}"),
        figure if figure >= 10.0 => format!("{figure:.1}"),
        figure => format!("{figure:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(beside: &str, pairs: &str) -> String {
        format!(
            r#"{{"load":"TCP stream","unit":"Gbit/s","way":"there","flows":1,"mtu":1500,"beside":"{beside}","pairs":{pairs}}}"#
        )
    }

    #[test]
    fn a_ratio_is_of_pairs_and_stands_beside_that_of_macvlan_to_itself() {
        let lines = [
            line("vnet", "[[10,20],[20,40],[40,40],[10,20],[10,30]]"),
            line(AGAIN, "[[10,10],[20,21]]"),
        ];
        let comparisons = lines.each_ref().map(|line| Comparison::read(line).unwrap());
        let text = markdown(&comparisons);
        assert!(text.contains("| 2.00 (2.00 to 2.00) |"), "{text}");
        assert!(text.contains("| 1.02 (1.01 to 1.04)"), "{text}");
        assert!(text.contains("| 10.0 "), "{text}");
        assert!(Comparison::read(&line("vnet", "[]")).is_none());
        assert!(Comparison::read("thread 'main' panicked").is_none());
    }
}
