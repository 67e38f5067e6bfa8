//! The container's end of an endpoint's link, reached from the host.

use std::future::Future;

use crate::{
    link::{Link, LinkError, Netlink, Netns},
    model::Endpoint,
};

/// Does `work` on the container's end of an endpoint's link, from inside the namespace that it was given to; `host` is the
/// other end. Nothing where the container has moved it elsewhere, which is its own business.
///
/// # Errors
///
/// When the namespace is not found ([`LinkError::is_lost_netns`]), or what `work` returns.
pub(super) fn at_container_end<T, E, F>(
    endpoint: &Endpoint,
    host: &Link,
    work: impl FnOnce(Netlink, Link) -> F + Send,
) -> Result<Option<T>, E>
where
    T: Send,
    E: From<LinkError> + Send,
    F: Future<Output = Result<T, E>>,
{
    let netns = match endpoint.netns_id {
        Some(id) => Netns::find(&endpoint.netns, id),
        None => Netns::open(&endpoint.netns),
    }?;
    netns.run(move || async move {
        let netlink = Netlink::open()?;
        let link = match host.peer_index {
            Some(index) => netlink.find_index(index).await?,
            None => None,
        };
        match link {
            Some(link) if link.peer_index == Some(host.index) => {
                work(netlink, link).await.map(Some)
            }
            _ => Ok(None),
        }
    })
}
