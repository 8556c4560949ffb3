//! Blocks of extended reports (RFC 3611 section 4).
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "reads what anyone may send: a slice is asked for, never assumed"
)]

use super::packet::{Words, words};
use crate::outcome::labelled;

labelled! {
    /// Block types (RFC 3611 section 4 and the IANA registry "RTCP XR Block Type").
    BlockType {
        /// Loss run lengths, 1.
        LossRuns = "loss_rle",
        /// Runs of duplicates, 2.
        DuplicateRuns = "duplicate_rle",
        /// Packet receipt times, 3.
        ReceiptTimes = "receipt_times",
        /// Receiver reference time, 4.
        ReferenceTime = "reference_time",
        /// Delay since the last receiver reference time, 5.
        Dlrr = "dlrr",
        /// Statistics summary, 6.
        Summary = "statistics_summary",
        /// VoIP metrics, 7.
        Voip = "voip_metrics",
        /// Any other.
        Other = "other",
    }
}

/// DLRR sub-blocks: who sent a receiver reference time, the middle 32 bits of the last that came, and the time since in
/// 65536ths of a second.
pub type ReceiverTimes<'a> = Words<'a, 12>;

/// One block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block<'a> {
    /// The reporter's clock, as in a sender report.
    ReferenceTime(u64),
    /// How long ago the clocks of others came.
    Dlrr(ReceiverTimes<'a>),
    /// Statistics over a range of packets.
    Summary(Summary),
    /// What a telephone makes of a stream.
    Voip(VoipMetrics),
    /// A type of which only the name is of use.
    Named(BlockType),
}

impl Block<'_> {
    /// The block's type.
    pub const fn block_type(&self) -> BlockType {
        match self {
            Self::ReferenceTime(_) => BlockType::ReferenceTime,
            Self::Dlrr(_) => BlockType::Dlrr,
            Self::Summary(_) => BlockType::Summary,
            Self::Voip(_) => BlockType::Voip,
            Self::Named(block_type) => *block_type,
        }
    }
}

/// The blocks of one packet, which fill it exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks<'a>(&'a [u8]);

impl<'a> Blocks<'a> {
    /// The blocks, in order.
    pub fn iter(&self) -> impl Iterator<Item = Block<'a>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (block, next) = block(rest)?;
            rest = next;
            Some(block)
        })
    }
}

/// Takes a packet's blocks apart; `None` where one does not fit.
pub(super) fn blocks(bytes: &[u8]) -> Option<Blocks<'_>> {
    let mut rest = bytes;
    while !rest.is_empty() {
        (_, rest) = block(rest)?;
    }
    Some(Blocks(bytes))
}

fn block(bytes: &[u8]) -> Option<(Block<'_>, &[u8])> {
    let (&[block_type, specific, hi, lo], rest) = bytes.split_first_chunk::<4>()?;
    let len = usize::from(u16::from_be_bytes([hi, lo])).checked_mul(4)?;
    let (content, rest) = rest.split_at_checked(len)?;
    let block = match block_type {
        1 => Block::Named(BlockType::LossRuns),
        2 => Block::Named(BlockType::DuplicateRuns),
        3 => Block::Named(BlockType::ReceiptTimes),
        4 => Block::ReferenceTime(u64::from_be_bytes(*content.first_chunk()?)),
        5 => Block::Dlrr(Words::all(content)),
        6 => Block::Summary(summary(specific, content.first_chunk()?)),
        7 => Block::Voip(voip_metrics(content.first_chunk()?)),
        _ => Block::Named(BlockType::Other),
    };
    Some((block, rest))
}

/// Statistics summary (RFC 3611 section 4.6). What the flags of the block do not vouch for is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Summary {
    /// The stream.
    pub ssrc: u32,
    /// First sequence number it is about.
    pub begin_seq: u16,
    /// First sequence number it is not about any more.
    pub end_seq: u16,
    /// Packets lost.
    pub lost: Option<u32>,
    /// Copies received.
    pub duplicates: Option<u32>,
    /// Minimum, maximum, mean and standard deviation of the jitter, in units of the stream's clock.
    pub jitter: Option<[u32; 4]>,
}

fn summary(flags: u8, content: &[u8; 36]) -> Summary {
    let [ssrc, range, lost, duplicates, min, max, mean, deviation, _] = words(content);
    let [b0, b1, e0, e1] = range.to_be_bytes();
    Summary {
        ssrc,
        begin_seq: u16::from_be_bytes([b0, b1]),
        end_seq: u16::from_be_bytes([e0, e1]),
        lost: (flags & 0x80 != 0).then_some(lost),
        duplicates: (flags & 0x40 != 0).then_some(duplicates),
        jitter: (flags & 0x20 != 0).then_some([min, max, mean, deviation]),
    }
}

/// VoIP metrics (RFC 3611 section 4.7). Where the block says "unavailable", which is 127 for most and 0 for the round trip,
/// there is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct VoipMetrics {
    /// The stream.
    pub ssrc: u32,
    /// Share of packets lost since the beginning, in 256ths.
    pub loss_rate: u8,
    /// Share of packets discarded by the jitter buffer, in 256ths.
    pub discard_rate: u8,
    /// Share of packets lost or discarded within bursts, in 256ths.
    pub burst_density: u8,
    /// The same within gaps.
    pub gap_density: u8,
    /// Mean duration of bursts, in milliseconds.
    pub burst_duration: u16,
    /// Mean duration of gaps, in milliseconds.
    pub gap_duration: u16,
    /// Latest round trip between the two ends, in milliseconds.
    pub round_trip: Option<u16>,
    /// Time in the reporter, from the wire to the ear and from the mouth to the wire, in milliseconds.
    pub end_system_delay: Option<u16>,
    /// Voice level in dBm0.
    pub signal_level: Option<i8>,
    /// Noise level in dBm0.
    pub noise_level: Option<i8>,
    /// Residual echo return loss, in dB.
    pub echo_return_loss: Option<u8>,
    /// Packets without loss that end a burst.
    pub gmin: u8,
    /// R factor of this stream, 0 to 100.
    pub r_factor: Option<u8>,
    /// R factor of what lies beyond the reporter.
    pub external_r_factor: Option<u8>,
    /// Listening quality, in tenths of a MOS, 10 to 50.
    pub mos_lq: Option<u8>,
    /// Conversational quality, in tenths of a MOS, 10 to 50.
    pub mos_cq: Option<u8>,
    /// Packet loss concealment and jitter buffer: the receiver configuration byte.
    pub configuration: u8,
    /// Nominal delay of the jitter buffer, in milliseconds.
    pub buffer_nominal: u16,
    /// Its delay for the latest packet it would not discard, in milliseconds.
    pub buffer_maximum: u16,
    /// The highest delay it can adapt to, in milliseconds.
    pub buffer_absolute: u16,
}

fn voip_metrics(content: &[u8; 32]) -> VoipMetrics {
    let [ssrc, rates, durations, delays, levels, scores, buffer, maxima] = words(content);
    let [loss_rate, discard_rate, burst_density, gap_density] = rates.to_be_bytes();
    let [signal, noise, echo, gmin] = levels.to_be_bytes();
    let [r_factor, external, mos_lq, mos_cq] = scores.to_be_bytes();
    let [configuration, ..] = buffer.to_be_bytes();
    let level = |byte: u8| known(byte).map(u8::cast_signed);
    VoipMetrics {
        ssrc,
        loss_rate,
        discard_rate,
        burst_density,
        gap_density,
        burst_duration: upper(durations),
        gap_duration: lower(durations),
        // 0 is "no estimate yet" for the round trip and "not implemented" for the delay (section 4.7.3).
        round_trip: Some(upper(delays)).filter(|ms| *ms != 0),
        end_system_delay: Some(lower(delays)).filter(|ms| *ms != 0),
        signal_level: level(signal),
        noise_level: level(noise),
        echo_return_loss: known(echo),
        gmin,
        r_factor: known(r_factor).filter(|r| *r <= 100),
        external_r_factor: known(external).filter(|r| *r <= 100),
        mos_lq: known(mos_lq).filter(|mos| (10..=50).contains(mos)),
        mos_cq: known(mos_cq).filter(|mos| (10..=50).contains(mos)),
        configuration,
        buffer_nominal: lower(buffer),
        buffer_maximum: upper(maxima),
        buffer_absolute: lower(maxima),
    }
}

/// A figure, unless it is the one that says "unavailable".
fn known(byte: u8) -> Option<u8> {
    Some(byte).filter(|byte| *byte != 127)
}

const fn upper(word: u32) -> u16 {
    (word >> 16) as u16
}

const fn lower(word: u32) -> u16 {
    word as u16
}
