//! Docker's calls, and what they are answered. None of them calls Docker.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thiserror::Error;

use super::{
    api::{
        CreateEndpoint, CreateNetwork, GENERIC, IFNAME, INTERNAL, Interface, InterfaceName, Join,
        Joined, OfEndpoint, OfNetwork, Pool,
    },
    options::{DockerOptions, OptionError},
};
use crate::{
    control::{
        ControlError, Dirs, Vnet,
        docker::{EndpointAsked, NetworkAsked},
    },
    error::one_line,
    model::{
        MacAddr,
        docker::{DockerId, DockerIdError},
        mac::MacAddrError,
    },
};

/// The answer to a call.
#[derive(Debug, PartialEq)]
pub enum Answer {
    Done(Value),
    /// It was understood, and is not possible.
    Failed(String),
    /// The body is not what the protocol has.
    Malformed(String),
    /// There is no such call.
    Unknown(String),
}

impl Answer {
    /// HTTP's status and the body.
    pub fn into_parts(self) -> (u16, Value) {
        match self {
            Self::Done(value) => (200, value),
            Self::Failed(reason) => (200, error(&reason)),
            Self::Malformed(reason) => (400, error(&reason)),
            Self::Unknown(reason) => (404, error(&reason)),
        }
    }
}

fn error(reason: &str) -> Value {
    json!({ "Err": reason })
}

/// Why a call failed.
#[derive(Debug, Error)]
enum CallError {
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Id(#[from] DockerIdError),
    #[error(transparent)]
    Option(#[from] OptionError),
    #[error(transparent)]
    Mac(#[from] MacAddrError),
    #[error("{what} {text:?}: {expected} was expected")]
    Address {
        what: &'static str,
        text: String,
        expected: &'static str,
    },
    #[error("option {0:?}: text was expected")]
    NotText(String),
    #[error(
        "{IFNAME} is not possible: Docker's plugin protocol has no place for it, and dockerd calls the interface eth0, eth1, …"
    )]
    Ifname,
    #[error("{GENERIC}: an object of options was expected")]
    NotOptions,
}

/// Does what a call asks for.
pub async fn answer(dirs: &Dirs, method: &str, body: &[u8]) -> (Answer, Vec<String>) {
    let mut news = Vec::new();
    let answer = match try_answer(dirs, method, body, &mut news).await {
        Ok(answer) => answer,
        Err(error) => {
            let reason = one_line(&error);
            news.push(format!("docker: {method}: {reason}"));
            Answer::Failed(reason)
        }
    };
    (answer, news)
}

async fn try_answer(
    dirs: &Dirs,
    method: &str,
    body: &[u8],
    news: &mut Vec<String>,
) -> Result<Answer, CallError> {
    let nothing = || Ok(Answer::Done(json!({})));
    // Those that need no look at the host.
    match method {
        "Plugin.Activate" => return Ok(Answer::Done(json!({ "Implements": ["NetworkDriver"] }))),
        "NetworkDriver.GetCapabilities" => {
            return Ok(Answer::Done(json!({
                "Scope": "local",
                "ConnectivityScope": "local",
                "GwAllocChecker": true,
            })));
        }
        // No gateway that nobody gave is needed, nor taken from the subnet.
        "NetworkDriver.GwAllocCheck" => {
            return Ok(Answer::Done(json!({ "SkipIPv4": true, "SkipIPv6": true })));
        }
        "NetworkDriver.DiscoverNew"
        | "NetworkDriver.DiscoverDelete"
        | "NetworkDriver.ProgramExternalConnectivity"
        | "NetworkDriver.RevokeExternalConnectivity" => return nothing(),
        "NetworkDriver.EndpointOperInfo" => return Ok(Answer::Done(json!({ "Value": {} }))),
        _ => {}
    }
    macro_rules! read {
        () => {
            match read(body) {
                Ok(read) => read,
                Err(malformed) => return Ok(malformed),
            }
        };
    }
    match method {
        "NetworkDriver.CreateNetwork" => {
            let asked: CreateNetwork = read!();
            let id = DockerId::try_from(asked.network.clone())?;
            let asked = network_asked(&asked)?;
            let mut vnet = Open::new(dirs, news).await?;
            vnet.vnet.create_docker_network(id, asked).await?;
            nothing()
        }
        "NetworkDriver.DeleteNetwork" => {
            let of: OfNetwork = read!();
            let id = DockerId::try_from(of.network)?;
            let mut vnet = Open::new(dirs, news).await?;
            vnet.vnet.delete_docker_network(&id).await?;
            nothing()
        }
        "NetworkDriver.CreateEndpoint" => {
            let CreateEndpoint {
                of,
                interface,
                options,
            } = read!();
            let (network, endpoint) = ids(of)?;
            if options.contains_key(IFNAME) {
                return Err(CallError::Ifname);
            }
            let asked = endpoint_asked(network, &interface)?;
            let given = asked.mac.is_some();
            let mut vnet = Open::new(dirs, news).await?;
            let mac = vnet.vnet.create_docker_endpoint(endpoint, asked).await?;
            // What the request had must not come back.
            let interface = match given {
                true => json!({}),
                false => json!({ "MacAddress": mac.to_string() }),
            };
            Ok(Answer::Done(json!({ "Interface": interface })))
        }
        "NetworkDriver.DeleteEndpoint" => {
            let (_, endpoint) = ids(read!())?;
            let mut vnet = Open::new(dirs, news).await?;
            vnet.vnet.delete_docker_endpoint(&endpoint).await?;
            nothing()
        }
        "NetworkDriver.Join" => {
            let Join { of, sandbox_key } = read!();
            let (_, endpoint) = ids(of)?;
            let mut vnet = Open::new(dirs, news).await?;
            let joined = vnet
                .vnet
                .join_docker_endpoint(&endpoint, &sandbox_key)
                .await?;
            let text =
                |gateway: Option<IpAddr>| gateway.map_or_else(String::new, |it| it.to_string());
            let joined = Joined {
                interface_name: InterfaceName {
                    src_name: joined.ifname,
                    dst_prefix: "eth",
                },
                gateway: text(joined.gateway),
                gateway_ipv6: text(joined.gateway_ipv6),
                disable_gateway_service: true,
            };
            Ok(Answer::Done(json!(joined)))
        }
        "NetworkDriver.Leave" => {
            let (_, endpoint) = ids(read!())?;
            let mut vnet = Open::new(dirs, news).await?;
            vnet.vnet.leave_docker_endpoint(&endpoint).await?;
            nothing()
        }
        _ => Ok(Answer::Unknown(format!(
            "{method:?}: vnet has no such call"
        ))),
    }
}

/// vnet on this host, for one call; what there is to say is said in any case.
struct Open<'a> {
    vnet: Vnet,
    news: &'a mut Vec<String>,
}

impl<'a> Open<'a> {
    async fn new(dirs: &Dirs, news: &'a mut Vec<String>) -> Result<Self, ControlError> {
        let vnet = Vnet::open(dirs).await?;
        Ok(Self { vnet, news })
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.news.append(&mut self.vnet.notices);
        self.news.append(&mut self.vnet.troubles);
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Answer> {
    serde_json::from_slice(body).map_err(|error| Answer::Malformed(format!("the body: {error}")))
}

fn ids(of: OfEndpoint) -> Result<(DockerId, DockerId), DockerIdError> {
    Ok((of.network.try_into()?, of.endpoint.try_into()?))
}

fn network_asked(asked: &CreateNetwork) -> Result<NetworkAsked, CallError> {
    let mut given = BTreeMap::new();
    match asked.options.get(GENERIC) {
        None | Some(Value::Null) => {}
        Some(Value::Object(options)) => {
            for (name, value) in options {
                let text = value.as_str();
                let text = text.ok_or_else(|| CallError::NotText(name.clone()))?;
                given.insert(name.clone(), text.to_owned());
            }
        }
        Some(_) => return Err(CallError::NotOptions),
    }
    let DockerOptions { parent, network } = DockerOptions::read(&given)?;
    let mut subnets = Vec::new();
    let mut gateways = Vec::new();
    for pool in asked.ipv4.iter().chain(&asked.ipv6) {
        let Some(subnet) = subnet(pool)? else {
            continue;
        };
        subnets.push(subnet);
        if !pool.gateway.is_empty() {
            gateways.push((subnet, address("gateway", &pool.gateway)?.addr()));
        }
    }
    // As with macvlan, a network without a parent is an internal one.
    if parent.is_none() || asked.options.get(INTERNAL) == Some(&Value::Bool(true)) {
        gateways.clear();
    }
    Ok(NetworkAsked {
        parent,
        options: network,
        subnets,
        gateways,
    })
}

/// Docker's `null` address management has one subnet of all addresses: the container gets its own by DHCP.
fn subnet(pool: &Pool) -> Result<Option<IpNet>, CallError> {
    match pool.pool.as_str() {
        "" | "0.0.0.0/0" | "::/0" => Ok(None),
        text => address("subnet", text).map(|net| Some(net.trunc())),
    }
}

/// An address with its subnet's prefix length.
fn address(what: &'static str, text: &str) -> Result<IpNet, CallError> {
    text.parse().map_err(|_| CallError::Address {
        what,
        text: text.to_owned(),
        expected: "an address and a prefix length such as 192.168.200.2/24",
    })
}

fn endpoint_asked(network: DockerId, interface: &Interface) -> Result<EndpointAsked, CallError> {
    let given = [&interface.address, &interface.address_ipv6];
    let mut addresses = Vec::new();
    for text in given.into_iter().filter(|text| !text.is_empty()) {
        addresses.push(address("address", text)?.addr());
    }
    let mac = match interface.mac_address.as_str() {
        "" => None,
        text => Some(text.parse::<MacAddr>()?),
    };
    Ok(EndpointAsked {
        network,
        addresses,
        mac,
    })
}
