//! Which files, and what is in them.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;

/// A file of an installation.
pub struct Placed {
    pub path: &'static str,
    pub mode: u32,
    content: Content,
}

enum Content {
    /// The binary that runs now.
    Program,
    Text(String),
}

impl Placed {
    /// `None` for the program itself.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Program => None,
            Content::Text(text) => Some(text),
        }
    }
}

/// All of them. Where each shell looks for what a local administrator has installed.
pub fn all() -> Vec<Placed> {
    vec![
        Placed {
            path: "/usr/local/bin/vnet-user",
            mode: 0o755,
            content: Content::Program,
        },
        text(
            "/etc/systemd/system/vnet.service",
            include_str!("vnet.service").to_owned(),
        ),
        text(
            "/etc/systemd/system/vnet.socket",
            include_str!("vnet.socket").to_owned(),
        ),
        text(
            "/usr/local/share/bash-completion/completions/vnet-user",
            completions(Shell::Bash),
        ),
        text(
            "/usr/local/share/zsh/site-functions/_vnet-user",
            completions(Shell::Zsh),
        ),
        text(
            "/usr/local/share/fish/vendor_completions.d/vnet-user.fish",
            completions(Shell::Fish),
        ),
    ]
}

fn text(path: &'static str, text: String) -> Placed {
    Placed {
        path,
        mode: 0o644,
        content: Content::Text(text),
    }
}

fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "vnet-user", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
