//! Which requests for a network are taken.

use super::*;

fn request(name: &str, vlan: Option<u16>, subnets: &[&str], gateways: &[&str]) -> NetworkRequest {
    NetworkRequest {
        name: name.to_owned(),
        network: Network {
            segment: Segment {
                vlan: vlan.map(|id| VlanId::try_from(id).unwrap()),
                outer: None,
            },
            subnets: subnets.iter().map(|s| s.parse().unwrap()).collect(),
            gateways: gateways.iter().map(|g| g.parse().unwrap()).collect(),
            ..Network::on("enp0s8")
        },
    }
}

fn state() -> State {
    let web = request("web", Some(200), &["192.168.200.0/24"], &[]);
    let mut state = State::default();
    state.networks.insert(web.name, web.network);
    state
}

#[test]
fn an_overlap_matters_on_the_same_segment_only() {
    let check = |vlan, subnet| {
        request("db", vlan, &[subnet], &[])
            .plan(&state(), 1500)
            .map(drop)
    };
    assert!(matches!(
        check(Some(200), "192.168.200.128/25"),
        Err(NetworkError::Overlap { .. })
    ));
    assert!(matches!(
        check(Some(200), "192.168.0.0/16"),
        Err(NetworkError::Overlap { .. })
    ));
    assert_eq!(check(Some(201), "192.168.200.0/24"), Ok(()));
    assert_eq!(check(None, "192.168.200.0/24"), Ok(()));
    assert_eq!(check(Some(200), "192.168.201.0/24"), Ok(()));
}

#[test]
fn refuses_what_contradicts_itself() {
    let check = |subnets: &[&str], gateways: &[&str]| {
        request("db", None, subnets, gateways)
            .plan(&state(), 1500)
            .map(drop)
            .unwrap_err()
    };
    assert!(matches!(
        check(&["10.0.0.1/24"], &[]),
        NetworkError::HostBits { .. }
    ));
    assert!(matches!(
        check(&["10.0.0.0/24", "10.0.0.0/25"], &[]),
        NetworkError::OverlapsItself { .. }
    ));
    assert!(matches!(
        check(&["10.0.0.0/24"], &["10.0.1.1"]),
        NetworkError::GatewayOutside { .. }
    ));
    assert!(matches!(
        check(&["10.0.0.0/24"], &["10.0.0.1", "10.0.0.2"]),
        NetworkError::TwoGateways { .. }
    ));
}

#[test]
fn refuses_what_no_host_can_have() {
    let check = |subnet: &str, gateways: &[&str]| {
        request("db", None, &[subnet], gateways)
            .plan(&state(), 1500)
            .map(drop)
    };
    for subnet in [
        "224.0.0.0/24",
        "127.0.0.0/8",
        "0.0.0.0/0",
        "::/0",
        "fe80::/64",
        "ff02::/16",
    ] {
        let refused = check(subnet, &[]);
        assert!(
            matches!(refused, Err(NetworkError::NotForHosts { .. })),
            "{subnet}"
        );
    }
    for gateway in ["10.0.0.0", "10.0.0.255"] {
        let refused = check("10.0.0.0/24", &[gateway]);
        assert!(matches!(refused, Err(NetworkError::GatewayNotAHost { .. })));
    }
    assert_eq!(check("fd01::/64", &["fe80::1"]), Ok(()));
    assert!(check("10.0.0.0/24", &["fe80::1"]).is_err());
}

#[test]
fn refuses_names_and_mtus() {
    let mut bad = request("web", None, &[], &[]);
    assert_eq!(
        bad.plan(&state(), 1500).map(drop),
        Err(NetworkError::Exists("web".into()))
    );
    for name in ["", "-x", "a/b", "a b"] {
        bad.name = name.to_owned();
        assert_eq!(
            bad.plan(&state(), 1500).map(drop),
            Err(NetworkError::Name(name.into()))
        );
    }
    bad.name = "db".to_owned();
    for mtu in [0, 67, 1501] {
        bad.network.mtu = Some(mtu);
        assert!(matches!(
            bad.plan(&state(), 1500).map(drop),
            Err(NetworkError::Mtu { .. })
        ));
    }
    let mut ipv6 = request("db", None, &["fd01::/64"], &[]);
    ipv6.network.mtu = Some(1279);
    let refused = ipv6.plan(&state(), 1500).map(drop);
    assert!(matches!(refused, Err(NetworkError::Mtu { min: 1280, .. })));
}
