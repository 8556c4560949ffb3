//! RTCP (RFC 3550 section 6, RFC 3611, RFC 4585, RFC 5506): what the two ends of a stream say of it.
//!
//! A report travels beside the stream it is about or against it, on another flow and so perhaps on another lane. What is
//! said goes into a table that all lanes share ([`Sources`]) and is joined with the streams when someone asks.

mod counts;
mod facts;
mod join;
mod packet;
mod round_trip;
mod sources;
mod xr;

pub use counts::{ROUND_TRIPS_MS, RtcpCounters, SHARES_LOST};
pub use packet::{
    Compound, Description, Feedback, Item, Malformed, Packet, PacketType, Reading, ReportBlock, SenderInfo, read,
};
pub use sources::{Datagram, Sources};
pub use xr::{Block, BlockType, ReceiverTimes, Summary, VoipMetrics};
