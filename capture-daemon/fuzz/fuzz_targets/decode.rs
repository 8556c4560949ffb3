//! Any frame of any link type: no panic, and the payload lies within the frame.
#![no_main]

use capture_daemon::frame::LinkType;
use capture_daemon::net::{Segment, Transport, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&link, frame)) = data.split_first() else {
        return;
    };
    let link = match link % 5 {
        0 => LinkType::Null,
        1 => LinkType::Ethernet,
        2 => LinkType::Raw,
        3 => LinkType::LinuxSll,
        _ => LinkType::LinuxSll2,
    };
    if let Ok(packet) = decode(link, frame) {
        let (Transport::Udp(payload) | Transport::Tcp(Segment { payload, .. })) = packet.transport;
        assert!(payload.is_empty() || frame.as_ptr_range().contains(&payload.as_ptr()));
        assert!(payload.len() <= frame.len());
    }
});
