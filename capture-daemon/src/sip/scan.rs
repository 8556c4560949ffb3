//! Looking for separators in the short pieces that headers are made of: eight octets at a time, as a call into code for long texts
//! costs more than most pieces have letters.

/// Octets of a word.
const WORD: usize = size_of::<u64>();
/// A one, and a high bit, in each octet.
const ONES: u64 = u64::MAX / 0xff;
const HIGHS: u64 = ONES << 7;

/// Where the first octet stands that is one of `sought`.
#[inline]
pub fn find<const N: usize>(bytes: &[u8], sought: [u8; N]) -> Option<usize> {
    let sought_words = sought.map(|octet| ONES * u64::from(octet));
    // The high bit of the first octet that is zero, and perhaps of some behind it, as a subtraction borrows from there.
    let hits = |octets: &[u8; WORD]| {
        let word = u64::from_le_bytes(*octets);
        sought_words.iter().fold(0, |hits, sought| {
            let differs = word ^ sought;
            hits | differs.wrapping_sub(ONES) & !differs & HIGHS
        })
    };
    let place = |hits: u64| (hits != 0).then(|| hits.trailing_zeros() as usize / 8);
    let Some(last) = bytes.last_chunk() else {
        return bytes.iter().position(|octet| sought.contains(octet));
    };
    let (words, _) = bytes.as_chunks();
    for (number, octets) in words.iter().enumerate() {
        if let Some(at) = place(hits(octets)) {
            return Some(number * WORD + at);
        }
    }
    // Those of its octets that were looked at before are none of them.
    Some(bytes.len() - WORD + place(hits(last))?)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_found_is_the_first(
            bytes in vec(prop_oneof![any::<u8>(), 0x3a_u8..0x3e, 0x80_u8..0x83], 0..40),
            sought in any::<[u8; 2]>(),
            more in 0x3a_u8..0x3e,
        ) {
            prop_assert_eq!(find(&bytes, sought), bytes.iter().position(|octet| sought.contains(octet)));
            prop_assert_eq!(find(&bytes, [more]), bytes.iter().position(|octet| *octet == more));
            prop_assert_eq!(find(&bytes, [0, 0xff]), bytes.iter().position(|octet| matches!(octet, 0 | 0xff)));
        }
    }
}
