//! vnet as a service of systemd.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::json;
use tests::{
    Fixture, Systemd,
    caller::{Caller, docker_id},
    eventually, expected,
};

const SOCKET: &str = "/run/docker/plugins/vnet.sock";

#[test]
fn it_is_installed_replaced_under_calls_and_taken_away() {
    let fixture = Fixture::new();
    let systemd = Systemd::start(&fixture.host());
    // As somebody who has fetched it; `/tmp` is another one there.
    let binary = "/opt/vnet-user";
    fs::copy(expected::binary(), systemd.path(binary)).unwrap();
    let said = systemd.ok(&format!("{binary} install"));
    assert!(said.contains("/usr/local/bin/vnet-user"), "{said}");
    for unit in ["vnet.socket", "vnet.service"] {
        assert_eq!(systemd.ok(&format!("systemctl is-active {unit}")), "active");
        assert_eq!(
            systemd.ok(&format!("systemctl is-enabled {unit}")),
            "enabled"
        );
        let before = systemd.ok(&format!("systemctl show --property=Before --value {unit}"));
        assert!(before.contains("docker.service"), "{before}");
    }

    let docker = Caller::at(systemd.path(SOCKET));
    let options = json!({ "parent": "enp0s8.200" });
    docker.create_network("aa", &options, "192.168.200.0/24", "192.168.200.100/24");
    let show = || systemd.ok("vnet-user show");
    assert!(show().contains("enp0s8"), "{}", show());

    // Killed, it is there again, and a call waits for it.
    let service = || systemd.ok("systemctl show --property=MainPID --value vnet.service");
    let first = service();
    systemd.ok(&format!("kill -KILL {first}"));
    docker.ok("GetCapabilities", &json!({}));
    eventually("that another process serves", &true, || {
        !["0", first.as_str()].contains(&service().as_str())
    });

    // Replaced by itself as by a newer one, while calls come.
    let done = AtomicBool::new(false);
    let second = service();
    thread::scope(|scope| {
        let calls = scope.spawn(|| {
            let mut calls = 0;
            while !done.load(Ordering::Relaxed) {
                // dockerd calls again where there is no answer.
                let mut answers = (0..3).filter_map(|_| docker.ask("GetCapabilities", &json!({})));
                assert_eq!(answers.next().unwrap()["Scope"], "local");
                calls += 1;
            }
            calls
        });
        systemd.ok(&format!("{binary} install"));
        done.store(true, Ordering::Relaxed);
        assert_ne!(calls.join().unwrap(), 0);
    });
    assert_ne!(service(), second);

    let refused = systemd.run("vnet-user uninstall").unwrap_err();
    assert!(refused.contains("docker network rm"), "{refused}");
    docker.ok("DeleteNetwork", &json!({ "NetworkID": docker_id("aa") }));
    let uninstalled = systemd.ok("vnet-user uninstall");
    assert!(uninstalled.contains("vnet.service"), "{uninstalled}");
    for unit in ["vnet.socket", "vnet.service"] {
        systemd
            .run(&format!("systemctl is-active {unit}"))
            .unwrap_err();
        systemd.run(&format!("systemctl cat {unit}")).unwrap_err();
    }
    for path in [
        SOCKET,
        "/usr/local/bin/vnet-user",
        "/etc/systemd/system/vnet.service",
    ] {
        assert!(!fs::exists(systemd.path(path)).unwrap(), "{path}");
    }
}
