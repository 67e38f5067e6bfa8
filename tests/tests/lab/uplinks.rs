//! Several uplinks on one host.

use tests::{Fixture, PATIENCE};
use vnet_user::lab::{EthernetFrame, Lab, Mac, RawSocket};

const FAR: Mac = Mac([2, 0, 0, 0, 0, 0x77]);

#[test]
fn two_uplinks_do_not_mix_even_with_the_same_vlan_and_mac() {
    let lab = Lab::new("vnet-test")
        .host("host")
        .host("wire")
        .wire(("host", "enp0s8"), ("wire", "enp0s8"))
        .wire(("host", "enp0s9"), ("wire", "enp0s9"))
        .build()
        .unwrap();
    let mut fixture = Fixture::with(lab);
    fixture.attach();
    fixture.ok("attach --iface enp0s9");
    fixture.network("one", "--vlan 200 --subnet 10.9.0.0/24");
    fixture.ok("network create two --parent enp0s9 --vlan 200 --subnet 10.9.0.0/24");
    let mac = "--mac 02:00:00:00:00:aa";
    let (a, b) = (
        fixture.container("a", "one", mac),
        fixture.container("b", "two", mac),
    );
    let (in_a, in_b) = (a.raw(), b.raw());
    let wire_a = fixture.wire_raw();
    let wire_b = RawSocket::open(&fixture.wire(), "enp0s9").unwrap();

    for (text, destination) in [("to all", Mac::BROADCAST), ("to one", FAR)] {
        in_a.send(&EthernetFrame::experiment(destination, a.mac, text))
            .unwrap();
        wire_a.expect(text, PATIENCE).unwrap();
        in_b.send(&EthernetFrame::experiment(destination, b.mac, "marker"))
            .unwrap();
        assert!(wire_b.before(text, "marker", PATIENCE).unwrap().is_empty());
    }
    in_b.drain().unwrap();
    wire_a
        .send(&EthernetFrame::experiment(a.mac, FAR, "by enp0s8").tagged(200, 0))
        .unwrap();
    in_a.expect("by enp0s8", PATIENCE).unwrap();
    wire_b
        .send(&EthernetFrame::experiment(b.mac, FAR, "by enp0s9").tagged(200, 0))
        .unwrap();
    assert!(
        in_b.before("by enp0s8", "by enp0s9", PATIENCE)
            .unwrap()
            .is_empty()
    );

    fixture.ok("detach --iface enp0s8 --force");
    wire_b
        .send(&EthernetFrame::experiment(b.mac, FAR, "still here").tagged(200, 0))
        .unwrap();
    in_b.expect("still here", PATIENCE).unwrap();
}
