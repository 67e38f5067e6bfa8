//! Docker's networks and endpoints. Each verb may come again, for dockerd asks anew when an answer was lost; and what is gone
//! already may always be taken away, so that nothing is refused for ever.

mod endpoints;
mod networks;
mod parent;
mod uplinks;

pub use endpoints::{EndpointAsked, Joined};
pub use networks::NetworkAsked;
