//! The torture messages of RFC 4475 and RFC 5118, one per file as sent on the wire, against the verdicts in `torture.toml`.
//! The messages are not in the repository.

use std::collections::BTreeSet;
use std::fmt::Write;

use capture_daemon::sip::{Framing, Message, StartLine, Uri, frame, sdp};
use serde::Deserialize;

use super::captures;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdicts {
    message: Vec<Verdict>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdict {
    file: String,
    section: String,
    malformed: Option<String>,
    tolerated: Option<String>,
    stream: Option<Stream>,
    reads: Option<Fields>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Stream {
    Octets(usize),
    Word(String),
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fields {
    start: String,
    call_id: String,
    cseq: u32,
    from: String,
    from_tag: String,
    to: String,
    to_tag: String,
    branch: String,
    vias: usize,
    contacts: Vec<String>,
    media: Vec<String>,
}

fn verdicts() -> Vec<Verdict> {
    toml::from_str::<Verdicts>(include_str!("torture.toml"))
        .unwrap()
        .message
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn fields(message: &Message<'_>) -> Fields {
    let session = message.sdp().map(|body| sdp::parse(body).unwrap()).unwrap_or_default();
    Fields {
        start: match message.start {
            StartLine::Request { method, uri } => format!("{} {}", method.label(), text(uri)),
            StartLine::Response { code, reason } => format!("{code} {}", text(reason)),
        },
        call_id: text(message.call_id),
        cseq: message.cseq.number,
        from: text(message.from.uri),
        from_tag: text(message.from.tag().unwrap_or_default()),
        to: text(message.to.uri),
        to_tag: text(message.to.tag().unwrap_or_default()),
        branch: text(message.branch),
        vias: message.vias,
        contacts: message.contacts().map(|contact| text(contact.uri)).collect(),
        media: session
            .media
            .iter()
            .map(|media| format!("{} {} {}", text(media.kind), media.port, media.connection.unwrap()))
            .collect(),
    }
}

#[test]
fn every_message_gets_the_verdict_of_its_rfc() {
    let test = "torture::every_message_gets_the_verdict_of_its_rfc";
    let mut report = String::new();
    for verdict in verdicts() {
        let Some(file) = captures::foreign(test, &verdict.file) else {
            return;
        };
        let bytes = std::fs::read(file).unwrap();
        let expected = verdict.reads.as_ref().ok_or(verdict.malformed.as_deref());
        let read = Message::parse(&bytes).map(|(message, _)| fields(&message));
        let read = read.as_ref().map_err(|why| Some(why.label()));
        let name = format!("{} ({})", verdict.file, verdict.section);
        if read != expected {
            writeln!(report, "{name}:\n  is        {read:?}\n  should be {expected:?}").unwrap();
        }
        let framing = match &verdict.stream {
            None => Framing::Message(bytes.len()),
            Some(Stream::Octets(octets)) => Framing::Message(*octets),
            Some(Stream::Word(word)) => {
                assert_eq!(word, "incomplete");
                Framing::Incomplete
            }
        };
        if frame(&bytes) != framing {
            writeln!(report, "{name}: {:?} in a stream, not {framing:?}", frame(&bytes)).unwrap();
        }
    }
    assert!(report.is_empty(), "{report}");
}

/// A message cut off anywhere, or read from anywhere, is an answer and no panic, and never more than was there.
#[test]
fn every_part_of_a_message_has_an_answer() {
    let test = "torture::every_part_of_a_message_has_an_answer";
    for verdict in verdicts() {
        let Some(file) = captures::foreign(test, &verdict.file) else {
            return;
        };
        let bytes = std::fs::read(file).unwrap();
        for at in 0..bytes.len() {
            for part in [&bytes[..at], &bytes[at..]] {
                if let Ok((message, taken)) = Message::parse(part) {
                    assert!(taken <= part.len() && message.body.len() <= taken);
                    let _ = message.sdp().map(sdp::parse);
                }
                if let Framing::Message(taken) | Framing::Keepalive(taken) | Framing::Garbage(taken) = frame(part) {
                    assert!((1..=part.len()).contains(&taken), "{} at {at}", verdict.file);
                }
            }
        }
    }
}

/// RFC 4475 section 3.1.1.8: the second request of a datagram is ignored, and read in a stream.
#[test]
fn a_second_request_is_read_in_a_stream_only() {
    let test = "torture::a_second_request_is_read_in_a_stream_only";
    let Some(file) = captures::foreign(test, "rfc4475/dblreq.dat") else {
        return;
    };
    let bytes = std::fs::read(file).unwrap();
    let mut rest = bytes.as_slice();
    let mut methods = Vec::new();
    while !rest.is_empty() {
        let taken = match frame(rest) {
            Framing::Message(taken) => {
                let (message, _) = Message::parse(&rest[..taken]).unwrap();
                methods.push(message.cseq.method.label());
                taken
            }
            // Its Content-Length is five octets less than its body has.
            Framing::Garbage(5) => break,
            Framing::Keepalive(taken) => taken,
            other => panic!("{other:?}"),
        };
        rest = &rest[taken..];
    }
    assert_eq!(methods, ["REGISTER", "INVITE"]);
    let (message, taken) = Message::parse(&bytes).unwrap();
    assert_eq!((message.cseq.method.label(), taken < bytes.len()), ("REGISTER", true));
}

/// RFC 5118 sections 4.1 to 4.4: the port is what stands behind the closing bracket, and nothing else.
#[test]
fn a_port_stands_behind_the_bracket() {
    for (uri, host, port) in [
        ("sip:[2001:db8::10]", "2001:db8::10", None),
        ("sip:[2001:db8::10:5070]", "2001:db8::10:5070", None),
        ("sip:[2001:db8::10]:5070", "2001:db8::10", Some(5070)),
        ("sip:user@[2001:db8:::192.0.2.1]", "2001:db8:::192.0.2.1", None),
    ] {
        let read = Uri::parse(uri.as_bytes()).unwrap();
        assert_eq!((text(read.host).as_str(), read.port), (host, port), "{uri}");
    }
}

#[test]
fn every_verdict_is_of_one_message_and_every_message_has_one() {
    let verdicts = verdicts();
    let listed: BTreeSet<&str> = verdicts.iter().map(|verdict| verdict.file.as_str()).collect();
    assert_eq!(listed.len(), verdicts.len());
    for verdict in &verdicts {
        let refused = verdict.malformed.is_some();
        assert!(refused != verdict.reads.is_some(), "{}", verdict.file);
        assert!(!refused || verdict.tolerated.is_none(), "{}", verdict.file);
    }
    let test = "torture::every_verdict_is_of_one_message_and_every_message_has_one";
    for folder in ["rfc4475", "rfc5118"] {
        let Some(path) = captures::foreign(test, folder) else {
            return;
        };
        for entry in std::fs::read_dir(path).unwrap() {
            let name = format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap());
            assert!(listed.contains(name.as_str()), "{name} has no verdict");
        }
    }
}
