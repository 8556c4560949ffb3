//! Benchmarks of siphon: a load the kernel itself makes, the receivers that are compared under it, and tables of figures
//! that are only printed once every frame is accounted for.

/// The frames of the load, byte for byte.
pub mod frame;

/// The calls they belong to.
pub mod calls;

/// The load: frames made inside the kernel, paced, sent into a veth pair.
pub mod generator;

/// Any other frames, out of a socket.
pub mod sender;

/// The veth pair between generator and receiver, and what it counts.
pub mod wire;

/// What is compared: siphon, a bare AF_XDP loop, tcpdump.
pub mod receiver;

/// Where every frame of a run went; without that no figure.
pub mod account;

/// CPU time of a receiver.
pub mod cpu;

/// A receiver at work, and what was sent to it.
pub mod live;

/// One measured run.
pub mod run;

/// The highest rate without loss.
pub mod search;

/// A program that runs to its end.
pub mod timed;

/// The load in memory.
pub mod turns;

/// A capture file of calls.
pub mod file;

/// Figures over rounds, for people and as JSON.
pub mod table;

/// The tables there are.
pub mod tables;

/// What the figures are to reach.
pub mod goals;

/// Figures as pictures.
pub mod plot;

/// What the figures were measured on.
pub mod machine;
