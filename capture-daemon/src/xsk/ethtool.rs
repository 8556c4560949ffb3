//! What a driver counts beyond the standard statistics: `ethtool -S` (include/uapi/linux/ethtool.h). Frames that a NIC or
//! a veth loses where no socket sees it often stand nowhere else.

#![expect(unsafe_code, reason = "the ioctl SIOCETHTOOL, which no crate in use wraps")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

const GET_DRIVER_INFO: u32 = 0x03;
const GET_STRINGS: u32 = 0x1b;
const GET_STATISTICS: u32 = 0x1d;
const GET_SET_INFO: u32 = 0x37;

/// The set of strings that names the statistics.
const STATISTICS: u32 = 1;

/// Bytes of each name (ETH_GSTRING_LEN).
const NAME: usize = 32;

/// Counters of one interface that are read; a NIC with a hundred queues has a few thousand.
const MAX: usize = 8_192;

/// The name of an interface's driver; `None` where it is gone or its driver does not know ethtool.
pub fn driver(interface: &str) -> Option<String> {
    let socket = any_socket().ok()?;
    // struct ethtool_drvinfo: command, then the name.
    let mut info = Buffer::new(1);
    info.set_head([GET_DRIVER_INFO, 0]);
    info.ask(&socket, interface).ok()?;
    info.bytes().get(4..4 + NAME).map(text)
}

/// The counters of an interface's driver, in its order and under its names. Empty where it has none.
///
/// # Errors
/// The errno of ioctl(2): ENODEV where the interface is gone, EOPNOTSUPP where its driver does not know ethtool.
pub fn statistics(interface: &str) -> io::Result<Vec<(String, u64)>> {
    let socket = any_socket()?;
    let count = set_size(&socket, interface)?;
    if count == 0 {
        return Ok(Vec::new());
    }
    if count > MAX {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    }
    // struct ethtool_gstrings: command, set, length, then the names.
    let mut strings = Buffer::new(NAME / 8);
    strings.set_head([GET_STRINGS, STATISTICS]);
    strings.set_word(1, count as u64);
    strings.ask(&socket, interface)?;
    // struct ethtool_stats: command, length, then the figures.
    let mut figures = Buffer::new(1);
    figures.set_head([GET_STATISTICS, count as u32]);
    figures.ask(&socket, interface)?;
    let names = strings.bytes();
    let length = u32_at(names, 8) as usize;
    let count = count.min(length).min(figures.head(1) as usize);
    let names = names.get(12..).unwrap_or_default().chunks_exact(NAME).map(text);
    Ok(names.zip(figures.words().iter().skip(1).copied()).take(count).collect())
}

/// A socket to ask by; of what kind is all the same.
fn any_socket() -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?)
}

/// How many statistics the driver has.
fn set_size(socket: &OwnedFd, interface: &str) -> io::Result<usize> {
    // struct ethtool_sset_info: command, reserved, mask of the sets asked for, then a length for each that there is.
    let mut info = Buffer::new(1);
    info.set_head([GET_SET_INFO, 0]);
    info.set_word(1, 1 << STATISTICS);
    info.ask(socket, interface)?;
    match info.words().get(1) {
        Some(0) | None => Ok(0),
        Some(_) => Ok(u32_at(info.bytes(), 16) as usize),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let found = bytes.get(at..).and_then(<[u8]>::first_chunk);
    found.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

/// A name: up to its first zero.
fn text(name: &[u8]) -> String {
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    String::from_utf8_lossy(name.get(..end).unwrap_or_default())
        .trim()
        .to_owned()
}

/// A structure of the ioctl with what follows it, aligned as the kernel's.
struct Buffer(Vec<u64>);

impl Buffer {
    /// Room for twice as many entries of `words` words as are ever asked for: the kernel writes as many as the driver has at that
    /// moment, which may be more than it had before (ethtool_get_stats, net/ethtool/ioctl.c).
    fn new(words: usize) -> Self {
        Self(vec![0; 4 + 2 * MAX * words])
    }

    fn set_head(&mut self, head: [u32; 2]) {
        self.set_word(0, bytemuck::cast(head));
    }

    fn set_word(&mut self, at: usize, word: u64) {
        if let Some(place) = self.0.get_mut(at) {
            *place = word;
        }
    }

    fn head(&self, at: usize) -> u32 {
        u32_at(self.bytes(), 4 * at)
    }

    fn words(&self) -> &[u64] {
        &self.0
    }

    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }

    /// Has the kernel answer into the buffer.
    fn ask(&mut self, socket: &OwnedFd, interface: &str) -> io::Result<()> {
        let mut name = [0; libc::IFNAMSIZ];
        for (to, from) in name.iter_mut().zip(interface.bytes().take(libc::IFNAMSIZ - 1)) {
            *to = from.cast_signed();
        }
        let mut request = libc::ifreq {
            ifr_name: name,
            ifr_ifru: libc::__c_anonymous_ifr_ifru {
                ifru_data: self.0.as_mut_ptr().cast(),
            },
        };
        // SAFETY: the kernel reads the structure's head and writes behind it what the driver has: fewer entries than half of
        // the room, or the number asked for first would have been refused; both outlive the call.
        let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_is_not_there_has_no_driver_and_no_statistics() {
        assert_eq!(driver("no-such-if"), None);
        let error = statistics("no-such-if").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn the_loopback_interface_answers_or_says_that_its_driver_does_not() {
        match statistics("lo") {
            Ok(found) => assert!(found.iter().all(|(name, _)| !name.is_empty())),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP)),
        }
    }

    #[test]
    fn a_name_ends_at_its_first_zero() {
        assert_eq!(text(b"rx_drops\0\0x"), "rx_drops");
        assert_eq!(text(b""), "");
    }
}
