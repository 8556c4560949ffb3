//! What is said of a call's media: what SDP offered and answered, and how packets were joined with it.

use serde::{Deserialize, Serialize};

use super::Party;
use crate::time::Timestamp;

/// Which way media flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// What the caller says.
    CallerToCallee,
    /// What the callee says.
    CalleeToCaller,
}

impl Way {
    /// The way of what this party sends.
    pub const fn from(sender: Party) -> Self {
        match sender {
            Party::Caller => Self::CallerToCallee,
            Party::Callee => Self::CalleeToCaller,
        }
    }
}

/// How a stream was joined with its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkedBy {
    /// Its destination is a media line's address and port.
    Destination,
    /// Its source is.
    Source,
    /// Its destination or source is an ICE candidate (RFC 8839).
    Ice,
    /// Its SSRC is announced (RFC 5576).
    Ssrc,
    /// A guess: SDP names a private address, and its SIP came from the address at which the stream ends or begins.
    SignalingAddress,
    /// A guess: it ends or begins where packets for an announced endpoint come from (symmetric RTP, RFC 4961).
    Symmetric,
}

impl LinkedBy {
    /// Every way, the surest first.
    pub const ALL: [Self; 6] = [
        Self::Destination,
        Self::Source,
        Self::Ice,
        Self::Ssrc,
        Self::SignalingAddress,
        Self::Symmetric,
    ];

    /// The name in JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Destination => "destination",
            Self::Source => "source",
            Self::Ice => "ice",
            Self::Ssrc => "ssrc",
            Self::SignalingAddress => "signaling_address",
            Self::Symmetric => "symmetric",
        }
    }
}

/// How media is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// SRTP (RFC 3711): headers are readable, payloads are not.
    Srtp,
}

/// Where the keys of SRTP come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keys {
    /// `a=crypto` (RFC 4568).
    Sdes,
    /// A DTLS handshake (RFC 5764).
    Dtls,
}

/// What a call's session descriptions came to (RFC 3264).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CallMedia {
    /// Time of the first 2xx to an INVITE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Timestamp>,
    /// Offers and answers in order of time, each once however often it was repeated: the first twelve, and the last of each
    /// party. A relay that rewrites a description makes another of it.
    pub descriptions: Vec<Description>,
    /// There were more.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more_descriptions: bool,
    /// What both sides agreed on at last, for each media line that both want.
    pub negotiated: Vec<Negotiated>,
    /// How often the codec of a line changed once it was agreed on.
    #[serde(default)]
    pub codec_changes: u64,
    /// When the call's audio was on hold.
    #[serde(default)]
    pub holds: Vec<Hold>,
}

/// One session description.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// When it was first seen.
    pub at: Timestamp,
    /// Whose it is; absent where nobody knows who began the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Party>,
    /// Where the message came from, `ip:port` or `[v6]:port`: behind NAT not what the description says.
    pub src: String,
    /// Method of the request it came with, or of the request that the response answers.
    pub method: String,
    /// Status code, where it came with a response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// Its media lines, the first eight.
    pub media: Vec<MediaLine>,
}

/// One `m=` line (RFC 8866 section 5.14).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MediaLine {
    /// `audio`, `video`, `image`, …
    pub kind: String,
    /// Where packets are wanted; absent where the description names a host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Port; 0 refuses the media.
    pub port: u16,
    /// `RTP/AVP`, `udptl`, …
    pub protocol: String,
    /// Formats in order of preference, the first 16.
    pub codecs: Vec<Codec>,
    /// `sendrecv`, `sendonly`, `recvonly` or `inactive`, seen from the description's author.
    pub direction: String,
    /// Media in one packet, in milliseconds (RFC 8866 section 6.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ptime_ms: Option<f64>,
    /// Where keys for SRTP are to come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Keys>,
    /// ICE candidates with an IP address.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub candidates: u32,
    /// Whether audio is on hold by this: `sendonly`, `inactive` or address 0.0.0.0.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hold: bool,
}

/// One format of a media line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Codec {
    /// RTP payload type; absent where the format is none (`t38`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_type: Option<u8>,
    /// Encoding name from `a=rtpmap` or from the static table of RFC 3551; the format itself for what is not RTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// RTP clock in Hz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_rate: Option<u32>,
    /// Parameters (`a=fmtp`), such as `mode-set=0,2,5,7`; the first 128 octets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fmtp: Option<String>,
}

/// What both sides agreed on for a media line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Negotiated {
    /// Which media line, from 0.
    pub line: usize,
    /// `audio`, `video`, `image`, …
    pub kind: String,
    /// The answer's first format that the offer has too (RFC 3264 section 6.1), telephone events and comfort noise aside.
    pub codec: Codec,
    /// When the answer that says so came.
    pub at: Timestamp,
}

/// A time on hold (RFC 3264 section 8.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Who put the other on hold first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Party>,
    /// Time of the description that said so.
    pub from: Timestamp,
    /// Time of the description that ended it; absent while nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

const fn is_zero(count: &u32) -> bool {
    *count == 0
}

const fn is_false(flag: &bool) -> bool {
    !*flag
}
