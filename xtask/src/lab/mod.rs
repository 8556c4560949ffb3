//! What a test starts, from the ground up: a network namespace, a link between two of them, and the programs in it.
//! Everything here is real, needs root, and is gone when its guard is dropped.

pub mod baresip;
pub mod busy;
pub mod capture;
pub mod compare;
pub mod coturn;
pub mod http;
pub mod interrupt;
pub mod kamailio;
pub mod link;
mod live;
pub mod loss;
pub mod mirror;
pub mod netns;
pub mod process;
pub mod prometheus;
mod require;
pub mod rtpengine;
pub mod scratch;
mod server;
pub mod siphon;
pub mod sipp;
pub mod tone;
pub mod tshark;
pub mod websocket;

pub use link::{End, veth};
pub use mirror::Network;
pub use netns::Netns;
pub use process::Process;
pub use require::{Need, pass_over, program, require, search_directories, skip};
pub use scratch::Scratch;
