//! The decision on media against a slow reference, on datagrams that are nearly right, in IPv4, IPv6 and tunnels.

use std::cell::RefCell;
use std::collections::HashMap;

use capture_common::media::{self, Datagram, Kind, Packet, UNCUT_PAYLOAD};
use capture_common::rtp::{Header, StreamKey};
use capture_common::{
    Decision, EndpointEntry, EndpointKey, Fate, FragmentKey, Level, Media, MediaSettings, MediaTables, Ordinary, Place,
    PortFlags, Tables, Tunnel, Tunnels, Verdict, find,
};
use proptest::prelude::*;

/// Tables of a test: media from 10000 on, an endpoint for each key with an entry.
#[derive(Default)]
struct Plain {
    endpoints: HashMap<EndpointKey, EndpointEntry>,
    early: RefCell<HashMap<EndpointKey, u32>>,
    measured: RefCell<Vec<Packet>>,
}

impl Tables for Plain {
    fn tunnels(&self) -> Tunnels {
        Tunnel::ALL.iter().copied().collect()
    }

    fn port(&self, port: u16) -> PortFlags {
        match port {
            4789 => PortFlags::TUNNEL,
            10_000.. => PortFlags::MEDIA,
            _ => PortFlags::NONE,
        }
    }

    fn recall(&self, _: &FragmentKey) -> Option<bool> {
        None
    }

    fn remember(&self, _: &FragmentKey, _: bool) {}
}

impl MediaTables for Plain {
    fn endpoint(&self, key: &EndpointKey) -> Option<&EndpointEntry> {
        self.endpoints.get(key)
    }

    fn is_early(&self, key: &EndpointKey, packets: u32) -> bool {
        let mut early = self.early.borrow_mut();
        let crossed = early.entry(*key).or_default();
        if *crossed >= packets {
            return false;
        }
        *crossed += 1;
        true
    }
}

impl Plain {
    fn measure(&self, packet: &Packet) -> Option<Verdict> {
        if packet.ends().crosses(self) {
            return None;
        }
        self.measured.borrow_mut().push(*packet);
        Some(Verdict::Measured)
    }
}

/// A datagram and what was put around it.
#[derive(Clone, Debug)]
struct Sent {
    six: bool,
    tunnelled: bool,
    ports: [u16; 2],
    payload: Vec<u8>,
    /// What the UDP header says beyond or below the truth.
    off_by: i16,
}

impl Sent {
    /// The address that ends in `last`, mapped.
    fn address(&self, last: u8) -> [u8; 16] {
        let mut address = [0; 16];
        if self.six {
            address[0] = 0x20;
        } else {
            address[10..12].fill(0xff);
            address[12] = 10;
        }
        address[15] = last;
        address
    }

    fn keys(&self) -> [EndpointKey; 2] {
        [
            EndpointKey::new(self.address(1), self.ports[0]),
            EndpointKey::new(self.address(2), self.ports[1]),
        ]
    }

    fn udp_len(&self) -> u16 {
        (self.payload.len() as u16 + 8).wrapping_add_signed(self.off_by)
    }

    /// The frame, and where in it the UDP payload begins.
    fn frame(&self) -> (Vec<u8>, usize) {
        let udp = [
            &self.ports[0].to_be_bytes()[..],
            &self.ports[1].to_be_bytes(),
            &self.udp_len().to_be_bytes(),
            &[0, 0],
            &self.payload,
        ]
        .concat();
        let packet = if self.six {
            let head = [0x60, 0, 0, 0, (udp.len() >> 8) as u8, udp.len() as u8, 17, 64];
            [&head[..], &self.address(1), &self.address(2), &udp].concat()
        } else {
            v4(17, &udp)
        };
        let ethertype: [u8; 2] = if self.six { [0x86, 0xdd] } else { [8, 0] };
        let mut frame = [&[2; 12][..], &ethertype, &packet].concat();
        if self.tunnelled {
            let vxlan = [&[0x10, 0, 0x12, 0xb5, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 7, 0][..], &frame].concat();
            frame = [&[2; 12][..], &[8, 0], &v4(17, &vxlan)].concat();
        }
        let at = frame.len() - self.payload.len();
        (frame, at)
    }
}

fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = payload.len() + 20;
    let head = [0x45, 0, (len >> 8) as u8, len as u8, 0, 0, 0, 0, 64, protocol, 0, 0];
    [&head[..], &[10, 0, 0, 1, 10, 0, 0, 2], payload].concat()
}

/// The same answer, by cutting slices.
mod reference {
    use super::*;

    pub fn kind(payload: &[u8]) -> Kind {
        match payload {
            short if short.len() < 8 => Kind::Other,
            [0x80..=0xbf, 192..=223, ..] => Kind::Rtcp,
            [0x80..=0xbf, ..] if payload.len() >= 12 => Kind::Rtp,
            [0..=3, _, _, _, 0x21, 0x12, 0xa4, 0x42, ..] => Kind::Stun,
            [b'A'..=b'Z', b'A'..=b'Z', b'A'..=b'Z', b'A'..=b'Z' | b' ' | b'/', ..] => Kind::Sip,
            _ => Kind::Other,
        }
    }

    /// Bytes of an RTP packet up to its payload; `None` where they are more than there are.
    pub fn header(packet: &[u8]) -> Option<usize> {
        let contributors = usize::from(packet[0] % 16) * 4;
        let (_, rest) = packet.split_at_checked(12 + contributors)?;
        if (packet[0] / 16).is_multiple_of(2) {
            return Some(12 + contributors);
        }
        let (head, rest) = rest.split_at_checked(4)?;
        let words = usize::from(head[2]) * 256 + usize::from(head[3]);
        rest.split_at_checked(words * 4)?;
        Some(16 + contributors + words * 4)
    }

    pub fn decide(sent: &Sent, settings: (Media, Level, bool, u32), tables: &Plain) -> Decision {
        let (media, default, levels, early) = settings;
        let whole = |verdict| Decision { verdict, cut_to: 0 };
        // A length that the frame does not bear out.
        let payload = &sent.payload[..];
        let kind = if sent.off_by == 0 { kind(payload) } else { Kind::Other };
        if [Kind::Rtcp, Kind::Stun, Kind::Sip].contains(&kind) {
            return whole(Verdict::MediaControl);
        }
        if media == Media::Off {
            return whole(Verdict::MediaOff);
        }
        let [source, destination] = sent.keys();
        let entry = tables.endpoints.get(&destination).or(tables.endpoints.get(&source));
        let entry = entry.filter(|_| media == Media::Learned || levels);
        let level = entry.and_then(EndpointEntry::level).unwrap_or(default);
        let crosses = match (media, entry) {
            (Media::Learned, Some(_)) => Verdict::MediaLearned,
            (Media::Learned, None)
                if kind == Kind::Rtp && level != Level::Signaling && tables.is_early(&destination, early) =>
            {
                Verdict::MediaEarly
            }
            (Media::Learned, None) => return whole(Verdict::MediaUnlearned),
            _ => Verdict::Media,
        };
        let (frame, at) = sent.frame();
        match (level, kind) {
            (Level::Signaling, _) => whole(Verdict::MediaByLevel),
            (Level::Headers, Kind::Rtp) => match header(payload) {
                Some(header) if payload.len() > header + UNCUT_PAYLOAD as usize => {
                    assert!(at + header < frame.len());
                    Decision {
                        verdict: Verdict::MediaHeaders,
                        cut_to: (at + header) as u32,
                    }
                }
                _ => whole(crosses),
            },
            _ => whole(crosses),
        }
    }
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        6 => 0x80..=0x8f_u8,
        3 => 0x90..=0xbf_u8,
        1 => Just(0),
        1 => any::<u8>()
    ];
    let second = prop_oneof![6 => 0..=127_u8, 2 => 192..=223_u8, 1 => any::<u8>()];
    let rtp = (first, second, prop::collection::vec(any::<u8>(), 0..120), 0..12_u8).prop_map(
        |(first, second, rest, words)| {
            let mut bytes = [&[first, second][..], &rest].concat();
            // An extension of a length that there may be.
            let at = 12 + usize::from(first % 16) * 4;
            if let Some(length) = bytes.get_mut(at + 2..at + 4) {
                length.copy_from_slice(&[0, words]);
            }
            bytes
        },
    );
    let stun = prop::collection::vec(any::<u8>(), 0..20)
        .prop_map(|rest| [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &rest].concat());
    let text = prop::sample::select(
        &[
            "INVITE sip:a SIP/2.0\r\n\r\n",
            "SIP/2.0 200 OK\r\n\r\n",
            "BYE sip:a",
            "Hello world",
        ][..],
    );
    prop_oneof![
        8 => rtp,
        1 => stun,
        1 => text.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    let port = || prop_oneof![Just(10_000_u16), Just(10_002), Just(9)];
    (any::<bool>(), any::<bool>(), port(), port(), payload()).prop_map(
        |(six, tunnelled, source, destination, payload)| {
            Sent {
                six,
                tunnelled,
                // One of them is a media port, or the frame would not come so far.
                ports: [if destination == 9 { 10_000 } else { source }, destination],
                payload,
                off_by: 0,
            }
        },
    )
}

fn settings() -> impl Strategy<Value = (Media, Level, bool, u32)> {
    (
        prop::sample::select(&[Media::Off, Media::Range, Media::Learned][..]),
        prop::sample::select(Level::ALL),
        any::<bool>(),
        0..4_u32,
    )
}

/// Endpoints by family, address and port, each with a level or none.
fn endpoints() -> impl Strategy<Value = HashMap<EndpointKey, EndpointEntry>> {
    let one = (
        any::<bool>(),
        1..3_u8,
        prop::sample::select(&[10_000_u16, 10_002][..]),
        0..4_u8,
    );
    prop::collection::vec(one, 0..4).prop_map(|entries| {
        let entries = entries.into_iter().map(|(six, last, port, level)| {
            let sent = Sent {
                six,
                tunnelled: false,
                ports: [0, 0],
                payload: Vec::new(),
                off_by: 0,
            };
            let entry = EndpointEntry {
                level,
                ..EndpointEntry::default()
            };
            (EndpointKey::new(sent.address(last), port), entry)
        });
        entries.collect()
    })
}

fn decided(sent: &Sent, (media, level, levels, early): (Media, Level, bool, u32), tables: &Plain) -> Decision {
    let (frame, _) = sent.frame();
    let finding = find(frame.as_slice(), tables);
    assert_eq!(finding.verdict, Verdict::Media, "{frame:02x?}");
    let settings = MediaSettings::new(media, level, levels, early);
    let (frame, place) = (frame.as_slice(), &finding.place);
    same_at_a_glance(sent, frame, place, &settings, tables);
    let measured = (media == Media::Measured).then(|| Packet::read(frame, place));
    match measured.flatten().and_then(|packet| tables.measure(&packet)) {
        Some(verdict) => Decision { verdict, cut_to: 0 },
        None => media::decide(frame, place, finding.is_fragment(), &settings, tables),
    }
}

/// What is read of an ordinary frame at once is what the walk and the decision behind it say, wherever it says anything.
fn same_at_a_glance(sent: &Sent, frame: &[u8], place: &Place, settings: &MediaSettings, tables: &Plain) {
    let ordinary = Ordinary::read(frame).and_then(|read| Some((read, read.verdict(tables)?)));
    assert_eq!(ordinary.is_some(), !sent.six && !sent.tunnelled, "{sent:?}");
    let Some((ordinary, verdict)) = ordinary else { return };
    assert_eq!((verdict, ordinary.place()), (Verdict::Media, *place));
    let Some(payload) = ordinary.payload(frame) else {
        assert!(sent.payload.len() < 12);
        return;
    };
    let datagram = Datagram::read(frame, place);
    assert_eq!(
        (payload.datagram.kind, payload.datagram.at, payload.datagram.len),
        (datagram.kind, datagram.at, datagram.len)
    );
    let fixed = datagram.kind == Kind::Rtp && sent.payload[0] == 0x80;
    let packet = Packet::read(frame, place).filter(|_| fixed);
    let voice = payload.voice(&ordinary);
    assert_eq!(voice.map(|voice| voice.packet()), packet);
    if let Some(decision) = payload.decide(settings) {
        assert_eq!(decision, media::decide(frame, place, false, settings, tables));
    } else {
        let asks = settings.is(Media::Learned) || settings.levels != 0;
        assert!(asks || datagram.kind == Kind::Rtp && sent.payload[0] != 0x80);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn says_what_the_reference_says(
        frames in prop::collection::vec(sent(), 1..8),
        settings in settings(),
        endpoints in endpoints(),
    ) {
        let tables = || Plain { endpoints: endpoints.clone(), ..Plain::default() };
        let (ours, theirs) = (tables(), tables());
        for sent in &frames {
            prop_assert_eq!(decided(sent, settings, &ours), reference::decide(sent, settings, &theirs), "{:?}", sent);
        }
    }

    /// What is measured is RTP that fits its datagram, by its header; everything else crosses.
    #[test]
    fn measured_is_what_is_rtp_to_the_last_byte(sent in sent(), endpoints in endpoints()) {
        let tables = Plain { endpoints, ..Plain::default() };
        let decision = decided(&sent, (Media::Measured, Level::Full, true, 0), &tables);
        let measured = tables.measured.into_inner();
        let payload = &sent.payload[..];
        let [source, destination] = sent.keys();
        let entry = tables.endpoints.get(&destination).or(tables.endpoints.get(&source));
        let asked_for = entry.and_then(EndpointEntry::level).is_some_and(|level| level != Level::Signaling);
        let padding = |payload: &[u8]| if payload[0] & 0x20 == 0 { Some(0) } else { payload.last().copied().filter(|n| *n > 0) };
        let len = reference::kind(payload) == Kind::Rtp;
        let len = len.then(|| payload.len().checked_sub(reference::header(payload)?)?.checked_sub(padding(payload)?.into())).flatten();
        prop_assert_eq!(decision.verdict == Verdict::Measured, len.is_some() && !asked_for);
        if decision.verdict != Verdict::Measured {
            prop_assert_eq!(measured, []);
            return Ok(());
        }
        let word = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        let header = Header {
            ssrc: word(8),
            timestamp: word(4),
            seq: word(0) as u16,
            second: payload[1],
            len: len.unwrap().min(255) as u8,
        };
        let key = StreamKey {
            source: source.address,
            destination: destination.address,
            source_port: source.port,
            destination_port: destination.port,
            ssrc: word(8),
        };
        prop_assert_eq!(measured, [Packet { key, header, octets: payload.len() as u32 }]);
    }

    /// Nothing is cut but RTP behind its header, whatever the bytes say.
    #[test]
    fn what_is_cut_is_rtp_and_keeps_its_header(sent in sent(), off_by in -40..40_i16, level in prop::sample::select(Level::ALL)) {
        let sent = Sent { off_by, ..sent };
        let (frame, at) = sent.frame();
        let Decision { verdict, cut_to } = decided(&sent, (Media::Range, level, false, 0), &Plain::default());
        prop_assert_eq!(cut_to != 0, verdict == Verdict::MediaHeaders);
        if cut_to != 0 {
            prop_assert_eq!(frame[at] >> 6, 2);
            prop_assert!(!(192..=223).contains(&frame[at + 1]));
            prop_assert!(cut_to as usize >= at + 12);
        }
        prop_assert!(verdict.fate() != Fate::Dropped);
    }
}

/// A fragment is not cut, as its datagram could not be put together.
#[test]
fn a_first_fragment_is_kept_whole() {
    let sent = Sent {
        six: false,
        tunnelled: false,
        ports: [10_000, 10_002],
        payload: [&[0x80, 0][..], &[1; 170]].concat(),
        off_by: 0,
    };
    let (mut frame, _) = sent.frame();
    frame[20] |= 0x20;
    let tables = Plain::default();
    let finding = find(frame.as_slice(), &tables);
    assert!(finding.is_fragment());
    let settings = MediaSettings::new(Media::Range, Level::Headers, false, 0);
    let decision = media::decide(
        frame.as_slice(),
        &finding.place,
        finding.is_fragment(),
        &settings,
        &tables,
    );
    assert_eq!((decision.verdict, decision.cut_to), (Verdict::Media, 0));
}
