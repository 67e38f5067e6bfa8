//! `vnet-user batch`: many commands in one process.

use std::{fs, io, path::PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, CommandFactory, FromArgMatches, Parser};

use super::{
    endpoint::{self, EndpointCommand},
    network::{self, NetworkCommand},
    open, output,
    together::Failed,
};
use crate::{
    control::{Dirs, Vnet},
    error::one_line,
};

#[derive(Debug, Args)]
#[command(
    after_help = "Commands: `network` create, set, remove; `endpoint` add, sources, remove. Words as in a shell, # for \
                  comments.\nLines that follow each other and create networks, remove them without --force, add endpoints, \
                  or remove them, are one change: all of them are done, or none. At the first that fails, the batch ends, \
                  and what came before it stays.\n\nExample: vnet-user batch tenants.txt"
)]
pub struct BatchArgs {
    /// A file with a command on each line, without `vnet-user` before it; - is standard input.
    #[arg(default_value = "-", value_name = "FILE")]
    file: PathBuf,
}

/// A line of a batch.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
enum Line {
    #[command(subcommand)]
    Network(NetworkCommand),
    #[command(subcommand)]
    Endpoint(EndpointCommand),
}

/// Lines that are one change.
enum Step {
    CreateNetworks(Vec<network::CreateArgs>),
    RemoveNetworks(Vec<network::RemoveArgs>),
    AddEndpoints(Vec<endpoint::AddArgs>),
    RemoveEndpoints(Vec<endpoint::RemoveArgs>),
    SetNetwork(network::SetArgs),
    ChangeSources(endpoint::SourcesArgs),
}

/// A step, and the numbers of its lines.
type Numbered = (Step, Vec<usize>);

impl BatchArgs {
    pub async fn run(self, dirs: &Dirs) -> anyhow::Result<()> {
        let steps = steps(&self.read()?)?;
        let mut vnet = open(dirs).await?;
        for (step, lines) in steps {
            let done = step.run(&mut vnet).await;
            done.map_err(|failed| describe(&failed, &lines))?;
        }
        Ok(())
    }

    fn read(&self) -> anyhow::Result<String> {
        if self.file.as_os_str() == "-" {
            return io::read_to_string(io::stdin()).context("cannot read standard input");
        }
        let text = fs::read_to_string(&self.file);
        text.with_context(|| format!("cannot read {}", self.file.display()))
    }
}

/// All lines are understood before the first is done.
fn steps(text: &str) -> anyhow::Result<Vec<Numbered>> {
    let mut parser = Line::command();
    let mut steps: Vec<Numbered> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let words = shlex::split(line);
        let words = words
            .with_context(|| format!("line {number}: a quote or a backslash without its end"))?;
        if words.is_empty() {
            continue;
        }
        let step = parse(&mut parser, words).with_context(|| format!("line {number}"))?;
        match steps.last_mut() {
            Some((last, lines)) => match last.join(step) {
                None => lines.push(number),
                Some(step) => steps.push((step, vec![number])),
            },
            None => steps.push((step, vec![number])),
        }
    }
    Ok(steps)
}

fn parse(parser: &mut clap::Command, words: Vec<String>) -> anyhow::Result<Step> {
    let wrong = |error: clap::Error| {
        let text = output::usage_error(&error.to_string());
        anyhow!("{}", text.trim_start_matches("error: "))
    };
    let matches = parser.try_get_matches_from_mut(words).map_err(wrong)?;
    let line = Line::from_arg_matches(&matches).map_err(wrong)?;
    Ok(match line {
        Line::Network(NetworkCommand::Create(args)) => {
            args.check()?;
            Step::CreateNetworks(vec![args])
        }
        Line::Network(NetworkCommand::Remove(args)) => Step::RemoveNetworks(vec![args]),
        Line::Network(NetworkCommand::Set(args)) => Step::SetNetwork(args),
        Line::Endpoint(EndpointCommand::Add(args)) => Step::AddEndpoints(vec![args]),
        Line::Endpoint(EndpointCommand::Remove(args)) => Step::RemoveEndpoints(vec![args]),
        Line::Endpoint(EndpointCommand::Sources(args)) => {
            args.check()?;
            Step::ChangeSources(args)
        }
        Line::Network(NetworkCommand::List { .. } | NetworkCommand::Inspect { .. })
        | Line::Endpoint(EndpointCommand::List { .. } | EndpointCommand::Inspect { .. }) => {
            bail!("a command that changes something was expected")
        }
    })
}

impl Step {
    /// Takes in what can be done in one with it, or gives it back.
    fn join(&mut self, next: Self) -> Option<Self> {
        match (self, next) {
            (Self::CreateNetworks(all), Self::CreateNetworks(more)) => all.extend(more),
            (Self::AddEndpoints(all), Self::AddEndpoints(more)) => all.extend(more),
            (Self::RemoveEndpoints(all), Self::RemoveEndpoints(more)) => all.extend(more),
            (Self::RemoveNetworks(all), Self::RemoveNetworks(more))
                if !all.iter().chain(&more).any(|args| args.force) =>
            {
                all.extend(more);
            }
            (_, next) => return Some(next),
        }
        None
    }

    async fn run(self, vnet: &mut Vnet) -> Result<(), Failed> {
        match self {
            Self::CreateNetworks(all) => network::create(vnet, all).await,
            Self::RemoveNetworks(all) => network::remove(vnet, all).await,
            Self::AddEndpoints(all) => endpoint::add(vnet, all).await,
            Self::RemoveEndpoints(all) => endpoint::remove(vnet, all).await,
            Self::SetNetwork(args) => Ok(args.run(vnet).await?),
            Self::ChangeSources(args) => Ok(args.run(vnet).await?),
        }
    }
}

/// Which line it was, and what was not done for it.
fn describe(failed: &Failed, lines: &[usize]) -> anyhow::Error {
    let error = one_line(failed.error.as_ref());
    match (failed.index.and_then(|index| lines.get(index)), lines) {
        (_, [only]) => anyhow!("line {only}: {error}"),
        (Some(line), [first, .., last]) => {
            anyhow!("line {line}: {error}; none of lines {first} to {last} was done")
        }
        (None, [first, .., last]) => anyhow!("lines {first} to {last}: {error}"),
        (_, []) => anyhow!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(text: &str) -> Vec<Vec<usize>> {
        let steps = steps(text).unwrap();
        steps.into_iter().map(|(_, lines)| lines).collect()
    }

    #[test]
    fn lines_of_one_kind_are_one_change() {
        let text = "# networks\n\
                    network create a --parent enp0s8 --vlan 1\n\
                    network create b --parent enp0s8 --vlan 2 # the second\n\
                    \n\
                    endpoint add --network a --netns 'c 1'\n\
                    network set a --mode private\n\
                    network set b --mode private\n\
                    network remove a\n\
                    network remove b\n\
                    network remove --force c\n\
                    endpoint remove 3fa2\n\
                    endpoint remove 3fa3\n";
        let expected = [
            vec![2, 3],
            vec![5],
            vec![6],
            vec![7],
            vec![8, 9],
            vec![10],
            vec![11, 12],
        ];
        assert_eq!(lines_of(text), expected);
        assert!(lines_of("").is_empty());
    }

    #[test]
    fn a_wrong_line_is_named() {
        let cases = [
            (
                "network list",
                "line 1: a command that changes something was expected",
            ),
            (
                "\nattach --iface enp0s8",
                "line 2: unrecognized subcommand 'attach'",
            ),
            (
                "network create 'a",
                "line 1: a quote or a backslash without its end",
            ),
            (
                "network create a --parent enp0s8 --vlan 4095",
                "line 1: invalid value '4095' for '--vlan <1-4094>': VLAN id \"4095\" is not a number from 1 to 4094",
            ),
            (
                "endpoint add --network a",
                "line 1: the following required arguments were not provided: --netns <NAME|PATH|PID>",
            ),
        ];
        for (text, expected) in cases {
            let error = steps(text).err().unwrap();
            assert_eq!(one_line(error.as_ref()), expected);
        }
    }

    #[test]
    fn what_fails_is_named_with_what_was_not_done() {
        let failed = |index| Failed {
            index,
            error: anyhow!("no"),
        };
        let text = |index, lines: &[usize]| describe(&failed(index), lines).to_string();
        assert_eq!(text(None, &[7]), "line 7: no");
        assert_eq!(text(Some(0), &[7]), "line 7: no");
        let one_of_many = "line 9: no; none of lines 7 to 12 was done";
        assert_eq!(text(Some(1), &[7, 9, 12]), one_of_many);
        assert_eq!(text(None, &[7, 9, 12]), "lines 7 to 12: no");
    }
}
