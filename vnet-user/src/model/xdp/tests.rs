//! Every refusal, with the word that helps.

use super::*;

fn nic() -> Nic {
    Nic {
        iface: "enp0s8".into(),
        is_veth: false,
        stripping: Stripping::Off,
        master: None,
        others_promiscuous: 0,
        other_program: None,
        endpoint_device: EndpointDevice::Veth,
        uses_every_vlan: None,
    }
}

const FILTER: XdpRequest = XdpRequest {
    delivery: Delivery::Filter,
    mode: None,
    unknown_vlan: Unknown::Pass,
    unknown_unicast: Unknown::Pass,
    far_end_checksums: false,
};
const VLANS: XdpRequest = XdpRequest {
    unknown_vlan: Unknown::Drop,
    ..FILTER
};
const UNICAST: XdpRequest = XdpRequest {
    unknown_unicast: Unknown::Drop,
    ..FILTER
};
const REDIRECT: XdpRequest = XdpRequest {
    delivery: Delivery::Redirect,
    ..FILTER
};
const REDIRECT_OF_VETH: XdpRequest = XdpRequest {
    far_end_checksums: true,
    ..REDIRECT
};

#[test]
fn a_plain_nic_takes_everything() {
    for request in [FILTER, VLANS, UNICAST, REDIRECT] {
        assert_eq!(request.check(&nic()), Ok(()), "{request:?}");
        assert_eq!(request.holds_back(&nic()), HoldsBack::default());
    }
    let generic = Some(XdpMode::Generic);
    let request = XdpRequest {
        mode: generic,
        ..VLANS
    };
    assert_eq!(request.check(&nic()), Ok(()));
}

#[test]
fn what_would_break_traffic_is_refused_with_what_helps() {
    let stripping = |stripping| Nic { stripping, ..nic() };
    let on = || Stripping::On {
        commands: vec!["ethtool -K enp0s8 rxvlan off".into()],
    };
    let fixed = || Stripping::Fixed {
        iface: "enp0s8".into(),
    };
    let generic = Some(XdpMode::Generic);
    let veth = || Nic {
        is_veth: true,
        ..nic()
    };
    let cases: [(XdpRequest, Nic, &[&str]); 16] = [
        (
            VLANS,
            stripping(on()),
            &["--unknown-vlan", "`ethtool -K enp0s8 rxvlan off`"],
        ),
        (
            UNICAST,
            stripping(on()),
            &["--unknown-unicast", "rxvlan off"],
        ),
        (REDIRECT, stripping(on()), &["--xdp redirect", "rxvlan off"]),
        (VLANS, stripping(fixed()), &["[fixed]", "leave it out"]),
        (
            VLANS,
            Nic {
                stripping: on(),
                ..veth()
            },
            &["rxvlan off", "txvlan off", "far end"],
        ),
        (
            XdpRequest {
                mode: generic,
                ..REDIRECT
            },
            nic(),
            &["GRO", "--xdp-mode native"],
        ),
        (
            REDIRECT,
            Nic {
                endpoint_device: EndpointDevice::Netkit,
                ..nic()
            },
            &["netkit", "vnet-user detach"],
        ),
        (
            REDIRECT,
            veth(),
            &[
                "checksums",
                "ethtool -K DEVICE tx off",
                "--far-end-checksums",
            ],
        ),
        (REDIRECT_OF_VETH, nic(), &["no veth", "--far-end-checksums"]),
        (
            XdpRequest {
                far_end_checksums: true,
                ..FILTER
            },
            veth(),
            &["--far-end-checksums", "--xdp redirect"],
        ),
        (
            FILTER,
            Nic {
                other_program: Some(17),
                ..nic()
            },
            &["17", "ip link set dev enp0s8 xdp off"],
        ),
        (
            REDIRECT,
            Nic {
                other_program: Some(17),
                ..nic()
            },
            &["17", "xdp off"],
        ),
        (
            UNICAST,
            Nic {
                master: Some("br0".into()),
                others_promiscuous: 1,
                ..nic()
            },
            &["br0", "nomaster"],
        ),
        (
            UNICAST,
            Nic {
                others_promiscuous: 1,
                ..nic()
            },
            &["promiscuous", "promisc off"],
        ),
        (
            VLANS,
            Nic {
                uses_every_vlan: Some("it is a port of \"br0\"".into()),
                ..nic()
            },
            &["br0", "--unknown-vlan"],
        ),
        (
            REDIRECT,
            Nic {
                stripping: fixed(),
                ..nic()
            },
            &["--xdp redirect", "[fixed]"],
        ),
    ];
    for (request, nic, named) in cases {
        let refused = request.check(&nic).expect_err("it is accepted").to_string();
        for word in named {
            assert!(refused.contains(word), "{word} is not in: {refused}");
        }
        assert!(!refused.contains('\n'), "{refused}");
    }
}

#[test]
fn what_does_not_mind_is_accepted() {
    let stripping = Stripping::Fixed {
        iface: "enp0s8".into(),
    };
    assert_eq!(FILTER.check(&Nic { stripping, ..nic() }), Ok(()));
    let bridged = Nic {
        master: Some("br0".into()),
        others_promiscuous: 1,
        ..nic()
    };
    for request in [FILTER, VLANS, REDIRECT] {
        assert_eq!(request.check(&bridged), Ok(()), "{request:?}");
    }
    let every = Nic {
        uses_every_vlan: Some("a bridge".into()),
        ..nic()
    };
    for request in [FILTER, UNICAST, REDIRECT] {
        assert_eq!(request.check(&every), Ok(()), "{request:?}");
    }
    let veth = Nic {
        is_veth: true,
        ..nic()
    };
    assert_eq!(REDIRECT_OF_VETH.check(&veth), Ok(()));
}

#[test]
fn a_nic_that_changes_makes_it_hold_back() {
    let held = |request: XdpRequest, nic: &Nic| {
        let HoldsBack {
            redirect,
            unknown_unicast,
        } = request.holds_back(nic);
        (redirect.is_some(), unknown_unicast.is_some())
    };
    let promiscuous = Nic {
        others_promiscuous: 1,
        ..nic()
    };
    assert_eq!(held(UNICAST, &promiscuous), (false, true));
    assert_eq!(held(REDIRECT, &promiscuous), (false, false));
    let commands = vec!["ethtool -K enp0s8 rxvlan off".into()];
    let stripping = Nic {
        stripping: Stripping::On { commands },
        ..nic()
    };
    assert_eq!(held(UNICAST, &stripping), (false, true));
    assert_eq!(held(REDIRECT, &stripping), (true, false));
    let mut xdp = Xdp::new(REDIRECT);
    assert!(xdp.redirects() && !Xdp::new(UNICAST).redirects());
    xdp.holds_back = REDIRECT.holds_back(&stripping);
    assert!(!xdp.redirects());
}

#[test]
fn native_is_tried_first_and_redirect_is_native_only() {
    use XdpMode::{Generic, Native};
    assert_eq!(FILTER.modes(), [Native, Generic]);
    assert_eq!(REDIRECT.modes(), [Native]);
    let with = |mode| XdpRequest {
        mode: Some(mode),
        ..FILTER
    };
    assert_eq!(with(Native).modes(), [Native]);
    assert_eq!(with(Generic).modes(), [Generic]);
}

#[test]
fn the_kernels_refusal_in_words() {
    let of = |errno, mtu| XdpError::of_native(errno, "why".into(), "enp0s8", mtu, false);
    let mtu = of(libc::ERANGE, 9000).to_string();
    assert!(
        mtu.contains("9000") && mtu.contains("ip link set dev enp0s8 mtu"),
        "{mtu}"
    );
    let none = of(libc::EOPNOTSUPP, 1500).to_string();
    assert!(
        none.contains("why") && none.contains("--xdp filter"),
        "{none}"
    );
}

#[test]
fn the_line_says_mode_and_delivery() {
    let line = |request, runs| {
        let xdp = Xdp {
            runs: Some(runs),
            ..Xdp::new(request)
        };
        xdp.to_string()
    };
    let both = XdpRequest {
        unknown_unicast: Unknown::Drop,
        ..VLANS
    };
    assert_eq!(
        line(both, XdpMode::Native),
        "XDP native drops unknown VLANs and unknown unicast, delivery by tc"
    );
    assert_eq!(
        line(REDIRECT, XdpMode::Native),
        "XDP native drops nothing, delivery by XDP redirect, the rest by tc"
    );
    assert!(FILTER.does_nothing() && !VLANS.does_nothing() && !REDIRECT.does_nothing());
}
