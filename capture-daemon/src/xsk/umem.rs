//! The frames' memory. A frame is at any moment in exactly one place: with the kernel, or in one `Token` of ours.
//! A token cannot be copied; lending the frame consumes it, and only the kernel's handing the frame back makes
//! one again. So a reference to a frame's bytes, which borrows its token, never meets a kernel that writes there.

#![expect(unsafe_code, reason = "bytes of memory that the kernel writes too")]
#![deny(clippy::indexing_slicing, reason = "addresses come from shared memory")]

use std::io;

use capture_common::Stamp;

use super::mmap::Mapping;
use super::prefetch;

/// Bytes in front of a frame's data that the kernel keeps free for the program (XDP_PACKET_HEADROOM,
/// include/uapi/linux/bpf.h), where the stamp lies too.
pub const HEADROOM: u32 = 256;

/// What a kernel that copies is asked to keep free beside those where the program stamps, so that the stamp, and with it the copy, begins where a
/// cache line does.
pub const STAMP_ROOM: u32 = Stamp::SIZE as u32;

/// The right to one frame. Not `Clone`: there is one for each frame that is not with the kernel.
#[derive(Debug, PartialEq, Eq)]
pub struct Token {
    index: u32,
}

impl Token {
    /// The frame's number.
    pub fn index(&self) -> u32 {
        self.index
    }
}

/// What became of a descriptor the kernel filled in.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    /// A frame, with the place of its bytes.
    Whole(Piece),
    /// A frame whose bytes are said to lie outside it; the frame is ours again, its content is lost.
    Outside(Token),
    /// An address outside the umem, or of a frame that is not with the kernel.
    Foreign,
}

/// A frame and where its bytes lie in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    token: Token,
    offset: u32,
    len: u32,
}

impl Piece {
    /// The frame's token.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// The right to the frame, when its bytes are no longer needed.
    pub fn into_token(self) -> Token {
        self.token
    }
}

/// The memory of a queue's frames.
#[derive(Debug)]
pub struct Umem {
    mapping: Mapping,
    frames: u32,
    /// log2 of a frame's bytes.
    frame_bits: u32,
    /// One bit for each frame: set while it is with the kernel. A descriptor is believed only for such a frame.
    lent: Box<[u64]>,
    /// Why the memory is not in huge pages, where it was to be.
    no_huge_pages: Option<String>,
    huge: bool,
    /// Of each frame, the low half of the last stamp that was read there: the same again is what the frame was given before. No two of
    /// a frame's stamps are alike, but for one in 2^32 that came just some 4.3 seconds later, or 8.6, to the nanosecond.
    stamps: Box<[u32]>,
}

impl Umem {
    /// Makes `frames` frames of `frame_size` bytes, which is a power of two. Where huge pages are asked for and not to be
    /// had, ordinary ones are taken and the reason is kept.
    ///
    /// # Errors
    /// The errno of mmap(2); `InvalidInput` for a size that is no power of two or too small for a frame's headroom.
    pub fn new(frames: u32, frame_size: u32, huge_pages: bool) -> io::Result<(Self, Vec<Token>)> {
        if !frame_size.is_power_of_two() || frame_size <= HEADROOM || frames == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{frames} frames of {frame_size} bytes"),
            ));
        }
        let len = frames as usize * frame_size as usize;
        let (mapping, no_huge_pages) = if huge_pages {
            match Mapping::huge(len) {
                Ok(mapping) => (mapping, None),
                Err(error) => (
                    Mapping::anonymous(len)?,
                    Some(format!(
                        "{} huge pages of 2 MiB could not be had ({error}); see vm.nr_hugepages",
                        len.div_ceil(2 << 20)
                    )),
                ),
            }
        } else {
            (Mapping::anonymous(len)?, Some("not asked for".to_owned()))
        };
        let umem = Self {
            mapping,
            frames,
            frame_bits: frame_size.trailing_zeros(),
            lent: vec![0; (frames as usize).div_ceil(64)].into_boxed_slice(),
            huge: no_huge_pages.is_none(),
            no_huge_pages,
            stamps: vec![0; frames as usize].into_boxed_slice(),
        };
        let tokens = (0..frames).map(|index| Token { index }).collect();
        Ok((umem, tokens))
    }

    /// Address of the first frame in this process, for the kernel.
    pub fn address(&self) -> u64 {
        self.mapping.start() as u64
    }

    /// How many frames there are.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// Bytes of a frame.
    pub fn frame_size(&self) -> u32 {
        1 << self.frame_bits
    }

    /// Whether the memory is in huge pages.
    pub fn huge_pages(&self) -> bool {
        self.huge
    }

    /// Why it is not.
    pub fn no_huge_pages(&self) -> Option<&str> {
        self.no_huge_pages.as_deref()
    }

    /// The frame's address in the umem, as the rings say it.
    pub fn place_of(&self, token: &Token) -> u64 {
        u64::from(token.index) << self.frame_bits
    }

    /// Gives the frame away; what is returned belongs into the fill ring.
    #[expect(clippy::needless_pass_by_value, reason = "the token is spent")]
    pub fn lend(&mut self, token: Token) -> u64 {
        let (word, bit) = place(token.index);
        if let Some(word) = self.lent.get_mut(word) {
            *word |= bit;
        }
        self.place_of(&token)
    }

    /// Whether the frame at `addr` is with the kernel.
    pub fn is_lent(&self, addr: u64) -> bool {
        let (word, bit) = place((addr >> self.frame_bits) as u32);
        self.lent.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Takes a frame back that the kernel has filled: `len` bytes at `addr`.
    pub fn claim(&mut self, addr: u64, len: u32) -> Claim {
        let Ok(index) = u32::try_from(addr >> self.frame_bits) else {
            return Claim::Foreign;
        };
        let (word, bit) = place(index);
        match self.lent.get_mut(word) {
            Some(word) if index < self.frames && *word & bit != 0 => *word &= !bit,
            _ => return Claim::Foreign,
        }
        let token = Token { index };
        // Below the frame's size, so it fits.
        let offset = (addr & u64::from(self.frame_size() - 1)) as u32;
        if len > self.frame_size() - offset {
            return Claim::Outside(token);
        }
        Claim::Whole(Piece { token, offset, len })
    }

    /// The bytes of a frame.
    pub fn bytes<'a>(&'a self, piece: &'a Piece) -> &'a [u8] {
        // SAFETY: `claim` found the bytes inside the frame and the frame inside the mapping, which lives as long as self.
        // Its token is in `piece`: the kernel does not write there, and whoever else would needs `&mut Piece`.
        unsafe { std::slice::from_raw_parts(self.at(piece, 0), piece.len as usize) }
    }

    /// Has fetched what [`stamp`](Self::stamp) will read, with what of the headers is in the same cache line: all of them in most frames.
    #[inline]
    pub fn fetch_stamp(&self, piece: &Piece) {
        prefetch::line_at(self.at(piece, piece.offset.min(Stamp::SIZE as u32)));
    }

    /// The stamp in front of a frame's bytes and, if the program cut it, how many it had on the wire; if the program wrote any. `now` is
    /// CLOCK_MONOTONIC, in nanoseconds, of about now.
    ///
    /// Each stamp is believed once. It is not wiped out, since the line would then have to come back to the kernel's core with what was
    /// written.
    #[inline]
    pub fn stamp(&mut self, piece: &Piece, now: u64) -> Option<(Stamp, Option<u32>)> {
        let word = u64::from_ne_bytes(self.in_front(piece, Stamp::SIZE)?);
        let stamp = Stamp::of_word(word, now)?;
        let last = self.stamps.get_mut(piece.token.index as usize)?;
        if *last == word as u32 {
            return None;
        }
        *last = word as u32;
        let wire_len = if stamp.is_cut() {
            self.in_front(piece, Stamp::SIZE_CUT).map(u32::from_ne_bytes)
        } else {
            None
        };
        Some((stamp, wire_len))
    }

    /// What stands in the frame, `before` bytes before its first; `None` where the frame begins behind there.
    fn in_front<const N: usize>(&self, piece: &Piece, before: usize) -> Option<[u8; N]> {
        if (piece.offset as usize) < before || before < N {
            return None;
        }
        // SAFETY: the bytes lie inside the frame, as the offset leaves room for them; the token is in `piece`, so nobody writes
        // there. The read asks for no alignment.
        Some(unsafe { self.at(piece, before as u32).cast::<[u8; N]>().read_unaligned() })
    }

    /// Address of a frame's data, less `before` bytes, which the caller knows to be in front of it.
    fn at(&self, piece: &Piece, before: u32) -> *mut u8 {
        let offset = ((piece.token.index as usize) << self.frame_bits) + (piece.offset - before) as usize;
        debug_assert!(offset < self.mapping.len());
        // SAFETY: `claim` let only frames through that lie inside the mapping.
        unsafe { self.mapping.start().add(offset) }
    }
}

/// Word and bit of a frame in the bitmap.
fn place(index: u32) -> (usize, u64) {
    (index as usize / 64, 1 << (index % 64))
}

#[cfg(test)]
impl Umem {
    /// Writes into a frame as the kernel would, at an address out of the fill ring.
    pub fn write_as_kernel(&mut self, addr: u64, bytes: &[u8]) {
        let (word, bit) = place(u32::try_from(addr >> self.frame_bits).unwrap());
        assert!(self.lent.get(word).unwrap() & bit != 0, "not with the kernel");
        assert!(addr as usize + bytes.len() <= self.mapping.len());
        // SAFETY: inside the mapping, as just asserted.
        let place = unsafe { self.mapping.start().add(addr as usize) };
        // SAFETY: the same; the frame is lent, so no reference to it exists, and `bytes` lies elsewhere.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
    }
}

#[cfg(test)]
mod tests {
    use capture_common::Verdict;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_comes_back_once() {
        let (mut umem, mut tokens) = Umem::new(4, 2048, false).unwrap();
        let addr = umem.lend(tokens.remove(2));
        assert_eq!(addr, 2 * 2048);
        let Claim::Whole(piece) = umem.claim(addr + u64::from(HEADROOM + STAMP_ROOM), 10) else {
            panic!("lent and not found");
        };
        assert_eq!(umem.bytes(&piece).len(), 10);
        assert_eq!(
            umem.claim(addr + u64::from(HEADROOM + STAMP_ROOM), 10),
            Claim::Foreign,
            "the same frame again"
        );
        assert_eq!(umem.claim(0, 10), Claim::Foreign, "never lent");
        assert_eq!(umem.claim(4 * 2048, 10), Claim::Foreign, "behind the end");
        assert_eq!(umem.claim(u64::MAX, 10), Claim::Foreign);
    }

    #[test]
    fn bytes_outside_the_frame_cost_the_content_and_not_the_frame() {
        let (mut umem, mut tokens) = Umem::new(2, 2048, false).unwrap();
        let addr = umem.lend(tokens.remove(0));
        let Claim::Outside(token) = umem.claim(addr + u64::from(HEADROOM), 2048 - HEADROOM + 1) else {
            panic!("one byte too many");
        };
        assert_eq!(token.index(), 0);
    }

    #[test]
    fn a_stamp_is_believed_once_whatever_the_order() {
        let (mut umem, mut tokens) = Umem::new(2, 2048, false).unwrap();
        let now = 1 << 50;
        let addrs = [umem.lend(tokens.remove(0)), umem.lend(tokens.remove(0))];
        let mut come = |addr: u64, stamp: Option<Stamp>| {
            if let Some(stamp) = stamp {
                umem.write_as_kernel(addr + 256, &stamp.word().to_ne_bytes());
            }
            let Claim::Whole(piece) = umem.claim(addr + u64::from(HEADROOM + STAMP_ROOM), 4) else {
                panic!("lent and not found");
            };
            let found = umem.stamp(&piece, now);
            umem.lend(piece.into_token());
            found
        };
        assert_eq!(come(addrs[0], None), None, "nothing was ever written there");
        // CPUs that wait for each other before they write into the ring come in no order.
        for (addr, age) in [(addrs[0], 5_000), (addrs[1], 90_000), (addrs[0], 70_000)] {
            let stamp = Stamp {
                arrival: now - age,
                verdict: Verdict::Media,
            };
            assert_eq!(come(addr, Some(stamp)), Some((stamp, None)));
            assert_eq!(come(addr, None), None, "that of the frame's content before");
        }
        let addr = umem.lend(Token { index: 0 });
        let Claim::Whole(piece) = umem.claim(addr + 7, 4) else {
            panic!("lent and not found");
        };
        assert_eq!(umem.stamp(&piece, now), None, "no room in front");
    }

    #[test]
    fn a_cut_frame_tells_its_length_on_the_wire() {
        let (mut umem, mut tokens) = Umem::new(1, 2048, false).unwrap();
        let stamp = Stamp {
            arrival: 77,
            verdict: Verdict::MediaHeaders,
        };
        let addr = umem.lend(tokens.remove(0));
        umem.write_as_kernel(addr + 252, &214_u32.to_ne_bytes());
        umem.write_as_kernel(addr + 256, &stamp.word().to_ne_bytes());
        let Claim::Whole(piece) = umem.claim(addr + u64::from(HEADROOM + STAMP_ROOM), 54) else {
            panic!("lent and not found");
        };
        assert_eq!(umem.stamp(&piece, 100), Some((stamp, Some(214))));
    }

    #[test]
    fn a_size_the_kernel_would_refuse_is_refused() {
        for (frames, size) in [(0, 2048), (1, 0), (1, 3000), (1, 256)] {
            assert!(Umem::new(frames, size, false).is_err(), "{frames} × {size}");
        }
    }

    #[test]
    fn huge_pages_are_had_or_missed_with_a_reason() {
        let (umem, _) = Umem::new(1024, 2048, true).unwrap();
        assert_eq!(umem.huge_pages(), umem.no_huge_pages().is_none());
        let (umem, _) = Umem::new(1024, 2048, false).unwrap();
        assert!(!umem.huge_pages());
    }

    proptest! {
        /// Whatever is claimed, every frame is in exactly one place.
        #[test]
        fn every_frame_is_in_exactly_one_place(operations in prop::collection::vec((any::<bool>(), 0_u64..40_000, 0_u32..3000), 0..200)) {
            let (mut umem, mut ours) = Umem::new(16, 2048, false).unwrap();
            for (lend, addr, len) in operations {
                if lend {
                    if let Some(token) = ours.pop() {
                        let addr = umem.lend(token);
                        prop_assert!(addr < 16 * 2048);
                    }
                } else {
                    let lent_before = umem.lent.iter().map(|word| word.count_ones()).sum::<u32>();
                    match umem.claim(addr, len) {
                        Claim::Whole(piece) => {
                            prop_assert_eq!(umem.bytes(&piece).len(), len as usize);
                            ours.push(piece.into_token());
                        }
                        Claim::Outside(token) => ours.push(token),
                        Claim::Foreign => {
                            prop_assert_eq!(lent_before, umem.lent.iter().map(|word| word.count_ones()).sum::<u32>());
                        }
                    }
                }
                let mut places: Vec<u32> = ours.iter().map(Token::index).collect();
                places.extend((0..16).filter(|index| umem.lent.first().unwrap() >> index & 1 == 1));
                places.sort_unstable();
                prop_assert_eq!(places, (0..16).collect::<Vec<_>>());
            }
        }
    }
}
