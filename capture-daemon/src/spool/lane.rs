//! A worker's end of the spool: frames go into a chunk of memory, full chunks to the writer, empty ones come back.
//!
//! Nothing here allocates, locks or enters the kernel: chunks are made once and travel in two lock-free queues, and the
//! writer looks for them by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam::queue::ArrayQueue;

use super::counters::{LaneCounters, SpoolDrop};
use super::record;
use crate::config::Format;
use crate::frame::{Frame, Keep, LinkType};
use crate::source::MAX_FRAME;
use crate::time::Timestamp;

/// Records in the format of the file, whole ones only.
#[derive(Debug)]
pub(super) struct Chunk {
    pub bytes: Vec<u8>,
    pub frames: u64,
    /// Time of the frame that came first.
    pub first: Timestamp,
    /// Latest time of all frames.
    pub latest: Timestamp,
}

impl Chunk {
    fn new(size: usize) -> Self {
        // Written once, so that the worker does not meet a page fault every four kilobytes of its first round.
        let mut bytes = vec![1; size];
        bytes.clear();
        Self {
            bytes,
            frames: 0,
            first: Timestamp::ZERO,
            latest: Timestamp::ZERO,
        }
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.frames = 0;
        self.latest = Timestamp::ZERO;
    }
}

/// The way of a lane's chunks: full ones to the writer, empty ones back. Each queue has room for all of them.
#[derive(Debug)]
pub(super) struct Exchange {
    pub full: ArrayQueue<Chunk>,
    pub empty: ArrayQueue<Chunk>,
    finished: AtomicBool,
}

impl Exchange {
    pub fn new(chunks: usize, size: usize) -> Self {
        let (full, empty) = (ArrayQueue::new(chunks), ArrayQueue::new(chunks));
        while empty.push(Chunk::new(size)).is_ok() {}
        Self {
            full,
            empty,
            finished: AtomicBool::new(false),
        }
    }

    /// Whether the worker will hand over nothing more. Pairs with the release in the lane's end: what it handed over
    /// before is to be seen by whoever saw this.
    pub fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }
}

/// One lane of the spool, owned by its worker. Dropping it hands over what it holds, as [`SpoolLane::finish`] does.
#[derive(Debug)]
pub struct SpoolLane {
    exchange: Arc<Exchange>,
    counters: Arc<LaneCounters>,
    format: Format,
    chunk_size: usize,
    /// A chunk waits no longer than this; the other half of the flush interval is the writer's.
    patience: Duration,
    chunk: Option<Chunk>,
}

impl SpoolLane {
    pub(super) fn new(
        exchange: Arc<Exchange>,
        counters: Arc<LaneCounters>,
        format: Format,
        chunk_size: usize,
        flush_interval: Duration,
    ) -> Self {
        let chunk = exchange.empty.pop();
        Self {
            exchange,
            counters,
            format,
            chunk_size,
            patience: flush_interval / 2,
            chunk,
        }
    }

    /// Keeps as much of a frame as is wanted, or counts why not.
    #[inline]
    pub fn keep(&mut self, frame: &Frame<'_>, wanted: Keep) {
        let frame = match wanted {
            Keep::All => *frame,
            Keep::Head(len) => self.cut(frame, len),
            Keep::Nothing => return self.counters.worker.not_kept.add(1),
        };
        self.write(&frame);
    }

    /// The first `len` bytes of a frame, which stays as long as it was on the wire.
    fn cut<'a>(&self, frame: &Frame<'a>, len: u32) -> Frame<'a> {
        let Some(bytes) = frame.bytes.get(..len as usize) else {
            return *frame;
        };
        self.counters.worker.cut_frames.add(1);
        Frame { bytes, ..*frame }
    }

    #[inline]
    fn write(&mut self, frame: &Frame<'_>) {
        let len = record::length(self.format, frame.bytes.len());
        if frame.link != LinkType::Ethernet {
            return self.counters.worker.drop_frame(SpoolDrop::LinkType);
        }
        if len > self.chunk_size || frame.bytes.len() > MAX_FRAME as usize {
            return self.counters.worker.drop_frame(SpoolDrop::TooLarge);
        }
        if self
            .chunk
            .as_ref()
            .is_none_or(|chunk| chunk.bytes.len() + len > self.chunk_size)
        {
            self.hand_over();
        }
        let Some(chunk) = &mut self.chunk else {
            return self.counters.worker.drop_frame(SpoolDrop::QueueFull);
        };
        if chunk.frames == 0 {
            chunk.first = frame.ts;
        }
        chunk.frames += 1;
        chunk.latest = chunk.latest.max(frame.ts);
        record::encode(self.format, frame, &mut chunk.bytes);
        self.counters.worker.kept_frames.add(1);
        self.counters.worker.kept_bytes.add(len as u64);
    }

    /// Whether the next frame finds room, however long it is. Where not, it will once the writer gives a chunk back.
    pub fn has_room(&self) -> bool {
        let longest = record::length(self.format, MAX_FRAME as usize).min(self.chunk_size);
        let fits = |chunk: &Chunk| chunk.bytes.len() + longest <= self.chunk_size;
        self.chunk.as_ref().is_some_and(fits) || !self.exchange.empty.is_empty()
    }

    /// Hands over a chunk whose first frame is older than half the flush interval. `now` is the wall clock, as frames
    /// carry it; called between batches, also when no frames come.
    #[inline]
    pub fn tick(&mut self, now: Timestamp) {
        if let Some(Chunk { frames: 1.., first, .. }) = self.chunk {
            // A frame from the future tells of a clock that was set back: the chunk must not wait for it.
            if now.since(first) >= self.patience || first.since(now) >= self.patience {
                self.hand_over();
            }
        }
    }

    /// Hands over what is left; the writer ends the lane's file once it has written it.
    pub fn finish(self) {
        drop(self);
    }

    /// Gives the chunk to the writer where there is something in it, and takes an empty one where there is one.
    fn hand_over(&mut self) {
        if let Some(chunk) = self.chunk.take() {
            self.counters.worker.handed_over.add(chunk.frames);
            // Never full: it has room for every chunk there is.
            let handed = if chunk.frames > 0 {
                &self.exchange.full
            } else {
                &self.exchange.empty
            };
            let refused = handed.push(chunk);
            debug_assert!(refused.is_ok());
        }
        self.chunk = self.exchange.empty.pop();
    }
}

impl Drop for SpoolLane {
    fn drop(&mut self) {
        self.hand_over();
        self.exchange.finished.store(true, Ordering::Release);
    }
}
