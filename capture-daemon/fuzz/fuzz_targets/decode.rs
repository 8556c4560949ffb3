//! Any frame of any link type: no panic, and the payload lies within the frame.
#![no_main]

use capture_daemon::frame::LinkType;
use capture_daemon::net::{Decoded, Segment, Transport, decode};
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
    let part = match decode(link, frame) {
        Ok(Decoded::Packet(packet)) => {
            let (Transport::Udp(payload) | Transport::Tcp(Segment { payload, .. })) = packet.transport;
            payload
        }
        Ok(Decoded::Fragment(fragment)) => {
            assert!(usize::from(fragment.offset) + fragment.bytes.len() <= usize::from(u16::MAX));
            fragment.bytes
        }
        Err(_) => return,
    };
    assert!(part.is_empty() || frame.as_ptr_range().contains(&part.as_ptr()));
    assert!(part.len() <= frame.len());
});
