//! The veth pair between generator and receiver. Made anew for each run, so that its counters begin at zero.

use anyhow::{Context, Result};
use serde_json::Value;
use xtask::lab::mirror::TAP;
use xtask::lab::{End, Netns, veth};

/// The generator's end.
pub const LOAD: &str = "load";

/// Longest IP packet, in bytes.
pub const MTU: u32 = 1500;

/// Two namespaces and the wire between them: [`LOAD`] in one, [`TAP`] in the other, a single queue each.
#[derive(Debug)]
pub struct Wire {
    /// Where the generator's end lies.
    pub source: Netns,
    /// Where the receiver runs, on [`TAP`].
    pub sensor: Netns,
}

/// What the generator's end counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Frames that went into the other end's ring.
    pub sent: u64,
    /// Frames that found it full.
    pub refused: u64,
}

impl Wire {
    /// Makes the pair.
    ///
    /// # Errors
    /// Without root, or when `ip` or `ethtool` fails.
    pub fn new() -> Result<Self> {
        let (source, sensor) = (Netns::new("source")?, Netns::new("sensor")?);
        let end = |netns, name, last| End {
            netns,
            name,
            mac: [2, 0, 0, 0, 0, last],
            address: None,
        };
        veth(end(&source, LOAD, 1), end(&sensor, TAP, 2), 1, MTU)?;
        // veth takes XDP frames only where the other end has NAPI (veth_xdp_xmit, drivers/net/veth.c): with a program
        // attached, or with GRO on, which a receiver without a program needs. Nothing is put together: GRO leaves UDP
        // alone unless its socket asks.
        sensor.exec(&format!("ethtool -K {TAP} gro on"))?;
        Ok(Self { source, sensor })
    }

    /// What the generator's end has sent.
    ///
    /// # Errors
    /// When `ethtool` fails or does not print the counters.
    pub fn sent(&self) -> Result<Sent> {
        sent(&self.source.exec(&format!("ethtool -S {LOAD}"))?)
    }

    /// Frames out of sockets that went into the other end's ring (veth_xmit, drivers/net/veth.c).
    ///
    /// # Errors
    /// When `ip` fails or does not print the counter.
    pub fn delivered(&self) -> Result<u64> {
        statistic(&self.source, LOAD, "tx", "packets")
    }

    /// Frames that [`TAP`] dropped on the way to the stack. With an XDP program attached it counts there also what the
    /// program's redirect was refused, which the socket counts too.
    ///
    /// # Errors
    /// When `ip` fails or does not print the counter.
    pub fn dropped(&self) -> Result<u64> {
        statistic(&self.sensor, TAP, "rx", "dropped")
    }
}

/// A counter of `ip -statistics link`.
fn statistic(netns: &Netns, interface: &str, direction: &str, name: &str) -> Result<u64> {
    let text = netns.ip(&format!("-json -statistics link show {interface}"))?;
    let links: Value = serde_json::from_str(&text).context("read what ip prints")?;
    links[0]["stats64"][direction][name]
        .as_u64()
        .with_context(|| format!("no {direction} {name} in {text}"))
}

/// Finds the counters in what `ethtool -S` prints.
fn sent(text: &str) -> Result<Sent> {
    let counter = |name: &str| {
        let lines = text.lines().filter_map(|line| line.trim().split_once(": "));
        let mut values = lines.filter(|(found, _)| *found == name).map(|(_, value)| value);
        let value = values.next().with_context(|| format!("no {name} in {text}"))?;
        value.parse().with_context(|| format!("{name}: {value}"))
    };
    Ok(Sent {
        sent: counter("tx_queue_0_xdp_xmit")?,
        refused: counter("tx_queue_0_xdp_xmit_errors")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_are_found() {
        let text = "NIC statistics:\n     peer_ifindex: 2\n     tx_queue_0_xdp_xmit: 41\n     \
                    tx_queue_0_xdp_xmit_errors: 7\n     rx_queue_0_drops: 1\n";
        assert_eq!(sent(text).unwrap(), Sent { sent: 41, refused: 7 });
        let error = sent("NIC statistics:\n     tx_queue_0_xdp_xmit: 41\n").unwrap_err();
        assert!(error.to_string().contains("tx_queue_0_xdp_xmit_errors"), "{error}");
    }
}
