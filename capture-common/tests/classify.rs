//! The walk and the policy against a slow reference, on frames that are nearly right and on any bytes.

use std::cell::RefCell;
use std::collections::HashMap;

use capture_common::{Fate, FragmentKey, Ordinary, PortFlags, Tables, Tunnels, Verdict, classify, find, glance};
use proptest::prelude::*;

/// Tables of a test: SIP on 5060, TURN on 3478, WebSocket on 8080, media from 10000 on.
#[derive(Default)]
struct Plain(RefCell<HashMap<FragmentKey, bool>>);

impl Tables for Plain {
    fn tunnels(&self) -> Tunnels {
        Tunnels::default()
    }

    fn port(&self, port: u16) -> PortFlags {
        match port {
            5060 => PortFlags::SIP,
            3478 => PortFlags::TURN,
            8080 => PortFlags::WEBSOCKET,
            10_000.. => PortFlags::MEDIA,
            _ => PortFlags::NONE,
        }
    }

    fn recall(&self, key: &FragmentKey) -> Option<bool> {
        self.0.borrow().get(key).copied()
    }

    fn remember(&self, key: &FragmentKey, wanted: bool) {
        self.0.borrow_mut().insert(*key, wanted);
    }
}

/// The same answer, by cutting slices.
mod reference {
    use super::*;

    pub fn classify(frame: &[u8], tables: &Plain) -> Verdict {
        let Some((_, mut rest)) = frame.split_at_checked(12) else {
            return Verdict::LinkMalformed;
        };
        for tags in 0.. {
            let Some((ethertype, behind)) = cut(rest, 2) else {
                return Verdict::LinkMalformed;
            };
            match ethertype {
                [0x81, 0x00] | [0x88, 0xa8] | [0x91, 0x00] if tags == 2 => return Verdict::VlanDepth,
                [0x81, 0x00] | [0x88, 0xa8] | [0x91, 0x00] => match cut(behind, 2) {
                    Some((_, behind)) => rest = behind,
                    None => return Verdict::LinkMalformed,
                },
                [0x08, 0x00] => return ipv4(behind, tables).unwrap_or_else(|verdict| verdict),
                [0x86, 0xdd] => return ipv6(behind, tables).unwrap_or_else(|verdict| verdict),
                _ => return Verdict::NotIp,
            }
        }
        unreachable!("the loop ends at the third tag")
    }

    fn cut(bytes: &[u8], at: usize) -> Option<(&[u8], &[u8])> {
        bytes.split_at_checked(at)
    }

    fn number(bytes: &[u8]) -> usize {
        bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
    }

    fn ipv4(packet: &[u8], tables: &Plain) -> Result<Verdict, Verdict> {
        let (fixed, _) = cut(packet, 20).ok_or(Verdict::IpMalformed)?;
        let header_len = usize::from(fixed[0] % 16) * 4;
        let total_len = match number(&fixed[2..4]) {
            0 => usize::MAX,
            total_len => total_len,
        };
        if fixed[0] / 16 != 4 || header_len < 20 || total_len < header_len {
            return Err(Verdict::IpMalformed);
        }
        if fixed[9] != 6 && fixed[9] != 17 {
            return Err(Verdict::OtherProtocol);
        }
        let mapped = |address: &[u8]| {
            let mut mapped = [0; 16];
            mapped[10..12].fill(0xff);
            mapped[12..].copy_from_slice(address);
            mapped
        };
        let key = FragmentKey {
            source: mapped(&fixed[12..16]),
            destination: mapped(&fixed[16..20]),
            id: number(&fixed[4..6]) as u32,
            protocol: fixed[9].into(),
        };
        let offset = number(&fixed[6..8]) % 0x2000;
        if offset > 0 {
            return Ok(later(&key, tables));
        }
        if total_len - header_len < 4 {
            return Err(Verdict::TransportMalformed);
        }
        let is_first = fixed[6] & 0x20 != 0;
        let payload = packet.get(header_len..).unwrap_or_default();
        ports(payload, fixed[9] == 17, is_first.then_some(key), tables)
    }

    fn ipv6(packet: &[u8], tables: &Plain) -> Result<Verdict, Verdict> {
        let (fixed, mut rest) = match cut(packet, 40) {
            Some(cut) => cut,
            // Version and next header are judged before what is behind them is missed.
            None => {
                let head = packet.get(..7).ok_or(Verdict::IpMalformed)?;
                if head[0] / 16 != 6 {
                    return Err(Verdict::IpMalformed);
                }
                return Err(match head[6] {
                    6 | 17 => Verdict::TransportMalformed,
                    0 | 43 | 44 | 51 | 60 | 135 | 139 | 140 => Verdict::IpMalformed,
                    _ => Verdict::OtherProtocol,
                });
            }
        };
        if fixed[0] / 16 != 6 {
            return Err(Verdict::IpMalformed);
        }
        let payload_len = match number(&fixed[4..6]) {
            0 => usize::MAX,
            payload_len => payload_len,
        };
        let mut skipped = 0;
        let mut next = fixed[6];
        let mut first_of = None;
        for depth in 0.. {
            if next == 6 || next == 17 {
                if payload_len < skipped + 4 {
                    return Err(Verdict::TransportMalformed);
                }
                return ports(rest, next == 17, first_of, tables);
            }
            if ![0, 43, 44, 51, 60, 135, 139, 140].contains(&next) {
                if let Some(key) = first_of {
                    tables.remember(&key, false);
                }
                return Err(Verdict::OtherProtocol);
            }
            let (head, _) = cut(rest, 2).ok_or(Verdict::IpMalformed)?;
            let units = usize::from(head[1]);
            let length = match next {
                44 => 8,
                51 => (units + 2) * 4,
                _ => (units + 1) * 8,
            };
            if next == 44 {
                let (head, _) = cut(rest, 8).ok_or(Verdict::IpMalformed)?;
                if first_of.is_some() {
                    return Err(Verdict::IpMalformed);
                }
                let key = FragmentKey {
                    source: fixed[8..24].try_into().expect("16 bytes"),
                    destination: fixed[24..40].try_into().expect("16 bytes"),
                    id: number(&head[4..8]) as u32,
                    protocol: 0,
                };
                if number(&head[2..4]) >= 8 {
                    return if [6, 17, 51, 60, 135, 139, 140].contains(&head[0]) {
                        Ok(later(&key, tables))
                    } else {
                        Err(Verdict::OtherProtocol)
                    };
                }
                if head[3] & 1 == 1 {
                    first_of = Some(key);
                }
            }
            next = head[0];
            skipped += length;
            rest = rest.get(length..).unwrap_or_default();
            if depth == 6 {
                return Err(Verdict::ExtensionDepth);
            }
        }
        unreachable!("the loop ends at the seventh extension header")
    }

    fn later(key: &FragmentKey, tables: &Plain) -> Verdict {
        match tables.recall(key) {
            Some(true) => Verdict::FragmentLater,
            Some(false) => Verdict::FragmentUnwanted,
            None => Verdict::FragmentUnknown,
        }
    }

    fn ports(payload: &[u8], udp: bool, first_of: Option<FragmentKey>, tables: &Plain) -> Result<Verdict, Verdict> {
        let (ports, _) = cut(payload, 4).ok_or(Verdict::TransportMalformed)?;
        let ports = [number(&ports[..2]), number(&ports[2..])];
        let verdict = if ports.contains(&5060) || !udp && ports.contains(&8080) {
            Verdict::Sip
        } else if ports.contains(&3478) {
            Verdict::Turn
        } else if udp && ports.iter().any(|port| *port >= 10_000) {
            Verdict::Media
        } else {
            Verdict::OtherPorts
        };
        let Some(key) = first_of else { return Ok(verdict) };
        let wanted = verdict != Verdict::OtherPorts;
        tables.remember(&key, wanted);
        Ok(if wanted { Verdict::FragmentFirst } else { verdict })
    }
}

/// One of the values that matter, or any.
fn byte(known: &'static [u8]) -> impl Strategy<Value = u8> {
    prop_oneof![8 => prop::sample::select(known), 1 => any::<u8>()]
}

fn ports() -> impl Strategy<Value = Vec<u8>> {
    let port = || {
        prop_oneof![
            Just(5060_u16),
            Just(8080),
            Just(3478),
            Just(53),
            Just(9_999),
            Just(10_000),
            any::<u16>()
        ]
    };
    (port(), port(), 0..12_usize).prop_map(|(source, destination, more)| {
        let mut bytes = [source.to_be_bytes(), destination.to_be_bytes()].concat();
        bytes.resize(4 + more, 0);
        bytes
    })
}

fn ipv4() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop_oneof![4 => Just(0_u16), 2 => Just(0x2000), 2 => Just(0x2005), 2 => Just(3), 1 => any::<u16>()];
    let length = prop_oneof![6 => Just(None), 1 => (0..60_u16).prop_map(Some)];
    (
        byte(&[17, 6, 1]),
        fragment,
        0..4_u16,
        byte(&[0x45, 0x46, 0x4f, 0x44, 0x65]),
        length,
        ports(),
    )
        .prop_map(|(protocol, fragment, id, version, length, ports)| {
            let mut bytes = vec![0; 20];
            bytes[0] = version;
            bytes[4..6].copy_from_slice(&id.to_be_bytes());
            bytes[6..8].copy_from_slice(&fragment.to_be_bytes());
            bytes[9] = protocol;
            bytes.resize(20.max(usize::from(version % 16) * 4), 1);
            bytes.extend(ports);
            let length = length.unwrap_or(bytes.len() as u16);
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            bytes
        })
}

fn ipv6() -> impl Strategy<Value = Vec<u8>> {
    let extension = (
        byte(&[0, 43, 44, 44, 51, 60, 135]),
        0..3_u8,
        prop::sample::select(&[0_u16, 1, 8, 9][..]),
        0..3_u32,
    );
    let length = prop_oneof![6 => Just(None), 1 => (0..60_u16).prop_map(Some)];
    (
        prop::collection::vec(extension, 0..9),
        byte(&[17, 6, 58, 59, 50]),
        length,
        ports(),
    )
        .prop_map(|(extensions, last, length, ports)| {
            let mut bytes = vec![0; 40];
            bytes[0] = 0x60;
            let kinds: Vec<u8> = extensions.iter().map(|extension| extension.0).chain([last]).collect();
            bytes[6] = kinds[0];
            for (number, (kind, units, offset, id)) in extensions.into_iter().enumerate() {
                let mut extension = match kind {
                    44 => vec![0; 8],
                    51 => vec![0; (usize::from(units) + 2) * 4],
                    _ => vec![0; (usize::from(units) + 1) * 8],
                };
                extension[1] = units;
                if kind == 44 {
                    extension[2..4].copy_from_slice(&offset.to_be_bytes());
                    extension[4..8].copy_from_slice(&id.to_be_bytes());
                }
                extension[0] = kinds[number + 1];
                bytes.extend(extension);
            }
            bytes.extend(ports);
            let length = length.unwrap_or(bytes.len() as u16 - 40);
            bytes[4..6].copy_from_slice(&length.to_be_bytes());
            bytes
        })
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
    let tags = prop::collection::vec(prop::sample::select(&[0x8100_u16, 0x88a8, 0x9100][..]), 0..4);
    let packet = prop_oneof![
        4 => ipv4().prop_map(|bytes| (0x0800_u16, bytes)),
        6 => ipv6().prop_map(|bytes| (0x86dd_u16, bytes)),
        1 => (any::<u16>(), prop::collection::vec(any::<u8>(), 0..30)),
    ];
    let damage = prop_oneof![3 => Just(None), 1 => any::<prop::sample::Index>().prop_map(Some)];
    (tags, packet, damage).prop_map(|(tags, (ethertype, packet), damage)| {
        let mut bytes = vec![0; 12];
        for tag in tags {
            bytes.extend(tag.to_be_bytes());
            bytes.extend([0, 1]);
        }
        bytes.extend(ethertype.to_be_bytes());
        bytes.extend(packet);
        if let Some(index) = damage {
            bytes.truncate(index.index(bytes.len()));
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// Sequences of frames, as decisions on fragments go from one to the next.
    #[test]
    fn says_what_the_reference_says(frames in prop::collection::vec(frame(), 1..8)) {
        let (tables, reference_tables) = (Plain::default(), Plain::default());
        for frame in frames {
            let verdict = classify(frame.as_slice(), &tables);
            prop_assert_eq!(verdict, reference::classify(&frame, &reference_tables), "{:02x?}", frame);
            if let Some((verdict, place)) = glance(frame.as_slice(), &tables) {
                let found = find(frame.as_slice(), &tables);
                prop_assert_eq!((verdict, place), (found.verdict, found.place), "{:02x?}", frame);
                prop_assert!(!found.is_fragment());
            }
            let ordinary = Ordinary::read(frame.as_slice());
            if let Some((ordinary, verdict)) = ordinary.and_then(|read| Some((read, read.verdict(&tables)?))) {
                let found = find(frame.as_slice(), &tables);
                prop_assert_eq!((verdict, ordinary.place()), (found.verdict, found.place), "{:02x?}", frame);
                prop_assert!(!found.is_fragment());
            }
            prop_assert_ne!(verdict, Verdict::NoSocket);
        }
        prop_assert_eq!(tables.0, reference_tables.0);
    }

    #[test]
    fn any_bytes_have_a_verdict(frame in prop::collection::vec(any::<u8>(), 0..200)) {
        let verdict = classify(frame.as_slice(), &Plain::default());
        prop_assert_eq!(verdict, reference::classify(&frame, &Plain::default()));
    }
}

#[test]
fn both_orders_of_fragments_keep_a_wanted_datagram_and_drop_an_unwanted_one() {
    let piece = |fragment: u16, id: u8, port: u16| {
        let mut bytes = vec![0; 12];
        bytes.extend([0x08, 0x00, 0x45, 0, 0, 40, 0, id]);
        bytes.extend(fragment.to_be_bytes());
        bytes.extend([64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend([port.to_be_bytes(), 53_u16.to_be_bytes()].concat());
        bytes.resize(14 + 40, 0);
        bytes
    };
    let tables = Plain::default();
    let run = |fragment, id, port| classify(piece(fragment, id, port).as_slice(), &tables);
    assert_eq!(run(0x2000, 1, 5060), Verdict::FragmentFirst);
    assert_eq!(run(0x0005, 1, 99), Verdict::FragmentLater);
    assert_eq!(run(0x2000, 2, 99), Verdict::OtherPorts);
    assert_eq!(run(0x0005, 2, 5060), Verdict::FragmentUnwanted);
    assert_eq!(run(0x0005, 3, 99), Verdict::FragmentUnknown);
    assert_eq!(Verdict::FragmentUnknown.fate(), Fate::Captured);
    assert_eq!(run(0x4000, 4, 5060), Verdict::Sip, "don't fragment is no fragment");
}
