//! The emulated NICs of a guest: for each model two, on one hub, which is a wire between them.

/// A NIC model whose driver the tests use.
pub struct Model {
    /// QEMU's name of the device.
    pub device: &'static str,
    /// The kernel's driver.
    pub module: &'static str,
    /// The two ends' addresses: `52:54:00:00:<model>:<end>`.
    pub macs: [&'static str; 2],
}

/// One of each kind that matters: native XDP without and with stripping of VLAN tags, and generic XDP only. `e1000` is
/// what VirtualBox gives its guests.
pub const MODELS: [Model; 4] = [
    Model {
        device: "virtio-net-pci",
        module: "virtio_net",
        macs: ["52:54:00:00:00:01", "52:54:00:00:00:02"],
    },
    Model {
        device: "vmxnet3",
        module: "vmxnet3",
        macs: ["52:54:00:00:01:01", "52:54:00:00:01:02"],
    },
    Model {
        device: "e1000",
        module: "e1000",
        macs: ["52:54:00:00:02:01", "52:54:00:00:02:02"],
    },
    Model {
        device: "e1000e",
        module: "e1000e",
        macs: ["52:54:00:00:03:01", "52:54:00:00:03:02"],
    },
];

/// QEMU's arguments for all of them.
pub fn qemu_args() -> Vec<String> {
    let mut args = Vec::new();
    for (hub, model) in MODELS.iter().enumerate() {
        for (end, mac) in model.macs.iter().enumerate() {
            let port = format!("hub{hub}port{end}");
            args.push("-netdev".to_owned());
            args.push(format!("hubport,id={port},hubid={hub}"));
            args.push("-device".to_owned());
            // Without a boot ROM: it costs time, and nothing boots from these.
            args.push(format!("{},netdev={port},mac={mac},romfile=", model.device));
        }
    }
    args
}

/// The same for the tests, as `VNET_NICS`: `<device>=<mac>,<mac>;<device>=…`.
pub fn environment() -> String {
    MODELS
        .iter()
        .map(|model| format!("{}={}", model.device, model.macs.join(",")))
        .collect::<Vec<_>>()
        .join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_has_two_ends_on_one_wire() {
        let args = qemu_args().join(" ");
        assert!(args.contains("hubport,id=hub1port0,hubid=1"));
        assert!(args.contains("vmxnet3,netdev=hub1port1,mac=52:54:00:00:01:02"));
        assert!(
            environment()
                .starts_with("virtio-net-pci=52:54:00:00:00:01,52:54:00:00:00:02;vmxnet3=")
        );
    }
}
