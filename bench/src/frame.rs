//! The frames of the load: G.711 over RTP between two hosts that are not the sensor, as a mirror port shows them.

use capture_common::load::{Ends, Fields, offset};

/// Bytes of a frame: Ethernet 14, IPv4 20, UDP 8, RTP 12, 20 ms of G.711.
pub const LENGTH: usize = 214;

/// Where the IPv4 header lies, and the UDP header behind it.
const IP: usize = 14;
const UDP: usize = 34;
const RTP: usize = 42;

/// The template the generator program writes [`Fields`] into: the first call's addresses, no UDP checksum (RFC 768 allows none
/// over IPv4), PCMU (RFC 3551), a hardware address that is not the sensor's.
pub fn template() -> [u8; LENGTH] {
    let mut frame = [0_u8; LENGTH];
    let Ends { caller, callee, .. } = Ends::of(0);
    write_headers(&mut frame, caller, callee);
    frame[RTP] = 0x80;
    frame[offset::END..].fill(0xd5);
    frame
}

/// A datagram between two ports, in IPv4 in Ethernet.
pub fn udp(source: ([u8; 4], u16), destination: ([u8; 4], u16), payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0_u8; RTP + payload.len()];
    write_headers(&mut frame, source.0, destination.0);
    frame[UDP..UDP + 2].copy_from_slice(&source.1.to_be_bytes());
    frame[UDP + 2..UDP + 4].copy_from_slice(&destination.1.to_be_bytes());
    frame[RTP..].copy_from_slice(payload);
    frame
}

/// Ethernet, IPv4 and UDP, all but the ports.
fn write_headers(frame: &mut [u8], source: [u8; 4], destination: [u8; 4]) {
    let length = frame.len();
    frame[..IP].copy_from_slice(&[2, 0, 0, 0, 0, 0xb, 2, 0, 0, 0, 0, 0xa, 0x08, 0x00]);
    let ip = &mut frame[IP..UDP];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&((length - IP) as u16).to_be_bytes());
    ip[8] = 64;
    ip[9] = 17;
    ip[12..16].copy_from_slice(&source);
    ip[16..20].copy_from_slice(&destination);
    let sum = checksum(ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    frame[UDP + 4..UDP + 6].copy_from_slice(&((length - UDP) as u16).to_be_bytes());
}

/// Frame `number` of a load with `streams` streams, as the receiver is to get it.
pub fn expected(number: u64, streams: u64) -> [u8; LENGTH] {
    let mut frame = template();
    write(&mut frame, Fields::of(number, streams));
    frame
}

/// Writes what tells a frame from the template.
pub fn write(frame: &mut [u8], fields: Fields) {
    let Fields {
        source,
        destination,
        port,
        sequence,
        timestamp,
        ssrc,
    } = fields;
    let mut put = |at: usize, bytes: &[u8]| frame[at..at + bytes.len()].copy_from_slice(bytes);
    put(offset::ADDRESSES, &source);
    put(offset::ADDRESSES + 4, &destination);
    put(offset::PORTS, &port.to_be_bytes());
    put(offset::PORTS + 2, &port.to_be_bytes());
    put(offset::SEQUENCE, &sequence.to_be_bytes());
    put(offset::SEQUENCE + 2, &timestamp.to_be_bytes());
    put(offset::SEQUENCE + 6, &ssrc.to_be_bytes());
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
    fn the_checksum_is_right_for_every_call() {
        let frame = expected(2 * 27_000 * 19 + 1, 1 << 30);
        assert_eq!(checksum(&frame[IP..UDP]), 0);
        assert_ne!(frame[26..34], template()[26..34]);
    }

    #[test]
    fn siphon_reads_a_frame_as_the_packet_it_is_meant_to_be() {
        // The fourth frame of three streams: the second packet of the first.
        let frame = expected(3, 3);
        let Decoded::Packet(Packet {
            src, dst, transport, ..
        }) = decode(LinkType::Ethernet, &frame).unwrap()
        else {
            panic!("the frame is a whole packet");
        };
        assert_eq!(src, Endpoint::v4([198, 18, 100, 1], 10_000));
        assert_eq!(dst, Endpoint::v4([198, 19, 155, 2], 10_000));
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
                (offset::ADDRESSES..offset::PORTS + 4).contains(&at) || (offset::SEQUENCE..offset::END).contains(&at);
            assert!(is_field, "byte {at}");
        }
    }
}
