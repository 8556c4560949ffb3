//! What is said of a stream by its own ends, in RTCP.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// RTCP about one stream (RFC 3550 section 6). What nobody said is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rtcp {
    /// SRTCP packets of the stream's sender: there is RTCP, and it cannot be read (RFC 3711 section 3.4).
    #[serde(skip_serializing_if = "is_zero")]
    pub encrypted: u64,
    /// What the sender says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<SenderReports>,
    /// What the receiver says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receiver: Option<ReceiverReports>,
    /// How long packets are under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip: Option<RoundTrip>,
    /// What the receiver says in VoIP metrics blocks (RFC 3611 section 4.7), the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voip_metrics: Option<VoipMetrics>,
    /// What the receiver says in statistics summary blocks (RFC 3611 section 4.6).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistics_summary: Option<StatisticsSummary>,
    /// Feedback packets about the stream by kind: `nack`, `transport_cc`, `pli`, `fir`, `remb`, `other`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub feedback: BTreeMap<String, u64>,
    /// Canonical name of the sender (SDES CNAME), the first it gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cname: Option<String>,
    /// Name of the sender's user (SDES NAME).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The sender's program (SDES TOOL).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// When and why the sender left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goodbye: Option<Goodbye>,
}

/// What sender reports say (RFC 3550 section 6.4.1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SenderReports {
    /// Sender reports seen.
    pub reports: u64,
    /// Packets the sender had sent since it began, at the latest report.
    pub packets: u32,
    /// Payload octets in them.
    pub octets: u32,
    /// Clock of the stream's timestamps in Hz, from the first and the latest report, which pair them with the sender's wall
    /// clock; absent where the reports span less than five seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_rate_hz: Option<f64>,
    /// Time of the latest report.
    pub last: Timestamp,
}

/// What report blocks about the stream say (RFC 3550 section 6.4.1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReceiverReports {
    /// Report blocks seen.
    pub reports: u64,
    /// SSRC of the latest reporter as `0x%08x`.
    pub reporter: String,
    /// Share of packets lost in the latest interval between two reports, 0 to 1.
    pub fraction_lost_last: f64,
    /// Highest share lost in any interval.
    pub fraction_lost_max: f64,
    /// Packets lost since the reception began, at the latest report: a running sum, not one to be added up. Negative where
    /// copies outweigh losses.
    pub cumulative_lost: i32,
    /// Highest sequence number received, with its wraps in the upper 16 bits, at the latest report.
    pub highest_seq: u32,
    /// Interarrival jitter at the latest report, in milliseconds; absent without a clock rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter_last_ms: Option<f64>,
    /// Mean over all reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter_mean_ms: Option<f64>,
    /// Highest of all reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter_max_ms: Option<f64>,
    /// Time of the latest report.
    pub last: Timestamp,
}

/// Round trips, measured where siphon listens, from reports that name earlier ones (RFC 3550 section 6.4.1, RFC 3611
/// sections 4.4 and 4.5).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoundTrip {
    /// Between here and the stream's receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receiver: Option<Spread>,
    /// Between here and the stream's sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<Spread>,
    /// Between the two ends in milliseconds: the sum of both means, else what the latest VoIP metrics say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_ms: Option<f64>,
    /// Estimate of the delay from mouth to ear in milliseconds: half of the path's round trip, and half of the end system
    /// delays that the two ends told in VoIP metrics (RFC 3611 section 4.7.3). Without those it is the network's alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_way_ms: Option<f64>,
}

/// Times in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// How many were measured.
    pub count: u64,
    /// Smallest.
    pub min_ms: f64,
    /// Mean.
    pub mean_ms: f64,
    /// Largest.
    pub max_ms: f64,
    /// Latest.
    pub last_ms: f64,
}

/// A VoIP metrics block (RFC 3611 section 4.7).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VoipMetrics {
    /// Blocks seen.
    pub reports: u64,
    /// Share of packets lost since the beginning, 0 to 1.
    pub loss_rate: f64,
    /// Share of packets the jitter buffer discarded, 0 to 1.
    pub discard_rate: f64,
    /// Share of packets lost or discarded within bursts, 0 to 1.
    pub burst_density: f64,
    /// The same within gaps.
    pub gap_density: f64,
    /// Mean duration of bursts in milliseconds.
    pub burst_duration_ms: u16,
    /// Mean duration of gaps in milliseconds.
    pub gap_duration_ms: u16,
    /// Packets without loss that end a burst.
    pub gmin: u8,
    /// Latest round trip between the two ends in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<u16>,
    /// Time within the receiver, from the wire to the ear and from the mouth to the wire, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_system_delay_ms: Option<u16>,
    /// Voice level in dBm0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal_level_dbm: Option<i8>,
    /// Noise level in dBm0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise_level_dbm: Option<i8>,
    /// Residual echo return loss in dB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residual_echo_return_loss_db: Option<u8>,
    /// R factor of the stream, 0 to 100 (ITU-T G.107).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r_factor: Option<u8>,
    /// R factor of what lies beyond the receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_r_factor: Option<u8>,
    /// Listening quality, 1 to 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mos_lq: Option<f64>,
    /// Conversational quality, 1 to 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mos_cq: Option<f64>,
    /// Packet loss concealment: `disabled`, `enhanced` or `standard`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concealment: Option<String>,
    /// Jitter buffer: `fixed` or `adaptive`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_buffer: Option<String>,
    /// How fast the jitter buffer adapts, 0 to 15.
    pub jitter_buffer_rate: u8,
    /// Nominal delay of the jitter buffer in milliseconds.
    pub jitter_buffer_nominal_ms: u16,
    /// Its delay for the latest packet it would not discard.
    pub jitter_buffer_maximum_ms: u16,
    /// The highest delay it can adapt to.
    pub jitter_buffer_absolute_ms: u16,
}

/// Statistics summary blocks (RFC 3611 section 4.6).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatisticsSummary {
    /// Blocks seen.
    pub reports: u64,
    /// Packets lost, over all blocks that tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
    /// Copies received, over all blocks that tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicates: Option<u64>,
    /// Mean jitter of the latest block in milliseconds; absent without a clock rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_mean_ms: Option<f64>,
    /// Highest jitter of the latest block in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_max_ms: Option<f64>,
}

/// A BYE (RFC 3550 section 6.6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goodbye {
    /// When it passed.
    pub at: Timestamp,
    /// The reason given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// RTCP packets by kind. Kinds that never occurred are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RtcpCounts {
    /// RTCP packets by type, each packet of a compound one: `sr`, `rr`, `sdes`, `bye`, `app`, `rtpfb`, `psfb`, `xr`, `other`.
    pub packets: BTreeMap<String, u64>,
    /// Feedback packets (RFC 4585) by kind.
    pub feedback: BTreeMap<String, u64>,
    /// Blocks of extended reports (RFC 3611) by type.
    pub xr_blocks: BTreeMap<String, u64>,
    /// Datagrams of SRTCP: one packet each, whose type can be read.
    pub encrypted: u64,
    /// Datagrams and packets that could not be read, by reason.
    pub malformed: BTreeMap<String, u64>,
    /// Round trips measured between here and either end, in seconds.
    pub round_trips: Distribution,
    /// Shares of packets lost that report blocks tell, each of one interval, 0 to 1.
    pub shares_lost: Distribution,
}

/// How often figures of each size occurred.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Upper ends, each with the figures that are not above it.
    pub buckets: Vec<Bucket>,
    /// All figures.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
}

/// The figures that are not above some end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// The end.
    pub le: f64,
    /// How many.
    pub count: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}
