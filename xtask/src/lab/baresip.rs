//! Real softphones: baresip with a tone for a voice and nobody to listen.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::coturn;
use super::mirror::{MIDDLE, WIRE};
use super::netns::Netns;
use super::require::Need;
use super::scratch::Scratch;
use super::server::Server;

/// Where Debian puts baresip's modules, on every architecture.
const MODULES: &str = "/usr/lib/baresip/modules";

/// What a call sounds like on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// G.711 A-law.
    Pcma,
    /// Opus, 48 kHz (RFC 7587).
    Opus,
}

impl Codec {
    /// As an account names it.
    const fn name(self) -> &'static str {
        match self {
            Self::Pcma => "PCMA/8000/1",
            Self::Opus => "opus/48000/2",
        }
    }
}

/// What is done to the media of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// RTP from end to end.
    Plain,
    /// SRTP with keys in the SDP (RFC 4568).
    Encrypted,
    /// This side's RTP goes through the [`coturn`](super::coturn::Coturn) of the network.
    Turn,
}

/// A telephone: where it is and how it talks.
#[derive(Clone, Debug)]
pub struct Telephone<'a> {
    /// User part of its address, and its name among the others.
    pub user: &'a str,
    /// The host.
    pub address: Ipv4Addr,
    /// Its SIP port, over UDP and TCP.
    pub port: u16,
    /// Its media ports; RTP goes over an even one.
    pub media_ports: RangeInclusive<u16>,
    /// The only codec it knows.
    pub codec: Codec,
    /// What is done to its media.
    pub media: Media,
    /// The domain it registers with and calls through, if it does.
    pub registrar: Option<Ipv4Addr>,
}

impl Telephone<'_> {
    /// Its address in a call from another.
    pub fn uri(&self) -> String {
        match self.registrar {
            Some(registrar) => format!("sip:{}@{registrar}", self.user),
            None => format!("sip:{}@{}:{}", self.user, self.address, self.port),
        }
    }

    fn config(&self) -> String {
        let Self { address, port, .. } = self;
        let (first, last) = (self.media_ports.start(), self.media_ports.end());
        // A tone of two channels at 48 kHz is all the module `ausine` can do; baresip resamples it.
        let mut text = format!(
            "sip_listen {address}:{port}\nnet_interface {WIRE}\nrtp_ports {first}-{last}\nrtcp_mux no\n\
             audio_source ausine,440\naudio_player aufile,/dev/null\naudio_alert aufile,/dev/null\n\
             ausrc_srate 48000\nausrc_channels 2\nopus_bitrate 28000\nmodule_path {MODULES}\n"
        );
        for module in ["g711", "opus", "ausine", "aufile", "srtp", "turn", "stun"] {
            text.push_str(&format!("module {module}.so\n"));
        }
        text.push_str("module_tmp account.so\nmodule_app menu.so\n");
        text
    }

    fn account(&self, answers: bool) -> String {
        let (domain, registers) = match self.registrar {
            Some(registrar) => (registrar, "60"),
            None => (self.address, "0"),
        };
        let mut text = format!(
            "<sip:{}@{domain}>;regint={registers};audio_codecs={}",
            self.user,
            self.codec.name()
        );
        if answers {
            text.push_str(";answermode=auto");
        }
        match self.media {
            Media::Plain => {}
            Media::Encrypted => text.push_str(";mediaenc=srtp-mand"),
            Media::Turn => text.push_str(&format!(
                ";medianat=turn;stunserver=\"turn:{}:{}\";stunuser={};stunpass={}",
                MIDDLE,
                coturn::PORT,
                coturn::USER,
                coturn::PASSWORD
            )),
        }
        text.push('\n');
        text
    }
}

/// What baresip needs beyond its program.
pub fn need() -> Need<'static> {
    Need::Fact(
        Path::new(MODULES).is_dir(),
        "baresip's modules are not where Debian puts them",
    )
}

/// A running baresip.
#[derive(Debug)]
pub struct Baresip {
    server: Server,
    /// Its configuration and log; goes after the process.
    _scratch: Scratch,
}

impl Baresip {
    /// Starts a telephone that answers every call at once. It is ready for calls, and has registered where it is to.
    ///
    /// # Errors
    /// When baresip is not installed, does not come up, or cannot register; the error carries what it wrote.
    pub fn answer(host: &Netns, telephone: &Telephone<'_>) -> Result<Self> {
        Self::start(host, telephone, None)
    }

    /// Starts a telephone that calls another, and returns once the call is established.
    ///
    /// # Errors
    /// As [`Baresip::answer`], and when there is no answer.
    pub fn call(host: &Netns, telephone: &Telephone<'_>, called: &str) -> Result<Self> {
        let calling = Self::start(host, telephone, Some(called))?;
        calling.server.wait_output("the call to be established", |output| {
            output.contains("Call established").then_some(())
        })?;
        Ok(calling)
    }

    fn start(host: &Netns, telephone: &Telephone<'_>, called: Option<&str>) -> Result<Self> {
        let scratch = Scratch::new("baresip")?;
        scratch.write("config", telephone.config())?;
        scratch.write("accounts", telephone.account(called.is_none()))?;
        // Without it baresip makes it, with entries of its own.
        scratch.write("contacts", "")?;
        let mut command = host.command("baresip");
        command
            .arg("-f")
            .arg(scratch.path())
            .arg("-4")
            .arg("-p")
            .arg(scratch.path());
        if let Some(called) = called {
            command.arg("-e").arg(format!("/dial {called}"));
        }
        let registers = telephone.registrar.is_some();
        let server = Server::start(&mut command, &scratch.path().join("log"), |output| {
            Ok(output.contains("baresip is ready.") && (!registers || output.contains("200 OK")))
        })?;
        Ok(Self {
            server,
            _scratch: scratch,
        })
    }

    /// Ends baresip, which hangs up first.
    ///
    /// # Errors
    /// When it does not end, or something went wrong in the call; the error carries what it wrote.
    pub fn hang_up(mut self) -> Result<()> {
        let status = self.server.stop()?;
        let output = self.server.output();
        if !status.success() {
            bail!("baresip: {status}: {output}");
        }
        output
            .contains("Call with")
            .then_some(())
            .with_context(|| format!("there was no call: {output}"))
    }
}
