//! A message as it was seen, and what it says of who called whom.

use super::facts::Tag;
use crate::net::Endpoint;
use crate::sip::Message;
use crate::time::Timestamp;

/// Who called whom, and the message that says so. Of several the least is kept: the INVITE that sets up before all others,
/// then the earliest; the hops and the addresses decide between two sights of one message at one time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    pub witness: Witness,
    pub ts: Timestamp,
    /// It is a request inside a dialog: the dialog was there before (RFC 3261 section 12.2), and who called whom when it was
    /// set up is not known.
    pub in_dialog: bool,
    pub vias: usize,
    pub src: Endpoint,
    pub dst: Endpoint,
    pub from: Tag,
    pub from_uri: Box<str>,
    pub to_uri: Box<str>,
    pub contact: Option<Box<str>>,
}

/// What kind of message tells who called whom, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Witness {
    /// An INVITE without a To tag.
    Invite,
    /// Any other message that only an INVITE dialog has.
    Other,
}

/// A message with all that is asked of it more than once.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'s, 'm> {
    /// Packet time.
    pub ts: Timestamp,
    /// Source.
    pub src: Endpoint,
    /// Destination.
    pub dst: Endpoint,
    /// From tag.
    pub from: Tag,
    /// To tag.
    pub to: Tag,
    /// The message.
    pub message: &'s Message<'m>,
}

impl<'s, 'm> Sight<'s, 'm> {
    /// A message that went from `src` to `dst`.
    pub fn new(ts: Timestamp, src: Endpoint, dst: Endpoint, message: &'s Message<'m>) -> Self {
        Self {
            ts,
            src,
            dst,
            from: Tag::of(message.from_tag),
            to: Tag::of(message.to_tag),
            message,
        }
    }
}
