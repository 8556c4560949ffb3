//! What the tests of both ways to capture beside a host share: frames as a worker sees them, and super-frames.

use std::net::UdpSocket;

use capture_daemon::xsk::sys;

/// A frame as a worker sees it, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub wire_len: u32,
    pub bytes: Vec<u8>,
}

pub fn sorted(mut frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    frames.sort();
    frames
}

/// Sends `packets` packets of RTP of 172 bytes as one frame (UDP_SEGMENT, udp(7)).
pub fn send_super_frame(to: &str, port: u16, packets: u8) {
    let socket = UdpSocket::bind((if to.starts_with("127") { "127.0.0.1" } else { "10.0.0.2" }, 0)).unwrap();
    sys::set_option(&socket, libc::SOL_UDP, libc::UDP_SEGMENT, &172_i32).unwrap();
    let payload: Vec<u8> = (0..packets)
        .flat_map(|number| [&[0x80, 0, 0, number, 0, 0, 0, 0, 0, 0, 0, 7][..], &[number; 160]].concat())
        .collect();
    let sent = socket.send_to(&payload, (to, port)).unwrap();
    assert_eq!(sent, payload.len());
}

/// Whether the frame is a whole packet of RTP over UDP over IPv4 with this sequence number and with right checksums, which a
/// host leaves to its interface.
pub fn assert_packet(frame: &Seen, number: u8) {
    let bytes = &frame.bytes;
    assert_eq!((bytes.len(), frame.wire_len), (14 + 20 + 8 + 172, 214));
    let length = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    assert_eq!((length(16), length(38)), (200, 180), "lengths of IP and UDP");
    assert_eq!(bytes[45], number);
    let sum = |bytes: &[u8]| {
        let mut sum: u32 = bytes
            .chunks(2)
            .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
            .sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum
    };
    assert_eq!(sum(&bytes[14..34]), 0xffff, "checksum of IP");
    let pseudo = [&bytes[26..34], &[0, 17], &bytes[38..40]].concat();
    assert_eq!(sum(&[&pseudo, &bytes[34..]].concat()), 0xffff, "checksum of UDP");
}
