//! The operator's Unix socket: a request per line, an answer per line, JSON both ways. `docs/control.md` is the
//! protocol.
//!
//! `protocol` reads requests, `filter` narrows answers, `rules` is what they say of rules, `status` is what answers are made of, `sensor` is who is asked,
//! `socket` is the file, `server` and `connection` serve it, `client` asks.

mod client;
mod connection;
mod filter;
mod protocol;
mod rules;
mod sensor;
mod server;
mod socket;
mod status;

pub use client::{Client, ClientError};
pub use filter::{Filter, Page};
pub use protocol::{Ask, Code, Refusal, Request, VERSION, parse};
pub use rules::{RuleBook, RuleStatus, draft_of_json, rule_as_json};
pub use sensor::{Pending, Sensor};
pub use server::{Counts, Server};
pub use socket::SocketError;
pub use status::{
    Audit, CallCounts, ControlCounts, Health, Identity, InterfaceCounters, Lane, LaneSpool, Light, Measured, Obtained,
    Reason, RingCounts, SocketCounts, SpoolStatus, Stage, Status, TableSize, Tally,
};
