//! A network namespace with a name, gone with everything in it when its guard is dropped.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::live::Live;
use super::process::{Process, run, wait_for};
use super::scratch::{PREFIX, is_stale};

/// Where iproute2 keeps the names (ip-netns(8)).
const DIRECTORY: &str = "/run/netns";

/// Numbers the namespaces of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Names of the namespaces that exist now, for [`remove_all`].
static LIVE: Live<String> = Live::new();

/// A network namespace. Dropped, it takes its processes and its links with it.
#[derive(Debug)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// Makes a namespace named `siphon-PID-NUMBER-label` with its loopback up. The first one of a process also removes
    /// what processes left behind that died before they could clean up.
    ///
    /// # Errors
    /// Without root, or when `ip netns add` fails.
    pub fn new(label: &str) -> Result<Self> {
        static SWEEP: Once = Once::new();
        SWEEP.call_once(sweep);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}-{}-{number}-{label}", std::process::id());
        LIVE.add(&name, || {
            run(Command::new("ip").args(["netns", "add", &name])).map(drop)
        })?;
        // From here on the guard removes it, whatever fails.
        let netns = Self { name };
        netns.ip("link set lo up")?;
        Ok(netns)
    }

    /// The name `ip netns` knows it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for the namespace.
    pub fn path(&self) -> PathBuf {
        Path::new(DIRECTORY).join(&self.name)
    }

    /// A command for a program inside the namespace. `ip netns exec` replaces itself by the program, so a child's
    /// process id is the program's own, and gives it a `/sys` of the namespace.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs a program and its arguments, split at white space, inside the namespace and returns what it printed.
    ///
    /// # Errors
    /// When it cannot be started or fails; the error carries the command and its stderr.
    pub fn exec(&self, line: &str) -> Result<String> {
        let mut words = line.split_whitespace();
        let program = words.next().context("an empty command line")?;
        run(self.command(program).args(words))
    }

    /// `ip -n NAME …`, arguments split at white space.
    ///
    /// # Errors
    /// When `ip` fails; the error carries the command and its stderr.
    pub fn ip(&self, line: &str) -> Result<String> {
        run(Command::new("ip")
            .args(["-n", &self.name])
            .args(line.split_whitespace()))
    }

    /// Starts a program and its arguments, split at white space, inside the namespace.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self, line: &str) -> Result<Process> {
        let mut words = line.split_whitespace();
        let program = words.next().context("an empty command line")?;
        Process::spawn(self.command(program).args(words))
    }

    /// Runs `work` on a new thread inside the namespace: sockets it opens belong there, also after it returned.
    /// Only the network changes: `/proc/sys/net` is the namespace's, `/sys/class/net` stays the machine's.
    ///
    /// # Errors
    /// When the namespace cannot be entered; what `work` returns is inside the `Ok`.
    ///
    /// # Panics
    /// When `work` does.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let path = self.path();
        let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        let entered = thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
                Ok::<T, io::Error>(work())
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        entered.with_context(|| format!("enter the namespace {}", self.name))
    }

    /// Whether the kernel has IPv6 at all.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn has_ipv6(&self) -> Result<bool> {
        self.enter(|| Path::new("/proc/sys/net/ipv6").exists())
    }

    /// Writes a value under `/proc/sys/net`, for this namespace.
    ///
    /// # Errors
    /// When the key is not there or refuses the value.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys/net").join(key);
        self.enter(|| fs::write(&path, value))?
            .with_context(|| format!("write {value} to {} in {}", path.display(), self.name))
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if LIVE.take(&self.name)
            && let Err(error) = remove(&self.name)
        {
            eprintln!("namespace {} is left over: {error:#}", self.name);
        }
    }
}

/// Removes every namespace this process has made, and lets no more be made: for the way out on a signal, where no guard is
/// dropped.
pub(super) fn remove_all() {
    for name in LIVE.close() {
        if let Err(error) = remove(&name) {
            eprintln!("namespace {name} is left over: {error:#}");
        }
    }
}

/// Ends the processes of a namespace, waits until they are gone, and takes the name away; the kernel then takes
/// the links.
fn remove(name: &str) -> Result<()> {
    wait_for("end of its processes", Duration::from_secs(5), || {
        let pids = processes(name)?;
        for pid in &pids {
            // It may have ended by itself since the list was made.
            let _ = kill_process(*pid, Signal::KILL);
        }
        Ok(pids.is_empty().then_some(()))
    })?;
    run(Command::new("ip").args(["netns", "delete", name])).map(drop)
}

/// Processes whose first thread lives in the namespace, except this one.
fn processes(name: &str) -> Result<Vec<Pid>> {
    let listed = run(Command::new("ip").args(["netns", "pids", name]))?;
    let own = rustix::process::getpid();
    listed
        .split_whitespace()
        .map(|word| match word.parse().ok().and_then(Pid::from_raw) {
            Some(pid) => Ok(pid),
            None => bail!("`ip netns pids {name}` printed {word:?}"),
        })
        .filter(|pid| !pid.as_ref().is_ok_and(|pid| *pid == own))
        .collect()
}

/// Removes namespaces with our prefix whose process is dead.
fn sweep() {
    let Ok(entries) = fs::read_dir(DIRECTORY) else {
        // No namespace has ever been made on this machine.
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_stale(&name) {
            // Another process may be sweeping the same one; a real failure shows at the next `ip netns`.
            let _ = remove(&name);
        }
    }
}
