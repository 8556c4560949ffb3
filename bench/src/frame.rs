//! The frames of the load: G.711 over RTP between two hosts that are not the sensor, as a mirror port shows them.

use capture_common::load::{Fields, offset};

/// Bytes of a frame: Ethernet 14, IPv4 20, UDP 8, RTP 12, 20 ms of G.711.
pub const LENGTH: usize = 214;

/// Where the IPv4 header lies, and the UDP header behind it.
const IP: usize = 14;
const UDP: usize = 34;
const RTP: usize = 42;

/// The template the generator program writes [`Fields`] into: addresses of TEST-NET-1 (RFC 5737), no UDP checksum (RFC 768
/// allows none over IPv4), PCMU (RFC 3551), a hardware address that is not the sensor's.
pub fn template() -> [u8; LENGTH] {
    let mut frame = [0_u8; LENGTH];
    frame[..IP].copy_from_slice(&[2, 0, 0, 0, 0, 0xb, 2, 0, 0, 0, 0, 0xa, 0x08, 0x00]);
    let ip = &mut frame[IP..UDP];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&((LENGTH - IP) as u16).to_be_bytes());
    ip[8] = 64;
    ip[9] = 17;
    ip[12..16].copy_from_slice(&[192, 0, 2, 1]);
    ip[16..20].copy_from_slice(&[192, 0, 2, 2]);
    let sum = checksum(ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    frame[UDP + 4..UDP + 6].copy_from_slice(&((LENGTH - UDP) as u16).to_be_bytes());
    frame[RTP] = 0x80;
    frame[offset::END..].fill(0xd5);
    frame
}

/// Frame `number` of a load with `streams` streams, as the receiver is to get it.
pub fn expected(number: u64, streams: u64) -> [u8; LENGTH] {
    let Fields {
        port,
        sequence,
        timestamp,
        ssrc,
    } = Fields::of(number, streams);
    let mut frame = template();
    frame[UDP..UDP + 2].copy_from_slice(&port.to_be_bytes());
    frame[UDP + 2..UDP + 4].copy_from_slice(&port.to_be_bytes());
    frame[RTP + 2..RTP + 4].copy_from_slice(&sequence.to_be_bytes());
    frame[RTP + 4..RTP + 8].copy_from_slice(&timestamp.to_be_bytes());
    frame[RTP + 8..RTP + 12].copy_from_slice(&ssrc.to_be_bytes());
    frame
}

/// The Internet checksum (RFC 1071) of a header of an even number of bytes.
fn checksum(header: &[u8]) -> u16 {
    let words = header
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use capture_daemon::frame::LinkType;
    use capture_daemon::media::rtp;
    use capture_daemon::net::{Decoded, Endpoint, Packet, Transport, decode};

    use super::*;

    #[test]
    fn the_header_checksum_is_right() {
        // The example of RFC 1071 section 3 sums to ddf2.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!(
            checksum(&template()[IP..UDP]),
            0,
            "a header with its checksum in it sums to zero"
        );
    }

    #[test]
    fn siphon_reads_a_frame_as_the_packet_it_is_meant_to_be() {
        // The fourth frame of three streams: the second packet of the first.
        let frame = expected(3, 3);
        let Decoded::Packet(Packet { src, dst, transport }) = decode(LinkType::Ethernet, &frame).unwrap() else {
            panic!("the frame is a whole packet");
        };
        assert_eq!(src, Endpoint::v4([192, 0, 2, 1], 10_000));
        assert_eq!(dst, Endpoint::v4([192, 0, 2, 2], 10_000));
        let Transport::Udp(datagram) = transport else {
            panic!("{transport:?}");
        };
        let rtp::Kind::Rtp(packet) = rtp::read(datagram) else {
            panic!("{datagram:?}");
        };
        assert_eq!((packet.seq, packet.timestamp, packet.ssrc), (1, 160, 0));
        assert_eq!((packet.payload_type, packet.payload.len()), (0, 160));
    }

    #[test]
    fn frames_differ_only_where_the_generator_writes() {
        let (one, other) = (template(), expected(123_456, 789));
        for at in (0..LENGTH).filter(|at| one[*at] != other[*at]) {
            let is_field =
                (offset::PORTS..offset::PORTS + 4).contains(&at) || (offset::SEQUENCE..offset::END).contains(&at);
            assert!(is_field, "byte {at}");
        }
    }
}
