//! A real coturn, and what its own client and its log say of the data it relays.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::mirror::{CALLEE, CALLER, MIDDLE};
use super::netns::Netns;
use super::process::Process;
use super::scratch::Scratch;
use super::server::{Server, listens};
use super::sipp::Transport;

/// Port of STUN and TURN (RFC 8656 section 18).
pub const PORT: u16 = 3478;

/// User of the long-term credentials (RFC 8489 section 9.2), and the password.
pub const USER: &str = "lab";
/// The password of [`USER`].
pub const PASSWORD: &str = "secret";

/// Where it relays from, unless a test says otherwise.
const PORTS: &[&str] = &["--min-port=50000", "--max-port=50999"];

/// How long a client may take to be refused.
const LIMIT: Duration = Duration::from_secs(20);

/// Port of the [`Peer`].
const PEER_PORT: u16 = 40_000;

/// A running turnserver at [`MIDDLE`].
#[derive(Debug)]
pub struct Coturn {
    server: Server,
    /// Its database and log; goes after the process.
    _scratch: Scratch,
}

/// What coturn logs of an allocation when it is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Packets from the client: requests and data.
    pub from_client: u64,
    /// Their bytes, without those of UDP and IP.
    pub from_client_bytes: u64,
    /// Packets to the client: responses and data.
    pub to_client: u64,
    /// Their bytes.
    pub to_client_bytes: u64,
    /// Packets from peers to the relayed address.
    pub from_peers: u64,
    /// Their bytes.
    pub from_peers_bytes: u64,
    /// Packets from the relayed address to peers.
    pub to_peers: u64,
    /// Their bytes.
    pub to_peers_bytes: u64,
}

impl Coturn {
    /// Starts turnserver on a host of the network, over UDP and TCP, with long-term credentials. `options` are further words
    /// of its command line, as `--user-quota=1`, and stand instead of its usual range of relayed ports.
    ///
    /// # Errors
    /// When it is not installed or does not come up; the error carries what it logged.
    pub fn start(host: &Netns, options: &[&str]) -> Result<Self> {
        let scratch = Scratch::new("coturn")?;
        let mut command = host.command("turnserver");
        command
            // Nothing but the command line counts.
            .args([
                "-n",
                "--no-tls",
                "--no-dtls",
                "--no-cli",
                "--lt-cred-mech",
                "--realm=siphon.example",
            ])
            .arg(format!("--user={USER}:{PASSWORD}"))
            .arg(format!("--listening-ip={MIDDLE}"))
            .arg(format!("--relay-ip={MIDDLE}"))
            .arg(format!("--listening-port={PORT}"))
            .args(["--verbose", "--log-file=stdout", "--simple-log"])
            .args(if options.is_empty() { PORTS } else { options })
            .arg(format!("--userdb={}", scratch.path().join("database").display()))
            .arg(format!("--pidfile={}", scratch.path().join("pid").display()));
        let server = Server::start(&mut command, &scratch.path().join("log"), |_| {
            Ok(listens(host, "-u", PORT)? && listens(host, "-t", PORT)?)
        })?;
        Ok(Self {
            server,
            _scratch: scratch,
        })
    }

    /// Waits until `count` allocations are over, which coturn logs a second after their end, and returns what it says of each.
    ///
    /// # Errors
    /// When they do not end, with the log.
    pub fn usages(&self, count: usize) -> Result<Vec<Usage>> {
        let what = format!("{count} allocations to be over");
        self.server
            .wait_output(&what, |log| Some(usages(log)).filter(|usages| usages.len() >= count))
    }

    /// Successful requests of a method, in coturn's spelling (`ALLOCATE`, `CHANNEL_BIND`), so far.
    pub fn successes(&self, method: &str) -> u64 {
        count(
            &self.server.output(),
            &format!("incoming packet {method} processed, success"),
        )
    }

    /// Requests refused so far, by code.
    pub fn refusals(&self) -> BTreeMap<u16, u64> {
        refusals(&self.server.output())
    }
}

fn count(log: &str, text: &str) -> u64 {
    log.matches(text).count() as u64
}

/// The line that coturn writes of every refusal; for some it writes another one, with the method.
fn refusals(log: &str) -> BTreeMap<u16, u64> {
    let mut refusals = BTreeMap::new();
    for (_, rest) in log
        .lines()
        .filter_map(|line| line.split_once("incoming packet message processed, error "))
    {
        if let Some(code) = rest.split(':').next().and_then(|code| code.parse().ok()) {
            *refusals.entry(code).or_default() += 1;
        }
    }
    refusals
}

/// The allocations whose both lines have been logged, `usage:` and `peer usage:`.
fn usages(log: &str) -> Vec<Usage> {
    let figures = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!(" {name}="))?;
        rest.split([',', ' ']).next()?.trim().parse().ok()
    };
    let four = |line: &str| {
        Some([
            figures(line, "rp")?,
            figures(line, "rb")?,
            figures(line, "sp")?,
            figures(line, "sb")?,
        ])
    };
    let lines = |mark: &str| {
        log.lines()
            .filter(|line| line.contains(mark))
            .filter_map(four)
            .collect::<Vec<_>>()
    };
    // Both lines of a session are written by one call, one after the other.
    let pairs = lines(": usage: ").into_iter().zip(lines(": peer usage: "));
    pairs
        .map(
            |(
                [from_client, from_client_bytes, to_client, to_client_bytes],
                [from_peers, from_peers_bytes, to_peers, to_peers_bytes],
            )| {
                Usage {
                    from_client,
                    from_client_bytes,
                    to_client,
                    to_client_bytes,
                    from_peers,
                    from_peers_bytes,
                    to_peers,
                    to_peers_bytes,
                }
            },
        )
        .collect()
}

/// What turnutils_uclient prints at its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Echoed {
    /// Messages it sent through the relay.
    pub sent: u64,
    /// Messages that came back.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Messages that did not come back.
    pub lost: u64,
    /// Mean time from sending to coming back, in milliseconds, as far as its clock of milliseconds can tell.
    pub round_trip_ms: f64,
    /// Mean of its jitter, in milliseconds.
    pub jitter_ms: f64,
}

/// How turnutils_uclient has its data relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// ChannelData messages (RFC 8656 section 12).
    Channels,
    /// Send and Data indications (RFC 8656 section 11).
    Indications,
}

/// A running turnutils_peer at the callee, which sends back what it gets.
#[derive(Debug)]
pub struct Peer {
    _server: Server,
    /// Its log; goes after the process.
    _scratch: Scratch,
}

impl Peer {
    /// Starts turnutils_peer.
    ///
    /// # Errors
    /// When it is not installed or does not come up.
    pub fn start(callee: &Netns) -> Result<Self> {
        let scratch = Scratch::new("turnutils")?;
        let mut command = callee.command("turnutils_peer");
        command.args(["-L", &CALLEE.to_string(), "-p", &PEER_PORT.to_string()]);
        let ready = |_: &str| listens(callee, "-u", PEER_PORT);
        Ok(Self {
            _server: Server::start(&mut command, &scratch.path().join("log"), ready)?,
            _scratch: scratch,
        })
    }
}

/// Has turnutils_uclient ask for several allocations at once with this password, and be refused one: it then ends.
///
/// # Errors
/// When the program cannot be started, or gets what it asks for.
pub fn refused(caller: &Netns, password: &str) -> Result<()> {
    let mut command = caller.command("turnutils_uclient");
    command
        .args(["-c", "-m", "3", "-u", USER, "-w", password, "-L", &CALLER.to_string()])
        .args(["-e", &CALLEE.to_string(), &MIDDLE.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut client = Process::spawn(&mut command)?;
    if client.wait(LIMIT)?.success() {
        bail!("turnutils_uclient was not refused");
    }
    Ok(())
}

/// Has turnutils_uclient send `messages` messages of 172 bytes, as long as 20 ms of G.711 in RTP, through the relay to the [`Peer`],
/// and waits until they are back. The client reaches the server by this transport, and the server its peer by UDP. Of its two allocations the first one carries nothing and is not given back.
///
/// # Errors
/// When the program is not installed or fails, with what it wrote.
pub fn echo(caller: &Netns, transport: Transport, wrapping: Wrapping, messages: u32) -> Result<Echoed> {
    let way = match wrapping {
        Wrapping::Channels => "",
        Wrapping::Indications => "-s",
    };
    let transport = match transport {
        Transport::Udp => "",
        Transport::Tcp => "-t",
    };
    let printed = caller.exec(&format!(
        "turnutils_uclient {transport} {way} -c -u {USER} -w {PASSWORD} -L {CALLER} -e {CALLEE} -r {PEER_PORT} -n {messages} -l 172 {MIDDLE}"
    ))?;
    echoed(&printed).with_context(|| format!("read turnutils_uclient: {printed}"))
}

fn echoed(text: &str) -> Option<Echoed> {
    // The last figure after these words: the lines are printed once a second.
    let after = |words: &str| text.rsplit_once(words).map(|(_, rest)| rest);
    let whole = |words: &str| {
        let rest = after(words)?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    };
    let part = |words: &str| after(words)?.split_whitespace().next()?.parse().ok();
    Some(Echoed {
        sent: whole("tot_send_msgs=")?,
        received: whole("tot_recv_msgs=")?,
        received_bytes: whole("tot_recv_bytes ~ ")?,
        lost: whole("Total lost packets ")?,
        round_trip_ms: part("Average round trip delay ")?,
        jitter_ms: part("Average jitter ")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_prints_is_read() {
        let text = "\
5: : start_mclient: msz=2, tot_send_msgs=25, tot_recv_msgs=25, tot_send_bytes ~ 4300, tot_recv_bytes ~ 4300
5: : start_mclient: tot_send_msgs=40, tot_recv_msgs=39
5: : start_mclient: tot_send_bytes ~ 6880, tot_recv_bytes ~ 6708
5: : Total transmit time is 5
5: : Total lost packets 1 (2.500000%), total send dropped 0 (0.000000%)
5: : Average round trip delay 0.250000 ms; min = 0 ms, max = 1 ms
5: : Average jitter 0.575000 ms; min = 0 ms, max = 1 ms
";
        let expected = Echoed {
            sent: 40,
            received: 39,
            received_bytes: 6_708,
            lost: 1,
            round_trip_ms: 0.25,
            jitter_ms: 0.575,
        };
        assert_eq!(echoed(text), Some(expected));
        assert_eq!(echoed("Total connect time is 1"), None);
    }

    #[test]
    fn a_refusal_is_counted_once() {
        let log = "\
1: : session 000000000000000001: realm <siphon.lab> user <>: incoming packet message processed, error 401: Unauthorized
1: : session 000000000000000001: realm <siphon.lab> user <lab>: incoming packet ALLOCATE processed, error 486: Allocation Quota Reached
1: : session 000000000000000001: realm <siphon.lab> user <lab>: incoming packet message processed, error 486: Allocation Quota Reached
";
        assert_eq!(refusals(log), BTreeMap::from([(401, 1), (486, 1)]));
    }

    #[test]
    fn what_the_server_logs_is_read() {
        let log = "\
7: : session 000000000000000002: usage: realm=<siphon.lab>, username=<lab>, rp=31, rb=4700, sp=30, sb=4444
7: : session 000000000000000002: peer usage: realm=<siphon.lab>, username=<lab>, rp=20, rb=3440, sp=19, sb=3268
7: : session 000000000000000003: usage: realm=<siphon.lab>, username=<lab>, rp=1, rb=2, sp=3, sb=4
";
        let expected = Usage {
            from_client: 31,
            from_client_bytes: 4_700,
            to_client: 30,
            to_client_bytes: 4_444,
            from_peers: 20,
            from_peers_bytes: 3_440,
            to_peers: 19,
            to_peers_bytes: 3_268,
        };
        assert_eq!(usages(log), [expected]);
    }
}
