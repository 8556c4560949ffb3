//! The interface to capture on, as the kernel shows it: index, queues, addresses, counters.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{OpenError, ReadError};
use crate::xsk::ethtool;
use crate::xsk::lane::Port;
use crate::xsk::sys::{self, InterfaceAddress};

/// Where the kernel shows interfaces (Documentation/ABI/testing/sysfs-class-net).
const CLASS_NET: &str = "/sys/class/net";

/// Interfaces on top of each other that are looked at: bridge, bond, VLAN, macvlan and their stacks.
const MAX_UPPER: usize = 64;

/// Whether frames can come in on an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// They can.
    #[default]
    Up,
    /// It is up, and there is no signal on the line.
    NoCarrier,
    /// It was set down.
    Down,
    /// It is not there under its name any more, or another one has taken the name.
    Gone,
}

/// An interface of this network namespace.
#[derive(Clone, Debug)]
pub struct Interface {
    port: Port,
    queues: u32,
    /// The driver counts what the program drops as rx_dropped.
    counts_program: bool,
    /// The driver counts what a socket had no room for as rx_dropped.
    counts_sockets: bool,
}

/// The driver that counts frames which an XDP program drops as dropped (virtnet_poll, drivers/net/virtio_net.c: `xdp_drops` and
/// `drops`, of which the latter is rx_dropped).
const COUNTS_PROGRAM: &str = "virtio_net";

/// What it calls those frames, each queue's.
const PROGRAM_DROPS: &str = "xdp_drop";

/// The driver that counts frames for which an AF_XDP socket had no room as dropped (veth_xdp_rcv_one and veth_get_stats64, drivers/net/veth.c:
/// `rx_drops` where xdp_do_redirect failed).
const COUNTS_SOCKETS: &str = "veth";

/// Types of interfaces whose frames begin with an Ethernet header (include/uapi/linux/if_arp.h): ARPHRD_ETHER and ARPHRD_LOOPBACK.
const ETHERNET: [u64; 2] = [1, 772];

impl Interface {
    /// Looks an interface up by its name.
    ///
    /// # Errors
    /// When there is none, or /sys/class/net does not show it: /sys may belong to another network namespace.
    pub fn find(name: &str) -> Result<Self, OpenError> {
        let ifindex = index(name).map_err(|source| OpenError::NoInterface {
            interface: name.to_owned(),
            source,
        })?;
        let directory = Path::new(CLASS_NET).join(name);
        let kind = number(&directory.join("type"))?;
        if !ETHERNET.contains(&kind) {
            return Err(OpenError::NotEthernet {
                interface: name.to_owned(),
                kind,
            });
        }
        let mtu = u32::try_from(number(&directory.join("mtu"))?).unwrap_or(u32::MAX);
        Ok(Self {
            port: Port {
                name: name.to_owned(),
                ifindex,
                mtu,
            },
            queues: count_queues(&directory.join("queues"))?,
            counts_program: fs::read_link(directory.join("device/driver"))
                .is_ok_and(|driver| driver.ends_with(COUNTS_PROGRAM)),
            // It has no device, so no link to its driver.
            counts_sockets: ethtool::driver(name).is_some_and(|driver| driver == COUNTS_SOCKETS),
        })
    }

    /// What a lane has to know of it.
    pub fn port(&self) -> &Port {
        &self.port
    }

    /// Its rx queues.
    pub fn queues(&self) -> u32 {
        self.queues
    }

    /// Whether it is a loopback interface, on which every frame is seen going out and coming in.
    ///
    /// # Errors
    /// When its flags cannot be read: the interface is gone.
    pub fn is_loopback(&self) -> Result<bool, ReadError> {
        let path = Path::new(CLASS_NET).join(&self.port.name).join("flags");
        let text = fs::read_to_string(&path).map_err(|source| ReadError::File { path, source })?;
        Ok(flags(&text) & libc::IFF_LOOPBACK.unsigned_abs() != 0)
    }

    /// An address the host lives at through this interface: its own, or one of an interface on top of it (a bridge, bond,
    /// VLAN or macvlan over it). IPv6 link-local addresses do not count: the kernel gives one to every interface that
    /// comes up.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn own_address(&self) -> Result<Option<InterfaceAddress>, OpenError> {
        let carriers = with_uppers(Path::new(CLASS_NET), &self.port.name);
        let addresses = sys::interface_addresses().map_err(OpenError::Addresses)?;
        Ok(addresses
            .into_iter()
            .find(|found| carriers.contains(&found.interface) && counts(found)))
    }

    /// Whether frames can come in on it now.
    pub fn presence(&self) -> Presence {
        presence(&Path::new(CLASS_NET).join(&self.port.name), self.port.ifindex)
    }

    /// What the interface counts.
    ///
    /// # Errors
    /// When a file cannot be read: the interface is gone.
    pub fn counters(&self) -> Result<InterfaceCounters, ReadError> {
        InterfaceCounters::read(&Path::new(CLASS_NET).join(&self.port.name).join("statistics"))
    }

    /// Whether frames for which a socket had no room are among those that the driver counts as dropped.
    pub fn counts_sockets(&self) -> bool {
        self.counts_sockets
    }

    /// Frames that the driver counts as dropped although it was the program that dropped them.
    pub fn counted_of_program(&self) -> u64 {
        if !self.counts_program {
            return 0;
        }
        let counters = ethtool::statistics(&self.port.name).unwrap_or_default();
        let of_program = counters.iter().filter(|(name, _)| name.contains(PROGRAM_DROPS));
        of_program.map(|(_, count)| count).sum()
    }

    /// What its driver counts beyond that and whose name speaks of loss, under the driver's own names; at most
    /// 512. Empty where the driver has none.
    pub fn driver_counters(&self) -> Vec<(String, u64)> {
        let mut counters = ethtool::statistics(&self.port.name).unwrap_or_default();
        counters.retain(|(name, _)| speaks_of_loss(name));
        counters.truncate(MAX_DRIVER_COUNTERS);
        counters
    }
}

/// Counters of one driver that are told.
pub const MAX_DRIVER_COUNTERS: usize = 512;

/// What drivers call frames that came and were not passed on. There is no common name.
const LOSS: [&str; 12] = [
    "drop",
    "miss",
    "discard",
    "err",
    "no_buf",
    "nobuf",
    "no_dma",
    "fifo",
    "overrun",
    "oversize",
    "out_of_buffer",
    "fail",
];

fn speaks_of_loss(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // What the program drops is no loss; and an interrupt no error.
    let is_other = name.starts_with("tx") || name.contains(PROGRAM_DROPS);
    let name = name.replace("interrupt", "");
    !is_other && LOSS.iter().any(|word| name.contains(word))
}

/// Declares the counters once: field, and file of the same name.
macro_rules! interface_counters {
    ($($(#[$doc:meta])* $field:ident,)+) => {
        /// What an interface counts by itself (Documentation/networking/statistics.rst): frames among it that never
        /// reached the program.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct InterfaceCounters { $($(#[$doc])* pub $field: u64,)+ }

        impl InterfaceCounters {
            fn read(directory: &Path) -> Result<Self, ReadError> {
                Ok(Self { $($field: number(&directory.join(stringify!($field)))?,)+ })
            }

            /// Every counter with its name.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field),)+].into_iter()
            }
        }
    };
}

interface_counters! {
    /// Frames received.
    rx_packets,
    /// Bytes received.
    rx_bytes,
    /// Bad frames.
    rx_errors,
    /// Frames dropped for want of room, such as in a veth's ring.
    rx_dropped,
    /// Frames the NIC dropped because the host did not take them in time.
    rx_missed_errors,
}

fn index(name: &str) -> io::Result<u32> {
    // Any socket of the namespace can be asked (netdevice(7)).
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    Ok(rustix::net::netdevice::name_to_index(&socket, name)?)
}

fn counts(found: &InterfaceAddress) -> bool {
    match found.address {
        std::net::IpAddr::V4(_) => true,
        std::net::IpAddr::V6(address) => !address.is_unicast_link_local(),
    }
}

fn presence(directory: &Path, ifindex: u32) -> Presence {
    if number(&directory.join("ifindex")).ok() != Some(ifindex.into()) {
        return Presence::Gone;
    }
    let flags = fs::read_to_string(directory.join("flags")).unwrap_or_default();
    if self::flags(&flags) & libc::IFF_UP.unsigned_abs() == 0 {
        return Presence::Down;
    }
    match number(&directory.join("carrier")) {
        Ok(0) => Presence::NoCarrier,
        _ => Presence::Up,
    }
}

/// The flags of an interface, as its file has them.
fn flags(text: &str) -> u32 {
    u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).unwrap_or_default()
}

/// The interface and all on top of it: `upper_NAME` links in its directory.
fn with_uppers(class_net: &Path, name: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next = vec![name.to_owned()];
    while let Some(name) = next.pop() {
        if found.len() >= MAX_UPPER || found.contains(&name) {
            continue;
        }
        let entries = fs::read_dir(class_net.join(&name)).into_iter().flatten().flatten();
        next.extend(entries.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_prefix("upper_").map(str::to_owned)
        }));
        found.insert(name);
    }
    found
}

/// The `rx-N` directories.
fn count_queues(directory: &Path) -> Result<u32, ReadError> {
    let unreadable = |source| ReadError::File {
        path: directory.to_owned(),
        source,
    };
    let mut queues = 0;
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        if entry
            .map_err(unreadable)?
            .file_name()
            .to_string_lossy()
            .starts_with("rx-")
        {
            queues += 1;
        }
    }
    if queues == 0 {
        return Err(unreadable(io::Error::new(io::ErrorKind::NotFound, "no rx queue")));
    }
    Ok(queues)
}

/// A file with one number.
fn number(path: &PathBuf) -> Result<u64, ReadError> {
    fs::read_to_string(path)
        .and_then(|text| {
            text.trim()
                .parse()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{:?}: {error}", text.trim())))
        })
        .map_err(|source| ReadError::File {
            path: path.clone(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_is_not_there_is_named() {
        let error = Interface::find("no-such-if").unwrap_err().to_string();
        assert!(error.contains("no-such-if"), "{error}");
    }

    #[test]
    fn uppers_are_followed_through_stacks_and_circles() {
        let root = tempfile::tempdir().unwrap();
        for (name, upper) in [("eth0", "bond0"), ("bond0", "br0"), ("br0", "eth0"), ("eth1", "br1")] {
            fs::create_dir_all(root.path().join(name).join(format!("upper_{upper}"))).unwrap();
        }
        let found = with_uppers(root.path(), "eth0");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["bond0", "br0", "eth0"]);
    }

    #[test]
    fn of_a_drivers_counters_those_of_loss_are_told() {
        for name in [
            "rx_queue_0_drops",
            "rx_missed_errors",
            "rx_no_dma_resources",
            "port.rx_discards",
            "rx_out_of_buffer",
        ] {
            assert!(speaks_of_loss(name), "{name}");
        }
        for name in [
            "rx_packets",
            "tx_queue_0_xdp_xmit_errors",
            "peer_ifindex",
            "rx_queue_0_xdp_drops",
            "rx_interrupts",
        ] {
            assert!(!speaks_of_loss(name), "{name}");
        }
    }

    #[test]
    fn link_local_is_no_address_of_the_host() {
        let at = |address: &str| InterfaceAddress {
            interface: "eth0".to_owned(),
            address: address.parse().unwrap(),
        };
        assert!(counts(&at("10.0.0.1")) && counts(&at("2001:db8::1")) && counts(&at("fd00::1")));
        assert!(!counts(&at("fe80::1")));
    }

    #[test]
    fn presence_follows_the_files() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        assert_eq!(presence(root.path(), 7), Presence::Gone);
        write("ifindex", "7\n");
        write("flags", "0x1003\n");
        write("carrier", "1\n");
        assert_eq!(presence(root.path(), 7), Presence::Up);
        assert_eq!(presence(root.path(), 8), Presence::Gone, "another of that name");
        write("carrier", "0\n");
        assert_eq!(presence(root.path(), 7), Presence::NoCarrier);
        write("flags", "0x1002\n");
        assert_eq!(presence(root.path(), 7), Presence::Down);
    }

    #[test]
    fn a_counter_file_is_read_or_named() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("rx_packets");
        fs::write(&file, "17\n").unwrap();
        assert_eq!(number(&file).unwrap(), 17);
        fs::write(&file, "x\n").unwrap();
        assert!(number(&file).unwrap_err().to_string().contains("rx_packets"));
        assert!(InterfaceCounters::read(root.path()).is_err());
        for (name, _) in InterfaceCounters::default().iter() {
            fs::write(root.path().join(name), "3\n").unwrap();
        }
        let counters = InterfaceCounters::read(root.path()).unwrap();
        assert!(counters.iter().all(|(_, count)| count == 3));
    }
}
