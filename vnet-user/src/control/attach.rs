//! Attach: an uplink's datapath comes.

use super::{ControlError, Vnet, xdp::XdpChoice};
use crate::{
    datapath::{Maps, Programs, attach, load},
    link::Link,
    model::{
        Rows, Variant,
        nic::NicChanges,
        state::{EndpointDevice, Hook, Phase, Uplink},
        xdp::Xdp,
    },
};

/// How to attach.
#[derive(Clone, Copy, Debug)]
pub struct AttachOptions {
    pub asker: Asker,
    /// `None` takes netkit where it works, else veth.
    pub endpoint_device: Option<EndpointDevice>,
    pub xdp: XdpChoice,
    pub log_level: log::LevelFilter,
}

impl AttachOptions {
    /// Those of an uplink that was attached, and is to be again.
    pub fn again(uplink: &Uplink) -> Self {
        let chosen = !uplink.is_expected() || uplink.device_asked;
        Self {
            asker: Asker::Same,
            endpoint_device: chosen.then_some(uplink.endpoint_device),
            xdp: XdpChoice::Keep,
            log_level: log::LevelFilter::Off,
        }
    }
}

/// Who wants it attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// It stays attached until the user detaches it.
    User,
    /// It is detached after Docker's last network on it.
    Docker,
    /// Whoever it was before.
    Same,
}

/// What an attach came to.
pub struct Attached {
    /// The interface's own name, whichever of its names was asked for.
    pub uplink: String,
    pub hook: Hook,
    pub endpoint_device: EndpointDevice,
    pub news: News,
    /// Which programs run now.
    pub programs: String,
    pub xdp: Option<Xdp>,
    /// The programs, for their log; nothing when they ran already.
    pub loaded: Option<Programs>,
}

/// What an attach changed.
pub enum News {
    /// It is attached now, with this device for this reason.
    Attached(String),
    /// It was attached; its programs were of another build or log level, and were replaced.
    Replaced,
    /// It was attached.
    Nothing,
}

impl Vnet {
    /// Attaches an uplink. One that is attached stays as it is; one whose datapath is gone, or that
    /// came back under another index, gets it again with its networks and endpoints.
    ///
    /// # Errors
    ///
    /// When the interface can't be an uplink, XDP as asked for would break traffic, or the kernel refuses; then nothing is
    /// changed.
    pub async fn attach(
        &mut self,
        name: &str,
        options: AttachOptions,
    ) -> Result<Attached, ControlError> {
        let link = self.netlink.link(name).await?;
        if !link.is_ethernet {
            return Err(ControlError::NotEthernet(name.to_owned()));
        }
        self.check_uplink(&link).await?;
        let device = self.device_to_keep(&link, options).await?;
        let asked = device.unwrap_or(EndpointDevice::Veth);
        if self.is_attached(&link).await? {
            let xdp = self.plan_xdp(&link, options.xdp, asked).await?;
            if options.asker == Asker::User {
                let uplink = self.uplink_mut(&link.name)?;
                uplink.for_docker = false;
                uplink.device_asked |= options.endpoint_device.is_some();
                self.save()?;
            }
            return self.refresh(&link, options.log_level, xdp).await;
        }
        let xdp = self.plan_xdp(&link, options.xdp, asked).await?;
        // Into netkit XDP can't redirect, so there is no choice.
        let device = device.or(xdp.as_ref().filter(|xdp| xdp.redirects()).map(|_| asked));
        let pins = self.pins(&link.name);
        pins.check()?;
        let before = self.begin(&link, xdp, options)?;
        let result = self.set_up(&link, device, options).await;
        if result.is_err() {
            let undone = self.undo_attach(&link.name, before).await;
            self.note(undone);
        }
        result
    }

    /// Whether an interface may be an uplink, under the name that it has now.
    ///
    /// # Errors
    ///
    /// [`ControlError::OwnLink`] for the host side of an endpoint; [`ControlError::Renamed`] where names were moved about
    /// in a way that [`super::follow`] can't follow.
    async fn check_uplink(&mut self, link: &Link) -> Result<(), ControlError> {
        let mut endpoints = self.state.endpoints.values();
        if link.is_endpoint_side()
            && let Some(owner) = endpoints.find(|endpoint| endpoint.host_ifindex == link.index)
        {
            return Err(ControlError::OwnLink {
                ifname: link.name.clone(),
                network: owner.network.clone(),
            });
        }
        let mut uplinks = self.state.uplinks.iter();
        let elsewhere =
            uplinks.find(|(name, uplink)| uplink.ifindex == link.index && **name != link.name);
        if let Some((name, _)) = elsewhere {
            return Err(ControlError::Renamed {
                old: name.clone(),
                new: link.name.clone(),
            });
        }
        if let Some(known) = self.state.uplinks.get(&link.name)
            && known.ifindex != link.index
            && let Some(moved) = self.netlink.find_index(known.ifindex).await?
        {
            return Err(ControlError::Renamed {
                old: link.name.clone(),
                new: moved.name,
            });
        }
        if !link.up {
            self.notices.push(format!(
                "{0}: is down, so nothing passes until `ip link set {0} up`",
                link.name
            ));
        }
        Ok(())
    }

    /// True for an uplink whose datapath runs, if of another layout.
    pub(super) async fn is_attached(&self, link: &Link) -> Result<bool, ControlError> {
        match self.state.uplinks.get(&link.name) {
            Some(uplink) if uplink.ifindex == link.index && uplink.phase == Phase::Ready => {
                self.is_hooked(&link.name, uplink).await
            }
            _ => Ok(false),
        }
    }

    /// Brings all of a running datapath to what it must be: programs, endpoints' links, maps, the NIC.
    async fn refresh(
        &mut self,
        link: &Link,
        log_level: log::LevelFilter,
        xdp: Option<Xdp>,
    ) -> Result<Attached, ControlError> {
        self.rehook_endpoints(&link.name).await?;
        let before = std::mem::replace(&mut self.uplink_mut(&link.name)?.xdp, xdp);
        let changed = before != self.uplink(&link.name)?.xdp;
        if changed {
            self.state.unsettled.insert(link.name.clone());
            self.save()?;
        }
        // LRO goes before XDP comes.
        let prepared = match self.uplink(&link.name)?.xdp.is_some() {
            true => self.apply_nic(&link.name).await,
            false => Ok(()),
        };
        let result = match prepared {
            Ok(()) => self.replace(link, log_level).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(attached) => {
                self.settle(&link.name).await?;
                Ok(attached)
            }
            Err(error) => {
                if changed {
                    self.uplink_mut(&link.name)?.xdp = before;
                    self.save()?;
                    let undone = self.settle(&link.name).await;
                    self.note(undone);
                }
                Err(error)
            }
        }
    }

    /// Writes down what is coming. Returns what was known of the uplink.
    fn begin(
        &mut self,
        link: &Link,
        xdp: Option<Xdp>,
        options: AttachOptions,
    ) -> Result<Option<Uplink>, ControlError> {
        let before = self.state.uplinks.get(&link.name).cloned();
        // On an interface that came back under another index, nothing of ours is left to undo.
        let same = before.as_ref().filter(|old| old.ifindex == link.index);
        let uplink = Uplink {
            phase: Phase::Adding,
            ifindex: link.index,
            hook: same.map_or(Hook::Tcx, |old| old.hook),
            endpoint_device: before
                .as_ref()
                .map_or(EndpointDevice::Veth, |old| old.endpoint_device),
            device_asked: match options.asker {
                Asker::Same => before.as_ref().is_some_and(|old| old.device_asked),
                Asker::User | Asker::Docker => options.endpoint_device.is_some(),
            },
            programs: String::new(),
            variant: Variant::default(),
            layout: vnet_common::LAYOUT,
            made_clsact: same.is_some_and(|old| old.made_clsact),
            active_port: link.active_port,
            for_docker: match options.asker {
                Asker::User => false,
                Asker::Docker => true,
                Asker::Same => before.as_ref().is_some_and(|old| old.for_docker),
            },
            nic: same.map_or_else(NicChanges::default, |old| old.nic.clone()),
            xdp,
            lacks_unicast_filter: same.is_some_and(|old| old.lacks_unicast_filter),
            retired: same.map_or_else(Default::default, |old| old.retired.clone()),
        };
        self.state.uplinks.insert(link.name.clone(), uplink);
        self.save()?;
        Ok(before)
    }

    async fn set_up(
        &mut self,
        link: &Link,
        device: Option<EndpointDevice>,
        options: AttachOptions,
    ) -> Result<Attached, ControlError> {
        let pins = self.pins(&link.name);
        pins.remove()?;
        pins.create()?;
        let (mut programs, endpoint_device, reason) =
            self.load_for_device(link, device, options).await?;
        self.open_to_xdp(&link.name).await?;
        let host = self.host_rows(link).await?;
        let mut maps = Maps::open(&pins)?;
        maps.reconcile(&Rows::wanted(&self.state, &link.name))?;
        if let Some(host) = host {
            maps.reconcile_host(&host)?;
        }
        let hook = self.hook_up(&mut programs, link).await?;
        let uplink = self.uplink_mut(&link.name)?;
        uplink.hook = hook;
        uplink.endpoint_device = endpoint_device;
        // From here on there is a datapath, to which endpoints can be added.
        load::pin(&mut programs, &pins)?;
        self.restore_endpoints(&link.name).await?;
        self.rehook_containers(&link.name).await?;
        self.apply_nic(&link.name).await?;
        self.swap_xdp(&mut programs, &link.name).await?;
        self.close_to_xdp(&link.name).await?;
        let variant = Variant::wanted(&self.state, &link.name);
        let uplink = self.uplink_mut(&link.name)?;
        uplink.variant = variant;
        uplink.programs = load::build_id(options.log_level);
        let build = uplink.programs.clone();
        let xdp = uplink.xdp.clone();
        uplink.phase = Phase::Ready;
        self.save()?;
        Ok(Attached {
            uplink: link.name.clone(),
            hook,
            endpoint_device,
            news: News::Attached(reason),
            programs: build,
            xdp,
            loaded: Some(programs),
        })
    }

    /// Attaches `from_uplink`, by tcx or else by clsact.
    async fn hook_up(
        &mut self,
        programs: &mut Programs,
        link: &Link,
    ) -> Result<Hook, ControlError> {
        let pins = self.pins(&link.name);
        if attach::uplink_by_tcx(programs, &link.name, &pins)? {
            return Ok(Hook::Tcx);
        }
        let has_clsact = self.netlink.has_clsact(link.index).await?;
        let uplink = self.uplink_mut(&link.name)?;
        uplink.hook = Hook::Clsact;
        uplink.made_clsact |= !has_clsact;
        self.save()?;
        attach::uplink_by_clsact(programs, &link.name)?;
        Ok(Hook::Clsact)
    }

    /// Takes back an attach that failed. An uplink that has endpoints, or is expected, stays known, for the next attach to
    /// give it its datapath again.
    async fn undo_attach(
        &mut self,
        iface: &str,
        before: Option<Uplink>,
    ) -> Result<(), ControlError> {
        match before {
            Some(before) if self.state.endpoints_on(iface).next().is_some() => {
                self.pins(iface).remove()?;
                self.state.uplinks.insert(iface.to_owned(), before);
                self.save()
            }
            _ => self.undo_uplink(iface).await,
        }
    }
}
