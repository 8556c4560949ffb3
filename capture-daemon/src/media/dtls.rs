//! What shares a port with RTP and makes its keys: DTLS and ZRTP, told by their first octets (RFC 7983, RFC 6189 section 5).
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "reads what anyone may send: a slice is asked for, never assumed"
)]

/// What makes keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// A DTLS record: a handshake for SRTP's keys (RFC 5764), or data channels.
    Dtls,
    /// A ZRTP message.
    Zrtp,
}

/// "ZRTP", where RTP has its timestamp (RFC 6189 section 5).
const COOKIE: [u8; 4] = *b"ZRTP";

/// Tells both from the rest. A DTLS record has a type of 20 to 63 (RFC 7983), the version of DTLS 1.0 or 1.2 (1.3 says 1.2,
/// RFC 9147 section 4), and a length that fits.
pub fn read(datagram: &[u8]) -> Option<Handshake> {
    match *datagram {
        [
            20..=63,
            0xfe,
            0xff | 0xfd,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            hi,
            lo,
            ref rest @ ..,
        ] => {
            let len = usize::from(u16::from_be_bytes([hi, lo]));
            (len > 0 && len <= rest.len()).then_some(Handshake::Dtls)
        }
        [first, _, _, _, ref rest @ ..] if first >> 4 == 1 && rest.starts_with(&COOKIE) => Some(Handshake::Zrtp),
        _ => None,
    }
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

    const HELLO: [u8; 15] = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 1, 0];
    const ZRTP: [u8; 12] = [0x10, 0, 0, 1, b'Z', b'R', b'T', b'P', 1, 2, 3, 4];

    #[test]
    fn handshakes_are_told_by_their_first_octets() {
        assert_eq!(read(&HELLO), Some(Handshake::Dtls));
        assert_eq!(read(&ZRTP), Some(Handshake::Zrtp));
        assert_eq!(read(&HELLO[..14]), None, "longer than the datagram");
        for (at, byte) in [(0, 19), (0, 64), (1, 0xfd), (2, 0xfc), (12, 0)] {
            let mut other = HELLO;
            other[at] = byte;
            assert_eq!(read(&other), None, "octet {at}: {byte}");
        }
        let mut rtp = ZRTP;
        rtp[0] = 0x80;
        assert_eq!(read(&rtp), None);
    }

    /// The same by arithmetic on whole fields.
    fn reference(datagram: &[u8]) -> Option<Handshake> {
        if datagram.len() >= 8 && datagram[0] / 16 == 1 && &datagram[4..8] == b"ZRTP" {
            return Some(Handshake::Zrtp);
        }
        let field = |from: usize, to: usize| {
            let octets = datagram.get(from..to)?;
            Some(
                octets
                    .iter()
                    .fold(0usize, |value, octet| value * 256 + usize::from(*octet)),
            )
        };
        let version = field(1, 3)?;
        let length = field(11, 13)?;
        let is_dtls = (20..64).contains(&datagram[0])
            && [0xfeff, 0xfefd].contains(&version)
            && (1..=datagram.len() - 13).contains(&length);
        is_dtls.then_some(Handshake::Dtls)
    }

    proptest! {
        #[test]
        fn any_octets_are_told_as_slowly(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                (prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..3), 8usize..16).prop_map(|(changes, len)| {
                    let mut bytes = HELLO.to_vec();
                    changes.iter().for_each(|(at, with)| bytes[at.index(HELLO.len())] = *with);
                    bytes.resize(len, 0);
                    bytes
                }),
                (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, with)| {
                    let mut bytes = ZRTP.to_vec();
                    bytes[at.index(ZRTP.len())] = with;
                    bytes
                }),
            ],
        ) {
            prop_assert_eq!(read(&bytes), reference(&bytes), "{:02x?}", bytes);
        }
    }
}
