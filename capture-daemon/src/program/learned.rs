//! The kernel program's map of endpoints, as the engine's lanes write it while SIP goes by.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData, MapError};
use capture_common::{EndpointEntry, EndpointFormat, EndpointKey, Level, Media, Mode, Settings, endpoint};

use super::error::OpenError;
use super::object;
use crate::media::{Format, Learn};
use crate::net::Endpoint;
use crate::report::{LearnedFigures, LearningTimes};
use crate::time::Timestamp;

/// `BPF_NOEXIST`, include/uapi/linux/bpf.h.
const ONLY_NEW: u64 = 1;

/// Times that an entry is written where the kernel has no memory for it: it takes it from a small stock of the CPU's, which an interrupt fills up a
/// moment later (kernel/bpf/memalloc.c).
const TRIES: u32 = 4;

type Key = [u8; size_of::<EndpointKey>()];
type Entry = [u8; size_of::<EndpointEntry>()];
type Words = [u32; size_of::<Settings>() / 4];

/// The map, and what is counted of it.
pub struct LearnedEndpoints {
    map: Mutex<HashMap<MapData, Key, Entry>>,
    /// The settings, to say when there are levels of single calls.
    settings: Mutex<(Array<MapData, Words>, Settings)>,
    /// Only what was learned crosses or is measured, so that every endpoint is told; else those with a level of their own.
    all: bool,
    has_levels: AtomicBool,
    entries: AtomicU64,
    capacity: u64,
    updates: AtomicU64,
    removals: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    times: Mutex<LearningTimes>,
}

impl fmt::Debug for LearnedEndpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LearnedEndpoints")
            .field("figures", &self.figures())
            .finish_non_exhaustive()
    }
}

impl LearnedEndpoints {
    /// Takes the maps of endpoints and settings out of the loaded object, whose program is idle until [`arm`](Self::arm).
    pub(super) fn new(ebpf: &mut Ebpf, settings: Settings, capacity: u32) -> Result<Self, OpenError> {
        let mut take = |name| ebpf.take_map(name).ok_or(OpenError::NoMap(name));
        let map =
            HashMap::try_from(take(object::ENDPOINTS)?).map_err(|source| OpenError::map(object::ENDPOINTS, source))?;
        let written =
            Array::try_from(take(object::SETTINGS)?).map_err(|source| OpenError::map(object::SETTINGS, source))?;
        Ok(Self {
            map: Mutex::new(map),
            settings: Mutex::new((written, settings)),
            all: settings.media.is(Media::Learned) || settings.media.is(Media::Measured),
            has_levels: AtomicBool::new(false),
            entries: AtomicU64::new(0),
            capacity: capacity.into(),
            updates: AtomicU64::new(0),
            removals: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            times: Mutex::default(),
        })
    }

    /// Writes the settings, with this mode.
    pub(super) fn arm(&self, mode: Mode) -> Result<(), OpenError> {
        let (map, settings) = &mut *lock(&self.settings);
        settings.mode = mode as u32;
        map.set(0, bytemuck::cast::<Settings, Words>(*settings), 0)
            .map_err(|source| OpenError::map(object::SETTINGS, source))
    }

    /// How many there are, what became of them, and how long they took.
    pub fn figures(&self) -> LearnedFigures {
        LearnedFigures {
            endpoints: self.entries.load(Ordering::Relaxed),
            capacity: self.capacity,
            updates: self.updates.load(Ordering::Relaxed),
            removals: self.removals.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            latency: lock(&self.times).report(),
        }
    }

    fn write(&self, key: Key, entry: Entry) -> Result<(), MapError> {
        for _ in 1..TRIES {
            match self.write_once(key, entry) {
                Err(error) if errno(&error) == Some(libc::ENOMEM) => std::thread::yield_now(),
                result => return result,
            }
        }
        self.write_once(key, entry)
    }

    fn write_once(&self, key: Key, entry: Entry) -> Result<(), MapError> {
        let mut map = lock(&self.map);
        match map.insert(key, entry, ONLY_NEW) {
            Ok(()) => {
                self.entries.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(error) if errno(&error) == Some(libc::EEXIST) => map.insert(key, entry, 0),
            Err(error) => Err(error),
        }
    }

    /// Has the program look for levels of single calls, from the first on.
    fn mind_levels(&self) {
        if self.has_levels.load(Ordering::Relaxed) {
            return;
        }
        let (map, settings) = &mut *lock(&self.settings);
        settings.media.levels = 1;
        // Where it fails, the next level tries again.
        match map.set(0, bytemuck::cast::<Settings, Words>(*settings), 0) {
            Ok(()) => self.has_levels.store(true, Ordering::Relaxed),
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                tracing::error!("map {}: levels of calls are not minded: {error}", object::SETTINGS);
            }
        }
    }
}

impl Learn for LearnedEndpoints {
    fn learn(&self, endpoint: Endpoint, formats: &[Format], level: Option<Level>, seen: Option<Timestamp>) {
        if !self.all && level.is_none() {
            self.forget(endpoint);
            return;
        }
        let key = bytemuck::cast(EndpointKey::new(endpoint.octets(), endpoint.port()));
        match self.write(key, bytemuck::cast(entry(formats, level))) {
            Ok(()) => {
                self.updates.fetch_add(1, Ordering::Relaxed);
                if let Some(seen) = seen {
                    lock(&self.times).record(since(seen));
                }
            }
            Err(error) if errno(&error) == Some(libc::E2BIG) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                // The light tells how many; one in the log is enough to tell why.
                if self.failed.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::error!(
                        "map {}: {endpoint}: {error}; further ones are not told here",
                        object::ENDPOINTS
                    );
                }
            }
        }
        if level.is_some() {
            self.mind_levels();
        }
    }

    fn forget(&self, endpoint: Endpoint) {
        if self.entries.load(Ordering::Relaxed) == 0 {
            return;
        }
        let key = bytemuck::cast(EndpointKey::new(endpoint.octets(), endpoint.port()));
        if lock(&self.map).remove(&key).is_ok() {
            self.entries.fetch_sub(1, Ordering::Relaxed);
            self.removals.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn default_level(&self) -> Level {
        lock(&self.settings).1.media.level()
    }
}

fn entry(formats: &[Format], level: Option<Level>) -> EndpointEntry {
    let mut entry = EndpointEntry {
        level: level.map_or(0, |level| level as u8),
        ..EndpointEntry::default()
    };
    let words = formats
        .iter()
        .filter_map(|format| EndpointFormat::new(format.payload_type, format.kind()));
    for (place, word) in entry.formats.iter_mut().zip(words) {
        *place = word;
        entry.count += 1;
    }
    debug_assert!(usize::from(entry.count) <= endpoint::FORMATS);
    entry
}

/// Time gone by since `seen`; none where the clocks of packets and of the host differ by more.
fn since(seen: Timestamp) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_nanos(seen.as_nanos()))
}

fn errno(error: &MapError) -> Option<i32> {
    match error {
        MapError::SyscallError(error) => error.io_error.raw_os_error(),
        MapError::IoError(error) => io::Error::raw_os_error(error),
        _ => None,
    }
}

/// A panic under one of these locks leaves nothing half done that matters.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_formats_of_a_media_line_find_room() {
        let format = |payload_type, clock_rate| Format {
            payload_type,
            encoding: "x".into(),
            clock_rate,
        };
        let formats: Vec<Format> = (90..110)
            .map(|number| format(number, if number == 91 { u32::MAX } else { 8_000 }))
            .collect();
        let entry = entry(&formats, Some(Level::Headers));
        assert_eq!(
            (entry.level(), usize::from(entry.count)),
            (Some(Level::Headers), endpoint::FORMATS)
        );
        let kept = entry.formats.map(|format| (format.payload_type(), format.clock_rate()));
        assert_eq!(
            kept[..2],
            [(90, 8_000), (92, 8_000)],
            "a rate that cannot be is left out"
        );
        assert_eq!(kept[7], (98, 8_000));
        assert_eq!(super::entry(&[], None), EndpointEntry::default());
    }
}
