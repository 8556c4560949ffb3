//! What a lane counts, and what the kernel counts for it.

use std::io;
use std::os::fd::AsFd;

use super::sys;
use super::types::Statistics;
use crate::counter::Counter;

/// Counters of one lane. The lane's worker writes them, any thread reads them. Aligned, so that two lanes never share a
/// cache line nor the one the CPU fetches beside it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct LaneCounters {
    /// Packets handed to the worker.
    pub frames: Counter,
    /// Their bytes.
    pub bytes: Counter,
    /// Packets among them that came in several buffers.
    pub multi_buffer: Counter,
    /// Packets among them that the kernel program could not stamp; they got the time of reading.
    pub no_timestamp: Counter,
    /// Packets lost because the kernel described them wrongly.
    pub bad_descriptors: Counter,
    /// Packets lost because they came in more buffers or bytes than an IP packet can have.
    pub oversize: Counter,
    /// Times the wall clock was found set: packet times jump as it did.
    pub clock_steps: Counter,
    /// Times the kernel was woken to look at the fill ring.
    pub wakeups: Counter,
    /// Of a ring beside a host, frames among them that went out from the host.
    pub outgoing: Counter,
    /// Of a ring beside a host, frames among them that stood for several packets (GSO, GRO).
    pub super_frames: Counter,
    /// Of a ring beside a host, packets handed on: a frame that stood for several is as many.
    pub packets: Counter,
    /// Bytes of that ring; 0 where there is none.
    pub ring_size: Counter,
    /// Bytes of it that waited for the worker when it last looked.
    pub ring_used: Counter,
    /// See [`Statistics::rx_dropped`].
    pub rx_dropped: Counter,
    /// See [`Statistics::rx_invalid_descs`].
    pub rx_invalid_descs: Counter,
    /// See [`Statistics::tx_invalid_descs`].
    pub tx_invalid_descs: Counter,
    /// See [`Statistics::rx_ring_full`].
    pub rx_ring_full: Counter,
    /// See [`Statistics::rx_fill_ring_empty_descs`]; of a packet ring, times that it was found full.
    pub rx_fill_ring_empty_descs: Counter,
    /// See [`Statistics::tx_ring_empty_descs`].
    pub tx_ring_empty_descs: Counter,
}

impl LaneCounters {
    /// Packets handed to the engine.
    pub fn handed_on(&self) -> u64 {
        match self.ring_size.get() {
            0 => self.frames.get(),
            _ => self.packets.get(),
        }
    }

    /// Takes over what the kernel counted.
    pub fn set_statistics(&self, statistics: &Statistics) {
        let Statistics {
            rx_dropped,
            rx_invalid_descs,
            tx_invalid_descs,
            rx_ring_full,
            rx_fill_ring_empty_descs,
            tx_ring_empty_descs,
        } = *statistics;
        self.rx_dropped.set(rx_dropped);
        self.rx_invalid_descs.set(rx_invalid_descs);
        self.tx_invalid_descs.set(tx_invalid_descs);
        self.rx_ring_full.set(rx_ring_full);
        self.rx_fill_ring_empty_descs.set(rx_fill_ring_empty_descs);
        self.tx_ring_empty_descs.set(tx_ring_empty_descs);
    }

    /// Packets the kernel program captured for this lane and the worker never saw.
    /// `captured = frames + lost` holds once the rings are drained.
    pub fn lost(&self) -> u64 {
        self.rx_dropped.get() + self.rx_ring_full.get() + self.bad_descriptors.get() + self.oversize.get()
    }
}

/// Asks the kernel for a socket's statistics. The socket counts from its making on.
///
/// # Errors
/// The errno of getsockopt(2).
pub fn read(socket: impl AsFd) -> io::Result<Statistics> {
    sys::get_option(socket, libc::SOL_XDP, libc::XDP_STATISTICS)
}
