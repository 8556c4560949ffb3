//! A real rtpengine that relays media in user space, beside the Kamailio that controls it.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use anyhow::Result;

use super::mirror::MIDDLE;
use super::netns::Netns;
use super::scratch::Scratch;
use super::server::{Server, listens};

/// Where it takes orders, inside the namespace and not on the wire.
pub const CONTROL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 2223);

/// Its media ports, above those of the telephones.
pub const PORTS: RangeInclusive<u16> = 52_000..=55_999;

/// A running rtpengine at [`MIDDLE`].
#[derive(Debug)]
pub struct Rtpengine {
    _server: Server,
    /// Its log; goes after the process.
    _scratch: Scratch,
}

impl Rtpengine {
    /// Starts rtpengine on a host of the network, without its kernel module.
    ///
    /// # Errors
    /// When it is not installed or does not come up; the error carries what it logged.
    pub fn start(host: &Netns) -> Result<Self> {
        let scratch = Scratch::new("rtpengine")?;
        let mut command = host.command("rtpengine");
        command
            .args([
                "--config-file=none",
                "--foreground",
                "--log-stderr",
                "--log-level=5",
                "--table=-1",
            ])
            .arg(format!("--interface={MIDDLE}"))
            .arg(format!("--listen-ng={CONTROL}"))
            .arg(format!("--port-min={}", PORTS.start()))
            .arg(format!("--port-max={}", PORTS.end()))
            // Several threads would change the order of packets that come close together.
            .arg("--num-threads=1");
        let server = Server::start(&mut command, &scratch.path().join("log"), |_| {
            listens(host, "-u", CONTROL.port())
        })?;
        Ok(Self {
            _server: server,
            _scratch: scratch,
        })
    }
}
