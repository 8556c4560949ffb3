//! What is said of all RTP streams together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Distribution;

/// RTP in figures. Each stream counts for itself: a call through a relay has four. Distributions are of streams that have ended,
/// live after `follow.linger` without a packet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RtpFigures {
    /// Streams that have ended.
    pub streams_ended: u64,
    /// RTP packets, copies included.
    pub packets: u64,
    /// Sequence numbers that never arrived.
    pub lost: u64,
    /// Packets that arrived below the highest sequence number and were no copies.
    pub reordered: u64,
    /// Copies of packets already received.
    pub duplicates: u64,
    /// Packets that came too late to be played, by simulated jitter buffer: `fixed_50`, `fixed_200`, `adaptive`.
    pub discarded: BTreeMap<String, u64>,
    /// Keys pressed (RFC 4733) in each stream, a long one in parts of 65,535 units of its clock.
    pub dtmf_digits: u64,
    /// T.38 packets over UDPTL.
    pub t38_packets: u64,
    /// What happened in the streams that have ended, by what: `restart`, `codec_change`, `comfort_noise`, `silence_gap`, `dtx`, `burst`.
    pub events: BTreeMap<String, u64>,
    /// Streams that have ended, by what was to be said of them: `encrypted`, `clock_mismatch`, `payload_type_unannounced`, `in_turn`.
    pub streams: BTreeMap<String, u64>,
    /// The same by what joined them with their call, `none` where nothing did.
    pub linked_by: BTreeMap<String, u64>,
    /// Mean interarrival jitter (RFC 3550) of each stream, in seconds.
    pub jitter: Distribution,
    /// Longest time between one packet and the next of each stream, in seconds.
    pub delta_max: Distribution,
    /// How far each sender's clock was off at most, to either side, in seconds.
    pub skew_max: Distribution,
    /// Share of packets lost of each stream, 0 to 1.
    pub share_lost: Distribution,
    /// Share of packets lost within the bursts of each stream that had any (RFC 3611 section 4.7.2), 0 to 1.
    pub burst_density: Distribution,
    /// The same outside of bursts, of each stream that lost a packet.
    pub gap_density: Distribution,
    /// Rating R for listening (ITU-T G.107) of each stream that has an opinion, by model (`G.107`, `G.107.1`), which are not comparable,
    /// and simulated jitter buffer.
    pub r_lq: Opinions,
    /// Rating R for a conversation, likewise, of each stream of which RTCP tells the round trip.
    pub r_cq: Opinions,
    /// MOS-LQ (RFC 3611 section 4.7.5) of each stream that has an opinion, likewise.
    pub mos_lq: Opinions,
    /// MOS-CQ, likewise, of each stream of which RTCP tells the round trip.
    pub mos_cq: Opinions,
}

/// Opinions by model and simulated jitter buffer.
pub type Opinions = BTreeMap<String, BTreeMap<String, Distribution>>;
