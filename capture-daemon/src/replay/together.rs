//! How several engines stay together: each may be ahead of the others within a stretch of frames, and none begins the next before
//! all have ended this one. They wait awake: asleep in a channel, as was tried while one thread dealt out, a file took a tenth longer on two cores.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::utils::{Backoff, CachePadded};

/// Stretches that each engine has ended.
#[derive(Debug)]
pub struct Together(Vec<CachePadded<AtomicU64>>);

impl Together {
    /// Of so many engines, none of which has ended one.
    pub fn new(engines: usize) -> Self {
        Self(std::iter::repeat_with(CachePadded::default).take(engines).collect())
    }

    /// The place of one of them.
    pub fn place(&self, own: usize) -> Place<'_> {
        Place {
            all: self,
            own,
            ended: 0,
        }
    }

    fn tell(&self, own: usize, ended: u64) {
        if let Some(own) = self.0.get(own) {
            // What the engine has taken in is there for who sees the number.
            own.store(ended, Ordering::Release);
        }
    }
}

/// An engine's place. Dropped, whether the engine has come to its end or panicked, nobody waits for it any more.
#[derive(Debug)]
pub struct Place<'a> {
    all: &'a Together,
    own: usize,
    ended: u64,
}

impl Place<'_> {
    /// Ends a stretch, and waits until all have ended it. Not asleep: the others are at work, and mostly as far.
    pub fn end(&mut self) {
        self.ended = self.ended.saturating_add(1);
        self.all.tell(self.own, self.ended);
        let backoff = Backoff::new();
        let is_behind = |other: &CachePadded<AtomicU64>| other.load(Ordering::Acquire) < self.ended;
        while self.all.0.iter().any(is_behind) {
            backoff.snooze();
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.all.tell(self.own, u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use super::*;

    #[test]
    fn nobody_begins_a_stretch_before_all_have_ended_the_last() {
        const ENGINES: usize = 3;
        const STRETCHES: usize = 2_000;
        let together = Together::new(ENGINES);
        let taken = AtomicUsize::new(0);
        thread::scope(|scope| {
            for own in 0..ENGINES {
                let (together, taken) = (&together, &taken);
                scope.spawn(move || {
                    let mut place = together.place(own);
                    for stretch in 0..STRETCHES {
                        let before = taken.fetch_add(1, Ordering::Relaxed);
                        assert!(
                            (stretch * ENGINES..(stretch + 1) * ENGINES).contains(&before),
                            "{before} in {stretch}"
                        );
                        place.end();
                    }
                });
            }
        });
        assert_eq!(taken.into_inner(), ENGINES * STRETCHES);
    }

    #[test]
    fn nobody_waits_for_one_that_is_gone() {
        let together = Together::new(2);
        let gone = thread::scope(|scope| {
            let panicking = scope.spawn(|| {
                let _place = together.place(0);
                panic!("as an engine might");
            });
            panicking.join()
        });
        assert!(gone.is_err());
        together.place(1).end();
    }
}
