//! Puts new programs in the place of running ones, with no frame in between that meets none.

use std::{fs, path::Path};

use aya::{
    Ebpf,
    programs::{
        ProgramError, SchedClassifier, TcAttachType,
        links::{FdLink, PinnedLink},
        tc::SchedClassifierLink,
    },
};

use super::{
    attach::{CLSACT_HANDLE, CLSACT_PRIORITY, HostSide},
    error::DatapathError,
    load::{self, FOR_ENDPOINTS, FROM_ENDPOINT, FROM_UPLINK, program},
    netkit,
    pins::Pins,
};
use crate::model::state::{EndpointDevice, Hook};

/// Replaces the program at the uplink's ingress.
pub fn uplink(ebpf: &mut Ebpf, hook: Hook, uplink: &str, pins: &Pins) -> Result<(), DatapathError> {
    let program = program(ebpf, FROM_UPLINK)?;
    match hook {
        Hook::Tcx => by_link(program, &pins.link(FROM_UPLINK)),
        Hook::Clsact => by_clsact(program, uplink, TcAttachType::Ingress),
    }
}

/// Replaces the program of one endpoint.
pub fn endpoint(
    ebpf: &mut Ebpf,
    pins: &Pins,
    device: EndpointDevice,
    hook: Hook,
    host: &HostSide<'_>,
) -> Result<(), DatapathError> {
    let program = program(ebpf, FROM_ENDPOINT)?;
    let link = pins.link(host.pin);
    match (device, hook) {
        (EndpointDevice::Netkit, _) => {
            netkit::replace(program, &link)?;
            by_link(program, &pins.rounds_link(host.pin))
        }
        (EndpointDevice::Veth, Hook::Tcx) => by_link(program, &link),
        (EndpointDevice::Veth, Hook::Clsact) => {
            by_clsact(program, host.ifname, TcAttachType::Ingress)
        }
    }
}

/// Replaces the programs that endpoints to come get.
pub fn pinned(ebpf: &mut Ebpf, pins: &Pins) -> Result<(), DatapathError> {
    for name in FOR_ENDPOINTS {
        let path = pins.program(name);
        let new = pins.program(&format!("{name}_new"));
        let io = |error| DatapathError::io(format!("replace {}", path.display()), error);
        if new.exists() {
            fs::remove_file(&new).map_err(io)?;
        }
        load::pin_at(ebpf, name, &new)?;
        fs::rename(&new, &path).map_err(io)?;
    }
    Ok(())
}

pub(super) fn by_link(program: &mut SchedClassifier, pin: &Path) -> Result<(), DatapathError> {
    let what = || format!("replace the program of {}", pin.display());
    let link = PinnedLink::from_pin(pin)
        .map_err(|error| DatapathError::io(what(), std::io::Error::other(error.to_string())))?;
    let link = SchedClassifierLink::try_from(FdLink::from(link))
        .map_err(|error| DatapathError::io(what(), std::io::Error::other(error.to_string())))?;
    let replace = || -> Result<(), ProgramError> {
        let id = program.attach_to_link(link)?;
        // The pin holds the link; what is dropped here is a descriptor.
        program.take_link(id).map(drop)
    };
    replace().map_err(DatapathError::program(what()))
}

pub(super) fn by_clsact(
    program: &mut SchedClassifier,
    ifname: &str,
    direction: TcAttachType,
) -> Result<(), DatapathError> {
    let what = || format!("replace the program of {ifname:?}");
    let link =
        SchedClassifierLink::attached(ifname, direction, CLSACT_PRIORITY, CLSACT_HANDLE, None)
            .map_err(|error| DatapathError::io(what(), error))?;
    let id = program
        .attach_to_link(link)
        .map_err(DatapathError::program(what()))?;
    let link = program
        .take_link(id)
        .map_err(DatapathError::program(what()))?;
    // Dropping it would detach the filter.
    std::mem::forget(link);
    Ok(())
}
