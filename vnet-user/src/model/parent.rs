//! What `--parent enp0s8.200` names: an uplink and a VLAN, never an interface of its own.

use thiserror::Error;

use super::vlan::{VlanId, VlanIdError};

/// An uplink and the segment on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    pub uplink: String,
    pub vlan: Option<VlanId>,
}

/// A parent that names no segment.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParentError {
    #[error("parent {parent:?}: {source}")]
    Vlan { parent: String, source: VlanIdError },
    #[error("parent {parent:?} names VLAN {named}, but --vlan says {given}")]
    Conflict {
        parent: String,
        named: VlanId,
        given: VlanId,
    },
    #[error("parent {0:?} is not the name of an interface")]
    Name(String),
}

impl Parent {
    /// Reads `parent` as `<uplink>` or `<uplink>.<vlan>`.
    ///
    /// Interface names may hold a dot, so one that `is_uplink` knows is taken as it stands.
    ///
    /// # Errors
    ///
    /// When the part behind the last dot is no VLAN id, or contradicts `vlan`.
    pub fn parse(
        parent: &str,
        vlan: Option<VlanId>,
        is_uplink: impl Fn(&str) -> bool,
    ) -> Result<Self, ParentError> {
        let whole = |uplink: &str| Self {
            uplink: uplink.to_owned(),
            vlan,
        };
        if parent.is_empty() || parent.contains(['/', ' ', '\n']) {
            return Err(ParentError::Name(parent.to_owned()));
        }
        if is_uplink(parent) {
            return Ok(whole(parent));
        }
        let Some((uplink, id)) = parent.rsplit_once('.') else {
            return Ok(whole(parent));
        };
        let named: VlanId = id.parse().map_err(|source| ParentError::Vlan {
            parent: parent.to_owned(),
            source,
        })?;
        match vlan {
            Some(given) if given != named => Err(ParentError::Conflict {
                parent: parent.to_owned(),
                named,
                given,
            }),
            _ => Ok(Self {
                uplink: uplink.to_owned(),
                vlan: Some(named),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vlan(id: u16) -> Option<VlanId> {
        Some(VlanId::try_from(id).unwrap())
    }

    fn parse(parent: &str, vlan: Option<VlanId>) -> Result<Parent, ParentError> {
        Parent::parse(parent, vlan, |name| matches!(name, "enp0s8" | "my.nic"))
    }

    #[test]
    fn the_dot_is_the_vlan() {
        let expected = Parent {
            uplink: "enp0s8".into(),
            vlan: vlan(200),
        };
        assert_eq!(parse("enp0s8.200", None), Ok(expected.clone()));
        assert_eq!(parse("enp0s8", vlan(200)), Ok(expected.clone()));
        assert_eq!(parse("enp0s8.200", vlan(200)), Ok(expected));
        assert_eq!(parse("enp0s8", None).unwrap().vlan, None);
    }

    #[test]
    fn a_name_with_a_dot_is_a_name_if_it_exists() {
        assert_eq!(parse("my.nic", None).unwrap().uplink, "my.nic");
        assert_eq!(parse("my.nic.7", None).unwrap().uplink, "my.nic");
    }

    #[test]
    fn refuses_what_is_no_vlan() {
        for bad in ["enp0s8.0", "enp0s8.4095", "enp0s8.web", "enp0s8."] {
            assert!(matches!(parse(bad, None), Err(ParentError::Vlan { .. })));
        }
        assert!(matches!(
            parse("enp0s8.200", vlan(201)),
            Err(ParentError::Conflict { .. })
        ));
        assert!(matches!(parse("", None), Err(ParentError::Name(_))));
    }
}
