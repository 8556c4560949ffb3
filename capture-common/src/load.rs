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
    /// Nanoseconds of a turn, in which each stream sends a packet; 0: as fast as it goes.
    pub period: u64,
    /// Frames in all; at least 1.
    pub frames: u64,
    /// Bytes of a frame, which `vary` makes it have again.
    pub length: u64,
    /// The turn in which the streams are at the beginning.
    pub turn: u64,
    /// Turns in which the streams begin, as many in each; 0: all of them have begun.
    pub ramp: u64,
}

impl Load {
    /// Streams that have begun in a turn, counted from the load's first.
    #[inline(always)]
    pub const fn active(&self, turn: u64) -> u64 {
        let active = if turn >= self.ramp {
            self.streams
        } else {
            turn.wrapping_add(1).wrapping_mul(self.streams) / self.ramp
        };
        if active == 0 { 1 } else { active }
    }

    /// Frames in which all streams begin.
    pub fn beginning(&self) -> u64 {
        (0..self.ramp).map(|turn| self.active(turn)).sum()
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
    /// When the last is due, where there is a pace.
    pub due: u64,
    /// When the first was made.
    pub begun: u64,
    /// When the last was made; 0 until then.
    pub ended: u64,
    /// Whose packet is next.
    pub stream: u64,
    /// In which turn of the load.
    pub turn: u64,
    /// Streams that have begun by this turn; 0 before the first.
    pub active: u64,
    /// Nanoseconds between two frames of this turn: a turn lasts as long with few streams as with all.
    pub gap: u64,
}

impl Made {
    /// The fields of the next frame, which is due from then on. Timestamps go by the 8 kHz clock that SDP announces, whatever the pace; without
    /// one, by 20 ms a packet.
    #[inline(always)]
    pub fn next_fields(&mut self, load: &Load) -> Fields {
        if self.stream >= self.active {
            if self.active != 0 {
                self.turn = self.turn.wrapping_add(1);
            }
            self.stream = 0;
            self.active = load.active(self.turn);
            self.gap = load.period / self.active.max(1);
        }
        let mut fields = Fields::of_turn(load.turn.wrapping_add(self.turn) as u32, self.stream as u32);
        if load.period > 0 {
            let within = self.stream.wrapping_mul(self.gap);
            let turns = self.turn.wrapping_mul(load.period);
            self.due = self.begun.wrapping_add(turns).wrapping_add(within);
            fields.timestamp = ticks(self.due);
        }
        self.stream = self.stream.wrapping_add(1);
        self.frames = self.frames.wrapping_add(1);
        fields
    }
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

const _: () = assert!(size_of::<Load>() == 56 && size_of::<Made>() == 64);

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
    fn streams_begin_in_turns_and_their_timestamps_go_by_the_clock() {
        let beginning = Load {
            streams: 4,
            period: 4_000_000_000,
            ramp: 2,
            ..Load::default()
        };
        assert_eq!(beginning.beginning(), 6);
        let second = 1_000_000_000;
        let mut made = Made {
            begun: 7 * second,
            ..Made::default()
        };
        let mut next = |load| {
            let fields = made.next_fields(load);
            (fields.ssrc, fields.sequence, fields.timestamp, made.gap / second)
        };
        let frames: [_; 6] = core::array::from_fn(|_| next(&beginning));
        assert_eq!(frames.map(|(ssrc, ..)| ssrc), [0, 1, 0, 1, 2, 3]);
        assert_eq!(frames.map(|(_, sequence, ..)| sequence), [0, 0, 1, 1, 1, 1]);
        assert_eq!(frames.map(|(.., gap)| gap), [2, 2, 1, 1, 1, 1]);
        let since = |timestamp: u32| timestamp.wrapping_sub(frames[0].2);
        for ((.., timestamp, _), seconds) in frames.iter().zip([0, 2, 4, 5, 6, 7]) {
            assert!(since(*timestamp).abs_diff(seconds * 8000) <= 1, "{frames:?}");
        }
        // What follows, a second later than the turn after would be.
        let load = Load {
            turn: 2,
            period: second / 25,
            ramp: 0,
            ..beginning
        };
        let mut made = Made {
            begun: 16 * second,
            ..Made::default()
        };
        let fields: [_; 6] = core::array::from_fn(|_| made.next_fields(&load));
        assert_eq!(fields.map(|fields| fields.ssrc), [0, 1, 2, 3, 0, 1]);
        assert_eq!(fields.map(|fields| fields.sequence), [2, 2, 2, 2, 3, 3]);
        assert!(since(fields[0].timestamp).abs_diff(9 * 8000) <= 1, "{fields:?}");
        for (field, units) in fields.iter().zip([0_u32, 80, 160, 240, 320, 400]) {
            let passed = field.timestamp.wrapping_sub(fields[0].timestamp);
            assert!(passed.abs_diff(units) <= 1, "{fields:?}");
        }
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
