//! vnet's user space: what loads the datapath, keeps its maps and makes the links.

pub mod cli;
pub mod control;
pub mod datapath;
pub mod demo;
pub mod docker;
pub mod error;
pub mod interrupt;
pub mod lab;
pub mod link;
pub mod model;
pub mod options;
pub mod store;
