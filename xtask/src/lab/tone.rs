//! The media of a call: a tone in G.711 A-law as RTP in a pcap file, which sipp plays packet by packet.

use std::f64::consts::TAU;
use std::time::Duration;

/// Samples per second of G.711 (RFC 3551 section 4.5.14).
const RATE: u32 = 8_000;

/// Time between two packets.
pub const PTIME: Duration = Duration::from_millis(20);

/// Samples, and with G.711 bytes, of one packet.
const SAMPLES: u32 = RATE / 50;

/// Payload type of PCMA (RFC 3551 table 4).
const PCMA: u8 = 8;

/// The first sequence number, so that every stream of more than 36 packets wraps.
const FIRST_SEQUENCE: u16 = 65_500;

/// The first RTP timestamp, so that it wraps too.
const FIRST_TIMESTAMP: u32 = u32::MAX - 9_999;

/// Packets of a stream that lasts for `talk`.
pub fn packets(talk: Duration) -> u32 {
    u32::try_from(talk.as_millis() / PTIME.as_millis()).unwrap_or(u32::MAX)
}

/// A pcap file with `packets` RTP packets of this SSRC, 20 ms apart. sipp takes the UDP payload and the times; addresses
/// and ports are its own.
pub fn pcap(packets: u32, ssrc: u32) -> Vec<u8> {
    let mut file = Vec::new();
    // File header: microseconds, version 2.4, snapshot length 65535, LINKTYPE_ETHERNET.
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(word.to_le_bytes());
    }
    for index in 0..packets {
        let frame = frame(index, ssrc);
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let at = PTIME * index;
        for word in [
            u32::try_from(at.as_secs()).unwrap_or(u32::MAX),
            at.subsec_micros(),
            length,
            length,
        ] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

/// Ethernet, IPv4 and UDP headers around one RTP packet; checksums are left zero, as sipp computes its own.
fn frame(index: u32, ssrc: u32) -> Vec<u8> {
    const RTP_HEADER: u32 = 12;
    const UDP_HEADER: u32 = 8;
    const IP_HEADER: u32 = 20;
    let rtp_length = RTP_HEADER + SAMPLES;
    let be16 = |value: u32| u16::try_from(value).unwrap_or(u16::MAX).to_be_bytes();

    let mut frame = Vec::with_capacity(214);
    frame.extend([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00]);
    // IPv4 (RFC 791): version and header length, total length, don't fragment, TTL 64, UDP, TEST-NET-1 addresses.
    frame.extend([0x45, 0]);
    frame.extend(be16(IP_HEADER + UDP_HEADER + rtp_length));
    frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    // UDP (RFC 768).
    frame.extend(be16(10_000));
    frame.extend(be16(20_000));
    frame.extend(be16(UDP_HEADER + rtp_length));
    frame.extend([0, 0]);
    // RTP (RFC 3550 section 5.1); the marker bit begins the talkspurt (RFC 3551 section 4.1).
    let marker = if index == 0 { 0x80 } else { 0 };
    let sequence = FIRST_SEQUENCE.wrapping_add((index & 0xffff) as u16);
    let timestamp = FIRST_TIMESTAMP.wrapping_add(index.wrapping_mul(SAMPLES));
    frame.extend([0x80, marker | PCMA]);
    frame.extend(sequence.to_be_bytes());
    frame.extend(timestamp.to_be_bytes());
    frame.extend(ssrc.to_be_bytes());
    frame.extend((0..SAMPLES).map(|sample| alaw(tone(u64::from(index) * u64::from(SAMPLES) + u64::from(sample)))));
    frame
}

/// Ringing tone of Europe (ITU-T E.180: 425 Hz) at half the full scale.
fn tone(sample: u64) -> i16 {
    let phase = TAU * 425.0 * (sample % u64::from(RATE)) as f64 / f64::from(RATE);
    (phase.sin() * 16_384.0) as i16
}

/// A-law of a sample (ITU-T G.711 table 1): sign, exponent and mantissa of a 13-bit magnitude, even bits inverted.
fn alaw(sample: i16) -> u8 {
    // The negative branch is one's complement, so that -1 falls into the first step as 0 does.
    let (sign, magnitude) = if sample < 0 { (0, !sample) } else { (0x80, sample) };
    let magnitude = magnitude >> 3;
    // The segment is the position of the highest bit; below 32 two segments share one step size.
    let segment = (16 - magnitude.leading_zeros()).saturating_sub(5);
    let step = if segment < 2 { 1 } else { segment };
    let mantissa = (magnitude >> step) & 0x0f;
    (sign | (segment as u8) << 4 | mantissa as u8) ^ 0x55
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The decoder of G.711: the middle of each step, as a 16-bit sample.
    fn linear(code: u8) -> i32 {
        let code = code ^ 0x55;
        let (segment, mantissa) = (u32::from(code >> 4 & 7), i32::from(code & 0x0f));
        let magnitude = match segment {
            0 => mantissa * 16 + 8,
            _ => (mantissa * 16 + 8 + 256) << (segment - 1),
        };
        if code & 0x80 == 0 { -magnitude } else { magnitude }
    }

    #[test]
    fn alaw_is_that_of_g711() {
        assert_eq!(
            [0, -1, i16::MAX, i16::MIN].map(alaw),
            [0xd5, 0x55, 0xaa, 0x2a],
            "zero, just below, and both ends"
        );
        for sample in i16::MIN..=i16::MAX {
            let (sample, decoded) = (i32::from(sample), linear(alaw(sample)));
            // Half a step: 8 in the first two segments, then doubled with each.
            let allowed = (sample.abs() / 32).max(8);
            assert!((sample - decoded).abs() <= allowed, "{sample} became {decoded}");
        }
    }

    #[test]
    fn a_file_holds_the_packets_asked_for() {
        let file = pcap(100, 0x5150_0001);
        assert_eq!(file.len(), 24 + 100 * (16 + 214));
        assert_eq!(packets(Duration::from_secs(2)), 100);
        // The 37th packet has wrapped to sequence number 0.
        let packet = &file[24 + 36 * 230 + 16 + 42..];
        assert_eq!(packet[2..4], [0, 0]);
        assert_eq!(packet[8..12], [0x51, 0x50, 0, 1]);
    }
}
