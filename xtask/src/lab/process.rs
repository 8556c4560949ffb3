//! A program that runs until its guard is dropped.

use std::io;
use std::process::{Child, Command, ExitStatus, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How often a wait looks again.
const LOOK: Duration = Duration::from_millis(10);

/// A started program; killed and reaped on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    command: String,
}

impl Process {
    /// Starts `command`.
    ///
    /// # Errors
    /// When the program cannot be started; the error names it.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let text = describe(command);
        let child = command.spawn().with_context(|| format!("start `{text}`"))?;
        Ok(Self { child, command: text })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The child itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends a signal; a process that has already ended is no error.
    ///
    /// # Errors
    /// When the kernel refuses the signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        match kill_process(Pid::from_child(&self.child), signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => Err(errno).with_context(|| format!("send {signal:?} to `{}`", self.command)),
        }
    }

    /// Whether the process still runs.
    ///
    /// # Errors
    /// When its state cannot be asked.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When the process still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= end {
                bail!("`{}` still runs after {limit:?}", self.command);
            }
            sleep(LOOK);
        }
    }

    /// Sends `signal` and waits for the end.
    ///
    /// # Errors
    /// When the process still runs after `limit`, or the kernel refuses the signal.
    pub fn stop(&mut self, signal: Signal, limit: Duration) -> Result<ExitStatus> {
        self.signal(signal)?;
        self.wait(limit)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already ended, or cannot be helped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `command` to its end and returns what it printed.
///
/// # Errors
/// When it cannot be started or fails; the error carries the command and its stderr.
pub fn run(command: &mut Command) -> Result<String> {
    let text = describe(command);
    let Output { status, stdout, stderr } = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => anyhow::anyhow!("`{text}`: program not found"),
        _ => anyhow::Error::new(error).context(format!("run `{text}`")),
    })?;
    if !status.success() {
        bail!("`{text}`: {status}: {}", String::from_utf8_lossy(&stderr).trim());
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// Looks until `ready` gives a value.
///
/// # Errors
/// When `limit` has passed, with `what` was waited for, or as soon as `ready` fails.
pub fn wait_for<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = ready()? {
            return Ok(value);
        }
        if Instant::now() >= end {
            bail!("{what}: not so after {limit:?}");
        }
        sleep(LOOK);
    }
}

/// The command as one would type it.
pub(crate) fn describe(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_carries_command_and_stderr() {
        let error = run(Command::new("sh").args(["-c", "echo broken >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("sh -c") && text.contains("broken"), "{text}");
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let process = Process::spawn(Command::new("sleep").arg("600")).unwrap();
        let pid = Pid::from_child(&process.child);
        drop(process);
        assert!(kill_process(pid, Signal::CONT).is_err());
    }

    #[test]
    fn stop_reports_how_it_ended() {
        let mut process = Process::spawn(Command::new("sleep").arg("600")).unwrap();
        let status = process.stop(Signal::TERM, Duration::from_secs(10)).unwrap();
        assert!(!status.success());
        assert!(!process.is_running().unwrap());
    }
}
