//! SIP over WebSocket (RFC 7118) between two hosts: a client and a server that play a script over a TCP connection of the
//! kernel's, in the ways that frames may come.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::Network;
use super::mirror::{CALLEE, CALLER};

/// Where the server listens.
const PORT: u16 = 8080;

/// Guards against a hang.
const LIMIT: Duration = Duration::from_secs(10);

/// Between two parts of a message, so that each has a segment of its own.
const PAUSE: Duration = Duration::from_millis(5);

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: 192.0.2.2:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// The answer to that very key (RFC 6455 section 1.3).
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: sip\r\n\r\n";

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// The last frame of a message.
const FIN: u8 = 0x80;

/// Who says it, and the segments it is said in.
type Line = (Side, Vec<Vec<u8>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

use Side::{Client, Server};

/// Registers, is challenged, registers again, and places a call that is answered and ended by the other side.
///
/// # Errors
/// A side did not get what the other one sent.
pub fn converse(network: &Network) -> Result<()> {
    let (listens, ready) = mpsc::channel();
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            network.callee.enter(|| -> Result<()> {
                let listener = TcpListener::bind((CALLEE, PORT)).context("listening")?;
                listens.send(())?;
                play(Server, listener.accept()?.0)
            })?
        });
        let client = || -> Result<()> {
            ready.recv_timeout(LIMIT).context("waiting for the server")?;
            network
                .caller
                .enter(|| play(Client, TcpStream::connect(SocketAddr::from((CALLEE, PORT)))?))?
        };
        let (client, server) = (client(), server.join());
        client.context("the client")?;
        match server {
            Ok(server) => server.context("the server"),
            Err(_) => bail!("the server panicked"),
        }
    })
}

/// Says the lines of one side, and hears those of the other.
fn play(side: Side, mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LIMIT))?;
    for (speaker, segments) in script() {
        if speaker == side {
            for segment in segments {
                stream.write_all(&segment)?;
                thread::sleep(PAUSE);
            }
        } else {
            let expected = segments.concat();
            let mut heard = vec![0; expected.len()];
            stream.read_exact(&mut heard)?;
            ensure!(heard == expected, "heard {}", String::from_utf8_lossy(&heard));
        }
    }
    Ok(())
}

fn script() -> Vec<Line> {
    let register = |cseq| request("REGISTER sip:192.0.2.2", "register", &format!("{cseq} REGISTER"), "");
    let invite = request("INVITE sip:b@192.0.2.2", "call", "1 INVITE", &sdp(CALLER));
    let (invite, rest) = invite.split_at(300);
    let (middle, last) = rest.split_at(1);
    let ok = frame(
        Server,
        FIN | BINARY,
        &answer("200 OK", "call", "1 INVITE", &sdp(CALLEE)),
    );
    let (ok, ok_rest) = ok.split_at(3);
    let b = format!("{B};tag=b1");
    let in_dialog = |start, ends, cseq| message(start, ends, "call", cseq, "");
    vec![
        (Client, vec![UPGRADE.into()]),
        (Server, vec![SWITCHING.into()]),
        (Client, vec![frame(Client, FIN | TEXT, &register(1))]),
        (
            Server,
            vec![frame(
                Server,
                FIN | TEXT,
                &answer("401 Unauthorized", "register", "1 REGISTER", ""),
            )],
        ),
        (Client, vec![frame(Client, FIN | BINARY, &register(2))]),
        // An answer and a ping in one segment.
        (
            Server,
            vec![
                [
                    frame(Server, FIN | TEXT, &answer("200 OK", "register", "2 REGISTER", "")),
                    frame(Server, FIN | PING, b"are you there"),
                ]
                .concat(),
            ],
        ),
        (Client, vec![frame(Client, FIN | PONG, b"are you there")]),
        // Keep-alives of RFC 5626 section 3.5.1, and a message in three frames with a ping between, in four segments.
        (Client, vec![frame(Client, FIN | TEXT, b"\r\n\r\n")]),
        (Server, vec![frame(Server, FIN | TEXT, b"\r\n")]),
        (
            Client,
            vec![
                frame(Client, TEXT, invite),
                frame(Client, FIN | PING, b""),
                frame(Client, 0, middle),
                frame(Client, FIN, last),
            ],
        ),
        // Two messages in a segment; a third one cut in the middle of its header.
        (
            Server,
            vec![
                [
                    frame(Server, FIN | TEXT, &answer("100 Trying", "call", "1 INVITE", "")),
                    frame(Server, FIN | TEXT, &answer("180 Ringing", "call", "1 INVITE", "")),
                    ok.to_vec(),
                ]
                .concat(),
                ok_rest.to_vec(),
            ],
        ),
        (
            Client,
            vec![frame(
                Client,
                FIN | TEXT,
                &in_dialog("ACK sip:b@192.0.2.2 SIP/2.0", [A, &b], "1 ACK"),
            )],
        ),
        (
            Server,
            vec![frame(
                Server,
                FIN | TEXT,
                &in_dialog("BYE sip:a@192.0.2.1 SIP/2.0", [&b, A], "2 BYE"),
            )],
        ),
        (
            Client,
            vec![frame(
                Client,
                FIN | TEXT,
                &in_dialog("SIP/2.0 200 OK", [&b, A], "2 BYE"),
            )],
        ),
        (Client, vec![frame(Client, FIN | CLOSE, &[0x03, 0xe8])]),
        (Server, vec![frame(Server, FIN | CLOSE, &[0x03, 0xe8])]),
    ]
}

/// A frame (RFC 6455 section 5.2), of a client with a mask. Payloads here are shorter than 64 KiB.
fn frame(side: Side, first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = match side {
        Client => [payload.len() as u8, 0x5a, 0xa5, 0x0f],
        Server => [0; 4],
    };
    let masked = if side == Client { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..126 => bytes.push(masked | len as u8),
        len => {
            bytes.push(masked | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
    }
    if side == Client {
        bytes.extend(mask);
    }
    bytes.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(octet, mask)| octet ^ mask),
    );
    bytes
}

/// A request of the client's outside a dialog.
fn request(start: &str, call_id: &str, cseq: &str, body: &str) -> Vec<u8> {
    message(&format!("{start} SIP/2.0"), [A, B], call_id, cseq, body)
}

/// The server's answer to one.
fn answer(status: &str, call_id: &str, cseq: &str, body: &str) -> Vec<u8> {
    let to = format!("{B};tag=b1");
    message(&format!("SIP/2.0 {status}"), [A, &to], call_id, cseq, body)
}

const A: &str = "<sip:a@192.0.2.2>;tag=a1";
const B: &str = "<sip:b@192.0.2.2>";

fn message(start: &str, [from, to]: [&str; 2], call_id: &str, cseq: &str, body: &str) -> Vec<u8> {
    let content = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!(
        "{start}\r\nVia: SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bK{call_id}{}\r\nFrom: {from}\r\nTo: {to}\r\n\
         Call-ID: {call_id}@websocket\r\nCSeq: {cseq}\r\nContact: <sip:a@df7jal23ls0d.invalid;transport=ws>\r\n\
         Max-Forwards: 70\r\n{content}Content-Length: {}\r\n\r\n{body}",
        cseq.replace(' ', ""),
        body.len()
    )
    .into_bytes()
}

fn sdp(host: Ipv4Addr) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 20000 RTP/AVP 8\r\n\
         a=rtpmap:8 PCMA/8000\r\n"
    )
}
