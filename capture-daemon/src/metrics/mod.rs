//! Prometheus: what the daemon says of itself under `/metrics`.
//!
//! `glossary` has every metric's name and meaning; `record` fills them from a [`Status`](crate::control::Status), `signaling`
//! from [`Signaling`](crate::report::Signaling), `rtp` from [`RtpFigures`](crate::report::RtpFigures), `turn` from
//! [`TurnFigures`](crate::report::TurnFigures); `histogram` writes what the recorder cannot, `listener` bounds the clients, `serve`
//! answers them. Nothing here is called by a worker: a scrape reads the counters that are there.

mod glossary;
mod histogram;
mod listener;
mod record;
mod rtp;
mod rules;
mod serve;
mod signaling;
mod turn;

pub use glossary::{GLOSSARY, Kind, Metric};
pub use record::Exporter;
pub use serve::{MetricsError, Server};
