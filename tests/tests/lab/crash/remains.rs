//! A lab for commands that are killed, and what must be true of what they leave.

use std::{collections::BTreeSet, path::Path};

use aya::{
    Pod,
    maps::{HashMap, Map, MapData},
};
use serde_json::Value;
use tests::{
    Container, Fixture, NicState,
    kill_point::{self, Ended},
};
use vnet_common::{Endpoint, FdbKey, FloodKey, Receiver, Segment, SegmentKey};
use vnet_user::{
    datapath::load::{CONTAINER_PROGRAMS, FOR_ENDPOINTS},
    lab::{Netns, VlanEnd, probe},
};

/// A machine on the wire, and the address that the endpoint under test gets.
const ROUTER: &str = "192.168.200.100";
pub const VICTIM: &str = "192.168.200.2";
pub const VICTIM_MAC: &str = "02:00:00:00:00:02";

/// A host with a router on VLAN 200, and what the host's NIC was like before vnet came.
pub struct Lab {
    pub fixture: Fixture,
    before: NicState,
    _router: VlanEnd,
}

impl Lab {
    pub fn new() -> Self {
        let mut fixture = Fixture::new();
        let router = fixture.vlan_end(200, &[&format!("{ROUTER}/24")]);
        let victim = fixture.lab.add("victim").unwrap();
        victim.set_duplicate_detection(false).unwrap();
        let before = NicState::of(&fixture.host(), "enp0s8");
        Self {
            fixture,
            before,
            _router: router,
        }
    }

    pub fn attached() -> Self {
        let lab = Self::new();
        lab.fixture.attach();
        lab
    }

    pub fn victim(&self) -> Netns {
        Netns::clone(self.fixture.lab.get("victim").unwrap())
    }

    /// The command line that adds the endpoint under test.
    pub fn add(&self) -> String {
        let netns = self.victim();
        let netns = netns.name();
        format!("endpoint add --network web --netns {netns} --ip {VICTIM} --mac {VICTIM_MAC}")
    }

    /// Adds the endpoint under test.
    pub fn add_victim(&self) -> Container {
        let options = format!("--ip {VICTIM} --mac {VICTIM_MAC}");
        self.fixture.endpoint("victim", "web", &options)
    }

    /// Runs a command, killed before its `nth` change, if any. The next one, which looks, finds or makes all of it whole.
    pub fn kill(&self, arguments: &str, nth: Option<usize>) -> Ended {
        let ended = kill_point::run(self.fixture.vnet.command(arguments), nth);
        self.check_whole();
        ended
    }

    /// Runs the same command once more: either it does what the killed one did not, or it is told with one of these words
    /// that there is nothing left to do.
    pub fn again(&self, arguments: &str, done: &str) {
        let again = self.fixture.vnet.run(arguments).unwrap();
        assert!(
            again.ok() || (again.code == Some(1) && again.stderr.contains(done)),
            "{again:?}"
        );
    }

    /// A container reaches the router through the uplink.
    pub fn check_traffic(&self, from: &Netns) {
        let reached = probe::ping(from, ROUTER.parse().unwrap(), tests::PATIENCE).unwrap();
        assert!(reached.is_some(), "no echo in {}", from.name());
    }

    /// What is there is whole: the uplink with all that vnet knows of, or nothing of it.
    pub fn check_whole(&self) {
        let shown = self.fixture.show();
        match shown["uplinks"].as_array().unwrap().as_slice() {
            [] => self.check_nothing_runs(),
            [uplink] => self.check_all_runs(uplink),
            _ => panic!("more than one uplink: {shown}"),
        }
    }

    /// Links, pins and rows of the maps are those of the endpoints and networks that vnet knows, and of nothing else.
    fn check_all_runs(&self, uplink: &Value) {
        let list = |name: &str| uplink[name].as_array().unwrap().as_slice();
        let (endpoints, networks) = (list("endpoints"), list("networks"));
        let host_ifnames = names(endpoints, "host_ifname");
        let pins = self.fixture.vnet.pins().join("enp0s8");
        let links = match uplink["hook"].as_str() {
            // Filters have no pins.
            Some("clsact") => xdp_link(uplink).into_iter().collect(),
            _ => links(uplink, networks, endpoints),
        };
        assert_eq!(files(&pins.join("links")), links, "pinned links; {uplink}");
        let programs = files(&pins.join("programs"));
        assert_eq!(
            programs,
            FOR_ENDPOINTS.map(str::to_owned).into(),
            "pinned programs"
        );
        for (rows, map) in [
            (rows::<FdbKey, Receiver>(&pins.join("fdb")), "fdb"),
            (rows::<u32, Endpoint>(&pins.join("endpoints")), "endpoints"),
            (rows::<FloodKey, Receiver>(&pins.join("flood")), "flood"),
        ] {
            assert_eq!(rows, endpoints.len(), "rows of {map}; {uplink}");
        }
        let segments = rows::<SegmentKey, Segment>(&pins.join("segments"));
        assert_eq!(segments, networks.len(), "rows of segments; {uplink}");
        self.check_links(host_ifnames);
    }

    /// Nothing of vnet runs, and the NIC is as it was. Empty folders for pins may be there.
    fn check_nothing_runs(&self) {
        assert_eq!(NicState::of(&self.fixture.host(), "enp0s8"), self.before);
        let pins = self.fixture.vnet.pins().join("enp0s8");
        for folder in [&pins, &pins.join("links"), &pins.join("programs")] {
            let strange = files(folder)
                .into_iter()
                .filter(|name| !folder.join(name).is_dir());
            assert_eq!(strange.collect::<Vec<_>>(), [""; 0], "{}", folder.display());
        }
        let eth0 = self.victim().ip("link show dev eth0");
        assert!(eth0.is_err(), "the container keeps its interface: {eth0:?}");
    }

    /// The host has these links, and those that it had before vnet came.
    fn check_links(&self, mut known: BTreeSet<String>) {
        known.extend(["lo".to_owned(), "enp0s8".to_owned()]);
        let links = self.fixture.host().ip("-j link show").unwrap();
        let links: Vec<Value> = serde_json::from_str(&links).unwrap();
        assert_eq!(names(&links, "ifname"), known, "links on the host");
    }

    /// Nothing is left of vnet at all.
    pub fn check_gone(&self) {
        assert_eq!(self.fixture.show()["uplinks"], serde_json::json!([]));
        self.check_nothing_runs();
        assert_eq!(files(self.fixture.vnet.pins()), BTreeSet::new(), "pins");
        let kept = ["lock", "state.json"].map(str::to_owned);
        assert_eq!(files(self.fixture.vnet.state()), kept.into(), "state");
    }
}

/// The names under which links must be pinned.
fn links(uplink: &Value, networks: &[Value], endpoints: &[Value]) -> BTreeSet<String> {
    let mut links = BTreeSet::from(["from_uplink".to_owned()]);
    links.extend(xdp_link(uplink));
    for endpoint in endpoints {
        let name = endpoint["host_ifname"].as_str().unwrap();
        links.insert(name.to_owned());
        if uplink["endpoint_device"] == "netkit" {
            links.insert(format!("{name}:rounds"));
        }
        let network = networks.iter().find(|n| n["name"] == endpoint["network"]);
        if network.unwrap()["egress_qos_map"] != serde_json::json!({}) {
            links.extend(CONTAINER_PROGRAMS.map(|program| format!("{name}:{program}")));
        }
    }
    links
}

/// The link of the XDP program, where there must be one.
fn xdp_link(uplink: &Value) -> Option<String> {
    (!uplink["xdp"].is_null()).then(|| "xdp_uplink".to_owned())
}

/// One field of each of a list's objects.
fn names(list: &[Value], field: &str) -> BTreeSet<String> {
    let names = list.iter().map(|item| item[field].as_str().unwrap());
    names.map(str::to_owned).collect()
}

/// How many rows a pinned map has.
fn rows<K: Pod, V: Pod>(pin: &Path) -> usize {
    let map = Map::HashMap(MapData::from_pin(pin).unwrap());
    HashMap::<_, K, V>::try_from(map).unwrap().keys().count()
}

/// Names of the files in a directory; none when it is not there.
fn files(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
