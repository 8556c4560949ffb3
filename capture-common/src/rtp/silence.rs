//! Times nothing came of a stream though no number is missing.

/// A longer time without a packet, where no number is missing, is a silence. Microseconds.
pub const SILENCE: u32 = 200_000;

/// Silences of one stream.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Silence {
    /// With a marker after them or comfort noise before: the sender says nothing on purpose (RFC 3551 section 4.1).
    pub announced: u32,
    /// Without.
    pub gaps: u32,
    /// Longest of the latter, in microseconds.
    pub longest: u32,
    /// Sum of the latter, in milliseconds.
    pub total: u32,
}

impl Silence {
    /// Takes one of so many microseconds.
    #[inline(always)]
    pub fn take(&mut self, is_announced: bool, micros: u32) {
        if is_announced {
            self.announced = self.announced.saturating_add(1);
        } else {
            self.gaps = self.gaps.saturating_add(1);
            self.longest = self.longest.max(micros);
            self.total = self.total.saturating_add(micros / 1000);
        }
    }
}
