//! What is said of STUN and TURN.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Latency;
use crate::time::Timestamp;

/// STUN messages, what came of the requests, and TURN allocations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// The totals.
    pub figures: TurnFigures,
    /// Allocations in order of their first message, then client and server.
    pub allocations: Vec<Allocation>,
}

/// Totals of STUN (RFC 8489) and TURN (RFC 8656).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TurnFigures {
    /// STUN messages, those that TURN relayed between client and peer included.
    pub messages: u64,
    /// Those among them that came inside ChannelData, or inside a Send or Data indication.
    pub relayed_messages: u64,
    /// What has the cookie of STUN and is no message, or has a wrong FINGERPRINT.
    pub malformed: u64,
    /// Requests by method, repeated ones included.
    pub requests: BTreeMap<String, u64>,
    /// Indications by method.
    pub indications: BTreeMap<String, u64>,
    /// Success responses by method, repeated ones included.
    pub successes: BTreeMap<String, u64>,
    /// Error responses by method, repeated ones included.
    pub errors: BTreeMap<String, u64>,
    /// What came of the requests, by method. ICE connectivity checks (RFC 8445 section 7) are apart, as `ice_check`: they
    /// go between peers, not to a server.
    pub transactions: BTreeMap<String, StunTransactions>,
    /// 401 to a request of TURN without credentials: how every client begins (RFC 8489 section 9.2.4).
    pub challenges: u64,
    /// Requests of TURN that were refused for their credentials, by code: 401 though credentials were sent, 438 (stale
    /// nonce), 441 (wrong credentials).
    pub authentication_failures: BTreeMap<u16, u64>,
    /// Allocations by state; those that are over also after they were forgotten.
    pub allocations: BTreeMap<String, u64>,
    /// Permissions that last (RFC 8656 section 9: five minutes), of active allocations.
    pub permissions: u64,
    /// Channels that are bound (RFC 8656 section 12: ten minutes), of active allocations.
    pub channels: u64,
    /// What was relayed in ChannelData, between client and server.
    pub channel_data: Relayed,
    /// What was relayed in Send and Data indications.
    pub data_indications: Relayed,
}

/// What came of requests with one method. A request and its repetitions are one transaction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StunTransactions {
    /// Transactions of which the request was seen.
    pub requests: u64,
    /// Requests that were sent again (RFC 8489 section 6.2.1).
    pub retransmissions: u64,
    /// Transactions that were answered with success.
    pub successes: u64,
    /// Transactions that were answered with an error, by code; 0 where the error has no ERROR-CODE that can be read.
    pub errors: BTreeMap<u16, u64>,
    /// Requests without an answer for 39.5 s, when a client gives up (RFC 8489 section 6.2.1).
    pub unanswered: u64,
    /// From the first request to the first answer; absent where no transaction has both.
    pub round_trip: Option<Latency>,
}

/// Relayed application data, without the headers of TURN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relayed {
    /// Messages.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Where an allocation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AllocationState {
    /// Allocate seen, no answer.
    Requested,
    /// 401 or 438 answered, credentials not yet seen to be accepted.
    Challenged,
    /// Granted, and lasting.
    Active,
    /// Its lifetime ran out.
    Expired,
    /// Deleted by the client (RFC 8656 section 8: a Refresh with lifetime 0).
    Deleted,
    /// Refused for another reason than a challenge.
    Failed,
    /// No answer for 39.5 s.
    TimedOut,
    /// Used before its grant was seen: the capture began in the middle.
    Joined,
}

impl AllocationState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Requested,
        Self::Challenged,
        Self::Active,
        Self::Expired,
        Self::Deleted,
        Self::Failed,
        Self::TimedOut,
        Self::Joined,
    ];

    /// The name in metrics and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Challenged => "challenged",
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Deleted => "deleted",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Joined => "joined",
        }
    }

    /// Whether nothing more is to be expected of it.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Expired | Self::Deleted | Self::Failed | Self::TimedOut)
    }
}

/// One allocation: what a client has of a TURN server on one 5-tuple (RFC 8656 section 2.2), with the latest thing that
/// happened to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Allocation {
    /// The client as the server sees it, `ip:port` or `[v6]:port`.
    pub client: String,
    /// The server.
    pub server: String,
    /// Between the two: `udp` or `tcp`.
    pub transport: String,
    /// Where it stands.
    pub state: AllocationState,
    /// USERNAME of the first request with credentials; absent where none was seen, or USERHASH hid it.
    pub username: Option<String>,
    /// REALM, of the server or of the client.
    pub realm: Option<String>,
    /// SOFTWARE of the server.
    pub software: Option<String>,
    /// The latest relayed address that was granted; of two, the IPv4 one.
    pub relayed: Option<String>,
    /// The client's address before the server's eyes (XOR-MAPPED-ADDRESS), of the latest grant.
    pub mapped: Option<String>,
    /// Seconds the client last asked for in an Allocate; absent where it did not say.
    pub requested_lifetime_s: Option<u32>,
    /// Seconds the server last granted.
    pub lifetime_s: Option<u32>,
    /// Time of the first message.
    pub start: Timestamp,
    /// Time of the latest message.
    pub end: Timestamp,
    /// Time of the latest grant by an Allocate.
    pub created: Option<Timestamp>,
    /// When it runs out if nobody refreshes it; absent where nothing was granted.
    pub expires: Option<Timestamp>,
    /// Time of the deletion: by the latest Refresh, or with the TCP connection to the client.
    pub deleted: Option<Timestamp>,
    /// Allocate requests that were granted; more than 1 where the client used its port again.
    pub grants: u64,
    /// Refresh requests that were granted, those that delete included.
    pub refreshes: u64,
    /// Requests that were refused, by code; without the challenges.
    pub failures: BTreeMap<u16, u64>,
    /// Peers that may send, in order of their addresses.
    pub permissions: Vec<Permission>,
    /// Channels, in order of their numbers.
    pub channels: Vec<Channel>,
    /// From the client to its peers.
    pub to_peers: Relayed,
    /// From the peers to the client.
    pub from_peers: Relayed,
}

/// A permission (RFC 8656 section 9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// Address of the peer; a permission has no port.
    pub peer: String,
    /// When it runs out if it is not granted again.
    pub expires: Timestamp,
}

/// A channel (RFC 8656 section 12).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Its number as `0x4000`.
    pub number: String,
    /// The peer it was last bound to.
    pub peer: String,
    /// When it runs out if it is not bound again; absent where no ChannelBind was seen to be granted.
    pub expires: Option<Timestamp>,
}
