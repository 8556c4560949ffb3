//! A capture file of concurrent calls, and the bare scan that any reader of it can be held against.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use capture_common::load::Fields;
use capture_daemon::xsk::file_map::FileMap;

use crate::calls::{self, Message};
use crate::frame;

/// The magic number of pcap with nanoseconds.
const MAGIC: u32 = 0xa1b2_3c4d;

/// Seconds of the first frame, since 1970.
const BEGIN: u64 = 1_795_251_600;

/// Time between two packets of a stream.
const PTIME: u64 = 20_000_000;

/// Time over which the calls begin, and over which they end.
const SPREAD: u64 = 1_000_000_000;

/// What is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calls {
    /// Concurrent calls, of two streams each.
    pub calls: u32,
    /// Packets of each stream.
    pub packets: u32,
}

impl Calls {
    /// Frames in the file.
    pub fn frames(self) -> u64 {
        let (calls, packets) = (u64::from(self.calls), u64::from(self.packets));
        calls * (Message::ALL.len() as u64 + 2 * packets)
    }

    /// The file in `directory`, made if it is not there yet.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file(self, directory: &Path) -> Result<PathBuf> {
        let Self { calls, packets } = self;
        let path = directory.join(format!("calls-{calls}-{packets}-1.pcap"));
        if path.is_file() {
            return Ok(path);
        }
        fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
        // Under another name, so that what was begun and not ended is not taken for the file.
        let unfinished = path.with_extension("part");
        let file = File::create(&unfinished).with_context(|| format!("make {}", unfinished.display()))?;
        self.write(BufWriter::with_capacity(1 << 20, file))
            .and_then(|()| Ok(fs::rename(&unfinished, &path)?))
            .with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    /// Writes the file: the calls are set up one after the other, talk together, and hang up one after the other.
    ///
    /// # Errors
    /// Those of `file`.
    pub fn write(self, mut file: impl Write) -> Result<()> {
        let Self { calls, packets } = self;
        for word in [MAGIC, 0x0004_0002, 0, 0, 262_144, 1] {
            file.write_all(&word.to_le_bytes())?;
        }
        let gap = SPREAD / u64::from(calls.max(1));
        for call in 0..calls {
            for (at, message) in (0..).zip(Message::SET_UP) {
                let time = u64::from(call) * gap + at * gap / 8;
                record(&mut file, time, &calls::frame(call, message))?;
            }
        }
        let streams = 2 * u64::from(calls);
        let mut packet = frame::template();
        for number in 0..streams * u64::from(packets) {
            frame::write(&mut packet, Fields::of(number, streams));
            record(&mut file, SPREAD + number * PTIME / streams, &packet)?;
        }
        let end = SPREAD + u64::from(packets) * PTIME;
        for call in 0..calls {
            for (at, message) in (0..).zip(Message::HANG_UP) {
                let time = end + u64::from(call) * gap + at * gap / 8;
                record(&mut file, time, &calls::frame(call, message))?;
            }
        }
        file.flush()?;
        Ok(())
    }
}

fn record(file: &mut impl Write, nanos: u64, frame: &[u8]) -> Result<()> {
    let (seconds, nanos) = (BEGIN + nanos / 1_000_000_000, nanos % 1_000_000_000);
    let length = u32::try_from(frame.len())?;
    for word in [u32::try_from(seconds)?, nanos as u32, length, length] {
        file.write_all(&word.to_le_bytes())?;
    }
    Ok(file.write_all(frame)?)
}

/// What a scan of a file found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Frames.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// A sum over what was read of each, so that it is read.
    pub sum: u64,
}

/// The bare scan of a file as [`Calls`] writes them: from record to record, and of each frame the bytes up to the end of UDP's
/// header.
///
/// # Errors
/// When the file cannot be mapped, or is none of those.
pub fn scan(path: &Path) -> Result<Scanned> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    // As whoever maps a file has to (capture_daemon::xsk::file_map).
    file.try_lock_shared()
        .with_context(|| format!("lock {}", path.display()))?;
    let map = FileMap::new(&file).with_context(|| format!("map {}", path.display()))?;
    let word = |bytes: &[u8], at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    ensure!(word(&map, 0) == Some(MAGIC), "{} is no file of calls", path.display());
    let mut scanned = Scanned {
        frames: 0,
        bytes: 0,
        sum: 0,
    };
    let mut rest = map.get(24..).unwrap_or_default();
    while let Some(length) = word(rest, 8) {
        let length = length as usize;
        let Some(frame) = rest.get(16..16 + length) else { break };
        for at in [12, 23, 26, 30, 34, 38] {
            scanned.sum = scanned.sum.wrapping_add(word(frame, at).unwrap_or_default().into());
        }
        scanned.frames += 1;
        scanned.bytes += length as u64;
        rest = &rest[16 + length..];
    }
    ensure!(
        rest.is_empty(),
        "{} ends with {} bytes that are no frame",
        path.display(),
        rest.len()
    );
    Ok(scanned)
}

#[cfg(test)]
mod tests {
    use capture_daemon::config::Config;
    use capture_daemon::replay::replay;
    use xtask::lab::Scratch;

    use super::*;

    #[test]
    fn siphon_finds_the_calls_whole() {
        let scratch = Scratch::new("file").unwrap();
        let calls = Calls { calls: 20, packets: 50 };
        let path = calls.file(scratch.path()).unwrap();
        assert_eq!(scan(&path).unwrap().frames, calls.frames());
        let document = replay(std::slice::from_ref(&path), &Config::default()).document;
        assert_eq!(document.frames, calls.frames());
        assert_eq!((document.calls.len(), document.streams.len()), (20, 40));
        for stream in &document.streams {
            assert_eq!((stream.packets, stream.lost), (50, 0), "{stream:?}");
        }
        // The second time it is there.
        let made = fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(calls.file(scratch.path()).unwrap(), path);
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), made);
    }

    #[test]
    fn a_file_of_something_else_is_not_scanned() {
        let scratch = Scratch::new("file").unwrap();
        assert!(scan(&scratch.write("text", "text").unwrap()).is_err());
        let mut bytes = Vec::new();
        Calls { calls: 1, packets: 1 }.write(&mut bytes).unwrap();
        bytes.pop();
        assert!(scan(&scratch.write("cut", bytes).unwrap()).is_err());
    }
}
