//! What stands before the lanes: the kernel program, or in packet mode the sockets alone.

use std::sync::Arc;

use crate::media::Learn;
use crate::program::packet::Tap;
use crate::program::{
    DetachError, InterfaceCounters, KernelLog, MeasuredMap, Obtained, OpenError, Presence, Program, ReadError, Verdicts,
};
use crate::report::LearnedFigures;
use crate::xsk::LaneError;

/// One of them.
#[derive(Debug)]
pub enum Front {
    /// Mirror mode and host mode.
    Program(Box<Program>),
    /// Packet mode.
    Tap(Tap),
}

/// Frames may still come in.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// The kernel program stayed where it was.
    #[error(transparent)]
    Program(#[from] DetachError),
    /// A socket takes frames as before.
    #[error(transparent)]
    Tap(#[from] LaneError),
}

impl Front {
    /// Has frames come in, now that somebody reads them.
    pub fn arm(&self) -> Result<(), OpenError> {
        match self {
            Self::Program(program) => program.arm(),
            Self::Tap(tap) => Ok(tap.arm()?),
        }
    }

    /// What was obtained from the kernel, and why not better.
    pub fn obtained(&self) -> &Obtained {
        match self {
            Self::Program(program) => program.obtained(),
            Self::Tap(tap) => tap.obtained(),
        }
    }

    /// Who is told of the endpoints of calls.
    pub fn learn(&self) -> Arc<dyn Learn> {
        match self {
            Self::Program(program) => program.learned(),
            Self::Tap(tap) => tap.levels(),
        }
    }

    /// The endpoints of calls as the kernel program has them.
    pub fn learned_figures(&self) -> LearnedFigures {
        match self {
            Self::Program(program) => program.learned().figures(),
            Self::Tap(_) => LearnedFigures::default(),
        }
    }

    /// The streams that the kernel program measures, where the configuration asks for it; once.
    pub fn take_measured(&mut self) -> Option<MeasuredMap> {
        match self {
            Self::Program(program) => program.take_measured(),
            Self::Tap(_) => None,
        }
    }

    /// The log of the kernel program, where the configuration asks for it; once.
    pub fn take_kernel_log(&mut self) -> Option<KernelLog> {
        match self {
            Self::Program(program) => program.take_kernel_log(),
            Self::Tap(_) => None,
        }
    }

    /// Every frame by its verdict.
    pub fn verdicts(&self) -> Result<Verdicts, ReadError> {
        match self {
            Self::Program(program) => program.verdicts(),
            Self::Tap(tap) => Ok(tap.verdicts()),
        }
    }

    /// Frames that found the ring of each lane full.
    pub fn ring_full(&self) -> Result<Vec<u64>, ReadError> {
        match self {
            Self::Program(program) => program.ring_full(),
            Self::Tap(tap) => Ok(tap.ring_full()),
        }
    }

    /// Frames that lie before the verdicts, where the kernel counts what it brings there.
    pub fn waiting(&self) -> Option<u64> {
        match self {
            Self::Program(_) => None,
            Self::Tap(tap) => Some(tap.waiting()),
        }
    }

    /// Whether frames can come in on the interface now.
    pub fn presence(&self) -> Presence {
        match self {
            Self::Program(program) => program.presence(),
            Self::Tap(tap) => tap.presence(),
        }
    }

    /// What the interface itself counts.
    pub fn interface_counters(&self) -> Result<InterfaceCounters, ReadError> {
        match self {
            Self::Program(program) => program.interface_counters(),
            Self::Tap(tap) => tap.interface_counters(),
        }
    }

    /// How many of the frames that the interface counts as lost were lost before they could be seen here.
    pub fn interface_lost(&self, counters: &InterfaceCounters, in_sockets: u64) -> u64 {
        match self {
            Self::Program(program) => program.interface_lost(counters, in_sockets),
            Self::Tap(tap) => tap.interface_lost(counters),
        }
    }

    /// What its driver counts of loss, under the driver's own names.
    pub fn driver_counters(&self) -> Vec<(String, u64)> {
        match self {
            Self::Program(program) => program.driver_counters(),
            Self::Tap(tap) => tap.driver_counters(),
        }
    }

    /// Has no frame come in any more.
    pub fn detach(&mut self) -> Result<(), FrontError> {
        match self {
            Self::Program(program) => program.detach()?,
            Self::Tap(tap) => tap.disarm()?,
        }
        Ok(())
    }
}
