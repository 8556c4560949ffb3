//! What is said of keys pressed.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Keys pressed during a call or in one direction of its media, in order of time. In-band tones are not looked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Dtmf {
    /// Whether `*` stands in place of each key, as it does unless `privacy.dtmf` says otherwise.
    pub masked: bool,
    /// The keys, at most 64 for each stream and 64 for the INFO requests of a call.
    pub digits: Vec<Digit>,
    /// Keys beyond those.
    #[serde(default)]
    pub beyond: u64,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Digit {
    /// `0` to `9`, `*`, `#`, `A` to `D`, or `!` for the flash of the hook; `*` for each where they are masked.
    pub digit: String,
    /// Time of the first packet or message that told of it.
    pub at: Timestamp,
    /// How long it was pressed, in milliseconds: as far as it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
    /// How it was told.
    pub source: DigitSource,
    /// Who told it, `ip:port` or `[v6]:port`.
    pub src: String,
    /// SSRC of the stream as `0x%08x`, for events in RTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssrc: Option<String>,
    /// RTP timestamp of its beginning, for events in RTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u32>,
}

/// How a key is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DigitSource {
    /// Telephone events in RTP (RFC 4733).
    Rtp,
    /// SIP INFO with `application/dtmf-relay` or `application/dtmf`.
    Info,
}

impl Dtmf {
    /// Puts `*` in place of every key.
    pub fn mask(&mut self) {
        self.masked = true;
        for digit in &mut self.digits {
            "*".clone_into(&mut digit.digit);
        }
    }
}
