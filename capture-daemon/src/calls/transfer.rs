//! Transfers of a call: REFER (RFC 3515), where it sends the other side, and what NOTIFY says became of it.

use super::facts::{Earliest, Fact, Latest, Smallest, Tag};
use super::kept_text;
use crate::report;
use crate::sip::{Address, Message, fragment_status, referred};
use crate::time::Timestamp;

/// Transfers of one call that are kept.
const TRANSFERS: usize = 4;

/// The REFERs of a call.
#[derive(Clone, Debug, Default)]
pub struct Transfers {
    /// By who asked and the CSeq.
    asked: Smallest<(Tag, u32), Transfer, TRANSFERS>,
    /// The latest status line that a NOTIFY brought, by who had asked and the CSeq its Event names, if it names one.
    told: Smallest<(Tag, Option<u32>), Status, { 2 * TRANSFERS }>,
}

/// A status code and when it was told.
type Status = Latest<(Timestamp, u16)>;

#[derive(Clone, Debug, Default)]
struct Transfer {
    asked: Earliest<(Timestamp, Box<str>)>,
    answer: Earliest<(Timestamp, u16)>,
}

impl Fact for Transfer {
    fn join(&mut self, other: Self) {
        let Self { asked, answer } = other;
        self.asked.join(asked);
        self.answer.join(answer);
    }
}

impl Transfers {
    /// Takes in a REFER.
    pub fn refer(&mut self, ts: Timestamp, from: Tag, message: &Message<'_>) {
        let target = message.headers("Refer-To").next().and_then(Address::parse);
        if let Some(transfer) = self.asked.entry((from, message.cseq.number)) {
            transfer
                .asked
                .note((ts, kept_text(target.map_or(&b""[..], |target| target.uri))));
        }
    }

    /// Takes in a final response to a REFER.
    pub fn response(&mut self, ts: Timestamp, from: Tag, message: &Message<'_>, code: u16) {
        if let Some(transfer) = self.asked.entry((from, message.cseq.number)) {
            transfer.answer.note((ts, code));
        }
    }

    /// Takes in a NOTIFY: it goes to who sent the REFER.
    pub fn notify(&mut self, ts: Timestamp, to: Tag, message: &Message<'_>) {
        let id = message.headers("Event").find_map(referred);
        let code = fragment_status(message.content_type, message.body);
        if let (Some(id), Some(code)) = (id, code)
            && let Some(told) = self.told.entry((to, id))
        {
            told.note((ts, code));
        }
    }

    /// Whether anybody asked for one.
    pub fn any(&self) -> bool {
        self.asked.iter().any(|(_, transfer)| transfer.asked.get().is_some())
    }

    /// The transfers as reports give them, in order of time. `caller` is the caller's tag.
    pub fn report(&self, caller: Option<Tag>) -> Vec<report::Transfer> {
        let mut transfers: Vec<_> = self
            .asked
            .iter()
            .filter_map(|((from, cseq), transfer)| {
                let (ts, target) = transfer.asked.get()?;
                // The first REFER of a dialog may go without an id (RFC 3515 section 2.4.6).
                let outcome = self.told.get(&(*from, Some(*cseq))).or_else(|| {
                    let first = self.asked.iter().find(|((by, _), _)| by == from);
                    self.told
                        .get(&(*from, None))
                        .filter(|_| first.is_some_and(|((_, first), _)| first == cseq))
                });
                Some(report::Transfer {
                    ts: *ts,
                    by: caller.map(|caller| report::Party::of(*from == caller)),
                    target: target.to_string(),
                    status_code: transfer.answer.get().map(|(_, code)| *code),
                    outcome_code: outcome.and_then(Latest::get).map(|(_, code)| *code),
                })
            })
            .collect();
        transfers.sort_by(|a, b| (a.ts, &a.target).cmp(&(b.ts, &b.target)));
        transfers
    }
}

impl Fact for Transfers {
    fn join(&mut self, other: Self) {
        let Self { asked, told } = other;
        self.asked.join(asked);
        self.told.join(told);
    }
}
