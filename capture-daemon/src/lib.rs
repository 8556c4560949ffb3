//! siphon, in the order a packet goes: the kernel program hands it to a ring, a worker runs it through the engine and
//! keeps it, and the control thread answers for all of them.
//!
//! Data goes one way, down this page; nothing below calls upward.

// Shared words.
pub mod config;
pub mod counter;
pub mod frame;
pub mod frontier;
mod latencies;
pub mod log;
pub mod outcome;
mod pieces;
pub mod report;
mod sampled;
mod shared_lists;
mod table;
mod text;
pub mod time;

// Where frames come from.
pub mod intake;
pub mod program;
pub mod source;
pub mod xsk;

// The engine, from the frame upwards.
pub mod net;

pub mod media;
pub mod sip;
pub mod turn;

pub mod calls;

pub mod rules;

pub mod engine;

// Where frames go.
pub mod spool;

// Who does it: live, a thread for each lane; from files, one loop.
pub mod replay;
pub mod worker;

// The control thread.
pub mod control;
pub mod metrics;

pub mod daemon;

pub mod cli;
