//! A share of all calls, the same calls on every sensor and in every run.
//!
//! Which calls these are is a matter of the Call-ID alone: its octets go through FNV-1a with 64 bits (Fowler, Noll and Vo), the result `h`
//! through the finalizer of MurmurHash3, `h ^= h >> 33; h *= 0xff51afd7ed558ccd; h ^= h >> 33; h *= 0xc4ceb9fe1a85ec53;
//! h ^= h >> 33`, as FNV-1a alone spreads short texts unevenly, and the call is in the share where `h mod 1,000,000` is below the share in
//! millionths. So a call is kept whole or not at all, and a larger share has all the calls of a smaller one.

use std::fmt;

/// Parts of a whole.
const WHOLE: u32 = 1_000_000;

/// How many calls of a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sample(u32);

impl Sample {
    /// From a number between 0 and 1, to six decimals.
    ///
    /// # Errors
    /// What would be right.
    pub fn read(share: f64) -> Result<Self, String> {
        if !(0.0..=1.0).contains(&share) {
            return Err("expected a number from 0.0 to 1.0".to_owned());
        }
        // Not NaN, not negative and at most a million.
        Ok(Self((share * f64::from(WHOLE)).round() as u32))
    }

    /// The share as a number.
    pub fn share(self) -> f64 {
        f64::from(self.0) / f64::from(WHOLE)
    }

    /// Whether no call is in it.
    pub const fn is_nothing(self) -> bool {
        self.0 == 0
    }

    /// Whether this call is in it.
    pub fn contains(self, call_id: &[u8]) -> bool {
        hash(call_id) % u64::from(WHOLE) < u64::from(self.0)
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.share())
    }
}

fn hash(call_id: &[u8]) -> u64 {
    let fnv = call_id.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_hash_is_the_one_that_is_documented() {
        // By another implementation of what is written above.
        assert_eq!(hash(b""), 0xefd0_1f60_ba99_2926);
        assert_eq!(hash(b"3848276298220188511@example.com"), 0x92b8_f4f4_9617_c548);
    }

    #[test]
    fn a_share_is_about_as_large_as_it_says() {
        for share in [0.0, 0.01, 0.1, 0.5, 0.999, 1.0] {
            let sample = Sample::read(share).unwrap();
            let calls = 100_000;
            let of = |number: &i32| sample.contains(format!("{number}-4711@192.0.2.10").as_bytes());
            let kept = (0..calls).filter(of).count() as f64 / f64::from(calls);
            // Five standard deviations of what chance would give.
            let bound = 5.0 * (share * (1.0 - share) / f64::from(calls)).sqrt();
            assert!((kept - share).abs() <= bound, "{kept} for {share}");
        }
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(Sample::read(share).is_err());
        }
        assert_eq!(Sample::read(0.25).unwrap().to_string(), "0.25");
        assert_eq!(Sample::read(1.0).unwrap().to_string(), "1.0");
    }

    proptest! {
        #[test]
        fn a_larger_share_has_the_calls_of_a_smaller_one(one in 0u32..=WHOLE, other in 0u32..=WHOLE, call_id in prop::collection::vec(any::<u8>(), 0..40)) {
            let (small, large) = (Sample(one.min(other)), Sample(one.max(other)));
            prop_assert!(!small.contains(&call_id) || large.contains(&call_id));
            prop_assert_eq!(Sample::read(small.share()), Ok(small));
        }
    }
}
