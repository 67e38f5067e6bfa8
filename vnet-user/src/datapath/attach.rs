//! Attaches the programs: tcx where the kernel has it, else clsact; netkit by its own link.

use std::path::Path;

use aya::{
    Ebpf,
    programs::{
        LinkOrder, ProgramError, SchedClassifier, TcAttachType,
        links::FdLink,
        tc::{
            NlOptions, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact, qdisc_detach_program,
        },
    },
};

use super::{
    error::DatapathError,
    load::{ENTER_CONTAINER, FROM_ENDPOINT, FROM_UPLINK, LEAVE_CONTAINER, program},
    netkit,
    pins::Pins,
    replace,
};
use crate::model::state::{EndpointDevice, Hook};

/// The preference and handle of our clsact filters, which name them for replacement. Behind the user's
/// own, which the kernel numbers from 49152 downwards when they have none.
pub const CLSACT_PRIORITY: u16 = 50_000;
pub(super) const CLSACT_HANDLE: TcHandle = TcHandle::new(0, 1);

/// The host side of an endpoint's link.
#[derive(Clone, Copy, Debug)]
pub struct HostSide<'a> {
    /// The name that it has now.
    pub ifname: &'a str,
    pub index: u32,
    /// What its links are pinned under.
    pub pin: &'a str,
}

/// Attaches `from_uplink` to the uplink's ingress by tcx. False where the kernel has none.
pub fn uplink_by_tcx(ebpf: &mut Ebpf, uplink: &str, pins: &Pins) -> Result<bool, DatapathError> {
    let program = program(ebpf, FROM_UPLINK)?;
    by_tcx(
        program,
        uplink,
        TcAttachType::Ingress,
        &pins.link(FROM_UPLINK),
    )
}

/// Attaches `from_uplink` to the uplink's ingress by clsact.
pub fn uplink_by_clsact(ebpf: &mut Ebpf, uplink: &str) -> Result<(), DatapathError> {
    by_clsact(program(ebpf, FROM_UPLINK)?, uplink, TcAttachType::Ingress)
}

/// Detaches the clsact filter of `from_uplink`. One that is gone is fine.
pub fn detach_clsact(uplink: &str) -> Result<(), DatapathError> {
    match qdisc_detach_program(uplink, TcAttachType::Ingress, FROM_UPLINK) {
        Ok(()) => Ok(()),
        Err(TcError::IoError(error))
            if matches!(error.kind(), std::io::ErrorKind::NotFound)
                || error.raw_os_error() == Some(libc::ENODEV) =>
        {
            Ok(())
        }
        Err(TcError::NetlinkError(error))
            if matches!(
                error.raw_os_error(),
                Some(libc::ENOENT | libc::EINVAL | libc::ENODEV)
            ) =>
        {
            Ok(())
        }
        Err(source) => Err(DatapathError::Tc {
            what: format!("detach from {uplink:?}"),
            source,
        }),
    }
}

/// Attaches the pinned `from_endpoint` to the host side of an endpoint's link, and pins the attachment.
pub fn endpoint(
    pins: &Pins,
    device: EndpointDevice,
    hook: Hook,
    host: &HostSide<'_>,
) -> Result<(), DatapathError> {
    let ingress = TcAttachType::Ingress;
    let link = pins.link(host.pin);
    let path = pins.program(FROM_ENDPOINT);
    let mut program = SchedClassifier::from_pin(&path)
        .map_err(DatapathError::program(format!("open {}", path.display())))?;
    match (device, hook) {
        (EndpointDevice::Netkit, _) => {
            netkit::attach_peer(&program, host.index, Some(&link))?;
            // Every kernel with such a netkit has tcx.
            by_tcx(
                &mut program,
                host.ifname,
                ingress,
                &pins.rounds_link(host.pin),
            )
            .map(drop)
        }
        (EndpointDevice::Veth, Hook::Tcx) => {
            match by_tcx(&mut program, host.ifname, ingress, &link)? {
                true => Ok(()),
                false => by_clsact(&mut program, host.ifname, ingress),
            }
        }
        (EndpointDevice::Veth, Hook::Clsact) => by_clsact(&mut program, host.ifname, ingress),
    }
}

/// Attaches the pinned programs of the container's end to it, or puts them in the place of those that are there. Must run in
/// the container's namespace; `host_ifname` names the endpoint.
pub fn container_end(
    pins: &Pins,
    hook: Hook,
    ifname: &str,
    host_ifname: &str,
) -> Result<(), DatapathError> {
    let ends = [
        (ENTER_CONTAINER, TcAttachType::Ingress),
        (LEAVE_CONTAINER, TcAttachType::Egress),
    ];
    for (name, direction) in ends {
        let path = pins.program(name);
        let mut program = SchedClassifier::from_pin(&path)
            .map_err(DatapathError::program(format!("open {}", path.display())))?;
        let link = pins.container_link(host_ifname, name);
        match hook {
            Hook::Tcx if link.exists() => replace::by_link(&mut program, &link)?,
            Hook::Tcx => _ = by_tcx(&mut program, ifname, direction, &link)?,
            Hook::Clsact => by_clsact(&mut program, ifname, direction)?,
        }
    }
    Ok(())
}

/// True if the kernel takes `from_endpoint` as the peer program of the netkit pair `ifindex`.
pub fn netkit_works(ebpf: &mut Ebpf, ifindex: u32) -> Result<(), DatapathError> {
    netkit::attach_peer(program(ebpf, FROM_ENDPOINT)?, ifindex, None)
}

pub(super) fn by_tcx(
    program: &mut SchedClassifier,
    ifname: &str,
    direction: TcAttachType,
    pin: &Path,
) -> Result<bool, DatapathError> {
    let what = || format!("attach to {ifname:?} by tcx");
    let options = TcAttachOptions::TcxOrder(LinkOrder::default());
    let id = match program.attach_with_options(ifname, direction, options) {
        Ok(id) => id,
        // Linux before 6.6 does not know the attach type.
        Err(ProgramError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(libc::EINVAL) =>
        {
            return Ok(false);
        }
        Err(error) => return Err(DatapathError::program(what())(error)),
    };
    let link = program
        .take_link(id)
        .map_err(DatapathError::program(what()))?;
    let link = FdLink::try_from(link)
        .map_err(|error| DatapathError::io(what(), std::io::Error::other(error.to_string())))?;
    link.pin(pin).map_err(|source| DatapathError::Pin {
        what: format!("pin {}", pin.display()),
        source,
    })?;
    Ok(true)
}

fn by_clsact(
    program: &mut SchedClassifier,
    ifname: &str,
    direction: TcAttachType,
) -> Result<(), DatapathError> {
    match qdisc_add_clsact(ifname) {
        Ok(()) => {}
        Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => {}
        Err(source) => {
            return Err(DatapathError::Tc {
                what: format!("add clsact to {ifname:?}"),
                source,
            });
        }
    }
    let what = || format!("attach to {ifname:?} by clsact");
    let options = TcAttachOptions::Netlink(NlOptions {
        priority: CLSACT_PRIORITY,
        handle: CLSACT_HANDLE,
        classid: None,
    });
    let id = match program.attach_with_options(ifname, direction, options) {
        Ok(id) => id,
        // A filter of ours, of a datapath whose pins are gone: netlink filters need no pin to live on.
        Err(ProgramError::TcError(TcError::NetlinkError(error)))
            if error.raw_os_error() == Some(libc::EEXIST) =>
        {
            return replace::by_clsact(program, ifname, direction);
        }
        Err(error) => return Err(DatapathError::program(what())(error)),
    };
    let link = program
        .take_link(id)
        .map_err(DatapathError::program(what()))?;
    // Dropping it would detach the filter, which has to outlive this process.
    std::mem::forget(link);
    Ok(())
}
