//! RTP streams and the calls they belong to.
//!
//! Streams live with their lane. Where media is expected comes from SDP, on whatever lane its SIP arrived, and stands in
//! a table that all lanes share ([`Endpoints`]).

mod burst;
mod codec;
pub mod dtmf;
mod endpoints;
pub mod events;
mod jitter;
mod measurement;
mod payload_types;
mod playout;
mod probation;
mod quality;
pub mod rtcp;
pub mod rtp;
mod sequence;
mod stream;
mod streams;
mod telling;

pub use codec::Format;
pub use dtmf::Presses;
pub use endpoints::{Claim, Endpoints};
pub use streams::{Slice, Streams};
