//! A program that serves or waits for calls: started in a namespace, its output in a file, ready when it says or shows so.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::netns::Netns;
use super::process::{Process, describe, wait_for};

/// How long a program may take to come up or to end.
const LIMIT: Duration = Duration::from_secs(20);

/// A running program.
#[derive(Debug)]
pub(super) struct Server {
    process: Process,
    log: PathBuf,
}

impl Server {
    /// Starts `command`, with stdout and stderr in the file `log`, and returns once `ready` holds; it is given what the
    /// program has written so far.
    ///
    /// # Errors
    /// When the program is not there, ends, or is not ready in time; the error carries what it wrote.
    pub(super) fn start(command: &mut Command, log: &Path, ready: impl Fn(&str) -> Result<bool>) -> Result<Self> {
        let output = File::create(log).with_context(|| format!("make {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut server = Self {
            process: Process::spawn(command)?,
            log: log.to_owned(),
        };
        wait_for(&format!("`{}` to be ready", describe(command)), LIMIT, || {
            if !server.process.is_running()? {
                bail!("`{}` has ended", describe(command));
            }
            Ok(ready(&server.output())?.then_some(()))
        })
        .with_context(|| server.output())?;
        Ok(server)
    }

    /// Everything it has written.
    pub(super) fn output(&self) -> String {
        fs::read(&self.log).map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Waits until it has written what `found` looks for.
    ///
    /// # Errors
    /// When that does not come; the error carries what it wrote.
    pub(super) fn wait_output<T>(&self, what: &str, found: impl Fn(&str) -> Option<T>) -> Result<T> {
        wait_for(what, LIMIT, || Ok(found(&self.output()))).with_context(|| self.output())
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// When it does not.
    pub(super) fn stop(&mut self) -> Result<ExitStatus> {
        self.process.stop(Signal::TERM, LIMIT).with_context(|| self.output())
    }
}

/// Whether a socket is bound to the port; `protocol` is the option of `ss` for it, `-u` or `-t`.
///
/// # Errors
/// When `ss` fails.
pub(super) fn listens(host: &Netns, protocol: &str, port: u16) -> Result<bool> {
    let sockets = host.exec(&format!("ss -H -n -l -a {protocol} sport = {port}"))?;
    Ok(!sockets.trim().is_empty())
}
