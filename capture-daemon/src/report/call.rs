//! What is said of a call.

use serde::{Deserialize, Serialize};

use super::{CallMedia, Fax, Way};
use crate::time::Timestamp;

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
    /// What SDP offered and answered; absent where no description was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<CallMedia>,
    /// Fax over UDPTL (T.38), a direction each, in order of start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub t38: Vec<Fax>,
    /// Audio was wanted both ways for 5 s or more after the answer, and RTP came this way only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_way: Option<Way>,
    /// Audio was wanted both ways for 5 s or more after the answer, and no RTP came.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_media: bool,
}
