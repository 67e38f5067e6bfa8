//! An endpoint that comes tells its neighbours where its addresses are.

use tests::{Fixture, PATIENCE, announces_ipv4, announces_ipv6};

#[test]
fn an_endpoint_that_comes_announces_its_addresses() {
    let mut fixture = Fixture::attached();
    fixture.network(
        "web",
        "--vlan 200 --subnet 192.168.200.0/24 --subnet fd00:200::/64",
    );
    let wire = fixture.wire_raw();
    let a = fixture.container("a", "web", "--ip 192.168.200.2 --ip fd00:200::2");
    let ipv4 = "192.168.200.2".parse().unwrap();
    let seen = wire.find(PATIENCE, |frame| announces_ipv4(frame, a.mac, ipv4));
    let seen = seen.unwrap().expect("a gratuitous ARP");
    assert_eq!(seen.tag.map(|tag| tag.vlan()), Some(200));

    let wire = fixture.wire_raw();
    fixture.container("b", "web", "--ip 192.168.200.3 --ip fd00:200::3");
    let ipv6 = "fd00:200::3".parse().unwrap();
    let seen = wire.find(PATIENCE, |frame| announces_ipv6(frame, ipv6));
    let seen = seen
        .unwrap()
        .expect("an unsolicited neighbour advertisement");
    assert_eq!(seen.tag.map(|tag| tag.vlan()), Some(200));
}
