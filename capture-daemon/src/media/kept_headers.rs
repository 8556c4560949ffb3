//! Headers of packets, kept in a third of the room: of most packets a stream's next one tells nothing but when it came.
//!
//! A packet is what its time since the packet before differs by from that one's (zigzag), and what is not as the packet before lets expect:
//! sequence number, how far off the timestamp is (likewise), marker and payload type, length. The first byte's lowest bit says whether there is
//! any of these, and a byte behind the time which; six bits are of the time, and the eighth says that more of it follows, seven bits to a byte.

use super::probation::Header;
use crate::time::Timestamp;
use crate::xsk::prefetch::fetch_value;

/// The sequence number is not the next.
const SEQ: u8 = 1;
/// The timestamp is not as far on as that of the packet before was.
const TIMESTAMP: u8 = 2;
/// Marker or payload type are others.
const SECOND: u8 = 4;
/// The length is another.
const LEN: u8 = 8;

/// The bit of the first byte for these, and the bits of the time in it.
const OTHER: u8 = 1;
const TIME: u32 = 6;
/// More of a number follows.
const MORE: u8 = 0x80;

/// Room is made for so many bytes at a time: some fifteen packets. The allocator has lists of its own for each multiple of it up to 320, which is
/// what 64 packets take with a jitter of milliseconds.
const ROOM: usize = 64;

/// Octets that a packet takes at most: time, flags, sequence number, timestamp, marker and payload type, length.
const LONGEST: usize = 10 + 1 + 2 + 5 + 1 + 1;

/// What is written of a packet.
#[derive(Default)]
struct Packed {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Packed {
    #[inline]
    fn put(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    /// Seven bits to a byte, the lowest first.
    #[inline]
    fn varint(&mut self, mut number: u64) {
        while number >= MORE.into() {
            self.put(number as u8 | MORE);
            number >>= 7;
        }
        self.put(number as u8);
    }

    /// The time, and whether there is anything else.
    #[inline]
    fn time(&mut self, number: u64, has_other: bool) {
        let first = (number as u8 & ((1 << TIME) - 1)) << 1 | u8::from(has_other);
        let high = number >> TIME;
        if high == 0 {
            self.put(first);
        } else {
            self.put(first | MORE);
            self.varint(high);
        }
    }

    /// What is not as it was `expected`.
    fn other(&mut self, header: &Header, expected: &Header) {
        let flag = |flag: u8, is: bool| if is { flag } else { 0 };
        let flags = flag(SEQ, header.seq != expected.seq)
            | flag(TIMESTAMP, header.timestamp != expected.timestamp)
            | flag(SECOND, header.second != expected.second)
            | flag(LEN, header.len != expected.len);
        self.put(flags);
        if flags & SEQ != 0 {
            header.seq.to_le_bytes().into_iter().for_each(|byte| self.put(byte));
        }
        if flags & TIMESTAMP != 0 {
            let off = header.timestamp.wrapping_sub(expected.timestamp).cast_signed();
            self.varint(zigzag(off.into()));
        }
        if flags & SECOND != 0 {
            self.put(header.second);
        }
        if flags & LEN != 0 {
            self.put(header.len);
        }
    }
}

/// Numbers near 0 as small ones without a sign.
const fn zigzag(signed: i64) -> u64 {
    ((signed << 1) ^ (signed >> 63)).cast_unsigned()
}

const fn unzigzag(zigzag: u64) -> i64 {
    ((zigzag >> 1) ^ (zigzag & 1).wrapping_neg()).cast_signed()
}

/// Headers in the order they came.
#[derive(Clone, Debug, Default)]
pub struct KeptHeaders {
    bytes: Vec<u8>,
    count: u16,
    state: State,
}

/// What the next packet is told by.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    header: Header,
    /// How far the timestamp went on at the last packet.
    step: u32,
    /// Whether there was one.
    has_begun: bool,
    /// The time from the packet before to the last one, in nanoseconds; 0 where there was none before.
    interval: u64,
}

impl State {
    /// The next packet, as it is to be expected, at a distance of `nanos`.
    const fn expected(&self, nanos: u64) -> Header {
        Header {
            ts: Timestamp::from_nanos(self.header.ts.as_nanos().wrapping_add(nanos)),
            timestamp: self.header.timestamp.wrapping_add(self.step),
            seq: self.header.seq.wrapping_add(1),
            ..self.header
        }
    }

    const fn move_to(&mut self, header: Header) {
        if self.has_begun {
            self.interval = self.since(header.ts);
        }
        self.has_begun = true;
        self.step = header.timestamp.wrapping_sub(self.header.timestamp);
        self.header = header;
    }

    const fn since(&self, ts: Timestamp) -> u64 {
        ts.as_nanos().wrapping_sub(self.header.ts.as_nanos())
    }
}

impl KeptHeaders {
    /// Keeps one more, of at most 65,535.
    pub fn push(&mut self, header: Header) {
        let nanos = self.state.since(header.ts);
        let expected = self.state.expected(nanos);
        let time = zigzag(nanos.wrapping_sub(self.state.interval).cast_signed());
        let mut packed = Packed::default();
        if header == expected {
            packed.time(time, false);
        } else {
            packed.time(time, true);
            packed.other(&header, &expected);
        }
        if self.bytes.capacity() - self.bytes.len() < LONGEST {
            let more = self.bytes.capacity() + ROOM - self.bytes.len();
            self.bytes.reserve_exact(more);
        }
        // All of it, as there is room: a copy of a length that is known takes a few instructions, another a call.
        let end = self.bytes.len() + packed.len;
        self.bytes.extend_from_slice(&packed.bytes);
        self.bytes.truncate(end);
        self.count += 1;
        self.state.move_to(header);
    }

    /// The latest.
    pub fn last(&self) -> Option<Header> {
        (self.count > 0).then_some(self.state.header)
    }

    /// Has the end fetched, where the next one goes.
    pub fn fetch(&self) {
        if let Some(last) = self.bytes.last() {
            fetch_value(last);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count.into()
    }

    /// All of them.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            bytes: &self.bytes,
            state: State::default(),
        }
    }
}

/// The headers, one after another.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    state: State,
}

impl Iter<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*first)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.take()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < MORE {
                break;
            }
        }
        Some(number)
    }
}

impl Iterator for Iter<'_> {
    type Item = Header;

    fn next(&mut self) -> Option<Header> {
        let [first] = self.take()?;
        let mut time = u64::from(first & !MORE) >> 1;
        if first & MORE != 0 {
            time |= self.varint()? << TIME;
        }
        let mut flags = 0;
        if first & OTHER != 0 {
            [flags] = self.take()?;
        }
        let nanos = unzigzag(time).cast_unsigned().wrapping_add(self.state.interval);
        let mut header = self.state.expected(nanos);
        if flags & SEQ != 0 {
            header.seq = u16::from_le_bytes(self.take()?);
        }
        if flags & TIMESTAMP != 0 {
            let off = unzigzag(self.varint()?) as u32;
            header.timestamp = header.timestamp.wrapping_add(off);
        }
        if flags & SECOND != 0 {
            [header.second] = self.take()?;
        }
        if flags & LEN != 0 {
            [header.len] = self.take()?;
        }
        self.state.move_to(header);
        Some(header)
    }
}

impl FromIterator<Header> for KeptHeaders {
    fn from_iter<I: IntoIterator<Item = Header>>(headers: I) -> Self {
        let mut kept = Self::default();
        headers.into_iter().for_each(|header| kept.push(header));
        kept
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_header() -> impl Strategy<Value = Header> {
        let time = prop_oneof![Just(0), Just(u64::MAX), any::<u64>(), 0..40_000_000u64];
        let (timestamp, seq) = (prop_oneof![any::<u32>(), 0..3u32], prop_oneof![any::<u16>(), 0..3u16]);
        (time, timestamp, seq, any::<u8>(), 0..4u8).prop_map(|(ts, timestamp, seq, second, len)| Header {
            ts: Timestamp::from_nanos(ts),
            timestamp,
            seq,
            second,
            len,
        })
    }

    proptest! {
        #[test]
        fn every_header_comes_back(headers in proptest::collection::vec(any_header(), 0..80)) {
            let kept: KeptHeaders = headers.iter().copied().collect();
            prop_assert_eq!(kept.len(), headers.len());
            prop_assert_eq!(kept.iter().collect::<Vec<_>>(), headers);
        }
    }

    #[test]
    fn an_even_stream_takes_some_four_bytes_a_packet() {
        let room = |jitter: u64| {
            let header = |n: u64| Header {
                ts: Timestamp::from_nanos(1_795_251_600_000_000_000 + n * 20_000_000 + n * n % 97 * jitter / 97),
                timestamp: n as u32 * 160,
                seq: n as u16,
                second: 8,
                len: 160,
            };
            (1000..1064).map(header).collect::<KeptHeaders>().bytes.capacity()
        };
        assert_eq!([room(200_000), room(20_000_000)], [256, 320]);
    }
}
