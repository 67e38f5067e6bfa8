//! How endpoints of a network see each other, and what they may send.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use vnet_common::mode;

/// The modes of the kernel's macvlan (`ip-link(8)`), with its meanings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Endpoints reach each other directly.
    #[default]
    Bridge,
    /// Endpoints reach the wire only.
    Private,
    /// Endpoints reach each other by a switch that sends their frames back.
    Vepa,
    /// One endpoint has the whole segment.
    Passthru,
    /// Endpoints get what comes from the addresses on their lists.
    Source,
}

/// Which source addresses an endpoint may send from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Guard {
    /// Any, as with macvlan.
    Off,
    /// Its own, and those that the network allows.
    Mac,
}

/// Not one of the names there are.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{what} {value:?} is not one of {expected}")]
pub struct NameError {
    what: &'static str,
    value: String,
    expected: &'static str,
}

impl Mode {
    const ALL: [Self; 5] = [
        Self::Bridge,
        Self::Private,
        Self::Vepa,
        Self::Passthru,
        Self::Source,
    ];

    /// The name that `ip link` uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Private => "private",
            Self::Vepa => "vepa",
            Self::Passthru => "passthru",
            Self::Source => "source",
        }
    }

    /// As the maps have it.
    pub fn bit(self) -> u8 {
        match self {
            Self::Bridge => mode::BRIDGE,
            Self::Private => mode::PRIVATE,
            Self::Vepa => mode::VEPA,
            Self::Passthru => mode::PASSTHRU,
            Self::Source => mode::SOURCE,
        }
    }

    /// The guard of a network that asks for none: an endpoint that has the whole segment speaks for whom it likes.
    pub fn default_guard(self) -> Guard {
        match self {
            Self::Passthru => Guard::Off,
            _ => Guard::Mac,
        }
    }
}

impl Guard {
    const ALL: [Self; 2] = [Self::Off, Self::Mac];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Mac => "mac",
        }
    }
}

impl FromStr for Mode {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let found = Self::ALL.into_iter().find(|mode| mode.name() == text);
        found.ok_or_else(|| NameError {
            what: "mode",
            value: text.to_owned(),
            expected: "bridge, private, vepa, passthru, source",
        })
    }
}

impl FromStr for Guard {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let found = Self::ALL.into_iter().find(|guard| guard.name() == text);
        found.ok_or_else(|| NameError {
            what: "guard",
            value: text.to_owned(),
            expected: "off, mac",
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for mode in Mode::ALL {
            assert_eq!(mode.name().parse(), Ok(mode));
        }
        let error = "hairpin".parse::<Mode>().unwrap_err().to_string();
        assert!(
            error.contains("hairpin") && error.contains("passthru"),
            "{error}"
        );
        assert_eq!("off".parse(), Ok(Guard::Off));
        assert!("on".parse::<Guard>().is_err());
    }
}
