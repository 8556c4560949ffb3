//! What is measured of an RTP stream by each packet's header: integer arithmetic that the engine and the kernel program compile
//! alike, so that their figures are equal.

pub mod header;
pub mod jitter;
pub mod key;
pub mod kind;
pub mod payload_types;
pub mod sequence;
pub mod silence;
pub mod slot;
pub mod stream;

pub use header::Header;
pub use key::StreamKey;
pub use kind::Kind;
pub use slot::{Owner, Slot};
pub use stream::{Cold, Hot, StreamState};
