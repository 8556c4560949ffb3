//! The facts of one call, and where it stands.

use super::media::MediaFacts;
use super::table::{Entry, Worth};
use super::{CallFigures, Timeouts, earliest, kept_text, milliseconds};
use crate::net::Endpoint;
use crate::report::{self, CallState};
use crate::sip::{Message, Method, StartLine};
use crate::time::Timestamp;

/// What is known of the messages under one Call-ID. Every field is a minimum, a maximum or a sum over messages, so the
/// order they are recorded in does not matter, and retransmissions and the second sight of a message behind a proxy
/// move nothing.
#[derive(Clone, Debug)]
pub struct Call {
    timeouts: Timeouts,
    first: Timestamp,
    last: Timestamp,
    messages: u64,
    /// The earliest INVITE, or the earliest response to one where no INVITE was seen.
    origin: Option<Origin>,
    /// The earliest 2xx to an INVITE. A 2xx to a re-INVITE is later by nature.
    answer: Option<(Timestamp, u16)>,
    /// The earliest BYE.
    bye: Option<Timestamp>,
    /// An INVITE with a To tag was seen, so a dialog was there before it (RFC 3261 section 14.1), answered or not
    /// before our eyes.
    reinvited: bool,
    /// The INVITE with the highest CSeq. Only what happens to it can fail a call that no 2xx has answered: 401, 407 and
    /// 3xx rounds send a new INVITE with a higher CSeq (RFC 3261 section 8.1.3.5).
    attempt: Option<Attempt>,
    /// What SDP says.
    pub(super) media: MediaFacts,
}

/// Who called whom.
#[derive(Clone, Debug)]
struct Origin {
    rank: OriginRank,
    from_uri: Box<str>,
    to_uri: Box<str>,
}

/// What makes one message the better witness; the least is kept. Requests before responses, then by time; the hops and
/// the addresses decide between two sights of one message at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct OriginRank {
    is_response: bool,
    ts: Timestamp,
    vias: usize,
    src: Endpoint,
    dst: Endpoint,
    /// A To tag: the dialog was there before (RFC 3261 section 12.2).
    in_dialog: bool,
}

/// One INVITE, its responses and its CANCEL.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    cseq: u32,
    /// Fewest Via values of the request: those at the hop nearest to the caller.
    vias: Option<usize>,
    /// Latest request or provisional response, from which timer C runs (RFC 3261 section 16.7, step 2).
    active: Timestamp,
    /// The latest provisional response, any but 100 before a 100.
    provisional: Option<Provisional>,
    /// The final response of 300 or above at the hop nearest to the caller, where a forking proxy sends its choice.
    refusal: Option<Refusal>,
    cancelled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Provisional {
    rings: bool,
    ts: Timestamp,
    code: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Refusal {
    vias: usize,
    ts: Timestamp,
    code: u16,
}

impl Call {
    /// A call of which nothing is known yet but that it has a message at `ts`.
    pub fn new(ts: Timestamp, timeouts: Timeouts) -> Self {
        Self {
            timeouts,
            first: ts,
            last: ts,
            messages: 0,
            origin: None,
            answer: None,
            bye: None,
            reinvited: false,
            attempt: None,
            media: MediaFacts::default(),
        }
    }

    /// Takes in one message that went from `src` to `dst`.
    pub fn record(&mut self, ts: Timestamp, src: Endpoint, dst: Endpoint, message: &Message<'_>) {
        self.messages += 1;
        self.first = self.first.min(ts);
        self.last = self.last.max(ts);
        match (message.start, message.cseq.method) {
            (StartLine::Request { .. }, Method::Invite) => self.invite(ts, src, dst, message),
            (StartLine::Response { code, .. }, Method::Invite) => self.response(ts, src, dst, message, code),
            // A CANCEL has the CSeq number of its INVITE (RFC 3261 section 9.1).
            (StartLine::Request { .. }, Method::Cancel) => {
                if let Some(attempt) = self.attempt(message.cseq.number) {
                    attempt.cancelled = true;
                }
            }
            (StartLine::Request { .. }, Method::Bye) => self.bye = earliest(self.bye, ts),
            _ => {}
        }
    }

    fn invite(&mut self, ts: Timestamp, src: Endpoint, dst: Endpoint, message: &Message<'_>) {
        let in_dialog = message.to.tag().is_some();
        self.reinvited |= in_dialog;
        self.witness(
            OriginRank {
                is_response: false,
                ts,
                vias: message.vias,
                src,
                dst,
                in_dialog,
            },
            message,
        );
        if let Some(attempt) = self.attempt(message.cseq.number) {
            attempt.vias = Some(attempt.vias.map_or(message.vias, |vias| vias.min(message.vias)));
            attempt.active = attempt.active.max(ts);
        }
    }

    fn response(&mut self, ts: Timestamp, src: Endpoint, dst: Endpoint, message: &Message<'_>, code: u16) {
        // A response goes the other way, and has a To tag inside and outside of dialogs.
        self.witness(
            OriginRank {
                is_response: true,
                ts,
                vias: message.vias,
                src: dst,
                dst: src,
                in_dialog: false,
            },
            message,
        );
        if (200..300).contains(&code) {
            let answer = (ts, code);
            self.answer = Some(self.answer.map_or(answer, |known| known.min(answer)));
        }
        let Some(attempt) = self.attempt(message.cseq.number) else {
            return;
        };
        if code < 200 {
            attempt.active = attempt.active.max(ts);
            let rings = code > 100;
            attempt.provisional = attempt.provisional.max(Some(Provisional { rings, ts, code }));
        } else if code >= 300 {
            let vias = message.vias;
            let refusal = Refusal { vias, ts, code };
            attempt.refusal = Some(attempt.refusal.map_or(refusal, |known| known.min(refusal)));
        }
    }

    /// The attempt of this CSeq, unless a higher one is known.
    fn attempt(&mut self, cseq: u32) -> Option<&mut Attempt> {
        if self.attempt.is_none_or(|attempt| attempt.cseq < cseq) {
            self.attempt = Some(Attempt {
                cseq,
                vias: None,
                active: Timestamp::ZERO,
                provisional: None,
                refusal: None,
                cancelled: false,
            });
        }
        self.attempt.as_mut().filter(|attempt| attempt.cseq == cseq)
    }

    fn witness(&mut self, rank: OriginRank, message: &Message<'_>) {
        if self.origin.as_ref().is_none_or(|origin| rank < origin.rank) {
            self.origin = Some(Origin {
                rank,
                from_uri: kept_text(message.from.uri),
                to_uri: kept_text(message.to.uri),
            });
        }
    }

    /// Whether an INVITE or a response to one was seen: only then is this a call.
    pub fn is_call(&self) -> bool {
        self.origin.is_some()
    }

    /// The refusal that decides: one at the caller's hop, or, when nothing else came in time, one further on.
    fn refusal(&self, now: Timestamp) -> Option<Refusal> {
        let attempt = self.attempt?;
        attempt.refusal.filter(|refusal| {
            let reached_the_caller = attempt.vias.is_none_or(|vias| refusal.vias <= vias);
            reached_the_caller || self.waited_too_long(&attempt, now)
        })
    }

    fn waited_too_long(&self, attempt: &Attempt, now: Timestamp) -> bool {
        now > attempt.active.plus(self.timeouts.invite)
    }

    /// Where the call stands at `now`.
    pub fn state(&self, now: Timestamp) -> CallState {
        if self.answer.is_some() || self.reinvited {
            return match self.bye {
                Some(_) => CallState::Ended,
                None => CallState::Answered,
            };
        }
        let Some(attempt) = self.attempt else {
            return CallState::Trying;
        };
        // A BYE in an early dialog gives up as a CANCEL does (RFC 3261 section 15), and is answered with 487 too.
        let given_up = attempt.cancelled || self.bye.is_some();
        match self.refusal(now) {
            Some(Refusal { code: 487, .. }) if given_up => CallState::Cancelled,
            Some(_) => CallState::Failed,
            None if attempt.cancelled => CallState::Cancelled,
            None if self.bye.is_some() => CallState::Ended,
            None if self.waited_too_long(&attempt, now) => CallState::TimedOut,
            None if attempt.provisional.is_some_and(|provisional| provisional.rings) => CallState::Ringing,
            None => CallState::Trying,
        }
    }

    /// When the call ended for good, so that its media endpoints are free for the next; `None` while it goes on or may
    /// go on with credentials (401, 407).
    pub fn ended_at(&self) -> Option<Timestamp> {
        if self.answer.is_some() || self.reinvited {
            return self.bye;
        }
        // At the time zero nothing has timed out yet: only what was said counts.
        match self.refusal(Timestamp::ZERO) {
            Some(Refusal { code: 401 | 407, .. }) => None,
            Some(refusal) => Some(refusal.ts),
            None => self.bye,
        }
    }

    /// What the call gives to the totals of RFC 6076 at `now`.
    pub fn figures(&self, now: Timestamp) -> CallFigures {
        let sets_up = self.origin.as_ref().filter(|origin| !origin.rank.in_dialog);
        let asked = sets_up.map(|origin| origin.rank).filter(|rank| !rank.is_response);
        let answered = self.answer.map(|(ts, _)| ts);
        let delay = |from: Option<Timestamp>, to: Option<Timestamp>| Some(milliseconds(from?, to?));
        let asked = asked.map(|rank| rank.ts);
        CallFigures {
            state: self.state(now),
            is_session_request: sets_up.is_some(),
            final_code: self
                .answer
                .map(|(_, code)| code)
                .or(self.refusal(now).map(|refusal| refusal.code)),
            challenges: 0,
            redirects: 0,
            session_request_delay_ms: delay(asked, answered),
            failed_session_request_delay_ms: None,
            session_disconnect_delay_ms: None,
            failed_session_disconnect_delay_ms: None,
            session_duration_ms: delay(answered, self.bye),
            failed_session_duration_ms: None,
            ring_time_ms: None,
            post_dial_delay_ms: None,
            completed: None,
        }
    }

    /// Whether the call has been over for longer than `linger` at `now`.
    pub fn is_forgotten(&self, now: Timestamp, linger: std::time::Duration) -> bool {
        let quiet_for = now.since(self.last);
        match self.worth(now) {
            // Its INVITE will not come any more.
            Worth::Loose => quiet_for > self.timeouts.request.min(linger),
            Worth::Over => quiet_for > linger,
            Worth::Live => false,
        }
    }

    /// The call as reports give it, without its streams; `None` where it is none.
    pub fn report(&self, call_id: &str, now: Timestamp) -> Option<report::Call> {
        let origin = self.origin.as_ref()?;
        let state = self.state(now);
        let answered = self.answer.map(|(ts, _)| ts);
        let provisional = self.attempt.and_then(|attempt| attempt.provisional);
        let status_code = match state {
            CallState::Answered | CallState::Ended => self.answer.map(|(_, code)| code),
            _ => self
                .refusal(now)
                .map(|refusal| refusal.code)
                .or(provisional.map(|provisional| provisional.code)),
        };
        let sets_up = !origin.rank.is_response && !origin.rank.in_dialog;
        Some(report::Call {
            call_id: call_id.to_owned(),
            from_uri: origin.from_uri.to_string(),
            to_uri: origin.to_uri.to_string(),
            state,
            status_code,
            setup_ms: answered
                .filter(|_| sets_up)
                .map(|answered| milliseconds(origin.rank.ts, answered)),
            duration_ms: answered.map(|answered| milliseconds(answered, self.bye.unwrap_or(self.last))),
            start: self.first,
            src: origin.rank.src.to_string(),
            dst: origin.rank.dst.to_string(),
            messages: self.messages,
            streams: Vec::new(),
            media: self.media.report(answered),
            t38: Vec::new(),
            one_way: None,
            no_media: false,
        })
    }
}

impl Entry for Call {
    fn last(&self) -> Timestamp {
        self.last
    }

    fn worth(&self, now: Timestamp) -> Worth {
        if !self.is_call() {
            return Worth::Loose;
        }
        match self.state(now) {
            CallState::Trying | CallState::Ringing | CallState::Answered => Worth::Live,
            CallState::Ended | CallState::Failed | CallState::Cancelled | CallState::TimedOut => Worth::Over,
        }
    }
}
