//! siphon itself on the sensor, run and asked by its command line as an operator does.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::Value;

use super::compare::Answers;
use super::mirror::TAP;
use super::netns::Netns;
use super::process::{Process, run, wait_for};

/// How long siphon may take to load its program and to answer.
const START: Duration = Duration::from_secs(20);

/// Where it serves its metrics, inside the namespace.
pub const METRICS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

/// A running `siphon run`.
#[derive(Debug)]
pub struct Siphon {
    program: PathBuf,
    process: Process,
    directory: PathBuf,
}

impl Siphon {
    /// Writes a configuration into `directory`, starts `siphon run` with it on [`TAP`] in the sensor's namespace, and
    /// returns once it answers on its socket. `more` is appended to the configuration: further sections, or keys of
    /// `[spool]`, which stands last.
    ///
    /// # Errors
    /// When it ends or does not answer; the error carries what it logged.
    pub fn start(sensor: &Netns, program: &Path, directory: &Path, more: &str) -> Result<Self> {
        let shown = directory.display();
        let text = format!(
            "[capture]\ninterface = \"{TAP}\"\n\n[control]\nsocket = \"{shown}/siphon.sock\"\n\n\
             [metrics]\nlisten = \"{METRICS}\"\n\n[spool]\ndirectory = \"{shown}/spool\"\n{more}\n"
        );
        Self::start_with(sensor, program, directory, &text, &[])
    }

    /// The same with a configuration of the caller's, whose control socket must be `siphon.sock` in `directory`, and with
    /// `environment` added.
    ///
    /// # Errors
    /// As [`Siphon::start`].
    pub fn start_with(
        sensor: &Netns,
        program: &Path,
        directory: &Path,
        text: &str,
        environment: &[(&str, &Path)],
    ) -> Result<Self> {
        let config = directory.join("siphon.toml");
        fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
        let log = directory.join("siphon.log");
        let stderr = File::create(&log).with_context(|| format!("make {}", log.display()))?;
        let mut command = sensor.command(program);
        command
            .args(["run", "--config"])
            .arg(&config)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(stderr.try_clone()?)
            .stderr(stderr);
        let mut siphon = Self {
            program: program.to_owned(),
            process: Process::spawn(&mut command)?,
            directory: directory.to_owned(),
        };
        wait_for("siphon to answer", START, || {
            if !siphon.process.is_running()? {
                bail!("siphon has ended: {}", siphon.log());
            }
            // Until the socket is there the client fails.
            Ok(siphon.json(["status"]).ok().map(drop))
        })
        .with_context(|| siphon.log())?;
        Ok(siphon)
    }

    /// What `siphon VERB …` prints.
    ///
    /// # Errors
    /// When the client fails; the error carries its stderr.
    pub fn ask<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Result<String> {
        run(&mut self.client(words))
    }

    /// The same with exit status and both outputs, for a verb whose exit status is its answer.
    ///
    /// # Errors
    /// When the client cannot be started.
    pub fn output<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Result<Output> {
        self.client(words).output().context("start the client")
    }

    /// The client, told where the socket is.
    fn client<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(words)
            .arg("--socket")
            .arg(self.directory.join("siphon.sock"));
        command
    }

    /// Waits until the kernel program has seen `frames` frames and the workers are done with all it captured, and returns
    /// the status of that moment.
    ///
    /// # Errors
    /// When that is not so after 20 seconds; the error carries the figures.
    pub fn wait_seen(&self, frames: u64) -> Result<Value> {
        let mut figures = String::new();
        wait_for(&format!("siphon to have seen {frames} frames"), START, || {
            let status = self.json(["status"])?;
            let identity = &status["identity"];
            let (program, sockets) = (&identity["program"], &identity["sockets"]);
            let seen = program["seen"].as_u64();
            let captured = program["passed"]["captured"].as_u64();
            let taken = identity["engine"]["seen"]
                .as_u64()
                .map(|seen| seen + sum(&sockets["dropped"]));
            figures = format!("{identity}");
            Ok((seen == Some(frames) && captured == taken).then_some(status))
        })
        .with_context(|| format!("where the frames are: {figures}"))
    }

    /// What siphon says of the traffic so far.
    ///
    /// # Errors
    /// When it does not answer, or not as the contract says.
    pub fn answers(&self) -> Result<Answers> {
        let (status, calls, streams) = (self.json(["status"])?, self.json(["calls"])?, self.json(["streams"])?);
        Answers::new(&status["sip"], &calls["calls"], &streams["streams"])
    }

    /// Lets `siphon VERB …` print on our own terminal. Its exit status may be its answer, as that of `health`, and is
    /// none of ours.
    ///
    /// # Errors
    /// When the client cannot be started.
    pub fn show(&self, verb: &str) -> Result<()> {
        self.client([verb])
            .status()
            .with_context(|| format!("start siphon {verb}"))
            .map(drop)
    }

    /// What `siphon VERB --json …` prints.
    ///
    /// # Errors
    /// When the client fails, or prints no JSON.
    pub fn json<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Result<Value> {
        let words = words.into_iter().map(|word| word.as_ref().to_owned());
        let text = self.ask(words.chain([OsStr::new("--json").to_owned()]))?;
        serde_json::from_str(&text).with_context(|| format!("siphon printed no JSON: {text}"))
    }

    /// Why its health is not green, but for a disk that is filling: that is the test machine's own, whatever siphon does.
    ///
    /// # Errors
    /// When it does not answer, or not as the contract says.
    pub fn complaints(&self) -> Result<Vec<Value>> {
        // The exit status is the light, and no failure.
        let output = self.output(["health", "--json"])?;
        let answer: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("health: {}", String::from_utf8_lossy(&output.stderr)))?;
        let reasons = answer["reasons"].as_array().context("health has no reasons")?;
        let is_ours = |reason: &&Value| reason["what"] != "disk_filling";
        Ok(reasons.iter().filter(is_ours).cloned().collect())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Sends a signal and waits for the end.
    ///
    /// # Errors
    /// When siphon still runs after `limit`.
    pub fn stop(&mut self, signal: Signal, limit: Duration) -> Result<ExitStatus> {
        self.process.stop(signal, limit).with_context(|| self.log())
    }

    /// Closed capture files, in order of their names.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let spool = self.directory.join("spool");
        let mut files = Vec::new();
        for entry in fs::read_dir(&spool).with_context(|| format!("read {}", spool.display()))? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "pcap" || extension == "pcapng")
            {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("siphon.log")).unwrap_or_default()
    }
}

/// The sum of an object's counts.
pub fn sum(counts: &Value) -> u64 {
    let values = counts.as_object().into_iter().flat_map(serde_json::Map::values);
    values.filter_map(Value::as_u64).sum()
}

/// `siphon replay --json FILE…`, which has no root and no socket.
///
/// # Errors
/// When it fails, or prints no JSON.
pub fn replay(program: &Path, files: &[PathBuf]) -> Result<Value> {
    let text = run(Command::new(program).args(["replay", "--json"]).args(files))?;
    serde_json::from_str(&text).with_context(|| format!("siphon printed no JSON: {text}"))
}
