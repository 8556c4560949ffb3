//! Registration attempts: what RFC 6076 sections 4.1 and 4.2 measure of one client's REGISTERs.

use std::time::Duration;

use super::{Timeouts, earliest};
use crate::time::Timestamp;

/// REGISTERs of one client of which each message is remembered. What is below them is settled and only counted: answers
/// that come so much later than others that this many REGISTERs lie between are not expected.
const ROUNDS: usize = 8;

/// The REGISTERs of one Call-ID, in order of their CSeq, which grows by one with each (RFC 3261 section 10.2).
#[derive(Clone, Debug)]
pub struct Attempts {
    timeouts: Timeouts,
    /// Lowest CSeq first.
    rounds: Vec<Round>,
    /// The highest CSeq that was settled.
    settled: Option<u32>,
    /// The attempt whose challenges have been settled, but not its end.
    begun: Option<Begun>,
}

/// One REGISTER and its final response.
#[derive(Clone, Copy, Debug)]
struct Round {
    cseq: u32,
    request: Option<Timestamp>,
    /// The final response at the hop nearest to the client, then the earliest.
    answer: Option<Answer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Answer {
    vias: usize,
    ts: Timestamp,
    code: u16,
}

/// An attempt that was challenged.
#[derive(Clone, Copy, Debug)]
struct Begun {
    request: Option<Timestamp>,
    challenged: Timestamp,
    challenges: u32,
}

/// One attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// How it ended.
    pub end: End,
    /// First REGISTER to 2xx, the challenge between them included (RFC 6076 section 4.1); `None` where it was not
    /// successful or did not begin before our eyes.
    pub delay: Option<Duration>,
    /// REGISTERs of it that were answered with 401 or 407.
    pub challenges: u32,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a 2xx.
    Registered,
    /// With this code of 300 or above, which is no challenge.
    Refused(u16),
    /// No answer in time (timer F).
    TimedOut,
    /// Challenged, and no REGISTER with credentials came in time.
    Abandoned,
    /// Not yet.
    Open,
}

impl End {
    /// Whether RFC 6076 section 4.2 calls it a failure: redirections are none, nor is 402.
    pub const fn is_ineffective(self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Refused(code) => code >= 400 && code != 402,
            Self::Registered | Self::Abandoned | Self::Open => false,
        }
    }
}

impl Attempts {
    /// No REGISTER yet.
    pub const fn new(timeouts: Timeouts) -> Self {
        Self {
            timeouts,
            rounds: Vec::new(),
            settled: None,
            begun: None,
        }
    }

    /// Takes in a REGISTER. Returns what is settled by it.
    pub fn request(&mut self, ts: Timestamp, cseq: u32) -> Vec<Attempt> {
        self.round(cseq, |round| round.request = earliest(round.request, ts))
    }

    /// Takes in a final response that has passed `vias` hops less than its request. Returns what is settled by it.
    pub fn answer(&mut self, ts: Timestamp, cseq: u32, vias: usize, code: u16) -> Vec<Attempt> {
        let answer = Answer { vias, ts, code };
        self.round(cseq, |round| {
            round.answer = Some(round.answer.map_or(answer, |known| known.min(answer)));
        })
    }

    fn round(&mut self, cseq: u32, with: impl FnOnce(&mut Round)) -> Vec<Attempt> {
        if self.settled.is_some_and(|settled| cseq <= settled) {
            return Vec::new();
        }
        let place = self.rounds.partition_point(|round| round.cseq < cseq);
        if self.rounds.get(place).is_none_or(|round| round.cseq != cseq) {
            let round = Round {
                cseq,
                request: None,
                answer: None,
            };
            self.rounds.insert(place, round);
        }
        if let Some(round) = self.rounds.get_mut(place) {
            with(round);
        }
        if self.rounds.len() <= ROUNDS {
            return Vec::new();
        }
        let lowest = self.rounds.remove(0);
        self.settled = Some(lowest.cseq);
        let mut attempts = Vec::new();
        let mut begun = self.begun;
        // Others have followed: an answer is not waited for any more (RFC 3261 section 10.2).
        self.follow(&mut begun, &lowest, None, |attempt| attempts.push(attempt));
        self.begun = begun;
        attempts
    }

    /// The attempts that are not settled, as they stand at `now`, the earliest first.
    pub fn unsettled(&self, now: Timestamp) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        let mut begun = self.begun;
        for round in &self.rounds {
            self.follow(&mut begun, round, Some(now), |attempt| attempts.push(attempt));
        }
        if let Some(begun) = begun {
            let waits = now <= begun.challenged.plus(self.timeouts.request);
            attempts.push(Attempt {
                end: if waits { End::Open } else { End::Abandoned },
                delay: None,
                challenges: begun.challenges,
            });
        }
        attempts
    }

    /// Goes on from `begun` with the next REGISTER, as it stands at `now` or, without, for good. Tells of each attempt
    /// that ends by it.
    fn follow(&self, begun: &mut Option<Begun>, round: &Round, now: Option<Timestamp>, mut ended: impl FnMut(Attempt)) {
        let at = round.request.or(round.answer.map(|answer| answer.ts));
        if let Some(left) = *begun
            && at.is_some_and(|at| at > left.challenged.plus(self.timeouts.request))
        {
            // It is a refresh: the challenge was given up.
            *begun = None;
            ended(Attempt {
                end: End::Abandoned,
                delay: None,
                challenges: left.challenges,
            });
        }
        let before = begun.take();
        let request = before.map_or(round.request, |begun| begun.request);
        let challenges = before.map_or(0, |begun| begun.challenges);
        let due = |request: Timestamp| now.is_none_or(|now| now > request.plus(self.timeouts.request));
        let end = match round.answer {
            Some(Answer {
                code: 401 | 407, ts, ..
            }) => {
                *begun = Some(Begun {
                    request,
                    challenged: ts,
                    challenges: challenges.saturating_add(1),
                });
                return;
            }
            Some(Answer { code: ..300, .. }) => End::Registered,
            Some(Answer { code, .. }) => End::Refused(code),
            None if round.request.is_some_and(due) => End::TimedOut,
            None => End::Open,
        };
        let answered = round.answer.filter(|_| end == End::Registered);
        ended(Attempt {
            end,
            delay: answered.and_then(|answer| Some(answer.ts.since(request?))),
            challenges,
        });
    }
}
