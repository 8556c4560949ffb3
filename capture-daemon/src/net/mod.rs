//! From a frame to the payload of UDP or TCP.

mod endpoint;

pub use endpoint::Endpoint;
