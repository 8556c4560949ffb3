//! What siphon says of the traffic: the document of `siphon replay --json`, whose parts `siphon calls --json` and
//! `siphon streams --json` share. A contract: fields are added, never renamed or taken away.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The whole answer to "what is in these files".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Frames read.
    pub frames: u64,
    /// Bytes those frames had on the wire.
    pub bytes: u64,
    /// Time of the earliest frame; absent where there is none.
    pub first_ts: Option<Timestamp>,
    /// Time of the latest frame.
    pub last_ts: Option<Timestamp>,
    /// SIP message counts.
    pub sip: SipCounts,
    /// Calls in order of their start, then Call-ID.
    pub calls: Vec<Call>,
    /// Registrations in order of their start, then address of record.
    pub registrations: Vec<Registration>,
    /// RTP streams in order of their first packet, then SSRC and addresses.
    pub streams: Vec<Stream>,
    /// What was not understood or not kept, by reason; reasons that never occurred are left out.
    pub drops: BTreeMap<String, u64>,
}

/// SIP messages by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SipCounts {
    /// Requests and responses together, without the malformed ones.
    pub messages: u64,
    /// Requests by method, methods siphon has no word for under their own name's first letters as `OTHER`.
    pub requests: BTreeMap<String, u64>,
    /// Responses by status code.
    pub responses: BTreeMap<u16, u64>,
    /// What stood on a SIP port and began like a message but is not one.
    pub malformed: u64,
}

/// Where a call stands (RFC 3261, sections 13 to 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// INVITE seen, at most 100 answered.
    Trying,
    /// A provisional response above 100 seen.
    Ringing,
    /// A 2xx to the INVITE seen, no BYE.
    Answered,
    /// A BYE ended the answered call.
    Ended,
    /// A final response of 300 or above, other than 487 after a CANCEL.
    Failed,
    /// Given up by the caller: CANCEL, and no 2xx.
    Cancelled,
    /// No final response within the time limit (timer C, RFC 3261 section 16.6, unless configured).
    TimedOut,
}

impl CallState {
    /// Every state, in the order of a call's life.
    pub const ALL: [Self; 7] = [
        Self::Trying,
        Self::Ringing,
        Self::Answered,
        Self::Ended,
        Self::Failed,
        Self::Cancelled,
        Self::TimedOut,
    ];

    /// The name in metrics and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Trying => "trying",
            Self::Ringing => "ringing",
            Self::Answered => "answered",
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
        }
    }

    /// Whether nothing more is to come.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Ended | Self::Failed | Self::Cancelled | Self::TimedOut)
    }
}

/// One INVITE dialog.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Call-ID as on the wire.
    pub call_id: String,
    /// URI in From, without display name and parameters of the header.
    pub from_uri: String,
    /// URI in To.
    pub to_uri: String,
    /// Where the call stands.
    pub state: CallState,
    /// Code of the final response to the INVITE, or of the last provisional one.
    pub status_code: Option<u16>,
    /// First INVITE to first 2xx, in milliseconds.
    pub setup_ms: Option<f64>,
    /// First 2xx to BYE, in milliseconds; to the latest message where the call goes on.
    pub duration_ms: Option<f64>,
    /// Time of the first message.
    pub start: Timestamp,
    /// Source of the first INVITE, `ip:port` or `[v6]:port`.
    pub src: String,
    /// Destination of the first INVITE.
    pub dst: String,
    /// SIP messages that carry this Call-ID.
    pub messages: u64,
    /// SSRCs of the call's RTP streams as `0x%08x`, in order of first packet.
    pub streams: Vec<String>,
}

/// Where a registration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationState {
    /// REGISTER seen, no final response.
    Trying,
    /// 401 or 407 answered, credentials not yet seen to be accepted.
    Challenged,
    /// 2xx with a binding that lasts.
    Registered,
    /// 2xx to a request with expiry 0.
    Unregistered,
    /// A final response of 300 or above that is no challenge.
    Failed,
    /// No final response within the time limit.
    TimedOut,
}

impl RegistrationState {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Trying,
        Self::Challenged,
        Self::Registered,
        Self::Unregistered,
        Self::Failed,
        Self::TimedOut,
    ];

    /// The name in metrics and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Trying => "trying",
            Self::Challenged => "challenged",
            Self::Registered => "registered",
            Self::Unregistered => "unregistered",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
        }
    }
}

/// One address of record and contact, with the latest thing that happened to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Registration {
    /// Address of record: the URI in To (RFC 3261 section 10.2).
    pub aor: String,
    /// URI of the first Contact; empty where the request had none (a query).
    pub contact: String,
    /// Where the registration stands.
    pub state: RegistrationState,
    /// Code of the latest final response.
    pub status_code: Option<u16>,
    /// Seconds the registrar granted, or the client asked for while there is no answer.
    pub expires_s: Option<u32>,
    /// Time of the first message.
    pub start: Timestamp,
    /// Call-ID the client registers under.
    pub call_id: String,
    /// Source of the first REGISTER.
    pub src: String,
    /// Destination of the first REGISTER.
    pub dst: String,
    /// SIP messages that belong to it.
    pub messages: u64,
}

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
}
