//! Where packets are kept: rotated capture files, written by one thread from chunks that the workers fill.
//!
//! ```text
//! worker: SpoolLane::keep → chunk ──full──▶ writer: Series, one per lane → name.part → name
//!                 ▲                            │
//!                 └───────────empty────────────┘
//! ```
//!
//! A worker whose chunks are all with the writer drops and counts. A disk that is full turns the health red; chunks are
//! then counted and given back at once. What a killed siphon leaves behind is mended by the next one.

mod counters;
mod lane;
mod mend;
mod name;
pub mod record;
mod retention;
mod series;
mod sink;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

pub use counters::{
    LaneCounters, LaneStatus, SpoolCounters, SpoolDrop, SpoolHealth, SpoolStatus, WorkerCounters, WriterCounters,
};
pub use lane::SpoolLane;
pub use mend::{Mended, mend};
pub use name::{Names, PART, Parts, TemplateError, interval_end};
pub use retention::{Limits, Removed, retain};

use crate::config;
use lane::Exchange;
use series::Rules;
use writer::Writer;

/// Why the spool cannot do what it should.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// A system call on a file or folder.
    #[error("{operation} {}: {error}", file.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        file: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// `spool.template` is wrong.
    #[error("spool.template: {0}")]
    Template(#[from] TemplateError),
    /// `spool.chunks` or `spool.chunk_size` leave no room for a frame.
    #[error("spool.{key} is {value}; at least {least} are needed")]
    TooSmall {
        /// The key.
        key: &'static str,
        /// What the configuration says.
        value: usize,
        /// What would be right.
        least: usize,
    },
    /// The header of the files could not be made.
    #[error("make the header of spool files: {0}")]
    Header(#[from] pcap_file::PcapError),
    /// The thread could not be started.
    #[error("start thread siphon-spool: {0}")]
    Thread(io::Error),
    /// The thread ended in a panic; what it had not written is lost, and its files are mended at the next start.
    #[error("thread siphon-spool panicked")]
    Panicked,
}

impl SpoolError {
    fn io(operation: &'static str, file: &Path, error: io::Error) -> Self {
        Self::Io {
            operation,
            file: file.to_owned(),
            error,
        }
    }
}

/// Frames that fit into the chunks of so many lanes at most.
pub fn most_in_chunks(config: &config::Spool, lanes: usize) -> u64 {
    let shortest = record::length(config.format, 0);
    (lanes * config.chunks * (config.chunk_size / shortest)) as u64
}

/// The running spool: one writer for all lanes of an interface.
#[derive(Debug)]
pub struct Spool {
    counters: Arc<SpoolCounters>,
    mended: Vec<Mended>,
    thread: JoinHandle<()>,
}

impl Spool {
    /// Makes the folder, mends leftovers, starts the writer, and hands out the lanes for the workers. Whether there is to
    /// be a spool at all (`enabled`) is the caller's question.
    ///
    /// # Errors
    /// A configuration that cannot work, or a folder that cannot be made or read.
    pub fn start(config: &config::Spool, interface: &str, lanes: usize) -> Result<(Self, Vec<SpoolLane>), SpoolError> {
        for (key, value, least) in [("chunks", config.chunks, 2), ("chunk_size", config.chunk_size, 2048)] {
            if value < least {
                return Err(SpoolError::TooSmall { key, value, least });
            }
        }
        let names = Names::new(&config.template, interface)?;
        let directory = config.directory.clone();
        let made = DirBuilder::new().recursive(true).mode(0o750).create(&directory);
        made.map_err(|error| SpoolError::io("create", &directory, error))?;
        let mended = mend(&directory, &names)?;

        let counters = Arc::new(SpoolCounters::new(lanes, writer::wall_clock()));
        let exchange = |_| Arc::new(Exchange::new(config.chunks, config.chunk_size));
        let exchanges: Vec<_> = (0..lanes).map(exchange).collect();
        let ends = exchanges.iter().zip(&counters.lanes).map(|(exchange, counters)| {
            let (exchange, counters) = (Arc::clone(exchange), Arc::clone(counters));
            SpoolLane::new(
                exchange,
                counters,
                config.format,
                config.chunk_size,
                config.flush_interval,
            )
        });
        let ends = ends.collect();
        let rules = Rules {
            directory,
            names,
            format: config.format,
            header: record::file_header(config.format, interface)?,
            rotate_size: config.rotate_size,
            rotate_interval: config.rotate_interval,
            flush_interval: config.flush_interval,
        };
        let limits = Limits {
            max_total: config.max_total,
            max_age: config.max_age,
        };
        let writer = Writer::new(rules, limits, exchanges, Arc::clone(&counters));
        let thread = thread::Builder::new()
            .name("siphon-spool".to_owned())
            .spawn(move || writer.run());
        let spool = Self {
            counters,
            mended,
            thread: thread.map_err(SpoolError::Thread)?,
        };
        Ok((spool, ends))
    }

    /// What became of the leftovers that were found at the start.
    pub fn mended(&self) -> &[Mended] {
        &self.mended
    }

    /// The counters, for whoever exports them.
    pub fn counters(&self) -> Arc<SpoolCounters> {
        Arc::clone(&self.counters)
    }

    /// How the spool stands now.
    pub fn status(&self) -> SpoolStatus {
        self.counters.status()
    }

    /// Waits until every lane has finished and all they kept is in closed files or counted; returns the last standing,
    /// in which kept frames equal written frames and the writer's drops. Blocks for as long as a lane lives.
    ///
    /// # Errors
    /// The writer panicked.
    pub fn stop(self) -> Result<SpoolStatus, SpoolError> {
        self.thread.join().map_err(|_| SpoolError::Panicked)?;
        Ok(self.counters.status())
    }
}
