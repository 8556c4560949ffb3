//! What is said of an RTP stream.

use serde::{Deserialize, Serialize};

use super::{Encryption, LinkedBy, Way};
use crate::time::Timestamp;

/// One RTP stream: an SSRC in one direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Mean of the RFC 3550 interarrival jitter, in milliseconds; absent without a clock rate.
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
