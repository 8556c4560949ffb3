//! The counters of the kernel program, summed over the CPUs.

use capture_common::{Counters, Fate, Verdict, VerdictCount};

/// Frames that came, and frames and bytes by verdict. `seen = captured + filtered + dropped`, as every frame has one verdict; but for those
/// that the program is at work on, one on each CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    seen: u64,
    by_verdict: [VerdictCount; Verdict::COUNT],
    cpus: u64,
}

impl Verdicts {
    /// Adds what one CPU counted.
    pub(super) fn add_cpu(&mut self, counters: &Counters) {
        self.seen = self.seen.wrapping_add(counters.seen);
        self.cpus += 1;
        for (verdict, count) in Verdict::ALL.iter().zip(counters.verdicts) {
            self.add(*verdict, count);
        }
    }

    /// Adds what was counted where nobody counts frames but by their verdict.
    pub(super) fn add_decided(&mut self, verdict: Verdict, count: VerdictCount) {
        self.seen = self.seen.wrapping_add(count.frames);
        self.add(verdict, count);
    }

    fn add(&mut self, verdict: Verdict, count: VerdictCount) {
        let VerdictCount { frames, bytes } = count;
        let sum = &mut self.by_verdict[verdict as usize];
        sum.frames = sum.frames.wrapping_add(frames);
        sum.bytes = sum.bytes.wrapping_add(bytes);
    }

    /// Frames and bytes with this verdict.
    pub fn get(&self, verdict: Verdict) -> VerdictCount {
        self.by_verdict[verdict as usize]
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
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// Those that have a verdict.
    pub fn decided(&self) -> u64 {
        self.iter().map(|(_, count)| count.frames).sum()
    }

    /// Frames that may be without one, as they are being decided on.
    pub const fn at_work(&self) -> u64 {
        self.cpus
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_summed_and_fates_add_up() {
        let mut verdicts = Verdicts::default();
        for cpu in 0..3 {
            let count = |number: usize| VerdictCount {
                frames: number as u64 + cpu,
                bytes: 100,
            };
            let mut counts = [VerdictCount::default(); Counters::PLACES];
            (0..Verdict::COUNT).for_each(|number| counts[number] = count(number));
            let decided: u64 = counts.iter().map(|count| count.frames).sum();
            verdicts.add_cpu(&Counters {
                verdicts: counts,
                seen: decided + cpu % 2,
            });
        }
        assert_eq!(verdicts.get(Verdict::Media), VerdictCount { frames: 6, bytes: 300 });
        let fates = [Fate::Captured, Fate::Filtered, Fate::Dropped];
        assert_eq!(
            fates.map(|fate| verdicts.frames(fate)).iter().sum::<u64>(),
            verdicts.decided()
        );
        assert_eq!(verdicts.seen(), verdicts.decided() + 1, "one is being decided on");
        assert_eq!(verdicts.at_work(), 3);
    }
}
