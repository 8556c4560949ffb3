//! Fax over IP: the UDPTL header and the kind of the IFP packet in it (ITU-T T.38 (11/2015), sections 7 and 9, annex A; PER as of
//! X.691, aligned).
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "reads what anyone may send: a slice is asked for, never assumed"
)]

/// What an IFP packet carries (T.38 section 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ifp {
    /// A T.30 indicator: CNG, CED, preamble, training.
    Indicator,
    /// Data of this modulation, by its number in the ASN.1 type `t30-data`; [`MODULATIONS`] has the names.
    Data(u8),
}

/// Names of the modulations, by number; those beyond are of later editions.
pub const MODULATIONS: [&str; 15] = [
    "v21",
    "v27ter_2400",
    "v27ter_4800",
    "v29_7200",
    "v29_9600",
    "v17_7200",
    "v17_9600",
    "v17_12000",
    "v17_14400",
    "v8",
    "v34_primary_rate",
    "v34_control_channel",
    "v34_primary_channel",
    "v34_control_channel_1200",
    "v33_12000",
];

/// How a packet makes up for others that are lost (T.38 section 9.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It repeats so many of the packets before it.
    Redundancy(u16),
    /// It has parity over so many packets before it, each, in so many parts.
    Parity {
        /// Packets of a part.
        span: u8,
        /// Parts.
        parts: u16,
    },
}

/// One UDPTL datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Sequence number of the primary IFP packet.
    pub seq: u16,
    /// What that carries.
    pub primary: Ifp,
    /// How earlier ones are made up for.
    pub recovery: Recovery,
}

/// Reads a datagram; `None` where it is no UDPTL, or has more behind it.
pub fn read(datagram: &[u8]) -> Option<Packet> {
    let (seq, rest) = datagram.split_first_chunk::<2>()?;
    let (primary, rest) = open_type(rest)?;
    let (&choice, rest) = rest.split_first()?;
    let (recovery, rest) = if choice & 0x80 == 0 {
        let (count, rest) = length(rest)?;
        (Recovery::Redundancy(count), repeated(rest, count)?)
    } else {
        let (&[1, span], rest) = rest.split_first_chunk::<2>()? else {
            return None;
        };
        let (parts, rest) = length(rest)?;
        (Recovery::Parity { span, parts }, repeated(rest, parts)?)
    };
    rest.is_empty().then_some(())?;
    Some(Packet {
        seq: u16::from_be_bytes(*seq),
        primary: ifp(primary)?,
        recovery,
    })
}

/// Passes so many open types. Each takes at least an octet, so the datagram's length bounds this.
fn repeated(mut rest: &[u8], count: u16) -> Option<&[u8]> {
    for _ in 0..count {
        rest = open_type(rest)?.1;
    }
    Some(rest)
}

/// Octets behind their length.
fn open_type(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = length(bytes)?;
    rest.split_at_checked(usize::from(len))
}

/// A length of up to 16,383 (X.691 section 11.9); longer ones come in fragments, and no datagram holds them.
fn length(bytes: &[u8]) -> Option<(u16, &[u8])> {
    match *bytes {
        [short @ ..0x80, ref rest @ ..] => Some((u16::from(short), rest)),
        [high @ 0x80..0xc0, low, ref rest @ ..] => Some((u16::from_be_bytes([high & 0x3f, low]), rest)),
        _ => None,
    }
}

/// The first octet has a bit for whether there are data fields, one for the choice, one for an extension of the type, and the
/// number; an extension's number goes on in the next.
fn ifp(bytes: &[u8]) -> Option<Ifp> {
    let (&first, rest) = bytes.split_first()?;
    let is_data = first & 0x40 != 0;
    let number = if first & 0x20 == 0 {
        (first >> 1) & 0x0f
    } else {
        let second = rest.first()?;
        let extension = ((first & 0x0f) << 2) | (second >> 6);
        extension.checked_add(if is_data { 9 } else { 16 })?
    };
    Some(if is_data { Ifp::Data(number) } else { Ifp::Indicator })
}

#[cfg(test)]
#[path = "t38_tests.rs"]
mod tests;
