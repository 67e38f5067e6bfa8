//! What `--parent enp0s8.200` names: an uplink and a VLAN, never an interface of its own.

use thiserror::Error;

use super::{
    segment::{OuterProtocol, OuterTag, Segment},
    vlan::{VlanId, VlanIdError},
};

/// An uplink and the segment on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    pub uplink: String,
    pub segment: Segment,
}

/// A parent that names no segment.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParentError {
    #[error("parent {parent:?}: {source}")]
    Vlan { parent: String, source: VlanIdError },
    #[error("parent {parent:?} names VLAN {named}, but option {option} says {given}")]
    Conflict {
        parent: String,
        named: VlanId,
        option: &'static str,
        given: VlanId,
    },
    #[error("parent {0:?} is not the name of an interface")]
    Name(String),
}

/// What the command line says of the segment beside the parent.
#[derive(Clone, Copy, Debug, Default)]
pub struct SegmentOptions {
    pub vlan: Option<VlanId>,
    pub outer_vlan: Option<VlanId>,
    pub outer_protocol: OuterProtocol,
}

impl SegmentOptions {
    /// The segment that they name by themselves.
    pub fn segment(self) -> Segment {
        Segment {
            vlan: self.vlan,
            outer: self.outer_vlan.map(|vlan| OuterTag {
                vlan,
                protocol: self.outer_protocol,
            }),
        }
    }

    /// Checks that they do not contradict the segment that `parent` names.
    ///
    /// # Errors
    ///
    /// When they do.
    pub fn check(self, parent: &str, named: Segment) -> Result<(), ParentError> {
        agree(parent, named.vlan, self.vlan, "vlan")?;
        let outer = named.outer.map(|outer| outer.vlan);
        agree(parent, outer, self.outer_vlan, "outer-vlan").map(drop)
    }
}

/// The VLAN that a parent names, or else an option gives.
fn agree(
    parent: &str,
    named: Option<VlanId>,
    given: Option<VlanId>,
    option: &'static str,
) -> Result<Option<VlanId>, ParentError> {
    match (named, given) {
        (Some(named), Some(given)) if named != given => Err(ParentError::Conflict {
            parent: parent.to_owned(),
            named,
            option,
            given,
        }),
        (named, given) => Ok(named.or(given)),
    }
}

impl Parent {
    /// Reads `parent` as `<uplink>`, `<uplink>.<vlan>` or `<uplink>.<outer vlan>.<vlan>`.
    ///
    /// Interface names may hold a dot, so one that `is_uplink` knows is taken as it stands.
    ///
    /// # Errors
    ///
    /// When the part behind a dot is no VLAN id, or contradicts the options.
    pub fn parse(
        parent: &str,
        options: SegmentOptions,
        is_uplink: impl Fn(&str) -> bool,
    ) -> Result<Self, ParentError> {
        if parent.is_empty() || parent.contains(['/', ' ', '\n']) {
            return Err(ParentError::Name(parent.to_owned()));
        }
        let mut uplink = parent;
        let mut named = Vec::new();
        while !is_uplink(uplink) && named.len() < 2 {
            let Some((rest, id)) = uplink.rsplit_once('.') else {
                break;
            };
            let id: VlanId = id.parse().map_err(|source| ParentError::Vlan {
                parent: parent.to_owned(),
                source,
            })?;
            named.push(id);
            uplink = rest;
        }
        let [inner, outer] = [0, 1].map(|at| named.get(at).copied());
        let vlan = agree(parent, inner, options.vlan, "vlan")?;
        let outer = agree(parent, outer, options.outer_vlan, "outer-vlan")?;
        Ok(Self {
            uplink: uplink.to_owned(),
            segment: Segment {
                vlan,
                outer: outer.map(|vlan| OuterTag {
                    vlan,
                    protocol: options.outer_protocol,
                }),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vlan(id: u16) -> Option<VlanId> {
        Some(VlanId::try_from(id).unwrap())
    }

    fn parse(parent: &str, vlan: Option<VlanId>) -> Result<Parent, ParentError> {
        let options = SegmentOptions {
            vlan,
            ..SegmentOptions::default()
        };
        Parent::parse(parent, options, |name| matches!(name, "enp0s8" | "my.nic"))
    }

    #[test]
    fn the_dot_is_the_vlan() {
        let expected = Parent {
            uplink: "enp0s8".into(),
            segment: Segment {
                vlan: vlan(200),
                outer: None,
            },
        };
        assert_eq!(parse("enp0s8.200", None), Ok(expected.clone()));
        assert_eq!(parse("enp0s8", vlan(200)), Ok(expected.clone()));
        assert_eq!(parse("enp0s8.200", vlan(200)), Ok(expected));
        assert_eq!(parse("enp0s8", None).unwrap().segment.vlan, None);
    }

    #[test]
    fn two_dots_are_two_tags() {
        let parent = parse("enp0s8.100.60", None).unwrap();
        assert_eq!(parent.uplink, "enp0s8");
        let Segment { vlan: inner, outer } = parent.segment;
        assert_eq!(inner, vlan(60));
        assert_eq!(outer.map(|outer| outer.vlan), vlan(100));
        let options = SegmentOptions {
            vlan: vlan(60),
            outer_vlan: vlan(100),
            outer_protocol: OuterProtocol::Dot1q,
        };
        let options = Parent::parse("enp0s8", options, |_| true).unwrap();
        let protocol = options.segment.outer.unwrap().protocol;
        assert_eq!(protocol, OuterProtocol::Dot1q);
    }

    #[test]
    fn a_name_with_a_dot_is_a_name_if_it_exists() {
        assert_eq!(parse("my.nic", None).unwrap().uplink, "my.nic");
        assert_eq!(parse("my.nic.7", None).unwrap().uplink, "my.nic");
    }

    #[test]
    fn refuses_what_is_no_vlan() {
        let bad = [
            "enp0s8.0",
            "enp0s8.4095",
            "enp0s8.web",
            "enp0s8.",
            "enp0s8.0.60",
        ];
        for bad in bad {
            assert!(matches!(parse(bad, None), Err(ParentError::Vlan { .. })));
        }
        assert!(matches!(
            parse("enp0s8.200", vlan(201)),
            Err(ParentError::Conflict { .. })
        ));
        assert!(matches!(parse("", None), Err(ParentError::Name(_))));
    }
}
