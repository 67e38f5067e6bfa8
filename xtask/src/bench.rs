//! `cargo xtask bench`: what a packet costs, beside what the kernel has itself.
//!
//! A benchmark decides nothing: it prints figures, and leaves them as JSON, Markdown and plots.

mod datapath;
mod figures;
mod plot;
mod report;
mod rows;

use std::fs;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;

use crate::build;
use crate::setup::{self, Purpose};
use crate::workspace::Workspace;

#[derive(Args)]
pub struct Options {
    /// Measure only rows whose name contains this, beside those that they are compared with
    row: Option<String>,
}

/// Measures, prints the tables, and leaves all in the bench directory.
pub fn bench(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    let choices = datapath::choose(options.row.as_deref())?;
    setup::setup(workspace, Purpose::Bench, true)?;
    build::everything(workspace)?;
    let start = Instant::now();
    let measured = datapath::measure(workspace, &choices)?;
    let report = report::markdown(&measured);
    print!("\n{report}");

    let directory = workspace.bench();
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let mut files = vec![
        ("datapath.json".to_owned(), report::json(&measured)?),
        ("datapath.md".to_owned(), report),
    ];
    files.extend(measured.iter().map(plot::datapath));
    for (name, text) in files {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    println!("bench: {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}
