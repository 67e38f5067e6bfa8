//! Why XDP is refused, with what would help.

use thiserror::Error;

/// XDP as asked for would break traffic, or makes no sense.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum XdpError {
    #[error(
        "--unknown-vlan, --unknown-unicast, --xdp-mode and --far-end-checksums say how XDP works, and --xdp off that it \
             does not: `--xdp filter` or `--xdp redirect` was expected"
    )]
    Off,
    #[error(
        "--far-end-checksums is about what XDP delivers, and `--xdp filter` delivers nothing: leave it out, or use \
             `--xdp redirect`"
    )]
    ChecksumsOfNobody,
    #[error(
        "{iface:?} is no veth, so its frames have finished checksums: leave --far-end-checksums out"
    )]
    ChecksumsOfNic { iface: String },
    #[error(
        "the far end of veth {iface:?} may leave checksums unfinished, and XDP's delivery would lose that: ping works, TCP \
         dies. Run `ethtool -K DEVICE tx off` there, and say so by --far-end-checksums"
    )]
    Checksums { iface: String },
    #[error(
        "--xdp redirect needs --xdp-mode native: generic XDP runs behind GRO, and a merged frame that is redirected is lost \
         (ping works, TCP dies). Use `--xdp redirect --xdp-mode native`, or `--xdp filter`"
    )]
    GenericRedirect,
    #[error(
        "endpoints on {iface:?} are netkit pairs, into which XDP can't redirect: run `vnet-user detach --iface {iface}` and \
         attach with `--endpoint-device veth`, or use `--xdp filter`"
    )]
    Netkit { iface: String },
    #[error(
        "{iface:?} takes VLAN tags off before XDP sees them, so {option} can't work: run `{commands}`{}",
        if *.far_end { ", and `ethtool -K DEVICE txvlan off tx-vlan-stag-hw-insert off` at the far end of this veth" } else { "" }
    )]
    Stripped {
        iface: String,
        option: &'static str,
        commands: String,
        /// A veth takes them off where they are sent.
        far_end: bool,
    },
    #[error(
        "{iface:?} takes VLAN tags off before XDP sees them, and its driver does not let that be switched off \
         (`ethtool -k {iface}`: rx-vlan-offload: on [fixed]), so {option} can't work: leave it out"
    )]
    StrippedForEver { iface: String, option: &'static str },
    #[error(
        "XDP program {id} is on {iface:?} already: run `ip link set dev {iface} xdp off`, or, if a BPF link holds it, end \
         whoever has that (`bpftool link show`)"
    )]
    OtherProgram { iface: String, id: u32 },
    #[error("{iface:?} may get any VLAN for the host: {why}. Leave --unknown-vlan drop out")]
    EveryVlan { iface: String, why: String },
    #[error(
        "{iface:?} is a port of {master:?}, which wants frames for any address: leave --unknown-unicast drop out, or run \
         `ip link set dev {iface} nomaster`"
    )]
    Port { iface: String, master: String },
    #[error(
        "somebody holds {iface:?} in promiscuous mode and wants frames for any address (tcpdump, a macvtap, `ip -d link \
         show dev {iface}`): end that, `ip link set dev {iface} promisc off` if it was set so, or leave \
         --unknown-unicast drop out"
    )]
    Promiscuous { iface: String },
    #[error(
        "the MTU of {iface:?}, {mtu}, is over what its driver takes with XDP: run `ip link set dev {iface} mtu 1500`{}, or use \
         `--xdp filter`, which takes generic XDP",
        if *.is_veth { " at both ends of this veth" } else { "" }
    )]
    Mtu {
        iface: String,
        mtu: u32,
        is_veth: bool,
    },
    #[error(
        "{iface:?} has no native XDP ({reason}), which --xdp redirect and --xdp-mode native need: use `--xdp filter`, \
         which takes generic XDP"
    )]
    NoNative { iface: String, reason: String },
    #[error("the kernel refuses generic XDP on {iface:?} ({reason}): use `--xdp off`")]
    NoGeneric { iface: String, reason: String },
}

impl XdpError {
    /// What the kernel's refusal of native XDP means.
    pub fn of_native(errno: i32, reason: String, iface: &str, mtu: u32, is_veth: bool) -> Self {
        let iface = iface.to_owned();
        match errno {
            // veth says `ERANGE` (`veth_xdp_set`); virtio-net and others say `EINVAL`, but for other things too.
            libc::ERANGE => Self::Mtu {
                iface,
                mtu,
                is_veth,
            },
            libc::EINVAL | libc::EOPNOTSUPP if mtu > 1500 => Self::Mtu {
                iface,
                mtu,
                is_veth,
            },
            _ => Self::NoNative { iface, reason },
        }
    }

    /// Short, as the reason why another mode was taken.
    pub fn because(&self) -> String {
        match self {
            Self::Mtu { mtu, .. } => {
                format!("its MTU {mtu} is over what the driver takes natively")
            }
            Self::NoNative { reason, .. } => format!("no native XDP: {reason}"),
            other => other.to_string(),
        }
    }
}
