//! The continuous audit: whether what one stage passed on came in at the next, whether what came to the kernel program has a verdict, and
//! whether what the spool kept was written. A stage's own sum is made of its own counters; between two stages two parties count, and so they
//! do in the program, as a frame comes and as its verdict is reached, and in the spool, a worker and the writer: there a frame can be lost
//! without a name.
//!
//! The parties go on counting while they are read. So each boundary is read three times, behind, before and behind again, and
//! judged by what must hold whenever the frames moved: no more came out than had gone in, and what is in between fits into the
//! memory in between; where nothing has moved for a while, nothing is in between. None is violated by bad timing, and all are by a frame
//! that has no place.

use std::collections::VecDeque;
use std::time::Duration;

/// Where two parties count the same frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// Frames came to the kernel program; it has reached a verdict on them.
    Program,
    /// The kernel program captured; sockets and workers have received or lost.
    Sockets,
    /// Workers have received; engines have taken.
    Engine,
    /// Engines have taken; the spool was offered.
    Spool,
    /// Workers have put into chunks; the spool's writer has written or dropped.
    Writer,
}

impl Boundary {
    /// Every boundary, in the order of the packet.
    pub const ALL: [Self; 5] = [Self::Program, Self::Sockets, Self::Engine, Self::Spool, Self::Writer];

    /// The stage that it is, or that is behind it, as [`crate::control::Identity`] names it, or the spool's writer.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Sockets => "sockets",
            Self::Engine => "engine",
            Self::Spool => "spool",
            Self::Writer => "writer",
        }
    }
}

/// A boundary, read from behind, from before, and from behind again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Frames lost at the boundary, read first of all.
    pub lost: u64,
    /// Frames that had come in behind it, read next.
    pub behind_first: u64,
    /// Frames that had gone in before it.
    pub before: u64,
    /// Frames that had come in behind it, read last.
    pub behind_last: u64,
    /// Frames that may be in between.
    pub room: u64,
    /// Whether what is in between waits for somebody, read first of all: then it may stay there however long nothing moves.
    pub is_held: bool,
}

/// What a socket lost is asked of the kernel about once a second: what is missing now may be found among the losses so much
/// later.
const LAG: Duration = Duration::from_secs(3);

/// For so long nothing has to move at a boundary until nothing may be in between: workers look into their rings twenty times a second, and the
/// kernel is asked once a second.
pub(super) const REST: Duration = Duration::from_secs(10);

/// Time between two readings that are kept; looks come once a second, and whenever someone asks.
const SPACING: Duration = Duration::from_millis(500);

/// What the audit has found since the start.
#[derive(Debug, Default)]
pub struct Accounts {
    /// Frames captured and not received, by the daemon's uptime at that look.
    missing: VecDeque<(Duration, u64)>,
    /// Of each boundary, when it was first as it is now: lost, before and behind.
    still: [(Duration, [u64; 3]); Boundary::ALL.len()],
    looks: u64,
    violations: [u64; Boundary::ALL.len()],
    /// What the latest look found violated.
    violated: Vec<Boundary>,
}

impl Accounts {
    /// Takes a look, `uptime` after the start, and returns the boundaries that are violated. A boundary without a reading (no
    /// spool, or the program is gone) is not judged.
    pub fn look(&mut self, uptime: Duration, readings: [Option<Reading>; Boundary::ALL.len()]) -> Vec<Boundary> {
        let mut violated = Vec::new();
        for (boundary, reading) in Boundary::ALL.into_iter().zip(readings) {
            let Some(reading) = reading else { continue };
            let missing = reading.before.saturating_sub(reading.behind_last);
            let settled = match boundary {
                Boundary::Sockets => self.missing_before(uptime, missing),
                Boundary::Program | Boundary::Engine | Boundary::Spool | Boundary::Writer => Some(missing),
            };
            let room = if self.is_at_rest(boundary, uptime, &reading) {
                0
            } else {
                reading.room
            };
            let too_many = reading.behind_first + reading.lost > reading.before;
            let too_few = settled.is_some_and(|missing| missing > reading.lost + room);
            if too_many || too_few {
                self.violations[boundary as usize] += 1;
                violated.push(boundary);
            }
        }
        self.looks += 1;
        self.violated.clone_from(&violated);
        violated
    }

    /// The boundaries that the latest look found violated.
    pub fn violated(&self) -> Vec<Boundary> {
        self.violated.clone()
    }

    /// Looks taken.
    pub const fn looks(&self) -> u64 {
        self.looks
    }

    /// Looks that found this boundary violated.
    pub fn violations(&self, boundary: Boundary) -> u64 {
        self.violations[boundary as usize]
    }

    /// Whether nothing has moved at the boundary for long.
    fn is_at_rest(&mut self, boundary: Boundary, uptime: Duration, reading: &Reading) -> bool {
        let now = [reading.lost, reading.before, reading.behind_last];
        let (since, still) = &mut self.still[boundary as usize];
        if *still != now {
            (*since, *still) = (uptime, now);
        }
        !reading.is_held && uptime.saturating_sub(*since) >= REST
    }

    /// What was missing a while ago; keeps what is missing now.
    fn missing_before(&mut self, uptime: Duration, missing: u64) -> Option<u64> {
        let is_old = |(at, _): &(Duration, u64)| uptime.saturating_sub(*at) >= LAG;
        // The one before that is old stays.
        while self.missing.get(1).is_some_and(is_old) {
            self.missing.pop_front();
        }
        let last = self.missing.back().map(|(at, _)| *at);
        if last.is_none_or(|last| uptime.saturating_sub(last) >= SPACING) {
            self.missing.push_back((uptime, missing));
        }
        let first = self.missing.front().filter(|first| is_old(first));
        first.map(|(_, missing)| *missing)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn reading(behind: u64, before: u64, room: u64) -> Reading {
        Reading {
            lost: 0,
            behind_first: behind,
            before,
            behind_last: behind,
            room,
            is_held: false,
        }
    }

    /// Looks at one boundary once a second, and says at which looks it was violated.
    fn watch(boundary: Boundary, readings: &[Reading]) -> Vec<usize> {
        let mut accounts = Accounts::default();
        let mut violated = Vec::new();
        for (second, reading) in readings.iter().enumerate() {
            let mut all = [None; Boundary::ALL.len()];
            all[boundary as usize] = Some(*reading);
            if accounts.look(SECOND * second as u32, all) == [boundary] {
                violated.push(second);
            }
        }
        assert_eq!(accounts.looks(), readings.len() as u64);
        assert_eq!(accounts.violations(boundary), violated.len() as u64);
        violated
    }

    #[test]
    fn more_frames_behind_than_before_are_violation_at_once() {
        for boundary in Boundary::ALL {
            assert_eq!(
                watch(boundary, &[reading(10, 10, 0), reading(11, 10, 5)]),
                [1],
                "{boundary:?}"
            );
        }
    }

    #[test]
    fn a_frame_without_a_place_is_a_violation_for_as_long_as_it_is_missing() {
        let missing = [reading(9, 10, 0), reading(9, 10, 0)];
        assert_eq!(watch(Boundary::Engine, &missing), [0, 1]);
        assert_eq!(watch(Boundary::Spool, &missing), [0, 1]);
        assert_eq!(watch(Boundary::Program, &missing), [0, 1]);
        let in_between = [reading(9, 10, 1), reading(9, 10, 1)];
        assert!(watch(Boundary::Spool, &in_between).is_empty());
    }

    #[test]
    fn what_the_sockets_lost_may_be_told_later_but_not_never() {
        // A thousand lost at second 1, which the statistics show at second 2.
        let late = [
            reading(0, 0, 10),
            reading(0, 1_000, 10),
            reading(1_000, 1_000, 10),
            reading(1_000, 1_000, 10),
        ];
        assert!(watch(Boundary::Sockets, &late).is_empty());
        let mut never = vec![reading(0, 0, 10), reading(0, 1_000, 10)];
        never.resize(7, reading(0, 1_000, 10));
        assert_eq!(watch(Boundary::Sockets, &never), [4, 5, 6]);
    }

    #[test]
    fn one_frame_without_a_place_is_found_when_nothing_moves() {
        let moving = |second: u64| reading(100 * second, 100 * second + 1, 64);
        let mut readings: Vec<_> = (0..20).map(moving).collect();
        readings.resize(40, moving(19));
        // Nothing else is seen of it while frames move.
        readings.push(moving(20));
        for boundary in Boundary::ALL {
            assert_eq!(watch(boundary, &readings), (29..40).collect::<Vec<_>>(), "{boundary:?}");
        }
    }

    #[test]
    fn what_waits_for_somebody_has_its_place_however_long() {
        let held = |is_held| Reading {
            is_held,
            ..reading(9, 10, 64)
        };
        let mut readings = vec![held(true); 30];
        readings.push(held(false));
        assert_eq!(watch(Boundary::Writer, &readings), [30]);
        // But not more than there is room for.
        let too_many = Reading {
            is_held: true,
            ..reading(9, 10, 0)
        };
        assert_eq!(watch(Boundary::Writer, &[too_many]), [0]);
    }

    #[test]
    fn who_asks_often_does_not_put_the_judgement_off() {
        let mut accounts = Accounts::default();
        let mut first = None::<u64>;
        for milliseconds in 0..10_000_u64 {
            let sockets = Some(reading(0, if milliseconds < 1_000 { 0 } else { 1_000 }, 10));
            if !accounts
                .look(Duration::from_millis(milliseconds), [None, sockets, None, None, None])
                .is_empty()
            {
                first = first.or(Some(milliseconds));
            }
        }
        assert!(first.is_some_and(|at| (4_000..5_000).contains(&at)), "{first:?}");
        assert!(accounts.missing.len() <= 8);
    }

    proptest! {
        /// Frames move through a pipe of six stages while the parties are read one after another, with whatever happening in
        /// between: no look finds anything. With one frame taken away for good, a look finds it.
        #[test]
        fn moving_frames_violate_nothing_and_a_lost_one_does(
            moves in proptest::collection::vec((0_usize..6, 1_u64..50), 200..400),
            stolen in 0_usize..5,
        ) {
            const ROOM: u64 = 64;
            let run = |steal: Option<usize>| {
                let mut counts = [0_u64; 6];
                let mut gone = [0_u64; 5];
                let mut accounts = Accounts::default();
                let mut found = Vec::new();
                let mut steps = moves.iter();
                let mut step = |counts: &mut [u64; 6], gone: &[u64; 5]| {
                    if let Some(&(stage, frames)) = steps.next() {
                        counts[stage] += match stage {
                            0 => frames.min(ROOM - (counts[0] - gone[0] - counts[1])),
                            _ => {
                                let waiting = counts[stage - 1] - gone[stage - 1] - counts[stage];
                                let room = counts.get(stage + 1).map_or(u64::MAX, |next| ROOM - (counts[stage] - gone[stage] - next));
                                frames.min(waiting).min(room)
                            }
                        };
                    }
                };
                for second in 0..20 {
                    if second == 10 && let Some(at) = steal {
                        // More than could be in between.
                        counts.iter_mut().take(at + 1).for_each(|count| *count += ROOM + 1);
                        gone[at] += ROOM + 1;
                    }
                    let mut readings = [Reading { room: ROOM, ..Reading::default() }; 5];
                    for boundary in (0..5).rev() {
                        readings[boundary].behind_first = counts[boundary + 1];
                        step(&mut counts, &gone);
                    }
                    for (boundary, reading) in readings.iter_mut().enumerate() {
                        reading.before = counts[boundary];
                        step(&mut counts, &gone);
                    }
                    for (boundary, reading) in readings.iter_mut().enumerate() {
                        step(&mut counts, &gone);
                        reading.behind_last = counts[boundary + 1];
                    }
                    found.extend(accounts.look(SECOND * second, readings.map(Some)));
                }
                found
            };
            prop_assert_eq!(run(None), []);
            let found = run(Some(stolen));
            prop_assert!(found.contains(&Boundary::ALL[stolen]), "{:?}", found);
        }
    }
}
