//! What both scenarios stand on: a lab, this binary inside it, and checks by traffic.

use std::{
    net::{IpAddr, SocketAddr},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};

use super::report::Report;
use crate::lab::{Binary, Lab, Netns, probe};

/// The uplink's name, on the host and on the router.
pub(super) const UPLINK: &str = "enp0s8";
/// How long an answer may take that must come. Also a slow, busy machine shall pass.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait for an answer that must not come.
const SILENCE: Duration = Duration::from_millis(1000);

/// A scenario's lab with `vnet-user` on the host in it.
pub(super) struct Stage<'r, 'a> {
    pub(super) report: &'r mut Report<'a>,
    /// Dropped before the lab: its pins go first, then the namespaces.
    vnet: Binary,
    pub(super) lab: Lab,
}

impl<'r, 'a> Stage<'r, 'a> {
    /// A stage in this lab, whose role `host` is the docker host.
    pub(super) fn new(report: &'r mut Report<'a>, lab: Lab) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("find this program's own path")?;
        let vnet = Binary::new(program, lab.get("host")?, super::LAB)?;
        Ok(Self { report, vnet, lab })
    }

    /// Runs `vnet-user` on the host, and shows command and output. It must succeed.
    pub(super) fn vnet(&self, arguments: &str) -> anyhow::Result<()> {
        self.shown(arguments, arguments)
    }

    /// Adds a container, `role`, with one endpoint. The namespace is shown by its role alone: its real name is long.
    pub(super) fn container(
        &mut self,
        role: &str,
        network: &str,
        address: &str,
    ) -> anyhow::Result<()> {
        let netns = self.lab.add(role)?.name().to_owned();
        let add = |netns: &str| {
            format!("endpoint add --network {network} --netns {netns} --ip {address}")
        };
        self.shown(&add(&netns), &add(role))
    }

    fn shown(&self, arguments: &str, as_shown: &str) -> anyhow::Result<()> {
        self.report.command(&format!("vnet-user {as_shown}"))?;
        let outcome = self.vnet.run(arguments)?;
        self.report.output(&outcome.stdout)?;
        if !outcome.ok() {
            bail!("`{}`: {}", outcome.command, outcome.stderr);
        }
        Ok(())
    }

    /// A handle to the namespace of a role.
    pub(super) fn netns(&self, role: &str) -> anyhow::Result<Netns> {
        Ok(Netns::clone(self.lab.get(role)?))
    }

    /// Checks that `from` pings `to`, and that the answer comes with this TTL.
    pub(super) fn reaches(
        &mut self,
        what: &str,
        from: &str,
        to: &str,
        ttl: u8,
    ) -> anyhow::Result<()> {
        let echo = probe::ping(self.lab.get(from)?, address(to)?, PATIENCE)?;
        let seen = match &echo {
            Some(echo) => format!(
                "{:.2} ms, ttl {}",
                echo.round_trip.as_secs_f64() * 1e3,
                echo.ttl
            ),
            None => "no answer".to_owned(),
        };
        let passed = echo.is_some_and(|echo| echo.ttl == ttl);
        self.report.check(what, passed, &seen)
    }

    /// Checks that nobody answers when `from` pings `to`.
    pub(super) fn cannot_reach(&mut self, what: &str, from: &str, to: &str) -> anyhow::Result<()> {
        let echo = probe::ping(self.lab.get(from)?, address(to)?, SILENCE)?;
        let seen = if echo.is_some() {
            "it answers"
        } else {
            "no answer"
        };
        self.report.check(what, echo.is_none(), seen)
    }

    /// Checks who answers a probe that may pass no router: the first hop of a traceroute.
    pub(super) fn first_hop(
        &mut self,
        what: &str,
        from: &str,
        to: &str,
        hop: &str,
    ) -> anyhow::Result<()> {
        let seen = probe::hop(self.lab.get(from)?, address(to)?, 1, PATIENCE)?;
        let text = seen.map_or("no answer".to_owned(), |by| {
            format!("time exceeded, from {by}")
        });
        self.report.check(what, seen == Some(address(hop)?), &text)
    }

    /// Checks with which address a server sees `from`.
    pub(super) fn seen_as(
        &mut self,
        what: &str,
        from: &str,
        server: SocketAddr,
        seen_as: &str,
    ) -> anyhow::Result<()> {
        let seen = probe::who_am_i(self.lab.get(from)?, server, PATIENCE)?;
        let text = seen.as_deref().map_or("no answer".to_owned(), |seen| {
            format!("seen there as {seen}")
        });
        self.report
            .check(what, seen.as_deref() == Some(seen_as), &text)
    }

    /// Shows the counters, and the forwarding database as the kernel has it.
    pub(super) fn look_inside(&mut self) -> anyhow::Result<()> {
        self.report.line("")?;
        self.vnet("show")?;
        let fdb = self.vnet.pins().join(UPLINK).join("fdb");
        self.report.line("")?;
        self.report
            .command(&format!("bpftool map dump pinned {}", fdb.display()))?;
        let dumped = Command::new("bpftool")
            .args(["map", "dump", "pinned"])
            .arg(&fdb)
            .stdin(Stdio::null())
            .output();
        match dumped {
            Err(error) => self
                .report
                .output(&format!("(bpftool is not here to run it: {error})")),
            Ok(output) if output.status.success() => {
                self.report.output(&String::from_utf8_lossy(&output.stdout))
            }
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                self.report
                    .check("the forwarding database can be dumped", false, said.trim())
            }
        }
    }

    /// Detaches, and checks that nothing of it is left.
    pub(super) fn leave(&mut self) -> anyhow::Result<()> {
        self.report.line("")?;
        self.vnet(&format!("detach --iface {UPLINK} --force"))?;
        let left = self.vnet.pins().join(UPLINK).exists();
        let seen = if left {
            "it is still there"
        } else {
            "it is gone"
        };
        self.report
            .check("the datapath is gone when detached", !left, seen)
    }
}

fn address(text: &str) -> anyhow::Result<IpAddr> {
    text.parse().with_context(|| format!("address {text}"))
}
