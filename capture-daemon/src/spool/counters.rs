//! What the spool counts and how it stands: written by workers and writer, read by the control thread.

use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam::utils::CachePadded;
use serde::Serialize;

use crate::counter::Counter;
use crate::time::Timestamp;

/// Why a frame that was offered to the spool is in no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpoolDrop {
    /// All chunks of the lane were with the writer. Counted by the worker.
    QueueFull,
    /// The frame is longer than a chunk, or than a file may hold. Counted by the worker.
    TooLarge,
    /// The frame is not Ethernet, which is what the files say of all their frames. Counted by the worker.
    LinkType,
    /// No room on the file system, or over quota. Counted by the writer.
    DiskFull,
    /// The file could not be made or written for another reason. Counted by the writer.
    WriteError,
}

impl SpoolDrop {
    /// Every reason, in order of declaration.
    pub const ALL: [Self; 5] = [
        Self::QueueFull,
        Self::TooLarge,
        Self::LinkType,
        Self::DiskFull,
        Self::WriteError,
    ];

    /// The name in metrics and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::TooLarge => "too_large",
            Self::LinkType => "link_type",
            Self::DiskFull => "disk_full",
            Self::WriteError => "write_error",
        }
    }

    /// What it means, for the documentation.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::QueueFull => "All chunks of the lane were with the writer: the disk did not keep up.",
            Self::TooLarge => "The frame is longer than a chunk, or than a file may hold.",
            Self::LinkType => "The frame is not Ethernet, which is what the files say of all their frames.",
            Self::DiskFull => "No room on the file system, or over quota.",
            Self::WriteError => "The file could not be made or written for another reason.",
        }
    }

    /// Whether the worker drops for this reason, before the frame is kept; the writer drops what was kept.
    pub const fn is_before_kept(self) -> bool {
        matches!(self, Self::QueueFull | Self::TooLarge | Self::LinkType)
    }
}

/// The counters of one lane, those of the worker and those of the writer on cache lines of their own.
///
/// `offered = kept + not kept + Σ dropped before`; once the spool has stopped, `kept = written + Σ dropped after`; while it runs,
/// what is missing lies in chunks. Every reason is counted by one thread only.
#[derive(Debug, Default)]
pub struct LaneCounters {
    /// What the worker counts.
    pub worker: CachePadded<WorkerCounters>,
    /// What the writer counts.
    pub writer: CachePadded<WriterCounters>,
}

/// What a worker counts.
#[derive(Debug, Default)]
pub struct WorkerCounters {
    /// Frames that went into a chunk.
    pub kept_frames: Counter,
    /// Bytes of their records, headers included.
    pub kept_bytes: Counter,
    /// Frames of the chunks that were given to the writer, counted before they are.
    pub(super) handed_over: Counter,
    /// Frames of which only the headers were wanted, also those that dropped then.
    pub cut_frames: Counter,
    /// Frames that were not wanted, by the level of their call.
    pub not_kept: Counter,
    /// Frames dropped, by reason; those of the writer's reasons stay zero.
    dropped: [Counter; SpoolDrop::ALL.len()],
}

/// What the writer counts.
#[derive(Debug, Default)]
pub struct WriterCounters {
    /// Frames that went into a file.
    pub written_frames: Counter,
    /// Bytes of their records, headers included.
    pub written_bytes: Counter,
    /// Frames of the chunks that were taken from the worker.
    pub(super) taken: Counter,
    /// 1 from before a chunk is taken until all its frames are counted as written or dropped, else 0.
    pub(super) at_work: Counter,
    /// Frames dropped, by reason; those of the worker's reasons stay zero.
    dropped: [Counter; SpoolDrop::ALL.len()],
}

impl WorkerCounters {
    /// Counts a frame that the worker drops.
    #[inline]
    pub(super) fn drop_frame(&self, reason: SpoolDrop) {
        debug_assert!(reason.is_before_kept());
        self.dropped[reason as usize].add(1);
    }
}

impl WriterCounters {
    /// Counts frames that the writer drops.
    pub(super) fn drop_frames(&self, reason: SpoolDrop, frames: u64) {
        debug_assert!(!reason.is_before_kept());
        self.dropped[reason as usize].add(frames);
    }
}

impl LaneCounters {
    /// Whether frames wait for the writer, or are in its hands.
    fn is_writer_awaited(&self) -> bool {
        let Self { worker, writer } = self;
        worker.handed_over.get() > writer.taken.get() || writer.at_work.get() != 0
    }

    /// Frames dropped for `reason`.
    pub fn dropped(&self, reason: SpoolDrop) -> u64 {
        if reason.is_before_kept() {
            self.worker.dropped[reason as usize].get()
        } else {
            self.writer.dropped[reason as usize].get()
        }
    }
}

/// Everything the spool counts.
#[derive(Debug)]
pub struct SpoolCounters {
    /// One for each lane.
    pub lanes: Vec<Arc<LaneCounters>>,
    /// Files begun.
    pub files_opened: Counter,
    /// Files closed and given their name.
    pub files_closed: Counter,
    /// Files removed by retention.
    pub files_removed: Counter,
    /// Bytes of all files in the folder that match the template, as of the last look at retention.
    pub files_bytes: Counter,
    /// Bytes free for siphon on the file system of the folder, as of the last second.
    pub disk_free: Counter,
    /// Cold: names and health, which change some times an hour.
    standing: Mutex<Standing>,
}

#[derive(Clone, Debug)]
struct Standing {
    files: Vec<Option<String>>,
    health: SpoolHealth,
    /// Why blocks go through the page cache; `None` where they do not.
    no_direct_io: Option<String>,
}

/// Whether files are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum SpoolHealth {
    /// They are.
    Green {
        /// Since when, by the wall clock.
        since: Timestamp,
    },
    /// They are not; what workers keep is counted as dropped, and writing is tried again every second.
    Red {
        /// Since when, by the wall clock.
        since: Timestamp,
        /// The reason frames are counted under.
        reason: &'static str,
        /// What went wrong, with file and errno.
        error: String,
    },
}

impl SpoolHealth {
    /// Whether files are written.
    pub const fn is_green(&self) -> bool {
        matches!(self, Self::Green { .. })
    }
}

/// How the spool stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpoolStatus {
    /// Whether files are written, and since when.
    pub health: SpoolHealth,
    /// Each lane.
    pub lanes: Vec<LaneStatus>,
    /// Files begun since the start.
    pub files_opened: u64,
    /// Files closed since the start.
    pub files_closed: u64,
    /// Files removed by retention since the start.
    pub files_removed: u64,
    /// Bytes of all files in the folder that match the template.
    pub files_bytes: u64,
    /// Bytes free for siphon on the file system.
    pub disk_free_bytes: u64,
    /// Why what is written goes through the page cache: the file system refuses O_DIRECT. `None` where whole blocks go past it,
    /// and before the first file.
    pub no_direct_io: Option<String>,
}

/// How a lane of the spool stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LaneStatus {
    /// Name of the open file in the spool's folder, `.part` included.
    pub file: Option<String>,
    /// Frames that went into chunks.
    pub kept_frames: u64,
    /// Bytes of their records.
    pub kept_bytes: u64,
    /// Frames of which only the headers were wanted.
    pub cut_frames: u64,
    /// Frames that were not wanted, by the level of their call.
    pub not_kept: u64,
    /// Frames that went into files.
    pub written_frames: u64,
    /// Bytes of their records.
    pub written_bytes: u64,
    /// Frames dropped, by reason; every reason is there.
    pub dropped: std::collections::BTreeMap<&'static str, u64>,
}

impl LaneStatus {
    /// Frames dropped for `reason`.
    pub fn dropped(&self, reason: SpoolDrop) -> u64 {
        self.dropped.get(reason.label()).copied().unwrap_or_default()
    }

    /// Frames the worker offered: kept, not wanted, or dropped before.
    pub fn offered(&self) -> u64 {
        self.kept_frames + self.not_kept + self.dropped_by(SpoolDrop::is_before_kept)
    }

    /// Frames of those kept that the writer has written or dropped.
    pub fn ended(&self) -> u64 {
        self.written_frames + self.dropped_by(|reason| !reason.is_before_kept())
    }

    /// Frames that were kept and are in no file yet: zero once the spool has stopped.
    pub fn in_chunks(&self) -> u64 {
        // The counters are read one after another while both threads go on.
        self.kept_frames.saturating_sub(self.ended())
    }

    fn dropped_by(&self, counted: impl Fn(SpoolDrop) -> bool) -> u64 {
        let reasons = SpoolDrop::ALL.into_iter().filter(|reason| counted(*reason));
        reasons.map(|reason| self.dropped(reason)).sum()
    }
}

impl SpoolCounters {
    pub(super) fn new(lanes: usize, now: Timestamp) -> Self {
        Self {
            lanes: (0..lanes).map(|_| Arc::default()).collect(),
            files_opened: Counter::default(),
            files_closed: Counter::default(),
            files_removed: Counter::default(),
            files_bytes: Counter::default(),
            disk_free: Counter::default(),
            standing: Mutex::new(Standing {
                files: vec![None; lanes],
                health: SpoolHealth::Green { since: now },
                no_direct_io: None,
            }),
        }
    }

    /// Whether frames wait for the writer, or are in its hands: a disk may keep it for as long as it likes.
    pub fn is_writer_awaited(&self) -> bool {
        self.lanes.iter().any(|lane| lane.is_writer_awaited())
    }

    /// How the spool stands now.
    pub fn status(&self) -> SpoolStatus {
        let Standing {
            files,
            health,
            no_direct_io,
        } = self.standing().clone();
        let lanes = self.lanes.iter().zip(files).map(|(lane, file)| {
            // The writer's side first: what it ended was kept before.
            let (written_frames, written_bytes) = (lane.writer.written_frames.get(), lane.writer.written_bytes.get());
            let dropped = SpoolDrop::ALL.map(|reason| (reason.label(), lane.dropped(reason)));
            LaneStatus {
                file,
                kept_frames: lane.worker.kept_frames.get(),
                kept_bytes: lane.worker.kept_bytes.get(),
                cut_frames: lane.worker.cut_frames.get(),
                not_kept: lane.worker.not_kept.get(),
                written_frames,
                written_bytes,
                dropped: dropped.into(),
            }
        });
        SpoolStatus {
            health,
            lanes: lanes.collect(),
            files_opened: self.files_opened.get(),
            files_closed: self.files_closed.get(),
            files_removed: self.files_removed.get(),
            files_bytes: self.files_bytes.get(),
            disk_free_bytes: self.disk_free.get(),
            no_direct_io,
        }
    }

    pub(super) fn set_file(&self, lane: usize, name: Option<String>) {
        self.standing().files[lane] = name;
    }

    /// Notes why what is written goes through the page cache, or that it does not.
    pub(super) fn set_no_direct_io(&self, why: Option<&str>) {
        let mut standing = self.standing();
        if standing.no_direct_io.as_deref() != why {
            standing.no_direct_io = why.map(str::to_owned);
        }
    }

    /// Sets the health; returns whether green turned red or red turned green.
    pub(super) fn set_health(&self, health: SpoolHealth) -> bool {
        let mut standing = self.standing();
        let turned = standing.health.is_green() != health.is_green();
        if turned {
            standing.health = health;
        }
        turned
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        // Each holder replaces whole fields, so that a panic leaves nothing half done.
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
