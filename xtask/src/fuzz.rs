//! `cargo xtask fuzz`: the coverage-guided fuzz targets, one for each parser, each for a while.

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use xtask::lab::process::run as quietly;

use crate::step::{root, target, tell};

/// Runs the named targets, or all of them, for `seconds` of CPU time each: what else the machine does takes nothing away from them. A run begins with the corpus that the repository keeps, under
/// `capture-daemon/fuzz/corpus`, and with what earlier runs on this machine found, under `target/fuzz-found`, where it adds what it
/// finds. With `keep`, what covers more than the repository's corpus does goes there afterwards, and the run is noted in
/// `capture-daemon/fuzz/runs.tsv`.
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
                note(target, seconds)?;
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

    /// Fuzzes until `seconds` of CPU time are used. libFuzzer, which knows only the clock on the wall, is started again for what
    /// is left.
    fn explore(&self, name: &str, seconds: u32) -> Result<()> {
        let until = of_children()? + f64::from(seconds);
        loop {
            let left = until - of_children()?;
            if left <= 0.0 {
                return Ok(());
            }
            self.explore_for(name, left.ceil())?;
        }
    }

    /// Fuzzes for `seconds` on the wall. libFuzzer writes what is new into the first folder. Its report goes into the error, where
    /// there is one.
    fn explore_for(&self, name: &str, seconds: f64) -> Result<()> {
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

/// Adds to the list of runs that found nothing: date, commit, target, seconds of CPU time.
fn note(name: &str, seconds: u32) -> Result<()> {
    let mut git = Command::new("git");
    git.current_dir(root()?)
        .args(["log", "-1", "--format=%cd\t%h", "--date=format:%Y-%m-%d"]);
    let commit = quietly(&mut git)?;
    let path = root()?.join("capture-daemon/fuzz/runs.tsv");
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    writeln!(file, "{}\t{name}\t{seconds}", commit.trim_end())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// CPU seconds of all children that have ended, and of theirs: fields 16 and 17 of proc_pid_stat(5), in ticks of 1/100 s. The
/// second field, the name, stands in parentheses and may contain anything.
fn of_children() -> Result<f64> {
    let text = fs::read_to_string("/proc/self/stat").context("read /proc/self/stat")?;
    let ticks = || {
        let (_, behind_name) = text.rsplit_once(')')?;
        let mut fields = behind_name.split_whitespace().skip(13);
        Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
    };
    let ticks = ticks().with_context(|| format!("/proc/self/stat: {text:?}"))?;
    Ok(ticks as f64 / 100.0)
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
