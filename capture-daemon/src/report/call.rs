//! What is said of a call.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::dtmf::Dtmf;
use super::{CallMedia, Fax, Way};
use crate::time::Timestamp;

/// Where a call stands (RFC 3261, sections 13 to 15).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// INVITE seen, at most 100 answered.
    #[default]
    Trying,
    /// A provisional response above 100 seen.
    Ringing,
    /// A 2xx to the INVITE seen, no BYE.
    Answered,
    /// A BYE ended the answered call, or its time ran out without one: `ended_by` says which.
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

/// One call: an INVITE, the dialogs it made, and what happened in them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// How much of the call is kept: `signaling`, `headers`, `full`.
    #[serde(default)]
    pub level: String,
    /// The rule that says so; absent where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
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
    #[serde(default, skip_serializing_if = "is_false")]
    pub no_media: bool,
    /// Keys pressed in its streams and INFO requests; absent where there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtmf: Option<Dtmf>,
    /// URI in the Contact of the first INVITE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// No INVITE was seen, and a request inside its dialog was: the call is older than the capture, and `src` and `from_uri` are
    /// those of that request, not necessarily of who called.
    #[serde(default, skip_serializing_if = "is_false")]
    pub joined_late: bool,
    /// How the call ended; absent while it goes on, and where it was never answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<EndedBy>,
    /// Who sent the BYE; absent where it is not known who called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hung_up: Option<Party>,
    /// Final response to the BYE, 481 for one (RFC 3261 section 15.1.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bye_code: Option<u16>,
    /// Nothing answered the BYE in time (timer F, RFC 3261 section 17.1.2.2, unless configured).
    #[serde(default, skip_serializing_if = "is_false")]
    pub bye_unanswered: bool,
    /// INVITEs that were answered with 401, 402 or 407 before the one that decides, or are not followed by another.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub challenges: u64,
    /// URIs in the Contacts of 3xx responses (RFC 3261 section 8.1.3.4), at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_targets: Vec<String>,
    /// Hops one after the other on which the INVITE was seen; 0 where none was.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hops: u64,
    /// The INVITE went over one hop twice with the same Request-URI (RFC 3261 section 16.3), or was answered with 482 or 483.
    #[serde(default, skip_serializing_if = "is_false")]
    pub looped: bool,
    /// The INVITE went over one hop twice with another Request-URI, as a diverted call does (RFC 3261 section 6, spiral).
    #[serde(default, skip_serializing_if = "is_false")]
    pub spiral: bool,
    /// A provisional response asked for PRACK (RFC 3262).
    #[serde(default, skip_serializing_if = "is_false")]
    pub reliable_provisional: bool,
    /// Session timer that was agreed on last, in seconds (RFC 4028).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_expires_s: Option<u32>,
    /// First INVITE to first 180 or 183, in milliseconds: challenges and redirections are part of it, as the caller waits for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_dial_delay_ms: Option<f64>,
    /// First 180 to the 2xx, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring_time_ms: Option<f64>,
    /// Session request delay of a call that got through, in milliseconds (RFC 6076 section 4.3.1): the INVITE that decides to its
    /// first provisional response other than 100, or to the 2xx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_request_delay_ms: Option<f64>,
    /// Session request delay of a call that failed, in milliseconds (RFC 6076 section 4.3.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_session_request_delay_ms: Option<f64>,
    /// BYE to its 2xx, in milliseconds (RFC 6076 section 4.4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_disconnect_delay_ms: Option<f64>,
    /// BYE to another final response or to the time limit, in milliseconds (RFC 6076 section 4.4.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_session_disconnect_delay_ms: Option<f64>,
    /// Dialogs, early ones too, in order of time: a forked INVITE makes several (RFC 3261 section 12). At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dialogs: Vec<Dialog>,
    /// There were more dialogs than are told of.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more_dialogs: bool,
    /// Transfers (REFER, RFC 3515) in order of time, at most 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfers: Vec<Transfer>,
    /// What Reason headers of BYE, CANCEL and refusals said (RFC 3326).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// The headers of `follow.headers`, each as the first request that has it says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Call-IDs of calls this one belongs with, at most 8: by Session-ID (RFC 7989), Replaces (RFC 3891) and the headers of
    /// `follow.correlate`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<String>,
    /// Messages that repeat an earlier one on the same hop: all of them where `messages_not_kept` is absent, else at least
    /// so many, as only those in the ladder are compared.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retransmissions: u64,
    /// Messages that are counted and not in the ladder, which keeps `follow.max_messages`: the first half and the last half.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub messages_not_kept: u64,
    /// The messages, in order of time. Only where a single call is asked for, and in `siphon replay --json`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ladder: Vec<Message>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// A BYE was seen.
    Bye,
    /// None was: the session timer ran out (RFC 4028), or `follow.answered_timeout` did.
    NoBye,
}

impl EndedBy {
    /// The name in metrics and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Bye => "bye",
            Self::NoBye => "no_bye",
        }
    }
}

/// A side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// Who sent the INVITE.
    Caller,
    /// Who answered it.
    Callee,
}

impl Party {
    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }

    /// The caller, or else the callee.
    pub const fn of(is_caller: bool) -> Self {
        if is_caller { Self::Caller } else { Self::Callee }
    }
}

/// One dialog: the caller and one of those who answered (RFC 3261 section 12).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Dialog {
    /// Time of the first provisional response above 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_at: Option<Timestamp>,
    /// Its code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_code: Option<u16>,
    /// Time of the first 2xx to an INVITE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Timestamp>,
    /// Its code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_code: Option<u16>,
    /// Time of the first BYE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Who sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hung_up: Option<Party>,
    /// URI in the Contact of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Where the response came from, `ip:port` or `[v6]:port`, at the hop nearest to who sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
}

/// One transfer (RFC 3515).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// Time of the REFER.
    pub ts: Timestamp,
    /// Who asked for it; absent where it is not known who called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Party>,
    /// URI in Refer-To.
    pub target: String,
    /// Final response to the REFER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// Status code in the latest NOTIFY: what became of the transfer (RFC 3515 section 2.4.5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome_code: Option<u16>,
}

/// One Reason (RFC 3326).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What it stands in: `bye`, `cancel` or `refusal`, a final response of 300 or above to INVITE.
    pub of: String,
    /// `Q.850`, `SIP` or another protocol.
    pub protocol: String,
    /// The cause in its numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<u32>,
    /// The cause in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// One message of a call's ladder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Packet time.
    pub ts: Timestamp,
    /// Source, `ip:port` or `[v6]:port`.
    pub src: String,
    /// Destination.
    pub dst: String,
    /// Method of the request, or of the request that is answered.
    pub method: String,
    /// Status code of a response; absent in a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// CSeq number.
    pub cseq: u32,
    /// It carries a session description.
    #[serde(default, skip_serializing_if = "is_false")]
    pub sdp: bool,
    /// It repeats an earlier message of the ladder on the same hop.
    #[serde(default, skip_serializing_if = "is_false")]
    pub retransmission: bool,
    /// Which From tag it has: tags are numbered from 0 in the order the ladder has them; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_tag: Option<usize>,
    /// Which To tag, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_tag: Option<usize>,
}

const fn is_false(flag: &bool) -> bool {
    !*flag
}

const fn is_zero(count: &u64) -> bool {
    *count == 0
}
