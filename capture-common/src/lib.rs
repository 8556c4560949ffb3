//! What the kernel program and the daemon share: the types that cross between them, and the walk through a frame's
//! headers, which runs in the kernel and is tested here on the host.

#![no_std]

pub mod classify;
pub mod descent;
pub mod endpoint;
pub mod headers;
pub mod level;
pub mod load;
pub mod media;
pub mod meta;
pub mod ordinary;
pub mod ports;
pub mod record;
pub mod rtp;
pub mod settings;
pub mod tunnels;
pub mod verdict;

pub use classify::{Finding, FragmentKey, Place, Tables, classify, find, glance, settle};
pub use descent::Descent;
pub use endpoint::{EndpointEntry, EndpointFormat, EndpointKey};
pub use headers::Bytes;
pub use level::{Level, Media};
pub use media::{Decision, MediaTables};
pub use meta::Stamp;
pub use ordinary::Ordinary;
pub use ports::{PortFlags, PortTable};
pub use record::{Direction, Record};
pub use settings::{MediaSettings, Mode, Settings};
pub use tunnels::{Tunnel, Tunnels};
pub use verdict::{Counters, Fate, Verdict, VerdictCount};
