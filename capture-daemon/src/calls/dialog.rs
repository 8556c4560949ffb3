//! One dialog of a call: a forking proxy makes several of one INVITE (RFC 3261 section 12).

use std::cmp::Reverse;

use super::facts::{Earliest, Fact, Latest, Smallest, Tag};
use super::invite::is_challenge;
use super::kept_text;
use crate::net::Endpoint;
use crate::sip::Message;
use crate::time::Timestamp;

/// What is known of the messages between one caller and one of those who answered.
#[derive(Clone, Debug, Default)]
pub struct Dialog {
    /// The first provisional response above 100, which makes the dialog an early one.
    pub early: Earliest<(Timestamp, u16)>,
    /// The first 2xx to an INVITE.
    pub answer: Earliest<(Timestamp, u16)>,
    /// Fewest Via values of such a 2xx: those at the hop nearest to the caller that it was seen on.
    answer_vias: Earliest<usize>,
    /// An INVITE inside the dialog was seen, so it was answered before, whether before our eyes or not.
    pub reinvited: bool,
    /// An UPDATE or INFO inside it was seen.
    pub used: bool,
    /// BYE, by who sent it: both sides may.
    hangups: Smallest<Tag, Hangup, 2>,
    /// Contact of the response: of a 2xx before one of an 18x, then the earliest.
    contact: Earliest<(bool, Timestamp, Box<str>)>,
    /// Where its responses came from at the hop nearest to who sent them.
    remote: Latest<(usize, Reverse<Timestamp>, Endpoint)>,
}

/// A BYE and what answered it.
#[derive(Clone, Debug, Default)]
pub struct Hangup {
    /// The request.
    pub asked: Earliest<Timestamp>,
    /// The first 2xx, at the hop nearest to who hung up.
    pub done: Earliest<(usize, Timestamp, u16)>,
    /// Another final response. What follows a challenge is another BYE, so the latest counts.
    pub refused: Latest<(Timestamp, u16)>,
}

impl Fact for Hangup {
    fn join(&mut self, other: Self) {
        let Self { asked, done, refused } = other;
        self.asked.join(asked);
        self.done.join(done);
        self.refused.join(refused);
    }
}

impl Hangup {
    /// When the session was over for who hung up (RFC 3261 section 15.1.1): with the BYE, whatever answers it. Where it
    /// was not seen, with its answer.
    pub fn at(&self) -> Option<Timestamp> {
        let done = self.done.get().map(|(_, ts, _)| *ts);
        let refused = self.refused.get().map(|(ts, _)| *ts);
        self.asked.get().copied().or(done).or(refused)
    }

    /// The final response to the BYE.
    pub fn code(&self) -> Option<u16> {
        let done = self.done.get().map(|(_, _, code)| *code);
        done.or(self.refused.get().map(|(_, code)| *code))
    }
}

impl Dialog {
    /// Takes in a response above 100 and below 300 to an INVITE.
    pub fn response(&mut self, ts: Timestamp, src: Endpoint, message: &Message<'_>, code: u16) {
        let answers = code >= 200;
        if answers {
            self.answer.note((ts, code));
            self.answer_vias.note(message.vias);
        } else {
            self.early.note((ts, code));
        }
        if let Some(contact) = message.contacts().next() {
            self.contact.note((!answers, ts, kept_text(contact.uri)));
        }
        self.remote.note((message.vias, Reverse(ts), src));
    }

    /// Takes in a BYE.
    pub fn bye(&mut self, ts: Timestamp, from: Tag) {
        if let Some(hangup) = self.hangups.entry(from) {
            hangup.asked.note(ts);
        }
    }

    /// Takes in a final response to a BYE.
    pub fn bye_response(&mut self, ts: Timestamp, from: Tag, vias: usize, code: u16) {
        if let Some(hangup) = self.hangups.entry(from) {
            match code {
                ..300 => hangup.done.note((vias, ts, code)),
                code if is_challenge(code) => {}
                code => hangup.refused.note((ts, code)),
            }
        }
    }

    /// The BYE that ended it, the earlier one where both sides sent one, and who sent it.
    pub fn hangup(&self) -> Option<(Tag, &Hangup)> {
        let seen = self.hangups.iter().filter(|(_, hangup)| hangup.at().is_some());
        seen.min_by_key(|(_, hangup)| hangup.at())
            .map(|(from, hangup)| (*from, hangup))
    }

    /// When it ended.
    pub fn ended_at(&self) -> Option<Timestamp> {
        self.hangup().and_then(|(_, hangup)| hangup.at())
    }

    /// Whether there was a session to end.
    pub const fn is_answered(&self) -> bool {
        self.answer.get().is_some() || self.reinvited
    }

    /// Whether the 2xx was seen on a hop of at most so many Via values.
    pub fn is_answered_within(&self, vias: usize) -> bool {
        self.answer_vias.get().is_some_and(|seen| *seen <= vias)
    }

    /// URI in the Contact of the response.
    pub fn contact(&self) -> Option<&str> {
        self.contact.get().map(|(_, _, contact)| &**contact)
    }

    /// Source of the response where it had come the shortest way.
    pub fn remote(&self) -> Option<Endpoint> {
        self.remote.get().map(|(_, _, remote)| *remote)
    }
}

impl Fact for Dialog {
    fn join(&mut self, other: Self) {
        let Self {
            early,
            answer,
            answer_vias,
            reinvited,
            used,
            hangups,
            contact,
            remote,
        } = other;
        self.early.join(early);
        self.answer.join(answer);
        self.answer_vias.join(answer_vias);
        self.reinvited.join(reinvited);
        self.used.join(used);
        self.hangups.join(hangups);
        self.contact.join(contact);
        self.remote.join(remote);
    }
}
