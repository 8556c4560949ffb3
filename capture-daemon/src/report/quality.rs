//! What is said of a stream's quality: losses in their order, jitter buffers, opinion.

use serde::{Deserialize, Serialize};

/// How a stream's losses stand together: RFC 3611 section 4.7.2, of the network's losses, with Gmin 16.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Burst {
    /// Bursts: from a loss to a loss, with fewer than 16 packets received in a row between.
    pub bursts: u64,
    /// Share of the packets within bursts that was lost, 0 to 1; absent without a burst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst_density: Option<f64>,
    /// Share of the packets outside bursts that was lost, 0 to 1; absent where all is burst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_density: Option<f64>,
    /// Mean length of a burst in milliseconds; absent without a burst, or where the time a packet is for is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst_duration_ms: Option<f64>,
    /// Mean length of the gap before or after a burst, in milliseconds; absent likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_duration_ms: Option<f64>,
    /// BurstR of ITU-T G.107: mean length of a row of losses over the one that random loss has; 1 is random, more is in rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst_ratio: Option<f64>,
    /// Rows of consecutive losses.
    pub rows: u64,
    /// Packets in the longest row.
    pub longest: u64,
}

/// What simulated jitter buffers made of the stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Playout {
    /// A fixed delay of 50 ms.
    pub fixed_50: Buffer,
    /// A fixed delay of 200 ms.
    pub fixed_200: Buffer,
    /// A delay that follows the jitter, 20 to 500 ms.
    pub adaptive: Buffer,
}

/// One jitter buffer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Buffer {
    /// Packets that came too late to be played.
    pub discarded: u64,
    /// Lost and discarded packets, as a share of those expected, 0 to 1.
    pub loss: f64,
    /// Mean time that packets wait, in milliseconds; absent where none was played.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_mean_ms: Option<f64>,
    /// Longest time a packet waits, in milliseconds.
    pub delay_max_ms: f64,
    /// Times a fixed buffer had to begin anew amid speech: the path or the sender's clock had moved away from it.
    pub resets: u32,
}

/// Opinion by the E-model, for each simulated jitter buffer. Absent without a basis: fewer than 50 packets, a codec
/// without published figures, no clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// The E-model: `G.107` (narrowband) or `G.107.1` (wideband). Ratings of two models are not comparable.
    pub model: String,
    /// Equipment impairment factor Ie of the codec.
    pub ie: f64,
    /// Its packet-loss robustness factor Bpl; absent where none is published, and then a buffer that misses packets
    /// has no opinion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bpl: Option<f64>,
    /// Where both stand.
    pub source: String,
    /// With a fixed delay of 50 ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_50: Option<Opinion>,
    /// With a fixed delay of 200 ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_200: Option<Opinion>,
    /// With a delay that follows the jitter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<Opinion>,
}

/// R and MOS with one buffer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Opinion {
    /// Rating R for listening: codec and loss, no delay.
    pub r_lq: f64,
    /// MOS-LQ, 1 to 4.5 (RFC 3611 section 4.7.5).
    pub mos_lq: f64,
    /// Rating R for a conversation: with the delay of the network, the buffer and a packet; absent where RTCP does not
    /// tell the round trip, of which the network's delay is half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r_cq: Option<f64>,
    /// MOS-CQ, 1 to 4.5 (RFC 3611 section 4.7.5); absent likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mos_cq: Option<f64>,
}
