//! Which programs the kernel runs, as `bpftool` and `tc` tell it; vnet itself is not asked.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::Fixture;

/// A program that is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The kernel's number for it: another load has another.
    pub id: u64,
    /// Bytes of its instructions after the verifier has taken out what is never reached.
    pub bytes_xlated: u64,
    /// Its maps' names and numbers.
    pub maps: BTreeMap<String, u64>,
}

impl Running {
    /// The program of a device: at ingress of the uplink or of an endpoint's host side, or netkit's for its peer.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn on(fixture: &Fixture, device: &str) -> Self {
        let link = match device {
            "enp0s8" => "from_uplink",
            endpoint => endpoint,
        };
        let pin = fixture.vnet.pins().join("enp0s8/links").join(link);
        if pin.exists() {
            let link = bpftool(fixture, &format!("link show pinned {}", pin.display()));
            return Self::by_id(fixture, number(&link, "prog_id"));
        }
        // clsact has filters instead of links.
        let filters = fixture
            .host()
            .sh(&format!("tc -j filter show dev {device} ingress"))
            .unwrap();
        let filters: Value = serde_json::from_str(&filters).expect("tc -j prints JSON");
        let programs: Vec<_> = filters
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|filter| filter["options"]["prog"]["id"].as_u64())
            .collect();
        assert_eq!(programs.len(), 1, "programs on {device}: {filters}");
        Self::by_id(fixture, programs[0])
    }

    /// The XDP program of the uplink, and the number of the link that holds it.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn xdp(fixture: &Fixture) -> (Self, u64) {
        let pin = fixture.vnet.pins().join("enp0s8/links/xdp_uplink");
        let link = bpftool(fixture, &format!("link show pinned {}", pin.display()));
        let program = Self::by_id(fixture, number(&link, "prog_id"));
        (program, number(&link, "id"))
    }

    /// The program that endpoints to come get.
    pub fn pinned(fixture: &Fixture) -> Self {
        let pin = fixture.vnet.pins().join("enp0s8/programs/from_endpoint");
        let program = bpftool(fixture, &format!("prog show pinned {}", pin.display()));
        Self::by_id(fixture, number(&program, "id"))
    }

    fn by_id(fixture: &Fixture, id: u64) -> Self {
        let program = bpftool(fixture, &format!("prog show id {id}"));
        let ids = program["map_ids"].as_array().into_iter().flatten();
        let ids: BTreeSet<_> = ids.filter_map(Value::as_u64).collect();
        let all = bpftool(fixture, "map show");
        let maps = all.as_array().into_iter().flatten().filter_map(|map| {
            let id = map["id"].as_u64().filter(|id| ids.contains(id))?;
            Some((map["name"].as_str()?.to_owned(), id))
        });
        Self {
            id,
            bytes_xlated: number(&program, "bytes_xlated"),
            maps: maps.collect(),
        }
    }

    /// The kernel functions that it calls, while it is loaded. `bpftool` reads all of the kernel's symbols for that, which
    /// takes seconds on an emulated machine.
    pub fn helpers(&self, fixture: &Fixture) -> BTreeSet<String> {
        let listing = bpftool(fixture, &format!("prog dump xlated id {}", self.id));
        // The names in calls: `(85) call bpf_redirect_peer#12345`.
        let lines = listing.as_array().into_iter().flatten();
        lines
            .filter_map(|line| line["disasm"].as_str()?.split_once("call "))
            .map(|(_, target)| target.split('#').next().unwrap_or(target).to_owned())
            .collect()
    }
}

fn bpftool(fixture: &Fixture, arguments: &str) -> Value {
    let shown = fixture
        .host()
        .sh(&format!("bpftool -j {arguments}"))
        .unwrap();
    serde_json::from_str(&shown).expect("bpftool -j prints JSON")
}

fn number(shown: &Value, field: &str) -> u64 {
    shown[field]
        .as_u64()
        .unwrap_or_else(|| panic!("bpftool shows no {field}: {shown}"))
}
