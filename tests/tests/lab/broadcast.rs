//! Broadcast and multicast: to all of the segment, once, and to nobody else.

use tests::{Container, Fixture, PATIENCE, Web};
use vnet_user::lab::{ETH_P_EXPERIMENT, EthernetFrame, Mac, PacketType, RawSocket};

const FAR: Mac = Mac([2, 0, 0, 0, 0, 0x77]);
/// A group that IPv6 uses for all nodes; any group address does.
const GROUP: Mac = Mac([0x33, 0x33, 0, 0, 0, 1]);

/// Three containers on VLAN 200, one on VLAN 201, one untagged.
struct Segments {
    fixture: Fixture,
    web: [Container; 3],
    others: [Container; 2],
}

fn segments() -> Segments {
    let Web {
        mut fixture,
        containers: [a, b],
        ..
    } = Web::new();
    fixture.network("db", "--vlan 201 --subnet 192.168.201.0/24");
    fixture.network("pub", "--subnet 192.168.1.0/24");
    let web = [a, b, fixture.container("c", "web", "")];
    let others = [
        fixture.container("d", "db", ""),
        fixture.container("e", "pub", ""),
    ];
    Segments {
        fixture,
        web,
        others,
    }
}

/// Sends a last frame to each container by the wire, and returns how many frames with `text` came before it.
fn counted(
    fixture: &Fixture,
    container: &Container,
    ears: &RawSocket,
    tag: Option<u16>,
    text: &str,
) -> usize {
    let marker = EthernetFrame::experiment(container.mac, FAR, "marker");
    let marker = match tag {
        Some(vlan) => marker.tagged(vlan, 0),
        None => marker,
    };
    fixture.wire_raw().send(&marker).unwrap();
    ears.before(text, "marker", PATIENCE).unwrap().len()
}

#[test]
fn a_broadcast_stays_in_its_vlan_and_arrives_once() {
    let Segments {
        fixture,
        web,
        others,
    } = segments();
    let ears = web.each_ref().map(Container::raw);
    let stranger_ears = others.each_ref().map(Container::raw);
    let wire = fixture.wire_raw();
    for (destination, text, kind) in [
        (Mac::BROADCAST, "to all of you", PacketType::Broadcast),
        (GROUP, "to a group", PacketType::Multicast),
    ] {
        let frame = EthernetFrame::experiment(destination, web[0].mac, text);
        ears[0].send(&frame).unwrap();
        let outside = wire.expect(text, PATIENCE).unwrap();
        assert_eq!(outside.wire_bytes(), frame.clone().tagged(200, 0).bytes());
        for sibling in [&ears[1], &ears[2]] {
            let seen = sibling.expect(text, PATIENCE).unwrap();
            assert_eq!((seen.bytes.as_slice(), seen.tag), (frame.bytes(), None));
            assert_eq!(seen.packet_type, kind);
        }
        // Not a second time, not back to the sender, not to others.
        for (container, ears) in web.iter().zip(&ears) {
            assert_eq!(
                counted(&fixture, container, ears, Some(200), text),
                0,
                "{text}: {container:?}"
            );
        }
        for ((container, ears), vlan) in others.iter().zip(&stranger_ears).zip([Some(201), None]) {
            assert_eq!(
                counted(&fixture, container, ears, vlan, text),
                0,
                "{text}: {container:?}"
            );
        }
        ears[0]
            .send(&EthernetFrame::experiment(FAR, web[0].mac, "last"))
            .unwrap();
        assert!(
            wire.before(text, "last", PATIENCE).unwrap().is_empty(),
            "{text} came twice to the wire"
        );
    }
}

#[test]
fn a_broadcast_from_the_wire_comes_to_each_of_its_vlan_and_to_the_host() {
    let Segments {
        fixture,
        web,
        others,
    } = segments();
    let ears = web.each_ref().map(Container::raw);
    let stranger_ears = others.each_ref().map(Container::raw);
    let host = RawSocket::open_behind_ingress(&fixture.host(), "enp0s8", ETH_P_EXPERIMENT).unwrap();
    let wire = fixture.wire_raw();
    for (destination, text) in [(Mac::BROADCAST, "hello all"), (GROUP, "hello group")] {
        let frame = EthernetFrame::experiment(destination, FAR, text);
        wire.send(&frame.clone().tagged(200, 0)).unwrap();
        for (container, ears) in web.iter().zip(&ears) {
            let seen = ears.expect(text, PATIENCE).unwrap();
            assert_eq!((seen.bytes.as_slice(), seen.tag), (frame.bytes(), None));
            assert_eq!(
                counted(&fixture, container, ears, Some(200), text),
                0,
                "{text}: {container:?}"
            );
        }
        for ((container, ears), vlan) in others.iter().zip(&stranger_ears).zip([Some(201), None]) {
            assert_eq!(
                counted(&fixture, container, ears, vlan, text),
                0,
                "{text}: {container:?}"
            );
        }
        assert_eq!(host.expect(text, PATIENCE).unwrap().bytes, frame.bytes());
    }
}

#[test]
fn an_untagged_broadcast_from_the_wire_comes_to_containers_and_host() {
    let Segments {
        fixture, others, ..
    } = segments();
    let ears = others[1].raw();
    let stranger = others[0].raw();
    let host = RawSocket::open_behind_ingress(&fixture.host(), "enp0s8", ETH_P_EXPERIMENT).unwrap();
    let frame = EthernetFrame::experiment(Mac::BROADCAST, FAR, "hello LAN");
    fixture.wire_raw().send(&frame).unwrap();
    assert_eq!(
        ears.expect("hello LAN", PATIENCE).unwrap().bytes,
        frame.bytes()
    );
    assert_eq!(
        counted(&fixture, &others[1], &ears, None, "hello LAN"),
        0,
        "it came twice"
    );
    assert_eq!(
        counted(&fixture, &others[0], &stranger, Some(201), "hello LAN"),
        0
    );
    assert_eq!(
        host.expect("hello LAN", PATIENCE).unwrap().bytes,
        frame.bytes()
    );
}

#[test]
fn a_broadcast_that_the_wire_sends_back_is_not_heard_again() {
    let Segments {
        fixture,
        web,
        others,
    } = segments();
    let ears = web.each_ref().map(Container::raw);
    let stranger = others[0].raw();
    let host = RawSocket::open_behind_ingress(&fixture.host(), "enp0s8", ETH_P_EXPERIMENT).unwrap();
    let before = fixture.reason("reflected");
    let frame = EthernetFrame::experiment(Mac::BROADCAST, web[0].mac, "an echo");
    fixture
        .wire_raw()
        .send(&frame.clone().tagged(200, 0))
        .unwrap();
    for (container, ears) in web.iter().zip(&ears) {
        assert_eq!(
            counted(&fixture, container, ears, Some(200), "an echo"),
            0,
            "{container:?}"
        );
    }
    assert_eq!(fixture.reason("reflected"), before + 1);
    assert_eq!(
        host.expect("an echo", PATIENCE).unwrap().bytes,
        frame.bytes()
    );

    // The guard knows the segment: from another VLAN the same source is a stranger.
    let frame = EthernetFrame::experiment(Mac::BROADCAST, web[0].mac, "a stranger").tagged(201, 0);
    fixture.wire_raw().send(&frame).unwrap();
    stranger.expect("a stranger", PATIENCE).unwrap();
}
