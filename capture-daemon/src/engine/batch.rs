//! Frames in batches. At 105,000 streams every packet's stream is out of the caches, and waiting for memory costs more than
//! all that is computed; so what a batch will touch is touched for all of it first, where one look need not wait for another,
//! and then it is taken in frame by frame as ever.

use std::hint::black_box;

use super::Engine;
use super::counters::Tally;
use super::plain::Plain;
use super::portion;
use crate::frame::{Frame, Keep};
use crate::media::Print;
use crate::outcome::Outcome;

/// Frames looked at ahead: the memory of that many streams stays in the first-level cache until it is their turn.
pub(super) const AHEAD: usize = 64;

/// What is no RTP is read to its end, mostly. Another core wrote it.
const CACHE_LINE: usize = 64;
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
        let (mut seats_hold, mut expects_fax) = (true, self.shared.endpoints.expects_fax());
        let mut rtp = all;
        for (at, plain) in ahead.iter_mut().enumerate() {
            let seat = if seats_hold {
                plain.seat
            } else {
                self.streams.seat_of(plain.print)
            };
            let may_flow = !expects_fax || !self.shared.endpoints.may_be_fax(plain.ports());
            if may_flow && let Some(level) = self.streams.flow(seat, &plain.header) {
                plain.keep = portion::of_media(level.unwrap_or(self.level), plain.payload_at);
                continue;
            }
            let Some(frame) = frames.get(at) else { break };
            rtp.leave_out(frame);
            plain.keep = self.frame(frame);
            // It may have begun or ended a stream, or announced fax.
            seats_hold = self.streams.changes() == changes;
            expects_fax = self.shared.endpoints.expects_fax();
        }
        self.counters.add(Outcome::Rtp, &rtp);
    }

    /// Sees what the frames are as far as a glance tells, and touches what they will touch: the entries of the index first, then
    /// the streams. Returns how many there are.
    // In loops of few instructions: as many misses are on their way at once as iterations fit what the processor looks ahead
    // itself, some hundred instructions.
    #[inline(always)]
    fn look_ahead(&self, frames: &[Frame<'_>], ahead: &mut [Plain]) -> Tally {
        let mut any_other = false;
        for (plain, frame) in ahead.iter_mut().zip(frames) {
            plain.see(frame, &self.streams, &self.looked_into);
            any_other |= plain.print == Print::NONE;
        }
        let (mut touched, mut all) = (0, Tally::default());
        for (plain, frame) in ahead.iter().zip(frames) {
            touched ^= self.streams.touch_entry(plain.print);
            all.take(frame);
        }
        let mut any_young = false;
        for plain in &mut *ahead {
            plain.seat = self.streams.seat_of(plain.print);
            let (first, is_young) = self.streams.touch(plain.seat);
            touched ^= first;
            any_young |= is_young;
        }
        if any_young {
            for plain in &*ahead {
                touched ^= self.streams.touch_kept(plain.seat);
            }
        }
        if any_other {
            for (_, frame) in ahead.iter().zip(frames).filter(|(plain, _)| plain.print == Print::NONE) {
                let lines = frame.bytes.iter().step_by(CACHE_LINE).take(LINES_READ);
                touched ^= lines.fold(0, |touched, octet| touched ^ u32::from(*octet));
            }
        }
        black_box(touched);
        all
    }
}
