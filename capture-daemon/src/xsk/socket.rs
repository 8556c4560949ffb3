//! The socket of one rx queue, from its options to its bind (net/xdp/xsk.c, xsk_setsockopt and xsk_bind).

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::sleep;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::mmap::Mapping;
use super::ring::{Consumer, Producer};
use super::sys;
use super::types::{Desc, MmapOffsets, Options, RingOffset, SockaddrXdp, UmemReg};
use super::umem::{HEADROOM, Umem};
use crate::config::Bind;

/// A queue's former socket is let go of by a work item of the kernel (xp_release_deferred, net/xdp/xsk_buff_pool.c), after
/// its last descriptor was closed: a queue that is busy may be free in a moment. Tries, and the wait between two.
const BUSY_TRIES: u32 = 50;
const BUSY_WAIT: Duration = Duration::from_millis(20);

/// What the kernel does with the frames' memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindMode {
    /// The NIC writes into it.
    ZeroCopy,
    /// The kernel copies into it.
    Copy,
}

impl BindMode {
    /// Those that `wanted` allows: what to try first, if there is a choice, and what must do.
    pub fn of(wanted: Bind) -> (Option<Self>, Self) {
        match wanted {
            Bind::Auto => (Some(Self::ZeroCopy), Self::Copy),
            Bind::ZeroCopy => (None, Self::ZeroCopy),
            Bind::Copy => (None, Self::Copy),
        }
    }

    /// Bytes that are asked for in front of a frame, of `room`. A NIC gets none: drivers round a buffer's size up to 128 bytes
    /// (ice_setup_rx_ctx, drivers/net/ethernet/intel/ice/ice_base.c), which would then end behind the frame.
    fn headroom(self, room: u32) -> u32 {
        match self {
            Self::ZeroCopy => 0,
            Self::Copy => room,
        }
    }
}

impl fmt::Display for BindMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZeroCopy => "zero-copy",
            Self::Copy => "copy",
        })
    }
}

/// How a socket was bound, and why not better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Zero-copy or copy.
    pub mode: BindMode,
    /// Whether frames longer than one buffer arrive, in several (XDP_USE_SG).
    pub multi_buffer: bool,
    /// What was tried before and refused, in order: "zero-copy, multi-buffer: Operation not supported (os error 95)".
    pub why_not_better: Option<String>,
}

/// A step that failed on the way to a bound socket.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {source}{}", hint(operation, source))]
pub struct SocketError {
    /// The system call and what it was for.
    pub operation: &'static str,
    /// Its errno.
    pub source: io::Error,
}

impl SocketError {
    /// Whether the socket was made and the queue refused it.
    pub fn is_bind(&self) -> bool {
        self.operation == BIND
    }
}

/// What an errno means here, where the kernel's text does not say it.
fn hint(operation: &str, source: &io::Error) -> &'static str {
    match (operation, source.raw_os_error()) {
        (OPEN_PACKET, Some(libc::EPERM | libc::EACCES)) => " (needs CAP_NET_RAW)",
        (_, Some(libc::EPERM | libc::EACCES)) => " (needs CAP_NET_RAW and CAP_NET_ADMIN)",
        (REGISTER_UMEM, Some(libc::ENOBUFS)) => {
            " (the umem is larger than the limit of locked memory: raise RLIMIT_MEMLOCK or give CAP_IPC_LOCK)"
        }
        (BIND, Some(libc::EBUSY)) => " (another socket has this queue)",
        (BIND, Some(libc::ENETDOWN)) => " (the interface is down)",
        _ => "",
    }
}

/// The first step of packet mode.
pub(super) const OPEN_PACKET: &str = "socket(AF_PACKET)";
const REGISTER_UMEM: &str = "register the umem (XDP_UMEM_REG)";
const BIND: &str = "bind";

/// Attaches the name of the step to its error.
pub(super) fn step(operation: &'static str) -> impl Fn(io::Error) -> SocketError {
    move |source| SocketError { operation, source }
}

/// Waits until a socket has something to read or `timeout` has passed; whether it has.
///
/// # Errors
/// ENETDOWN and the like, when the interface is down or gone.
pub(super) fn wait(socket: &impl AsFd, timeout: Duration) -> Result<bool, SocketError> {
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    let mut polled = [PollFd::new(socket, PollFlags::IN)];
    match poll(&mut polled, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(errno) => return Err(step("poll")(errno.into())),
    }
    let [polled] = polled;
    if polled.revents().contains(PollFlags::IN) {
        return Ok(true);
    }
    // An AF_XDP socket whose interface went away shows it in no event of poll (xsk_poll returns early for one that
    // xsk_notifier has unbound, net/xdp/xsk.c), only here.
    rustix::net::sockopt::socket_error(socket)
        .and_then(|pending| pending)
        .map_err(|errno| step("receive")(errno.into()))?;
    Ok(false)
}

/// An AF_XDP socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    offsets: MmapOffsets,
    entries: u32,
    mode: BindMode,
}

impl Socket {
    /// Makes a socket with `umem` and rings of `entries` entries, which is a power of two, to be bound in `mode`. Before each
    /// frame's bytes the kernel is asked for `room` more of its own where it copies.
    ///
    /// # Errors
    /// The step that failed, with its errno.
    pub fn new(umem: &Umem, entries: u32, mode: BindMode, room: u32) -> Result<Self, SocketError> {
        let fd = sys::socket(libc::AF_XDP).map_err(step("socket(AF_XDP)"))?;
        let registration = UmemReg {
            addr: umem.address(),
            len: u64::from(umem.frames()) * u64::from(umem.frame_size()),
            chunk_size: umem.frame_size(),
            headroom: mode.headroom(room),
            flags: 0,
            tx_metadata_len: 0,
        };
        sys::set_option(&fd, libc::SOL_XDP, libc::XDP_UMEM_REG, &registration).map_err(step(REGISTER_UMEM))?;
        let rings = [
            (libc::XDP_UMEM_FILL_RING, entries, "make the fill ring"),
            // Nothing is ever sent, but a socket without one is not bound (xsk_validate_queues).
            (libc::XDP_UMEM_COMPLETION_RING, 1, "make the completion ring"),
            (libc::XDP_RX_RING, entries, "make the rx ring"),
        ];
        for (option, entries, operation) in rings {
            sys::set_option(&fd, libc::SOL_XDP, option, &entries).map_err(step(operation))?;
        }
        let offsets = sys::get_option(&fd, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS)
            .map_err(step("ask where the rings lie (XDP_MMAP_OFFSETS)"))?;
        Ok(Self {
            fd,
            offsets,
            entries,
            mode,
        })
    }

    /// Maps the fill ring.
    ///
    /// # Errors
    /// The errno of mmap(2).
    pub fn fill_ring(&self) -> Result<Producer<u64>, SocketError> {
        let offset = &self.offsets.fill;
        self.map::<u64>(libc::XDP_UMEM_PGOFF_FILL_RING, offset)
            .and_then(|mapping| Producer::new(mapping, offset, self.entries))
            .map_err(step("map the fill ring"))
    }

    /// Maps the rx ring.
    ///
    /// # Errors
    /// The errno of mmap(2).
    pub fn rx_ring(&self) -> Result<Consumer<Desc>, SocketError> {
        let offset = &self.offsets.rx;
        self.map::<Desc>(libc::XDP_PGOFF_RX_RING.unsigned_abs(), offset)
            .and_then(|mapping| Consumer::new(mapping, offset, self.entries))
            .map_err(step("map the rx ring"))
    }

    fn map<T>(&self, page_offset: u64, offset: &RingOffset) -> io::Result<Mapping> {
        // The entries come last (struct xdp_rxtx_ring, struct xdp_umem_ring in net/xdp/xsk_queue.h).
        let len = offset.desc + u64::from(self.entries) * size_of::<T>() as u64;
        Mapping::ring(&self.fd, page_offset, usize::try_from(len).map_err(io::Error::other)?)
    }

    /// Binds the socket to a queue, with or without multi-buffer as the first of `ways` has it that the driver knows; those it refuses are added
    /// to `refused`. The fill ring has to be filled before: some drivers take its entries at once and do not look again until they are woken.
    ///
    /// # Errors
    /// The last way's error, where none was accepted; EINVAL where there is none.
    pub fn bind(
        &self,
        ifindex: u32,
        queue: u32,
        ways: &[bool],
        refused: &mut Vec<String>,
    ) -> Result<Bound, SocketError> {
        let mut last = io::Error::from_raw_os_error(libc::EINVAL);
        for &multi_buffer in ways {
            match self.bind_once(ifindex, queue, multi_buffer) {
                Ok(()) => {
                    return Ok(Bound {
                        mode: self.obtained().unwrap_or(self.mode),
                        multi_buffer,
                        why_not_better: (!refused.is_empty()).then(|| refused.join("; ")),
                    });
                }
                Err(error) => {
                    let extent = if multi_buffer { "multi-buffer" } else { "one buffer" };
                    refused.push(format!("{}, {extent}: {error}", self.mode));
                    last = error;
                }
            }
        }
        Err(step(BIND)(last))
    }

    fn bind_once(&self, ifindex: u32, queue: u32, multi_buffer: bool) -> io::Result<()> {
        let address = SockaddrXdp {
            family: libc::AF_XDP as u16,
            flags: libc::XDP_USE_NEED_WAKEUP
                | match self.mode {
                    BindMode::ZeroCopy => libc::XDP_ZEROCOPY,
                    BindMode::Copy => libc::XDP_COPY,
                }
                | if multi_buffer { libc::XDP_USE_SG } else { 0 },
            ifindex,
            queue_id: queue,
            shared_umem_fd: 0,
        };
        for _ in 1..BUSY_TRIES {
            match sys::bind(&self.fd, &address) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => sleep(BUSY_WAIT),
                result => return result,
            }
        }
        sys::bind(&self.fd, &address)
    }

    /// The mode the kernel says it is in.
    fn obtained(&self) -> io::Result<BindMode> {
        let options: Options = sys::get_option(&self.fd, libc::SOL_XDP, libc::XDP_OPTIONS)?;
        Ok(if options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0 {
            BindMode::ZeroCopy
        } else {
            BindMode::Copy
        })
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether frames longer than one buffer arrive: the ways to bind in `mode`, best first. Zero-copy without multi-buffer comes before copy only
/// where a frame of the interface fits into one buffer; copy without it is for kernels before 6.6, which know no XDP_USE_SG.
pub fn ways(mode: BindMode, wanted: Bind, mtu: u32, frame_size: u32) -> &'static [bool] {
    // Ethernet, two tags.
    let fits = mtu.saturating_add(14 + 8) <= frame_size.saturating_sub(HEADROOM);
    if mode == BindMode::Copy || fits || wanted == Bind::ZeroCopy {
        &[true, false]
    } else {
        &[true]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_way_is_tried_first_and_only_what_is_wanted() {
        use BindMode::{Copy, ZeroCopy};
        assert_eq!(BindMode::of(Bind::Auto), (Some(ZeroCopy), Copy));
        assert_eq!(BindMode::of(Bind::Copy), (None, Copy));
        assert_eq!(BindMode::of(Bind::ZeroCopy), (None, ZeroCopy));
        for (mode, wanted) in [(Copy, Bind::Auto), (Copy, Bind::Copy), (ZeroCopy, Bind::ZeroCopy)] {
            assert_eq!(ways(mode, wanted, 9000, 2048), [true, false]);
        }
        assert_eq!(ways(ZeroCopy, Bind::Auto, 1500, 2048), [true, false]);
        assert_eq!(ways(ZeroCopy, Bind::Auto, 9000, 4096), [true]);
    }

    #[test]
    fn a_nics_buffer_ends_within_its_frame() {
        // Sizes are powers of two from 2048 on; what a driver rounds up to 128 must be that already.
        assert_eq!((2048 - HEADROOM - BindMode::ZeroCopy.headroom(8)) % 128, 0);
    }

    #[test]
    fn an_error_says_what_to_do() {
        let error = step(REGISTER_UMEM)(io::Error::from_raw_os_error(libc::ENOBUFS));
        assert!(error.to_string().contains("RLIMIT_MEMLOCK"), "{error}");
    }
}
