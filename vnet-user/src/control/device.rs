//! Chooses the kind of link that an uplink's endpoints get, by trying.

use super::{ControlError, Vnet, attach::AttachOptions};
use crate::{
    datapath::{
        DatapathError, Programs, attach,
        load::{self, LoadOptions},
    },
    link::{Link, Netns, pair::PairSpec},
    model::{Sizes, Variant, state::EndpointDevice, xdp::Xdp},
};

/// The pair that tries netkit out.
const PROBE_HOST: &str = "vnet-probe";
const PROBE_PEER: &str = "vnet-probe-c";
const PROBE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];

impl Vnet {
    /// The device to attach with where there is no choice: what is asked for, or what the uplink or its endpoints have.
    ///
    /// # Errors
    ///
    /// [`ControlError::OtherDevice`] when they have another than the one asked for.
    pub(super) async fn device_to_keep(
        &self,
        link: &Link,
        options: AttachOptions,
    ) -> Result<Option<EndpointDevice>, ControlError> {
        let mut existing = self.device_of_endpoints(&link.name).await?;
        if existing.is_none() && self.is_attached(link).await? {
            existing = Some(self.uplink(&link.name)?.endpoint_device);
        }
        match (existing, options.endpoint_device) {
            (Some(now), Some(asked)) if now != asked => Err(ControlError::OtherDevice {
                uplink: link.name.clone(),
                now: now.name(),
                asked: asked.name(),
            }),
            (existing, asked) => Ok(existing.or(asked)),
        }
    }

    /// Loads the programs for `device`; without one, for netkit if it works, else for veth. Says why.
    pub(super) async fn load_for_device(
        &self,
        link: &Link,
        device: Option<EndpointDevice>,
        options: AttachOptions,
    ) -> Result<(Programs, EndpointDevice, String), ControlError> {
        let pins = self.pins(&link.name);
        let variant = Variant::wanted(&self.state, &link.name);
        let load = |endpoint_device| {
            let options = LoadOptions {
                uplink_ifindex: link.index,
                endpoint_device,
                variant,
                log_level: options.log_level,
            };
            load::load(options, &pins)
        };
        let why = match options.endpoint_device {
            Some(_) => "as asked",
            None if self
                .uplink(&link.name)?
                .xdp
                .as_ref()
                .is_some_and(Xdp::redirects) =>
            {
                "XDP redirects into no other"
            }
            None => "as its endpoints have it",
        };
        match device {
            Some(EndpointDevice::Veth) => {
                let programs = load(EndpointDevice::Veth)?;
                Ok((programs, EndpointDevice::Veth, why.to_owned()))
            }
            Some(EndpointDevice::Netkit) => match self.netkit(load).await {
                Ok(programs) => Ok((programs, EndpointDevice::Netkit, why.to_owned())),
                Err(error) => Err(ControlError::NoNetkit(Box::new(error))),
            },
            None => match self.netkit(load).await {
                Ok(programs) => Ok((programs, EndpointDevice::Netkit, "it works here".into())),
                Err(error) => {
                    let reason = format!("netkit does not work here: {}", root_cause(&error));
                    Ok((load(EndpointDevice::Veth)?, EndpointDevice::Veth, reason))
                }
            },
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
            sizes: Sizes {
                mtu: 1500,
                ..Sizes::default()
            },
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

    /// Removes the pair that a killed probe left. An interface of another kind is somebody else's.
    pub(super) async fn remove_probe(&self) -> Result<(), ControlError> {
        match self.netlink.find(PROBE_HOST).await? {
            Some(probe) if probe.kind.as_deref() == Some(EndpointDevice::Netkit.name()) => {
                Ok(self.netlink.delete(probe.index).await?)
            }
            _ => Ok(()),
        }
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
