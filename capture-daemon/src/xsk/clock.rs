//! From the kernel's clock to the wall's. The program stamps frames with CLOCK_MONOTONIC; packets are kept in wall-clock
//! time. The two run at the same rate, as NTP slews both; their difference changes only when the wall clock is set.

use rustix::time::{ClockId, clock_gettime};

use crate::time::Timestamp;

/// Readings per calibration; the tightest counts.
const READINGS: usize = 8;

/// The difference of the two clocks may look this much outside its bracket before it counts as changed: the kernel's
/// lockless clock differs from the one read here by the rounding of both.
const TOLERANCE_NS: i64 = 1_000;

/// The difference between wall clock and kernel clock.
///
/// When the wall clock is set, the next calibration follows it: frames read from then on are stamped in the new time,
/// those before keep the old one, and between the two packet times jump as the clock did. Each such step is counted.
#[derive(Clone, Debug)]
pub struct Clock {
    /// CLOCK_REALTIME less CLOCK_MONOTONIC, in nanoseconds.
    offset: i64,
    steps: u64,
}

/// One look at both clocks: the wall clock between two readings of the kernel's. All in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Reading {
    before: i64,
    wall: i64,
    after: i64,
}

impl Reading {
    fn take() -> Self {
        let before = nanos(ClockId::Monotonic);
        let wall = nanos(ClockId::Realtime);
        let after = nanos(ClockId::Monotonic);
        Self { before, wall, after }
    }

    /// The tightest of several: one that was interrupted says little.
    fn best() -> Self {
        let mut best = Self::take();
        for _ in 1..READINGS {
            let next = Self::take();
            if next.width() < best.width() {
                best = next;
            }
        }
        best
    }

    fn width(self) -> i64 {
        self.after - self.before
    }

    fn offset(self) -> i64 {
        self.wall - (self.before + self.width() / 2)
    }

    /// Whether the clocks may differ by `offset`, by this reading.
    fn allows(self, offset: i64) -> bool {
        (self.wall - self.after - TOLERANCE_NS..=self.wall - self.before + TOLERANCE_NS).contains(&offset)
    }
}

impl Clock {
    /// Calibrated now.
    pub fn new() -> Self {
        Self {
            offset: Reading::best().offset(),
            steps: 0,
        }
    }

    /// Looks whether the wall clock was set, and follows it. Costs a few dozen clock readings; once a second is enough.
    pub fn recalibrate(&mut self) {
        self.observe(Reading::best());
    }

    /// An offset that the reading allows is kept, so that noise does not shift packets against each other.
    fn observe(&mut self, reading: Reading) {
        if !reading.allows(self.offset) {
            self.offset = reading.offset();
            self.steps += 1;
        }
    }

    /// How many times the wall clock was found set.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Wall-clock time of a CLOCK_MONOTONIC time in nanoseconds.
    #[inline]
    pub fn wall(&self, monotonic: u64) -> Timestamp {
        Timestamp::from_nanos(monotonic.saturating_add_signed(self.offset))
    }

    /// How far the wall clock was set since it was last followed, in nanoseconds; mostly 0.
    #[inline]
    pub fn step(&self) -> i64 {
        if Reading::take().allows(self.offset) {
            0
        } else {
            Reading::best().offset().wrapping_sub(self.offset)
        }
    }

    /// The time of a frame that the kernel stamped with the wall clock itself, in nanoseconds; `step` is what
    /// [`step`](Self::step) just said. While a step is not followed yet, such stamps too tell the time as it was before: the
    /// frames of a lane and its ticks must not be of two times.
    #[inline]
    pub fn stamped(&self, wall: u64, step: i64) -> Timestamp {
        if step == 0 {
            return Timestamp::from_nanos(wall);
        }
        let before = wall.saturating_add_signed(step.saturating_neg());
        // It may have been stamped before the clock was set, or since: it is not old.
        let now = self.now().as_nanos();
        let nearer = if now.abs_diff(before) < now.abs_diff(wall) {
            before
        } else {
            wall
        };
        Timestamp::from_nanos(nearer)
    }

    /// Wall-clock time now, for a frame without a stamp.
    pub fn now(&self) -> Timestamp {
        self.wall(Self::monotonic())
    }

    /// CLOCK_MONOTONIC now, in nanoseconds: what `bpf_ktime_get_ns` says in the kernel.
    #[inline]
    pub fn monotonic() -> u64 {
        nanos(ClockId::Monotonic).unsigned_abs()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

fn nanos(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    // Seconds since boot or since 1970: fits until 2262.
    time.tv_sec.wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clock(offset: i64) -> Clock {
        Clock { offset, steps: 0 }
    }

    #[test]
    fn now_lies_between_two_readings_of_the_wall_clock() {
        let clock = Clock::new();
        let before = nanos(ClockId::Realtime);
        let now = clock.now().as_nanos() as i64;
        let after = nanos(ClockId::Realtime);
        // The calibration knows the offset to the width of its tightest bracket, well below this.
        let tolerance = 1_000_000;
        assert!(
            (before - tolerance..=after + tolerance).contains(&now),
            "{before} {now} {after}"
        );
    }

    #[test]
    fn a_wide_reading_changes_nothing_and_a_step_is_followed() {
        let mut clock = clock(1_000_000_000_000);
        let interrupted = Reading {
            before: 5_000_000,
            wall: 1_000_000_000_000 + 5_000_100,
            after: 9_000_000,
        };
        clock.observe(interrupted);
        assert_eq!((clock.offset, clock.steps()), (1_000_000_000_000, 0));
        let set_back = Reading {
            before: 10_000_000,
            wall: 400_000_000_000 + 10_000_020,
            after: 10_000_040,
        };
        clock.observe(set_back);
        assert_eq!((clock.offset, clock.steps()), (400_000_000_000, 1));
        assert_eq!(clock.wall(7).as_nanos(), 400_000_000_007);
    }

    #[test]
    fn stamps_of_the_wall_clock_follow_a_step_with_all_other_times() {
        let right = Clock::new();
        assert_eq!(right.step(), 0);
        assert_eq!(right.stamped(7, 0).as_nanos(), 7);
        // The wall clock was set forth, or back, by an hour, and that was not followed yet.
        const HOUR: i64 = 3_600_000_000_000;
        for set in [HOUR, -HOUR] {
            let behind = clock(right.offset - set);
            let step = behind.step();
            assert!(step.abs_diff(set) < 1_000_000, "{step}");
            let now = right.now().as_nanos();
            let since = behind.stamped(now, step).as_nanos();
            assert_eq!(since, now.saturating_add_signed(-step));
            let stamped_before = now.saturating_add_signed(-set) - 20_000_000;
            assert_eq!(behind.stamped(stamped_before, step).as_nanos(), stamped_before);
        }
    }

    proptest! {
        /// While the wall clock is not set, no reading, however late its parts come, changes the offset.
        #[test]
        fn noise_is_no_step(offset in 0..i64::MAX / 4, readings in prop::collection::vec((0_i64..1 << 50, 0_i64..1 << 30, 0_i64..1 << 30), 1..50)) {
            let mut clock = clock(offset);
            for (before, until_wall, until_after) in readings {
                clock.observe(Reading { before, wall: before + until_wall + offset, after: before + until_wall + until_after });
            }
            prop_assert_eq!(clock.offset, offset);
            prop_assert_eq!(clock.steps(), 0);
        }
    }
}
