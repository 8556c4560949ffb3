//! SIP as it stands on the wire (RFC 3261), and the session descriptions it carries (RFC 8866).
//!
//! The parser borrows everything and refuses only what cannot be followed: no start line, or no Call-ID, CSeq, From or
//! To. What a server would answer with 400 is still traffic an operator wants to see.

// Every function here is total on any bytes a network can send; the compiler holds that no slice is indexed.
#![deny(clippy::indexing_slicing, clippy::string_slice)]

mod address;
mod call_headers;
mod digest;
mod event;
mod framing;
mod header;
mod message;
mod method;
mod multipart;
mod scan;
pub mod sdp;
mod start_line;
mod uri;

#[cfg(test)]
mod proptests;
#[cfg(test)]
mod reference;

pub use address::Address;
pub use call_headers::{
    Reason, fragment_status, names_option, referred, replaced_call_id, session_expires, session_ids,
};
pub use digest::nonce;
pub use event::EventPackage;
pub use framing::{Framing, announced_len, frame, is_unchanged};
pub use message::{CSeq, Malformed, Message};
pub use method::Method;
pub use start_line::{StartLine, begins, is_beginning};
pub use uri::Uri;
