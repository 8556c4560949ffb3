//! RTCP packets: a compound taken apart, with the checks of RFC 3550 appendix A.2 as RFC 5506 relaxes them.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "reads what anyone may send: a slice is asked for, never assumed"
)]

use super::xr::{self, Blocks};
use crate::outcome::labelled;

labelled! {
    /// Packet types (IANA registry "RTCP Control Packet Types").
    PacketType {
        /// Sender report, 200.
        SenderReport = "sr",
        /// Receiver report, 201.
        ReceiverReport = "rr",
        /// Source description, 202.
        Description = "sdes",
        /// Goodbye, 203.
        Goodbye = "bye",
        /// Defined by an application, 204.
        Application = "app",
        /// Transport layer feedback, 205 (RFC 4585).
        TransportFeedback = "rtpfb",
        /// Payload-specific feedback, 206 (RFC 4585).
        PayloadFeedback = "psfb",
        /// Extended report, 207 (RFC 3611).
        Extended = "xr",
        /// Any other between 192 and 223 (RFC 5761 section 4).
        Other = "other",
    }
}

labelled! {
    /// What a feedback packet asks for or tells.
    Feedback {
        /// Generic NACK: these packets were lost (RFC 4585 section 6.2.1).
        Nack = "nack",
        /// Transport-wide congestion control (draft-holmer-rmcat-transport-wide-cc-extensions-01).
        TransportCc = "transport_cc",
        /// Picture loss indication (RFC 4585 section 6.3.1).
        PictureLoss = "pli",
        /// Full intra request (RFC 5104 section 4.3.1).
        FullIntra = "fir",
        /// Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03).
        MaximumBitrate = "remb",
        /// Any other.
        Other = "other",
    }
}

labelled! {
    /// Why an RTCP datagram, or one packet of it, cannot be read.
    Malformed {
        /// A packet of another version than 2 in the compound.
        Version = "version",
        /// A packet type outside 192 to 223 in the compound.
        PacketType = "packet_type",
        /// The packets' lengths do not add up to the datagram's.
        Length = "length",
        /// Padding of no bytes, of more than there are, of no whole words, or not in the last packet.
        Padding = "padding",
        /// A report whose blocks do not fit into it.
        Report = "report",
        /// A source description whose items do not fit into it.
        Description = "sdes",
        /// A goodbye whose sources or reason do not fit into it.
        Goodbye = "bye",
        /// An APP packet without SSRC and name.
        Application = "app",
        /// A feedback packet without its two SSRCs.
        Feedback = "feedback",
        /// An extended report whose blocks do not fit into it.
        Extended = "xr",
    }
}

/// What a datagram that begins as RTCP does turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading<'a> {
    /// One or more packets in the clear.
    Plain(Compound<'a>),
    /// SRTCP (RFC 3711 section 3.4): nothing behind the first eight octets can be read.
    Encrypted {
        /// Type of the first packet.
        packet_type: PacketType,
        /// Its sender.
        ssrc: u32,
    },
}

/// A datagram of packets whose lengths add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compound<'a>(&'a [u8]);

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// SR: what the source has sent, and what it received of others.
    SenderReport {
        /// The source.
        ssrc: u32,
        /// What it sent.
        info: SenderInfo,
        /// What it received.
        blocks: Words<'a, 24>,
    },
    /// RR: what it received of others.
    ReceiverReport {
        /// Who reports.
        ssrc: u32,
        /// What it received.
        blocks: Words<'a, 24>,
    },
    /// SDES.
    Description(Description<'a>),
    /// BYE.
    Goodbye {
        /// The sources that leave.
        sources: Words<'a, 4>,
        /// Why; empty where nothing is said.
        reason: &'a [u8],
    },
    /// APP.
    Application {
        /// Who sends it.
        ssrc: u32,
        /// Its name.
        name: [u8; 4],
    },
    /// RTPFB and PSFB.
    Feedback {
        /// At which layer: 205 or 206.
        packet_type: PacketType,
        /// What it says.
        kind: Feedback,
        /// Who says it.
        ssrc: u32,
        /// The stream it is about.
        about: u32,
    },
    /// XR.
    Extended {
        /// Who reports.
        ssrc: u32,
        /// What is reported.
        blocks: Blocks<'a>,
    },
    /// A type siphon has no use for.
    Other,
}

impl Packet<'_> {
    /// The packet's type.
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::SenderReport { .. } => PacketType::SenderReport,
            Self::ReceiverReport { .. } => PacketType::ReceiverReport,
            Self::Description(_) => PacketType::Description,
            Self::Goodbye { .. } => PacketType::Goodbye,
            Self::Application { .. } => PacketType::Application,
            Self::Feedback { packet_type, .. } => *packet_type,
            Self::Extended { .. } => PacketType::Extended,
            Self::Other => PacketType::Other,
        }
    }
}

/// What a source says it sent (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SenderInfo {
    /// The sender's clock: seconds since 1900 in the upper half, their fraction in the lower.
    pub ntp: u64,
    /// The same moment on the stream's clock.
    pub rtp: u32,
    /// Packets sent since the source began.
    pub packets: u32,
    /// Payload octets in them.
    pub octets: u32,
}

impl SenderInfo {
    /// The middle 32 bits of the clock, by which receivers name this report.
    pub const fn middle(self) -> u32 {
        (self.ntp >> 16) as u32
    }
}

/// What a receiver says of one source (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReportBlock {
    /// The source.
    pub ssrc: u32,
    /// Share of packets lost since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Packets lost since the source began; negative where copies came. 24 bits on the wire.
    pub cumulative_lost: i32,
    /// Highest sequence number received, with the count of its wraps above it.
    pub highest_seq: u32,
    /// Interarrival jitter in units of the stream's clock.
    pub jitter: u32,
    /// The last sender report that came, by the middle of its clock; 0: none.
    pub last_sr: u32,
    /// Time since it came, in 65536ths of a second.
    pub delay: u32,
}

/// Records of `N` octets, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words<'a, const N: usize>(&'a [[u8; N]]);

impl<'a, const N: usize> Words<'a, N> {
    /// How many.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first `count` records of `bytes`, and what follows them; `None` where there are fewer.
    pub(super) fn split(bytes: &'a [u8], count: usize) -> Option<(Self, &'a [u8])> {
        let (records, rest) = bytes.split_at_checked(count.checked_mul(N)?)?;
        Some((Self(records.as_chunks().0), rest))
    }

    /// As many whole records as there are.
    pub(super) const fn all(bytes: &'a [u8]) -> Self {
        Self(bytes.as_chunks().0)
    }
}

impl Words<'_, 4> {
    /// As numbers: SSRCs.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|bytes| u32::from_be_bytes(*bytes))
    }
}

impl Words<'_, 24> {
    /// As report blocks.
    pub fn iter(&self) -> impl Iterator<Item = ReportBlock> {
        self.0.iter().map(report_block)
    }
}

impl Words<'_, 12> {
    /// As three numbers each: the sub-blocks of a DLRR block (RFC 3611 section 4.5).
    pub fn iter(&self) -> impl Iterator<Item = [u32; 3]> {
        self.0.iter().map(words)
    }
}

/// The chunks of a source description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description<'a> {
    chunks: &'a [u8],
    count: u8,
}

/// An item of a source description (RFC 3550 section 6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The source.
    pub ssrc: u32,
    /// 1 CNAME, 2 NAME, 3 EMAIL, 4 PHONE, 5 LOC, 6 TOOL, 7 NOTE, 8 PRIV.
    pub kind: u8,
    /// At most 255 octets of UTF-8.
    pub text: &'a [u8],
}

/// CNAME.
pub(super) const CNAME: u8 = 1;
/// NAME.
pub(super) const NAME: u8 = 2;
/// TOOL.
pub(super) const TOOL: u8 = 6;

impl<'a> Description<'a> {
    /// The items, in order.
    pub fn items(&self) -> impl Iterator<Item = Item<'a>> {
        let mut reader = Chunks {
            rest: self.chunks,
            left: self.count,
            ssrc: None,
        };
        std::iter::from_fn(move || reader.next_item().ok().flatten())
    }
}

/// Where the reading of a description stands.
struct Chunks<'a> {
    /// From here to the end of the packet. Its length tells the distance to a word's boundary.
    rest: &'a [u8],
    left: u8,
    ssrc: Option<u32>,
}

impl<'a> Chunks<'a> {
    /// The next item; `None` at the end.
    fn next_item(&mut self) -> Result<Option<Item<'a>>, Malformed> {
        loop {
            let ssrc = match self.ssrc {
                Some(ssrc) => ssrc,
                None => {
                    let Some(left) = self.left.checked_sub(1) else {
                        return Ok(None);
                    };
                    self.left = left;
                    let (ssrc, rest) = self.rest.split_first_chunk().ok_or(Malformed::Description)?;
                    self.rest = rest;
                    *self.ssrc.insert(u32::from_be_bytes(*ssrc))
                }
            };
            match self.rest.split_first() {
                // The last chunk may lack its end: some senders forget it where it would take four octets.
                None if self.left == 0 => return Ok(None),
                None => return Err(Malformed::Description),
                Some((0, _)) => {
                    // One to four zeros, so that the next chunk begins a word.
                    let zeros = match self.rest.len() % 4 {
                        0 => 4,
                        over => over,
                    };
                    self.rest = self.rest.get(zeros..).ok_or(Malformed::Description)?;
                    self.ssrc = None;
                }
                Some((&kind, rest)) => {
                    let (&len, rest) = rest.split_first().ok_or(Malformed::Description)?;
                    let (text, rest) = rest.split_at_checked(usize::from(len)).ok_or(Malformed::Description)?;
                    self.rest = rest;
                    return Ok(Some(Item { ssrc, kind, text }));
                }
            }
        }
    }
}

/// Reads a datagram that begins as RTCP does.
///
/// # Errors
/// [`Malformed`] where the packets do not fill it exactly and it is no SRTCP either: then nothing in it is to be trusted.
pub fn read(datagram: &[u8]) -> Result<Reading<'_>, Malformed> {
    let mut rest = datagram;
    // What is shorter than a header cannot be a packet nor SRTCP's trailer: some senders' datagrams end with odd octets.
    while rest.len() >= 4 {
        match frame(rest) {
            Ok(frame) => rest = frame.rest,
            Err(why) => return encrypted(datagram).ok_or(why),
        }
    }
    if rest.len() == datagram.len() {
        return Err(Malformed::Length);
    }
    Ok(Reading::Plain(Compound(datagram)))
}

/// One packet, not yet understood.
struct Frame<'a> {
    /// The header's five bits that count or name a format.
    count: u8,
    packet_type: u8,
    /// Without padding.
    body: &'a [u8],
    /// What follows the packet.
    rest: &'a [u8],
}

fn frame(bytes: &[u8]) -> Result<Frame<'_>, Malformed> {
    let (&[first, packet_type, hi, lo], rest) = bytes.split_first_chunk::<4>().ok_or(Malformed::Length)?;
    if first >> 6 != 2 {
        return Err(Malformed::Version);
    }
    if !(192..=223).contains(&packet_type) {
        return Err(Malformed::PacketType);
    }
    let len = usize::from(u16::from_be_bytes([hi, lo])).saturating_mul(4);
    let (mut body, rest) = rest.split_at_checked(len).ok_or(Malformed::Length)?;
    if first & 0x20 != 0 {
        // Only the last packet has padding, a multiple of four octets of which the last tells how many (section 6.4.1).
        let padding = usize::from(*body.last().ok_or(Malformed::Padding)?);
        let kept = body.len().checked_sub(padding).ok_or(Malformed::Padding)?;
        if padding == 0 || !padding.is_multiple_of(4) || !rest.is_empty() {
            return Err(Malformed::Padding);
        }
        body = body.get(..kept).ok_or(Malformed::Padding)?;
    }
    Ok(Frame {
        count: first & 0x1f,
        packet_type,
        body,
        rest,
    })
}

/// Octets before and behind SRTCP's word of E flag and index, in its trailer: behind it an authentication tag of 80 bits
/// (RFC 3711 section 5.2), alone or after a master key identifier of one or four octets, or one of 32 bits; before it the tag of
/// AEAD (RFC 7714 section 9.2).
const AROUND_INDEX: [(usize, usize); 5] = [(0, 10), (16, 0), (0, 4), (0, 11), (0, 14)];

/// Indices begin at 0 (RFC 3711 section 3.2.1). At a report a second this is 145 days; beyond, the word would look like the header
/// of another packet of type 192 and up.
const HIGHEST_INDEX: u32 = 192 << 16;

/// Whether this may be SRTCP: a whole first packet by its header, and behind it, where the trailer may have it, an E flag with an
/// index.
fn encrypted(datagram: &[u8]) -> Option<Reading<'_>> {
    let &[first, packet_type, hi, lo, a, b, c, d] = datagram.first_chunk::<8>()?;
    if first >> 6 != 2 || !(192..=223).contains(&packet_type) {
        return None;
    }
    let len = usize::from(u16::from_be_bytes([hi, lo]))
        .saturating_add(1)
        .saturating_mul(4);
    let trailer = datagram.get(len.max(8)..)?;
    let has_index = AROUND_INDEX.iter().any(|(before, behind)| {
        let end = trailer.len().checked_sub(*behind);
        let word = end.and_then(|end| trailer.get(*before..end)?.last_chunk::<4>());
        word.is_some_and(|word| {
            let word = u32::from_be_bytes(*word);
            word & 0x8000_0000 != 0 && word & 0x7fff_ffff < HIGHEST_INDEX
        })
    });
    has_index.then_some(Reading::Encrypted {
        packet_type: type_of(packet_type),
        ssrc: u32::from_be_bytes([a, b, c, d]),
    })
}

const fn type_of(packet_type: u8) -> PacketType {
    match packet_type {
        200 => PacketType::SenderReport,
        201 => PacketType::ReceiverReport,
        202 => PacketType::Description,
        203 => PacketType::Goodbye,
        204 => PacketType::Application,
        205 => PacketType::TransportFeedback,
        206 => PacketType::PayloadFeedback,
        207 => PacketType::Extended,
        _ => PacketType::Other,
    }
}

impl<'a> Compound<'a> {
    /// The packets, in order; in place of one that cannot be read, why.
    pub fn packets(&self) -> impl Iterator<Item = Result<Packet<'a>, Malformed>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let frame = frame(rest).ok()?;
            rest = frame.rest;
            Some(packet(&frame))
        })
    }
}

fn packet<'a>(frame: &Frame<'a>) -> Result<Packet<'a>, Malformed> {
    let Frame { count, body, .. } = *frame;
    let packet_type = type_of(frame.packet_type);
    match packet_type {
        PacketType::SenderReport => sender_report(count, body).ok_or(Malformed::Report),
        PacketType::ReceiverReport => receiver_report(count, body).ok_or(Malformed::Report),
        PacketType::Description => description(count, body),
        PacketType::Goodbye => goodbye(count, body).ok_or(Malformed::Goodbye),
        PacketType::Application => application(body).ok_or(Malformed::Application),
        PacketType::TransportFeedback | PacketType::PayloadFeedback => {
            feedback(packet_type, count, body).ok_or(Malformed::Feedback)
        }
        PacketType::Extended => extended(body).ok_or(Malformed::Extended),
        PacketType::Other => Ok(Packet::Other),
    }
}

/// What follows the blocks is an extension of a profile (section 6.4.3), and is not read.
fn sender_report(count: u8, body: &[u8]) -> Option<Packet<'_>> {
    let (head, rest) = body.split_first_chunk::<24>()?;
    let [ssrc, seconds, fraction, rtp, packets, octets] = words(head);
    Some(Packet::SenderReport {
        ssrc,
        info: SenderInfo {
            ntp: u64::from(seconds) << 32 | u64::from(fraction),
            rtp,
            packets,
            octets,
        },
        blocks: Words::split(rest, usize::from(count))?.0,
    })
}

fn receiver_report(count: u8, body: &[u8]) -> Option<Packet<'_>> {
    let (ssrc, rest) = body.split_first_chunk()?;
    Some(Packet::ReceiverReport {
        ssrc: u32::from_be_bytes(*ssrc),
        blocks: Words::split(rest, usize::from(count))?.0,
    })
}

fn report_block(bytes: &[u8; 24]) -> ReportBlock {
    let [ssrc, loss, highest_seq, jitter, last_sr, delay] = words(bytes);
    let [fraction_lost, ..] = loss.to_be_bytes();
    ReportBlock {
        ssrc,
        fraction_lost,
        // The lower 24 bits with their sign.
        cumulative_lost: (loss << 8).cast_signed() >> 8,
        highest_seq,
        jitter,
        last_sr,
        delay,
    }
}

fn description(count: u8, body: &[u8]) -> Result<Packet<'_>, Malformed> {
    let mut reader = Chunks {
        rest: body,
        left: count,
        ssrc: None,
    };
    while reader.next_item()?.is_some() {}
    Ok(Packet::Description(Description { chunks: body, count }))
}

fn goodbye(count: u8, body: &[u8]) -> Option<Packet<'_>> {
    let (sources, rest) = Words::split(body, usize::from(count))?;
    let reason = match rest.split_first() {
        Some((&len, text)) => text.get(..usize::from(len))?,
        None => &[],
    };
    Some(Packet::Goodbye { sources, reason })
}

fn application(body: &[u8]) -> Option<Packet<'_>> {
    let (ssrc, rest) = body.split_first_chunk()?;
    Some(Packet::Application {
        ssrc: u32::from_be_bytes(*ssrc),
        name: *rest.first_chunk()?,
    })
}

fn feedback(packet_type: PacketType, format: u8, body: &[u8]) -> Option<Packet<'_>> {
    let (head, control) = body.split_first_chunk::<8>()?;
    let [ssrc, mut about] = words(head);
    let kind = match (packet_type, format) {
        (PacketType::TransportFeedback, 1) => Feedback::Nack,
        (PacketType::TransportFeedback, 15) => Feedback::TransportCc,
        (PacketType::PayloadFeedback, 1) => Feedback::PictureLoss,
        (PacketType::PayloadFeedback, 4) => Feedback::FullIntra,
        (PacketType::PayloadFeedback, 15) if control.starts_with(b"REMB") => Feedback::MaximumBitrate,
        _ => Feedback::Other,
    };
    // These two name the stream behind the header, whose field is 0; of several the first counts.
    let named = match kind {
        Feedback::FullIntra => control.first_chunk(),
        Feedback::MaximumBitrate => control.get(8..).and_then(<[u8]>::first_chunk),
        _ => None,
    };
    if let Some(named) = named {
        about = u32::from_be_bytes(*named);
    }
    Some(Packet::Feedback {
        packet_type,
        kind,
        ssrc,
        about,
    })
}

fn extended(body: &[u8]) -> Option<Packet<'_>> {
    let (ssrc, rest) = body.split_first_chunk()?;
    Some(Packet::Extended {
        ssrc: u32::from_be_bytes(*ssrc),
        blocks: xr::blocks(rest)?,
    })
}

/// Octets as numbers of four; `N` is four times `W`.
pub(super) fn words<const N: usize, const W: usize>(bytes: &[u8; N]) -> [u32; W] {
    const { assert!(N == W * 4) };
    let mut numbers = [0; W];
    for (number, chunk) in numbers.iter_mut().zip(bytes.as_chunks().0) {
        *number = u32::from_be_bytes(*chunk);
    }
    numbers
}

#[cfg(test)]
#[path = "packet_tests.rs"]
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics has said what is wrong"
)]
mod tests;
