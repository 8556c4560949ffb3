//! Any byte stream: every message lies within it, and one whose octets come one by one is the same.
#![no_main]

use capture_daemon::net::websocket::{Framing, Http, begins, http, read, search};
use libfuzzer_sys::fuzz_target;

fn expected(prefix: &[u8]) -> Option<bool> {
    prefix.first().map(|first| first.is_ascii_uppercase())
}

fuzz_target!(|data: &[u8]| {
    match http(data, b"sip") {
        Http::Header { len, .. } => assert!(len > 0 && len <= data.len()),
        Http::Incomplete { needed, searched } => assert!(needed > data.len() && searched <= data.len()),
        Http::Nothing => {}
    }
    let at = search(data, expected);
    assert!(at <= data.len() && (at > 0 || data.is_empty()));
    if at < data.len() {
        assert_ne!(begins(&data[at..], expected), Some(false));
    }
    let mut rest = data;
    while let Framing::Message(message) = read(rest, 0) {
        assert!(message.len > 1 && message.len <= rest.len() && message.payload.len() < message.len);
        let (mut len, mut searched) = (0, 0);
        let slowly = loop {
            match read(&rest[..len], searched) {
                Framing::Incomplete { needed, searched: more } => {
                    assert!(needed > len && more >= searched && more <= len);
                    (len, searched) = (needed, more);
                }
                other => break other,
            }
        };
        rest = &rest[message.len..];
        assert_eq!(slowly, Framing::Message(message));
    }
});
