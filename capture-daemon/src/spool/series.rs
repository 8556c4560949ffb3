//! The files of one lane, one after another: when a file begins, how records get into it, when and how it ends.

use std::fs::{self, File, FileTimes, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::SpoolError;
use super::counters::{SpoolCounters, WriterCounters};
use super::lane::Chunk;
use super::name::{self, Names, PART, Parts};
use super::record::{self, Run};
use super::sink::{Sink, Stage};
use crate::config::Format;
use crate::time::Timestamp;

/// What all series of a spool have in common.
#[derive(Debug)]
pub(super) struct Rules {
    pub directory: PathBuf,
    pub names: Names,
    pub format: Format,
    /// The first bytes of every file.
    pub header: Vec<u8>,
    /// Bytes; 0: no limit.
    pub rotate_size: u64,
    pub rotate_interval: Duration,
    pub flush_interval: Duration,
}

/// The files of one lane. Owned by the writer.
#[derive(Debug)]
pub(super) struct Series {
    rules: Arc<Rules>,
    counters: Arc<SpoolCounters>,
    lane: usize,
    file: Option<OpenFile>,
    stage: Stage,
    /// Time and number in the name of the latest file.
    latest_name: (String, u32),
    unclean: Option<SpoolError>,
}

#[derive(Debug)]
struct OpenFile {
    sink: Sink,
    part: PathBuf,
    path: PathBuf,
    /// Bytes up to the end of the last whole record.
    len: u64,
    frames: u64,
    /// Frames of earlier times are none of this file's: the clock was set back.
    earliest: Timestamp,
    interval_end: Timestamp,
    /// Latest time of a frame in the file.
    latest: Timestamp,
    /// Wall-clock time of the latest write.
    touched: Timestamp,
    /// Ends within a record, because it could not be cut back.
    torn: bool,
}

impl Series {
    pub fn new(rules: Arc<Rules>, counters: Arc<SpoolCounters>, lane: usize) -> Self {
        Self {
            rules,
            counters,
            lane,
            file: None,
            stage: Stage::default(),
            latest_name: (String::new(), 0),
            unclean: None,
        }
    }

    /// Bytes in the open file.
    pub fn open_bytes(&self) -> u64 {
        self.file.as_ref().map_or(0, |open| open.len)
    }

    /// Writes a chunk, beginning and ending files where the rules say so, exactly between two records. Frames that got
    /// into a file are counted as written, also where an error follows: the file then ends with its last whole record.
    pub fn write(&mut self, chunk: &Chunk, now: Timestamp) -> Result<(), SpoolError> {
        let (rules, lane) = (Arc::clone(&self.rules), Arc::clone(&self.counters.lanes[self.lane]));
        let mut done = Run::default();
        while let Some(rest) = chunk.bytes.get(done.len..).filter(|rest| !rest.is_empty()) {
            let left = Run {
                len: rest.len(),
                frames: chunk.frames - done.frames,
                latest: chunk.latest,
            };
            if self.file.is_none() {
                self.open(rest, now)?;
            }
            let Some(open) = &mut self.file else { break };
            let run = open.fitting(&rules, rest, left);
            if run.frames == 0 {
                // The frames at hand are not to suffer for the file before theirs.
                if let Err(error) = self.close() {
                    self.unclean = Some(error);
                }
                continue;
            }
            let appended = open.append(&rules, &mut self.stage, &rest[..run.len], run, now, &lane.writer);
            self.counters.set_no_direct_io(open.sink.refusal());
            if open.torn {
                // It keeps its `.part`, and the next start mends it.
                self.file = None;
                self.counters.set_file(self.lane, None);
            }
            appended?;
            done.len += run.len;
            done.frames += run.frames;
        }
        Ok(())
    }

    /// The error of a file that was ended while its successor's frames were written, once.
    pub fn take_unclean(&mut self) -> Option<SpoolError> {
        self.unclean.take()
    }

    /// Ends a file whose interval has passed and to which nothing was written lately. A chunk may hold the last frames of
    /// the interval back for as long as the flush interval.
    pub fn close_idle(&mut self, now: Timestamp) -> Result<(), SpoolError> {
        let grace = self.rules.flush_interval;
        match &self.file {
            Some(open) if now >= open.interval_end.plus(grace) && now >= open.touched.plus(grace) => self.close(),
            _ => Ok(()),
        }
    }

    /// Ends the open file: on disk, under its name, with the time of its last frame as its time of modification. One
    /// without a record is removed.
    pub fn close(&mut self) -> Result<(), SpoolError> {
        let Some(open) = self.file.take() else {
            return Ok(());
        };
        self.counters.set_file(self.lane, None);
        if open.frames == 0 {
            return fs::remove_file(&open.part).map_err(|error| SpoolError::io("remove", &open.part, error));
        }
        let times = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_nanos(open.latest.as_nanos()));
        let dated = open
            .sink
            .file()
            .set_times(times)
            .map_err(|error| SpoolError::io("date", &open.part, error));
        let synced = open
            .sink
            .file()
            .sync_all()
            .map_err(|error| SpoolError::io("sync", &open.part, error));
        // Named all the same: what the kernel has is readable, and a reader is not kept from it.
        publish(&open.part, &open.path)?;
        self.counters.files_closed.add(1);
        tracing::info!(file = %open.path.display(), bytes = open.len, frames = open.frames, "closed spool file");
        dated.and(synced)
    }

    /// Lets go of an open file that somebody has removed: nobody would ever read what is still written to it.
    pub fn let_go_if_removed(&mut self) -> Result<(), SpoolError> {
        match self.file.take_if(|open| !is_linked(open.sink.file())) {
            None => Ok(()),
            Some(open) => {
                self.counters.set_file(self.lane, None);
                let lost = format!("it was removed while it was open, with {} frames", open.frames);
                let removed = io::Error::new(io::ErrorKind::NotFound, lost);
                Err(SpoolError::io("go on with", &open.part, removed))
            }
        }
    }

    /// Begins the file that has the record at the start of `records` as its first.
    fn open(&mut self, records: &[u8], now: Timestamp) -> Result<(), SpoolError> {
        let first = record::head(self.rules.format, records).map_or(Timestamp::ZERO, |head| head.ts);
        let time = name::time_text(first);
        let (file, number) = self.create(&time)?;
        let path = self.path(&time, number);
        let part = part_of(&path);
        let mut open = OpenFile {
            sink: Sink::new(file, &part),
            part,
            path,
            len: self.rules.header.len() as u64,
            frames: 0,
            earliest: match self.rules.rotate_interval {
                Duration::ZERO => Timestamp::ZERO,
                interval => first.minus(interval),
            },
            interval_end: name::interval_end(first, self.rules.rotate_interval),
            latest: first,
            touched: now,
            torn: false,
        };
        if let (_, Err(error)) = open.sink.append(&mut self.stage, &self.rules.header) {
            let error = SpoolError::io("write header of", &open.part, error);
            // Nothing is in it; if it stays, the next start removes it.
            let _ = fs::remove_file(&open.part);
            return Err(error);
        }
        self.latest_name = (time, number);
        self.counters.files_opened.add(1);
        let name = open.part.file_name().map(|name| name.to_string_lossy().into_owned());
        self.counters.set_file(self.lane, name);
        self.file = Some(open);
        Ok(())
    }

    /// Makes and locks a file of a name that no other file has: its own name is taken first with `.part` behind it, which
    /// only one process can create, and only then looked for without.
    fn create(&self, time: &str) -> Result<(File, u32), SpoolError> {
        let first = match &self.latest_name {
            (latest, number) if latest == time => number + 1,
            _ => 0,
        };
        for number in first..=u32::MAX {
            let path = self.path(time, number);
            let part = part_of(&path);
            // Telephone calls are in there: for the owner and the group.
            let made = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o640)
                .open(&part);
            let file = match made {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(SpoolError::io("create", &part, error)),
            };
            match file.try_lock() {
                Ok(()) if is_linked(&file) => {}
                // Between these lines a starting siphon may have taken the file for a leftover and removed it.
                Ok(()) | Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => {
                    // The next number would fare no better. What stays, the next start removes.
                    let _ = fs::remove_file(&part);
                    return Err(SpoolError::io("lock", &part, error));
                }
            }
            if !path.exists() {
                return Ok((file, number));
            }
            fs::remove_file(&part).map_err(|error| SpoolError::io("remove", &part, error))?;
        }
        let taken = io::Error::from(io::ErrorKind::AlreadyExists);
        Err(SpoolError::io("find a free name in", &self.rules.directory, taken))
    }

    fn path(&self, time: &str, number: u32) -> PathBuf {
        self.rules.directory.join(self.rules.names.name(&Parts {
            lane: self.lane,
            time,
            number,
            extension: name::extension(self.rules.format),
        }))
    }
}

/// Whether the file has a name.
fn is_linked(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.nlink() > 0)
}

fn part_of(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(PART);
    part.into()
}

impl OpenFile {
    /// How many of the records left in a chunk belong into this file. The first record of a file always does.
    fn fitting(&self, rules: &Rules, records: &[u8], left: Run) -> Run {
        let limit = if rules.rotate_size == 0 {
            u64::MAX
        } else {
            rules.rotate_size
        };
        if self.is_for(left.latest) && self.len + left.len as u64 <= limit {
            return left;
        }
        record::run(rules.format, records, |head, before| {
            let first = self.frames == 0 && before == 0;
            let grown = self.len + (before + head.len) as u64;
            first || self.is_for(head.ts) && grown <= limit
        })
    }

    /// Whether a frame of this time belongs into this file.
    fn is_for(&self, ts: Timestamp) -> bool {
        (self.earliest..self.interval_end).contains(&ts)
    }

    /// Appends whole records. On an error the file is cut back to the last record that got in whole.
    fn append(
        &mut self,
        rules: &Rules,
        stage: &mut Stage,
        records: &[u8],
        run: Run,
        now: Timestamp,
        counters: &WriterCounters,
    ) -> Result<(), SpoolError> {
        let (len, written) = self.sink.append(stage, records);
        let got_in = match written {
            Ok(()) => run,
            // A write is short where the disk became full in the middle of it.
            Err(_) => record::run(rules.format, &records[..len], |_, _| true),
        };
        self.len += got_in.len as u64;
        self.frames += got_in.frames;
        self.latest = self.latest.max(got_in.latest);
        self.touched = now;
        counters.written_frames.add(got_in.frames);
        counters.written_bytes.add(got_in.len as u64);
        written.map_err(|error| match self.sink.cut(self.len) {
            Ok(()) => SpoolError::io("write", &self.part, error),
            Err(error) => {
                self.torn = true;
                SpoolError::io("cut", &self.part, error)
            }
        })
    }
}

/// Gives a finished file its name, and has that outlive a power failure.
pub(super) fn publish(part: &Path, path: &Path) -> Result<(), SpoolError> {
    fs::rename(part, path).map_err(|error| SpoolError::io("rename", part, error))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| SpoolError::io("sync", folder, error))
}
