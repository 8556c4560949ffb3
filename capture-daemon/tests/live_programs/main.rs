//! siphon beside the programs it is made to watch: Kamailio, rtpengine, baresip and coturn, each a real one in a namespace of
//! its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line that was wrong"
)]

mod baresip;
mod coturn;
mod kamailio;
mod rtpengine;
mod run;
