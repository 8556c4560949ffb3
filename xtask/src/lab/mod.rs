//! What a test starts, from the ground up: a network namespace, a link between two of them, and the programs in it.
//! Everything here is real, needs root, and is gone when its guard is dropped.

pub mod link;
pub mod netns;
pub mod process;
mod require;

pub use link::{End, veth};
pub use netns::Netns;
pub use process::Process;
pub use require::{Need, program, require, skip};
