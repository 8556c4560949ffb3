//! The steps of a verb: each with its name, its time, and a clear line when it fails.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Runs one step.
///
/// # Errors
/// What `work` gives, under the step's name.
pub fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("== {name}");
    let begun = Instant::now();
    let done = work().with_context(|| format!("step `{name}` failed"))?;
    println!("== {name}: {:.1} s", begun.elapsed().as_secs_f64());
    Ok(done)
}

/// Runs a program with our own terminal.
///
/// # Errors
/// When it cannot be started or fails.
pub fn tell(command: &mut Command) -> Result<()> {
    let text = format!("{command:?}");
    let status = command.status().with_context(|| format!("start {text}"))?;
    if !status.success() {
        bail!("{text}: {status}");
    }
    Ok(())
}

/// The workspace.
///
/// # Errors
/// When xtask was built outside of one.
pub fn root() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask lies in no workspace")
}

/// `cargo` in the workspace.
///
/// # Errors
/// As [`root`].
pub fn cargo(words: &str) -> Result<Command> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()?).args(words.split_whitespace());
    Ok(command)
}

/// Where cargo puts what it builds.
///
/// # Errors
/// As [`root`].
pub fn target() -> Result<PathBuf> {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => Ok(root()?.join(directory)),
        None => Ok(root()?.join("target")),
    }
}
