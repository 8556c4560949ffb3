//! `cargo xtask build-ebpf` and `cargo xtask build`: the kernel programs, and siphon with it inside.

use std::path::PathBuf;

use anyhow::Result;

use crate::step::{cargo, target, tell};

/// Builds the kernel programs.
///
/// # Errors
/// Without a toolchain for it, with what to install; or when the compiler fails.
pub fn ebpf() -> Result<()> {
    xtask::ebpf::build()
}

/// Builds siphon in release, the kernel program first, and returns the binary.
///
/// # Errors
/// When one of them does not build.
pub fn siphon() -> Result<PathBuf> {
    ebpf()?;
    tell(&mut cargo(
        "build --release --locked --package capture-daemon --bin siphon",
    )?)?;
    Ok(target()?.join("release/siphon"))
}
