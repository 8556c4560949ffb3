//! Keeps Debian's packages from starting the services they bring: tests start these programs themselves, elsewhere.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use xtask::lab::process::run as quietly;
use xtask::lab::program;

/// Whom invoke-rc.d(8) and deb-systemd-invoke(1p) ask before they start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Packages and the services they have the system start.
const SERVICES: &[(&str, &str)] = &[
    ("coturn", "coturn"),
    ("kamailio", "kamailio"),
    ("prometheus", "prometheus"),
    ("rtpengine-daemon", "rtpengine-daemon"),
];

/// The answer "no" to every start, while it lives.
#[derive(Debug)]
pub struct Policy {
    file: Option<PathBuf>,
}

impl Policy {
    /// Puts the answer in place. Where the machine has one of its own, that holds.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn no_starts() -> Result<Self> {
        Self::at(Path::new(POLICY), std::process::id())
    }

    fn at(path: &Path, owner: u32) -> Result<Self> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o755).open(path);
        let mut file = match made {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(Self { file: None }),
            Err(error) => return Err(error).with_context(|| format!("make {}", path.display())),
        };
        let guard = Self {
            file: Some(path.to_owned()),
        };
        // 101: forbidden. Left behind by a process that was killed, it forbids nothing and goes away.
        write!(
            file,
            "#!/bin/sh\nif kill -0 {owner} 2>/dev/null; then exit 101; fi\nrm -f \"$0\"\nexit 0\n"
        )
        .with_context(|| format!("write {}", path.display()))?;
        Ok(guard)
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if let Some(file) = &self.file
            && let Err(error) = fs::remove_file(file)
        {
            eprintln!("{} is left over: {error}", file.display());
        }
    }
}

/// Keeps the services of packages that were just installed from coming up at the next boot.
///
/// # Errors
/// When systemctl fails.
pub fn disable<'a>(packages: impl IntoIterator<Item = &'a &'a str>) -> Result<()> {
    let units = units(packages);
    if units.is_empty() || program("systemctl").is_none() {
        return Ok(());
    }
    quietly(Command::new("systemctl").args(["--quiet", "disable"]).args(units)).map(drop)
}

fn units<'a>(packages: impl IntoIterator<Item = &'a &'a str>) -> Vec<&'static str> {
    let unit = |package: &str| {
        SERVICES
            .iter()
            .find(|(name, _)| *name == package)
            .map(|(_, unit)| *unit)
    };
    packages.into_iter().filter_map(|package| unit(package)).collect()
}

#[cfg(test)]
mod tests {
    use xtask::lab::Scratch;

    use super::*;

    fn answer(file: &Path) -> Option<i32> {
        Command::new("sh").arg(file).status().unwrap().code()
    }

    #[test]
    fn the_answer_is_no_while_its_owner_lives() {
        let scratch = Scratch::new("policy").unwrap();
        let file = scratch.path().join("policy-rc.d");
        let policy = Policy::at(&file, std::process::id()).unwrap();
        assert_eq!(answer(&file), Some(101));
        // Another's answer is neither replaced nor removed.
        drop(Policy::at(&file, 1).unwrap());
        assert_eq!(answer(&file), Some(101));
        drop(policy);
        assert!(!file.exists());
    }

    #[test]
    fn left_behind_it_forbids_nothing_and_goes() {
        let scratch = Scratch::new("policy").unwrap();
        let file = scratch.path().join("policy-rc.d");
        let mut ended = Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        std::mem::forget(Policy::at(&file, ended.id()).unwrap());
        assert_eq!(answer(&file), Some(0));
        assert!(!file.exists());
    }

    #[test]
    fn only_services_of_what_was_installed_are_named() {
        assert_eq!(units(&["iproute2", "coturn"]), ["coturn"]);
    }
}
