//! `siphon run`: the configuration file with what the command line changes of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::Args;

use crate::config::{Config, load};
use crate::daemon;

/// Arguments of `siphon run`; each overrides its key in the configuration file.
#[derive(Debug, Default, Args)]
pub struct Run {
    /// Configuration file; without one, every key has its default.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Interface to capture on.
    #[arg(long, value_name = "IF")]
    pub interface: Option<String>,
    /// Capture even though the interface carries the host's own addresses: the host loses that network.
    #[arg(long)]
    pub steal_traffic: bool,
    /// Folder of the capture files.
    #[arg(long, value_name = "DIR", conflicts_with = "no_spool")]
    pub spool: Option<PathBuf>,
    /// Keep no packets.
    #[arg(long)]
    pub no_spool: bool,
    /// Control socket.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Address and port of /metrics.
    #[arg(long, value_name = "ADDR:PORT", conflicts_with = "no_metrics")]
    pub metrics: Option<SocketAddr>,
    /// Serve no /metrics.
    #[arg(long)]
    pub no_metrics: bool,
    /// Which messages are written: error, warn, info, debug or trace, also per module.
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
}

impl Run {
    /// The file's configuration with the overrides, checked as a whole.
    ///
    /// # Errors
    /// The file cannot be read, something in it or in the overrides is wrong, or no interface is named.
    pub fn configuration(self) -> anyhow::Result<Config> {
        let Self {
            config: file,
            interface,
            steal_traffic,
            spool,
            no_spool,
            socket,
            metrics,
            no_metrics,
            log,
        } = self;
        let mut config = match &file {
            Some(file) => load(file)?,
            None => Config::default(),
        };
        if let Some(interface) = interface {
            config.capture.interface = interface;
        }
        config.capture.steal_traffic |= steal_traffic;
        if let Some(directory) = spool {
            config.spool.directory = directory;
            config.spool.enabled = true;
        }
        config.spool.enabled &= !no_spool;
        if let Some(socket) = socket {
            config.control.socket = socket;
        }
        if let Some(listen) = metrics {
            config.metrics.listen = listen;
            config.metrics.enabled = true;
        }
        config.metrics.enabled &= !no_metrics;
        if let Some(filter) = log {
            config.log.filter = filter;
        }
        // The file has passed already: what is wrong now comes from the command line.
        let problems: Vec<String> = config.problems().iter().map(ToString::to_string).collect();
        if !problems.is_empty() {
            bail!("{}", problems.join("\n"));
        }
        if config.capture.interface.is_empty() {
            return Err(anyhow!(
                "no interface to capture on: give --interface IF, or set capture.interface in the file of --config"
            ));
        }
        Ok(config)
    }

    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let config = self.configuration()?;
        crate::log::start(&config.log)?;
        daemon::run(config)?;
        Ok(ExitCode::SUCCESS)
    }
}
