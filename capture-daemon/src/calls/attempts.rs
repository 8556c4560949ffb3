//! Registration attempts: what RFC 6076 sections 4.1 and 4.2 measure of one client's REGISTERs.

use std::hash::BuildHasher;
use std::num::NonZeroU32;
use std::time::Duration;

use super::Timeouts;
use crate::sip::{Message, nonce};
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
    /// The earliest request.
    request: Option<Request>,
    /// The final response at the hop nearest to the client, then the earliest.
    answer: Option<Answer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    ts: Timestamp,
    nonces: Nonces,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Answer {
    vias: u16,
    ts: Timestamp,
    code: u16,
    nonces: Nonces,
}

/// Nonces of a challenge or of credentials, as fingerprints. A registrar that asks twice, for another algorithm (RFC 8760
/// section 2.6), or a proxy that asks too, makes them two.
type Nonces = [Option<NonZeroU32>; 2];

fn nonces(message: &Message<'_>, headers: [&str; 2]) -> Nonces {
    let mut found = headers
        .into_iter()
        .flat_map(|name| message.headers(name))
        .filter_map(nonce)
        .filter_map(|nonce| NonZeroU32::new(rustc_hash::FxBuildHasher.hash_one(nonce) as u32));
    [found.next(), found.next()]
}

/// An attempt that was challenged.
#[derive(Clone, Copy, Debug)]
struct Begun {
    request: Option<Timestamp>,
    challenged: Timestamp,
    nonces: Nonces,
    challenges: u32,
}

impl Begun {
    /// Whether `round` goes on with it: it carries the challenge's nonce or, where that had none, comes in time.
    fn is_answered_by(&self, round: &Round, patience: Duration) -> bool {
        let at = round
            .request
            .map(|request| request.ts)
            .or(round.answer.map(|answer| answer.ts));
        let in_time = at.is_none_or(|at| at <= self.challenged.plus(patience));
        match round.request {
            Some(request) if self.nonces != [None, None] => self
                .nonces
                .iter()
                .flatten()
                .any(|nonce| request.nonces.contains(&Some(*nonce))),
            _ => in_time,
        }
    }
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
    pub fn request(&mut self, ts: Timestamp, message: &Message<'_>) -> Vec<Attempt> {
        let request = Request {
            ts,
            nonces: nonces(message, ["Authorization", "Proxy-Authorization"]),
        };
        self.round(message.cseq.number, |round| {
            round.request = Some(round.request.map_or(request, |known| known.min(request)));
        })
    }

    /// Takes in a final response. Returns what is settled by it.
    pub fn answer(&mut self, ts: Timestamp, message: &Message<'_>, code: u16) -> Vec<Attempt> {
        let answer = Answer {
            vias: u16::try_from(message.vias).unwrap_or(u16::MAX),
            ts,
            code,
            nonces: nonces(message, ["WWW-Authenticate", "Proxy-Authenticate"]),
        };
        self.round(message.cseq.number, |round| {
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
            // No more room than is needed: there are as many of these as registrations.
            self.rounds.reserve_exact(1);
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
        if let Some(left) = *begun
            && !left.is_answered_by(round, self.timeouts.request)
        {
            // The challenge was given up, and this is a new attempt.
            *begun = None;
            ended(Attempt {
                end: End::Abandoned,
                delay: None,
                challenges: left.challenges,
            });
        }
        let before = begun.take();
        let sent = round.request.map(|request| request.ts);
        let request = before.map_or(sent, |begun| begun.request);
        let challenges = before.map_or(0, |begun| begun.challenges);
        let due = |request: Timestamp| now.is_none_or(|now| now > request.plus(self.timeouts.request));
        let end = match round.answer {
            Some(Answer {
                code: 401 | 407,
                ts,
                nonces,
                ..
            }) => {
                *begun = Some(Begun {
                    request,
                    challenged: ts,
                    nonces,
                    challenges: challenges.saturating_add(1),
                });
                return;
            }
            Some(Answer { code: ..300, .. }) => End::Registered,
            Some(Answer { code, .. }) => End::Refused(code),
            None if sent.is_some_and(due) => End::TimedOut,
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
