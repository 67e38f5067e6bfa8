//! What a user gives by `docker network create -o`.

use std::collections::BTreeMap;

use clap::{
    Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};
use thiserror::Error;

use crate::options::NetworkOptions;

/// macvlan's names, and Docker's own, for what the command line calls otherwise.
const ALIASES: [(&str, &str); 2] = [
    ("macvlan_mode", "mode"),
    ("com.docker.network.driver.mtu", "mtu"),
];

/// A network's options under the names of `vnet-user network create`.
#[derive(Debug, Parser)]
#[command(
    name = "-o",
    no_binary_name = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub struct DockerOptions {
    /// None for a network without an uplink.
    #[arg(long)]
    pub parent: Option<String>,
    #[command(flatten)]
    pub network: NetworkOptions,
}

/// An option that is none, or has a value that it can't take.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum OptionError {
    #[error("option {name:?} is not known{}", nearest.as_ref().map_or_else(String::new, |it| format!(": {it:?} was meant?")))]
    Unknown {
        name: String,
        nearest: Option<String>,
    },
    #[error("option {name:?}: {reason}")]
    Value { name: String, reason: String },
    #[error("option {0:?} was given twice, by two of its names")]
    Twice(String),
}

impl DockerOptions {
    /// Reads them as the command line's are read.
    ///
    /// # Errors
    ///
    /// The first that is wrong.
    pub fn read(given: &BTreeMap<String, String>) -> Result<Self, OptionError> {
        let mut args = Vec::new();
        for (given, value) in given {
            let alias = ALIASES.iter().find(|(alias, _)| alias == given);
            let name = alias.map_or(given.as_str(), |(_, name)| name);
            match (name, value.as_str()) {
                // As with macvlan: what an empty variable left of it.
                ("parent" | "mode", "") => {}
                // `-o nodst` alone.
                ("nodst", "") => args.push("--nodst".to_owned()),
                _ => args.push(format!("--{name}={value}")),
            }
        }
        Self::try_parse_from(args).map_err(|error| option_error(&error))
    }
}

fn option_error(error: &clap::Error) -> OptionError {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    // `--vlan <1-4094>`, `--vlan=x` or `--vlan`.
    let bare = |text: String| {
        let text = text.trim_start_matches('-').to_owned();
        let end = text.find(['=', ' ', '[']).unwrap_or(text.len());
        text[..end].to_owned()
    };
    let name = bare(context(ContextKind::InvalidArg).unwrap_or_default());
    match error.kind() {
        ErrorKind::UnknownArgument => OptionError::Unknown {
            name,
            nearest: context(ContextKind::SuggestedArg).map(bare),
        },
        ErrorKind::ArgumentConflict => OptionError::Twice(name),
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            // Behind `error: invalid value 'x' for '--vlan <1-4094>': ` stands what was expected.
            let values = text
                .lines()
                .map(str::trim)
                .find(|line| line.starts_with("[possible"));
            let reason = match (first.split_once("': "), values) {
                (Some((_, reason)), _) => reason.to_owned(),
                (None, Some(values)) => {
                    let value = context(ContextKind::InvalidValue).unwrap_or_default();
                    format!("{value:?} {values}")
                }
                (None, None) => first.trim_start_matches("error: ").to_owned(),
            };
            OptionError::Value { name, reason }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Mode;

    fn read(given: &[(&str, &str)]) -> Result<DockerOptions, OptionError> {
        let given = given.iter();
        DockerOptions::read(&given.map(|(k, v)| (k.to_string(), v.to_string())).collect())
    }

    fn refused(given: &[(&str, &str)]) -> String {
        read(given).unwrap_err().to_string()
    }

    #[test]
    fn macvlans_and_dockers_names_are_known() {
        let options = read(&[
            ("parent", "enp0s8.200"),
            ("macvlan_mode", "private"),
            ("com.docker.network.driver.mtu", "1400"),
            ("nodst", "true"),
            ("allow-mac", "02:00:00:00:00:01,02:00:00:00:00:02"),
        ]);
        let options = options.unwrap();
        assert_eq!(options.parent.as_deref(), Some("enp0s8.200"));
        let parent =
            crate::model::Parent::parse("enp0s8.200", options.network.segment(), |_| false);
        let network = options.network.network(&parent.unwrap());
        assert_eq!((network.mode, network.mtu), (Mode::Private, Some(1400)));
        assert!(network.nodst);
        assert_eq!(network.allowed_macs.len(), 2);
    }

    #[test]
    fn an_empty_value_is_what_macvlan_and_the_command_line_take_it_for() {
        let options = read(&[("parent", ""), ("macvlan_mode", ""), ("nodst", "")]).unwrap();
        assert_eq!(options.parent, None);
        let parent = crate::model::Parent::parse("enp0s8", options.network.segment(), |_| true);
        let network = options.network.network(&parent.unwrap());
        assert_eq!(network.mode, Mode::Bridge);
        assert!(network.nodst);
        assert_eq!(
            refused(&[("mtu", "")]).split(':').next(),
            Some("option \"mtu\"")
        );
    }

    #[test]
    fn the_nearest_option_is_named() {
        assert_eq!(
            refused(&[("gaurd", "off")]),
            "option \"gaurd\" is not known: \"guard\" was meant?"
        );
        assert_eq!(refused(&[("zzz", "1")]), "option \"zzz\" is not known");
        assert_eq!(refused(&[("", "1")]), "option \"\" is not known");
        assert_eq!(refused(&[("help", "")]), "option \"help\" is not known");
    }

    #[test]
    fn a_wrong_value_says_what_was_expected() {
        for (name, value) in [
            ("vlan", "4095"),
            ("mode", "bridged"),
            ("mtu", "x"),
            ("nodst", "maybe"),
        ] {
            let text = refused(&[(name, value)]);
            assert!(text.starts_with(&format!("option {name:?}: ")), "{text}");
            assert!(!text.contains('\n'), "{text}");
        }
        assert_eq!(
            refused(&[("mode", "private"), ("macvlan_mode", "vepa")]),
            "option \"mode\" was given twice, by two of its names"
        );
    }
}
