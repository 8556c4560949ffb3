//! What is said of fax over UDPTL (ITU-T T.38).

use serde::{Deserialize, Serialize};

use super::Way;
use crate::time::Timestamp;

/// How senders of UDPTL make up for losses (T.38 section 9.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaxCorrection {
    /// Packets repeat those before them.
    Redundancy,
    /// Packets have parity over those before them.
    Parity,
}

/// One direction of a call's fax.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fax {
    /// Source, `ip:port` or `[v6]:port`.
    pub src: String,
    /// Destination: what SDP announced with `m=image … udptl t38`.
    pub dst: String,
    /// Who sends it; absent where nobody knows who began the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Way>,
    /// UDPTL packets, copies included.
    pub packets: u64,
    /// Sequence numbers from the lowest to the highest.
    pub expected: u64,
    /// Of these, those that did not come as a packet of their own.
    pub lost: u64,
    /// Of the lost, those that a later packet repeats. What parity makes up for is not counted.
    pub recovered: u64,
    /// Copies of packets that had come.
    pub duplicates: u64,
    /// Packets with a T.30 indicator: CNG, CED, preamble, training.
    pub indicators: u64,
    /// Packets with T.30 data.
    pub data: u64,
    /// The modulations of the data, slowest first.
    pub modulations: Vec<String>,
    /// What the sender does against loss; absent where it does nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_correction: Option<FaxCorrection>,
    /// Time of the first packet.
    pub start: Timestamp,
    /// Time of the last packet.
    pub end: Timestamp,
    /// From the one to the other, in milliseconds.
    pub duration_ms: f64,
}
