//! [`Lab`]: the namespaces and cables of one experiment.

use std::{
    collections::BTreeMap,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use super::{LabError, Namespace, Result};

/// Tells several labs of one process apart.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Namespaces by role. All of them, and every device in them, go when this is dropped.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    namespaces: BTreeMap<String, Namespace>,
}

impl Lab {
    /// Begins a lab. Namespaces will be called `<name>-<pid>-<n>-<role>`.
    ///
    /// ```no_run
    /// # use vnet_user::lab::{Lab, Result};
    /// # fn main() -> Result<()> {
    /// let lab = Lab::new("example")
    ///     .host("docker")
    ///     .host("router")
    ///     .wire(("docker", "enp0s8"), ("router", "enp0s8"))
    ///     .address("docker", "enp0s8", "192.168.1.1/24")
    ///     .address("router", "enp0s8", "192.168.1.100/24")
    ///     .build()?;
    /// lab.get("docker")?.ip("addr show")?;
    /// # Ok(())
    /// # }
    /// ```
    #[expect(clippy::new_ret_no_self, reason = "the lab exists once it is built")]
    pub fn new(name: &str) -> LabBuilder {
        LabBuilder {
            name: name.to_owned(),
            steps: Vec::new(),
        }
    }

    /// The namespace that plays this role.
    ///
    /// # Errors
    ///
    /// [`LabError::NoSuchRole`].
    pub fn get(&self, role: &str) -> Result<&Namespace> {
        self.namespaces
            .get(role)
            .ok_or_else(|| LabError::NoSuchRole(role.to_owned()))
    }

    /// Adds a namespace to the running lab: a container that comes later.
    ///
    /// # Errors
    ///
    /// [`LabError`] when it cannot be made.
    pub fn add(&mut self, role: &str) -> Result<&Namespace> {
        let namespace = Namespace::create(&format!("{}-{role}", self.prefix))?;
        self.namespaces.insert(role.to_owned(), namespace);
        self.get(role)
    }

    /// Removes a namespace with all that is in it: a container that ends, a router that is switched off.
    pub fn remove(&mut self, role: &str) {
        self.namespaces.remove(role);
    }

    fn apply(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Host { role } => self.add(role).map(drop),
            Step::Wire { left, right } => {
                let far = self.get(&right.0)?.name();
                let near = self.get(&left.0)?;
                near.ip(&format!(
                    "link add {} type veth peer name {} netns {far}",
                    left.1, right.1
                ))?;
                near.ip(&format!("link set {} up", left.1))?;
                self.get(&right.0)?
                    .ip(&format!("link set {} up", right.1))
                    .map(drop)
            }
            Step::Address {
                role,
                device,
                address,
            } => self
                .get(role)?
                .ip(&format!("addr add {address} dev {device}"))
                .map(drop),
            Step::DuplicateDetection { role, on } => self.get(role)?.set_duplicate_detection(*on),
        }
    }
}

/// One line of a topology.
#[derive(Debug)]
enum Step {
    Host {
        role: String,
    },
    Wire {
        left: (String, String),
        right: (String, String),
    },
    Address {
        role: String,
        device: String,
        address: String,
    },
    DuplicateDetection {
        role: String,
        on: bool,
    },
}

/// A topology being described; see [`Lab::new`].
#[derive(Debug)]
#[must_use = "a topology does nothing until it is built"]
pub struct LabBuilder {
    name: String,
    steps: Vec<Step>,
}

impl LabBuilder {
    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// A machine or a container: a namespace with nothing but loopback, without IPv6 duplicate detection.
    pub fn host(self, role: &str) -> Self {
        self.step(Step::Host {
            role: role.to_owned(),
        })
        .duplicate_detection(role, false)
    }

    /// A cable between two machines: a veth pair, both ends up, `(role, device)` each.
    pub fn wire(self, left: (&str, &str), right: (&str, &str)) -> Self {
        let own = |(role, device): (&str, &str)| (role.to_owned(), device.to_owned());
        self.step(Step::Wire {
            left: own(left),
            right: own(right),
        })
    }

    /// An address with its prefix length on a device.
    pub fn address(self, role: &str, device: &str, address: &str) -> Self {
        self.step(Step::Address {
            role: role.to_owned(),
            device: device.to_owned(),
            address: address.to_owned(),
        })
    }

    /// Whether interfaces of this machine that come later look for duplicates of their IPv6 addresses.
    pub fn duplicate_detection(self, role: &str, on: bool) -> Self {
        self.step(Step::DuplicateDetection {
            role: role.to_owned(),
            on,
        })
    }

    /// Makes it all, in the order of description.
    ///
    /// # Errors
    ///
    /// The first step's failure; what was made until then is removed.
    pub fn build(self) -> Result<Lab> {
        let Self { name, steps } = self;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut lab = Lab {
            prefix: format!("{name}-{}-{number}", process::id()),
            namespaces: BTreeMap::new(),
        };
        for step in &steps {
            lab.apply(step)?;
        }
        Ok(lab)
    }
}
