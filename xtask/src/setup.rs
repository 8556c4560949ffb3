//! `cargo xtask setup`: installs what is missing, and says nothing where nothing is.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Result, bail};
use xtask::ebpf;
use xtask::lab::process::run as quietly;
use xtask::lab::program;

use crate::policy::{self, Policy};
use crate::step::{cargo, tell};

/// Programs that tests and the demo start, and the Debian packages they come in.
const PROGRAMS: &[(&str, &str)] = &[
    ("cc", "gcc"),
    ("make", "make"),
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("ss", "iproute2"),
    ("ethtool", "ethtool"),
    ("tcpdump", "tcpdump"),
    ("sipp", "sip-tester"),
    ("tshark", "tshark"),
    ("mergecap", "wireshark-common"),
    ("prometheus", "prometheus"),
    ("promtool", "prometheus"),
];

/// Programs that only tests start.
const PEERS: &[(&str, &str)] = &[
    ("bpftool", "bpftool"),
    ("nft", "nftables"),
    ("kamailio", "kamailio"),
    ("rtpengine", "rtpengine-daemon"),
    ("baresip", "baresip-core"),
    ("turnserver", "coturn"),
    ("turnutils_uclient", "coturn"),
    ("turnutils_peer", "coturn"),
];

/// Programs that the bench compares siphon with, and what counts instructions.
const RIVALS: &[(&str, &str)] = &[
    ("dumpcap", "wireshark-common"),
    ("netsniff-ng", "netsniff-ng"),
    ("sngrep", "sngrep"),
    ("sipgrep", "sipgrep"),
    ("valgrind", "valgrind"),
];

/// Debian's compiler for the kernel program, with `core` ready-made and its clippy.
const BPF_COMPILER: &[&str] = &["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf", "rust-web-clippy"];

/// What bpf-linker is built with. Its LLVM must not be older than that of the compiler whose bitcode it links; rustc-web's
/// is 22.
const BPF_LINKER: &[&str] = &[
    "g++",
    "llvm-22-dev",
    "libpolly-22-dev",
    "libclang-22-dev",
    "libzstd-dev",
    "zlib1g-dev",
];

/// Where Debian puts LLVM 22.
const LLVM: &str = "/usr/lib/llvm-22";

/// What is to be done with what is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Build siphon and capture with it.
    Build,
    /// Compare it with others.
    Bench,
    /// Run every check and every test too.
    Test,
}

/// What is not there.
#[derive(Debug, Default, PartialEq, Eq)]
struct Missing {
    programs: Vec<&'static str>,
    bpf_compiler: bool,
    bpf_linker: bool,
    cargo_deny: bool,
    cargo_fuzz: bool,
    /// Components of the Rust toolchain.
    components: Vec<&'static str>,
}

impl Missing {
    fn look(purpose: Purpose) -> Result<Self> {
        let mut components = Vec::new();
        let tests = purpose == Purpose::Test;
        for (command, component) in [("fmt --version", "rustfmt"), ("clippy --version", "clippy")] {
            if tests && quietly(&mut cargo(command)?).is_err() {
                components.push(component);
            }
        }
        Ok(Self {
            programs: PROGRAMS
                .iter()
                .chain(if tests { PEERS } else { &[] })
                .chain(if purpose == Purpose::Build { &[] } else { RIVALS })
                .map(|(name, _)| *name)
                .filter(|name| program(name).is_none())
                .collect(),
            bpf_compiler: ebpf::toolchain().is_err(),
            bpf_linker: program("bpf-linker").is_none(),
            cargo_deny: tests && program("cargo-deny").is_none(),
            cargo_fuzz: tests && program("cargo-fuzz").is_none(),
            components,
        })
    }

    /// The Debian packages that bring it.
    fn packages(&self) -> BTreeSet<&'static str> {
        let programs = PROGRAMS
            .iter()
            .chain(PEERS)
            .chain(RIVALS)
            .filter(|(name, _)| self.programs.contains(name));
        let mut packages: BTreeSet<&str> = programs.map(|(_, package)| *package).collect();
        if self.bpf_compiler {
            packages.extend(BPF_COMPILER);
        }
        if self.bpf_linker {
            packages.extend(BPF_LINKER);
        }
        packages
    }

    /// What to do on a system whose packages are not known here.
    fn by_hand(&self) -> String {
        let mut lines = vec!["this is not Debian 12, so please install by hand:".to_owned()];
        if !self.programs.is_empty() {
            lines.push(format!("  the programs {}", self.programs.join(", ")));
        }
        if self.bpf_compiler {
            lines.push("  a compiler for BPF: rustup toolchain install nightly --component rust-src".to_owned());
        }
        if self.bpf_linker {
            lines.push("  bpf-linker: cargo install bpf-linker (with an LLVM as new as the compiler's)".to_owned());
        }
        lines.join("\n")
    }
}

/// Installs what is missing.
///
/// # Errors
/// Without root where packages have to be installed, on another system than Debian 12, with what to do by hand, and when
/// an installation fails.
pub fn run(purpose: Purpose) -> Result<()> {
    let missing = Missing::look(purpose)?;
    if missing == Missing::default() {
        return Ok(());
    }
    let packages = missing.packages();
    if !packages.is_empty() {
        if !is_debian_12() {
            bail!("{}", missing.by_hand());
        }
        apt(&packages)?;
    }
    for component in &missing.components {
        tell(Command::new("rustup").args(["component", "add", component]))?;
    }
    if missing.bpf_linker {
        let path = std::env::var("PATH").unwrap_or_default();
        tell(
            cargo("install bpf-linker --no-default-features --features llvm-22")?
                .env("LLVM_PREFIX", LLVM)
                .env("PATH", format!("{LLVM}/bin:{path}")),
        )?;
    }
    if missing.cargo_deny {
        tell(&mut cargo("install cargo-deny --locked")?)?;
    }
    if missing.cargo_fuzz {
        tell(&mut cargo("install cargo-fuzz --locked")?)?;
    }
    let still = Missing::look(purpose)?;
    if still != Missing::default() {
        bail!("still missing after the installation: {still:?}");
    }
    Ok(())
}

/// Installs Debian packages. The services in them are neither started nor left to be started.
fn apt(packages: &BTreeSet<&str>) -> Result<()> {
    let words = packages.iter().copied().collect::<Vec<_>>().join(" ");
    if !rustix::process::geteuid().is_root() {
        bail!("packages are missing and only root may install them: apt-get install --no-install-recommends {words}");
    }
    println!("installing {words}");
    let apt_get = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq");
        command
    };
    tell(apt_get().arg("update"))?;
    let policy = Policy::no_starts()?;
    tell(
        apt_get()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages),
    )?;
    drop(policy);
    policy::disable(packages)
}

/// The system whose packages are known here (os-release(5)).
fn is_debian_12() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let is = |wanted: &str| release.lines().any(|line| line.replace('"', "") == wanted);
    is("ID=debian") && is("VERSION_ID=12")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let missing = Missing {
            programs: vec!["tc", "ip", "sipp", "turnserver", "turnutils_peer", "sngrep"],
            bpf_compiler: true,
            ..Missing::default()
        };
        let packages = missing.packages();
        let expected = [
            "cargo-web",
            "coturn",
            "iproute2",
            "libstd-rust-web-dev-bpf",
            "rust-web-clippy",
            "rustc-web",
            "sip-tester",
            "sngrep",
        ];
        assert_eq!(packages, BTreeSet::from(expected));
        let by_hand = missing.by_hand();
        assert!(by_hand.contains("sipp") && by_hand.contains("rust-src"), "{by_hand}");
        assert!(!by_hand.contains("bpf-linker"), "{by_hand}");
        assert!(Missing::default().packages().is_empty());
    }
}
