//! Loads the programs, specialised for one uplink, and pins them.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
};

use aya::{Ebpf, EbpfLoader, programs::SchedClassifier, util::KernelVersion};

use vnet_common::fast_path;

use super::{error::DatapathError, pins::Pins};
use crate::model::{Variant, state::EndpointDevice};

/// The program at the uplink's ingress.
pub const FROM_UPLINK: &str = "from_uplink";
/// The program at the uplink's XDP hook, where it was asked for, and the same for generic mode.
pub const XDP_UPLINK: &str = "xdp_uplink";
pub const XDP_UPLINK_GENERIC: &str = "xdp_uplink_generic";
/// The program at the container's way out.
pub const FROM_ENDPOINT: &str = "from_endpoint";
/// The programs at the container's end of its link, where a network needs them there.
pub const ENTER_CONTAINER: &str = "enter_container";
pub const LEAVE_CONTAINER: &str = "leave_container";
/// Both of them.
pub const CONTAINER_PROGRAMS: [&str; 2] = [ENTER_CONTAINER, LEAVE_CONTAINER];
/// The programs that are pinned: for endpoints to come.
pub const FOR_ENDPOINTS: [&str; 3] = [ENTER_CONTAINER, LEAVE_CONTAINER, FROM_ENDPOINT];
/// The maps that are pinned under their own names.
pub const MAPS: [&str; 20] = [
    "fdb",
    "direct_fdb",
    "direct_senders",
    "direct_segments",
    "endpoints",
    "segments",
    "qinq",
    "flood",
    "sources",
    "allowed_macs",
    "ingress_priorities",
    "egress_priorities",
    "queriers",
    "members",
    "reporters",
    "known_vlans",
    "host_macs",
    "xdp_receivers",
    "counters",
    "reasons",
];

/// The first Linux on which a second tag can be pushed at ingress (`REINJECT_RESTORED` in vnet-ebpf's `config.rs`).
const MAC_LEN_MENDED: KernelVersion = KernelVersion::new(6, 12, 0);

/// The first Linux on which `skb->vlan_proto` says that a frame has no tag (`vnet_common::fast_path`).
const TAG_BY_PROTOCOL: KernelVersion = KernelVersion::new(6, 2, 0);

static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("VNET_EBPF_OBJECT"));

/// What the programs are specialised for. Constants, so that what is off costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    pub uplink_ifindex: u32,
    pub endpoint_device: EndpointDevice,
    pub variant: Variant,
    /// What the programs log; nothing of it is left in them below.
    pub log_level: log::LevelFilter,
}

/// Loads the programs. Maps that are pinned are used as they are, others are made and pinned.
///
/// # Errors
///
/// What the kernel or its verifier says.
pub fn load(options: LoadOptions, pins: &Pins) -> Result<Ebpf, DatapathError> {
    // Without BTF aya only warns, and `bpftool` could not name a field.
    if aya::features().btf().is_none() {
        return Err(DatapathError::NoBtf);
    }
    let LoadOptions {
        uplink_ifindex,
        endpoint_device,
        variant,
        log_level,
    } = options;
    let Variant {
        qinq,
        source_mode,
        priorities,
        snooping,
        crowd,
        xdp: _,
        xdp_drops_unknown_vlan,
        xdp_drops_unknown_unicast,
        xdp_redirects,
    } = variant;
    // The fast path logs nothing. Of a kernel that tells no version the worst is assumed here too.
    let fast_path = variant.has_fast_path() && log_level == log::LevelFilter::Off;
    let tag_by_protocol = KernelVersion::current().is_ok_and(|version| version >= TAG_BY_PROTOCOL);
    let fast_path = match (fast_path, tag_by_protocol) {
        (false, _) => fast_path::NONE,
        (true, true) => fast_path::TAG_BY_PROTOCOL,
        (true, false) => fast_path::TAG_BY_FLAG,
    };
    let [qinq, source_mode] = [qinq, source_mode].map(u8::from);
    let [priorities, snooping, crowd] = [priorities, snooping, crowd].map(u8::from);
    let [drops_vlan, drops_unicast] =
        [xdp_drops_unknown_vlan, xdp_drops_unknown_unicast].map(u8::from);
    let redirects = u8::from(xdp_redirects);
    let netkit = u8::from(endpoint_device == EndpointDevice::Netkit);
    // Of a kernel that tells no version, and of one whose vendor mended it, the worst is assumed: it is only slower.
    let mended = KernelVersion::current().is_ok_and(|version| version >= MAC_LEN_MENDED);
    let reinject = u8::from(!mended);
    let log_level = log_level as u8;
    let mut loader = EbpfLoader::new();
    loader
        .override_global("UPLINK_IFINDEX", &uplink_ifindex, true)
        .override_global("ENDPOINT_IS_NETKIT", &netkit, true)
        .override_global("FAST_PATH", &fast_path, true)
        .override_global("HAS_QINQ", &qinq, true)
        .override_global("HAS_SOURCE_MODE", &source_mode, true)
        .override_global("HAS_PRIORITIES", &priorities, true)
        .override_global("HAS_SNOOPING", &snooping, true)
        .override_global("HAS_CROWD", &crowd, true)
        .override_global("XDP_DROPS_UNKNOWN_VLAN", &drops_vlan, true)
        .override_global("XDP_DROPS_UNKNOWN_UNICAST", &drops_unicast, true)
        .override_global("XDP_REDIRECTS", &redirects, true)
        .override_global("REINJECT_RESTORED", &reinject, true)
        .override_global("AYA_LOG_LEVEL", &log_level, true);
    for map in MAPS {
        loader.map_pin_path(map, pins.map(map));
    }
    let mut ebpf = loader.load(OBJECT)?;
    for name in [FROM_UPLINK].into_iter().chain(FOR_ENDPOINTS) {
        let program = program(&mut ebpf, name)?;
        program
            .load()
            .map_err(DatapathError::program(format!("load {name}")))?;
    }
    Ok(ebpf)
}

/// Pins the programs for endpoints to come; from then on the uplink's datapath is complete.
pub fn pin(ebpf: &mut Ebpf, pins: &Pins) -> Result<(), DatapathError> {
    for name in FOR_ENDPOINTS {
        pin_at(ebpf, name, &pins.program(name))?;
    }
    Ok(())
}

pub(super) fn pin_at(
    ebpf: &mut Ebpf,
    name: &'static str,
    path: &Path,
) -> Result<(), DatapathError> {
    let program = program(ebpf, name)?;
    program.pin(path).map_err(|source| DatapathError::Pin {
        what: format!("pin {}", path.display()),
        source,
    })
}

/// Tells this build's programs from another's, and what they were specialised for at attach. Programs that log belong to
/// the process that reads their log, so they are told from those of any other.
pub fn build_id(log_level: log::LevelFilter) -> String {
    let mut hasher = DefaultHasher::new();
    OBJECT.hash(&mut hasher);
    let object = hasher.finish();
    match log_level {
        log::LevelFilter::Off => format!("{object:016x} {log_level}"),
        _ => format!("{object:016x} {log_level} {}", std::process::id()),
    }
}

/// One of the object's programs.
pub fn program<'a>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut SchedClassifier, DatapathError> {
    let program = ebpf.program_mut(name).ok_or(DatapathError::Missing(name))?;
    program
        .try_into()
        .map_err(DatapathError::program(format!("use {name}")))
}
