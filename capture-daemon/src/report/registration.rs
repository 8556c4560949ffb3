//! What is said of a registration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

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
    /// Attempts to register, refresh or remove: a REGISTER and those that follow it with credentials.
    #[serde(default)]
    pub attempts: u64,
    /// Attempts that failed as RFC 6076 section 4.2 has it: refused, other than with 3xx, 401, 402 or 407, or not answered.
    #[serde(default)]
    pub ineffective: u64,
    /// REGISTERs answered with 401 or 407.
    #[serde(default)]
    pub challenges: u64,
    /// Attempts by the code of 300 or above that ended them; of more than eight codes the lowest.
    #[serde(default)]
    pub failures: BTreeMap<u16, u64>,
    /// Registration request delay of the latest successful attempt in milliseconds: first REGISTER to 2xx, a challenge
    /// included (RFC 6076 section 4.1).
    #[serde(default)]
    pub registration_request_delay_ms: Option<f64>,
}
