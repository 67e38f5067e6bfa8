//! The bodies of Docker's calls (`libnetwork/drivers/remote/api/api.go` of moby).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The options that a user gave by `-o`, among a network's options.
pub const GENERIC: &str = "com.docker.network.generic";
/// `--internal`, among a network's options.
pub const INTERNAL: &str = "com.docker.network.internal";
/// What the interface shall be called, among an endpoint's options (`--driver-opt` of `docker network connect`).
pub const IFNAME: &str = "com.docker.network.endpoint.ifname";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateNetwork {
    #[serde(rename = "NetworkID")]
    pub network: String,
    #[serde(default, deserialize_with = "nullable")]
    pub options: BTreeMap<String, Value>,
    #[serde(rename = "IPv4Data", default, deserialize_with = "nullable")]
    pub ipv4: Vec<Pool>,
    #[serde(rename = "IPv6Data", default, deserialize_with = "nullable")]
    pub ipv6: Vec<Pool>,
}

/// A subnet, as Docker's address management has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pool {
    #[serde(default, deserialize_with = "nullable")]
    pub pool: String,
    /// With the subnet's prefix length.
    #[serde(default, deserialize_with = "nullable")]
    pub gateway: String,
}

#[derive(Debug, Deserialize)]
pub struct OfNetwork {
    #[serde(rename = "NetworkID")]
    pub network: String,
}

#[derive(Debug, Deserialize)]
pub struct OfEndpoint {
    #[serde(rename = "NetworkID")]
    pub network: String,
    #[serde(rename = "EndpointID")]
    pub endpoint: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateEndpoint {
    #[serde(flatten)]
    pub of: OfEndpoint,
    #[serde(default, deserialize_with = "nullable")]
    pub interface: Interface,
    #[serde(default, deserialize_with = "nullable")]
    pub options: BTreeMap<String, Value>,
}

/// An endpoint's addresses; empty where they are not given.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Interface {
    /// With the subnet's prefix length.
    #[serde(default, deserialize_with = "nullable")]
    pub address: String,
    #[serde(rename = "AddressIPv6", default, deserialize_with = "nullable")]
    pub address_ipv6: String,
    #[serde(default, deserialize_with = "nullable")]
    pub mac_address: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Join {
    #[serde(flatten)]
    pub of: OfEndpoint,
    #[serde(default, deserialize_with = "nullable")]
    pub sandbox_key: String,
}

/// The answer to [`Join`].
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Joined {
    pub interface_name: InterfaceName,
    pub gateway: String,
    #[serde(rename = "GatewayIPv6")]
    pub gateway_ipv6: String,
    /// Without it, dockerd puts a container that has no gateway onto its own bridge as well (`docker_gwbridge`).
    pub disable_gateway_service: bool,
}

/// An interface that dockerd moves into the container, and what it is called there.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InterfaceName {
    pub src_name: String,
    pub dst_prefix: &'static str,
}

/// Go writes `null` for what is empty.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
