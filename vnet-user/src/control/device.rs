//! Chooses the kind of link that an uplink's endpoints get, by trying.

use super::{ControlError, Vnet, attach::AttachOptions};
use crate::{
    datapath::{
        DatapathError, Programs, attach,
        load::{self, LoadOptions},
    },
    link::{Link, Netns, pair::PairSpec},
    model::state::EndpointDevice,
};

/// The pair that tries netkit out.
const PROBE_HOST: &str = "vnet-probe";
const PROBE_PEER: &str = "vnet-probe-c";
const PROBE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];

impl Vnet {
    /// Loads the programs for netkit if that is wanted and works, else for veth.
    pub(super) async fn load_for_device(
        &self,
        link: &Link,
        options: AttachOptions,
    ) -> Result<(Programs, EndpointDevice, String), ControlError> {
        let pins = self.pins(&link.name);
        let load = |endpoint_device| {
            let options = LoadOptions {
                uplink_ifindex: link.index,
                endpoint_device,
                log_level: options.log_level,
            };
            load::load(options, &pins)
        };
        let has_veth = |uplink| {
            let mut endpoints = self.state.endpoints_on(uplink);
            endpoints.next().is_some()
        };
        if options.endpoint_device == Some(EndpointDevice::Veth) {
            return Ok((
                load(EndpointDevice::Veth)?,
                EndpointDevice::Veth,
                "as asked".into(),
            ));
        }
        if options.endpoint_device.is_none() && has_veth(&link.name) {
            let device = self.device_of_endpoints(&link.name).await?;
            return Ok((load(device)?, device, "as its endpoints have it".into()));
        }
        let asked = options.endpoint_device.is_some();
        match self.netkit(load).await {
            Ok(programs) if asked => Ok((programs, EndpointDevice::Netkit, "as asked".into())),
            Ok(programs) => Ok((programs, EndpointDevice::Netkit, "it works here".into())),
            Err(error) if asked => Err(ControlError::NoNetkit(Box::new(error))),
            Err(error) => {
                let cause = root_cause(&error);
                let reason = format!("netkit does not work here: {cause}");
                Ok((load(EndpointDevice::Veth)?, EndpointDevice::Veth, reason))
            }
        }
    }

    /// Loads for netkit and tries it on a pair of its own: version numbers lie, kernels don't.
    async fn netkit(
        &self,
        load: impl Fn(EndpointDevice) -> Result<Programs, DatapathError>,
    ) -> Result<Programs, ControlError> {
        self.remove_probe().await?;
        let netns = Netns::current()?;
        let spec = PairSpec {
            device: EndpointDevice::Netkit,
            host_ifname: PROBE_HOST,
            ifname: PROBE_PEER,
            netns: &netns,
            mac: PROBE_MAC,
            mtu: 1500,
            gso_max_size: None,
            gso_max_segs: None,
            alias: "vnet: tries netkit",
        };
        let host = self.netlink.create_pair(&spec).await?;
        let result = self.try_pair(host.index, load).await;
        self.netlink.delete(host.index).await?;
        result
    }

    async fn try_pair(
        &self,
        ifindex: u32,
        load: impl Fn(EndpointDevice) -> Result<Programs, DatapathError>,
    ) -> Result<Programs, ControlError> {
        if self.netlink.link(PROBE_PEER).await?.mac != PROBE_MAC {
            return Err(ControlError::NetkitMac);
        }
        let mut programs = load(EndpointDevice::Netkit)?;
        attach::netkit_works(&mut programs, ifindex)?;
        Ok(programs)
    }

    /// Removes the pair that a killed probe left.
    pub(super) async fn remove_probe(&self) -> Result<(), ControlError> {
        if let Some(probe) = self.netlink.find(PROBE_HOST).await? {
            self.netlink.delete(probe.index).await?;
        }
        Ok(())
    }
}

/// The innermost cause, which is what the kernel said.
fn root_cause(error: &ControlError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
