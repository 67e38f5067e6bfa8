//! The `clsact` qdisc, which carries the programs below Linux 6.6.

use std::pin::pin;

use futures_util::TryStreamExt;
use netlink_packet_route::tc::{TcAttribute, TcHandle};

use super::{
    error::{LinkError, allow},
    netlink::Netlink,
};

impl Netlink {
    /// True if the interface has the qdisc.
    pub async fn has_clsact(&self, index: u32) -> Result<bool, LinkError> {
        let request = self.handle.qdisc().get().index(index as i32);
        let mut qdiscs = pin!(request.execute());
        let what = || format!("list the qdiscs of {index}");
        while let Some(qdisc) = qdiscs
            .try_next()
            .await
            .map_err(|error| LinkError::netlink(what(), &error))?
        {
            let clsact = TcAttribute::Kind("clsact".to_owned());
            if qdisc.header.index == index as i32 && qdisc.attributes.contains(&clsact) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// True if somebody has a filter on the qdisc, in either direction.
    pub async fn has_filters(&self, index: u32) -> Result<bool, LinkError> {
        let ingress = self.filter_priorities(index, false).await?;
        let egress = self.filter_priorities(index, true).await?;
        Ok(!ingress.is_empty() || !egress.is_empty())
    }

    /// True if there is a filter of this priority at ingress.
    pub async fn has_ingress_filter(&self, index: u32, priority: u16) -> Result<bool, LinkError> {
        let priorities = self.filter_priorities(index, false).await?;
        Ok(priorities.contains(&priority))
    }

    async fn filter_priorities(&self, index: u32, egress: bool) -> Result<Vec<u16>, LinkError> {
        let what = || format!("list the filters of {index}");
        let mut filters = self.handle.traffic_filter(index as i32);
        let request = if egress {
            filters.get().egress()
        } else {
            filters.get().ingress()
        };
        let mut filters = pin!(request.execute());
        let mut priorities = Vec::new();
        while let Some(filter) = filters
            .try_next()
            .await
            .map_err(|error| LinkError::netlink(what(), &error))?
        {
            // `tcm_info` is the priority above the protocol (`TC_H_MAKE` in net/sched/cls_api.c).
            priorities.push((filter.header.info >> 16) as u16);
        }
        Ok(priorities)
    }

    /// Removes the qdisc and all filters on it. One that is gone is fine.
    pub async fn remove_clsact(&self, index: u32) -> Result<(), LinkError> {
        let mut qdiscs = self.handle.qdisc();
        let mut request = qdiscs.del(index as i32);
        let header = &mut request.message_mut().header;
        header.parent = TcHandle::CLSACT;
        header.handle = TcHandle {
            major: 0xffff,
            minor: 0,
        };
        let result = request.execute().await;
        let what = format!("remove clsact from {index}");
        allow(
            result.map_err(|error| LinkError::netlink(what, &error)),
            &[libc::ENOENT, libc::EINVAL, libc::ENODEV],
        )
    }
}
