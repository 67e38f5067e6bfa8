//! The kernel's verifier accepts the programs in every form in which they are loaded, and says how much it had to read.

use std::path::PathBuf;

use aya::programs::ProgramInfo;
use tests::{expected, figure};
use vnet_user::{
    datapath::{
        Pins,
        load::{self, CONTAINER_PROGRAMS, FROM_ENDPOINT, FROM_UPLINK, LoadOptions},
        xdp,
    },
    model::{Variant, state::EndpointDevice, xdp::XdpMode},
};

const NAMES: [&str; 5] = ["qinq", "source mode", "priorities", "snooping", "crowd"];

/// The variant that has the features of these bits, and all of XDP's unless there is none.
fn variant(features: u32) -> Variant {
    let has = |bit: u32| features & 1 << bit != 0;
    let xdp = features != 0;
    Variant {
        qinq: has(0),
        source_mode: has(1),
        priorities: has(2),
        snooping: has(3),
        crowd: has(4),
        xdp,
        xdp_drops_unknown_vlan: xdp,
        xdp_drops_unknown_unicast: xdp,
        xdp_redirects: xdp,
    }
}

fn name(features: u32) -> String {
    let of_bits = |bit: &usize| features & 1 << bit != 0;
    let names: Vec<_> = (0..NAMES.len()).filter(of_bits).collect();
    match names.as_slice() {
        [] => "no feature".to_owned(),
        all if all.len() == NAMES.len() => "all features".to_owned(),
        some => some
            .iter()
            .map(|bit| NAMES[*bit])
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// Loads the programs, and says how many instructions the verifier followed for each.
fn verified(device: EndpointDevice, features: u32, log_level: log::LevelFilter) -> String {
    let dir = PathBuf::from(format!(
        "/sys/fs/bpf/vnet-test-{}-verifier",
        std::process::id()
    ));
    let pins = Pins::new(&dir, "any");
    pins.create().unwrap();
    let options = LoadOptions {
        uplink_ifindex: 1,
        endpoint_device: device,
        variant: variant(features),
        log_level,
    };
    let loaded = load::load(options, &pins);
    pins.remove().unwrap();
    let _ = std::fs::remove_dir(dir);
    let mut programs = loaded.unwrap_or_else(|error| {
        let error = format!("{:#}", anyhow::Error::from(error));
        panic!("{}: {}", name(features), last_lines(&error));
    });
    let all = [FROM_UPLINK, FROM_ENDPOINT]
        .into_iter()
        .chain(CONTAINER_PROGRAMS);
    let mut counts: Vec<_> = all
        .map(|name| {
            let info = load::program(&mut programs, name).unwrap().info();
            count(name, &info.unwrap())
        })
        .collect();
    for mode in [XdpMode::Native, XdpMode::Generic] {
        let program = xdp::program(&mut programs, mode).unwrap();
        let name = format!("xdp_uplink ({})", mode.name());
        counts.push(count(&name, &program.info().unwrap()));
    }
    counts.join(", ")
}

fn count(name: &str, info: &ProgramInfo) -> String {
    format!("{name} {}", info.verified_instruction_count().unwrap())
}

/// The verifier's reason stands at the end of its log.
fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

#[test]
fn every_program_is_accepted_whatever_the_networks_need() {
    let device = match expected::endpoint_device().as_deref() {
        Some("netkit") => EndpointDevice::Netkit,
        _ => EndpointDevice::Veth,
    };
    let all: u32 = (1 << NAMES.len()) - 1;
    let off = log::LevelFilter::Off;
    for features in 0..=all {
        let is_end = features == 0 || features == all;
        // An emulated machine would take minutes for all of them.
        if !is_end && expected::is_emulated() {
            continue;
        }
        let counts = verified(device, features, off);
        if is_end || features.count_ones() == 1 {
            figure(&format!(
                "verified instructions, {}: {counts}",
                name(features)
            ));
        }
    }
    let counts = verified(device, all, log::LevelFilter::Debug);
    figure(&format!(
        "verified instructions, all features and log level debug: {counts}"
    ));
}
