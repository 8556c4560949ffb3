//! RTP headers (RFC 3550 section 5.1), and RTCP told apart from them (RFC 5761 section 4).
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "reads what anyone may send: a slice is asked for, never assumed"
)]

/// What the first bytes of a datagram say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// An RTP packet.
    Rtp(Packet<'a>),
    /// An RTCP packet, alone or the first of a compound.
    Rtcp,
    /// Neither.
    Other,
}

/// The header of an RTP packet, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The profile's marker: first packet after silence for audio, last of a frame for video (RFC 3551 section 4.1).
    pub marker: bool,
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Sequence number.
    pub seq: u16,
    /// Timestamp in units of the payload type's clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Payload, without extension and padding; its first part where the capture cut the packet short.
    pub payload: &'a [u8],
    /// Bytes of payload on the wire. Padding counts as payload where the capture cut off what says how much there is.
    pub len: usize,
}

/// Tells RTP, RTCP and the rest apart. Where the two overlap, packet types of RTCP win, as RFC 5761 asks of everyone
/// who assigns payload types.
#[inline(always)]
pub fn read(datagram: &[u8]) -> Kind<'_> {
    read_cut(datagram, 0)
}

/// The same of a datagram whose last `missing` bytes were not captured. What is missing of a header makes it none.
#[inline(always)]
pub fn read_cut(datagram: &[u8], missing: usize) -> Kind<'_> {
    let Some(&[first, second, len_hi, len_lo]) = datagram.first_chunk::<4>() else {
        return Kind::Other;
    };
    if first >> 6 != 2 {
        return Kind::Other;
    }
    if is_rtcp(second) {
        // RFC 3550 section 6.4.1: length in 32-bit words, less one. An SSRC follows the first word in every type.
        let words = usize::from(u16::from_be_bytes([len_hi, len_lo]));
        let len = words.saturating_add(1).saturating_mul(4);
        return if words >= 1 && len <= datagram.len().saturating_add(missing) {
            Kind::Rtcp
        } else {
            Kind::Other
        };
    }
    // The checks are those of RFC 3550 appendix A.1.
    let Some((fixed, rest)) = datagram.split_first_chunk::<12>() else {
        return Kind::Other;
    };
    let [first, second, seq @ .., t0, t1, t2, t3, s0, s1, s2, s3] = *fixed;
    // No contributors, no extension, no padding: what nearly all packets are.
    let payload = if first & 0x3f == 0 {
        Some(rest)
    } else {
        payload(first, rest, missing)
    };
    let Some(payload) = payload else {
        return Kind::Other;
    };
    Kind::Rtp(Packet {
        marker: second & 0x80 != 0,
        payload_type: second & 0x7f,
        seq: u16::from_be_bytes(seq),
        timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
        ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
        payload,
        len: payload.len().saturating_add(missing),
    })
}

/// Whether the second octet of what is RTP or RTCP makes it the latter: RFC 5761 section 4 leaves these packet types to it.
#[inline(always)]
pub const fn is_rtcp(second: u8) -> bool {
    second >= 192 && second <= 223
}

/// The payload behind the fixed header, which begins with the octet `first`.
#[inline(never)]
fn payload(first: u8, rest: &[u8], missing: usize) -> Option<&[u8]> {
    let contributors = usize::from(first & 0x0f).saturating_mul(4);
    let mut payload = rest.get(contributors..)?;
    if first & 0x10 != 0 {
        let (&[_, _, hi, lo], rest) = payload.split_first_chunk::<4>()?;
        let len = usize::from(u16::from_be_bytes([hi, lo])).saturating_mul(4);
        payload = rest.get(len..)?;
    }
    if first & 0x20 != 0 && missing == 0 {
        // The last byte counts the padding, itself included.
        let padding = usize::from(*payload.last()?);
        if padding == 0 {
            return None;
        }
        payload = payload.get(..payload.len().checked_sub(padding)?)?;
    }
    Some(payload)
}

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics has said what is wrong"
)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_the_fixed_header() {
        let bytes = [0x80, 0x88, 0x12, 0x34, 0, 0, 0, 160, 0xde, 0xad, 0xbe, 0xef, 1, 2, 3];
        let expected = Packet {
            marker: true,
            payload_type: 8,
            seq: 0x1234,
            timestamp: 160,
            ssrc: 0xdead_beef,
            payload: &[1, 2, 3],
            len: 3,
        };
        assert_eq!(read(&bytes), Kind::Rtp(expected));
    }

    #[test]
    fn passes_contributors_extension_and_padding() {
        let mut bytes = vec![0xb1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1];
        bytes.extend([9, 9, 9, 9]); // one contributor
        bytes.extend([0xbe, 0xde, 0, 1, 7, 7, 7, 7]); // an extension of one word
        bytes.extend([42, 0, 2]); // a byte of payload, two of padding
        let Kind::Rtp(packet) = read(&bytes) else {
            panic!("no RTP");
        };
        assert_eq!(packet.payload, [42]);
    }

    #[test]
    fn refuses_lengths_that_cannot_be() {
        let header = [0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1];
        assert!(matches!(read(&header), Kind::Rtp(_)));
        assert_eq!(read(&header[..11]), Kind::Other);
        for first in [0x40, 0x00, 0xc0, 0x81, 0x90, 0xa0] {
            let mut bytes = header;
            bytes[0] = first;
            assert_eq!(read(&bytes), Kind::Other, "first byte {first:#x}");
        }
        let mut padded = header.to_vec();
        padded[0] = 0xa0;
        padded.push(0);
        assert_eq!(read(&padded), Kind::Other, "padding of no bytes");
        padded[12] = 2;
        assert_eq!(read(&padded), Kind::Other, "more padding than payload");
    }

    #[test]
    fn rtcp_is_never_rtp() {
        for packet_type in 192..=223u8 {
            // A receiver report without blocks: two words.
            let mut bytes = vec![0x80, packet_type, 0, 1, 0, 0, 0, 1];
            assert_eq!(read(&bytes), Kind::Rtcp);
            bytes[3] = 200;
            bytes.resize(40, 0);
            assert_eq!(read(&bytes), Kind::Other, "longer than the datagram");
        }
    }

    /// A packet as RFC 3550 section 5.1 lays it out, field by field and octet by octet: marker, payload type, number, timestamp, source
    /// and payload.
    fn slowly(bytes: &[u8]) -> Option<(bool, u8, u16, u32, u32, Vec<u8>)> {
        let mut octets = bytes.iter().copied();
        let number = |octets: &mut dyn Iterator<Item = u8>, len: usize| {
            (0..len).try_fold(0u64, |number, _| Some(number * 256 + u64::from(octets.next()?)))
        };
        let first = number(&mut octets, 1)?;
        let (version, padded, extended, contributors) = (first / 64, first / 32 % 2, first / 16 % 2, first % 16);
        let second = number(&mut octets, 1)?;
        // RFC 5761 section 4: what would be RTCP's packet types is RTCP.
        if version != 2 || (192..=223).contains(&second) {
            return None;
        }
        let seq = number(&mut octets, 2)? as u16;
        let (timestamp, ssrc) = (number(&mut octets, 4)? as u32, number(&mut octets, 4)? as u32);
        for _ in 0..contributors {
            number(&mut octets, 4)?;
        }
        if extended == 1 {
            let _profile = number(&mut octets, 2)?;
            for _ in 0..number(&mut octets, 2)? {
                number(&mut octets, 4)?;
            }
        }
        let mut payload: Vec<u8> = octets.collect();
        if padded == 1 {
            let padding = usize::from(*payload.last()?);
            if padding == 0 || padding > payload.len() {
                return None;
            }
            payload.truncate(payload.len() - padding);
        }
        Some((second >= 128, (second % 128) as u8, seq, timestamp, ssrc, payload))
    }

    proptest! {
        #[test]
        fn a_packet_is_read_as_slowly_as_the_rfc_says(
            first in prop_oneof![4 => 0x80..0xc0u8, 1 => any::<u8>()],
            rest in proptest::collection::vec(prop_oneof![1 => 0..4u8, 1 => any::<u8>()], 0..80),
        ) {
            let bytes = [&[first][..], &rest].concat();
            let read = match read(&bytes) {
                Kind::Rtp(of) => Some((of.marker, of.payload_type, of.seq, of.timestamp, of.ssrc, of.payload.to_vec())),
                Kind::Rtcp | Kind::Other => None,
            };
            prop_assert_eq!(read, slowly(&bytes));
        }

        #[test]
        fn any_bytes_get_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Kind::Rtp(packet) = read(&bytes) {
                prop_assert_eq!(bytes[0] >> 6, 2);
                prop_assert!(packet.payload.len() + 12 <= bytes.len());
                prop_assert!(!(64..=95).contains(&packet.payload_type) || !packet.marker);
            }
        }
    }
}
