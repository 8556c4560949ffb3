//! One INVITE of a call: its responses, its CANCEL, and how long they took.

use super::facts::{Earliest, Ends, Fact, Latest, Smallest, Tag};
use super::kept_text;
use crate::sip::Message;
use crate::time::Timestamp;

/// Contacts of a redirection that are kept, and octets of each.
const TARGETS: usize = 4;

/// One INVITE, its responses and its CANCEL, on all hops it was seen on. A response that is taken by its Via values is the
/// one nearest to the caller, where a forking proxy sends its choice and where RFC 6076 measures.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    /// The request has a To tag: it is a re-INVITE (RFC 3261 section 14.1).
    pub in_dialog: bool,
    /// The request.
    pub asked: Earliest<Timestamp>,
    /// Fewest Via values of the request: those at the hop nearest to the caller.
    pub vias: Earliest<usize>,
    /// Latest request or provisional response, from which timer C runs (RFC 3261 section 16.7, step 2).
    pub active: Latest<Timestamp>,
    /// The latest provisional response, any but 100 before a 100.
    pub provisional: Latest<Provisional>,
    /// The first provisional response that says more than 100 does.
    pub indication: Earliest<At>,
    /// The first 180.
    pub ringing: Earliest<At>,
    /// The first 180 or 183, from which on the caller hears something.
    pub audible: Earliest<At>,
    /// The first 2xx.
    pub answer: Earliest<At>,
    /// The final response of 300 or above.
    pub refusal: Earliest<Box<Refusal>>,
    /// A CANCEL was seen.
    pub cancelled: bool,
}

/// A response's Via values, time and code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    vias: u16,
    /// When.
    pub ts: Timestamp,
    code: u16,
}

/// A provisional response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Provisional {
    /// Above 100.
    pub rings: bool,
    ts: Timestamp,
    /// Status code.
    pub code: u16,
}

/// A final response of 300 or above.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// Via values: the hops between the caller and where it was seen.
    pub vias: usize,
    /// When.
    pub ts: Timestamp,
    /// Status code.
    pub code: u16,
    /// Where a 3xx sends the caller.
    pub targets: Vec<Box<str>>,
}

/// Whether a code asks for credentials: RFC 6076 section 4.3 takes these for no failure.
pub const fn is_challenge(code: u16) -> bool {
    matches!(code, 401 | 402 | 407)
}

impl Attempt {
    /// Takes in the request.
    pub fn invite(&mut self, ts: Timestamp, vias: usize, in_dialog: bool) {
        self.in_dialog |= in_dialog;
        self.asked.note(ts);
        self.vias.note(vias);
        self.active.note(ts);
    }

    /// Takes in a response.
    pub fn response(&mut self, ts: Timestamp, message: &Message<'_>, code: u16) {
        let vias = message.vias;
        let at = At {
            vias: u16::try_from(vias).unwrap_or(u16::MAX),
            ts,
            code,
        };
        match code {
            ..200 => {
                self.active.note(ts);
                let rings = code > 100;
                self.provisional.note(Provisional { rings, ts, code });
                if rings {
                    self.indication.note(at);
                }
                if code == 180 {
                    self.ringing.note(at);
                }
                if matches!(code, 180 | 183) {
                    self.audible.note(at);
                }
            }
            200..300 => self.answer.note(at),
            300.. => {
                let targets = match code {
                    300..400 => message.contacts().take(TARGETS).map(|to| kept_text(to.uri)).collect(),
                    _ => Vec::new(),
                };
                self.refusal.note(Box::new(Refusal {
                    vias,
                    ts,
                    code,
                    targets,
                }));
            }
        }
    }

    /// The code of the refusal, if there is one.
    pub fn refused_with(&self) -> Option<u16> {
        self.refusal.get().map(|refusal| refusal.code)
    }
}

impl Fact for Attempt {
    fn join(&mut self, other: Self) {
        let Self {
            in_dialog,
            asked,
            vias,
            active,
            provisional,
            indication,
            ringing,
            audible,
            answer,
            refusal,
            cancelled,
        } = other;
        self.in_dialog.join(in_dialog);
        self.asked.join(asked);
        self.vias.join(vias);
        self.active.join(active);
        self.provisional.join(provisional);
        self.indication.join(indication);
        self.ringing.join(ringing);
        self.audible.join(audible);
        self.answer.join(answer);
        self.refusal.join(refusal);
        self.cancelled.join(cancelled);
    }
}

/// The INVITEs of a call by their From tag and CSeq. Of each side the first four and the last four are kept: challenges and
/// redirections come first, and what decides an unanswered call comes last.
#[derive(Clone, Debug, Default)]
pub struct Attempts(Smallest<Tag, Ends<u32, Attempt, 4>, 4>);

impl Attempts {
    /// The INVITE with this From tag and CSeq, unless there are too many.
    pub fn entry(&mut self, from: Tag, cseq: u32) -> Option<&mut Attempt> {
        self.0.entry(from)?.entry(cseq)
    }

    /// What is known of this one.
    pub fn get(&self, from: Tag, cseq: u32) -> Option<&Attempt> {
        self.0.get(&from)?.get(&cseq)
    }

    /// Those that set the call up: the re-INVITEs are not among them. In order of From tag, then CSeq.
    pub fn initial(&self) -> impl Iterator<Item = (Tag, u32, &Attempt)> {
        self.0
            .iter()
            .flat_map(|(from, attempts)| attempts.iter().map(|(cseq, attempt)| (*from, *cseq, attempt)))
            .filter(|(_, _, attempt)| !attempt.in_dialog)
    }

    /// The one with the highest CSeq. Only what happens to it can fail a call that no 2xx has answered: challenges and
    /// redirections bring a new INVITE with a higher CSeq (RFC 3261 section 8.1.3.5).
    pub fn latest(&self) -> Option<&Attempt> {
        self.initial()
            .max_by_key(|(from, cseq, _)| (*cseq, *from))
            .map(|(_, _, attempt)| attempt)
    }
}

impl Fact for Attempts {
    fn join(&mut self, other: Self) {
        self.0.join(other.0);
    }
}
