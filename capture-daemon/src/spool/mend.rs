//! Leftovers of a siphon that was killed: cut after the last whole record, given their names, or removed when empty.

use std::fs::{self, File, FileTimes, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::SpoolError;
use super::name::{Names, PART};
use super::record;
use super::series::publish;
use crate::config::Format;
use crate::time::Timestamp;

/// What became of a leftover.
#[derive(Debug)]
pub enum Mended {
    /// Cut where needed, and closed.
    Closed {
        /// The file under its final name.
        file: PathBuf,
        /// Whole records in it.
        frames: u64,
        /// Bytes that were cut off behind them.
        cut: u64,
    },
    /// Held no whole record, and was removed.
    Removed {
        /// The file as it was.
        file: PathBuf,
    },
    /// Belongs to a siphon that is running, or is being read.
    Locked {
        /// The file, left as it is.
        file: PathBuf,
    },
    /// Could not be mended; the next start tries again.
    Failed {
        /// Operation, file and errno.
        error: SpoolError,
    },
}

/// Mends every leftover of `names` in `directory`.
///
/// # Errors
/// The folder cannot be read. What goes wrong with one file is told in its place in the list.
pub fn mend(directory: &Path, names: &Names) -> Result<Vec<Mended>, SpoolError> {
    let unreadable = |error| SpoolError::io("list", directory, error);
    let mut leftovers = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let file_name = entry.file_name();
        let name = file_name.to_str().and_then(|name| name.strip_suffix(PART));
        if name.is_some_and(|name| names.parts(name).is_some()) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            leftovers.push(entry.path());
        }
    }
    leftovers.sort();
    let mended = leftovers.into_iter().map(|part| {
        let mended = mend_file(directory, names, &part).unwrap_or_else(|error| Mended::Failed { error });
        match &mended {
            Mended::Failed { error } => tracing::warn!(%error, "leftover spool file not mended"),
            Mended::Locked { file } => tracing::info!(file = %file.display(), "spool file in use left alone"),
            Mended::Removed { file } => tracing::info!(file = %file.display(), "removed leftover without a frame"),
            Mended::Closed { file, frames, cut } => {
                tracing::info!(file = %file.display(), frames, cut, "mended leftover spool file");
            }
        }
        mended
    });
    Ok(mended.collect())
}

fn mend_file(directory: &Path, names: &Names, part: &Path) -> Result<Mended, SpoolError> {
    let failed = |operation| move |error| SpoolError::io(operation, part, error);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(part)
        .map_err(failed("open"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Mended::Locked { file: part.to_owned() }),
        Err(TryLockError::Error(error)) => return Err(failed("lock")(error)),
    }
    let size = file.metadata().map_err(failed("stat"))?.len();
    let Some(whole) = measure(&file, size).map_err(failed("read"))? else {
        fs::remove_file(part).map_err(failed("remove"))?;
        return Ok(Mended::Removed { file: part.to_owned() });
    };
    if whole.len < size {
        file.set_len(whole.len).map_err(failed("cut"))?;
    }
    let last_frame = UNIX_EPOCH + Duration::from_nanos(whole.latest.as_nanos());
    file.set_times(FileTimes::new().set_modified(last_frame))
        .map_err(failed("date"))?;
    file.sync_all().map_err(failed("sync"))?;
    let path = free_name(directory, names, part)?;
    publish(part, &path)?;
    Ok(Mended::Closed {
        file: path,
        frames: whole.frames,
        cut: size - whole.len,
    })
}

/// The name without `.part`, or with the next number where a file has that name already.
fn free_name(directory: &Path, names: &Names, part: &Path) -> Result<PathBuf, SpoolError> {
    let name = part
        .file_name()
        .and_then(|name| name.to_str()?.strip_suffix(PART))
        .unwrap_or_default();
    let mut parts = names.parts(name).unwrap_or_default();
    loop {
        let path = directory.join(names.name(&parts));
        if !path.exists() {
            return Ok(path);
        }
        parts.number = parts.number.checked_add(1).ok_or_else(|| {
            SpoolError::io(
                "find a free name for",
                part,
                io::Error::from(io::ErrorKind::AlreadyExists),
            )
        })?;
    }
}

/// The part of a file that is whole.
#[derive(Debug, PartialEq, Eq)]
struct Whole {
    len: u64,
    frames: u64,
    latest: Timestamp,
}

/// Walks a file's records up to the first that is not whole; `None` where there is not one. Reads the heads only, and by
/// read(2) rather than through a map: on a bad disk that is an error, not a signal.
fn measure(file: &File, size: u64) -> io::Result<Option<Whole>> {
    // Longer than any header siphon writes: an interface name has at most 15 bytes.
    let mut header = Vec::new();
    let mut reader = BufReader::with_capacity(1 << 18, file);
    reader.by_ref().take(512).read_to_end(&mut header)?;
    let Some((format, header)) = record::read_file_header(&header) else {
        return Ok(None);
    };
    let mut whole = Whole {
        len: header as u64,
        frames: 0,
        latest: Timestamp::ZERO,
    };
    reader.seek(SeekFrom::Start(whole.len))?;
    let mut head = vec![0; record::head_len(format)];
    while size - whole.len >= head.len() as u64 {
        reader.read_exact(&mut head)?;
        // What a file system may leave at the end of a file when the power fails; pcap would call it an empty frame.
        if head.iter().all(|byte| *byte == 0) {
            break;
        }
        let Some(record) = record::head(format, &head).filter(|record| record.len as u64 <= size - whole.len) else {
            break;
        };
        let mut rest = record.len - head.len();
        if format == Format::Pcapng {
            let mut tail = [0; 4];
            rest -= tail.len();
            reader.seek_relative(rest as i64)?;
            reader.read_exact(&mut tail)?;
            if !record::tail_fits(format, tail, record.len) {
                break;
            }
        } else {
            reader.seek_relative(rest as i64)?;
        }
        whole.len += record.len as u64;
        whole.frames += 1;
        whole.latest = whole.latest.max(record.ts);
    }
    Ok((whole.frames > 0).then_some(whole))
}
