//! Which seat a stream has, by its key: a table whose memory is as large from the start as it will ever be, of which a look-up
//! touches one cache line.
//!
//! Open addressing with linear probing. An entry is 16 bytes, four to a cache line: 96 bits of the key's [`Print`], and the
//! seat. Not more than two places in three are ever taken, and the seed is drawn at the start, so that whoever chooses the
//! keys cannot choose their places: a search stays short, full or flooded. Nothing is moved to make room, and what is taken
//! out leaves no mark.

use std::hash::{BuildHasher, RandomState};

use super::stream::Key;
use crate::xsk::prefetch::fetch_element;

/// What a key is known by. Two keys have the same as rarely as two draws of 96 bits do: never, and who sends packets does not
/// learn which keys come near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Print {
    check: u64,
    more: u32,
}

impl Print {
    /// Of no key.
    pub const NONE: Self = Self { check: 0, more: 0 };
}

/// Secret numbers, drawn at the start.
#[derive(Debug)]
pub struct Seeds([u64; 8]);

impl Seeds {
    /// Draws them.
    pub fn draw() -> Self {
        let random = RandomState::new();
        Self(std::array::from_fn(|number| random.hash_one(number)))
    }

    /// What this key is known by.
    #[inline(always)]
    pub fn print(&self, key: &Key) -> Print {
        let rest = u64::from(key.src.port()) << 48 | u64::from(key.dst.port()) << 32 | u64::from(key.ssrc);
        match (key.src.mapped(), key.dst.mapped()) {
            (Some(src), Some(dst)) => self.print_v4(u64::from(src) << 32 | u64::from(dst), rest),
            _ => self.mix(self.addresses(key), rest),
        }
    }

    /// What a key is known by whose two addresses of IPv4, source first, are this number; `rest` is its ports and SSRC.
    #[inline(always)]
    pub const fn print_v4(&self, addresses: u64, rest: u64) -> Print {
        self.mix([addresses; 2], rest)
    }

    #[inline(always)]
    const fn mix(&self, [one, other]: [u64; 2], rest: u64) -> Print {
        let Self([a, b, c, d, ..]) = *self;
        Print {
            check: fold(one ^ a, rest ^ b),
            more: fold(other ^ c, rest ^ d) as u32,
        }
    }

    /// The addresses of IPv6 in a word, in two ways.
    #[inline(never)]
    fn addresses(&self, key: &Key) -> [u64; 2] {
        let Self([a, b, c, d, e, f, g, h]) = *self;
        let halves = |octets: [u8; 16]| {
            let number = u128::from_be_bytes(octets);
            [(number >> 64) as u64, number as u64]
        };
        let ([s0, s1], [d0, d1]) = (halves(key.src.octets()), halves(key.dst.octets()));
        [
            fold(s0 ^ e, s1 ^ f) ^ fold(d0 ^ g, d1 ^ h),
            fold(s0 ^ g.rotate_left(32), s1 ^ a) ^ fold(d0 ^ b.rotate_left(32), d1 ^ c ^ d.rotate_left(32)),
        ]
    }
}

/// Both halves of a product: every bit of the factors goes into many of them.
#[inline(always)]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

/// The table.
#[derive(Debug)]
pub struct Index {
    /// Check in two halves, more, and the seat's number plus one; 0 where the place is free. As many as a power of two.
    // Plain numbers: such memory the allocator takes from the kernel as it is, untouched until it is used.
    places: Vec<[u32; 4]>,
    /// A print's home is told by the uppermost bits of its check.
    shift: u32,
    len: usize,
    changes: u64,
}

impl Index {
    /// Room for `max` entries.
    pub fn new(max: usize) -> Self {
        let places = (max.max(1) + max / 2).next_power_of_two().max(64);
        Self {
            places: vec![[0; 4]; places],
            shift: 64 - places.trailing_zeros(),
            len: 0,
            changes: 0,
        }
    }

    /// How often a seat was given or taken: what was looked up holds until then.
    #[inline(always)]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    #[inline(always)]
    fn home(&self, check: u64) -> usize {
        (check >> self.shift) as usize
    }

    #[inline(always)]
    const fn next(&self, place: usize) -> usize {
        (place + 1) & (self.places.len() - 1)
    }

    /// Where a print is; else the free place where it would be.
    #[inline(always)]
    fn find(&self, print: Print) -> Result<usize, usize> {
        let mut place = self.home(print.check);
        loop {
            // `home` and `next` are below the length, which is a power of two.
            let Some([l, h, more, seat]) = self.places.get(place).copied() else {
                return Err(0);
            };
            if seat == 0 {
                return Err(place);
            }
            // Both halves by one comparison.
            if u64::from(h) << 32 | u64::from(l) == print.check && more == print.more {
                return Ok(place);
            }
            place = self.next(place);
        }
    }

    /// The seat of a print.
    #[inline(always)]
    pub fn get(&self, print: Print) -> Option<u32> {
        let place = self.find(print).ok()?;
        Some(self.places[place][3] - 1)
    }

    /// Has the cache line fetched in which a print is looked for.
    #[inline(always)]
    pub fn fetch(&self, print: Print) {
        fetch_element(&self.places, self.home(print.check));
    }

    /// Gives a print this seat, less than `u32::MAX`, whatever it had before. There are never more prints than there is room
    /// for: each has a seat of its own.
    pub fn insert(&mut self, print: Print, seat: u32) {
        let place = match self.find(print) {
            Ok(place) => place,
            Err(_) if self.len + 1 >= self.places.len() => return,
            Err(place) => {
                self.len += 1;
                place
            }
        };
        self.changes += 1;
        self.places[place] = [print.check as u32, (print.check >> 32) as u32, print.more, seat + 1];
    }

    /// Takes a print out, and moves those up that had gone past its place.
    pub fn remove(&mut self, print: Print) {
        let Ok(mut gap) = self.find(print) else { return };
        self.len -= 1;
        self.changes += 1;
        let mut place = gap;
        loop {
            place = self.next(place);
            let [low, high, _, seat] = self.places[place];
            if seat == 0 {
                break;
            }
            let home = self.home(u64::from(high) << 32 | u64::from(low));
            // It may move up unless its home lies behind the gap, going round.
            let mask = self.places.len() - 1;
            if place.wrapping_sub(home) & mask >= place.wrapping_sub(gap) & mask {
                self.places[gap] = self.places[place];
                gap = place;
            }
        }
        self.places[gap] = [0; 4];
    }
}

#[cfg(test)]
impl Index {
    /// Prints in it.
    pub const fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::net::Endpoint;

    /// Prints whose homes are few, so that they get in each other's way, at the end of the table too.
    fn crowded(number: u8) -> Print {
        Print {
            check: u64::from(number % 5).wrapping_sub(2) << 58 | u64::from(number),
            more: u32::from(number) / 7,
        }
    }

    proptest! {
        #[test]
        fn answers_as_a_map_does(operations in prop::collection::vec((any::<u8>(), 0..3u8, any::<u32>()), 0..600)) {
            let mut index = Index::new(40);
            let mut map = HashMap::new();
            for (number, what, seat) in operations {
                let (number, seat) = (number % 40, seat % u32::MAX);
                let print = crowded(number);
                match what {
                    0 => {
                        index.insert(print, seat);
                        map.insert(number, seat);
                    }
                    1 => {
                        index.remove(print);
                        map.remove(&number);
                    }
                    _ => prop_assert_eq!(index.get(print), map.get(&number).copied()),
                }
                prop_assert_eq!(index.len, map.len());
            }
            for number in 0..40 {
                prop_assert_eq!(index.get(crowded(number)), map.get(&number).copied());
            }
        }
    }

    #[test]
    fn keys_that_differ_in_anything_are_told_apart() {
        let seeds = Seeds::draw();
        let v4 = |host: u8, port| Endpoint::v4([192, 0, 2, host], port);
        let v6 = |host: u8, port| {
            let mut octets = [0x20; 16];
            octets[usize::from(host) % 16] ^= host;
            Endpoint::v6(octets, port)
        };
        let mut prints = Vec::new();
        for (a, b) in (0..20).flat_map(|a| (0..20).map(move |b| (a, b))) {
            for ports in [(5000, 5002), (5002, 5000), (5000, 5000)] {
                for ssrc in [0, 1, u32::MAX] {
                    for make in [v4 as fn(u8, u16) -> Endpoint, v6] {
                        let (src, dst) = (make(a, ports.0), make(b, ports.1));
                        let Print { check, more } = seeds.print(&Key { src, dst, ssrc });
                        prints.push((check, more));
                    }
                }
            }
        }
        let keys = 20 * 20 * 3 * 3 * 2;
        prints.sort_unstable();
        prints.dedup_by_key(|(check, _)| *check);
        assert_eq!(prints.len(), keys);
        prints.sort_unstable_by_key(|(_, more)| *more);
        prints.dedup_by_key(|(_, more)| *more);
        assert!(prints.len() > keys - 10, "{} of {keys} in 32 bits", prints.len());
    }

    #[test]
    fn the_longest_search_in_a_full_table_is_short() {
        let seeds = Seeds::draw();
        let max = 40_000;
        let mut index = Index::new(max);
        let key = |n: u32| Key {
            src: Endpoint::v4([10, 0, (n >> 8) as u8, n as u8], 10_000 + (n % 20_000) as u16 * 2),
            dst: Endpoint::v4([10, 0, 0, 1], 30_000),
            ssrc: n,
        };
        for n in 0..max as u32 {
            index.insert(seeds.print(&key(n)), n);
        }
        let steps = |n: u32| {
            let print = seeds.print(&key(n));
            let place = index.find(print).unwrap();
            place.wrapping_sub(index.home(print.check)) & (index.places.len() - 1)
        };
        let (longest, sum) = (0..max as u32)
            .map(steps)
            .fold((0, 0), |(most, sum), steps| (steps.max(most), sum + steps));
        assert!(sum < 2 * max, "{sum} steps for {max}");
        assert!(longest < 200, "{longest}");
    }
}
