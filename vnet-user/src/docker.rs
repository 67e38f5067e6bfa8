//! Docker's network driver: `docker network create -d vnet …`.
//!
//! dockerd finds it by its socket ([`socket`]) and calls it by HTTP ([`api`], [`driver`]); options are those of the command
//! line ([`options`]). What Docker asked for is kept ([`crate::model::docker`]), since it never says it again.

mod api;
pub mod driver;
mod options;
pub mod socket;
