//! `vnet-user install` and `uninstall`, below a directory of the test's own.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::Value;
use tests::Fixture;

/// Path and permissions of each file below a directory.
fn files(root: &Path) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            found.insert(name.to_owned(), mode);
        }
    }
    found
}

#[test]
fn what_is_put_in_place_is_what_is_printed_and_all_of_it_is_taken_away() {
    let fixture = Fixture::new();
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let root_option = format!("--root {}", root.display());
    let printed = fixture.ok(&format!("install --print {root_option}"));
    assert!(files(root).is_empty(), "printed only");
    for _ in 0..2 {
        fixture.ok(&format!("install {root_option}"));
    }
    let installed = files(root);
    let expected = [
        ("etc/systemd/system/vnet.service", 0o644),
        ("etc/systemd/system/vnet.socket", 0o644),
        ("usr/local/bin/vnet-user", 0o755),
        (
            "usr/local/share/bash-completion/completions/vnet-user",
            0o644,
        ),
        (
            "usr/local/share/fish/vendor_completions.d/vnet-user.fish",
            0o644,
        ),
        ("usr/local/share/zsh/site-functions/_vnet-user", 0o644),
    ];
    let expected = expected.map(|(path, mode)| (path.to_owned(), mode));
    assert_eq!(installed, BTreeMap::from(expected));
    for path in installed.keys() {
        assert!(
            printed.contains(&root.join(path).display().to_string()),
            "{path}"
        );
        if path != "usr/local/bin/vnet-user" {
            let text = fs::read_to_string(root.join(path)).unwrap();
            assert!(printed.contains(text.trim_end()), "{path}");
        }
    }
    // It is this binary, and runs.
    let [own, copy] = [
        Path::new(&tests::expected::binary()),
        &root.join("usr/local/bin/vnet-user"),
    ]
    .map(|path| fs::read(path).unwrap());
    assert!(own == copy);
    let service = fs::read_to_string(root.join("etc/systemd/system/vnet.service")).unwrap();
    for line in [
        "Before=docker.service",
        "ExecStart=/usr/local/bin/vnet-user serve",
    ] {
        assert!(service.contains(line), "{service}");
    }

    let removed = fixture.ok(&format!("uninstall {root_option} --json"));
    let removed: Value = serde_json::from_str(&removed).unwrap();
    assert_eq!(removed.as_array().unwrap().len(), installed.len());
    assert!(files(root).is_empty());
    assert_eq!(
        fixture.ok(&format!("uninstall {root_option}")).trim(),
        "nothing was installed"
    );
}

#[test]
fn what_is_in_use_is_not_uninstalled_and_a_root_must_be_there() {
    let fixture = Fixture::attached();
    fixture.refused("uninstall", &["enp0s8", "vnet-user detach --iface enp0s8"]);
    fixture.refused(
        "install --root /nowhere/at-all",
        &["/nowhere/at-all", "directory"],
    );
}
