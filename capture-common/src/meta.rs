//! What the kernel program writes in front of every frame it hands to a socket (XDP metadata,
//! Documentation/networking/xdp-rx-metadata.rst in the kernel tree).
//!
//! As little as may be: with the headers of Ethernet, IPv4, UDP and RTP behind it (54 bytes), a stamp lies in one cache line where the frame
//! is put [`Stamp::SIZE`] bytes behind the beginning of one. Each line of a frame that the worker looks at is one that the kernel
//! must take back from another core when it copies the next frame there.

use crate::Verdict;

/// The word just before a frame's first byte: when it came, and why it was captured. Where the program cut the frame, its bytes on the
/// wire, a `u32`, stand in front of that word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When the program saw the frame: CLOCK_MONOTONIC, in nanoseconds. It goes on over steps of the wall clock, and the
    /// program can read it without a lock.
    pub arrival: u64,
    /// Why it was captured.
    pub verdict: Verdict,
}

/// Bits of the arrival in the word: 78 hours, and what is before them the reader knows.
const ARRIVAL_BITS: u32 = 48;
/// Where the verdict's number is.
const VERDICT_SHIFT: u32 = ARRIVAL_BITS;
/// Where the mark is.
const MARK_SHIFT: u32 = ARRIVAL_BITS + 8;
/// In the highest byte of every stamp; anything else means that the program could not write, as some drivers have no room for metadata.
const MARK: u64 = 0x5a;

impl Stamp {
    /// Bytes of the word in front of the frame.
    pub const SIZE: usize = size_of::<u64>();
    /// Bytes in front of the frame where it was cut.
    pub const SIZE_CUT: usize = Self::SIZE + size_of::<u32>();

    /// The word, in the machine's order of bytes.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        MARK << MARK_SHIFT | (self.verdict as u64) << VERDICT_SHIFT | self.arrival & ((1 << ARRIVAL_BITS) - 1)
    }

    /// The stamp of a word that was read at `now`, CLOCK_MONOTONIC in nanoseconds: of the times that it may mean the one nearest to then. `None`
    /// where the word is no stamp.
    #[inline(always)]
    pub const fn of_word(word: u64, now: u64) -> Option<Self> {
        if word >> MARK_SHIFT != MARK {
            return None;
        }
        let Some(verdict) = Verdict::from_number((word >> VERDICT_SHIFT) as u8 as u32) else {
            return None;
        };
        // The difference of the low bits, as a number with a sign.
        let since = ((word.wrapping_sub(now) << (64 - ARRIVAL_BITS)) as i64) >> (64 - ARRIVAL_BITS);
        Some(Self {
            arrival: now.wrapping_add_signed(since),
            verdict,
        })
    }

    /// Whether a frame with this verdict was cut, so that its bytes on the wire stand in front of the word.
    #[inline(always)]
    pub const fn is_cut(self) -> bool {
        matches!(self.verdict, Verdict::MediaHeaders)
    }
}

// bpf_xdp_adjust_meta refuses what is no multiple of 4 or longer than 32 bytes where the frame may become an skb
// (xdp_metalen_invalid, include/net/xdp.h).
const _: () = assert!(Stamp::SIZE.is_multiple_of(4) && Stamp::SIZE_CUT.is_multiple_of(4) && Stamp::SIZE_CUT <= 32);
const _: () = assert!(Verdict::COUNT <= u8::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written_however_late() {
        let hour = 3_600_000_000_000_u64;
        for arrival in [0, 1, (1 << 48) - 1, 1 << 48, 1000 * hour] {
            for verdict in Verdict::ALL {
                let stamp = Stamp {
                    arrival,
                    verdict: *verdict,
                };
                for now in [arrival, arrival + 39 * hour, arrival.saturating_sub(100)] {
                    assert_eq!(Stamp::of_word(stamp.word(), now), Some(stamp), "at {now}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_stamp_is_not_believed() {
        let stamp = Stamp {
            arrival: 77,
            verdict: Verdict::Media,
        };
        assert_eq!(Stamp::of_word(0, 77), None);
        assert_eq!(Stamp::of_word(stamp.word() ^ 1 << 63, 77), None, "without its mark");
        let no_verdict = (Verdict::COUNT as u64) << VERDICT_SHIFT | MARK << MARK_SHIFT;
        assert_eq!(Stamp::of_word(no_verdict, 77), None, "with a verdict that there is not");
    }
}
