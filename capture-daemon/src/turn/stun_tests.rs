#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics has said what is wrong"
)]

use proptest::prelude::*;

use super::*;
use crate::turn::wire::Wire;

fn message(bytes: &[u8]) -> Message<'_> {
    match read(bytes) {
        Kind::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// RFC 5769 section 2.1.
const SAMPLE_REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff\
    80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
/// RFC 5769 section 2.2.
const SAMPLE_RESPONSE: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643\
    000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
/// RFC 5769 section 2.3.
const SAMPLE_RESPONSE_V6: &str = "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a147\
    0113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c";

#[test]
fn the_samples_of_rfc_5769_are_read() {
    let bytes = hex(SAMPLE_REQUEST);
    let request = message(&bytes);
    assert_eq!((request.class, request.method), (Class::Request, Method::Binding));
    assert_eq!(request.software, Some(&b"STUN test client"[..]));
    assert_eq!(request.username, Some(&b"evtj:h6vY"[..]));
    assert!(request.fingerprint && request.integrity && request.ice && request.is_check());

    for (sample, mapped) in [
        (SAMPLE_RESPONSE, "192.0.2.1:32853"),
        (SAMPLE_RESPONSE_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
    ] {
        let bytes = hex(sample);
        let response = message(&bytes);
        assert_eq!((response.class, response.method), (Class::Success, Method::Binding));
        assert_eq!(response.mapped.unwrap().to_string(), mapped);
        assert_eq!(response.software, Some(&b"test vector"[..]));
        assert!(response.fingerprint && response.integrity);
    }
}

#[test]
fn a_wrong_fingerprint_is_no_message() {
    let mut bytes = hex(SAMPLE_REQUEST);
    bytes[30] ^= 1;
    assert_eq!(read(&bytes), Kind::Malformed(Malformed::Fingerprint));
}

#[test]
fn the_attributes_of_turn_are_read() {
    let peer = Endpoint::v4([192, 0, 2, 7], 4000);
    let other = Endpoint::new("2001:db8::7".parse().unwrap(), 4002);
    let bytes = Wire::new(Class::Request, Method::ChannelBind, 1)
        .with(0x000c, &[0x40, 0x05, 0, 0])
        .mixed(0x0012, peer)
        .mixed(0x0012, other)
        .with(0x000d, &600u32.to_be_bytes())
        .with(0x0019, &[17, 0, 0, 0])
        .with(0x001e, &[3; 32])
        .with(0x0013, b"data")
        .signed("a user")
        .bytes();
    let read = message(&bytes);
    assert_eq!((read.class, read.method), (Class::Request, Method::ChannelBind));
    assert_eq!(
        (read.channel, read.lifetime, read.requested_transport),
        (Some(0x4005), Some(600), Some(17))
    );
    assert_eq!(read.peers().collect::<Vec<_>>(), [peer, other]);
    assert_eq!(
        (read.username, read.realm),
        (Some(&b"a user"[..]), Some(&b"example.org"[..]))
    );
    assert_eq!((read.userhash, read.nonce), (Some(&[3; 32][..]), Some(&b"nonce"[..])));
    assert_eq!(read.data, Some(&b"data"[..]));
    assert!(read.integrity && !read.fingerprint && !read.is_check());

    let bytes = Wire::new(Class::Error, Method::Allocate, 1)
        .with(0x0009, &[0, 0, 4, 86, b'Q'])
        .bytes();
    assert_eq!(message(&bytes).error, Some(486));
}

#[test]
fn what_stands_behind_the_integrity_is_not_protected_and_does_not_count() {
    let bytes = Wire::new(Class::Success, Method::Allocate, 1)
        .with(0x000d, &600u32.to_be_bytes())
        .with(0x000d, &3_600u32.to_be_bytes())
        .with(0x0008, &[7; 20])
        .mixed(0x0016, Endpoint::v4([192, 0, 2, 7], 50_000))
        .with(0x0014, b"forged")
        .fingerprinted()
        .bytes();
    let message = message(&bytes);
    assert_eq!(
        (message.lifetime, message.realm, message.username),
        (Some(600), None, None)
    );
    assert_eq!(message.relayed().count(), 0);
    assert!(message.fingerprint);
}

#[test]
fn lengths_that_cannot_be_are_malformed() {
    let whole = Wire::new(Class::Request, Method::Allocate, 1)
        .with(0x0006, b"user")
        .bytes();
    assert!(matches!(read(&whole), Kind::Message(_)));
    assert_eq!(read(&whole[..27]), Kind::Malformed(Malformed::Length));
    let mut odd = whole.clone();
    odd[3] = 7;
    assert_eq!(read(&odd), Kind::Malformed(Malformed::Length));
    let mut long = whole.clone();
    long[23] = 5;
    assert_eq!(read(&long), Kind::Malformed(Malformed::Attribute));
    assert_eq!(read(&whole[..19]), Kind::Other);
    let mut foreign = whole;
    foreign[0] = 4;
    assert_eq!(read(&foreign), Kind::Other);
}

#[test]
fn without_the_cookie_only_what_is_certain_counts() {
    let plain = |mut bytes: Vec<u8>| {
        bytes[4..8].copy_from_slice(&[1, 2, 3, 4]);
        bytes
    };
    let mapped = Endpoint::v4([192, 0, 2, 7], 4000);
    let request = plain(Wire::new(Class::Request, Method::Binding, 1).bytes());
    let response = plain(
        Wire::new(Class::Success, Method::Binding, 1)
            .plain(0x0001, mapped)
            .bytes(),
    );
    for bytes in [&request, &response] {
        assert!(message(bytes).classic && !begins(bytes));
    }
    assert_eq!(message(&response).mapped, Some(mapped));
    assert_eq!(
        read(&[request.as_slice(), &[0]].concat()),
        Kind::Other,
        "a byte too many"
    );
    for other in [
        Wire::new(Class::Request, Method::Allocate, 1),
        Wire::new(Class::Indication, Method::Binding, 1),
        Wire::new(Class::Success, Method::Binding, 1),
        Wire::new(Class::Success, Method::Binding, 1)
            .plain(0x0001, mapped)
            .with(0x0100, b"none"),
    ] {
        assert_eq!(read(&plain(other.bytes())), Kind::Other);
    }
}

/// RFC 8489, said as slowly as possible: all attributes as a list, then what is asked is looked for in it.
mod slow {
    pub struct Slow {
        pub kind: u16,
        pub cookie: bool,
        pub attributes: Vec<(u16, Vec<u8>)>,
    }

    pub fn read(bytes: &[u8]) -> Option<Result<Slow, ()>> {
        if bytes.len() < 20 || bytes[0] >= 4 {
            return None;
        }
        let number = |at: usize| u16::from(bytes[at]) * 256 + u16::from(bytes[at + 1]);
        let cookie = bytes[4..8] == [0x21, 0x12, 0xa4, 0x42];
        let end = 20 + usize::from(number(2));
        if end > bytes.len() || end % 4 != 0 {
            return Some(Err(()));
        }
        let mut attributes = Vec::new();
        let mut at = 20;
        while at < end {
            let length = usize::from(number(at + 2));
            if at + 4 + length.div_ceil(4) * 4 > end {
                return Some(Err(()));
            }
            let value = bytes[at + 4..at + 4 + length].to_vec();
            if number(at) == 0x8028 && cookie && !attributes.iter().any(|(kind, _)| *kind == 0x8028) {
                // Bit by bit.
                let mut sum = u32::MAX;
                for byte in &bytes[..at] {
                    for bit in 0..8 {
                        let carry = (sum ^ (u32::from(*byte) >> bit)) & 1;
                        sum = (sum >> 1) ^ (carry * 0xedb8_8320);
                    }
                }
                if value != (!sum ^ 0x5354_554e).to_be_bytes() {
                    return Some(Err(()));
                }
            }
            attributes.push((number(at), value));
            at += 4 + length.div_ceil(4) * 4;
        }
        Some(Ok(Slow {
            kind: number(0),
            cookie,
            attributes,
        }))
    }

    impl Slow {
        /// The attributes that count: those before the integrity and the fingerprint.
        pub fn counted(&self) -> &[(u16, Vec<u8>)] {
            let end = self
                .attributes
                .iter()
                // RFC 3489 knew no fingerprint: without the cookie it is an attribute as any other.
                .position(|(kind, _)| [0x0008, 0x001c].contains(kind) || (*kind == 0x8028 && self.cookie));
            &self.attributes[..end.unwrap_or(self.attributes.len())]
        }

        pub fn first(&self, kind: u16) -> Option<&[u8]> {
            self.counted()
                .iter()
                .find(|(is, _)| *is == kind)
                .map(|(_, value)| value.as_slice())
        }
    }
}

/// Any attribute, of the known kinds mostly, with lengths that are right for some.
fn attributes() -> impl Strategy<Value = Vec<(u16, Vec<u8>)>> {
    let kind = prop_oneof![
        4 => proptest::sample::select(vec![
            0x0001, 0x0006, 0x0009, 0x000c, 0x000d, 0x0012, 0x0013, 0x0014, 0x0015, 0x0016, 0x0019, 0x001e, 0x0020, 0x0024,
            0x8022, 0x8029
        ]),
        1 => proptest::sample::select(vec![0x0008, 0x001c, 0x8028]),
        1 => any::<u16>(),
    ];
    let value = prop_oneof![
        (1..3u8, proptest::collection::vec(any::<u8>(), 18)).prop_map(|(family, mut value)| {
            value[1] = family;
            value.truncate(if family == 1 { 8 } else { 20 });
            value
        }),
        proptest::collection::vec(any::<u8>(), 0..24),
    ];
    proptest::collection::vec((kind, value), 0..6)
}

proptest! {
    #[test]
    fn agrees_with_the_slow_reference(
        kind in prop_oneof![0x0001..0x0004u16, any::<u16>().prop_map(|kind| kind & 0x3fff)],
        cookie in prop_oneof![4 => Just(true), 1 => Just(false)],
        sealed in any::<bool>(),
        attributes in attributes(),
        damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut wire = Wire::new(Class::Request, Method::Binding, 1);
        for (kind, value) in &attributes {
            wire = wire.with(*kind, value);
        }
        if sealed {
            wire = wire.fingerprinted();
        }
        let mut bytes = wire.bytes();
        bytes[..2].copy_from_slice(&kind.to_be_bytes());
        if !cookie {
            bytes[4] = 0;
        }
        if let Some((at, byte)) = damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        match (read(&bytes), slow::read(&bytes)) {
            (Kind::Message(message), Some(Ok(slow))) => {
                prop_assert_eq!(message.classic, !slow.cookie);
                let bit = |bit: u16| u16::from(slow.kind & (1 << bit) != 0);
                let class = [Class::Request, Class::Indication, Class::Success, Class::Error];
                prop_assert_eq!(message.class, class[usize::from(bit(8) * 2 + bit(4))]);
                let method: u16 = [0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 12, 13].iter().enumerate().map(|(to, from)| bit(*from) << to).sum();
                prop_assert_eq!(message.method == Method::Allocate, method == 3);
                prop_assert_eq!(message.method == Method::Binding, method == 1);
                prop_assert_eq!(message.username, slow.first(0x0006));
                prop_assert_eq!(message.realm, slow.first(0x0014));
                prop_assert_eq!(message.nonce, slow.first(0x0015));
                prop_assert_eq!(message.data, slow.first(0x0013));
                prop_assert_eq!(message.software, slow.first(0x8022));
                let of = |kind: u16, len: usize| slow.counted().iter().find(|(is, value)| *is == kind && value.len() >= len).map(|(_, value)| value.clone());
                prop_assert_eq!(message.lifetime, of(0x000d, 4).map(|v| u32::from(v[0]) << 24 | u32::from(v[1]) << 16 | u32::from(v[2]) << 8 | u32::from(v[3])));
                prop_assert_eq!(message.channel, of(0x000c, 2).map(|v| u16::from(v[0]) * 256 + u16::from(v[1])));
                let peers: Vec<String> = slow.counted().iter().filter(|(is, _)| *is == 0x0012).filter_map(|(_, value)| unmixed(value, &bytes)).collect();
                prop_assert_eq!(message.peers().map(|peer| peer.to_string()).collect::<Vec<_>>(), peers);
                let ice = slow.counted().iter().any(|(is, _)| [0x0024, 0x0025, 0x8029, 0x802a].contains(is));
                prop_assert_eq!(message.ice, ice);
                prop_assert_eq!(message.fingerprint, slow.cookie && slow.attributes.iter().any(|(kind, _)| *kind == 0x8028));
            }
            (Kind::Malformed(_), Some(Err(()))) => prop_assert_eq!(&bytes[4..8], &COOKIE),
            (Kind::Other, Some(Err(()))) => prop_assert_ne!(&bytes[4..8], &COOKIE),
            (Kind::Other, Some(Ok(slow))) => prop_assert!(!slow.cookie),
            (Kind::Other, None) => {}
            (is, _) => prop_assert!(false, "{:?}", is),
        }
    }

    #[test]
    fn any_bytes_get_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Kind::Message(message) = read(&bytes) {
            prop_assert!(announced_len(&bytes).unwrap() <= bytes.len());
            prop_assert!(message.peers().count() + message.relayed().count() <= bytes.len() / 8);
        }
    }
}

/// RFC 8489 section 14.2, byte by byte.
fn unmixed(value: &[u8], message: &[u8]) -> Option<String> {
    let v: Vec<u8> = value
        .iter()
        .enumerate()
        .map(|(at, byte)| match at {
            0..2 => *byte,
            2..4 => byte ^ message[at + 2],
            _ => byte ^ message[4 + (at - 4) % 16],
        })
        .collect();
    match (v.get(1), v.len()) {
        (Some(1), 8) => Some(format!(
            "{}.{}.{}.{}:{}",
            v[4],
            v[5],
            v[6],
            v[7],
            u16::from(v[2]) * 256 + u16::from(v[3])
        )),
        (Some(2), 20) => {
            let ip: [u8; 16] = v[4..].try_into().unwrap();
            Some(Endpoint::v6(ip, u16::from(v[2]) * 256 + u16::from(v[3])).to_string())
        }
        _ => None,
    }
}
