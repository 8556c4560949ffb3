//! A receiver at work on a wire of its own, and everything that was sent to it.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;
use xtask::lab::Scratch;
use xtask::lab::process::run;

use crate::account::Conserved;
use crate::cpu::CpuTime;
use crate::generator::{self, Generator, Load};
use crate::receiver::{self, Kind, Made, Programs, Receiver};
use crate::run::{GENERATOR_CPU, RECEIVER_CPU};
use crate::sender::Sender;
use crate::wire::{LOAD, Wire};

/// One of them.
pub struct Live<'a> {
    // Ended before its wire and its files go.
    receiver: Box<dyn Receiver>,
    wire: Wire,
    scratch: Scratch,
    programs: Programs<'a>,
    made: Made,
    /// Frames that the streams began with.
    begun: u64,
}

impl<'a> Live<'a> {
    /// Starts a receiver, and returns when it captures.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(kind: Kind, programs: Programs<'a>) -> Result<Self> {
        let wire = Wire::new()?;
        let scratch = Scratch::new("bench")?;
        let receiver = kind.start(&wire, &programs, &scratch, RECEIVER_CPU)?;
        Ok(Self {
            receiver,
            wire,
            scratch,
            programs,
            made: Made::default(),
            begun: 0,
        })
    }

    /// Sends frames through a socket, so many a second, and waits until they have been taken in.
    ///
    /// # Errors
    /// When a frame cannot be sent, or the receiver has ended.
    pub fn send(&mut self, rate: u32, frames: impl Iterator<Item = Vec<u8>> + Send) -> Result<generator::Made> {
        let made = Sender::open(&self.wire.source, LOAD)?.send(GENERATOR_CPU, rate, frames)?;
        self.made.announced += made.frames;
        self.made.delivered = self.wire.delivered()?;
        self.receiver.wait_for_frames(self.made.delivered)?;
        Ok(made)
    }

    /// Has the streams of `load` begin, and does not wait until that has been taken in.
    ///
    /// # Errors
    /// When the generator fails.
    pub fn begin(&mut self, generator: &mut Generator, load: Load) -> Result<()> {
        let made = generator.begin(&self.wire.source, LOAD, GENERATOR_CPU, load)?;
        self.made.frames += made.frames;
        self.begun += made.frames;
        Ok(())
    }

    /// Sends a load. Nothing can be sent through a socket after that.
    ///
    /// # Errors
    /// When the generator fails.
    pub fn load(&mut self, generator: &mut Generator, load: Load) -> Result<generator::Made> {
        let made = generator.send(&self.wire.source, LOAD, GENERATOR_CPU, load)?;
        self.made.frames += made.frames;
        Ok(made)
    }

    /// Frames sent before the load: through a socket, and those that the streams began with.
    pub fn announced(&self) -> u64 {
        self.made.announced + self.begun
    }

    /// Where all frames are, once they stand still.
    ///
    /// # Errors
    /// When one is not accounted for.
    pub fn account(&mut self) -> Result<Conserved> {
        Ok(receiver::settle(&self.wire, self.receiver.as_mut(), self.made)?.check()?)
    }

    /// The receiver's process.
    pub fn pid(&self) -> u32 {
        self.receiver.pid()
    }

    /// Its CPU time so far.
    ///
    /// # Errors
    /// When it is gone.
    pub fn cpu(&self) -> Result<CpuTime> {
        CpuTime::of(self.pid())
    }

    /// What `siphon status --json` says.
    ///
    /// # Errors
    /// When the receiver is no siphon or does not answer.
    pub fn status(&self) -> Result<Value> {
        let mut client = std::process::Command::new(self.programs.siphon);
        client
            .args(["status", "--json", "--socket"])
            .arg(self.scratch.path().join("siphon.sock"));
        serde_json::from_str(&run(&mut client)?).context("what siphon prints")
    }

    /// Ends the receiver, removes the files, and waits until the disk is at rest.
    ///
    /// # Errors
    /// When it does not end well.
    pub fn stop(self) -> Result<()> {
        let Self { receiver, scratch, .. } = self;
        receiver.stop()?;
        let disk = scratch.path().parent().unwrap_or(Path::new("/")).to_owned();
        drop(scratch);
        let directory = std::fs::File::open(&disk).with_context(|| format!("open {}", disk.display()))?;
        rustix::fs::syncfs(directory).with_context(|| format!("syncfs {}", disk.display()))
    }
}
