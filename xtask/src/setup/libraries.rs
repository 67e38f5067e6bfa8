//! The shared libraries of programs that are unpacked and not installed.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use super::debian::PrivateApt;

/// Libraries that a machine may lack or have too old, and their packages.
const LIBRARIES: [(&str, &str); 20] = [
    ("libc.so.6", "libc6"),
    ("libseccomp.so.2", "libseccomp2"),
    ("libdevmapper.so.1.02.1", "libdevmapper1.02.1"),
    ("libsystemd.so.0", "libsystemd0"),
    ("libapparmor.so.1", "libapparmor1"),
    ("libkmod.so.2", "libkmod2"),
    ("libip4tc.so.2", "libip4tc2"),
    ("libssl.so.3", "libssl3"),
    ("libcrypto.so.3", "libssl3"),
    ("libcap-ng.so.0", "libcap-ng0"),
    ("libnuma.so.1", "libnuma1"),
    ("libxdp.so.1", "libxdp1"),
    ("libbpf.so.1", "libbpf1"),
    ("libelf.so.1", "libelf1"),
    ("libz.so.1", "zlib1g"),
    ("libunbound.so.8", "libunbound8"),
    ("libevent-2.1.so.7", "libevent-2.1-7"),
    ("libhogweed.so.6", "libhogweed6"),
    ("libnettle.so.8", "libnettle8"),
    ("libgmp.so.10", "libgmp10"),
];

/// Where packages have libraries; those without `usr` before Debian merged it.
const LIBRARY_DIRECTORIES: [&str; 3] = [
    "usr/lib/x86_64-linux-gnu",
    "lib/x86_64-linux-gnu",
    // What systemd's programs share.
    "usr/lib/x86_64-linux-gnu/systemd",
];

/// Fetches what is missing until every program would start; a library may need another.
pub fn add_missing(apt: &PrivateApt, directory: &Path, programs: &[&str]) -> anyhow::Result<()> {
    let mut fetched = BTreeSet::new();
    loop {
        let missing = missing_libraries(directory, programs)?;
        if missing.is_empty() {
            return Ok(());
        }
        for library in missing {
            let known = LIBRARIES.iter().find(|(name, _)| *name == library);
            let &(_, package) = known.with_context(|| {
                format!("{library} is needed, and no package is known for it here")
            })?;
            if !fetched.insert(package) {
                bail!("{library} is still missing after {package} was unpacked");
            }
            apt.unpack(package, directory)?;
        }
    }
}

/// The libraries that the machine and the directory together lack, by what the dynamic loader says.
fn missing_libraries(directory: &Path, programs: &[&str]) -> anyhow::Result<BTreeSet<String>> {
    let mut missing = BTreeSet::new();
    for program in programs {
        let program = directory.join(program);
        if !program.is_file() {
            bail!("Debian's packages have no {}", program.display());
        }
        let output = loader(directory)
            .arg("--list")
            .arg(&program)
            .output()
            .context("cannot start the dynamic loader")?;
        // A program without shared libraries says so, and lacks none.
        for text in [&output.stdout, &output.stderr] {
            missing.extend(not_found(&String::from_utf8_lossy(text)));
        }
    }
    Ok(missing)
}

/// The dynamic loader that programs of this directory will run with: its own, if it has one, for it fits no other libc.
fn loader(directory: &Path) -> Command {
    const LOADER: &str = "ld-linux-x86-64.so.2";
    let libraries = LIBRARY_DIRECTORIES.map(|libraries| directory.join(libraries));
    let mut own = libraries.iter().map(|libraries| libraries.join(LOADER));
    let own = own.find(|loader| loader.exists());
    let mut loader = Command::new(own.unwrap_or_else(|| Path::new("/lib64").join(LOADER)));
    let libraries = libraries.map(|libraries| libraries.display().to_string());
    loader.arg("--library-path").arg(libraries.join(":"));
    loader
}

/// Names in `libx.so.1 => not found`, `…: error while loading shared libraries: libx.so.1: cannot open …`, and
/// ``/lib/libx.so.1: version `X_2' not found (required by …)``. Which of the first two it is depends on the loader.
fn not_found(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter_map(|line| {
        if let Some((_, rest)) = line.split_once(": error while loading shared libraries: ") {
            return rest
                .split_once(": cannot open")
                .map(|(name, _)| name.to_owned());
        }
        let name = match line.split_once(": version `") {
            Some((path, rest)) if rest.contains("not found") => path.rsplit('/').next()?,
            _ => line.strip_suffix(" => not found")?,
        };
        Some(name.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_complaints_name_libraries() {
        let text = "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x1)\n\tlibseccomp.so.2 => not found\n\
            /d/dockerd: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by /d/dockerd)\n";
        let names: Vec<_> = not_found(text).collect();
        assert_eq!(names, ["libseccomp.so.2", "libc.so.6"]);
        let text = "/d/ovsdb-tool: error while loading shared libraries: libxdp.so.1: cannot open shared object file: No \
            such file or directory\n";
        let names: Vec<_> = not_found(text).collect();
        assert_eq!(names, ["libxdp.so.1"]);
    }
}
