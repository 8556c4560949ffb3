//! Where a call stands, and what it gives to RFC 6076: pure functions of its facts and of the time asked for.

use std::time::Duration;

use super::call::Call;
use super::dialog::{Dialog, Hangup};
use super::facts::{Pair, Tag};
use super::figures_of_call::Noted;
use super::invite::{At, Attempt, Refusal, is_challenge};
use super::table::{Entry, Worth};
use super::{CallFigures, milliseconds};
use crate::media::InfoDigits;
use crate::report::{CallState, EndedBy};
use crate::time::Timestamp;

impl Call {
    /// The 2xx that set the call up, with the From tag and CSeq of its INVITE; `None` where the first 2xx that was seen
    /// answers a re-INVITE.
    fn set_up(&self) -> Option<(Timestamp, u16, &Attempt)> {
        let (ts, code, from, cseq) = self.first_answer.get()?;
        let attempt = self.attempts.get(*from, *cseq)?;
        (!attempt.in_dialog).then_some((*ts, *code, attempt))
    }

    /// The first 2xx to the INVITE that set the call up.
    pub fn answered(&self) -> Option<(Timestamp, u16)> {
        self.set_up().map(|(ts, code, _)| (ts, code))
    }

    /// Whether the call was joined in the middle: inside its dialog.
    pub fn is_joined_late(&self) -> bool {
        self.origin.get().is_some_and(|origin| origin.in_dialog)
    }

    /// Dialogs in which there is a session to end. A 2xx that was seen further on but not on the caller's hop made none for
    /// the caller. Of a call that was joined in the middle, an UPDATE or INFO shows one.
    fn sessions(&self) -> impl Iterator<Item = (&Pair, &Dialog)> {
        let late = self.is_joined_late() && self.attempts.initial().next().is_none();
        let first = self.first_answer.get();
        let attempt = first.and_then(|(_, _, from, cseq)| self.attempts.get(*from, *cseq));
        let hop = attempt.and_then(|attempt| attempt.vias.get().copied());
        let hop = hop.filter(|vias| self.dialogs.iter().any(|(_, dialog)| dialog.is_answered_within(*vias)));
        self.dialogs.iter().filter(move |(_, dialog)| {
            let answered = dialog.is_answered() && hop.is_none_or(|vias| dialog.is_answered_within(vias));
            answered || dialog.reinvited || (late && dialog.used)
        })
    }

    /// Whether the call was answered, before our eyes or not.
    fn has_session(&self) -> bool {
        self.first_answer.get().is_some() || self.sessions().next().is_some()
    }

    /// The BYE that ended the call, and the tag of who sent it: of several dialogs that were answered, the last one's, as a caller that is answered
    /// twice hangs up on all but one (RFC 3261 section 13.2.2.4). `None` while one of them goes on.
    pub fn hangup(&self) -> Option<(Tag, &Hangup)> {
        let earliest = |of: &dyn Fn(&Pair) -> bool| {
            let dialogs = self.dialogs.iter().filter(|(pair, _)| of(pair));
            let byes = dialogs.filter_map(|(_, dialog)| dialog.hangup());
            byes.min_by_key(|(_, hangup)| hangup.at())
        };
        if self.sessions().next().is_none() {
            return earliest(&|_| true);
        }
        // Without both tags, and with more dialogs than are kept, a BYE cannot be told from another's.
        let stray = earliest(&|pair| !pair.is_whole() || self.dialogs.overflowed());
        let mut last = None;
        for (pair, dialog) in self.sessions() {
            let any = || if pair.is_whole() { None } else { earliest(&|_| true) };
            let hangup = dialog.hangup().or(stray).or_else(any)?;
            let at = |hangup: (Tag, &Hangup)| hangup.1.at();
            if last.is_none_or(|known| at(known) < at(hangup)) {
                last = Some(hangup);
            }
        }
        last
    }

    /// When nothing more is to be expected of an answered call that no BYE ends: its session timer has run out (RFC 4028
    /// section 10) or, where it has none, it has said nothing for as long as configured.
    pub fn expires(&self) -> Timestamp {
        let timer = self
            .session_expires
            .get()
            .map(|(_, seconds)| Duration::from_secs(u64::from(*seconds)).saturating_add(self.rules.timeouts.request));
        self.last.plus(timer.unwrap_or(self.rules.answered_timeout))
    }

    /// The refusal that decides: one at the caller's hop, or, when nothing else came in time, one further on.
    pub fn refusal(&self, now: Timestamp) -> Option<&Refusal> {
        let attempt = self.attempts.latest()?;
        attempt.refusal.get().map(AsRef::as_ref).filter(|refusal: &&Refusal| {
            let reached_the_caller = attempt.vias.get().is_none_or(|vias| refusal.vias <= *vias);
            reached_the_caller || self.waited_too_long(attempt, now)
        })
    }

    fn waited_too_long(&self, attempt: &Attempt, now: Timestamp) -> bool {
        let active = attempt.active.get().copied().unwrap_or_default();
        now > active.plus(self.rules.timeouts.invite)
    }

    /// Where the call stands at `now`.
    pub fn state(&self, now: Timestamp) -> CallState {
        if self.has_session() {
            return match self.hangup() {
                Some(_) => CallState::Ended,
                None if now > self.expires() => CallState::Ended,
                None => CallState::Answered,
            };
        }
        // A BYE in an early dialog gives up as a CANCEL does (RFC 3261 section 15), and is answered with 487 too.
        let hung_up = self.hangup().is_some();
        let Some(attempt) = self.attempts.latest() else {
            return if hung_up { CallState::Ended } else { CallState::Trying };
        };
        let given_up = attempt.cancelled || hung_up;
        match self.refusal(now).map(|refusal| refusal.code) {
            Some(487) if given_up => CallState::Cancelled,
            Some(_) => CallState::Failed,
            None if attempt.cancelled => CallState::Cancelled,
            None if hung_up => CallState::Ended,
            None if self.waited_too_long(attempt, now) => CallState::TimedOut,
            None if attempt.provisional.get().is_some_and(|provisional| provisional.rings) => CallState::Ringing,
            None => CallState::Trying,
        }
    }

    /// When the call ended for good, so that its media endpoints are free for the next; `None` while it goes on or may
    /// go on with credentials (401, 407).
    pub fn ended_at(&self) -> Option<Timestamp> {
        let hung_up = self.hangup().and_then(|(_, hangup)| hangup.at());
        if self.has_session() {
            return hung_up;
        }
        // At the time zero nothing has timed out yet: only what was said counts.
        match self.refusal(Timestamp::ZERO) {
            Some(Refusal { code: 401 | 407, .. }) => None,
            Some(refusal) => Some(refusal.ts),
            None => hung_up,
        }
    }

    /// Whether the call has been over for longer than `linger` at `now`.
    pub fn is_forgotten(&self, now: Timestamp, linger: Duration) -> bool {
        let quiet_for = now.since(self.last);
        // Whatever it is worth; most calls that are looked at have been heard of lately.
        if quiet_for <= self.rules.timeouts.request.min(linger) {
            return false;
        }
        match self.worth(now) {
            // Its INVITE will not come any more.
            Worth::Loose => quiet_for > self.rules.timeouts.request.min(linger),
            // Without a BYE it was over only when its time had run out.
            Worth::Over if self.has_session() && self.hangup().is_none() => now > self.expires().plus(linger),
            Worth::Over => quiet_for > linger,
            Worth::Live => false,
        }
    }

    /// INVITEs that were answered with a challenge, and those that were redirected, up to the one that decides.
    pub fn rounds(&self) -> (u32, u32) {
        let decides = self.first_answer.get().map(|(_, _, from, cseq)| (*from, *cseq));
        let mut rounds = (0, 0);
        for (from, cseq, attempt) in self.attempts.initial() {
            if decides.is_some_and(|(by, last)| from != by || cseq > last) {
                continue;
            }
            match attempt.refused_with() {
                Some(code) if is_challenge(code) => rounds.0 += 1,
                Some(300..400) => rounds.1 += 1,
                _ => {}
            }
        }
        rounds
    }

    /// What the call gives to the totals of RFC 6076 at `now`.
    pub fn figures(&self, now: Timestamp) -> CallFigures {
        let set_up = self.set_up();
        let attempt = set_up.map(|(_, _, attempt)| attempt).or(self.attempts.latest());
        let state = self.state(now);
        let (challenges, redirects) = self.rounds();
        let refusal = self.refusal(now).filter(|_| !self.has_session());
        let delay = |from: Option<Timestamp>, to: Option<Timestamp>| Some(milliseconds(from?, to?));
        let time = |at: Option<&At>| at.map(|at| at.ts);

        let asked = attempt.and_then(|attempt| attempt.asked.get().copied());
        let indication = attempt.and_then(|attempt| time(attempt.indication.get()));
        let answer = attempt.and_then(|attempt| time(attempt.answer.get()));
        let refused = refusal
            .filter(|refusal| !is_challenge(refusal.code))
            .map(|refusal| refusal.ts);
        let request_delay = match state {
            CallState::Answered | CallState::Ended | CallState::Cancelled => delay(asked, indication.or(answer)),
            _ => None,
        };
        let failed_request_delay = match state {
            CallState::Failed => refused.and_then(|refused| delay(asked, indication.or(Some(refused)))),
            _ => None,
        };
        let first_asked = self
            .attempts
            .initial()
            .filter_map(|(_, _, attempt)| attempt.asked.get().copied())
            .min();
        let audible = attempt.and_then(|attempt| time(attempt.audible.get()));
        let ringing = attempt.and_then(|attempt| time(attempt.ringing.get()));

        let bye = self.hangup().map(|(_, hangup)| self.disconnect(hangup, now));
        let bye = bye.unwrap_or_default();
        let answered = set_up.and(answer);
        CallFigures {
            state,
            is_session_request: self.origin.get().is_some() && !self.is_joined_late(),
            final_code: set_up.map(|(_, code, _)| code).or(refusal.map(|refusal| refusal.code)),
            challenges,
            redirects,
            session_request_delay_ms: request_delay,
            failed_session_request_delay_ms: failed_request_delay,
            session_disconnect_delay_ms: delay(bye.asked, bye.done),
            failed_session_disconnect_delay_ms: delay(bye.asked, bye.failed),
            session_duration_ms: delay(answered, bye.asked.filter(|_| bye.done.is_some())),
            failed_session_duration_ms: delay(answered, bye.failed),
            ring_time_ms: delay(ringing, answered),
            post_dial_delay_ms: delay(first_asked, audible),
            completed: self.is_completed(state, &bye),
            noted: std::array::from_fn(|at| self.is_noted(Noted::ALL[at], now)),
            info_digits: self.info_digits.as_deref().map_or(0, InfoDigits::count),
        }
    }

    fn is_noted(&self, of: Noted, now: Timestamp) -> bool {
        match of {
            Noted::Forked => self.dialogs.iter().count() > 1,
            Noted::Loop => self.path.is_loop(),
            Noted::Spiral => self.path.is_spiral(),
            Noted::Transfer => self.transfers.any(),
            Noted::Prack => self.reliable,
            Noted::JoinedLate => self.is_joined_late(),
            Noted::ByeUnanswered => self.state(now) == CallState::Ended && self.bye_unanswered(now),
        }
    }

    fn disconnect(&self, hangup: &Hangup, now: Timestamp) -> Disconnect {
        let asked = hangup.asked.get().copied();
        let done = hangup.done.get().map(|(_, ts, _)| *ts);
        let refused = hangup.refused.get().map(|(ts, _)| *ts);
        let deadline = asked.map(|asked| asked.plus(self.rules.timeouts.request));
        let timed_out = deadline.filter(|deadline| now > *deadline);
        Disconnect {
            asked,
            done,
            failed: refused.or(timed_out).filter(|_| done.is_none()),
            unanswered: refused.is_none() && done.is_none() && timed_out.is_some(),
        }
    }

    /// How a call that ended did.
    pub fn ended_by(&self) -> EndedBy {
        match self.hangup() {
            Some(_) => EndedBy::Bye,
            None => EndedBy::NoBye,
        }
    }

    /// Whether nothing answered the BYE that ended the call in time (timer F).
    pub fn bye_unanswered(&self, now: Timestamp) -> bool {
        self.hangup()
            .is_some_and(|(_, hangup)| self.disconnect(hangup, now).unanswered)
    }

    fn is_completed(&self, state: CallState, bye: &Disconnect) -> Option<bool> {
        match state {
            CallState::Trying | CallState::Ringing | CallState::Answered => None,
            CallState::Cancelled => Some(true),
            CallState::TimedOut => Some(false),
            CallState::Failed => {
                let code = self.attempts.latest().and_then(Attempt::refused_with);
                Some(code != Some(408))
            }
            CallState::Ended if bye.unanswered || self.hangup().is_none() => Some(false),
            CallState::Ended => (bye.done.is_some() || bye.failed.is_some()).then_some(true),
        }
    }
}

/// How a BYE went.
#[derive(Clone, Copy, Debug, Default)]
struct Disconnect {
    asked: Option<Timestamp>,
    done: Option<Timestamp>,
    /// Another final response than 2xx, or the time limit.
    failed: Option<Timestamp>,
    unanswered: bool,
}

impl Entry for Call {
    fn last(&self) -> Timestamp {
        self.last
    }

    fn worth(&self, now: Timestamp) -> Worth {
        if !self.is_call() {
            return Worth::Loose;
        }
        if self.state(now).is_over() {
            Worth::Over
        } else {
            Worth::Live
        }
    }
}
