//! Which closed files go, and when: oldest first, and never a file that is not ours.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::SpoolError;
use super::name::Names;
use crate::time::Timestamp;

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all files together, the open ones too; 0: no limit.
    pub max_total: u64,
    /// Age of a file's last frame; zero: no limit.
    pub max_age: Duration,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of the files that are left, the open ones too.
    pub left: u64,
}

struct Closed {
    last_frame: SystemTime,
    path: PathBuf,
    bytes: u64,
}

/// Removes closed files of `names` in `directory` until the limits hold, those whose last frame is oldest first. A closed
/// file's time of modification is the time of its last frame. `open` are the bytes of files that are still written.
///
/// # Errors
/// The folder cannot be read, or a file cannot be removed; the others are.
pub fn retain(
    directory: &Path,
    names: &Names,
    limits: Limits,
    open: u64,
    now: Timestamp,
) -> Result<Removed, SpoolError> {
    let mut removed = Removed::default();
    let mut files = closed(directory, names)?;
    files.sort_by(|one, other| (one.last_frame, &one.path).cmp(&(other.last_frame, &other.path)));
    let mut total = files.iter().map(|file| file.bytes).sum::<u64>().saturating_add(open);
    let oldest = UNIX_EPOCH + Duration::from_nanos(now.minus(limits.max_age).as_nanos());
    let mut result = Ok(());
    for file in files {
        let aged = !limits.max_age.is_zero() && file.last_frame < oldest;
        let over = limits.max_total != 0 && total > limits.max_total;
        if !aged && !over {
            // The others are younger.
            break;
        }
        match fs::remove_file(&file.path) {
            Ok(()) => {
                tracing::info!(file = %file.path.display(), bytes = file.bytes, aged, "removed spool file");
                removed.files += 1;
                removed.bytes += file.bytes;
            }
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                result = Err(SpoolError::io("remove", &file.path, error));
                continue;
            }
        }
        total -= file.bytes;
    }
    removed.left = total;
    result.map(|()| removed)
}

fn closed(directory: &Path, names: &Names) -> Result<Vec<Closed>, SpoolError> {
    let unreadable = |error| SpoolError::io("list", directory, error);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let ours = entry
            .file_name()
            .to_str()
            .is_some_and(|name| names.parts(name).is_some());
        // Of the link itself where it is one, and links are not ours. What vanished meanwhile needs no removal.
        let metadata = entry.metadata().ok().filter(|metadata| ours && metadata.is_file());
        if let Some(metadata) = metadata {
            files.push(Closed {
                last_frame: metadata.modified().map_err(unreadable)?,
                path: entry.path(),
                bytes: metadata.len(),
            });
        }
    }
    Ok(files)
}
