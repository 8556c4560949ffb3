//! Frames in batches. At 105,000 streams every packet's stream is out of the caches, and waiting for memory costs more than
//! all that is computed; so what a batch will touch is touched for all of it first, where one look need not wait for another,
//! and then it is taken in frame by frame as ever.

use super::Engine;
use super::counters::Tally;
use super::plain::Plain;
use super::portion;
use crate::frame::{Frame, Keep};
use crate::media::{Print, Seat};
use crate::outcome::Outcome;
use crate::xsk::prefetch::{CACHE_LINE, fetch};

/// Frames looked at ahead: the memory of that many streams stays in the first-level cache until it is their turn.
pub(super) const AHEAD: usize = 64;

/// What is no RTP is read to its end, mostly. Another core wrote it.
const LINES_READ: usize = 32;

impl Engine {
    /// Takes in frames as [`frame`](Self::frame) does, and hands each to `taken` when it is counted, with how much of it is to be
    /// kept.
    pub fn frames(&mut self, frames: &[Frame<'_>], mut taken: impl FnMut(&Frame<'_>, Keep)) {
        let mut ahead = std::mem::take(&mut self.ahead);
        for frames in frames.chunks(AHEAD) {
            if let [frame] = frames {
                // Alone there is nothing to look at ahead.
                let kept = self.frame(frame);
                taken(frame, kept);
                continue;
            }
            let ahead = &mut ahead[..frames.len()];
            let all = self.look_ahead(frames, ahead);
            self.take_ahead(frames, ahead, all);
            for (frame, plain) in frames.iter().zip(&*ahead) {
                taken(frame, plain.keep);
            }
        }
        self.ahead = ahead;
    }

    /// Takes in the frames, each in its turn, and counts them: whoever reads what is counted and what is handed on later finds no more
    /// handed on than were taken in.
    #[inline(always)]
    fn take_ahead(&mut self, frames: &[Frame<'_>], ahead: &mut [Plain], all: Tally) {
        let changes = self.streams.changes();
        let mut seats_hold = !self.shared.endpoints.expects_fax();
        let mut rtp = all;
        for (at, plain) in ahead.iter_mut().enumerate() {
            let seat = if seats_hold { plain.seat } else { self.seat_now(plain) };
            if let Some(level) = self.streams.flow(seat, &plain.header) {
                plain.keep = portion::of_media(level.unwrap_or(self.level), plain.payload_at);
                continue;
            }
            let Some(frame) = frames.get(at) else { break };
            rtp.leave_out(frame);
            plain.keep = self.frame(frame);
            // It may have begun or ended a stream, or announced fax.
            seats_hold = self.streams.changes() == changes && !self.shared.endpoints.expects_fax();
        }
        self.counters.add(Outcome::Rtp, &rtp);
    }

    /// Where its stream sits by now; nowhere, where it may be fax.
    #[cold]
    #[inline(never)]
    fn seat_now(&self, plain: &Plain) -> Seat {
        let endpoints = &self.shared.endpoints;
        if endpoints.expects_fax() && endpoints.may_be_fax(plain.ports()) {
            Seat::NOBODY
        } else {
            self.streams.seat_of(plain.print)
        }
    }

    /// Sees what the frames are as far as a glance tells, and has fetched what they will touch: their headers first, then the entries
    /// of the index, then the streams. What is computed of one is computed while the next ones' memory is on its way. Returns how
    /// many there are.
    #[inline(always)]
    fn look_ahead(&self, frames: &[Frame<'_>], ahead: &mut [Plain]) -> Tally {
        let mut all = Tally::default();
        for frame in frames {
            Plain::fetch(frame);
            all.take(frame);
        }
        let mut any_other = false;
        for (plain, frame) in ahead.iter_mut().zip(frames) {
            any_other |= !plain.see(frame, &self.streams, &self.looked_into);
        }
        for plain in &mut *ahead {
            plain.seat = self.streams.seat_of(plain.print);
            self.streams.fetch(plain.seat);
        }
        let is_young = |plain: &Plain| self.streams.is_young(plain.seat);
        if ahead.iter().fold(false, |any, plain| any | is_young(plain)) {
            for plain in &*ahead {
                self.streams.fetch_kept(plain.seat);
            }
        }
        if any_other {
            for (_, frame) in ahead.iter().zip(frames).filter(|(plain, _)| plain.print == Print::NONE) {
                let read = frame.bytes.len().min(CACHE_LINE * LINES_READ);
                fetch(&frame.bytes[..read]);
            }
        }
        all
    }
}
