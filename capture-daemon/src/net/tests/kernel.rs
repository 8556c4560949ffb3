//! The kernel program's walk and this decoder on the same frames: what the decoder would follow, the program captures.

use std::cell::RefCell;
use std::collections::HashMap;

use capture_common::{Fate, FragmentKey, PortFlags, Tables, Tunnel, Tunnels, Verdict, classify};

use super::tunnels::{NESTS, nested};
use super::*;

/// All tunnels named, SIP wanted on the ports of the tests' datagrams.
#[derive(Default)]
struct Program(RefCell<HashMap<FragmentKey, bool>>);

impl Tables for Program {
    fn tunnels(&self) -> Tunnels {
        Tunnel::ALL.iter().copied().collect()
    }

    fn port(&self, port: u16) -> PortFlags {
        let is_tunnel = Tunnel::ALL.iter().any(|tunnel| tunnel.port() == Some(port));
        match port {
            5060 | 5061 => PortFlags::SIP,
            _ if is_tunnel => PortFlags::TUNNEL,
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

fn is_wanted(packet: &Packet<'_>) -> bool {
    [packet.src.port(), packet.dst.port()]
        .iter()
        .any(|port| matches!(port, 5060 | 5061))
}

/// A nest of layers around a datagram between SIP's ports or others, one byte of it changed and its end cut off.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let layers = proptest::collection::vec(0..NESTS.len(), 0..7);
    let damage = proptest::option::of((any::<proptest::sample::Index>(), any::<u8>()));
    let cut = proptest::option::weighted(0.2, any::<proptest::sample::Index>());
    (layers, any::<bool>(), any::<bool>(), damage, cut).prop_map(|(layers, six, sip, damage, cut)| {
        let mut datagram = udp(b"hello");
        if !sip {
            datagram[..4].copy_from_slice(&[0, 53, 0, 54]);
        }
        let mut frame = if six {
            ethernet(&[], 0x86dd, &ipv6(17, &datagram))
        } else {
            ethernet(&[], 0x0800, &ipv4(17, &[], &datagram))
        };
        for layer in layers {
            frame = nested(NESTS[layer], &frame);
        }
        if let Some((at, value)) = damage {
            let at = at.index(frame.len());
            frame[at] = value;
        }
        if let Some(len) = cut {
            frame.truncate(len.index(frame.len()));
        }
        frame
    })
}

/// More tags on the frame itself than the program follows, which it counts by that name; the decoder goes on.
fn is_beyond(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::VlanDepth | Verdict::ExtensionDepth)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_the_decoder_follows_is_captured(frame in frame()) {
        let verdict = classify(frame.as_slice(), &Program::default());
        let captured = verdict.fate() == Fate::Captured || is_beyond(verdict);
        if let Ok(Decoded::Packet(packet)) = decode(LinkType::Ethernet, &frame) && is_wanted(&packet) {
            prop_assert!(captured, "{:?} {:02x?}", verdict, frame);
        }
    }

    /// Without damage the two agree in both directions.
    #[test]
    fn a_sound_nest_is_captured_for_its_ports(layers in proptest::collection::vec(0..NESTS.len(), 0..6), sip in any::<bool>()) {
        let mut datagram = udp(b"hello");
        if !sip {
            datagram[..4].copy_from_slice(&[0, 53, 0, 54]);
        }
        let mut frame = ethernet(&[], 0x0800, &ipv4(17, &[], &datagram));
        for layer in &layers {
            frame = nested(NESTS[*layer], &frame);
        }
        let verdict = classify(frame.as_slice(), &Program::default());
        if !matches!(verdict, Verdict::TunnelUnclear | Verdict::VlanDepth) {
            prop_assert_eq!(verdict, if sip { Verdict::Sip } else { Verdict::OtherPorts }, "{:02x?}", frame);
        }
    }
}
