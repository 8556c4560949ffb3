//! Builds the kernel programs. It needs a Rust compiler for `bpfel-unknown-none`, which has no tier: either rustup's
//! nightly with the sources of `core`, or a distribution that brings `core` ready-made.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};

use crate::lab::{program, search_directories};

const TARGET: &str = "bpfel-unknown-none";

/// The objects capture-ebpf makes: the daemon's program, and the bench's generator and smallest receiver.
const OBJECTS: [&str; 2] = ["siphon", "load"];

/// Where Debian's packages rustc-web and cargo-web put their programs.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
/// And rust-web-clippy its.
const DEBIAN_CLIPPY: &str = "/usr/bin/cargo-clippy";

/// Where cargo puts what it builds for the kernel, in the workspace: two toolchains in one directory would build
/// everything anew in turns.
const TARGET_DIRECTORY: &str = "target/capture-ebpf";

/// A compiler that can do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Toolchain {
    /// `rustup run nightly`, with rust-src.
    Nightly,
    /// Debian's compiler with libstd-rust-web-dev-bpf.
    Debian,
}

impl Toolchain {
    /// The first of the two that is there.
    fn find() -> Result<Self> {
        let nightly = sysroot(Command::new("rustup").args(["run", "nightly", "rustc"]));
        if nightly.is_some_and(|root| root.join("lib/rustlib/src/rust/library/core").is_dir()) {
            return Ok(Self::Nightly);
        }
        let debian = sysroot(&mut Command::new(DEBIAN_RUSTC));
        if debian.is_some_and(|root| root.join("lib/rustlib").join(TARGET).is_dir()) {
            return Ok(Self::Debian);
        }
        bail!(
            "no compiler for {TARGET}: `rustup toolchain install nightly --component rust-src`, or on Debian \
             `apt-get install rustc-web cargo-web libstd-rust-web-dev-bpf`; `cargo xtask setup` does either"
        )
    }

    /// For people.
    fn name(self) -> &'static str {
        match self {
            Self::Nightly => "rustup's nightly with rust-src",
            Self::Debian => "Debian's rustc-web with its core for BPF",
        }
    }

    /// `cargo VERB` for the target, with all that is the same for every verb.
    fn cargo(self, verb: &str) -> Result<Command> {
        let mut command = match self {
            Self::Nightly => {
                let mut command = Command::new("rustup");
                command.args(["run", "nightly", "cargo", verb, "-Z", "build-std=core"]);
                command
            }
            Self::Debian => {
                // `cargo clippy` would find the clippy of rustup.
                let mut command = Command::new(if verb == "clippy" { DEBIAN_CLIPPY } else { DEBIAN_CARGO });
                command.arg(verb);
                command
            }
        };
        // The caller's own cargo leaves its traces in the environment; they mean another toolchain and another target.
        for name in [
            "CARGO",
            "RUSTUP_TOOLCHAIN",
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_TARGET",
        ] {
            command.env_remove(name);
        }
        if self == Self::Debian {
            command
                .env("CARGO", DEBIAN_CARGO)
                .env("RUSTC", DEBIAN_RUSTC)
                // aya-ebpf needs the unstable feature asm_experimental_arch.
                .env("RUSTC_BOOTSTRAP", "1");
        }
        let root = root()?;
        command
            .args(["--quiet", "--release", "--locked", "--target", TARGET, "--target-dir"])
            .arg(root.join(TARGET_DIRECTORY))
            .current_dir(root.join("capture-ebpf"))
            .env("PATH", search_path())
            .env(
                "CARGO_TARGET_BPFEL_UNKNOWN_NONE_RUSTFLAGS",
                format!(
                    "-C linker=bpf-linker -C debuginfo=2 -C link-arg=--btf --cfg bpf_target_arch=\"{}\"",
                    env::consts::ARCH
                ),
            );
        Ok(command)
    }

    /// Runs a command made by [`Self::cargo`].
    fn run(self, command: &mut Command, what: &str) -> Result<()> {
        let output = command.output().with_context(|| format!("start {}", self.name()))?;
        if !output.status.success() {
            bail!(
                "{what} capture-ebpf with {}: {}\n{}",
                self.name(),
                output.status,
                String::from_utf8_lossy(&output.stderr).trim_end()
            );
        }
        Ok(())
    }
}

/// The compiler that [`build`] and [`lint`] take, for people.
///
/// # Errors
/// When there is none, or its clippy is missing, with what to install.
pub fn toolchain() -> Result<&'static str> {
    let toolchain = Toolchain::find()?;
    if toolchain == Toolchain::Debian && !Path::new(DEBIAN_CLIPPY).is_file() {
        bail!("no clippy for {TARGET}: `apt-get install rust-web-clippy`; `cargo xtask setup` does it");
    }
    Ok(toolchain.name())
}

/// Has clippy look at the kernel program, warnings being errors.
///
/// # Errors
/// Without a toolchain, with what to install; when clippy finds something, with what it printed.
pub fn lint() -> Result<()> {
    toolchain()?;
    let toolchain = Toolchain::find()?;
    toolchain.run(toolchain.cargo("clippy")?.args(["--", "-D", "warnings"]), "checking")
}

/// Builds the kernel programs into `target/bpf/` of the workspace. Quiet where nothing had to be done; otherwise says
/// which toolchain it took.
///
/// # Errors
/// Without a toolchain or bpf-linker, with what to install; when the compiler fails, with what it printed.
pub fn build() -> Result<()> {
    if program("bpf-linker").is_none() {
        bail!("bpf-linker is not installed: `cargo xtask setup`, or `cargo install bpf-linker`");
    }
    let toolchain = Toolchain::find()?;
    toolchain.run(&mut toolchain.cargo("build")?, "building")?;
    let mut is_new = false;
    for name in OBJECTS {
        let built = root()?.join(TARGET_DIRECTORY).join(TARGET).join("release").join(name);
        is_new |= install(&built, &object(name)?)?;
    }
    if is_new {
        eprintln!("capture-ebpf: built with {}", toolchain.name());
    }
    Ok(())
}

/// Where [`build`] puts the object `name`, one of `siphon` and `load`.
///
/// # Errors
/// When xtask was built outside of a workspace.
pub fn object(name: &str) -> Result<PathBuf> {
    Ok(root()?.join("target/bpf").join(name))
}

fn root() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask lies in no workspace")
}

/// The directories as the variable `PATH`, for the programs we start.
fn search_path() -> OsString {
    // Every directory came out of a PATH or has no separator in it.
    env::join_paths(search_directories()).unwrap_or_else(|_| env::var_os("PATH").unwrap_or_default())
}

/// The compiler's installation, if the command runs at all.
fn sysroot(rustc: &mut Command) -> Option<PathBuf> {
    let program_name = rustc.get_program().to_string_lossy().into_owned();
    if !Path::new(&program_name).is_absolute() {
        program(&program_name)?;
    }
    let output = rustc.args(["--print", "sysroot"]).output().ok()?;
    let printed = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(printed.trim()))
}

/// Puts the object where the daemon's build script looks, if it is another than the one there, so that an unchanged
/// program rebuilds nothing. Whether it was.
fn install(built: &Path, object: &Path) -> Result<bool> {
    let bytes = fs::read(built).with_context(|| format!("read {}", built.display()))?;
    if fs::read(object).is_ok_and(|present| present == bytes) {
        return Ok(false);
    }
    let directory = object.parent().context("the object lies in no directory")?;
    fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
    // Written aside and renamed: a build that runs meanwhile reads the old object or the new one. Not into the directory
    // itself, which the daemon's build script watches.
    let aside = built.with_extension(format!("{}.part", std::process::id()));
    fs::write(&aside, bytes).with_context(|| format!("write {}", aside.display()))?;
    fs::rename(&aside, object).with_context(|| format!("rename {} to {}", aside.display(), object.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unchanged_object_is_left_alone() {
        let directory = env::temp_dir().join(format!("siphon-ebpf-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let built = directory.join("built");
        let object = directory.join("bpf/siphon");
        fs::write(&built, b"one").unwrap();
        assert!(install(&built, &object).unwrap());
        assert!(!install(&built, &object).unwrap());
        fs::write(&built, b"two").unwrap();
        assert!(install(&built, &object).unwrap());
        assert_eq!(fs::read(&object).unwrap(), b"two");
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_compiler_that_is_not_there_is_no_toolchain() {
        assert_eq!(sysroot(&mut Command::new("no-such-rustc")), None);
        assert_eq!(sysroot(&mut Command::new("/no/such/rustc")), None);
    }
}
