//! The facts of one call.

use std::sync::Arc;

use super::correlation::Tokens;
use super::dialog::Dialog;
use super::facts::{Earliest, Fact, Latest, Pair, Smallest, Tag};
use super::heard::Hearing;
use super::invite::Attempts;
use super::kept_text;
use super::ladder::Ladder;
use super::level::Standing;
use super::media::MediaFacts;
use super::path::Path;
use super::rules::Rules;
use super::sight::{Origin, Sight, Witness};
use super::transfer::Transfers;
use crate::media::InfoDigits;
use crate::sip::{Message, Method, Reason, StartLine, names_option, session_expires};
use crate::time::Timestamp;

/// Dialogs of one call that are kept.
const DIALOGS: usize = 8;
/// Tags of one call that are kept: one for each dialog, and for each refusal and challenge on the way.
const TAGS: usize = 32;
/// Reasons that are kept.
const REASONS: usize = 6;
/// Octets of a protocol's name and of a text in a Reason header that are kept.
const REASON_PROTOCOL: usize = 16;
const REASON_TEXT: usize = 64;
/// Octets of a configured header that are kept.
const HEADER: usize = 256;

/// What is known of the messages of one call: those with one Call-ID that tags connect. Every field is a [`Fact`], so the
/// order messages are recorded in does not matter, and retransmissions and the second sight of a message behind a proxy
/// move nothing.
#[derive(Clone, Debug)]
pub struct Call {
    pub(super) rules: Arc<Rules>,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) messages: u64,
    tags: Smallest<Tag, (), TAGS>,
    /// The message that tells best who called whom.
    pub(super) origin: Earliest<Origin>,
    pub(super) attempts: Attempts,
    /// The first 2xx to an INVITE, with the INVITE's From tag and CSeq. A 2xx to a re-INVITE is later by nature.
    pub(super) first_answer: Earliest<(Timestamp, u16, Tag, u32)>,
    pub(super) dialogs: Smallest<Pair, Dialog, DIALOGS>,
    pub(super) transfers: Transfers,
    pub(super) path: Path,
    pub(super) ladder: Ladder,
    pub(super) tokens: Tokens,
    /// Seconds of the latest session timer that was agreed on (RFC 4028).
    pub(super) session_expires: Latest<(Timestamp, u32)>,
    /// A provisional response asked for PRACK (RFC 3262).
    pub(super) reliable: bool,
    /// What Reason headers say, by what they stand in and the protocol.
    pub(super) reasons: Smallest<(ReasonOf, Box<str>), Cause, REASONS>,
    /// The configured headers, each as the earliest request that has it says; empty while there is none.
    pub(super) headers: Vec<Earliest<(Timestamp, Box<str>)>>,
    /// Keys that INFO requests told of.
    pub(super) info_digits: Option<Box<InfoDigits>>,
    /// What SDP says.
    pub(super) media: Option<Box<MediaFacts>>,
    /// What came of it.
    pub(super) hearing: Option<Box<Hearing>>,
    /// Which rule it is under; absent while there was none to ask.
    pub(super) standing: Option<Box<Standing>>,
}

/// When a reason was first given, its cause and its text.
type Cause = Earliest<(Timestamp, Option<u32>, Box<str>)>;

/// What a Reason header stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReasonOf {
    Bye,
    Cancel,
    Refusal,
}

impl Call {
    /// A call of which nothing is known yet but that it has a message at `ts`.
    pub fn new(ts: Timestamp, rules: &Arc<Rules>) -> Self {
        Self {
            rules: Arc::clone(rules),
            first: ts,
            last: ts,
            messages: 0,
            tags: Smallest::default(),
            origin: Earliest::default(),
            attempts: Attempts::default(),
            first_answer: Earliest::default(),
            dialogs: Smallest::default(),
            transfers: Transfers::default(),
            path: Path::default(),
            ladder: Ladder::default(),
            tokens: Tokens::default(),
            session_expires: Latest::default(),
            reliable: false,
            reasons: Smallest::default(),
            headers: Vec::new(),
            info_digits: None,
            media: None,
            hearing: None,
            standing: None,
        }
    }

    /// Whether a message has a tag of this call's. More tags than are kept connect everything.
    pub fn is_connected(&self, sight: &Sight<'_, '_>) -> bool {
        let known = |tag: Tag| self.tags.get(&tag).is_some();
        known(sight.from) || (sight.to.is_some() && known(sight.to)) || self.tags.overflowed()
    }

    /// Whether a tag of this call's is one of the other's too.
    pub fn shares_a_tag(&self, other: &Self) -> bool {
        let overflowed = self.tags.overflowed() || other.tags.overflowed();
        overflowed || self.tags.iter().any(|(tag, ())| other.tags.get(tag).is_some())
    }

    /// Takes in one message.
    pub fn record(&mut self, sight: &Sight<'_, '_>) {
        let Sight {
            ts, from, to, message, ..
        } = *sight;
        self.messages += 1;
        self.first = self.first.min(ts);
        self.last = self.last.max(ts);
        self.tags.entry(from);
        if to.is_some() {
            self.tags.entry(to);
        }
        self.ladder.note(self.rules.max_messages, sight);
        self.tokens.note(message, &self.rules.correlate);
        match message.start {
            StartLine::Request { uri, .. } => {
                self.request(sight, uri);
                self.keep_headers(ts, message);
            }
            StartLine::Response { code, .. } => self.response(sight, code),
        }
    }

    fn request(&mut self, sight: &Sight<'_, '_>, uri: &[u8]) {
        let Sight {
            ts, from, to, message, ..
        } = *sight;
        let cseq = message.cseq.number;
        let in_dialog = to.is_some();
        match message.cseq.method {
            Method::Invite => {
                let witness = if in_dialog { Witness::Other } else { Witness::Invite };
                self.witness(witness, in_dialog, sight);
                if let Some(attempt) = self.attempts.entry(from, cseq) {
                    attempt.invite(ts, message.vias, in_dialog);
                }
                if in_dialog {
                    self.dialog(sight, |dialog| dialog.reinvited = true);
                } else {
                    self.path.note(message.vias, sight.src, sight.dst, uri);
                }
            }
            // A CANCEL has the CSeq number of its INVITE (RFC 3261 section 9.1).
            Method::Cancel => {
                if let Some(attempt) = self.attempts.entry(from, cseq) {
                    attempt.cancelled = true;
                }
                self.reason(ReasonOf::Cancel, ts, message);
            }
            Method::Bye => {
                self.dialog(sight, |dialog| dialog.bye(ts, from));
                self.reason(ReasonOf::Bye, ts, message);
                if in_dialog {
                    self.witness(Witness::Other, true, sight);
                }
            }
            Method::Info => {
                InfoDigits::take(&mut self.info_digits, ts, sight.src, message);
                if in_dialog {
                    self.dialog(sight, |dialog| dialog.used = true);
                    self.witness(Witness::Other, true, sight);
                }
            }
            Method::Update if in_dialog => {
                self.dialog(sight, |dialog| dialog.used = true);
                self.witness(Witness::Other, true, sight);
            }
            Method::Prack if in_dialog => self.witness(Witness::Other, true, sight),
            Method::Refer => self.transfers.refer(ts, from, message),
            Method::Notify => self.transfers.notify(ts, to, message),
            _ => {}
        }
    }

    fn response(&mut self, sight: &Sight<'_, '_>, code: u16) {
        let Sight {
            ts,
            src,
            from,
            to,
            message,
            ..
        } = *sight;
        let cseq = message.cseq.number;
        match message.cseq.method {
            Method::Invite => {
                self.witness(Witness::Other, false, sight);
                if let Some(attempt) = self.attempts.entry(from, cseq) {
                    attempt.response(ts, message, code);
                }
                match code {
                    ..=100 => {}
                    101..200 if !to.is_some() => {}
                    101..200 => self.dialog(sight, |dialog| dialog.response(ts, src, message, code)),
                    200..300 => {
                        self.first_answer.note((ts, code, from, cseq));
                        self.dialog(sight, |dialog| dialog.response(ts, src, message, code));
                    }
                    300.. => {
                        self.path.response(code);
                        self.reason(ReasonOf::Refusal, ts, message);
                    }
                }
                self.reliable |= code < 200 && message.headers("Require").any(|value| names_option(value, "100rel"));
            }
            Method::Bye if code >= 200 => {
                self.dialog(sight, |dialog| dialog.bye_response(ts, from, message.vias, code));
                // A refusal says nothing: 481 is what a BYE gets that belongs to no call.
                if code < 300 && to.is_some() {
                    self.witness(Witness::Other, true, sight);
                }
            }
            Method::Refer if code >= 200 => self.transfers.response(ts, from, message, code),
            _ => {}
        }
        let timed = matches!(message.cseq.method, Method::Invite | Method::Update);
        if timed
            && (200..300).contains(&code)
            && let Some(seconds) = message.headers("Session-Expires").find_map(session_expires)
        {
            self.session_expires.note((ts, seconds));
        }
    }

    fn dialog(&mut self, sight: &Sight<'_, '_>, with: impl FnOnce(&mut Dialog)) {
        if let Some(dialog) = self.dialogs.entry(Pair::of(sight.from, sight.to)) {
            with(dialog);
        }
    }

    fn witness(&mut self, witness: Witness, in_dialog: bool, sight: &Sight<'_, '_>) {
        let message = sight.message;
        let known = self.origin.get().map(|known| (known.witness, known.ts));
        if known.is_some_and(|known| known < (witness, sight.ts)) {
            return;
        }
        let is_response = matches!(message.start, StartLine::Response { .. });
        // A response goes the other way.
        let (src, dst) = if is_response {
            (sight.dst, sight.src)
        } else {
            (sight.src, sight.dst)
        };
        let contact = message.contacts().next().filter(|_| witness == Witness::Invite);
        self.origin.note(Origin {
            witness,
            ts: sight.ts,
            in_dialog,
            vias: message.vias,
            src,
            dst,
            from: sight.from,
            from_uri: kept_text(message.from.uri),
            to_uri: kept_text(message.to.uri),
            contact: contact.map(|contact| kept_text(contact.uri)),
        });
    }

    fn reason(&mut self, of: ReasonOf, ts: Timestamp, message: &Message<'_>) {
        for reason in message.lists("Reason").take(REASONS).filter_map(Reason::parse) {
            let cut = |text: &[u8], most: usize| kept_text(text.get(..most).unwrap_or(text));
            let key = (of, cut(reason.protocol, REASON_PROTOCOL));
            if let Some(kept) = self.reasons.entry(key) {
                kept.note((ts, reason.cause, cut(reason.text, REASON_TEXT)));
            }
        }
    }

    fn keep_headers(&mut self, ts: Timestamp, message: &Message<'_>) {
        for (at, name) in self.rules.headers.iter().enumerate() {
            let known = self.headers.get(at).and_then(Earliest::get);
            if known.is_some_and(|(known, _)| *known < ts) {
                continue;
            }
            let Some(value) = message.headers(name).next() else {
                continue;
            };
            if self.headers.is_empty() {
                self.headers = vec![Earliest::default(); self.rules.headers.len()];
            }
            if let Some(kept) = self.headers.get_mut(at) {
                kept.note((ts, kept_text(value.get(..HEADER).unwrap_or(value))));
            }
        }
    }

    /// Takes in what another entry knows of the same call.
    pub fn join(&mut self, other: Self) {
        let Self {
            rules,
            first,
            last,
            messages,
            tags,
            origin,
            attempts,
            first_answer,
            dialogs,
            transfers,
            path,
            ladder,
            tokens,
            session_expires,
            reliable,
            reasons,
            headers,
            info_digits,
            media,
            hearing,
            standing,
        } = other;
        self.first = self.first.min(first);
        self.last = self.last.max(last);
        self.messages += messages;
        self.tags.join(tags);
        self.origin.join(origin);
        self.attempts.join(attempts);
        self.first_answer.join(first_answer);
        self.dialogs.join(dialogs);
        self.transfers.join(transfers);
        self.path.join(path);
        self.ladder.join(rules.max_messages, &ladder);
        self.tokens.join(tokens);
        self.session_expires.join(session_expires);
        self.reliable.join(reliable);
        self.reasons.join(reasons);
        InfoDigits::join(&mut self.info_digits, info_digits);
        if let Some(media) = media {
            self.media.get_or_insert_default().join(*media);
        }
        if let Some(other) = hearing {
            self.hearing.get_or_insert_default().join(&other);
        }
        match (&mut self.standing, standing) {
            (Some(known), Some(other)) => known.join(&other),
            (known, other) => *known = known.take().or(other),
        }
        if self.headers.is_empty() {
            self.headers = headers;
        } else {
            for (known, other) in self.headers.iter_mut().zip(headers) {
                known.join(other);
            }
        }
    }

    /// Whether a message was seen that only an INVITE dialog has: only then is this a call.
    pub const fn is_call(&self) -> bool {
        self.origin.get().is_some()
    }
}
