//! Programs of another build or log level take the place of those that run.

use super::{
    ControlError, Vnet,
    attach::{Attached, News},
};
use crate::{
    datapath::{
        Maps, Pins, Programs,
        attach::HostSide,
        load::{self, LoadOptions},
        replace,
    },
    link::Link,
    model::{Rows, Variant},
};

impl Vnet {
    /// Replaces an attached uplink's programs, if they are of another build, log level or variant. Links stay, and maps
    /// of the same layout, so no frame is lost.
    pub(super) async fn replace(
        &mut self,
        link: &Link,
        log_level: log::LevelFilter,
    ) -> Result<Attached, ControlError> {
        let uplink = self.uplink(&link.name)?;
        let (hook, endpoint_device) = (uplink.hook, uplink.endpoint_device);
        let build = load::build_id(log_level);
        let variant = Variant::wanted(&self.state, &link.name);
        let same_layout = uplink.layout == vnet_common::LAYOUT;
        let mut attached = Attached {
            uplink: link.name.clone(),
            hook,
            endpoint_device,
            news: News::Nothing,
            programs: build.clone(),
            xdp: uplink.xdp.clone(),
            loaded: None,
        };
        let same = uplink.programs == build && uplink.variant == variant && same_layout;
        if same && self.has_wanted_xdp(&link.name)? {
            return Ok(attached);
        }
        let options = LoadOptions {
            uplink_ifindex: link.index,
            endpoint_device,
            variant,
            log_level,
        };
        let pins = self.pins(&link.name);
        if !same_layout {
            // Of no build's layout, so that nobody writes to maps that are about to go.
            self.uplink_mut(&link.name)?.layout = 0;
            self.save()?;
        }
        attached.loaded = Some(if same_layout {
            // What XDP must spare is known before it runs.
            self.follow_host(link).await?;
            let mut programs = load::load(options, &pins)?;
            self.swap_programs(&mut programs, &link.name).await?;
            programs
        } else {
            self.replace_maps(options, link, &pins).await?
        });
        let uplink = self.uplink_mut(&link.name)?;
        uplink.programs = build;
        uplink.variant = variant;
        uplink.layout = vnet_common::LAYOUT;
        attached.xdp = uplink.xdp.clone();
        self.save()?;
        attached.news = News::Replaced;
        Ok(attached)
    }

    /// Replaces an attached uplink's programs, if its networks need other features of them now. Those that log are
    /// replaced by quiet ones, since only the process that loaded them reads their log.
    pub(super) async fn fit_variant(&mut self, link: &Link) -> Result<(), ControlError> {
        let uplink = self.uplink(&link.name)?;
        let same = uplink.variant == Variant::wanted(&self.state, &link.name);
        if same && self.has_wanted_xdp(&link.name)? {
            return Ok(());
        }
        if uplink.programs != load::build_id(log::LevelFilter::Off) {
            self.notices.push(format!(
                "{}: the programs were replaced, and log no more",
                link.name
            ));
        }
        self.replace(link, log::LevelFilter::Off).await.map(drop)
    }

    /// Goes over to maps of this build's layout: they are filled before any program reads them, so no frame is lost, but
    /// counters begin anew.
    async fn replace_maps(
        &mut self,
        options: LoadOptions,
        link: &Link,
        pins: &Pins,
    ) -> Result<Programs, ControlError> {
        let next = pins.next();
        next.remove()?;
        next.create()?;
        let mut programs = load::load(options, &next)?;
        let host = self.host_rows(link).await?;
        let mut maps = Maps::open(&next)?;
        maps.reconcile(&Rows::wanted(&self.state, &link.name))?;
        if let Some(host) = host {
            maps.reconcile_host(&host)?;
        }
        self.swap_programs(&mut programs, &link.name).await?;
        next.take_over(pins)?;
        Ok(programs)
    }

    async fn swap_programs(
        &mut self,
        programs: &mut Programs,
        iface: &str,
    ) -> Result<(), ControlError> {
        // First: it is what a driver may refuse.
        self.swap_xdp(programs, iface).await?;
        let pins = self.pins(iface);
        let uplink = self.uplink(iface)?;
        let (hook, device) = (uplink.hook, uplink.endpoint_device);
        replace::pinned(programs, &pins)?;
        replace::uplink(programs, hook, iface, &pins)?;
        for (id, endpoint) in self.state.endpoints_on(iface) {
            if let Some(host) = self.host_side(id, endpoint).await? {
                let pin = id.host_ifname();
                let host = HostSide {
                    ifname: &host.name,
                    index: host.index,
                    pin: &pin,
                };
                replace::endpoint(programs, &pins, device, hook, &host)?;
            }
        }
        self.rehook_containers(iface).await
    }
}
