//! Streams that the kernel program measures: their calls, their part in the totals, and when they are over. What they come to
//! stands in the kernel's map and is seen here from time to time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use capture_common::Level;
use capture_common::rtp::{StreamKey, StreamState};

use super::announcement::LEAD;
use super::codec;
use super::endpoints::Endpoints;
use super::join::{self, Join, Look, Seeker};
use super::stream::{Due, Key, PAUSE};
use super::streams::News;
use super::summary;
use super::totals::{Figures, SUMS, StreamTotals};
use crate::config::Follow;
use crate::net::Endpoint;
use crate::outcome::{Loss, Losses};
use crate::report;
use crate::time::Timestamp;

/// A stream's first so many packets, their numbers belonging together, and it is RTP though nobody announced it.
const CONFIRMED: u64 = 5;

/// Where the map is as full as this, in sixteenths, room is made before it has none: down to `ROOMY`.
const CROWDED: usize = 15;
const ROOMY: usize = 14;

/// Only streams that were quiet for so long make room for others.
const QUIET: Duration = Duration::from_secs(5);

/// What is known here of one stream.
#[derive(Debug)]
struct Known {
    key: Key,
    join: Option<Join>,
    /// Generation of its places at the last look.
    generation: u32,
    /// What the totals have been told of it.
    told: Figures,
    start: Timestamp,
    end: Timestamp,
    payload_type: u8,
    /// Round in which it was seen last.
    round: u32,
    /// Its packets have come to be another call's.
    taken_over: bool,
}

/// What is to be done with a stream that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing.
    Stays,
    /// It is over, and is to be taken out of the map and [ended](MeasuredStreams::end).
    Over,
}

/// The streams of the map, as they were seen last.
#[derive(Debug)]
pub struct MeasuredStreams {
    table: HashMap<StreamKey, Known, foldhash::fast::RandomState>,
    linger: Duration,
    /// What behaves like RTP is told of though no SDP announced it.
    without_sip: bool,
    max: usize,
    round: u32,
    /// Sums over all streams that were ever told of, and where others read them.
    sums: [i64; SUMS],
    totals: Arc<StreamTotals>,
    news: Vec<News>,
}

impl MeasuredStreams {
    /// Of a map that has as much room as is followed.
    pub fn new(follow: &Follow) -> Self {
        Self {
            table: HashMap::default(),
            linger: follow.linger,
            without_sip: follow.rtp_without_sip,
            max: follow.max_streams,
            round: 0,
            sums: [0; SUMS],
            totals: Arc::default(),
            news: Vec::new(),
        }
    }

    /// What the streams come to, for other threads to read.
    pub fn totals(&self) -> Arc<StreamTotals> {
        Arc::clone(&self.totals)
    }

    /// Streams that were seen.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// A stream stands so in the map at `now`; `wall` is the wall-clock time of its clock's.
    pub fn see(
        &mut self,
        key: &StreamKey,
        state: &StreamState,
        wall: impl Fn(u64) -> Timestamp,
        now: Timestamp,
        endpoints: &Endpoints,
        losses: &Losses,
    ) -> Seen {
        let known = self.table.entry(*key).or_insert_with(|| Known::new(key));
        known.round = self.round;
        known.follow(state, wall, endpoints, losses);
        let is_told = is_told(known, state, self.without_sip);
        if is_told && known.tell(state, &mut self.sums) {
            self.news.extend(known.news());
        }
        let idle = now.since(known.end);
        let stay = if is_told {
            self.linger
        } else {
            // It waits only as long as SDP may take.
            self.linger.min(LEAD)
        };
        if known.taken_over || known.crosses(endpoints) || idle >= stay {
            Seen::Over
        } else {
            Seen::Stays
        }
    }

    /// A stream was taken out of the map, as it stood then.
    pub fn end(&mut self, key: &StreamKey, state: &StreamState, wall: impl Fn(u64) -> Timestamp, losses: &Losses) {
        let mut known = self.table.remove(key).unwrap_or_else(|| Known::new(key));
        if is_told(&known, state, self.without_sip) {
            if known.tell(state, &mut self.sums) {
                self.news.extend(known.news());
            }
            self.totals
                .end(&summary::measured(&known.key, state, known.join.as_ref(), wall));
        } else if is_plausible(&known.key, state) {
            losses.count(Loss::StreamUnjoined);
        }
    }

    /// What is to be told about a stream, if anything is.
    pub fn report(
        &mut self,
        key: &StreamKey,
        state: &StreamState,
        wall: impl Fn(u64) -> Timestamp,
        endpoints: &Endpoints,
        losses: &Losses,
    ) -> Option<report::Stream> {
        let known = self.table.entry(*key).or_insert_with(|| Known::new(key));
        known.round = self.round;
        known.follow(state, &wall, endpoints, losses);
        is_told(known, state, self.without_sip).then(|| summary::measured(&known.key, state, known.join.as_ref(), wall))
    }

    /// All of the map has been seen: what was not is gone. Returns the streams that are to make room at `now`, the longest
    /// quiet first, to be taken out and [ended](Self::end).
    pub fn end_round(&mut self, now: Timestamp) -> Vec<StreamKey> {
        let round = self.round;
        self.table.retain(|_, known| known.round == round);
        self.round = round.wrapping_add(1);
        self.totals.show(&self.sums);
        if self.table.len() < self.max / 16 * CROWDED {
            return Vec::new();
        }
        let mut quiet: Vec<(Timestamp, StreamKey)> = self
            .table
            .iter()
            .map(|(key, known)| (known.end, *key))
            .filter(|(end, _)| now.since(*end) >= QUIET)
            .collect();
        let surplus = (self.table.len() - self.max / 16 * ROOMY).min(quiet.len());
        quiet.sort_unstable_by_key(|(end, _)| *end);
        quiet.truncate(surplus);
        quiet.into_iter().map(|(_, key)| key).collect()
    }

    /// Shows the totals as they stand, and returns what was heard of calls since the last time.
    pub fn news(&mut self) -> Vec<News> {
        self.totals.show(&self.sums);
        std::mem::take(&mut self.news)
    }
}

impl Known {
    fn new(key: &StreamKey) -> Self {
        Self {
            key: Key {
                src: Endpoint::v6(key.source, key.source_port),
                dst: Endpoint::v6(key.destination, key.destination_port),
                ssrc: key.ssrc,
            },
            join: None,
            generation: join::UNSEEN,
            told: Figures::default(),
            start: Timestamp::ZERO,
            end: Timestamp::ZERO,
            payload_type: 0,
            round: 0,
            taken_over: false,
        }
    }

    /// Looks for its call.
    fn follow(&mut self, state: &StreamState, wall: impl Fn(u64) -> Timestamp, endpoints: &Endpoints, losses: &Losses) {
        let before = self.end;
        (self.start, self.end) = (wall(state.start()), wall(state.end()));
        self.payload_type = state.types().main();
        let look = if self.may_be_taken_over(before, endpoints) {
            join::look(self, self.end, endpoints, Due::Pause, losses)
        } else {
            join::settle(self, endpoints, losses)
        };
        // Whoever asked, it is the next one to see it who takes it out.
        self.taken_over |= look == Look::OtherCall;
    }

    /// Whether another call may have begun at its endpoints since they were asked about: its own is over, or there was time for
    /// a pause since its latest packet was seen, that of time `before`.
    fn may_be_taken_over(&self, before: Timestamp, endpoints: &Endpoints) -> bool {
        let Some(join) = &self.join else {
            return false;
        };
        let has_moved = join::generation(&self.key, endpoints) != self.generation;
        let is_over = join.lease.released() <= self.end && self.end > before;
        let paused = self.end.since(before).as_nanos() >= u128::from(PAUSE);
        is_over || (has_moved && (paused || join.lease.released() <= self.end))
    }

    /// Whether its packets cross by now, as its call is kept at a level of its own. What they come to stands still in the map then, and
    /// is to begin anew when they are measured there again: what crossed was not lost.
    fn crosses(&self, endpoints: &Endpoints) -> bool {
        let Key { src, dst, .. } = self.key;
        self.join.is_some() && matches!(endpoints.told_level(src, dst), Some(Level::Headers | Level::Full))
    }

    /// Adds to the totals what has come since the last time, and says whether anything has.
    fn tell(&mut self, state: &StreamState, sums: &mut [i64; SUMS]) -> bool {
        let account = state.account();
        let now: Figures = [
            state.packets(),
            account.lost(),
            account.late(),
            account.copies(),
            0,
            0,
            0,
            0,
        ]
        .map(|figure| figure as u32);
        let moved = self.told != now;
        for ((sum, now), told) in sums.iter_mut().zip(now).zip(self.told) {
            *sum += i64::from(now.wrapping_sub(told).cast_signed());
        }
        self.told = now;
        moved
    }

    fn news(&self) -> Option<News> {
        let join = self.join.as_ref()?;
        Some((Arc::clone(join.call_id()), join.sender, self.start, self.end))
    }
}

impl Seeker for Known {
    fn key(&self) -> &Key {
        &self.key
    }

    fn start(&self) -> Timestamp {
        self.start
    }

    fn end(&self) -> Timestamp {
        self.end
    }

    fn payload_type(&self) -> u8 {
        self.payload_type
    }

    fn ends(&mut self, _: Timestamp, _: &Endpoints) -> (Endpoint, Endpoint) {
        (self.key.src, self.key.dst)
    }

    fn joined(&self) -> Option<&Join> {
        self.join.as_ref()
    }

    fn look(&mut self, generation: u32) -> bool {
        let moved = self.generation != generation;
        self.generation = generation;
        moved
    }

    fn stay_alert(&mut self) {
        self.generation = join::UNSEEN;
    }

    fn join(&mut self, join: Join) {
        self.join = Some(join);
    }
}

/// Whether a stream is one that siphon speaks of.
fn is_told(known: &Known, state: &StreamState, without_sip: bool) -> bool {
    known.join.is_some() || (without_sip && is_plausible(&known.key, state))
}

/// What the engine asks of a stream that nobody announced (`Stream::is_plausible`).
fn is_plausible(key: &Key, state: &StreamState) -> bool {
    let lost = state.account().lost();
    let arrived = state.expected().saturating_sub(lost);
    let first = state.types().first();
    arrived >= CONFIRMED
        && lost * 4 <= arrived
        && key.dst.port().is_multiple_of(2)
        && (codec::assigned(first).is_some() || first >= codec::DYNAMIC)
}

#[cfg(test)]
#[path = "measured_tests.rs"]
mod tests;
