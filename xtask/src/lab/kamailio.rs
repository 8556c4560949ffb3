//! A real Kamailio as the record-routing proxy between caller and callee, with `xtask/scenarios/kamailio.cfg`.

use std::net::Ipv4Addr;

use anyhow::Result;

use super::mirror::{CALLEE, MIDDLE};
use super::netns::Netns;
use super::rtpengine;
use super::scratch::Scratch;
use super::server::{Server, listens};

/// Port of the proxy and of the called side, over UDP and TCP.
const PORT: u16 = 5060;

/// Which way the media of its calls goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// From end to end.
    Direct,
    /// Through the [`Rtpengine`](super::rtpengine::Rtpengine) on the same host.
    Relayed,
}

/// A running Kamailio at [`MIDDLE`]. Its worker processes end with the namespace.
#[derive(Debug)]
pub struct Kamailio {
    _server: Server,
    /// Its configuration; goes after the process.
    _scratch: Scratch,
}

impl Kamailio {
    /// Starts Kamailio on a host of the network, over UDP and TCP. A call for a user who has registered goes where they
    /// are, any other to [`CALLEE`].
    ///
    /// # Errors
    /// When it is not installed or does not come up; the error carries what it logged.
    pub fn start(host: &Netns, media: Media) -> Result<Self> {
        let scratch = Scratch::new("kamailio")?;
        let config = scratch.write("kamailio.cfg", include_str!("../../scenarios/kamailio.cfg"))?;
        let mut command = host.command("kamailio");
        // In the foreground, logging to stderr, with what it makes at run time in our own directory.
        command
            .args(["-DD", "-E", "-f"])
            .arg(&config)
            .arg("-Y")
            .arg(scratch.path());
        for transport in ["udp", "tcp"] {
            command.arg("-l").arg(format!("{transport}:{MIDDLE}:{PORT}"));
        }
        command.args(["-A", &format!("CALLEE=\"{}\"", uri(CALLEE))]);
        if media == Media::Relayed {
            command.args(["-A", &format!("RTPENGINE=\"udp:{}\"", rtpengine::CONTROL)]);
        }
        let server = Server::start(&mut command, &scratch.path().join("log"), |_| {
            Ok(listens(host, "-u", PORT)? && listens(host, "-t", PORT)?)
        })?;
        Ok(Self {
            _server: server,
            _scratch: scratch,
        })
    }
}

fn uri(address: Ipv4Addr) -> String {
    format!("sip:{address}:{PORT}")
}
