//! What one engine counts, for any thread to read.

use std::sync::Arc;

use crate::counter::Counter;
use crate::frame::Frame;
use crate::media::StreamTotals;
use crate::media::rtcp::RtcpCounters;
use crate::outcome::{Losses, Outcome, Outcomes};
use crate::sip::{Malformed, Message, Method, StartLine};
use crate::time::Timestamp;
use crate::turn::stun;

/// Status codes counted: 100 to 699.
const CODES: std::ops::Range<u16> = 100..700;

/// The counters of one engine, which alone writes them.
#[derive(Debug)]
pub struct EngineCounters {
    /// Frames taken in.
    pub frames: Counter,
    /// Bytes they had on the wire.
    pub bytes: Counter,
    first_ts: Counter,
    last_ts: Counter,
    /// Where each frame ended; their sum is `frames` between two frames.
    pub outcomes: Outcomes,
    /// What could not be followed.
    pub losses: Losses,
    /// RTCP.
    pub rtcp: RtcpCounters,
    /// What RTP streams come to.
    pub rtp: Arc<StreamTotals>,
    /// RTP streams in this lane's table, as of the last tick.
    pub streams: Counter,
    /// What looks like RTP and waits for its SDP in this lane, as of the last tick.
    pub waiting: Counter,
    /// TCP directions in this lane's table, as of the last tick.
    pub tcp_streams: Counter,
    requests: [Counter; Method::ALL.len()],
    responses: Box<[Counter]>,
    malformed: [Counter; Malformed::ALL.len()],
    stun: [[Counter; stun::Class::ALL.len()]; stun::Method::ALL.len()],
    /// STUN messages that came inside another one of TURN.
    pub stun_relayed: Counter,
    stun_malformed: [Counter; stun::Malformed::ALL.len()],
}

/// Frames of a batch that ended alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tally {
    frames: u64,
    bytes: u64,
    first: u64,
    last: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            frames: 0,
            bytes: 0,
            first: u64::MAX,
            last: 0,
        }
    }
}

impl Tally {
    /// One more.
    #[inline(always)]
    pub fn take(&mut self, frame: &Frame<'_>) {
        let ts = frame.ts.as_nanos();
        self.frames += 1;
        self.bytes += u64::from(frame.wire_len);
        self.first = self.first.min(ts);
        self.last = self.last.max(ts);
    }

    /// One less, which is counted by itself: its time stays among theirs.
    pub fn leave_out(&mut self, frame: &Frame<'_>) {
        self.frames -= 1;
        self.bytes -= u64::from(frame.wire_len);
    }
}

impl EngineCounters {
    /// Nothing counted yet, beside what the streams of the lane count by themselves.
    pub fn of(rtp: Arc<StreamTotals>) -> Self {
        Self {
            frames: Counter::default(),
            bytes: Counter::default(),
            first_ts: Counter::default(),
            last_ts: Counter::default(),
            outcomes: Outcomes::default(),
            losses: Losses::default(),
            rtcp: RtcpCounters::default(),
            rtp,
            streams: Counter::default(),
            waiting: Counter::default(),
            tcp_streams: Counter::default(),
            requests: Default::default(),
            responses: CODES.map(|_| Counter::default()).collect(),
            malformed: Default::default(),
            stun: Default::default(),
            stun_relayed: Counter::default(),
            stun_malformed: Default::default(),
        }
    }

    /// Counts a frame. Lanes see time go backwards a little, so first and last are minimum and maximum.
    #[inline]
    pub(super) fn count(&self, frame: &Frame<'_>, outcome: Outcome) {
        let ts = frame.ts.as_nanos();
        if self.frames.get() == 0 || ts < self.first_ts.get() {
            self.first_ts.set(ts);
        }
        if ts > self.last_ts.get() {
            self.last_ts.set(ts);
        }
        self.bytes.add(u64::from(frame.wire_len));
        self.outcomes.count(outcome);
        self.frames.add(1);
    }

    /// Counts frames that ended alike.
    pub(super) fn add(&self, outcome: Outcome, tally: &Tally) {
        if tally.frames == 0 {
            return;
        }
        if self.frames.get() == 0 || tally.first < self.first_ts.get() {
            self.first_ts.set(tally.first);
        }
        self.last_ts.set(self.last_ts.get().max(tally.last));
        self.bytes.add(tally.bytes);
        self.outcomes.add(outcome, tally.frames);
        self.frames.add(tally.frames);
    }

    pub(super) fn message(&self, message: &Message<'_>) {
        match message.start {
            StartLine::Request { method, .. } => self.requests[method as usize].add(1),
            StartLine::Response { code, .. } => {
                if let Some(counter) = response(&self.responses, code) {
                    counter.add(1);
                }
            }
        }
    }

    pub(super) fn malformed(&self, why: Malformed) {
        self.malformed[why as usize].add(1);
    }

    pub(super) fn stun(&self, message: &stun::Message<'_>, relayed: bool) {
        self.stun[message.method as usize][message.class as usize].add(1);
        self.stun_relayed.add(u64::from(relayed));
    }

    pub(super) fn stun_malformed(&self, why: stun::Malformed) {
        self.stun_malformed[why as usize].add(1);
    }

    /// STUN messages of this method and class.
    pub fn stun_messages(&self, method: stun::Method, class: stun::Class) -> u64 {
        self.stun[method as usize][class as usize].get()
    }

    /// What has the cookie of STUN and is no message for this reason.
    pub fn stun_malformed_for(&self, why: stun::Malformed) -> u64 {
        self.stun_malformed[why as usize].get()
    }

    /// Time of the earliest and of the latest frame; `None` where there was none.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        (self.frames.get() > 0).then(|| {
            (
                Timestamp::from_nanos(self.first_ts.get()),
                Timestamp::from_nanos(self.last_ts.get()),
            )
        })
    }

    /// Requests with this method.
    pub fn requests(&self, method: Method) -> u64 {
        self.requests[method as usize].get()
    }

    /// Responses by status code, those that occurred.
    pub fn responses(&self) -> impl Iterator<Item = (u16, u64)> {
        CODES
            .zip(&self.responses)
            .map(|(code, counter)| (code, counter.get()))
            .filter(|(_, count)| *count > 0)
    }

    /// Messages that could not be followed for this reason.
    pub fn malformed_for(&self, why: Malformed) -> u64 {
        self.malformed[why as usize].get()
    }
}

fn response(counters: &[Counter], code: u16) -> Option<&Counter> {
    counters.get(usize::from(code.checked_sub(CODES.start)?))
}
