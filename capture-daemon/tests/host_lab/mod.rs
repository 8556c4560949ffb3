//! What the tests of siphon beside a host share: traffic of that host, and what its interface and tcpdump make of it.
#![allow(
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "each test file is a crate of its own; all of this is tests"
)]

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xtask::lab::Network;
use xtask::lab::capture;
use xtask::lab::mirror::{CALLEE, CALLER, WIRE};
use xtask::lab::process::wait_for;
use xtask::lab::sipp::{Calls, Kind, Telephones, Transport};

/// Guards against a hang; nothing is measured with it.
pub const LIMIT: Duration = Duration::from_secs(30);

/// How long a datagram may take there and back before it counts as lost.
const ARRIVAL: Duration = Duration::from_secs(10);

/// Datagrams sent before their echoes are waited for: veth's ring and a socket's buffer have room for more.
const WINDOW: usize = 32;

/// Such windows of one exchange.
const WINDOWS: usize = 60;

/// A media port: what is sent to it is wanted.
const ECHO: u16 = 45_000;

/// A packet of RTP with its number, as long as G.711 of 20 ms.
fn packet(number: usize) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend((number as u16).to_be_bytes());
    packet.extend((number as u32 * 160).to_be_bytes());
    packet.extend(0xec40_u32.to_be_bytes());
    packet.extend(std::iter::repeat_n(number as u8, 160));
    packet
}

/// Sends packets from the caller to the called host, whose socket sends each back; each must arrive at both sockets, as it
/// was sent.
pub fn exchange(network: &Network) -> Result<()> {
    let far = network.callee.enter(|| UdpSocket::bind((CALLEE, ECHO)))??;
    let near = network.caller.enter(|| UdpSocket::bind((CALLER, ECHO)))??;
    near.set_read_timeout(Some(ARRIVAL))?;
    far.set_read_timeout(Some(ARRIVAL))?;
    let all: Vec<_> = (0..WINDOW * WINDOWS).map(packet).collect();
    thread::scope(|scope| {
        let count = all.len();
        let echo = scope.spawn(move || -> Result<Vec<Vec<u8>>> {
            let mut arrived = Vec::new();
            let mut room = [0; 2_048];
            for number in 0..count {
                let (length, from) = far
                    .recv_from(&mut room)
                    .with_context(|| format!("packet {number} never arrived"))?;
                arrived.push(room[..length].to_vec());
                far.send_to(&room[..length], from)?;
            }
            Ok(arrived)
        });
        let mut returned = Vec::new();
        let mut room = [0; 2_048];
        for window in all.chunks(WINDOW) {
            for packet in window {
                near.send_to(packet, SocketAddr::from((CALLEE, ECHO)))?;
            }
            for _ in window {
                let length = near.recv(&mut room).context("an echo never arrived")?;
                returned.push(room[..length].to_vec());
            }
        }
        let arrived = echo.join().expect("the echo ends")?;
        ensure!(arrived == all, "what arrived is not what was sent");
        ensure!(returned == all, "what came back is not what was sent");
        Ok(())
    })
}

/// Frames of calls under way before [`calls_while`] goes on: some are ringing then, and some have media.
const UNDER_WAY: u64 = 500;

/// Calls over UDP and TCP, with media both ways, each to its end.
pub fn calls(network: &Network) -> u32 {
    calls_while(network, || {})
}

/// The same, and in the middle of them something else.
pub fn calls_while(network: &Network, meanwhile: impl FnOnce()) -> u32 {
    let mut telephones = Telephones::start(network, Duration::from_secs(2)).unwrap();
    let callers = [(Transport::Udp, 20), (Transport::Tcp, 10)].map(|(transport, count)| {
        let calls = Calls {
            kind: Kind::Answered,
            transport,
            count,
            rate: 10,
        };
        telephones.call(calls).unwrap()
    });
    let before = frames(network).unwrap();
    wait_for("calls to be under way", LIMIT, || {
        Ok((frames(network)? >= before + UNDER_WAY).then_some(()))
    })
    .unwrap();
    meanwhile();
    for caller in callers {
        caller.finish().unwrap();
    }
    telephones.packets_per_stream()
}

/// How often each frame occurs.
pub fn multiset<'a>(frames: impl IntoIterator<Item = &'a Vec<u8>>) -> BTreeMap<&'a [u8], u32> {
    let mut counts = BTreeMap::new();
    for frame in frames {
        *counts.entry(frame.as_slice()).or_default() += 1;
    }
    counts
}

/// All frames of some files.
pub fn written(files: &[PathBuf]) -> Vec<Vec<u8>> {
    files.iter().flat_map(|file| capture::frames(file).unwrap()).collect()
}

/// Frames the interface has sent and received so far.
fn frames(network: &Network) -> Result<u64> {
    let text = network.callee.ip(&format!("-s -j link show dev {WIRE}"))?;
    let parsed: Value = serde_json::from_str(&text)?;
    let counter = |way: &str| parsed[0]["stats64"][way]["packets"].as_u64();
    counter("rx").zip(counter("tx")).map(|(rx, tx)| rx + tx).context(text)
}

/// The same, once it is silent.
pub fn passed(network: &Network) -> u64 {
    let mut before = None;
    wait_for("the interface to be silent", LIMIT, || {
        thread::sleep(Duration::from_millis(300));
        let now = frames(network)?;
        Ok((before.replace(now) == Some(now)).then_some(now))
    })
    .unwrap()
}
