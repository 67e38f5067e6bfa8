//! Attach and detach: an uplink's datapath comes and goes.

use aya::Ebpf;

use super::{ControlError, Vnet};
use crate::{
    datapath::{
        DatapathError, Maps, attach,
        load::{self, LoadOptions},
    },
    link::{Link, Netns, pair::PairSpec},
    model::{
        nic::NicChanges,
        state::{EndpointDevice, Hook, Phase, Uplink},
        vlan,
    },
};

/// How to attach.
#[derive(Clone, Copy, Debug)]
pub struct AttachOptions {
    /// `None` takes netkit where it works, else veth.
    pub endpoint_device: Option<EndpointDevice>,
    pub log_level: log::LevelFilter,
}

/// What an attach came to.
pub struct Attached {
    pub hook: Hook,
    pub endpoint_device: EndpointDevice,
    /// Why this device; nothing when the uplink was attached already.
    pub reason: Option<String>,
    /// The programs, for their log; nothing when the uplink was attached already.
    pub ebpf: Option<Ebpf>,
}

/// The pair that tries netkit out.
const PROBE_HOST: &str = "vnet-probe";
const PROBE_PEER: &str = "vnet-probe-c";
const PROBE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];

impl Vnet {
    /// Attaches an uplink. One that is attached stays as it is; one whose datapath is gone, or that
    /// came back under another index, gets it again with its networks and endpoints.
    ///
    /// # Errors
    ///
    /// When the interface can't be an uplink, or the kernel refuses; then nothing is changed.
    pub async fn attach(
        &mut self,
        iface: &str,
        options: AttachOptions,
    ) -> Result<Attached, ControlError> {
        let link = self.netlink.link(iface).await?;
        if !link.is_ethernet {
            return Err(ControlError::NotEthernet(iface.to_owned()));
        }
        if let Some(attached) = self.is_attached(&link, options)? {
            return Ok(attached);
        }
        self.pins(iface).remove()?;
        let pins = self.pins(iface);
        pins.create()?;
        self.begin(&link)?;
        let result = self.set_up(&link, options).await;
        if result.is_err() {
            self.tear_down_uplink(iface).await?;
        }
        result
    }

    /// Detaches an uplink and undoes what was changed on it. Its networks stay, for the next attach.
    ///
    /// # Errors
    ///
    /// [`ControlError::UplinkInUse`] when it has endpoints and `force` is off.
    pub async fn detach(&mut self, iface: &str, force: bool) -> Result<(), ControlError> {
        if !self.state.uplinks.contains_key(iface) {
            // The likeliest mistake is a wrong name, so say that rather than "not attached".
            self.netlink.link(iface).await?;
            return Err(ControlError::NotAttached {
                uplink: iface.to_owned(),
            });
        }
        let endpoints: Vec<_> = self
            .state
            .endpoints_on(iface)
            .map(|(id, _)| id.clone())
            .collect();
        if !endpoints.is_empty() && !force {
            let ids: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
            return Err(ControlError::UplinkInUse {
                uplink: iface.to_owned(),
                endpoints: ids.join(", "),
            });
        }
        for id in endpoints {
            self.remove_endpoint(id.as_str()).await?;
        }
        if let Some(uplink) = self.state.uplinks.get_mut(iface) {
            uplink.phase = Phase::Removing;
        }
        self.save()?;
        self.tear_down_uplink(iface).await
    }

    fn is_attached(
        &self,
        link: &Link,
        options: AttachOptions,
    ) -> Result<Option<Attached>, ControlError> {
        let Some(uplink) = self.state.uplinks.get(&link.name) else {
            return Ok(None);
        };
        if uplink.ifindex != link.index || !self.pins(&link.name).exist() {
            return Ok(None);
        }
        match options.endpoint_device {
            Some(asked) if asked != uplink.endpoint_device => Err(ControlError::OtherDevice {
                uplink: link.name.clone(),
                now: uplink.endpoint_device.name(),
                asked: asked.name(),
            }),
            _ => Ok(Some(Attached {
                hook: uplink.hook,
                endpoint_device: uplink.endpoint_device,
                reason: None,
                ebpf: None,
            })),
        }
    }

    fn begin(&mut self, link: &Link) -> Result<(), ControlError> {
        let nic = match self.state.uplinks.get(&link.name) {
            Some(old) if old.ifindex == link.index => old.nic.clone(),
            _ => NicChanges::default(),
        };
        let uplink = Uplink {
            phase: Phase::Adding,
            ifindex: link.index,
            hook: Hook::Tcx,
            endpoint_device: EndpointDevice::Veth,
            made_clsact: false,
            nic,
        };
        self.state.uplinks.insert(link.name.clone(), uplink);
        self.save()
    }

    async fn set_up(
        &mut self,
        link: &Link,
        options: AttachOptions,
    ) -> Result<Attached, ControlError> {
        let (mut ebpf, endpoint_device, reason) = self.load(link, options).await?;
        let pins = self.pins(&link.name);
        load::pin(&mut ebpf, &pins)?;
        let mut maps = Maps::open(&pins)?;
        for (_, network) in self.state.networks_on(&link.name) {
            maps.add_segment(vlan::map_value(network.vlan))?;
        }
        let hook = self.hook_up(&mut ebpf, link).await?;
        let uplink = self.uplink_mut(&link.name)?;
        uplink.hook = hook;
        uplink.endpoint_device = endpoint_device;
        self.restore_endpoints(&link.name, &mut maps)?;
        self.apply_nic(&link.name).await?;
        self.uplink_mut(&link.name)?.phase = Phase::Ready;
        self.save()?;
        Ok(Attached {
            hook,
            endpoint_device,
            reason: Some(reason),
            ebpf: Some(ebpf),
        })
    }

    /// Loads the programs for netkit if that is wanted and works, else for veth.
    async fn load(
        &self,
        link: &Link,
        options: AttachOptions,
    ) -> Result<(Ebpf, EndpointDevice, String), ControlError> {
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
            Ok(ebpf) if asked => Ok((ebpf, EndpointDevice::Netkit, "as asked".into())),
            Ok(ebpf) => Ok((ebpf, EndpointDevice::Netkit, "it works here".into())),
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
        load: impl Fn(EndpointDevice) -> Result<Ebpf, DatapathError>,
    ) -> Result<Ebpf, ControlError> {
        if let Some(left) = self.netlink.find(PROBE_HOST).await? {
            self.netlink.delete(left.index).await?;
        }
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
        load: impl Fn(EndpointDevice) -> Result<Ebpf, DatapathError>,
    ) -> Result<Ebpf, ControlError> {
        if self.netlink.link(PROBE_PEER).await?.mac != PROBE_MAC {
            return Err(ControlError::NetkitMac);
        }
        let mut ebpf = load(EndpointDevice::Netkit)?;
        attach::netkit_works(&mut ebpf, ifindex)?;
        Ok(ebpf)
    }

    /// Attaches `from_uplink`, by tcx or else by clsact.
    async fn hook_up(&mut self, ebpf: &mut Ebpf, link: &Link) -> Result<Hook, ControlError> {
        let pins = self.pins(&link.name);
        if attach::uplink_by_tcx(ebpf, &link.name, &pins)? {
            return Ok(Hook::Tcx);
        }
        let made_clsact = !self.netlink.has_clsact(link.index).await?;
        let uplink = self.uplink_mut(&link.name)?;
        uplink.hook = Hook::Clsact;
        uplink.made_clsact = made_clsact;
        self.save()?;
        attach::uplink_by_clsact(ebpf, &link.name)?;
        Ok(Hook::Clsact)
    }

    /// Takes an uplink down to nothing, whatever of it is there.
    pub(super) async fn tear_down_uplink(&mut self, iface: &str) -> Result<(), ControlError> {
        let Some(uplink) = self.state.uplinks.get(iface).cloned() else {
            return Ok(());
        };
        let link = self.netlink.find(iface).await?;
        if let Some(link) = link.filter(|link| link.index == uplink.ifindex) {
            if uplink.hook == Hook::Clsact {
                attach::detach_clsact(iface)?;
                if uplink.made_clsact && !self.netlink.has_filters(link.index).await? {
                    self.netlink.remove_clsact(link.index).await?;
                }
            }
            self.undo_nic(iface, &link).await?;
        }
        self.pins(iface).remove()?;
        self.state.uplinks.remove(iface);
        self.save()
    }

    pub(super) fn uplink_mut(&mut self, iface: &str) -> Result<&mut Uplink, ControlError> {
        self.state
            .uplinks
            .get_mut(iface)
            .ok_or_else(|| ControlError::NotAttached {
                uplink: iface.to_owned(),
            })
    }

    pub(super) fn uplink(&self, iface: &str) -> Result<&Uplink, ControlError> {
        self.state
            .uplinks
            .get(iface)
            .ok_or_else(|| ControlError::NotAttached {
                uplink: iface.to_owned(),
            })
    }

    /// The uplink's interface as it is now.
    pub(super) async fn uplink_link(&self, iface: &str) -> Result<Link, ControlError> {
        let uplink = self.uplink(iface)?;
        let link = self.netlink.link(iface).await?;
        if link.index != uplink.ifindex || !self.pins(iface).exist() {
            return Err(ControlError::NotAttached {
                uplink: iface.to_owned(),
            });
        }
        Ok(link)
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
