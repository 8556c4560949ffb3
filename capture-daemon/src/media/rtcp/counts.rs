//! What one lane counts of RTCP, for any thread to read.

use std::time::Duration;

use super::packet::{Feedback, Malformed, PacketType};
use super::xr::BlockType;
use crate::counter::Counter;

/// Upper ends of the buckets of round trips, in milliseconds; the last bucket has no end. One way 150 ms is good and 400 ms the
/// limit (ITU-T G.114), so a round trip is 300 and 800.
pub const ROUND_TRIPS_MS: [u64; 9] = [1, 5, 20, 50, 100, 200, 300, 500, 800];

/// Upper ends of the buckets of shares lost between two reports, in 256ths: nothing, then about 0.5, 1, 2, 5, 10, 20 and 50 %.
pub const SHARES_LOST: [u8; 8] = [0, 1, 3, 5, 13, 26, 51, 128];

/// The counters of one engine, which alone writes them.
#[derive(Debug, Default)]
pub struct RtcpCounters {
    packets: [Counter; PacketType::ALL.len()],
    feedback: [Counter; Feedback::ALL.len()],
    blocks: [Counter; BlockType::ALL.len()],
    malformed: [Counter; Malformed::ALL.len()],
    /// Datagrams whose packets are encrypted.
    pub encrypted: Counter,
    round_trips: [Counter; ROUND_TRIPS_MS.len() + 1],
    /// Sum of all round trips, in nanoseconds.
    pub round_trips_sum: Counter,
    shares_lost: [Counter; SHARES_LOST.len() + 1],
    /// Sum of all shares lost, in 256ths.
    pub shares_lost_sum: Counter,
}

impl RtcpCounters {
    pub(super) fn packet(&self, packet_type: PacketType) {
        self.packets[packet_type as usize].add(1);
    }

    pub(super) fn feedback(&self, kind: Feedback) {
        self.feedback[kind as usize].add(1);
    }

    pub(super) fn block(&self, block_type: BlockType) {
        self.blocks[block_type as usize].add(1);
    }

    pub(super) fn malformed(&self, why: Malformed) {
        self.malformed[why as usize].add(1);
    }

    pub(super) fn round_trip(&self, time: Duration) {
        let ms = time.as_nanos().div_ceil(1_000_000);
        let bucket = ROUND_TRIPS_MS.partition_point(|end| u128::from(*end) < ms);
        self.round_trips[bucket].add(1);
        self.round_trips_sum.add(time.as_nanos() as u64);
    }

    pub(super) fn share_lost(&self, share: u8) {
        let bucket = SHARES_LOST.partition_point(|end| *end < share);
        self.shares_lost[bucket].add(1);
        self.shares_lost_sum.add(u64::from(share));
    }

    /// Packets of this type, those of encrypted datagrams as far as their first.
    pub fn packets(&self, packet_type: PacketType) -> u64 {
        self.packets[packet_type as usize].get()
    }

    /// Feedback packets of this kind.
    pub fn feedback_of(&self, kind: Feedback) -> u64 {
        self.feedback[kind as usize].get()
    }

    /// XR blocks of this type.
    pub fn blocks(&self, block_type: BlockType) -> u64 {
        self.blocks[block_type as usize].get()
    }

    /// Datagrams and packets that could not be read for this reason.
    pub fn malformed_for(&self, why: Malformed) -> u64 {
        self.malformed[why as usize].get()
    }

    /// Round trips by bucket: not above the end of the bucket, and above that of the one before.
    pub fn round_trips(&self) -> impl Iterator<Item = u64> {
        self.round_trips.iter().map(Counter::get)
    }

    /// Report blocks by the share lost, in the same way.
    pub fn shares_lost(&self) -> impl Iterator<Item = u64> {
        self.shares_lost.iter().map(Counter::get)
    }
}
