//! Real telephones: sipp on both hosts, with scenarios out of `xtask/scenarios/` and media both ways.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::mirror::{CALLEE, CALLER, Network};
use super::netns::Netns;
use super::process::{Process, wait_for};
use super::scratch::Scratch;
use super::server::listens;
use super::tone;

/// SSRC of what callers send. sipp plays the packets of a file as they are: every caller's stream has it, and streams
/// differ by their ports.
pub const CALLER_SSRC: u32 = 0x5150_0001;

/// SSRC of what the called side sends.
pub const CALLEE_SSRC: u32 = 0x5150_0002;

/// Port of the callee, over UDP and TCP.
const PORT: u16 = 5060;

/// Port of the registrar.
const REGISTRAR_PORT: u16 = 5061;

/// First media port of the first caller; each further one begins a span later.
const MEDIA_PORT: u16 = 10_000;

/// Media ports of a caller: sipp takes four for each call (call.cpp, `auto_media_port`) and binds the first of all.
const MEDIA_SPAN: u16 = 2_000;

/// Callers that have their ports below those of the called side.
const MOST_CALLERS: u16 = 10;

/// How long the media of a call may end before its BYE: sipp plays it in a thread of its own.
const MARGIN: Duration = Duration::from_millis(500);

/// What SIP goes over, or TURN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// All calls, or an allocation, from one socket.
    Udp,
    /// A connection for each.
    Tcp,
}

/// What becomes of a call, or what is done instead of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rings, is answered, media flows both ways, the caller hangs up.
    Answered,
    /// Refused with 486.
    Busy,
    /// Rings until the caller gives up: CANCEL and 487.
    Cancelled,
    /// Challenged with 401, then refused with 403.
    Forbidden,
    /// No call: a registration, challenged with 401, then accepted.
    Registration,
}

impl Kind {
    /// File name and text of the caller's scenario, and the user it calls.
    const fn scenario(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Answered => ("answered.xml", include_str!("../../scenarios/answered.xml"), "anyone"),
            Self::Busy => ("refused.xml", include_str!("../../scenarios/refused.xml"), "busy"),
            Self::Cancelled => (
                "cancelled.xml",
                include_str!("../../scenarios/cancelled.xml"),
                "patience",
            ),
            Self::Forbidden => ("forbidden.xml", include_str!("../../scenarios/forbidden.xml"), "secret"),
            Self::Registration => ("register.xml", include_str!("../../scenarios/register.xml"), "phone"),
        }
    }
}

/// A number of calls of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    /// What becomes of them.
    pub kind: Kind,
    /// What their signalling goes over.
    pub transport: Transport,
    /// How many; at most 500, as each takes four media ports.
    pub count: u32,
    /// How many begin in a second.
    pub rate: u32,
}

/// The called side and the registrar, running, and the callers, started as asked.
#[derive(Debug)]
pub struct Telephones<'a> {
    network: &'a Network,
    /// Whom the callers call.
    target: Ipv4Addr,
    talk: Duration,
    /// Held for their drop, before that of their directory.
    _callees: [Process; 3],
    scratch: Scratch,
    /// Callers started so far, for ports of their own.
    started: u16,
}

impl<'a> Telephones<'a> {
    /// Starts the called side: calls are answered over UDP and TCP and each side then talks for `talk`.
    ///
    /// # Errors
    /// When sipp is not there or does not come up.
    pub fn start(network: &'a Network, talk: Duration) -> Result<Self> {
        let scratch = Scratch::new("sipp")?;
        let packets = tone::packets(talk);
        scratch.write("caller.pcap", tone::pcap(packets, CALLER_SSRC))?;
        scratch.write("callee.pcap", tone::pcap(packets, CALLEE_SSRC))?;
        let callee = scratch.write("callee.xml", include_str!("../../scenarios/callee.xml"))?;
        let registrar = scratch.write("registrar.xml", include_str!("../../scenarios/registrar.xml"))?;
        let host = &network.callee;
        let start = |scenario: &PathBuf, options: &str| {
            let words = format!("-i {CALLEE} -mi {CALLEE} {options}");
            sipp(host, &scratch, scenario, &words).map(|(process, _)| process)
        };
        let callees = [
            start(&callee, &format!("-p {PORT} -t u1 -mp 30000"))?,
            start(&callee, &format!("-p {PORT} -t t1 -mp 40000"))?,
            start(&registrar, &format!("-p {REGISTRAR_PORT} -t u1 -mp 50000"))?,
        ];
        for (protocol, port) in [("-u", PORT), ("-t", PORT), ("-u", REGISTRAR_PORT)] {
            wait_for(&format!("sipp on port {port}"), Duration::from_secs(10), || {
                Ok(listens(host, protocol, port)?.then_some(()))
            })?;
        }
        Ok(Self {
            network,
            target: CALLEE,
            talk,
            scratch,
            _callees: callees,
            started: 0,
        })
    }

    /// Has the callers call a proxy at this address, on the port of the called side, instead of the called side itself.
    #[must_use]
    pub fn through(mut self, proxy: Ipv4Addr) -> Self {
        self.target = proxy;
        self
    }

    /// Packets of each media stream of an answered call.
    pub fn packets_per_stream(&self) -> u32 {
        tone::packets(self.talk)
    }

    /// Starts the calls; [`Caller::finish`] waits for them.
    ///
    /// # Errors
    /// When there are too many calls, or sipp cannot be started.
    pub fn call(&mut self, calls: Calls) -> Result<Caller> {
        let Calls {
            kind,
            transport,
            count,
            rate,
        } = calls;
        if count > u32::from(MEDIA_SPAN / 4) || self.started == MOST_CALLERS {
            bail!("no media ports for {count} calls after {} callers", self.started);
        }
        let (name, text, user) = kind.scenario();
        let scenario = self.scratch.write(name, text)?;
        if kind == Kind::Registration && self.target != CALLEE {
            bail!("the registrar is at the called side");
        }
        let (mode, port) = match (transport, kind) {
            (Transport::Udp, Kind::Registration) => ("u1", REGISTRAR_PORT),
            (Transport::Udp, _) => ("u1", PORT),
            (Transport::Tcp, Kind::Registration) => bail!("the registrar listens over UDP only"),
            (Transport::Tcp, _) => ("tn", PORT),
        };
        let media = MEDIA_PORT + self.started * MEDIA_SPAN;
        let local = 6_000 + self.started;
        self.started += 1;
        let lasts = (self.talk + MARGIN).as_millis();
        let words = format!(
            "-i {CALLER} -mi {CALLER} -p {local} -t {mode} -mp {media} -s {user} -m {count} -l {count} -r {rate} \
             -d {lasts} -max_socket 4096 {}:{port}",
            self.target
        );
        let (process, errors) = sipp(&self.network.caller, &self.scratch, &scenario, &words)?;
        // All begin within count/rate seconds; retransmissions of a slow machine are allowed for generously.
        let limit = Duration::from_secs(u64::from(count.div_ceil(rate)) + 60) + self.talk;
        Ok(Caller {
            process,
            errors,
            limit,
            calls,
        })
    }
}

/// A running sipp that places calls.
#[derive(Debug)]
pub struct Caller {
    process: Process,
    errors: PathBuf,
    limit: Duration,
    calls: Calls,
}

impl Caller {
    /// Whether calls are still being placed or under way.
    ///
    /// # Errors
    /// When the process cannot be asked.
    pub fn is_running(&mut self) -> Result<bool> {
        self.process.is_running()
    }

    /// Waits until every call has ended as its scenario says.
    ///
    /// # Errors
    /// When a call went otherwise, with what sipp wrote about it, or when sipp does not end.
    pub fn finish(mut self) -> Result<()> {
        let status = self.process.wait(self.limit)?;
        if status.success() {
            return Ok(());
        }
        let errors = std::fs::read_to_string(&self.errors).unwrap_or_default();
        bail!("sipp, {:?}: {status}\n{}", self.calls, errors.trim());
    }
}

/// Starts sipp in a namespace and returns it with the file its errors go to.
fn sipp(host: &Netns, scratch: &Scratch, scenario: &PathBuf, words: &str) -> Result<(Process, PathBuf)> {
    let port = words.split_whitespace().collect::<Vec<_>>().join("_");
    let errors = scratch.path().join(format!("{}.errors", port.replace(['/', ':'], "_")));
    let screen = File::create(errors.with_extension("screen"))
        .with_context(|| format!("make a file in {}", scratch.path().display()))?;
    let mut command = host.command("sipp");
    command
        .current_dir(scratch.path())
        // sipp draws its screen with curses and wants a terminal it knows.
        .env("TERM", "dumb")
        .args(["-nostdin", "-trace_err", "-error_file"])
        .arg(&errors)
        .arg("-sf")
        .arg(scenario)
        .args(words.split_whitespace())
        .stdin(Stdio::null())
        .stdout(screen.try_clone()?)
        .stderr(screen);
    Ok((Process::spawn(&mut command)?, errors))
}
