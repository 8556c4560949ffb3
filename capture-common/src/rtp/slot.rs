//! Where the kernel program keeps the accounts of streams, and how it finds the account of an ordinary packet without asking the
//! hash that knows all streams.
//!
//! In front of the slots stands an index of four bytes an entry, a line for all that hash alike: small enough to stay in the cache
//! where a hash's buckets and keys do not. The index may forget, and an entry may be out of date: the slot says whose
//! it is.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "runs in the kernel: an index must be known at compile time, a sum must be bounded"
)]

use super::key::StreamKey;
use super::stream::Hot;
use crate::ordinary::Voice;

/// Entries of a line of the index.
pub const LANES: usize = 16;

/// A line of the index: in each entry a part of the hash above, and one more than the slot's number below; 0 where it is free.
pub type Line = [u32; LANES];

/// Bits of an entry that are the slot's: streams of two million slots are in the index, and those beyond are asked of the hash. Of the
/// rest, another stream of the line has the same one in 300 times; then one of the two is in the index.
const SLOT_BITS: u32 = 21;

/// What every packet touches of a stream's account, and whose it is: two cache lines, and the beginning of the first of them. The rest
/// has the same number in an array of its own, so that of memory that is looked at all the time there is as little as
/// can be.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Slot {
    /// Of a stream over IPv4 the words of its packets' [`Voice`]; zeros of others, and of none.
    pub owner: Owner,
    /// The account.
    pub hot: Hot,
    /// Always 0.
    pub padding: u64,
}

const _: () = assert!(size_of::<Slot>() == 128 && size_of::<Line>() == 64);

/// What tells streams over IPv4 apart: a [`StreamKey`] in fewer words.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Owner {
    /// Source address above destination address.
    pub addresses: u64,
    /// Source port, destination port and SSRC.
    pub ports: u64,
}

impl Owner {
    /// Nobody: no packet goes from the address 0 to the address 0.
    pub const NONE: Self = Self { addresses: 0, ports: 0 };

    /// Of an ordinary packet.
    #[inline(always)]
    pub const fn of(voice: &Voice) -> Self {
        Self {
            addresses: voice.addresses,
            ports: voice.ports,
        }
    }

    /// Of a stream; [`NONE`](Self::NONE) where it is not over IPv4.
    #[inline(always)]
    pub const fn of_stream(key: &StreamKey) -> Self {
        let (Some(source), Some(destination)) = (unmapped(&key.source), unmapped(&key.destination)) else {
            return Self::NONE;
        };
        Self {
            addresses: (source as u64) << 32 | destination as u64,
            ports: (key.source_port as u64) << 48 | (key.destination_port as u64) << 32 | key.ssrc as u64,
        }
    }

    /// Whether it is a stream.
    #[inline(always)]
    pub const fn is_some(&self) -> bool {
        self.addresses != 0
    }

    /// A number that is spread over all its bits.
    #[inline(always)]
    pub const fn hash(&self) -> u64 {
        // Odd numbers without a pattern: 2^64 by the golden ratio, and two primes of xxHash.
        let mixed = self.addresses.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.ports.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        (mixed ^ mixed >> 32).wrapping_mul(0x1656_67b1_9e37_79f9)
    }
}

/// The IPv4 address in its mapped form.
#[inline(always)]
const fn unmapped(address: &[u8; 16]) -> Option<u32> {
    match address {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] => Some(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

/// The line of the index that a hash belongs to, of as many as the mask says, one less than a power of two.
#[inline(always)]
pub const fn line(hash: u64, mask: u32) -> u32 {
    (hash >> 40) as u32 & mask
}

/// The entry of a slot; `None` where its number is too large for one.
#[inline(always)]
pub const fn entry(hash: u64, slot: u32) -> Option<u32> {
    let number = slot.wrapping_add(1);
    if number == 0 || number >> SLOT_BITS != 0 {
        return None;
    }
    Some(tag(hash) << SLOT_BITS | number)
}

/// The part of a hash that is in its entry, never that of a free one.
#[inline(always)]
const fn tag(hash: u64) -> u32 {
    match hash as u32 >> SLOT_BITS {
        0 => 1,
        tag => tag,
    }
}

/// The entry of its line where a hash is looked for first: which it is can be foretold where it is always the same one.
#[inline(always)]
const fn home(hash: u64) -> usize {
    (hash >> 32) as usize % LANES
}

/// The slot that a line has for a hash, most likely.
#[inline(always)]
pub fn find(line: &Line, hash: u64) -> Option<u32> {
    let tag = tag(hash);
    let is_it = |entry: &u32| *entry >> SLOT_BITS == tag;
    let found = line.get(home(hash)).filter(|entry| is_it(entry));
    let found = found.or_else(|| line.iter().find(|entry| is_it(entry)))?;
    Some((*found & ((1 << SLOT_BITS) - 1)).wrapping_sub(1))
}

/// Puts an entry into a line: where the hash is looked for first, or else into a free place, or one with the same hash, or, where there
/// is none, in place of another.
#[inline(always)]
pub fn put(line: &mut Line, hash: u64, entry: u32) {
    let tag = tag(hash);
    let is_room = |known: u32| known == 0 || known >> SLOT_BITS == tag;
    let home = home(hash);
    if line.get(home).is_some_and(|known| !is_room(*known)) {
        for known in line.iter_mut() {
            if is_room(*known) {
                *known = entry;
                return;
            }
        }
    }
    if let Some(known) = line.get_mut(home) {
        *known = entry;
    }
}

/// Lines of an index in front of so many slots.
pub const fn lines(slots: u32) -> u32 {
    let entries = if slots > 1 << 31 {
        1 << 31
    } else {
        slots.next_power_of_two()
    };
    entries.div_ceil(LANES as u32)
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test that panics has failed")]
mod tests {
    extern crate std;

    use std::collections::BTreeSet;
    use std::vec;

    use proptest::prelude::*;

    use super::*;
    use crate::load::Fields;
    use crate::ordinary::Voice;

    fn voice(addresses: u64, ports: u64) -> Voice {
        Voice {
            addresses,
            ports,
            header: 0,
            octets: 172,
        }
    }

    /// The owner of a stream of the bench's generator.
    fn owner(number: u64) -> Owner {
        let fields = Fields::of(number, u64::MAX);
        let [source, destination] =
            [fields.source, fields.destination].map(|bytes| u64::from(u32::from_be_bytes(bytes)));
        let port = u64::from(fields.port);
        Owner {
            addresses: source << 32 | destination,
            ports: port << 48 | port << 32 | u64::from(fields.ssrc),
        }
    }

    #[test]
    fn nearly_all_streams_of_a_full_link_are_in_the_index_where_they_are_looked_for() {
        const STREAMS: u32 = 105_000;
        let lines_in_all = lines(262_144);
        assert_eq!(lines_in_all, 16_384);
        let mut index = vec![[0; LANES]; lines_in_all as usize];
        let place = |hash| line(hash, lines_in_all - 1) as usize;
        for number in 0..STREAMS {
            let hash = owner(number.into()).hash();
            put(&mut index[place(hash)], hash, entry(hash, number).unwrap());
        }
        let found = |number: &u32| {
            let hash = owner((*number).into()).hash();
            find(&index[place(hash)], hash) == Some(*number)
        };
        let count = (0..STREAMS).filter(found).count();
        assert!(count > STREAMS as usize / 100 * 99, "{count}");
    }

    #[test]
    fn an_index_has_a_line_at_least_and_never_more_than_can_be_counted() {
        assert_eq!([1, 16, 17, 32, 262_144].map(lines), [1, 1, 2, 2, 16_384]);
        assert_eq!(lines(u32::MAX), 1 << 27);
    }

    #[test]
    fn a_slot_whose_number_has_no_room_has_no_entry() {
        let last = (1 << SLOT_BITS) - 2;
        let numbers = [0, last, last + 1, u32::MAX];
        assert_eq!(numbers.map(|slot| entry(7, slot).is_some()), [true, true, false, false]);
    }

    proptest! {
        #[test]
        fn an_owner_is_what_the_key_of_its_packets_says(addresses: u64, ports: u64) {
            let voice = voice(addresses, ports);
            prop_assert_eq!(Owner::of(&voice), Owner::of_stream(&voice.packet().key));
            let mut six = voice.packet().key;
            six.source[0] = 0x20;
            prop_assert!(!Owner::of_stream(&six).is_some());
        }

        #[test]
        fn a_line_has_what_was_put_there_last_and_nothing_else(hashes in prop::collection::vec(any::<u64>(), 1..40)) {
            let mut line = [0; LANES];
            for (slot, hash) in (0..).zip(&hashes) {
                put(&mut line, *hash, entry(*hash, slot).unwrap());
                prop_assert_eq!(find(&line, *hash), Some(slot));
            }
            for (slot, hash) in (0..).zip(&hashes) {
                let found = find(&line, *hash);
                let others = hashes.iter().filter(|other| tag(**other) == tag(*hash)).count();
                prop_assert!(found.is_none() || found == Some(slot) || others > 1);
            }
            // Up to as many as there are entries, none makes another go.
            let tags: BTreeSet<_> = hashes.iter().map(|hash| tag(*hash)).collect();
            if tags.len() == hashes.len() && hashes.len() <= LANES {
                prop_assert_eq!(line.iter().filter(|entry| **entry != 0).count(), hashes.len());
            }
        }
    }
}
