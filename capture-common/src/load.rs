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
    /// Bytes of a frame, which `vary` makes it have again.
    pub length: u64,
    /// The turn in which the streams are at the beginning: the number of the packets they had.
    pub turn: u64,
    /// Timestamp units from one packet of a stream to the next.
    pub units: u64,
}

impl Load {
    /// The fields of the load's frame `number`, from 0, where the first was made at `begun`, in nanoseconds. Timestamps go by the 8 kHz
    /// clock that SDP announces, from one load to the next too, as far as `units` go with the gap.
    #[inline(always)]
    pub fn fields(&self, number: u64, begun: u64) -> Fields {
        let streams = self.streams.max(1);
        let (turn, stream) = (number / streams, number % streams);
        let fields = Fields::of_turn(self.turn.wrapping_add(turn) as u32, stream as u32);
        let began = ticks(begun.wrapping_add(stream.wrapping_mul(self.gap)));
        Fields {
            timestamp: began.wrapping_add((turn as u32).wrapping_mul(self.units as u32)),
            ..fields
        }
    }
}

/// Periods of 8 kHz in so many nanoseconds, without a division and to a part in 100,000.
#[inline(always)]
const fn ticks(nanos: u64) -> u32 {
    ((nanos >> 10).wrapping_mul(8590) >> 20) as u32
}

/// Timestamp units of 20 ms of sound at 8 kHz, as G.711 has it.
pub const UNITS: u32 = 160;

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
    /// IPv4 source and destination address.
    pub const ADDRESSES: usize = 26;
    /// UDP source and destination port, both the call's; right behind the addresses.
    pub const PORTS: usize = 34;
    /// RTP sequence number, two bytes; the timestamp and the SSRC follow it (RFC 3550 section 5.1).
    pub const SEQUENCE: usize = 44;
    /// Behind the SSRC.
    pub const END: usize = 54;
}

/// Calls that a pair of addresses has ports for: even ones from 10,000 on, as RTP's are (RFC 3550 section 11).
pub const CALLS_OF_A_PAIR: u32 = 27_000;

/// Where a call's media goes, at the caller's side and at the callee's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The caller's address.
    pub caller: [u8; 4],
    /// The callee's.
    pub callee: [u8; 4],
    /// The port at both.
    pub port: u16,
}

impl Ends {
    /// Those of call `number`: no two of the first million calls share one. The addresses are of the network for benchmarks
    /// (RFC 2544), and any two add up to the same, so that the checksum of the IPv4 header is that of the template; their
    /// third byte has three digits, so that SDP is as long for every call.
    #[inline(always)]
    pub fn of(number: u32) -> Self {
        let pair = (number / CALLS_OF_A_PAIR % 56) as u8;
        Self {
            caller: [198, 18, 100 + pair, 1],
            callee: [198, 19, 155 - pair, 2],
            port: 10_000 + 2 * (number % CALLS_OF_A_PAIR) as u16,
        }
    }
}

/// The fields that tell the generator's frames apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// Where the packet comes from.
    pub source: [u8; 4],
    /// Where it goes.
    pub destination: [u8; 4],
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
    /// The fields of frame `number` where the load has `streams` streams, which take turns. A packet is 20 ms of sound at 8 kHz.
    #[inline(always)]
    pub fn of(number: u64, streams: u64) -> Self {
        let streams = streams.max(1);
        Self::of_turn((number / streams) as u32, (number % streams) as u32)
    }

    /// The fields of packet `turn` of stream `stream`. There are two of each call: the even ones go from caller to callee, the odd ones
    /// back.
    #[inline(always)]
    pub fn of_turn(turn: u32, stream: u32) -> Self {
        let Ends { caller, callee, port } = Ends::of(stream / 2);
        let (source, destination) = if stream & 1 == 0 {
            (caller, callee)
        } else {
            (callee, caller)
        };
        Self {
            source,
            destination,
            port,
            sequence: turn as u16,
            timestamp: turn.wrapping_mul(UNITS),
            ssrc: stream,
        }
    }
}

const _: () = assert!(size_of::<Load>() == 56 && size_of::<Made>() == 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_take_turns() {
        let ssrcs = [0, 1, 2, 3].map(|number| Fields::of(number, 3).ssrc);
        assert_eq!(ssrcs, [0, 1, 2, 0]);
        assert_eq!((Fields::of(3, 3).sequence, Fields::of(3, 3).timestamp), (1, 160));
        assert_eq!(Fields::of(65_536, 1).sequence, 0);
        assert_eq!(Fields::of(1, 0).ssrc, 0);
    }

    #[test]
    fn timestamps_go_on_by_the_clock_from_one_load_to_the_next() {
        let beginning = Load {
            streams: 3,
            gap: 1_000_000_000,
            units: 24_000,
            ..Load::default()
        };
        let load = Load {
            turn: 1,
            gap: 5_000_000,
            units: 120,
            ..beginning
        };
        let second = 1_000_000_000;
        let since = |fields: Fields, before: Fields| {
            assert_eq!(fields.ssrc, before.ssrc);
            (fields.sequence, fields.timestamp.wrapping_sub(before.timestamp))
        };
        let first = beginning.fields(2, 7 * second);
        // Made at 9 s, and the next of that stream 10 ms after the 11th.
        let (sequence, passed) = since(load.fields(2, 11 * second), first);
        assert_eq!(sequence, 1);
        assert!(passed.abs_diff(2 * 8000 + 80) <= 1, "{passed}");
        assert_eq!(
            since(load.fields(5, 11 * second), load.fields(2, 11 * second)),
            (2, 120)
        );
    }

    #[test]
    fn a_call_has_two_streams_and_ends_of_its_own() {
        let (there, back) = (Fields::of(0, 4), Fields::of(1, 4));
        assert_eq!((there.source, there.destination), (back.destination, back.source));
        assert_eq!(there.port, back.port);
        assert_eq!((Ends::of(26_999).port, Ends::of(27_000).port), (63_998, 10_000));
        assert_eq!(Ends::of(27_000).caller, [198, 18, 101, 1]);
        assert_eq!(Ends::of(27_000).callee, [198, 19, 154, 2]);
    }

    #[test]
    fn addresses_of_any_call_have_the_same_sum() {
        let sum = |number| {
            let Ends { caller, callee, .. } = Ends::of(number);
            let words = [caller, callee]
                .map(|[a, b, c, d]| u32::from(u16::from_be_bytes([a, b])) + u32::from(u16::from_be_bytes([c, d])));
            words.iter().sum::<u32>()
        };
        assert!((0..60).all(|pair| sum(pair * CALLS_OF_A_PAIR) == sum(0)));
    }
}
