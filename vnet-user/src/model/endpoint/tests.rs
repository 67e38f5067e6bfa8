//! Which requests for an endpoint are taken, and what is made of them.

use super::*;
use crate::model::{segment::Segment, vlan::VlanId};

const UPLINK_MAC: &str = "52:54:00:00:00:01";

fn network(vlan: u16) -> Network {
    Network {
        segment: Segment {
            vlan: Some(VlanId::try_from(vlan).unwrap()),
            outer: None,
        },
        subnets: vec!["192.168.200.0/29".parse().unwrap()],
        gateways: vec!["192.168.200.1".parse().unwrap()],
        ..Network::on("enp0s8")
    }
}

fn state() -> State {
    let mut state = State::default();
    state.networks.insert("web".into(), network(200));
    state.networks.insert("lab".into(), network(201));
    state
}

fn request(network: &str, addresses: &[&str], mac: Option<&str>) -> EndpointRequest {
    EndpointRequest {
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        mac: mac.map(|m| m.parse().unwrap()),
        ..EndpointRequest::in_network(network, "c1")
    }
}

fn plan(state: &State, request: &EndpointRequest) -> Result<Endpoint, EndpointError> {
    let host = HostOnSegment {
        mac: UPLINK_MAC.parse().ok(),
        addresses: ["192.168.201.2".parse().unwrap()].into(),
    };
    request.plan(state, &host, [9, 9, 9, 9])
}

fn add(state: &mut State, request: &EndpointRequest) -> Endpoint {
    let endpoint = plan(state, request).unwrap();
    let id = EndpointId::from_random([0, 0, 0, 0, 0, state.endpoints.len() as u8]);
    state.endpoints.insert(id, endpoint.clone());
    endpoint
}

#[test]
fn fills_in_address_and_mac() {
    let mut state = state();
    let first = add(&mut state, &request("web", &[], None));
    assert_eq!(first.addresses, ["192.168.200.2/29".parse().unwrap()]);
    assert_eq!(first.mac.to_string(), "02:42:c0:a8:c8:02");
    let second = add(&mut state, &request("web", &[], None));
    assert_eq!(second.addresses, ["192.168.200.3/29".parse().unwrap()]);
    assert_eq!((second.number, second.flood_slot), (1, 1));
    // Another segment has its own slots, and may have the same MAC.
    let other = add(&mut state, &request("lab", &[], None));
    assert_eq!(
        (other.mac, other.number, other.flood_slot),
        (first.mac, 2, 0)
    );
}

#[test]
fn a_full_subnet_says_so() {
    let mut state = state();
    for _ in 2..=6 {
        add(&mut state, &request("web", &[], None));
    }
    let full = plan(&state, &request("web", &[], None));
    assert!(matches!(full, Err(EndpointError::SubnetFull { .. })));
}

#[test]
fn an_endpoint_of_many_addresses_leaves_the_next_one_free() {
    let mut state = state();
    let many = [
        "192.168.200.2",
        "192.168.200.3",
        "192.168.200.4",
        "192.168.200.5",
    ];
    add(&mut state, &request("web", &many, None));
    let next = plan(&state, &request("web", &[], Some("02:00:00:00:00:0b"))).unwrap();
    assert_eq!(next.addresses, ["192.168.200.6/29".parse().unwrap()]);
}

#[test]
fn refuses_addresses() {
    let mut state = state();
    add(&mut state, &request("web", &["192.168.200.2"], None));
    let check = |addresses: &[&str]| plan(&state, &request("web", addresses, None)).unwrap_err();
    assert!(matches!(
        check(&["10.0.0.1"]),
        EndpointError::AddressOutside { .. }
    ));
    assert!(matches!(
        check(&["192.168.200.2"]),
        EndpointError::AddressTaken { .. }
    ));
    assert!(matches!(
        check(&["192.168.200.1"]),
        EndpointError::AddressIsGateway { .. }
    ));
    assert!(matches!(
        check(&["192.168.200.0"]),
        EndpointError::NotAHost { .. }
    ));
    assert!(matches!(
        check(&["192.168.200.7"]),
        EndpointError::NotAHost { .. }
    ));
    assert!(matches!(
        check(&["192.168.200.3", "192.168.200.3"]),
        EndpointError::AddressTwice(_)
    ));
}

#[test]
fn the_hosts_own_address_is_nobodys() {
    let mut state = state();
    let network = Network {
        subnets: vec!["192.168.201.0/29".parse().unwrap()],
        gateways: vec![],
        ..network(201)
    };
    state.networks.insert("lab".into(), network);
    let free = plan(&state, &request("lab", &[], None)).unwrap();
    assert_eq!(free.addresses, ["192.168.201.1/29".parse().unwrap()]);
    add(&mut state, &request("lab", &[], None));
    let next = plan(&state, &request("lab", &[], None)).unwrap();
    assert_eq!(next.addresses, ["192.168.201.3/29".parse().unwrap()]);
    let taken = plan(&state, &request("lab", &["192.168.201.2"], None));
    assert!(matches!(taken, Err(EndpointError::AddressOfHost(_))));
}

#[test]
fn refuses_macs_names_and_networks() {
    let mut state = state();
    add(&mut state, &request("web", &[], Some("02:00:00:00:00:0a")));
    let mac = |mac| plan(&state, &request("web", &[], Some(mac))).unwrap_err();
    assert!(matches!(
        mac("02:00:00:00:00:0a"),
        EndpointError::MacTaken { .. }
    ));
    assert!(matches!(mac(UPLINK_MAC), EndpointError::MacOfUplink { .. }));
    let mut bad = request("web", &[], None);
    for name in ["", "a/b", "sixteen-bytes-xx", "a b", "..", "e%d", "all"] {
        bad.ifname = name.into();
        assert_eq!(plan(&state, &bad), Err(EndpointError::Ifname(name.into())));
    }
    let none = plan(&state, &request("nope", &[], None));
    assert_eq!(none, Err(EndpointError::NoNetwork("nope".into())));
}
