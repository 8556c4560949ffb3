//! Embeds the kernel program, where it was built: `cargo xtask build-ebpf` puts it at `target/bpf/siphon`. Without it
//! the daemon still builds, and everything but live capture works.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo::rustc-check-cfg=cfg(siphon_ebpf)");
    println!("cargo::rerun-if-changed=build.rs");
    let Some(manifest) = env::var_os("CARGO_MANIFEST_DIR") else {
        return;
    };
    let directory = PathBuf::from(manifest).join("../target/bpf");
    // Watched as a directory that is always there: cargo takes a missing path for changed, at every build.
    if fs::create_dir_all(&directory).is_ok() {
        println!("cargo::rerun-if-changed={}", directory.display());
    }
    if let Ok(object) = directory.join("siphon").canonicalize() {
        println!("cargo::rerun-if-changed={}", object.display());
        println!("cargo::rustc-cfg=siphon_ebpf");
        println!("cargo::rustc-env=SIPHON_EBPF={}", object.display());
    }
}
