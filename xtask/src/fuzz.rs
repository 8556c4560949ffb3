//! `cargo xtask fuzz`: the coverage-guided fuzz targets, one for each parser, each for a while.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use xtask::lab::process::run as quietly;

use crate::step::{root, target, tell};

/// Runs the named targets, or all of them, for `seconds` each. What a run finds new goes into its corpus under
/// `capture-daemon/fuzz/corpus`, where the next one begins.
///
/// # Errors
/// A target that is not there, that does not build, or that found something.
pub fn run(names: &[String], seconds: u32) -> Result<()> {
    let listed = quietly(&mut fuzz("list")?)?;
    let targets: Vec<&str> = listed.split_whitespace().collect();
    if let Some(unknown) = names.iter().find(|name| !targets.contains(&name.as_str())) {
        bail!("no fuzz target {unknown}; there are {}", targets.join(", "));
    }
    // Without the address sanitizer: the parsers are safe Rust, and half the time goes into fuzzing instead.
    tell(fuzz("build --sanitizer none")?.stdout(Stdio::null()))?;
    for target in targets {
        if names.is_empty() || names.iter().any(|name| name == target) {
            println!("fuzz {target}");
            // Its report goes into the error, where there is one.
            quietly(&mut fuzz(&format!(
                "run --sanitizer none {target} -- -max_total_time={seconds} -verbosity=0"
            ))?)?;
        }
    }
    Ok(())
}

/// `cargo fuzz` in the daemon's crate. It passes unstable flags for the instrumentation, which the stable compiler takes where
/// it is told to.
fn fuzz(words: &str) -> Result<Command> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(root()?.join("capture-daemon"))
        .env("RUSTC_BOOTSTRAP", "1")
        .arg("fuzz")
        .args(words.split_whitespace());
    if words.starts_with("list") {
        return Ok(command);
    }
    let place: PathBuf = target()?.join("fuzz");
    command.env("CARGO_TARGET_DIR", place);
    Ok(command)
}
