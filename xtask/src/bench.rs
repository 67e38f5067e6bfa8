//! `cargo xtask bench`: what a packet costs, beside what the kernel has itself.
//!
//! A benchmark decides nothing: it prints figures, and leaves them as JSON, Markdown and plots.

mod counted;
mod datapath;
mod figures;
mod growth;
mod plot;
mod report;
mod rows;
mod svg;
mod table;
mod wall;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use clap::Args;

use crate::build;
use crate::setup::{self, Purpose};
use crate::tools;
use crate::workspace::Workspace;

#[derive(Args)]
pub struct Options {
    /// Measure only rows whose name contains this, beside those that they are compared with
    #[arg(conflicts_with_all = ["wall", "grow"])]
    row: Option<String>,
    /// Measure how cost grows with networks, endpoints, and receivers of a broadcast
    #[arg(long, conflicts_with = "wall")]
    grow: bool,
    /// Measure real traffic by the clock on this machine's own kernel, vnet and macvlan in turn
    #[arg(long)]
    wall: bool,
}

/// Measures, prints the tables, and leaves all in the bench directory.
pub fn bench(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    let start = Instant::now();
    let files = match options {
        Options { wall: true, .. } => by_the_wall(workspace)?,
        Options { grow: true, .. } => growth(workspace)?,
        Options { row, .. } => instructions(workspace, row.as_deref())?,
    };
    let directory = workspace.bench();
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    for (name, text) in files {
        if name.extension().is_some_and(|extension| extension == "md") {
            print!("\n{text}");
        }
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    println!("bench: {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Names of files, and what is in them.
type Files = Vec<(PathBuf, String)>;

fn instructions(workspace: &Workspace, row: Option<&str>) -> anyhow::Result<Files> {
    let choices = datapath::choose(row)?;
    setup::setup(workspace, Purpose::Bench, true)?;
    build::everything(workspace)?;
    let measured = datapath::measure(workspace, &choices)?;
    let mut files = vec![
        ("datapath.json".into(), report::json(&measured)?),
        ("datapath.md".into(), report::markdown(&measured)),
    ];
    files.extend(measured.iter().map(plot::datapath));
    Ok(files)
}

fn growth(workspace: &Workspace) -> anyhow::Result<Files> {
    setup::setup(workspace, Purpose::Bench, true)?;
    build::everything(workspace)?;
    let growth = growth::measure(workspace)?;
    Ok(vec![
        ("growth.json".into(), growth.json()?),
        ("growth.md".into(), growth.markdown()),
        plot::growth(&growth),
    ])
}

fn by_the_wall(workspace: &Workspace) -> anyhow::Result<Files> {
    ensure!(
        tools::is_root(),
        "making network namespaces needs root; run `cargo xtask bench --wall` as root"
    );
    setup::setup(workspace, Purpose::Bench, false)?;
    build::everything(workspace)?;
    let comparisons = wall::measure(workspace)?;
    Ok(vec![
        ("wall.json".into(), wall::json(&comparisons)?),
        ("wall.md".into(), wall::markdown(&comparisons)),
        plot::ratios(&wall::beside_itself(&comparisons)),
    ])
}
