//! Two hosts on a switch with a mirror port, as siphon meets them in the field.
//!
//! ```text
//!   caller ─ wire ══ caller ┐                       ┌ callee ══ wire ─ callee
//!                           ├ bridge `lan` (switch) ┤
//!                           └───── ingress of both ports is mirrored ──► mirror ══ tap ─ sensor
//! ```
//!
//! A third host, for a proxy or a relay, is plugged in with [`Network::plug`], and its port is mirrored too.

use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::link::{End, mac, veth};
use super::netns::Netns;

/// The interface of the sensor that the mirrored frames come in on.
pub const TAP: &str = "tap";

/// The switch's end of the mirror link.
pub const MIRROR: &str = "mirror";

/// The calling host (TEST-NET-1, RFC 5737).
pub const CALLER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The called host.
pub const CALLEE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// The host between them: a proxy, a relay.
pub const MIDDLE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 3);

/// The interface of a host that the traffic goes over.
pub const WIRE: &str = "wire";

const MTU: u32 = 1500;

/// What an interface has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Frames the driver delivered to the other end.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames it could not deliver, as veth when the other end's ring is full.
    pub dropped: u64,
}

/// The hosts, the switch and the sensor. Every frame one host sends to the other leaves on the mirror port exactly once:
/// each enters the bridge through one port only.
#[derive(Debug)]
pub struct Network {
    /// The calling host, [`CALLER`].
    pub caller: Netns,
    /// The called host, [`CALLEE`].
    pub callee: Netns,
    /// The switch; its end of the mirror link is [`MIRROR`].
    pub switch: Netns,
    /// Where siphon runs, on [`TAP`].
    pub sensor: Netns,
}

impl Network {
    /// Builds the network; `queues` is the number of rx queues of the tap.
    ///
    /// veth delivers a frame on the rx queue with the number of the tx queue it was sent on, and the mirror's tx queue is
    /// picked by a hash over addresses and ports, so a flow stays on one queue. The hosts' own links have a single queue:
    /// veth leaves the sender's tx queue in `queue_mapping`, where `skb_tx_hash` (net/core/dev.c) takes any number but 0
    /// for a recorded rx queue and one less for the answer, and then all frames end on queue 0.
    ///
    /// Neighbours are permanent and ICMP does not leave the hosts, so that nothing but the traffic is on the wire: sipp
    /// plays its media to ports nobody has open.
    ///
    /// # Errors
    /// Without root, or when `ip`, `tc` or `ethtool` fails; the error carries the command and its stderr.
    pub fn new(queues: u32) -> Result<Self> {
        let network = Self {
            caller: Netns::new("caller")?,
            callee: Netns::new("callee")?,
            switch: Netns::new("switch")?,
            sensor: Netns::new("sensor")?,
        };
        let Self {
            caller,
            callee,
            switch,
            sensor,
        } = &network;

        switch.ip("link add name lan type bridge stp_state 0 mcast_snooping 0")?;
        if switch.has_ipv6()? {
            switch.sysctl("ipv6/conf/lan/disable_ipv6", "1")?;
        }
        switch.ip("link set lan up")?;

        network.port(caller, "caller", CALLER)?;
        network.port(callee, "callee", CALLEE)?;
        network.acquaint((caller, CALLER), (callee, CALLEE))?;

        let tap = End {
            netns: sensor,
            name: TAP,
            mac: [2, 0, 0, 0, 2, 1],
            address: None,
        };
        veth(network.far(MIRROR, 255), tap, queues, MTU)?;
        for port in ["caller", "callee"] {
            network.mirror(port)?;
        }
        Ok(network)
    }

    /// Plugs a host into the switch, at [`MIDDLE`] and with its port mirrored as the others are, and returns it.
    ///
    /// # Errors
    /// When it is there already, or as [`Network::new`].
    pub fn plug(&self, name: &str) -> Result<Netns> {
        let host = Netns::new(name)?;
        self.port(&host, name, MIDDLE)?;
        for other in [(&self.caller, CALLER), (&self.callee, CALLEE)] {
            self.acquaint((&host, MIDDLE), other)?;
        }
        self.mirror(name)?;
        Ok(host)
    }

    /// The switch's end of a link.
    const fn far<'a>(&'a self, name: &'a str, last: u8) -> End<'a> {
        End {
            netns: &self.switch,
            name,
            mac: [2, 0, 0, 0, 1, last],
            address: None,
        }
    }

    /// Joins a host to the port `name` of the switch. ICMP does not leave it.
    fn port(&self, host: &Netns, name: &str, address: Ipv4Addr) -> Result<()> {
        let near = End {
            netns: host,
            name: WIRE,
            mac: hardware(address),
            address: Some(&format!("{address}/24")),
        };
        veth(near, self.far(name, address.octets()[3]), 1, MTU)?;
        // ICMP by its number: its name is in /etc/protocols, which a small system does not have.
        host.ip("rule add ipproto 1 blackhole")?;
        self.switch.ip(&format!("link set {name} master lan")).map(drop)
    }

    /// Tells two hosts each other's hardware address for good.
    fn acquaint(&self, one: (&Netns, Ipv4Addr), other: (&Netns, Ipv4Addr)) -> Result<()> {
        for ((host, _), (_, peer)) in [(one, other), (other, one)] {
            let peer_hardware = mac(hardware(peer));
            host.ip(&format!(
                "neighbour replace {peer} lladdr {peer_hardware} dev {WIRE} nud permanent"
            ))?;
        }
        Ok(())
    }

    /// Copies what comes in on a port to the mirror.
    fn mirror(&self, port: &str) -> Result<()> {
        self.switch.exec(&format!("tc qdisc add dev {port} clsact"))?;
        // There is no matchall on every kernel; a u32 match of nothing matches everything.
        self.switch
            .exec(&format!(
                "tc filter add dev {port} ingress protocol all u32 match u32 0 0 action mirred egress mirror dev {MIRROR}"
            ))
            .map(drop)
    }

    /// Sends each payload in a datagram from the caller to the callee, no faster than the wire takes them.
    ///
    /// # Errors
    /// When the caller's port is taken, or sending fails.
    pub fn send(&self, from: u16, to: u16, payloads: impl IntoIterator<Item = Vec<u8>>) -> Result<()> {
        let socket = self.caller.enter(|| UdpSocket::bind((CALLER, from)))??;
        for (number, payload) in payloads.into_iter().enumerate() {
            socket.send_to(&payload, (CALLEE, to))?;
            // veth's ring has 256 entries, which NAPI on this CPU empties when the sender pauses.
            if number % 64 == 63 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }

    /// What has left on the mirror port so far.
    ///
    /// # Errors
    /// When `ip` fails or prints no statistics.
    pub fn mirrored(&self) -> Result<Sent> {
        let text = self.switch.ip(&format!("-s -j link show dev {MIRROR}"))?;
        let parsed: Value = serde_json::from_str(&text).with_context(|| format!("read `ip -s -j`: {text}"))?;
        let sent = &parsed[0]["stats64"]["tx"];
        let counter = |name: &str| {
            sent[name]
                .as_u64()
                .with_context(|| format!("no counter {name} in {text}"))
        };
        Ok(Sent {
            frames: counter("packets")?,
            bytes: counter("bytes")?,
            dropped: counter("dropped")?,
        })
    }

    /// Frames that came in on each rx queue of the tap, as far as NAPI took them: with an XDP program or GRO on the
    /// interface (drivers/net/veth.c counts them nowhere else).
    ///
    /// # Errors
    /// When `ethtool -S` fails or has no such counters.
    pub fn tap_queues(&self) -> Result<Vec<u64>> {
        let text = self.sensor.exec(&format!("ethtool -S {TAP}"))?;
        let mut queues = Vec::new();
        for line in text.lines() {
            let Some((name, value)) = line.trim().split_once(": ") else {
                continue;
            };
            if name.starts_with("rx_queue_") && name.ends_with("_xdp_packets") {
                queues.push(value.trim().parse().with_context(|| format!("read {line:?}"))?);
            }
        }
        if queues.is_empty() {
            bail!("no rx_queue_*_xdp_packets in {text}");
        }
        Ok(queues)
    }
}

/// The hardware address of a host.
const fn hardware(address: Ipv4Addr) -> [u8; 6] {
    [2, 0, 0, 0, 0, address.octets()[3]]
}
