//! Round trips between here and one end, from a report that names an earlier one.
//!
//! A sender report passes at T1. The receiver answers with the middle of its clock (LSR) and the time it kept it (DLSR), and
//! that passes at T2: T2 - T1 - DLSR is the round trip between this place and the receiver (RFC 3550 section 6.4.1 from
//! the middle of the path). The two come on different lanes, so each waits for the other.

use std::time::Duration;

use crate::time::Timestamp;

/// Reports of either kind that wait for their counterpart; the oldest leave. With video a report may follow every 50 ms,
/// and this is 400 ms of it.
const WAITING: usize = 8;

/// Clocks of two queues and of the other end tick on their own: a round trip below zero by no more than this is one of none.
const TOLERANCE_NS: i64 = 10_000_000;

/// Smallest, largest, latest and sum of some times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// How many.
    pub count: u64,
    min: u64,
    max: u64,
    sum: u64,
    last: (Timestamp, u64),
}

impl Spread {
    /// Takes one time of `at`.
    pub fn take(&mut self, at: Timestamp, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.add(&Self {
            count: 1,
            min: nanos,
            max: nanos,
            sum: nanos,
            last: (at, nanos),
        });
    }

    /// Takes those of another.
    pub fn add(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.min = if self.count == 0 {
            other.min
        } else {
            self.min.min(other.min)
        };
        self.max = self.max.max(other.max);
        self.last = self.last.max(other.last);
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// Minimum, mean, maximum and latest in milliseconds; `None` where there is none.
    pub fn milliseconds(&self) -> Option<[f64; 4]> {
        let ms = |nanos: u64| nanos as f64 / 1e6;
        let mean = self.sum as f64 / self.count as f64 / 1e6;
        (self.count > 0).then(|| [ms(self.min), mean, ms(self.max), ms(self.last.1)])
    }
}

/// One end's clock that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sent {
    at: Timestamp,
    middle: u32,
}

/// A report of the other end that names a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Echo {
    at: Timestamp,
    middle: u32,
    delay: u32,
}

/// The round trips of one path.
#[derive(Clone, Debug, Default)]
pub struct RoundTrips {
    sent: Latest<Sent>,
    waiting: Latest<Echo>,
    /// Those that were measured.
    pub measured: Spread,
}

impl RoundTrips {
    /// A clock whose middle bits are these passed at `at`. Gives what it measures to `tell`.
    pub fn sent(&mut self, at: Timestamp, middle: u32, mut tell: impl FnMut(Duration)) {
        // The same clock twice is a copy on the wire; what counts is the first.
        let at = match self.sent.find(|sent| sent.middle == middle) {
            Some(known) => {
                known.at = known.at.min(at);
                known.at
            }
            None => {
                self.sent.insert(Sent { at, middle });
                at
            }
        };
        while let Some(echo) = self.waiting.take(|echo| echo.middle == middle) {
            self.measure(at, echo, &mut tell);
        }
    }

    /// The other end named a clock that it had for `delay` 65536ths of a second.
    pub fn echo(&mut self, at: Timestamp, middle: u32, delay: u32, mut tell: impl FnMut(Duration)) {
        // 0 stands for "none came yet".
        if middle == 0 {
            return;
        }
        let echo = Echo { at, middle, delay };
        match self.sent.find(|sent| sent.middle == middle) {
            Some(&mut Sent { at, .. }) => self.measure(at, echo, &mut tell),
            None => self.waiting.insert(echo),
        }
    }

    fn measure(&mut self, sent: Timestamp, echo: Echo, tell: &mut impl FnMut(Duration)) {
        let passed = echo.at.as_nanos().wrapping_sub(sent.as_nanos()).cast_signed();
        let kept = (u64::from(echo.delay) * 1_000_000_000) >> 16;
        let nanos = passed.saturating_sub_unsigned(kept);
        if nanos >= -TOLERANCE_NS {
            let time = Duration::from_nanos(nanos.max(0).unsigned_abs());
            self.measured.take(echo.at, time);
            tell(time);
        }
    }

    /// Takes in what another saw of the same path, and what the two can tell together.
    pub fn add(&mut self, other: &Self) {
        self.measured.add(&other.measured);
        for sent in other.sent.iter() {
            self.sent(sent.at, sent.middle, |_| ());
        }
        for echo in other.waiting.iter() {
            self.echo(echo.at, echo.middle, echo.delay, |_| ());
        }
    }
}

/// The greatest few of some values.
#[derive(Clone, Debug)]
struct Latest<T>([Option<T>; WAITING]);

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| None))
    }
}

impl<T: Copy + Ord> Latest<T> {
    fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }

    fn find(&mut self, is: impl Fn(&T) -> bool) -> Option<&mut T> {
        self.0.iter_mut().flatten().find(|value| is(value))
    }

    fn take(&mut self, is: impl Fn(&T) -> bool) -> Option<T> {
        self.0.iter_mut().find(|place| place.as_ref().is_some_and(&is))?.take()
    }

    /// An empty place or that of the least, unless this is less still.
    fn insert(&mut self, value: T) {
        if let Some(place) = self.0.iter_mut().min()
            && place.is_none_or(|least| least < value)
        {
            *place = Some(value);
        }
    }
}

#[cfg(test)]
#[path = "round_trip_tests.rs"]
mod tests;
