//! The log of the kernel program: aya-log's records, handed on to tracing.

use std::os::fd::{AsFd, BorrowedFd};

use aya::Ebpf;
use aya_log::EbpfLogger;

use super::error::OpenError;

/// The reading end of the program's log. Readable when there is something to [`KernelLog::flush`].
pub struct KernelLog(EbpfLogger<Tracing>);

impl KernelLog {
    /// Opens the log of a loaded program.
    ///
    /// # Errors
    /// When the object has no log.
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, OpenError> {
        EbpfLogger::init_with_logger(ebpf, Tracing)
            .map(Self)
            .map_err(|source| OpenError::KernelLog(Box::new(source)))
    }

    /// Hands on what the program has logged so far.
    pub fn flush(&mut self) {
        self.0.flush();
    }
}

impl AsFd for KernelLog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl std::fmt::Debug for KernelLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KernelLog").finish_non_exhaustive()
    }
}

/// Takes aya-log's records. At `info`, since who turned the kernel log on wants to see it.
struct Tracing;

impl log::Log for Tracing {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        tracing::info!(target: "siphon::kernel", "{}", record.args());
    }

    fn flush(&self) {}
}
