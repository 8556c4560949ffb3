//! What is measured of an RTP stream by each packet's header: integer arithmetic that the engine and the kernel program compile
//! alike, so that their figures are equal.

pub mod jitter;
pub mod sequence;
