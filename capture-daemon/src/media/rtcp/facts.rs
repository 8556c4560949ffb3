//! What RTCP said of one source on one path. Every field is a minimum, a maximum, a sum or the latest of its kind, so that the
//! order of packets does not matter, and two sets of facts can be added.

use std::time::Duration;

use super::packet::{CNAME, Feedback, Item, NAME, ReportBlock, SenderInfo, TOOL};
use super::round_trip::RoundTrips;
use super::xr::{Block, BlockType, Summary, VoipMetrics};
use crate::time::Timestamp;

/// A value with its packet's time: the latest, or the earliest, of several is kept. Of two at one time the greater, or the
/// lesser, so that it does not matter which is seen first.
type At<T> = Option<(Timestamp, T)>;

/// The facts.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Time of the first and of the last packet.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Sender reports.
    pub sender: Sender,
    /// Report blocks about the source.
    pub receiver: Receiver,
    /// Between here and the receiver.
    pub round_trips: RoundTrips,
    /// Earliest of each.
    pub cname: At<Box<[u8]>>,
    pub name: At<Box<[u8]>>,
    pub tool: At<Box<[u8]>>,
    /// The earliest goodbye and its reason.
    pub goodbye: At<Box<[u8]>>,
    /// Feedback about the source, by kind.
    pub feedback: [u32; Feedback::ALL.len()],
    /// Extended reports, where there are any.
    pub extended: Option<Box<Extended>>,
    /// SRTCP packets of the source.
    pub encrypted: u64,
}

/// What sender reports said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sender {
    /// How many there were.
    pub reports: u64,
    /// The earliest.
    pub first: At<SenderInfo>,
    /// The latest.
    pub last: At<SenderInfo>,
}

/// What report blocks said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Receiver {
    /// How many there were.
    pub reports: u64,
    /// The latest, and who sent it.
    pub last: At<(ReportBlock, u32)>,
    /// Highest share lost in one interval, in 256ths.
    pub fraction_lost_max: u8,
    /// In units of the stream's clock.
    pub jitter_sum: u64,
    pub jitter_max: u32,
}

/// What extended reports said.
#[derive(Clone, Debug, Default)]
pub struct Extended {
    /// Blocks about the source, by type.
    pub blocks: [u64; BlockType::ALL.len()],
    /// The latest of each.
    pub voip: At<VoipMetrics>,
    pub summary: At<Summary>,
    /// Of summaries, whose intervals follow one another.
    pub summary_lost: Option<u64>,
    pub summary_duplicates: Option<u64>,
}

impl Facts {
    /// Notes that a packet of `ts` has something to say.
    pub fn heard(&mut self, ts: Timestamp) {
        let (first, last) = self.span.unwrap_or((ts, ts));
        self.span = Some((first.min(ts), last.max(ts)));
    }

    /// Time of the last packet.
    pub fn last(&self) -> Timestamp {
        self.span.map_or(Timestamp::ZERO, |(_, last)| last)
    }

    /// Takes a sender report of the source.
    pub fn sender_report(&mut self, ts: Timestamp, info: SenderInfo, tell: impl FnMut(Duration)) {
        self.sender.reports += 1;
        earliest(&mut self.sender.first, Some((ts, info)));
        self.sender.last = self.sender.last.max(Some((ts, info)));
        // A sender without a clock writes 0 (RFC 3550 section 6.4.1).
        if info.ntp != 0 {
            self.round_trips.sent(ts, info.middle(), tell);
        }
    }

    /// Takes what `reporter` said of the source.
    pub fn report_block(&mut self, ts: Timestamp, reporter: u32, block: ReportBlock, tell: impl FnMut(Duration)) {
        let receiver = &mut self.receiver;
        receiver.reports += 1;
        receiver.last = receiver.last.max(Some((ts, (block, reporter))));
        receiver.fraction_lost_max = receiver.fraction_lost_max.max(block.fraction_lost);
        receiver.jitter_sum += u64::from(block.jitter);
        receiver.jitter_max = receiver.jitter_max.max(block.jitter);
        self.round_trips.echo(ts, block.last_sr, block.delay, tell);
    }

    /// Takes one item of a source description.
    pub fn item(&mut self, ts: Timestamp, item: &Item<'_>) {
        match item.kind {
            CNAME => earliest_text(&mut self.cname, ts, item.text),
            NAME => earliest_text(&mut self.name, ts, item.text),
            TOOL => earliest_text(&mut self.tool, ts, item.text),
            _ => {}
        }
    }

    /// The source leaves.
    pub fn goodbye(&mut self, ts: Timestamp, reason: &[u8]) {
        earliest_text(&mut self.goodbye, ts, reason);
    }

    /// Takes a block of an extended report about the source.
    pub fn block(&mut self, ts: Timestamp, block: &Block<'_>) {
        let extended = self.extended.get_or_insert_default();
        if let Some(count) = extended.blocks.get_mut(block.block_type() as usize) {
            *count += 1;
        }
        match block {
            Block::Voip(metrics) => extended.voip = extended.voip.max(Some((ts, *metrics))),
            Block::Summary(summary) => {
                extended.summary = extended.summary.max(Some((ts, *summary)));
                extended.summary_lost = sum(extended.summary_lost, summary.lost.map(u64::from));
                extended.summary_duplicates = sum(extended.summary_duplicates, summary.duplicates.map(u64::from));
            }
            Block::ReferenceTime(_) | Block::Dlrr(_) | Block::Named(_) => {}
        }
    }

    /// Takes in what another place knows of the same source.
    pub fn add(&mut self, other: &Self) {
        if let Some((first, last)) = other.span {
            self.heard(first);
            self.heard(last);
        }
        self.sender.reports += other.sender.reports;
        earliest(&mut self.sender.first, other.sender.first);
        self.sender.last = self.sender.last.max(other.sender.last);
        let (mine, theirs) = (&mut self.receiver, &other.receiver);
        mine.reports += theirs.reports;
        mine.last = mine.last.max(theirs.last);
        mine.fraction_lost_max = mine.fraction_lost_max.max(theirs.fraction_lost_max);
        mine.jitter_sum += theirs.jitter_sum;
        mine.jitter_max = mine.jitter_max.max(theirs.jitter_max);
        self.round_trips.add(&other.round_trips);
        earliest(&mut self.cname, other.cname.clone());
        earliest(&mut self.name, other.name.clone());
        earliest(&mut self.tool, other.tool.clone());
        earliest(&mut self.goodbye, other.goodbye.clone());
        for (mine, theirs) in self.feedback.iter_mut().zip(other.feedback) {
            *mine += theirs;
        }
        if let Some(theirs) = &other.extended {
            let mine = self.extended.get_or_insert_default();
            for (mine, theirs) in mine.blocks.iter_mut().zip(theirs.blocks) {
                *mine += theirs;
            }
            mine.voip = mine.voip.max(theirs.voip);
            mine.summary = mine.summary.max(theirs.summary);
            mine.summary_lost = sum(mine.summary_lost, theirs.summary_lost);
            mine.summary_duplicates = sum(mine.summary_duplicates, theirs.summary_duplicates);
        }
        self.encrypted += other.encrypted;
    }
}

fn earliest<T: Ord>(known: &mut At<T>, other: At<T>) {
    if let Some(other) = other
        && known.as_ref().is_none_or(|known| other < *known)
    {
        *known = Some(other);
    }
}

/// As [`earliest`], and allocates only for a text that is kept.
fn earliest_text(known: &mut At<Box<[u8]>>, ts: Timestamp, text: &[u8]) {
    if known.as_ref().is_none_or(|(at, kept)| (ts, text) < (*at, kept)) {
        *known = Some((ts, text.into()));
    }
}

/// The sum of figures that may be absent: absent only where both are.
fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}
