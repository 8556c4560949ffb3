//! A pair of veth interfaces that behaves like a wire between two NICs.

use anyhow::Result;

use super::netns::Netns;

/// One end of a veth pair.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// The namespace it lies in.
    pub netns: &'a Netns,
    /// The interface's name there.
    pub name: &'a str,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Its IPv4 address with the length of the prefix, `10.0.0.1/24`, or none.
    pub address: Option<&'a str>,
}

/// Joins two namespaces by a veth pair with `queues` rx and tx queues at each end, both ends up.
///
/// The frames on it are those a NIC would see: checksums are computed by the sender (`tx off`), TCP segments are not
/// left for the device to cut (`tso off gso off`) nor glued together (`gro off`), and VLAN tags are in the data
/// instead of in skb metadata, where XDP does not see them (`txvlan off rxvlan off`). IPv6 is off, so that no router
/// solicitation or neighbour discovery disturbs a count.
///
/// # Errors
/// When `ip` or `ethtool` fails; the error carries the command and its stderr.
pub fn veth(left: End<'_>, right: End<'_>, queues: u32, mtu: u32) -> Result<()> {
    left.netns.ip(&format!(
        "link add name {} address {} mtu {mtu} numtxqueues {queues} numrxqueues {queues} type veth \
         peer name {} address {} mtu {mtu} numtxqueues {queues} numrxqueues {queues} netns {}",
        left.name,
        mac(left.mac),
        right.name,
        mac(right.mac),
        right.netns.name(),
    ))?;
    for end in [left, right] {
        // A kernel without IPv6 has nothing to turn off.
        if end
            .netns
            .enter(|| std::path::Path::new("/proc/sys/net/ipv6").exists())?
        {
            end.netns.sysctl(&format!("ipv6/conf/{}/disable_ipv6", end.name), "1")?;
        }
        end.netns.exec(&format!(
            "ethtool -K {} tx off tso off gso off gro off txvlan off rxvlan off",
            end.name
        ))?;
        if let Some(address) = end.address {
            end.netns.ip(&format!("address add {address} dev {}", end.name))?;
        }
        end.netns.ip(&format!("link set {} up", end.name))?;
    }
    Ok(())
}

/// A hardware address as `ip` reads it.
pub fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardware_address_is_written_in_pairs() {
        assert_eq!(mac([2, 0, 0, 0xab, 0, 1]), "02:00:00:ab:00:01");
    }
}
