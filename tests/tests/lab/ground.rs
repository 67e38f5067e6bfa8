//! The lab itself, without vnet: what the other tests see with must not be blind.

use std::{
    fs,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tests::PATIENCE;
use vnet_user::lab::{
    EthernetFrame, Lab, Mac, PacketType, RawSocket, Tag, VlanEnd, probe, sweep_dead,
};

fn two_machines() -> Lab {
    Lab::new("vnet-test")
        .host("left")
        .host("right")
        .wire(("left", "nic"), ("right", "nic"))
        .build()
        .unwrap()
}

#[test]
fn two_vlan_ends_carry_ping_and_tcp_in_ipv4_and_ipv6() {
    let lab = two_machines();
    let (left, right) = (lab.get("left").unwrap(), lab.get("right").unwrap());
    let ends = [
        VlanEnd::new(left, "nic", 200, "nic.200", &["10.9.0.1/24", "fd09::1/64"]).unwrap(),
        VlanEnd::new(right, "nic", 200, "nic.200", &["10.9.0.2/24", "fd09::2/64"]).unwrap(),
    ];
    ends.iter().for_each(tests::expected::check_vlan_end);
    for address in ["10.9.0.2", "fd09::2"] {
        let echo = probe::ping(left, address.parse().unwrap(), PATIENCE).unwrap();
        assert_eq!(echo.map(|echo| echo.ttl), Some(64), "{address}");
        let server = SocketAddr::new(address.parse().unwrap(), 7000);
        let moved = probe::stream(left, right, server, 8 << 20, PATIENCE).unwrap();
        assert_eq!(moved.bytes, 8 << 20);
    }
}

#[test]
fn a_pump_by_hand_and_the_kernel_understand_each_other_where_both_exist() {
    let lab = two_machines();
    let (left, right) = (lab.get("left").unwrap(), lab.get("right").unwrap());
    let _tap = VlanEnd::tap(left, "nic", 7, "nic.7", &["10.9.0.1/24"]).unwrap();
    let _other = VlanEnd::new(right, "nic", 7, "nic.7", &["10.9.0.2/24"]).unwrap();
    let server = "10.9.0.2:7000".parse().unwrap();
    probe::stream(left, right, server, 8 << 20, PATIENCE).unwrap();
    probe::stream(
        right,
        left,
        "10.9.0.1:7000".parse().unwrap(),
        8 << 20,
        PATIENCE,
    )
    .unwrap();
}

#[test]
fn a_raw_socket_tells_the_tag_and_the_bytes() {
    let lab = two_machines();
    let sender = RawSocket::open(lab.get("left").unwrap(), "nic").unwrap();
    let receiver = RawSocket::open(lab.get("right").unwrap(), "nic").unwrap();
    let source = Mac([2, 0, 0, 0, 0, 1]);
    let plain = EthernetFrame::experiment(Mac::BROADCAST, source, "plain");
    sender.send(&plain).unwrap();
    let got = receiver.expect("plain", PATIENCE).unwrap();
    assert_eq!((got.bytes.as_slice(), got.tag), (plain.bytes(), None));
    assert_eq!(got.packet_type, PacketType::Broadcast);

    let twice = plain.clone().tagged(5, 0).tagged(200, 3);
    sender.send(&twice).unwrap();
    let got = receiver.expect("plain", PATIENCE).unwrap();
    let tag = Tag {
        tpid: 0x8100,
        tci: 3 << 13 | 200,
    };
    assert_eq!(got.tag, Some(tag));
    assert_eq!((tag.vlan(), tag.priority()), (200, 3));
    assert_eq!(got.bytes, plain.clone().tagged(5, 0).bytes());
    assert_eq!(got.wire_bytes(), twice.bytes());
    // The sender's own socket shows what came in, and nothing came in.
    assert!(sender.all("plain", Duration::ZERO).unwrap().is_empty());
}

#[test]
fn a_probe_sees_the_router_and_an_address_behind_it_through_snat() {
    let lab = Lab::new("vnet-test")
        .host("client")
        .host("router")
        .host("internet")
        .wire(("client", "eth0"), ("router", "lan"))
        .wire(("router", "enp0s3"), ("internet", "eth0"))
        .address("client", "eth0", "192.168.7.2/24")
        .address("router", "lan", "192.168.7.100/24")
        .address("router", "enp0s3", "10.0.2.15/24")
        .address("internet", "eth0", "10.0.2.2/24")
        .build()
        .unwrap();
    let (client, router) = (lab.get("client").unwrap(), lab.get("router").unwrap());
    client.ip("route add default via 192.168.7.100").unwrap();
    router.sysctl("net/ipv4/ip_forward", "1").unwrap();
    router
        .nft("table ip nat { chain post { type nat hook postrouting priority 100; oifname \"enp0s3\" snat to 10.0.2.15; }; }")
        .unwrap();
    let far = "10.0.2.2".parse().unwrap();
    assert_eq!(
        probe::ping(client, far, PATIENCE)
            .unwrap()
            .map(|echo| echo.ttl),
        Some(63)
    );
    let hop = probe::hop(client, far, 1, PATIENCE).unwrap();
    assert_eq!(hop, Some("192.168.7.100".parse().unwrap()));
    let server = SocketAddr::new(far, 7000);
    let _serving = probe::WhoAmI::serve(lab.get("internet").unwrap(), server).unwrap();
    let seen = probe::who_am_i(client, server, PATIENCE).unwrap();
    assert_eq!(seen.as_deref(), Some("10.0.2.15"));
    let nobody = "192.168.7.9".parse().unwrap();
    assert_eq!(
        probe::ping(client, nobody, Duration::from_millis(500)).unwrap(),
        None
    );
}

#[test]
fn a_lab_leaves_nothing_behind() {
    let lab = two_machines();
    let name = lab.get("left").unwrap().name().to_owned();
    let listed = || {
        fs::read_dir("/run/netns")
            .unwrap()
            .flatten()
            .any(|entry| *entry.file_name() == *name)
    };
    assert!(listed());
    drop(lab);
    assert!(!listed());
}

/// What a process's labs have made: namespaces, pins, state.
fn made_by(pid: u32) -> Vec<String> {
    let prefix = format!("vnet-test-{pid}-");
    let directories = ["/run/netns", "/sys/fs/bpf", "/tmp"].map(fs::read_dir);
    let entries = directories.into_iter().flatten().flatten().flatten();
    entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| format!("{name}-").starts_with(&prefix))
        .collect()
}

/// Another process with a test that takes a while, in the middle of its lab.
fn in_the_middle_of_a_test() -> Child {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--test-threads=1"])
        .arg("lab::untagged::no_frame_of_the_host_itself_enters_a_container")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    // Host, wire and container, a directory of state and one of pins.
    while made_by(child.id()).len() < 5 {
        assert!(Instant::now() < deadline, "{:?}", made_by(child.id()));
        thread::sleep(Duration::from_millis(20));
    }
    child
}

#[test]
fn a_test_run_that_is_interrupted_leaves_nothing_behind() {
    let mut child = in_the_middle_of_a_test();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(made_by(child.id()), Vec::<String>::new());
}

#[test]
fn what_a_killed_test_run_leaves_is_swept_by_the_next() {
    let mut child = in_the_middle_of_a_test();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_ne!(made_by(child.id()), Vec::<String>::new());
    sweep_dead("vnet-test");
    assert_eq!(made_by(child.id()), Vec::<String>::new());
}
