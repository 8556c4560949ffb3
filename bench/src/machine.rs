//! What the figures were measured on: figures of two machines, or of one that had other work, are not to be compared.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use xtask::lab::process::run;

/// The machine, as it was at the start.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// When, in UTC (RFC 3339).
    pub date: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Model of the CPU.
    pub cpu: String,
    /// CPUs.
    pub cpus: usize,
    /// The kernel's load average over a minute: at rest it is near 0.
    pub load_average: f64,
    /// File system of the files that are written: its type and device.
    pub disk: String,
    /// The commit measured, with a mark where the tree has changes.
    pub commit: Option<String>,
    /// Version of tcpdump.
    pub tcpdump: String,
}

impl Machine {
    /// Looks at it; `scratch` is where files are written.
    ///
    /// # Errors
    /// When /proc does not say, or there are fewer than two CPUs, or `scratch` lies in memory.
    pub fn look(scratch: &Path) -> Result<Self> {
        let cpuinfo = read("/proc/cpuinfo")?;
        let cpus = std::thread::available_parallelism()?.get();
        ensure!(cpus >= 2, "the generator and the receiver need a CPU each");
        let disk = disk(&read("/proc/self/mounts")?, scratch).context("no file system for the files")?;
        ensure!(
            !disk.starts_with("tmpfs"),
            "{} lies in memory: set TMPDIR to a folder on a disk",
            scratch.display()
        );
        let tcpdump = Command::new("tcpdump")
            .arg("--version")
            .output()
            .context("start tcpdump")?;
        Ok(Self {
            date: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            cpu: model(&cpuinfo).to_owned(),
            cpus,
            load_average: first_word(&read("/proc/loadavg")?).parse().context("/proc/loadavg")?,
            disk,
            commit: run(Command::new("git").args(["describe", "--always", "--dirty", "--exclude=*"]))
                .ok()
                .map(|text| text.trim().to_owned()),
            tcpdump: String::from_utf8_lossy(&[tcpdump.stdout, tcpdump.stderr].concat())
                .lines()
                .find_map(|line| line.strip_prefix("tcpdump version "))
                .unwrap_or("unknown")
                .to_owned(),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            date,
            kernel,
            cpu,
            cpus,
            load_average,
            disk,
            commit,
            tcpdump,
        } = self;
        let commit = commit.as_deref().unwrap_or("unknown");
        writeln!(f, "{date}, commit {commit}, Linux {kernel}, {cpus} CPUs {cpu}")?;
        writeln!(
            f,
            "load average {load_average} at the start, files on {disk}, tcpdump {tcpdump}"
        )
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {path}"))
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

/// The model in /proc/cpuinfo; other architectures than x86 name it in other ways.
fn model(cpuinfo: &str) -> &str {
    let names = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    let mut models = names.filter(|(name, _)| name.trim() == "model name");
    models.next().map_or(std::env::consts::ARCH, |(_, model)| model.trim())
}

/// Type and device of the file system `path` lies on: of those mounted above it the nearest, of two at one place the later
/// (proc_pid_mounts(5)).
fn disk(mounts: &str, path: &Path) -> Option<String> {
    let mut nearest: Option<(usize, String)> = None;
    for mount in mounts.lines() {
        let mut fields = mount.split(' ');
        let (device, directory, kind) = (fields.next()?, fields.next()?, fields.next()?);
        let depth = Path::new(directory).components().count();
        if path.starts_with(directory) && nearest.as_ref().is_none_or(|(found, _)| depth >= *found) {
            nearest = Some((depth, format!("{kind} on {device}")));
        }
    }
    nearest.map(|(_, disk)| disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_is_the_disk() {
        let mounts = "/dev/vda / ext4 rw 0 0\nproc /proc proc rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n";
        let of = |path: &str| disk(mounts, Path::new(path)).unwrap();
        assert_eq!(of("/tmp/a"), "tmpfs on tmpfs");
        assert_eq!(of("/var/tmp"), "ext4 on /dev/vda");
        assert_eq!(disk("", Path::new("/tmp")), None);
    }

    #[test]
    fn the_model_is_found_or_the_architecture_named() {
        assert_eq!(model("processor\t: 0\nmodel name\t: A B\n"), "A B");
        assert_eq!(model("processor\t: 0\n"), std::env::consts::ARCH);
    }
}
