//! What dockerd does with its network driver, without dockerd.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
};

use serde_json::{Value, json};
use vnet_user::lab::Netns;

use crate::{Container, Fixture, eventually, link, mac_of};

/// Calls the driver of a lab's `vnet-user serve`.
pub struct Caller {
    socket: PathBuf,
}

/// Docker's id of a network or an endpoint, from its first two digits.
pub fn docker_id(digits: &str) -> String {
    digits.repeat(32)
}

impl Caller {
    /// For a watcher that runs, or will.
    pub fn new(fixture: &Fixture) -> Self {
        Self {
            socket: fixture.vnet.docker_socket(),
        }
    }

    /// For a driver that listens there.
    pub fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Where the driver listens.
    pub fn socket(&self) -> &PathBuf {
        &self.socket
    }

    /// Sends a whole request as it stands, and returns the status and the body of the answer.
    ///
    /// # Panics
    ///
    /// When there is no answer.
    pub fn raw(&self, request: &[u8]) -> (u16, String) {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        // What is too long is answered before its end.
        let _ = stream.write_all(request);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok());
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
        let (Some(status), Some(body)) = (status, body) else {
            panic!("no HTTP: {answer:?}");
        };
        (status, body.to_owned())
    }

    /// Calls a method, with any body.
    ///
    /// # Panics
    ///
    /// When there is no answer.
    pub fn post(&self, method: &str, body: &str) -> (u16, String) {
        self.raw(request(method, body).as_bytes())
    }

    /// How many have called, whether the driver has taken their call or not (`unix_seq_show` in net/unix/af_unix.c: states 3 and 2).
    ///
    /// # Panics
    ///
    /// When `/proc` can't be read.
    pub fn connections(&self) -> usize {
        // They are in the namespace of who connects.
        let sockets = fs::read_to_string("/proc/thread-self/net/unix").unwrap();
        let path = self.socket.to_str().unwrap();
        let lines = sockets.lines().filter(|line| line.contains(path));
        lines
            .filter(|line| matches!(line.split_whitespace().nth(5), Some("02" | "03")))
            .count()
    }

    /// Calls a method that may get no answer.
    pub fn ask(&self, method: &str, body: &Value) -> Option<Value> {
        let request = request(&format!("NetworkDriver.{method}"), &body.to_string());
        let mut stream = UnixStream::connect(&self.socket).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        serde_json::from_str(body).ok()
    }

    /// Calls a method, and does not wait for the answer.
    ///
    /// # Panics
    ///
    /// When nobody listens.
    pub fn abandon(&self, method: &str, body: &Value) {
        let request = request(&format!("NetworkDriver.{method}"), &body.to_string());
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
    }

    /// Calls a method that must succeed.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn ok(&self, method: &str, body: &Value) -> Value {
        let (status, answer) = self.post(&format!("NetworkDriver.{method}"), &body.to_string());
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(
            status == 200 && answer.get("Err").is_none(),
            "{method}: {status} {answer}"
        );
        answer
    }

    /// Calls a method that must be refused as what is not possible, and returns why.
    ///
    /// # Panics
    ///
    /// When it succeeds.
    pub fn refused(&self, method: &str, body: &Value) -> String {
        let (status, answer) = self.post(&format!("NetworkDriver.{method}"), &body.to_string());
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let reason = answer["Err"].as_str().unwrap_or_default().to_owned();
        assert!(
            status == 200 && !reason.is_empty(),
            "{method}: {status} {answer}"
        );
        assert!(!reason.contains('\n'), "{reason}");
        reason
    }

    /// `docker network create -d vnet` with these options, and one subnet.
    pub fn create_network(&self, id: &str, options: &Value, subnet: &str, gateway: &str) {
        self.ok("CreateNetwork", &network(id, options, subnet, gateway));
    }

    /// `docker run --ip`: creates an endpoint, has it made, and moves it into a container of that role as `eth0`.
    ///
    /// # Panics
    ///
    /// When one of these fails.
    pub fn run(
        &self,
        fixture: &mut Fixture,
        role: &str,
        network: &str,
        id: &str,
        address: &str,
    ) -> Container {
        let netns = Netns::clone(fixture.lab.add(role).unwrap());
        let of = json!({ "NetworkID": docker_id(network), "EndpointID": docker_id(id) });
        let mut create = of.clone();
        create["Interface"] = json!({ "Address": address, "AddressIPv6": "", "MacAddress": "" });
        self.ok("CreateEndpoint", &create);
        let mut join = of;
        join["SandboxKey"] = json!(netns.path());
        let joined = self.ok("Join", &join);
        let made = joined["InterfaceName"]["SrcName"].as_str().unwrap();
        let name = netns.name();
        let host = fixture.host();
        host.ip(&format!("link set {made} netns {name} name eth0"))
            .unwrap();
        netns.ip(&format!("addr add {address} dev eth0")).unwrap();
        netns.ip("link set eth0 up").unwrap();
        if let Some(gateway) = joined["Gateway"].as_str().filter(|it| !it.is_empty()) {
            netns
                .ip(&format!("route add default via {gateway}"))
                .unwrap();
        }
        let mac = mac_of(&netns, "eth0");
        let id = docker_id(id)[..12].to_owned();
        let complete = || fixture.shown_endpoint(&id)["ifname"] == "eth0";
        eventually("that it is known to be in its container", &true, complete);
        assert_eq!(link(&netns, "eth0")["address"], mac.to_string());
        Container { netns, id, mac }
    }
}

fn request(method: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /{method} HTTP/1.1\r\nHost: vnet\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// The body that asks for a network; no subnet where it is empty.
pub fn network(id: &str, options: &Value, subnet: &str, gateway: &str) -> Value {
    let pools = match subnet {
        "" => Value::Null,
        _ => {
            json!([{ "AddressSpace": "LocalDefault", "Pool": subnet, "Gateway": gateway, "AuxAddresses": {} }])
        }
    };
    json!({
        "NetworkID": docker_id(id),
        "Options": { "com.docker.network.enable_ipv6": false, "com.docker.network.generic": options },
        "IPv4Data": pools,
        "IPv6Data": [],
    })
}
