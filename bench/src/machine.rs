//! What the figures were measured on: figures of two machines, or of one that had other work, are not to be compared.

use std::collections::BTreeMap;
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
    /// Versions of the programs that are compared.
    pub programs: BTreeMap<&'static str, String>,
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
            programs: PROGRAMS
                .iter()
                .filter_map(|(name, option)| Some((*name, version(name, option)?)))
                .collect(),
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
            programs,
        } = self;
        let commit = commit.as_deref().unwrap_or("unknown");
        writeln!(f, "{date}, commit {commit}, Linux {kernel}, {cpus} CPUs {cpu}")?;
        let programs: Vec<String> = programs
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        writeln!(
            f,
            "load average {load_average} at the start, files on {disk}, {}",
            programs.join(", ")
        )
    }
}

/// Programs that are compared, and what has them tell their version.
const PROGRAMS: [(&str, &str); 7] = [
    ("tcpdump", "--version"),
    ("dumpcap", "--version"),
    ("netsniff-ng", "--version"),
    ("sngrep", "--version"),
    ("sipgrep", "-V"),
    ("tshark", "--version"),
    ("valgrind", "--version"),
];

/// The version a program tells; `None` where it is not there or tells none.
fn version(name: &str, option: &str) -> Option<String> {
    let said = Command::new(name).arg(option).output().ok()?;
    first_number(&String::from_utf8_lossy(&[said.stdout, said.stderr].concat())).map(str::to_owned)
}

/// The first word that is a version: digits with points between them, perhaps behind a letter or a name.
fn first_number(text: &str) -> Option<&str> {
    text.split(|c: char| c.is_whitespace() || c == '-' || c == ',' || c == ':')
        .map(|word| word.trim_start_matches(char::is_alphabetic).trim_end_matches('.'))
        .find(|word| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.'))
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
    fn versions_are_found_in_what_programs_say() {
        for (said, version) in [
            ("tcpdump version 4.99.3\nlibpcap version 1.10.3", Some("4.99.3")),
            ("valgrind-3.19.0\n", Some("3.19.0")),
            ("Dumpcap (Wireshark) 4.0.17 (Git v4.0.17 packaged", Some("4.0.17")),
            ("sipgrep: V2.1.0, no", Some("2.1.0")),
            ("nothing here", None),
        ] {
            assert_eq!(first_number(said), version, "{said}");
        }
    }

    #[test]
    fn the_model_is_found_or_the_architecture_named() {
        assert_eq!(model("processor\t: 0\nmodel name\t: A B\n"), "A B");
        assert_eq!(model("processor\t: 0\n"), std::env::consts::ARCH);
    }
}
