//! Every verdict of the program on real frames: what is captured comes byte for byte, what is not is counted by reason.

mod kernel_lab;

use capture_common::{Fate, Tunnel, Verdict};
use capture_daemon::config::Capture;
use capture_daemon::program;
use kernel_lab::frames::{datagram, datagram6, ethernet, extension, ipv4, ipv6, ipv6_fragment, tcp, udp};
use kernel_lab::{Sender, Wire, config, receive};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const UDP: u8 = 17;
const TCP: u8 = 6;
const MORE: u16 = 0x2000;

/// SIP in each kind of tunnel, as its document draws the header.
fn tunnelled() -> Vec<(Tunnel, Vec<u8>)> {
    let sip = udp(5060, 40_000, b"OPTIONS sip:a SIP/2.0\r\n\r\n");
    let packet = ipv4(UDP, 0, 0, &[], &sip);
    let frame = ethernet(&[0x8100], IPV4, &packet);
    let v4 = |protocol, header: &[u8], inner: &[u8]| {
        ethernet(&[], IPV4, &ipv4(protocol, 0, 0, &[], &[header, inner].concat()))
    };
    let v6 = |protocol, header: &[u8], inner: &[u8]| ethernet(&[], IPV6, &ipv6(protocol, &[header, inner].concat()));
    let over = |port, header: &[u8], inner: &[u8]| datagram(4_000, port, &[header, inner].concat());
    let len = (packet.len() as u16).to_be_bytes();
    vec![
        (
            Tunnel::Mpls,
            ethernet(
                &[0x8100],
                0x8847,
                &[&[0, 1, 0, 64, 0, 2, 1, 64], packet.as_slice()].concat(),
            ),
        ),
        (
            Tunnel::Mpls,
            ethernet(&[], 0x8847, &[&[0, 2, 1, 64, 0, 0, 0, 0], frame.as_slice()].concat()),
        ),
        (
            Tunnel::Pppoe,
            ethernet(
                &[],
                0x8864,
                &[&[0x11, 0, 0, 9, len[0], len[1] + 2, 0, 0x21], packet.as_slice()].concat(),
            ),
        ),
        (Tunnel::Ipip, v4(4, &[], &packet)),
        (Tunnel::Ipip, v4(41, &[], &ipv6(UDP, &sip))),
        (Tunnel::Ipip, ethernet(&[], IPV6, &ipv6(60, &extension(4, 0, &packet)))),
        (
            Tunnel::Gre,
            v4(47, &[0xb0, 0, 8, 0, 1, 2, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1], &packet),
        ),
        (Tunnel::Gre, v4(47, &[0, 0, 0x65, 0x58], &frame)),
        (Tunnel::Erspan, v4(47, &[0, 0, 0x88, 0xbe], &frame)),
        (
            Tunnel::Erspan,
            v4(
                47,
                &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 42, 0, 7, 0, 0, 0, 0],
                &frame,
            ),
        ),
        (
            Tunnel::Erspan,
            v4(
                47,
                &[
                    0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 42, 0, 7, 1, 2, 3, 4, 0, 0, 0x08, 1, 0, 0, 0, 0, 9, 9, 9, 9,
                ],
                &packet,
            ),
        ),
        (Tunnel::Vxlan, over(4789, &[8, 0, 0, 0, 0, 0, 9, 0], &frame)),
        (
            Tunnel::Geneve,
            over(6081, &[1, 0, 0x65, 0x58, 0, 0, 9, 0, 1, 2, 3, 4], &frame),
        ),
        (
            Tunnel::GtpU,
            over(2152, &[0x30, 255, len[0], len[1], 0, 0, 0, 9], &packet),
        ),
        (
            Tunnel::GtpU,
            over(
                2152,
                &[0x34, 255, 0, 45, 0, 0, 0, 9, 0, 0, 0, 0x85, 1, 0, 9, 0xc0, 1, 1, 2, 0],
                &packet,
            ),
        ),
        (
            Tunnel::L2tp,
            over(
                1701,
                &[0x4a, 2, 0, 51, 0, 1, 0, 1, 0, 1, 0, 1, 0, 2, 7, 7, 0, 0x21],
                &packet,
            ),
        ),
        (Tunnel::L2tp, over(1701, &[0, 3, 0, 0, 0, 0, 0, 9], &frame)),
        (Tunnel::L2tp, v4(115, &[0, 0, 0, 9, 1, 2, 3, 4], &frame)),
        // What comes back from the port of L2TP.
        (
            Tunnel::L2tp,
            datagram(1701, 4_000, &[&[0, 3, 0, 0, 0, 0, 0, 9], frame.as_slice()].concat()),
        ),
        // Over IPv6.
        (
            Tunnel::Vxlan,
            datagram6(4_000, 4789, &[&[8, 0, 0, 0, 0, 0, 9, 0], frame.as_slice()].concat()),
        ),
        (Tunnel::Gre, v6(47, &[0, 0, 0x65, 0x58], &frame)),
        (
            Tunnel::Erspan,
            v6(
                47,
                &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 42, 0, 7, 0, 0, 0, 0],
                &frame,
            ),
        ),
        (Tunnel::L2tp, v6(115, &[0, 0, 0, 9, 1, 2, 3, 4], &frame)),
        // Its port is a media port too, so it is captured in any case.
        (
            Tunnel::Tzsp,
            over(37_008, &[1, 0, 0, 1, 0, 0, 10, 1, 200, 12, 2, 1, 1, 1], &frame),
        ),
    ]
}

/// Frames in the order they are sent, each with the verdict it should get.
fn cases() -> Vec<(Verdict, Vec<u8>)> {
    let v4 = |tags: &[u16], protocol, payload: &[u8]| ethernet(tags, IPV4, &ipv4(protocol, 0, 0, &[], payload));
    let piece = |id, fragment, payload: &[u8]| ethernet(&[], IPV4, &ipv4(UDP, id, fragment, &[], payload));
    let piece6 = |next, id, offset, more, payload: &[u8]| {
        ethernet(&[], IPV6, &ipv6(44, &ipv6_fragment(next, id, offset, more, payload)))
    };
    let sip = udp(5060, 40_000, b"OPTIONS sip:a SIP/2.0\r\n\r\n");
    let other = udp(53, 54, &[0; 32]);
    let behind_extensions = extension(60, 2, &extension(43, 0, &extension(UDP, 1, &sip)));
    let authenticated = [[UDP, 1].as_slice(), &[0; 10], &sip].concat();
    let seven = (0..7).fold(sip.clone(), |inner, depth| {
        extension(if depth == 0 { UDP } else { 60 }, 0, &inner)
    });
    vec![
        (Verdict::Sip, datagram(5060, 1, b"INVITE")),
        (Verdict::Sip, datagram(1, 5061, b"INVITE")),
        (Verdict::Sip, v4(&[], TCP, &tcp(5060, 1, b"INVITE"))),
        (Verdict::Sip, datagram6(1, 5060, b"INVITE")),
        (Verdict::Turn, datagram(40_000, 3478, b"")),
        (Verdict::Turn, v4(&[], TCP, &tcp(3479, 1, b""))),
        (Verdict::Sip, v4(&[0x8100], UDP, &sip)),
        (Verdict::Sip, v4(&[0x88a8, 0x8100], UDP, &sip)),
        (Verdict::Sip, v4(&[0x9100, 0x8100], UDP, &sip)),
        (Verdict::Sip, v4(&[0x8100, 0x8100], TCP, &tcp(1, 5060, b""))),
        (Verdict::Sip, ethernet(&[0x88a8, 0x8100], IPV6, &ipv6(UDP, &sip))),
        (Verdict::Sip, ethernet(&[], IPV4, &ipv4(UDP, 0, 0, &[1; 40], &sip))),
        (Verdict::Sip, ethernet(&[], IPV6, &ipv6(0, &behind_extensions))),
        (Verdict::Sip, ethernet(&[], IPV6, &ipv6(51, &authenticated))),
        // WebSocket is TCP only.
        (Verdict::Sip, v4(&[], TCP, &tcp(1, 8080, b"GET"))),
        (Verdict::OtherPorts, datagram(1, 8080, b"GET")),
        (Verdict::Media, datagram(10_000, 9, &[0x80; 172])),
        (Verdict::Media, datagram6(9, 65_535, &[0x80; 172])),
        // What a tunnel carries is judged as if it came alone, and what is no tunnel's, as what it is.
        (Verdict::OtherPorts, v4(&[], 4, &ipv4(UDP, 0, 0, &[], &other))),
        (Verdict::NotIp, v4(&[], 47, &[0, 0, 8, 6, 0, 0, 0, 0])),
        (Verdict::OtherPorts, datagram(4_000, 4789, &[0; 60])),
        (Verdict::Media, datagram(4_000, 37_008, &[0x80; 60])),
        (Verdict::TunnelMalformed, v4(&[], 47, &[0x10, 0, 0x88])),
        (
            Verdict::TunnelUnclear,
            ethernet(&[], 0x8847, &[0, 1, 0, 64].repeat(100)),
        ),
        // A tunnel in pieces.
        (
            Verdict::FragmentFirst,
            ethernet(&[], IPV4, &ipv4(4, 9, MORE, &[], &ipv4(UDP, 0, 0, &[], &sip))),
        ),
        (
            Verdict::FragmentLater,
            ethernet(&[], IPV4, &ipv4(4, 9, 5, &[], &[1; 40])),
        ),
        (
            Verdict::OtherPorts,
            ethernet(&[], IPV4, &ipv4(4, 10, MORE, &[], &ipv4(UDP, 0, 0, &[], &other))),
        ),
        (
            Verdict::FragmentUnwanted,
            ethernet(&[], IPV4, &ipv4(4, 10, 5, &[], &[1; 40])),
        ),
        // In order: the first decides for the later ones.
        (Verdict::FragmentFirst, piece(1, MORE, &sip)),
        (Verdict::FragmentLater, piece(1, MORE | 4, &[1; 32])),
        (Verdict::FragmentLater, piece(1, 8, &[2; 8])),
        (Verdict::OtherPorts, piece(2, MORE, &other)),
        (Verdict::FragmentUnwanted, piece(2, 5, &[3; 40])),
        // Out of order: kept, since a wanted first may come behind it.
        (Verdict::FragmentUnknown, piece(3, 5, &[4; 40])),
        (Verdict::FragmentFirst, piece(3, MORE, &sip)),
        (Verdict::FragmentFirst, piece6(UDP, 1, 0, true, &sip)),
        (Verdict::FragmentLater, piece6(UDP, 1, 32, false, &[5; 40])),
        (Verdict::OtherPorts, piece6(UDP, 2, 0, true, &other)),
        (Verdict::FragmentUnwanted, piece6(UDP, 2, 40, false, &[6; 40])),
        (Verdict::FragmentUnknown, piece6(60, 3, 40, false, &[7; 40])),
        // An atomic fragment is whole.
        (Verdict::Sip, piece6(UDP, 4, 0, false, &sip)),
        // Another protocol with the same identification is another datagram.
        (
            Verdict::FragmentUnknown,
            ethernet(&[], IPV4, &ipv4(TCP, 2, 5, &[], &[8; 40])),
        ),
        (Verdict::NotIp, ethernet(&[], 0x0806, &[0; 46])),
        (Verdict::NotIp, ethernet(&[], 38, &[0; 46])),
        (Verdict::OtherProtocol, v4(&[], 1, &[8; 40])),
        (Verdict::OtherProtocol, ethernet(&[], IPV6, &ipv6(58, &[8; 40]))),
        (Verdict::OtherPorts, datagram(53, 9_999, &[0; 40])),
        // Media is UDP only.
        (Verdict::OtherPorts, v4(&[], TCP, &tcp(20_000, 20_001, b""))),
        (Verdict::LinkMalformed, ethernet(&[], 0x8100, &[])),
        (Verdict::LinkMalformed, ethernet(&[0x88a8], 0x8100, &[0, 1])),
        (Verdict::VlanDepth, v4(&[0x88a8, 0x8100, 0x8100], UDP, &sip)),
        (Verdict::IpMalformed, ethernet(&[], IPV4, &[0x45; 19])),
        (
            Verdict::IpMalformed,
            ethernet(&[], IPV4, &[&[0x44], &ipv4(UDP, 0, 0, &[], &sip)[1..]].concat()),
        ),
        (
            Verdict::IpMalformed,
            ethernet(&[], IPV4, &[&[0x65], &ipv4(UDP, 0, 0, &[], &sip)[1..]].concat()),
        ),
        (Verdict::IpMalformed, ethernet(&[], IPV6, &ipv6(0, &[UDP]))),
        (Verdict::ExtensionDepth, ethernet(&[], IPV6, &ipv6(60, &seven))),
        (Verdict::TransportMalformed, v4(&[], UDP, &[0x13, 0xc4, 0])),
        // Padding behind a datagram that ends before its ports is no port.
        (
            Verdict::TransportMalformed,
            [ethernet(&[], IPV4, &ipv4(UDP, 0, 0, &[], &[])), vec![0x13; 26]].concat(),
        ),
    ]
}

#[test]
fn each_frame_gets_its_verdict_and_the_wanted_ones_arrive() {
    Wire::new(1, 1500).run("each_frame_gets_its_verdict_and_the_wanted_ones_arrive", || {
        let (program, mut lanes) = program::open(&with_tunnels(Tunnel::ALL)).unwrap();
        let sender = Sender::open();
        let mut received = Vec::new();
        let mut before = program.verdicts().unwrap();
        for (number, (expected, frame)) in cases().into_iter().enumerate() {
            sender.send(&frame);
            let arrived = received.len();
            receive(&program, &mut lanes, number as u64 + 1, &mut received);
            let after = program.verdicts().unwrap();
            let got: Vec<_> = Verdict::ALL
                .iter()
                .filter(|verdict| after.get(**verdict).frames != before.get(**verdict).frames)
                .collect();
            assert_eq!(got, [&expected], "frame {number}: {frame:02x?}");
            assert_eq!(
                after.get(expected).bytes - before.get(expected).bytes,
                frame.len() as u64,
                "frame {number}"
            );
            let new: Vec<_> = received[arrived..]
                .iter()
                .map(|packet| (packet.verdict, packet.bytes.as_slice(), packet.wire_len as usize))
                .collect();
            if expected.fate() == Fate::Captured {
                assert_eq!(new, [(Some(expected), frame.as_slice(), frame.len())], "frame {number}");
            } else {
                assert!(new.is_empty(), "frame {number}");
            }
            before = after;
        }
        // Each but the one that needs a queue without a socket, those of decisions on media (kernel_media.rs), and those of
        // host mode (kernel_host.rs).
        for verdict in Verdict::ALL {
            let is_elsewhere = matches!(
                verdict,
                Verdict::NoSocket
                    | Verdict::MediaControl
                    | Verdict::MediaLearned
                    | Verdict::MediaEarly
                    | Verdict::MediaHeaders
                    | Verdict::MediaOff
                    | Verdict::MediaUnlearned
                    | Verdict::MediaByLevel
                    | Verdict::Measured
                    | Verdict::MeasuredFull
                    | Verdict::RingFull
                    | Verdict::CopyRefused
            );
            assert_eq!(before.get(*verdict).frames > 0, !is_elsewhere, "{verdict:?}");
        }
    });
}

fn with_tunnels(tunnels: &[Tunnel]) -> Capture {
    Capture {
        tunnels: tunnels.to_vec(),
        ..config()
    }
}

/// Each tunnel is looked into where the configuration names it, and only there.
#[test]
fn only_named_tunnels_are_looked_into() {
    Wire::new(1, 1500).run("only_named_tunnels_are_looked_into", || {
        for named in Tunnel::ALL {
            let (program, mut lanes) = program::open(&with_tunnels(&[*named])).unwrap();
            let sender = Sender::open();
            let mut received = Vec::new();
            let mut sent = 0;
            for (tunnel, frame) in tunnelled() {
                let before = program.verdicts().unwrap().get(Verdict::Sip).frames;
                sender.send(&frame);
                sent += 1;
                receive(&program, &mut lanes, sent, &mut received);
                let is_sip = program.verdicts().unwrap().get(Verdict::Sip).frames > before;
                assert_eq!(is_sip, tunnel == *named, "{named:?}: {frame:02x?}");
            }
        }
    });
}

/// The map lets go of a socket that is closed: a worker that died takes its queue with it, and the frames are counted.
#[test]
fn a_queue_without_a_socket_counts_what_it_loses() {
    Wire::new(1, 1500).run("a_queue_without_a_socket_counts_what_it_loses", || {
        let (program, lanes) = program::open(&config()).unwrap();
        drop(lanes);
        let sender = Sender::open();
        for number in 0..10 {
            sender.send(&datagram(5060, 5060, &[number; 40]));
        }
        let mut none = Vec::new();
        receive(&program, &mut [], 10, &mut none);
        assert_eq!(program.verdicts().unwrap().get(Verdict::NoSocket).frames, 10);
        assert!(none.is_empty());
    });
}

/// An identification comes round again: a decision of some seconds ago is about another datagram, and must not cost this
/// one its fragment.
#[test]
fn an_old_decision_is_not_believed() {
    Wire::new(1, 1500).run("an_old_decision_is_not_believed", || {
        let (program, mut lanes) = program::open(&config()).unwrap();
        let sender = Sender::open();
        let mut received = Vec::new();
        let later = ethernet(&[], IPV4, &ipv4(UDP, 7, 5, &[], &[9; 40]));
        sender.send(&ethernet(&[], IPV4, &ipv4(UDP, 7, MORE, &[], &udp(53, 54, &[0; 32]))));
        receive(&program, &mut lanes, 1, &mut received);
        // Longer than LIFE_NS of the program.
        std::thread::sleep(std::time::Duration::from_millis(3100));
        sender.send(&later);
        receive(&program, &mut lanes, 2, &mut received);
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].verdict, Some(Verdict::FragmentUnknown));
    });
}
