//! A directory that is gone when its guard is dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use super::live::Live;

/// First word of every name, so that leftovers are known as ours.
pub(super) const PREFIX: &str = "siphon";

/// Numbers the directories of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// The directories that exist now, for [`remove_all`].
static LIVE: Live<PathBuf> = Live::new();

/// A directory for what a test or the demo writes.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes `siphon-PID-NUMBER-label` in the directory for temporary files. The first one of a process also removes
    /// those of dead processes.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn new(label: &str) -> Result<Self> {
        static SWEEP: Once = Once::new();
        SWEEP.call_once(sweep);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("{PREFIX}-{}-{number}-{label}", std::process::id()));
        LIVE.add(&path, || {
            fs::create_dir(&path).with_context(|| format!("make the directory {}", path.display()))
        })?;
        Ok(Self { path })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file into it and returns its path.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::write(&path, contents).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if LIVE.take(&self.path) {
            remove(&self.path);
        }
    }
}

/// Removes every directory this process has made, and lets no more be made: for the way out on a signal, where no guard
/// is dropped.
pub(super) fn remove_all() {
    for path in LIVE.close() {
        remove(&path);
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        eprintln!("{} is left over: {error}", path.display());
    }
}

/// Removes directories with our prefix whose process is dead.
fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        // Then the directory cannot be made either, and that says so.
        return;
    };
    for entry in entries.flatten() {
        if is_stale(&entry.file_name().to_string_lossy()) {
            remove(&entry.path());
        }
    }
}

/// Whether a name `siphon-PID-…` was given by a process that is dead.
pub(super) fn is_stale(name: &str) -> bool {
    maker(name).is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

/// The process that gave this name, if one of ours did.
fn maker(name: &str) -> Option<u32> {
    let (pid, _) = name.strip_prefix(PREFIX)?.strip_prefix('-')?.split_once('-')?;
    pid.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_have_a_maker() {
        assert_eq!(maker("siphon-42-0-a"), Some(42));
        assert_eq!(maker("siphon-demo"), None);
        assert_eq!(maker("siphon-x-0-a"), None);
        assert_eq!(maker("docker-42-0-a"), None);
    }

    #[test]
    fn a_living_process_keeps_its_names() {
        assert!(!is_stale(&format!("siphon-{}-0-a", std::process::id())));
        // Above the kernel's highest process id (PID_MAX_LIMIT, 2^22).
        assert!(is_stale("siphon-4194305-0-a"));
        assert!(!is_stale("docker-4194305-0-a"));
    }

    #[test]
    fn a_directory_goes_with_its_files() {
        let scratch = Scratch::new("test").unwrap();
        let file = scratch.write("file", "text").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "text");
        drop(scratch);
        assert!(!file.exists());
    }
}
