//! Any frame with any offload, into packets: no panic, none longer than it says, and one that is as it is on the wire is left alone.
#![no_main]

use std::cell::RefCell;

use capture_daemon::intake::offload::{Captured, Offloads};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static OFFLOADS: RefCell<Offloads> = RefCell::new(Offloads::default());
}

fuzz_target!(|data: &[u8]| {
    // Bytes of payload in a packet, bytes that are kept and that were not captured; then the frame.
    let Some((&[a, b, keep, missing], bytes)) = data.split_first_chunk::<4>() else {
        return;
    };
    let frame = Captured {
        wire_len: bytes.len() as u32 + u32::from(missing),
        bytes,
        segment: u16::from_be_bytes([a, b]),
        keep: keep.into(),
    };
    let mut packets = Vec::new();
    let told = OFFLOADS.with_borrow_mut(|offloads| {
        offloads.packets(frame, |wire_len, bytes| packets.push((wire_len, bytes.to_vec())))
    });
    assert_eq!(told as usize, packets.len());
    assert!(!packets.is_empty());
    assert!(
        packets
            .iter()
            .all(|(wire_len, bytes)| bytes.len() <= *wire_len as usize)
    );
    if frame.segment == 0 {
        assert_eq!((packets.len(), packets[0].0), (1, frame.wire_len));
    }
    if let Some(plain) = Offloads::plain(&frame) {
        assert_eq!(packets[0].1, plain);
    }
});
