//! `cargo xtask fuzz`: the coverage-guided fuzz targets, one for each parser, each for a while.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use xtask::lab::process::run as quietly;

use crate::step::{root, target, tell};

/// Runs the named targets, or all of them, for `seconds` each. A run begins with the corpus that the repository keeps, under
/// `capture-daemon/fuzz/corpus`, and with what earlier runs on this machine found, under `target/fuzz-found`, where it adds what it
/// finds. With `keep`, what covers more than the repository's corpus does goes there afterwards.
///
/// # Errors
/// A target that is not there, that does not build, or that found something.
pub fn run(names: &[String], seconds: u32, keep: bool) -> Result<()> {
    let listed = quietly(&mut fuzz(&["list"])?)?;
    let targets: Vec<&str> = listed.split_whitespace().collect();
    if let Some(unknown) = names.iter().find(|name| !targets.contains(&name.as_str())) {
        bail!("no fuzz target {unknown}; there are {}", targets.join(", "));
    }
    // Without the address sanitizer: the parsers are safe Rust, and half the time goes into fuzzing instead.
    tell(fuzz(&["build", "--sanitizer", "none"])?.stdout(Stdio::null()))?;
    for target in targets {
        if names.is_empty() || names.iter().any(|name| name == target) {
            println!("fuzz {target}");
            let corpora = Corpora::of(target)?;
            corpora.explore(target, seconds)?;
            if keep {
                corpora.keep(target)?;
            }
        }
    }
    Ok(())
}

/// The inputs of one target.
struct Corpora {
    /// In the repository.
    kept: PathBuf,
    /// Found on this machine.
    found: PathBuf,
}

impl Corpora {
    fn of(name: &str) -> Result<Self> {
        let corpora = Self {
            kept: root()?.join("capture-daemon/fuzz/corpus").join(name),
            found: target()?.join("fuzz-found").join(name),
        };
        for folder in [&corpora.kept, &corpora.found] {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(corpora)
    }

    /// Fuzzes. libFuzzer writes what is new into the first folder. Its report goes into the error, where there is one.
    fn explore(&self, name: &str, seconds: u32) -> Result<()> {
        let time = format!("-max_total_time={seconds}");
        let dictionary = match dictionary(name) {
            Some(words) => Some(format!(
                "-dict={}",
                root()?.join("capture-daemon/fuzz/dictionaries").join(words).display()
            )),
            None => None,
        };
        let options: Vec<&str> = [time.as_str(), "-verbosity=0"]
            .into_iter()
            .chain(dictionary.as_deref())
            .collect();
        libfuzzer(name, [&self.found, &self.kept], &options)
    }

    /// Takes over into the repository what covers more.
    fn keep(&self, name: &str) -> Result<()> {
        libfuzzer(name, [&self.kept, &self.found], &["-merge=1", "-verbosity=0"])
    }
}

/// The words of the text that a target reads: bytes changed one by one hardly ever make a header's name.
fn dictionary(name: &str) -> Option<&'static str> {
    match name {
        "sip_message" | "sip_stream" | "call_headers" | "digest" => Some("sip.dict"),
        "sdp" => Some("sdp.dict"),
        "websocket" => Some("websocket.dict"),
        "config" => Some("config.dict"),
        _ => None,
    }
}

fn libfuzzer(name: &str, corpora: [&Path; 2], options: &[&str]) -> Result<()> {
    let mut command = fuzz(&["run", "--sanitizer", "none", name])?;
    command.args(corpora).arg("--").args(options);
    quietly(&mut command).map(drop)
}

/// `cargo fuzz` in the daemon's crate. It passes unstable flags for the instrumentation, which the stable compiler takes where
/// it is told to.
fn fuzz(words: &[&str]) -> Result<Command> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(root()?.join("capture-daemon"))
        .env("RUSTC_BOOTSTRAP", "1")
        .arg("fuzz")
        .args(words);
    if words != ["list"] {
        command.env("CARGO_TARGET_DIR", target()?.join("fuzz"));
    }
    Ok(command)
}
