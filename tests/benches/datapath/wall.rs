//! Real traffic by a clock on the wall, on this machine's own kernel: vnet and macvlan in turn, so that what disturbs the
//! machine disturbs both; and macvlan beside itself, which shows by how much that alone makes them differ.

use std::time::Duration;

use serde_json::json;
use tests::Fixture;

use crate::bed::{self, Bed, UPLINK, WIRE_ADDRESS};
use crate::traffic::{Load, Place};
use crate::{kernel, vnet};

/// How often each of a pair is measured.
const PAIRS: usize = 12;
/// How long each time.
const DURATION: Duration = Duration::from_millis(300);
const MTUS: [u32; 2] = [1500, 9000];
/// At once.
const FLOWS: [usize; 2] = [1, 8];

/// From whom to whom.
#[derive(Clone, Copy)]
enum Way {
    ToContainer,
    ToWire,
    BetweenContainers,
}

impl Way {
    const ALL: [Self; 3] = [Self::ToContainer, Self::ToWire, Self::BetweenContainers];

    fn name(self) -> &'static str {
        match self {
            Self::ToContainer => "wire to container",
            Self::ToWire => "container to wire",
            Self::BetweenContainers => "container to container",
        }
    }

    fn ends(self, bed: &Bed) -> [Place; 2] {
        let wire = Place::new(&bed.fixture.wire(), WIRE_ADDRESS);
        let [first, second] = &bed.containers;
        let [first, second] = [first, second].map(|it| Place::new(&it.netns, it.address));
        match self {
            Self::ToContainer => [wire, first],
            Self::ToWire => [first, wire],
            Self::BetweenContainers => [second, first],
        }
    }
}

/// Measures everything.
pub fn measure() {
    for mtu in MTUS {
        let macvlan = kernel::macvlan_on(host(mtu));
        let again = kernel::macvlan_on(host(mtu));
        let vnet = vnet::untagged(host(mtu), "--endpoint-device veth");
        for load in Load::ALL {
            // Only a stream fills its frames.
            if mtu != MTUS[0] && load != Load::Stream {
                continue;
            }
            for way in Way::ALL {
                for flows in FLOWS {
                    // One round trip after another, and never two at once.
                    if load == Load::RoundTrip && flows != 1 {
                        continue;
                    }
                    for (name, bed) in [("vnet", &vnet), ("macvlan again", &again)] {
                        let figures = in_turn([&macvlan, bed], load, way, flows);
                        for (index, unit) in load.units().iter().enumerate() {
                            let pairs: Vec<_> = figures
                                .iter()
                                .map(|[one, other]| [one[index], other[index]])
                                .collect();
                            let line = json!({
                                "load": load.name(), "unit": unit, "way": way.name(), "flows": flows,
                                "mtu": mtu, "beside": name, "pairs": pairs,
                            });
                            println!("{line}");
                        }
                    }
                }
            }
        }
    }
}

/// A host with an untagged network on the wire.
fn host(mtu: u32) -> Fixture {
    let fixture = bed::host();
    for netns in [fixture.host(), fixture.wire()] {
        netns.ip(&format!("link set {UPLINK} mtu {mtu}")).unwrap();
    }
    fixture
        .wire()
        .ip(&format!("addr add {WIRE_ADDRESS}/24 dev {UPLINK}"))
        .unwrap();
    fixture
}

/// Measures two in turn, as A B B A, and returns the figures of each pair.
fn in_turn(beds: [&Bed; 2], load: Load, way: Way, flows: usize) -> Vec<[Vec<f64>; 2]> {
    let measure = |bed: &Bed| {
        let [from, to] = way.ends(bed);
        load.measure(&from, &to, flows, DURATION)
    };
    let [one, other] = beds;
    // What a first time costs is in none of them.
    for bed in beds {
        measure(bed);
    }
    (0..PAIRS)
        .map(|pair| match pair % 2 {
            0 => {
                let figures = measure(one);
                [figures, measure(other)]
            }
            _ => {
                let figures = measure(other);
                [measure(one), figures]
            }
        })
        .collect()
}
