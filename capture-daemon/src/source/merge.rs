//! Several capture files as one run of frames in order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{CaptureFile, Frames, Skipped, SourceError};
use crate::frame::Frame;
use crate::time::Timestamp;

/// The frames of all `files`, the earliest next frame first; frames of one time in the order of the files. Within a file
/// the order is the file's own.
pub fn merge<'a>(files: impl IntoIterator<Item = &'a CaptureFile>) -> Merge<'a> {
    let mut merge = Merge {
        files: files.into_iter().map(CaptureFile::frames).collect(),
        waiting: Vec::new(),
        order: BinaryHeap::new(),
        errors: Vec::new(),
    };
    merge.waiting = vec![None; merge.files.len()];
    // One alone has nothing to wait for.
    if merge.files.len() > 1 {
        for index in 0..merge.files.len() {
            merge.advance(index);
        }
    }
    merge
}

/// The frames of several files, see [`merge()`].
#[derive(Debug)]
pub struct Merge<'a> {
    files: Vec<Frames<'a>>,
    /// Each file's next frame.
    waiting: Vec<Option<Frame<'a>>>,
    /// Times of the waiting frames, and whose they are.
    order: BinaryHeap<Reverse<(Timestamp, usize)>>,
    errors: Vec<SourceError>,
}

impl<'a> Merge<'a> {
    /// Frames passed over so far for their link type, of all files.
    pub fn skipped(&self) -> Skipped {
        let mut total = Skipped::new();
        for (link, frames) in self.files.iter().flat_map(Frames::skipped) {
            *total.entry(link).or_default() += frames;
        }
        total
    }

    /// The errors in which files ended, in the order in which they were met; complete once the frames are at their end.
    pub fn into_errors(self) -> Vec<SourceError> {
        self.errors
    }

    /// Fetches the next frame of a file; a file that ends in an error gave what it had.
    fn advance(&mut self, index: usize) {
        self.waiting[index] = match self.files[index].next() {
            Some(Ok(frame)) => {
                self.order.push(Reverse((frame.ts, index)));
                Some(frame)
            }
            Some(Err(error)) => {
                self.errors.push(error);
                None
            }
            None => None,
        };
    }
}

impl<'a> Iterator for Merge<'a> {
    type Item = Frame<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Frame<'a>> {
        if let [only] = self.files.as_mut_slice() {
            return match only.next()? {
                Ok(frame) => Some(frame),
                Err(error) => {
                    self.errors.push(error);
                    None
                }
            };
        }
        let Reverse((_, index)) = self.order.pop()?;
        let frame = self.waiting[index].take();
        self.advance(index);
        frame
    }
}
