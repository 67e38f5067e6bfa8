//! `vnet-user serve`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::Args;
use sd_notify::NotifyState;
use serde::Serialize;

use super::output::{self, Format};
use crate::{
    control::{
        Dirs, privilege,
        serve::{Burst, Watcher},
    },
    docker::{driver, socket::Calls},
    interrupt::Interrupt,
};

#[derive(Debug, Args)]
#[command(after_help = "Example: vnet-user serve")]
pub struct ServeArgs {
    /// Where Docker calls its network driver `vnet`.
    #[arg(
        long,
        env = "VNET_DOCKER_SOCKET",
        default_value = "/run/docker/plugins/vnet.sock",
        value_name = "PATH"
    )]
    docker_socket: PathBuf,
    #[command(flatten)]
    format: Format,
}

/// What `serve --json` prints when it has caught up.
#[derive(Serialize)]
struct ServeReport {
    uplinks: Vec<String>,
}

impl ServeArgs {
    pub async fn run(self, dirs: &Dirs) -> anyhow::Result<()> {
        let Self {
            docker_socket,
            format,
        } = self;
        privilege::check()?;
        // Before the line is printed: who has read it may end this at once.
        let mut interrupt = Interrupt::listen()?;
        let mut watcher = Watcher::begin(dirs)?;
        let first = watcher.pass(&Burst::default()).await?;
        say(&first.news);
        let mut calls = Calls::listen(&docker_socket)?;
        let report = ServeReport {
            uplinks: first.uplinks,
        };
        format.print(&report, || match report.uplinks.as_slice() {
            [] => "watching; nothing is attached yet".to_owned(),
            uplinks => format!("watching {}", output::list(uplinks)),
        })?;
        // Where systemd does not wait for it, there is nobody to tell.
        let _ = sd_notify::notify(&[NotifyState::Ready]);
        let watched = loop {
            tokio::select! {
                burst = watcher.changed() => match burst {
                    Ok(burst) => say(&watcher.try_pass(&burst).await),
                    Err(error) => break Err(error),
                },
                Some(call) = calls.next() => {
                    // Who has given up does not count on it, and may not be there to undo it.
                    if call.is_abandoned() {
                        continue;
                    }
                    let (answer, news) = driver::answer(dirs, &call.method, &call.body).await;
                    call.answer(answer);
                    say(&news);
                }
                () = interrupt.wait() => break Ok(()),
            }
        };
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
        // Who still waits for an answer gets none, and asks the next one.
        drop(calls);
        say(&watcher.end().await?);
        Ok(watched?)
    }
}

/// On standard error, which may be gone: that must not end the watch.
fn say(news: &[String]) {
    for line in news {
        let _ = writeln!(io::stderr(), "{line}");
    }
}
