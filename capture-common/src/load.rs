//! What the bench and its generator, a kernel program too, tell each other.

/// What the generator is to send.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Load {
    /// Index of the interface the frames leave on.
    pub ifindex: u64,
    /// RTP streams the frames belong to, one after the other; at least 1.
    pub streams: u64,
    /// Nanoseconds between two frames; 0: as fast as it goes.
    pub gap: u64,
    /// Frames in all; at least 1.
    pub frames: u64,
}

/// What the generator has done so far. Times are CLOCK_MONOTONIC in nanoseconds.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Made {
    /// Frames made.
    pub frames: u64,
    /// When the next one is due.
    pub due: u64,
    /// When the first was made.
    pub begun: u64,
    /// When the last was made; 0 until then.
    pub ended: u64,
}

/// Where the generator's frames differ from each other, in bytes from the start of the Ethernet header: behind it come
/// IPv4 without options, UDP and RTP.
pub mod offset {
    /// UDP source and destination port, both the stream's.
    pub const PORTS: usize = 34;
    /// RTP sequence number, two bytes; the timestamp and the SSRC follow it (RFC 3550 section 5.1).
    pub const SEQUENCE: usize = 44;
    /// Behind the SSRC.
    pub const END: usize = 54;
}

/// The fields that tell the generator's frames apart, in host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// UDP port at both ends.
    pub port: u16,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp.
    pub timestamp: u32,
    /// RTP synchronisation source: the stream's number.
    pub ssrc: u32,
}

impl Fields {
    /// The fields of frame `number` where the load has `streams` streams. Ports are even, as RTP's are (RFC 3550 section
    /// 11), and repeat after 27,000 streams; a packet is 20 ms of sound at 8 kHz.
    #[inline(always)]
    pub fn of(number: u64, streams: u64) -> Self {
        let streams = if streams == 0 { 1 } else { streams };
        let stream = (number % streams) as u32;
        let turn = (number / streams) as u32;
        Self {
            port: 10_000 + 2 * (stream % 27_000) as u16,
            sequence: turn as u16,
            timestamp: turn.wrapping_mul(160),
            ssrc: stream,
        }
    }
}

const _: () = assert!(size_of::<Load>() == 32 && size_of::<Made>() == 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_take_turns_and_ports_stay_above_10000() {
        let ssrcs = [0, 1, 2, 3].map(|number| Fields::of(number, 3).ssrc);
        assert_eq!(ssrcs, [0, 1, 2, 0]);
        assert_eq!((Fields::of(3, 3).sequence, Fields::of(3, 3).timestamp), (1, 160));
        assert_eq!(Fields::of(26_999, 105_000).port, 63_998);
        assert_eq!(Fields::of(27_000, 105_000).port, 10_000);
        assert_eq!(Fields::of(65_536, 1).sequence, 0);
        assert_eq!(Fields::of(1, 0).ssrc, 0);
    }
}
