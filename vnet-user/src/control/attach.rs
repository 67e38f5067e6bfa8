//! Attach and detach: an uplink's datapath comes and goes.

use super::{ControlError, Vnet};
use crate::{
    datapath::{
        Maps, Programs, attach,
        load::{self, LoadOptions},
        replace,
    },
    link::Link,
    model::{
        nic::NicChanges,
        state::{EndpointDevice, Hook, Phase, Uplink},
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
    pub news: News,
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
        if self.is_attached(&link, options)? {
            return self.replace(&link, options);
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
            return Err(ControlError::NothingToDetach(iface.to_owned()));
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

    fn is_attached(&self, link: &Link, options: AttachOptions) -> Result<bool, ControlError> {
        let Some(uplink) = self.state.uplinks.get(&link.name) else {
            return Ok(false);
        };
        if uplink.ifindex != link.index || !self.pins(&link.name).exist() {
            return Ok(false);
        }
        match options.endpoint_device {
            Some(asked) if asked != uplink.endpoint_device => Err(ControlError::OtherDevice {
                uplink: link.name.clone(),
                now: uplink.endpoint_device.name(),
                asked: asked.name(),
            }),
            _ => Ok(true),
        }
    }

    /// Replaces an attached uplink's programs, if they are of another build or log level. Maps and
    /// links stay, so no frame is lost.
    fn replace(&mut self, link: &Link, options: AttachOptions) -> Result<Attached, ControlError> {
        let pins = self.pins(&link.name);
        let uplink = self.uplink(&link.name)?;
        let (hook, endpoint_device) = (uplink.hook, uplink.endpoint_device);
        let programs = load::build_id(options.log_level);
        let mut attached = Attached {
            hook,
            endpoint_device,
            news: News::Nothing,
            loaded: None,
        };
        if uplink.programs == programs {
            return Ok(attached);
        }
        let options = LoadOptions {
            uplink_ifindex: link.index,
            endpoint_device,
            log_level: options.log_level,
        };
        let mut loaded = load::load(options, &pins)?;
        replace::pinned(&mut loaded, &pins)?;
        replace::uplink(&mut loaded, hook, &link.name, &pins)?;
        for (id, _) in self.state.endpoints_on(&link.name) {
            replace::endpoint(&mut loaded, endpoint_device, hook, &id.host_ifname(), &pins)?;
        }
        self.uplink_mut(&link.name)?.programs = programs;
        self.save()?;
        attached.news = News::Replaced;
        attached.loaded = Some(loaded);
        Ok(attached)
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
            programs: String::new(),
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
        let (mut programs, endpoint_device, reason) = self.load_for_device(link, options).await?;
        let pins = self.pins(&link.name);
        load::pin(&mut programs, &pins)?;
        let mut maps = Maps::open(&pins)?;
        maps.set_segments(&self.state.segments_on(&link.name))?;
        let hook = self.hook_up(&mut programs, link).await?;
        let uplink = self.uplink_mut(&link.name)?;
        uplink.hook = hook;
        uplink.endpoint_device = endpoint_device;
        self.restore_endpoints(&link.name, &mut maps)?;
        self.apply_nic(&link.name).await?;
        let uplink = self.uplink_mut(&link.name)?;
        uplink.programs = load::build_id(options.log_level);
        uplink.phase = Phase::Ready;
        self.save()?;
        Ok(Attached {
            hook,
            endpoint_device,
            news: News::Attached(reason),
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
        let made_clsact = !self.netlink.has_clsact(link.index).await?;
        let uplink = self.uplink_mut(&link.name)?;
        uplink.hook = Hook::Clsact;
        uplink.made_clsact = made_clsact;
        self.save()?;
        attach::uplink_by_clsact(programs, &link.name)?;
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
        self.remove_probe().await?;
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
