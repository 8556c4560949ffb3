//! One rx queue: socket, rings and frames together, as the worker has it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::fill::Distances;
use super::receive::{Batch, Receive};
use super::socket::{self, BindMode, Bound, Socket, SocketError};
use super::stats::{self, LaneCounters};
use super::sys;
use super::umem::Umem;
use crate::config::Capture;
use crate::frame::Frame;

/// What went wrong with a lane; names the interface and the queue.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// Memory for the frames.
    #[error("{interface} queue {queue}: memory for {frames} frames of {frame_size} bytes: {source}")]
    Umem {
        /// The interface.
        interface: String,
        /// The rx queue.
        queue: u32,
        /// Frames asked for.
        frames: u32,
        /// Bytes of each.
        frame_size: u32,
        /// The errno of mmap(2).
        source: io::Error,
    },
    /// A step on the way to a bound socket.
    #[error("{interface} queue {queue}: {source}")]
    Socket {
        /// The interface.
        interface: String,
        /// The rx queue.
        queue: u32,
        /// The step and its errno.
        source: SocketError,
    },
    /// A call on the bound socket; the interface went down or away.
    #[error("{interface} queue {queue}: {operation}: {source}")]
    Io {
        /// The interface.
        interface: String,
        /// The rx queue.
        queue: u32,
        /// The call.
        operation: &'static str,
        /// Its errno.
        source: io::Error,
    },
}

/// An interface as a lane has to know it.
#[derive(Clone, Debug)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its index in the kernel.
    pub ifindex: u32,
    /// Longest IP packet, in bytes.
    pub mtu: u32,
}

/// One rx queue. Dropped from the first field to the last: the rings' mappings go before the socket, since the kernel
/// keeps the queue busy while any of them lives, and a mapping holds the socket as a descriptor does. The frames' memory
/// goes with the rings; the kernel has pinned its pages for as long as it needs them.
#[derive(Debug)]
pub struct Lane {
    receive: Receive,
    socket: Socket,
    bound: Bound,
    interface: String,
    queue: u32,
}

impl Lane {
    /// Makes the socket of a queue, fills its fill ring, and binds it in the best way that is allowed and the driver knows.
    /// `room` is what the program writes in front of a frame, in bytes.
    ///
    /// # Errors
    /// Which step failed, with the interface and the queue.
    pub fn open(port: &Port, queue: u32, capture: &Capture, room: u32) -> Result<Self, LaneError> {
        let (first, last) = BindMode::of(capture.bind);
        let mut refused = Vec::new();
        if let Some(mode) = first {
            match Self::open_in(mode, port, queue, capture, room, &mut refused) {
                // What is not to be had in this mode may be in the other.
                Err(LaneError::Socket { source, .. }) if source.is_bind() => {}
                result => return result,
            }
        }
        Self::open_in(last, port, queue, capture, room, &mut refused)
    }

    /// Opens the lane in one mode, with memory of its own: where a frame's bytes lie in it is told before the kernel tells the mode.
    fn open_in(
        mode: BindMode,
        port: &Port,
        queue: u32,
        capture: &Capture,
        room: u32,
        refused: &mut Vec<String>,
    ) -> Result<Self, LaneError> {
        let interface = port.name.clone();
        let socket_error = |source| LaneError::Socket {
            interface: port.name.clone(),
            queue,
            source,
        };
        let (umem, tokens) =
            Umem::new(capture.umem_frames, capture.frame_size, capture.huge_pages).map_err(|source| {
                LaneError::Umem {
                    interface: port.name.clone(),
                    queue,
                    frames: capture.umem_frames,
                    frame_size: capture.frame_size,
                    source,
                }
            })?;
        let socket = Socket::new(&umem, capture.ring_entries, mode, room).map_err(socket_error)?;
        let rx = socket.rx_ring().map_err(socket_error)?;
        let fill = socket.fill_ring().map_err(socket_error)?;
        let mut receive = Receive::new(rx, fill, umem, tokens);
        let ways = socket::ways(mode, capture.bind, port.mtu, capture.frame_size);
        let bound = socket.bind(port.ifindex, queue, ways, refused).map_err(socket_error)?;
        if bound.mode == BindMode::Copy {
            receive.keep_warm(Distances::COPY);
        }
        Ok(Self {
            receive,
            socket,
            bound,
            interface,
            queue,
        })
    }

    /// The interface's name.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// The rx queue's number.
    pub fn queue(&self) -> u32 {
        self.queue
    }

    /// How the socket was bound.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// The frames' memory.
    pub fn umem(&self) -> &Umem {
        self.receive.umem()
    }

    /// The counters, for the control thread.
    pub fn counters(&self) -> Arc<LaneCounters> {
        Arc::clone(self.receive.counters())
    }

    /// At most `max` packets that the kernel has brought.
    #[inline]
    pub fn peek(&mut self, max: u32) -> Batch<'_> {
        self.receive.peek(max)
    }

    /// Lends at most `max` packets that the kernel has brought, as many at once as may be; how many there were.
    #[inline]
    pub fn take_together(&mut self, max: u32, clock: &Clock, each: impl FnMut(&[Frame<'_>])) -> u32 {
        self.receive.take_together(max, clock, each)
    }

    /// Gives the frames that were released back to the kernel.
    #[inline]
    pub fn refill(&mut self) {
        self.receive.refill();
    }

    /// Wakes the driver where it says that it waits for the fill ring.
    ///
    /// # Errors
    /// ENETDOWN or ENXIO, when the interface is down or gone.
    #[inline]
    pub fn wake_if_needed(&mut self) -> Result<(), LaneError> {
        if self.receive.needs_wakeup() {
            self.wake()
        } else {
            Ok(())
        }
    }

    fn wake(&mut self) -> Result<(), LaneError> {
        self.receive.counters().wakeups.add(1);
        match sys::wake(&self.socket) {
            // The driver is at it already, or short of memory for the moment: the flag stays up, and the next round asks again.
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS | libc::EINTR)
                ) =>
            {
                Ok(())
            }
            result => result.map_err(|source| self.io_error("wake the driver", source)),
        }
    }

    /// Waits until packets are there or `timeout` has passed; whether they are.
    ///
    /// # Errors
    /// ENETDOWN and the like, when the interface is down or gone.
    pub fn poll(&self, timeout: Duration) -> Result<bool, LaneError> {
        socket::wait(&self.socket, timeout).map_err(|error| self.io_error(error.operation, error.source))
    }

    /// Takes the kernel's own statistics of the socket into the counters. A system call: about once a second, and at the
    /// end.
    ///
    /// # Errors
    /// The errno of getsockopt(2).
    pub fn read_statistics(&self) -> Result<(), LaneError> {
        let statistics = stats::read(&self.socket).map_err(|source| self.io_error("read XDP_STATISTICS", source))?;
        self.receive.counters().set_statistics(&statistics);
        Ok(())
    }

    fn io_error(&self, operation: &'static str, source: io::Error) -> LaneError {
        LaneError::Io {
            interface: self.interface.clone(),
            queue: self.queue,
            operation,
            source,
        }
    }
}

impl AsFd for Lane {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
