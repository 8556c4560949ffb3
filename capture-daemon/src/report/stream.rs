//! What is said of an RTP stream.

use serde::{Deserialize, Serialize};

use super::dtmf::Dtmf;
use super::quality::{Burst, Playout, Quality};
use super::rtcp::Rtcp;
use super::{Encryption, LinkedBy, Way};
use crate::time::Timestamp;

/// One RTP stream: an SSRC in one direction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    /// Synchronisation source as `0x%08x`.
    pub ssrc: String,
    /// Source, `ip:port` or `[v6]:port`.
    pub src: String,
    /// Destination.
    pub dst: String,
    /// Payload type of the most packets' codec (the first that is not comfort noise or telephone-event).
    pub payload_type: u8,
    /// Encoding name from SDP, or from the static table of RFC 3551; absent where neither knows the payload type.
    pub codec: Option<String>,
    /// RTP clock in Hz, from the same place.
    pub clock_rate: Option<u32>,
    /// RTP packets received, duplicates included.
    pub packets: u64,
    /// Sequence numbers from the first to the highest (RFC 3550 A.3).
    pub expected: u64,
    /// Sequence numbers that never arrived.
    pub lost: u64,
    /// Packets that arrived below the highest sequence number and were no copies.
    pub reordered: u64,
    /// Copies of packets already received.
    pub duplicates: u64,
    /// Mean of the RFC 3550 interarrival jitter, in milliseconds, at the clock that is really used; absent where nobody knows
    /// it.
    pub jitter_mean_ms: Option<f64>,
    /// Its highest value.
    pub jitter_max_ms: Option<f64>,
    /// Time of the first packet.
    pub start: Timestamp,
    /// Time of the last packet.
    pub end: Timestamp,
    /// The call whose SDP announced one of its ends, or null.
    pub call_id: Option<String>,
    /// What joined it with that call; the last two are guesses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked_by: Option<LinkedBy>,
    /// Whose voice it is; absent where nobody knows who began the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Way>,
    /// How its payload is encrypted, as SDP says; absent where SDP says that it is not, or says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<Encryption>,
    /// How TURN wrapped the packets between `src` and `dst`; absent where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Via>,
    /// What RTCP says of it; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtcp: Option<Box<Rtcp>>,
    /// Keys pressed (RFC 4733); absent where there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtmf: Option<Dtmf>,
    /// Times the sender's sequence numbers began elsewhere.
    #[serde(default)]
    pub restarts: u64,
    /// Time between one packet and the next; absent where there is one packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<Delta>,
    /// The sender's clock; absent where nobody knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
    /// The first six payload types, in the order of their first packets.
    #[serde(default)]
    pub payload_types: Vec<PayloadType>,
    /// Times the media changed its payload type.
    #[serde(default)]
    pub codec_changes: u64,
    /// Comfort noise packets (RFC 3389).
    #[serde(default)]
    pub comfort_noise: u64,
    /// Times of 200 ms or more without a packet where no number is missing; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence: Option<Silence>,
    /// How losses stand together; absent where nothing was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<Burst>,
    /// What jitter buffers made of it; absent for video, and where nobody knows the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub playout: Option<Playout>,
    /// Where it was measured, if not in the engine: there are no figures of bursts, playout and opinions then, and none of the
    /// clock's skew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_in: Option<MeasuredIn>,
    /// Octets of RTP, headers included, copies too; of what was measured in the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub octets: Option<u64>,
    /// Opinion by the E-model; absent without a basis for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
}

/// Where a stream was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasuredIn {
    /// In the kernel program, and its packets never crossed.
    Kernel,
}

/// Time between one packet and the next, in order of arrival. Of all packets: Wireshark leaves out those with a marker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    /// Least, in milliseconds.
    pub min_ms: f64,
    /// Mean, in milliseconds.
    pub mean_ms: f64,
    /// Most, in milliseconds.
    pub max_ms: f64,
}

/// The clock of a stream's timestamps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// The clock the figures are computed with, in Hz.
    pub rate: u32,
    /// That clock, where it was measured from timestamps and arrivals because SDP names another or none, in Hz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_rate_measured: Option<u32>,
    /// SDP, or the static table of RFC 3551, names another clock than the one that is used: for two seconds or more, each of
    /// them alike, timestamps ran at another one against the arrivals. A sender that steadily sends its packets at twice or
    /// half their pace looks the same from here.
    #[serde(default)]
    pub mismatch: bool,
    /// Time a packet is for, in milliseconds, by the timestamps of the first packets; absent where they do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet_ms: Option<f64>,
    /// How much earlier the last packet came than the sender's clock says, counted from the first one, in milliseconds:
    /// the drift of the clocks against each other, less the delay of that packet. Negative where it came later; Wireshark
    /// has the same sign.
    pub skew_ms: f64,
    /// The one of all packets that is farthest from 0.
    pub skew_max_ms: f64,
}

/// Packets of one payload type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PayloadType {
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Encoding name, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// Packets, copies included.
    pub packets: u64,
    /// Whether the SDP the stream was joined by has it: false is a payload type that nobody asked for. Absent without SDP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced: Option<bool>,
}

/// Times without a packet where no number is missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// Those that a marker after them or comfort noise before them announces: discontinuous transmission (RFC 3551
    /// section 4.1).
    pub dtx: u64,
    /// Those that nothing announces.
    pub gaps: u64,
    /// Longest of the latter, in milliseconds.
    pub longest_ms: f64,
    /// Sum of the latter, in milliseconds.
    pub total_ms: u64,
}

/// RTP inside of TURN: what the stream's ends are behind the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Via {
    /// `turn_channel` for ChannelData, `turn_indication` for Send and Data indications alone.
    pub kind: String,
    /// The channel's number as `0x4000`; absent for indications.
    pub channel: Option<String>,
    /// The client's relayed address (RFC 8656 section 2.2); absent where its grant was not seen.
    pub relayed: Option<String>,
    /// The peer; absent where it is not known what the channel was bound to.
    pub peer: Option<String>,
}
