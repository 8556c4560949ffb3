//! RTP streams and the calls they belong to.
//!
//! Streams live with their lane. Where media is expected comes from SDP, on whatever lane its SIP arrived, and stands in
//! a table that all lanes share ([`Endpoints`]).

mod announcement;
mod burst;
mod codec;
pub mod dtls;
pub mod dtmf;
mod endpoints;
pub mod events;
mod fax;
mod faxes;
mod generations;
mod index;
mod jitter;
mod join;
mod kept_headers;
mod learn;
mod levels;
mod measured;
mod measurement;
mod playout;
mod probation;
mod quality;
pub mod rtcp;
pub mod rtp;
mod sequence;
mod slots;
mod stream;
mod streams;
mod summary;
pub mod t38;
mod totals;
mod udptl_ports;

pub use announcement::{Author, Basis, Claim, Lease, Place, Purpose, Srtp, Terms};
pub use codec::{Format, assigned};
pub use dtmf::InfoDigits;
pub use endpoints::Endpoints;
pub use faxes::Faxes;
pub use index::Print;
pub use join::rtcp_beside;
pub use learn::Learn;
pub use measured::{MeasuredStreams, Seen};
pub use probation::Header;
pub use quality::Scale;
pub use streams::{Heard, PARTS as STREAM_PARTS, Seat, Slice, Streams};
pub use summary::converse;
pub use totals::{
    BUFFER_NAMES, Buckets, DELTA_MS, DENSITY, Event, JITTER_MS, MOS, Nature, Opinions, RATING, SHARE_LOST, SKEW_MS,
    StreamTotals, Sum,
};
