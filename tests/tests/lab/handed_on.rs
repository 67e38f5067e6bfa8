//! What vnet does not know is the kernel's: handed on as it came, and counted.

use tests::{Fixture, PATIENCE, mac_of};
use vnet_user::lab::{
    ETH_P_EXPERIMENT, EthernetFrame, LabError, Mac, RawSocket, Tag, VlanEnd, probe,
};

const FAR: Mac = Mac([2, 0, 0, 0, 0, 0x77]);
/// The drop eligible indicator of a tag (IEEE 802.1Q clause 9.6).
const DEI: u16 = 0x1000;
const NOBODY: Mac = Mac([2, 0, 0, 0, 0, 0x99]);

#[test]
fn unknown_frames_pass_to_the_host_and_are_counted() {
    let mut fixture = Fixture::attached();
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let container = fixture.container("a", "web", "");
    let (inside, wire) = (container.raw(), fixture.wire_raw());
    let host = RawSocket::open_behind_ingress(&fixture.host(), "enp0s8", ETH_P_EXPERIMENT).unwrap();
    let (vlan, unicast) = (
        fixture.reason("unknown_vlan"),
        fixture.reason("unknown_unicast"),
    );

    for (text, tag) in [
        ("VLAN 999", Some(999)),
        ("VLAN 200, nobody", Some(200)),
        ("untagged, nobody", None),
    ] {
        let frame = EthernetFrame::experiment(NOBODY, FAR, text);
        let sent = match tag {
            Some(vlan) => frame.clone().tagged(vlan, 0),
            None => frame.clone(),
        };
        wire.send(&sent).unwrap();
        assert_eq!(
            host.expect(text, PATIENCE).unwrap().bytes,
            frame.bytes(),
            "{text}"
        );
    }
    wire.send(&EthernetFrame::experiment(container.mac, FAR, "marker").tagged(200, 0))
        .unwrap();
    assert!(
        inside
            .before("nobody", "marker", PATIENCE)
            .unwrap()
            .is_empty(),
        "never flooded"
    );
    fixture.wait_reason("unknown_vlan", vlan + 1);
    fixture.wait_reason("unknown_unicast", unicast + 1);
}

#[test]
fn a_macvlan_of_the_kernel_on_the_same_nic_gets_its_frames_with_their_tag() {
    let mut fixture = Fixture::attached();
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    fixture.container("a", "web", "");
    let host = fixture.host();
    host.ip("link add mv0 link enp0s8 type macvlan mode bridge")
        .unwrap();
    host.ip("link set mv0 up").unwrap();
    let ears = RawSocket::open(&host, "mv0").unwrap();
    let wire = fixture.wire_raw();
    let mac = mac_of(&host, "mv0");
    let cases = [
        (mac, 300, "of another VLAN"),
        (mac, 200, "of a known VLAN"),
        (Mac::BROADCAST, 300, "to all of another VLAN"),
        (Mac::BROADCAST, 200, "to all of a known VLAN"),
    ];
    for (destination, vlan, text) in cases {
        let frame = EthernetFrame::experiment(destination, FAR, text);
        let vlan = vlan | DEI;
        let tci = 3 << 13 | vlan;
        wire.send(&frame.clone().tagged(vlan, 3)).unwrap();
        let seen = ears.expect(text, PATIENCE).unwrap();
        assert_eq!(seen.bytes, frame.bytes(), "{text}");
        assert_eq!(seen.tag, Some(Tag { tpid: 0x8100, tci }), "{text}");

        // An inner tag stays where it is.
        let frame = EthernetFrame::experiment(destination, FAR, &format!("{text}, twice tagged"))
            .tagged(5 | DEI, 1);
        wire.send(&frame.clone().tagged(vlan, 3)).unwrap();
        let seen = ears.expect("twice tagged", PATIENCE).unwrap();
        assert_eq!(seen.bytes, frame.bytes(), "{text}, twice tagged");
        assert_eq!(
            seen.tag,
            Some(Tag { tpid: 0x8100, tci }),
            "{text}, twice tagged"
        );
    }
}

#[test]
fn a_vlan_device_of_the_kernel_on_the_same_nic_keeps_working() {
    let fixture = Fixture::attached();
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let (host, wire) = (fixture.host(), fixture.wire());
    let own = match VlanEnd::kernel(&host, "enp0s8", 300, "enp0s8.300", &["10.9.30.1/24"]) {
        Ok(own) => own,
        // A kernel without such devices has none to disturb; where there must be one, the other end asserts it.
        Err(LabError::Command { .. }) => {
            VlanEnd::tap(&host, "enp0s8", 300, "enp0s8.300", &["10.9.30.1/24"]).unwrap()
        }
        Err(error) => panic!("{error}"),
    };
    tests::expected::check_vlan_end(&own);
    let _other = VlanEnd::new(&wire, "enp0s8", 300, "enp0s8.300", &["10.9.30.2/24"]).unwrap();
    let there = "10.9.30.2".parse().unwrap();
    assert!(probe::ping(&host, there, PATIENCE).unwrap().is_some());
    let here = "10.9.30.1".parse().unwrap();
    assert!(probe::ping(&wire, here, PATIENCE).unwrap().is_some());
}
