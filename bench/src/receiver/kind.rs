//! The receivers there are, by name.

use anyhow::Result;
use xtask::lab::{Need, Scratch};

use super::siphon::Way;
use super::tool::{self, Tool};
use super::{Programs, Receiver, bare, pinned, siphon, tcpdump};
use crate::wire::Wire;

/// A kind of receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `siphon run`, following every stream, spool off, with a umem of 256 MiB.
    Siphon,
    /// `siphon run` without a spool, and otherwise as it comes.
    SiphonByDefault,
    /// `siphon run`, writing every frame, with a umem of 256 MiB.
    SiphonSpool,
    /// `siphon run`, RTP measured in the kernel.
    SiphonMeasured,
    /// `siphon run`, with the endpoints of calls in the kernel.
    SiphonLearned,
    /// `siphon run` beside the host, RTP cut to its headers.
    SiphonHost,
    /// `siphon run` beside the host, RTP measured in the kernel.
    SiphonHostMeasured,
    /// siphon's rings and nothing behind them.
    Bare,
    /// An XDP program that drops everything.
    Discard,
    /// tcpdump that throws everything away.
    Tcpdump,
    /// tcpdump writing every frame.
    TcpdumpFile,
    /// dumpcap, which writes every frame.
    Dumpcap,
    /// netsniff-ng, which writes every frame.
    Netsniff,
    /// sngrep, which writes what belongs to calls.
    Sngrep,
}

impl Kind {
    /// The name in tables.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Siphon | Self::SiphonByDefault => "siphon",
            Self::SiphonSpool => "siphon, to disk",
            Self::SiphonMeasured => "siphon, measured",
            Self::SiphonLearned => "siphon, learned",
            Self::SiphonHost => "siphon, host mode",
            Self::SiphonHostMeasured => "siphon, host mode, measured",
            Self::Bare => "bare AF_XDP loop",
            Self::Discard => "XDP_DROP",
            Self::Tcpdump => "tcpdump",
            Self::TcpdumpFile => "tcpdump, to disk",
            Self::Dumpcap => "dumpcap, to disk",
            Self::Netsniff => "netsniff-ng, to disk",
            Self::Sngrep => "sngrep, to disk",
        }
    }

    /// The command it runs, as one would type it.
    pub const fn command(self) -> &'static str {
        match self {
            Self::Siphon => Way::Tracking.command(),
            Self::SiphonByDefault => Way::Default.command(),
            Self::SiphonSpool => Way::Writing.command(),
            Self::SiphonMeasured => Way::Measured.command(),
            Self::SiphonLearned => Way::Learned.command(),
            Self::SiphonHost => Way::Host.command(),
            Self::SiphonHostMeasured => Way::HostMeasured.command(),
            Self::Bare => bare::COMMAND,
            Self::Discard => bare::COMMAND_DISCARD,
            Self::Tcpdump => tcpdump::COMMAND,
            Self::TcpdumpFile => tcpdump::COMMAND_FILE,
            Self::Dumpcap => Tool::Dumpcap.command(),
            Self::Netsniff => Tool::Netsniff.command(),
            Self::Sngrep => Tool::Sngrep.command(),
        }
    }

    /// Why it cannot be measured here, or `None` where it can.
    pub fn missing(self) -> Option<String> {
        match self {
            Self::Siphon => Way::Tracking.missing(),
            Self::SiphonByDefault => Way::Default.missing(),
            Self::SiphonSpool => Way::Writing.missing(),
            Self::SiphonMeasured => Way::Measured.missing(),
            Self::SiphonLearned => Way::Learned.missing(),
            Self::SiphonHost => Way::Host.missing(),
            Self::SiphonHostMeasured => Way::HostMeasured.missing(),
            Self::Bare | Self::Discard => None,
            Self::Tcpdump | Self::TcpdumpFile => Need::Program("tcpdump").missing(),
            Self::Dumpcap => Need::Program("dumpcap").missing(),
            Self::Netsniff => Need::Program("netsniff-ng").missing(),
            Self::Sngrep => Need::Program("sngrep").missing(),
        }
    }

    /// Starts one on the wire, on CPU `cpu` alone, and returns when it captures. What it writes goes to `scratch`.
    ///
    /// # Errors
    /// When it cannot be started or does not come up.
    pub fn start(
        self,
        wire: &Wire,
        programs: &Programs<'_>,
        scratch: &Scratch,
        cpu: usize,
    ) -> Result<Box<dyn Receiver>> {
        let siphon = |way| -> Result<Box<dyn Receiver>> {
            Ok(Box::new(siphon::Running::start(wire, programs.siphon, scratch, way)?))
        };
        let tool = |tool| -> Result<Box<dyn Receiver>> { Ok(Box::new(tool::Running::start(tool, wire, scratch)?)) };
        let start = || -> Result<Box<dyn Receiver>> {
            match self {
                Self::Siphon => siphon(Way::Tracking),
                Self::SiphonByDefault => siphon(Way::Default),
                Self::SiphonSpool => siphon(Way::Writing),
                Self::SiphonMeasured => siphon(Way::Measured),
                Self::SiphonLearned => siphon(Way::Learned),
                Self::SiphonHost => siphon(Way::Host),
                Self::SiphonHostMeasured => siphon(Way::HostMeasured),
                Self::Bare => Ok(Box::new(bare::Running::start(wire, programs.bench, false)?)),
                Self::Discard => Ok(Box::new(bare::Running::start(wire, programs.bench, true)?)),
                Self::Tcpdump => Ok(Box::new(tcpdump::Running::start(wire, scratch, false)?)),
                Self::TcpdumpFile => Ok(Box::new(tcpdump::Running::start(wire, scratch, true)?)),
                Self::Dumpcap => tool(Tool::Dumpcap),
                Self::Netsniff => tool(Tool::Netsniff),
                Self::Sngrep => tool(Tool::Sngrep),
            }
        };
        pinned(cpu, start)
    }
}
