//! What siphon says of the traffic: the document of `siphon replay --json`, whose parts `siphon calls --json` and
//! `siphon streams --json` share. A contract: fields are added, never renamed or taken away.

mod call;
mod dtmf;
mod fax;
mod flow;
mod learned;
mod media;
mod quality;
mod registration;
mod rtcp;
mod rtp;
mod signaling;
mod stream;
mod turn;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::call::{Call, CallState, Dialog, EndedBy, Message, Party, Reason, Transfer};
pub use self::dtmf::{Digit, DigitSource, Dtmf};
pub use self::fax::{Fax, FaxCorrection};
pub use self::flow::CallFlow;
pub use self::learned::{LearnedFigures, LearningLatency, LearningTimes};
pub use self::media::{CallMedia, Codec, Description, Encryption, Hold, Keys, LinkedBy, MediaLine, Negotiated, Way};
pub use self::quality::{Buffer, Burst, Opinion, Playout, Quality};
pub use self::registration::{Registration, RegistrationState};
pub use self::rtcp::{
    Bucket, Distribution, Goodbye, ReceiverReports, RoundTrip, Rtcp, RtcpCounts, SenderReports, Spread,
    StatisticsSummary, VoipMetrics,
};
pub use self::rtp::{Opinions, RtpFigures};
pub use self::signaling::{
    BUCKETS_MS, Events, Latency, Ratio, RegistrationFigures, SessionFigures, Signaling, Transactions,
};
pub use self::stream::{Clock, Delta, MeasuredIn, PayloadType, Silence, Stream, Via};
pub use self::turn::{Allocation, AllocationState, Channel, Permission, Relayed, StunTransactions, Turn, TurnFigures};
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
    /// Transactions, subscriptions, registrations and sessions in figures.
    #[serde(default)]
    pub signaling: Signaling,
    /// RTP streams in order of their first packet, then SSRC and addresses.
    pub streams: Vec<Stream>,
    /// STUN and TURN.
    #[serde(default)]
    pub turn: Turn,
    /// RTP streams in figures.
    #[serde(default)]
    pub rtp: RtpFigures,
    /// RTCP packet counts.
    #[serde(default)]
    pub rtcp: RtcpCounts,
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
