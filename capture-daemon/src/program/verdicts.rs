//! The counters of the kernel program, summed over the CPUs.

use capture_common::{Fate, Verdict, VerdictCount};

/// Frames and bytes by verdict. `seen = captured + filtered + dropped` at any moment, as every frame has one verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdicts([VerdictCount; Verdict::COUNT]);

impl Verdicts {
    /// Adds what one CPU counted.
    pub(super) fn add(&mut self, verdict: Verdict, of_one_cpu: VerdictCount) {
        let VerdictCount { frames, bytes } = of_one_cpu;
        let sum = &mut self.0[verdict as usize];
        sum.frames = sum.frames.wrapping_add(frames);
        sum.bytes = sum.bytes.wrapping_add(bytes);
    }

    /// Frames and bytes with this verdict.
    pub fn get(&self, verdict: Verdict) -> VerdictCount {
        self.0[verdict as usize]
    }

    /// Every verdict with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Verdict, VerdictCount)> + '_ {
        Verdict::ALL.iter().map(|verdict| (*verdict, self.get(*verdict)))
    }

    /// Frames of this fate.
    pub fn frames(&self, fate: Fate) -> u64 {
        self.iter()
            .filter(|(verdict, _)| verdict.fate() == fate)
            .map(|(_, count)| count.frames)
            .sum()
    }

    /// All frames the program saw while it was armed.
    pub fn seen(&self) -> u64 {
        self.iter().map(|(_, count)| count.frames).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_summed_and_fates_add_up() {
        let mut verdicts = Verdicts::default();
        for (number, verdict) in Verdict::ALL.iter().enumerate() {
            for cpu in 0..3 {
                verdicts.add(
                    *verdict,
                    VerdictCount {
                        frames: number as u64 + cpu,
                        bytes: 100,
                    },
                );
            }
        }
        assert_eq!(verdicts.get(Verdict::Media), VerdictCount { frames: 6, bytes: 300 });
        let fates = [Fate::Captured, Fate::Filtered, Fate::Dropped];
        assert_eq!(
            fates.map(|fate| verdicts.frames(fate)).iter().sum::<u64>(),
            verdicts.seen()
        );
    }
}
