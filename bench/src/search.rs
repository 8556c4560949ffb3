//! The highest rate a receiver takes without losing a frame: found by going down from what it captures under more than it can
//! take, and up again from round to round.

use anyhow::Result;

use crate::run::Run;

/// A rate that was held at the first try is followed, in the next round, by one higher by this factor, and if that is held at once too, by
/// its square, and so on.
const UP: f64 = 1.04;

/// What the first look captured may be far less than what is held at a pace: in the first round, a rate that was held is followed by one
/// higher by this factor, the next by its square, and so on, until one is not.
const CLIMB: f64 = 1.08;

/// After a loss, the next rate tried is halfway to the last that was held, or, where that is as near as this, at most this part of the
/// one that was not held.
const DOWN: f64 = 0.96;

/// A rate this much lower than asked was the generator's or the wire's limit, not the receiver's.
const SHORT: f64 = 0.98;

/// Where one receiver stands.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Whether nothing is known yet.
    is_new: bool,
    /// The next rate to try, in frames a second; `None`: without pace.
    next: Option<f64>,
    /// What the last load without pace reached, or is thought to reach.
    unpaced: f64,
    /// In the first round, from the first look on and as long as every rate is held: by what factor the next is higher.
    climb: Option<f64>,
    /// Later: by what factor the next is higher than one that was held at the first try.
    up: f64,
    /// The last rate that was held, unless as much was lost at since.
    held: Option<f64>,
}

/// A load to try.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Try {
    /// Frames a second; `None`: as fast as it goes.
    pub rate: Option<u32>,
    /// How many a second that will be, for the length of the run.
    pub expected: f64,
    /// The first look at a receiver, to know where to begin: short, and no result.
    pub is_probe: bool,
}

/// What a round found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The run that lost nothing, at the highest rate tried that was held; `None` where none of them was.
    pub clean: Option<Run>,
    /// The last run: that one, or one that lost frames.
    pub last: Run,
    /// Runs it took.
    pub attempts: u32,
}

impl Search {
    /// One that begins with a load without pace, which is thought to reach `unpaced` frames a second.
    pub const fn new(unpaced: f64) -> Self {
        Self {
            is_new: true,
            next: None,
            unpaced,
            climb: None,
            up: UP,
            held: None,
        }
    }

    /// One round: tries rates, from the one that the rounds before lead to downwards, until one is held or `attempts` are used
    /// up; the first round goes up from there, where the first is held.
    ///
    /// # Errors
    /// What `measure` gives.
    pub fn round(&mut self, attempts: u32, mut measure: impl FnMut(Try) -> Result<Run>) -> Result<Found> {
        let (mut tried, mut clean) = (0, None);
        loop {
            let load = Try {
                rate: self.next.map(|rate| rate.max(1.0) as u32),
                expected: self.next.unwrap_or(self.unpaced),
                is_probe: self.is_new,
            };
            let run = measure(load)?;
            self.is_new = false;
            let is_clean = run.is_lossless();
            self.learn(&run, is_clean, tried == 0);
            if load.is_probe {
                self.climb = Some(CLIMB);
                continue;
            }
            tried += 1;
            // Nothing faster can be made than what goes without pace.
            let goes_on = if is_clean {
                self.climb.is_some() && self.next.is_some()
            } else {
                clean.is_none()
            };
            if is_clean {
                clean = Some(run.clone());
            }
            if !goes_on || tried >= attempts.max(1) {
                self.climb = None;
                return Ok(Found {
                    clean,
                    last: run,
                    attempts: tried,
                });
            }
        }
    }

    /// Chooses the next rate. What was captured, buffers and all, is more than can be sustained.
    fn learn(&mut self, run: &Run, is_clean: bool, is_first: bool) {
        let (offered, captured) = (run.offered(), run.captured());
        if self.next.is_none() {
            self.unpaced = offered;
        }
        self.next = match (self.next, is_clean) {
            // Nothing faster can be made.
            (None, true) => None,
            (Some(asked), true) if offered < asked * SHORT => None,
            (Some(asked), true) => {
                self.held = Some(asked);
                let factor = match self.climb {
                    Some(climb) => climb,
                    None if is_first => self.up,
                    None => 1.0,
                };
                if self.climb.is_some() {
                    self.climb = Some(factor * factor);
                } else if is_first {
                    self.up = factor * factor;
                }
                Some(asked * factor)
            }
            (_, false) => {
                (self.climb, self.up) = (None, UP);
                self.held = self.held.filter(|held| *held < offered * DOWN);
                let halfway = self.held.map(|held| (held * offered).sqrt());
                Some(halfway.unwrap_or((offered * DOWN).min(captured)))
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Account, Passage, Stage};
    use crate::cpu::CpuTime;

    /// A receiver that takes `limit` frames a second, behind a generator that makes `most`.
    fn run(asked: Option<u32>, limit: u64, most: u64) -> Run {
        let made = asked.map_or(most, |asked| u64::from(asked).min(most));
        let lost = made.saturating_sub(limit);
        let account = Account {
            passages: vec![Passage::new(Stage::Sockets, made, lost)],
            captured: made - lost,
        };
        Run {
            account: account.check().unwrap(),
            announced: 0,
            seconds: 1.0,
            cpu: CpuTime { user: 0.0, system: 0.0 },
            others: 0.0,
        }
    }

    #[test]
    fn the_limit_is_found_and_kept_near() {
        let mut search = Search::new(4e6);
        for round in 0..5 {
            let found = search
                .round(4, |load| Ok(run(load.rate, 1_000_000, 4_000_000)))
                .unwrap();
            let rate = found.clean.unwrap().offered();
            assert!((920_000.0..=1_000_000.0).contains(&rate), "round {round}: {rate}");
        }
    }

    #[test]
    fn the_first_round_climbs_from_what_was_captured_of_too_much() {
        // Under more than it can take it captures half of what it holds at a pace.
        let receiver = |load: Try| {
            let limit = load.rate.map_or(1_000_000, |_| 2_000_000);
            Ok(run(load.rate, limit, 4_000_000))
        };
        let mut search = Search::new(4e6);
        let rates = [12, 4, 4].map(|attempts| search.round(attempts, receiver).unwrap());
        let held = rates.map(|found| found.clean.unwrap().offered());
        assert!(
            held.iter().all(|rate| (1_600_000.0..=2_000_000.0).contains(rate)),
            "{held:?}"
        );
        assert!(held.iter().skip(1).all(|rate| *rate > 1_900_000.0), "{held:?}");
    }

    #[test]
    fn what_is_far_from_the_first_look_is_found() {
        // Under too much it captures a fraction of what it holds at a pace, as one that writes to a disk may.
        for paced in [1_000_000, 2_000_000, 3_000_000] {
            let receiver = |load: Try| {
                let limit = load.rate.map_or(800_000, |_| paced);
                Ok(run(load.rate, limit, 4_000_000))
            };
            let mut search = Search::new(4e6);
            let rates: Vec<f64> = (0..5)
                .map(|_| search.round(4, receiver).unwrap().clean.unwrap().offered())
                .collect();
            let limit = paced as f64;
            assert!(rates.iter().all(|rate| (790_000.0..=limit).contains(rate)), "{rates:?}");
            assert!(rates.iter().skip(1).all(|rate| *rate > 0.84 * limit), "{rates:?}");
        }
    }

    #[test]
    fn one_that_takes_all_that_can_be_made_is_not_searched_further() {
        let mut search = Search::new(4e6);
        for _ in 0..3 {
            let found = search
                .round(4, |load| Ok(run(load.rate, 5_000_000, 4_000_000)))
                .unwrap();
            assert_eq!((found.attempts, found.clean.unwrap().offered()), (1, 4_000_000.0));
        }
    }

    #[test]
    fn one_that_always_loses_has_no_rate() {
        let losing = |asked: Option<u32>| {
            let mut run = run(asked, 1_000_000, 4_000_000);
            let account = Account {
                passages: vec![Passage::new(Stage::Sockets, 100, 1)],
                captured: 99,
            };
            run.account = account.check().unwrap();
            run
        };
        let found = Search::new(4e6).round(3, |load| Ok(losing(load.rate))).unwrap();
        assert_eq!(found.attempts, 3);
        assert!(found.clean.is_none());
        assert_eq!(found.last.lost(), 1);
    }
}
