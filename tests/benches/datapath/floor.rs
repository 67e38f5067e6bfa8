//! The least that a datapath of tc programs can cost: each does what moves the frame, for one place that it was made for.

use std::os::fd::OwnedFd;

use tests::link;
use tests::raw_program::{self, AttachType, Instruction, ProgramType};
use vnet_user::lab::{Mac, Netns};

use crate::bed::{Bed, UPLINK, VLAN};
use crate::{kernel, vnet};

/// Numbers of `enum bpf_func_id` in include/uapi/linux/bpf.h.
const VLAN_PUSH: i32 = 18;
const VLAN_POP: i32 = 19;
const REDIRECT: i32 = 23;
const REDIRECT_PEER: i32 = 155;

/// `TCX_NEXT` of include/uapi/linux/bpf.h.
const NEXT: i32 = -1;

/// vnet's devices, with other programs before its own.
pub fn with_device(device: &str) -> Bed {
    let (mut bed, ids) = vnet::attached_with_ids(&format!("--endpoint-device {device}"));
    let host = bed.fixture.host();
    let index = |device: &str| index_of(&host, device);
    let uplink = index(UPLINK);
    let ends = [0, 1].map(|end: usize| index(&bed.fixture.host_ifname(&ids[end])));
    let netkit = device == "netkit";
    let attach = |program: &[Instruction], ifindex, hook| attach(&host, program, ifindex, hook);
    let endpoint_hook = match netkit {
        true => AttachType::NetkitPeer,
        false => AttachType::TcxIngress,
    };
    let sibling = match netkit {
        true => REDIRECT,
        false => REDIRECT_PEER,
    };
    let [first, second] = ends;
    let links = [
        attach(&pop_and_deliver(first), uplink, AttachType::TcxIngress),
        attach(&push_and_send(uplink), first, endpoint_hook),
        attach(&redirect(sibling, first), second, endpoint_hook),
    ];
    bed.kept.push(Box::new(links));
    bed
}

/// macvlans on the NIC, whose tags programs take off and put on there. What one sends to the other comes in there again.
pub fn with_macvlan() -> Bed {
    let mut bed = kernel::private_macvlan_with_tags();
    let host = bed.fixture.host();
    let uplink = index_of(&host, UPLINK);
    let sibling = bed.containers[0].mac;
    let links = [
        attach(&host, &pop(), uplink, AttachType::TcxIngress),
        attach(
            &host,
            &push_or_loop(uplink, sibling),
            uplink,
            AttachType::TcxEgress,
        ),
    ];
    bed.kept.push(Box::new(links));
    bed
}

/// A program that lets every frame go on, at the NIC's ingress.
pub fn empty_program() -> Bed {
    let mut bed = kernel::nothing();
    let host = bed.fixture.host();
    let program = [Instruction(0xb4, 0, 0, NEXT), Instruction(0x95, 0, 0, 0)];
    let link = attach(
        &host,
        &program,
        index_of(&host, UPLINK),
        AttachType::TcxIngress,
    );
    bed.kept.push(Box::new(link));
    bed
}

fn attach(host: &Netns, program: &[Instruction], ifindex: i32, hook: AttachType) -> OwnedFd {
    let program = raw_program::load(ProgramType::SchedClassifier, program);
    let attach = || Ok(raw_program::attach_first(&program, ifindex, hook));
    host.run(attach).unwrap()
}

fn index_of(netns: &Netns, device: &str) -> i32 {
    let index = link(netns, device)["ifindex"].as_u64();
    index
        .and_then(|index| index.try_into().ok())
        .expect("a link has an index")
}

/// `bpf_skb_vlan_pop(skb); return bpf_redirect_peer(to, 0);`
fn pop_and_deliver(to: i32) -> Vec<Instruction> {
    let mut program = vec![Instruction(0x85, 0, 0, VLAN_POP)];
    program.extend(redirect(REDIRECT_PEER, to));
    program
}

/// `bpf_skb_vlan_push(skb, htons(0x8100), VLAN); return bpf_redirect(to, 0);`
fn push_and_send(to: i32) -> Vec<Instruction> {
    let mut program = vec![
        Instruction(0xb4, 2, 0, i32::from(0x8100u16.to_be())),
        Instruction(0xb4, 3, 0, i32::from(VLAN)),
        Instruction(0x85, 0, 0, VLAN_PUSH),
    ];
    program.extend(redirect(REDIRECT, to));
    program
}

/// `bpf_skb_vlan_pop(skb); return TCX_NEXT;`
fn pop() -> [Instruction; 3] {
    [
        Instruction(0x85, 0, 0, VLAN_POP),
        Instruction(0xb4, 0, 0, NEXT),
        Instruction(0x95, 0, 0, 0),
    ]
}

/// What is for an address that ends like the sibling's comes in again, `return bpf_redirect(uplink, BPF_F_INGRESS);`, and the
/// rest gets a tag, `bpf_skb_vlan_push(skb, htons(0x8100), VLAN); return TCX_NEXT;`.
fn push_or_loop(uplink: i32, sibling: Mac) -> Vec<Instruction> {
    /// Offsets in `struct __sk_buff`.
    const DATA: i16 = 76;
    const DATA_END: i16 = 80;
    const INGRESS: i32 = 1;
    let [.., high, low] = sibling.0;
    let end = u16::from_ne_bytes([high, low]);
    vec![
        Instruction(0xbf, 0x16, 0, 0),
        Instruction(0x61, 0x62, DATA, 0),
        Instruction(0x61, 0x63, DATA_END, 0),
        Instruction(0xbf, 0x24, 0, 0),
        Instruction(0x07, 4, 0, 14),
        Instruction(0x2d, 0x34, 2, 0),
        Instruction(0x69, 0x25, 4, 0),
        Instruction(0x15, 5, 6, i32::from(end)),
        Instruction(0xbf, 0x61, 0, 0),
        Instruction(0xb4, 2, 0, i32::from(0x8100u16.to_be())),
        Instruction(0xb4, 3, 0, i32::from(VLAN)),
        Instruction(0x85, 0, 0, VLAN_PUSH),
        Instruction(0xb4, 0, 0, NEXT),
        Instruction(0x95, 0, 0, 0),
        Instruction(0xb4, 1, 0, uplink),
        Instruction(0xb4, 2, 0, INGRESS),
        Instruction(0x85, 0, 0, REDIRECT),
        Instruction(0x95, 0, 0, 0),
    ]
}

/// `return helper(to, 0);`
fn redirect(helper: i32, to: i32) -> [Instruction; 4] {
    [
        Instruction(0xb4, 1, 0, to),
        Instruction(0xb4, 2, 0, 0),
        Instruction(0x85, 0, 0, helper),
        Instruction(0x95, 0, 0, 0),
    ]
}
