//! The walk of the kernel program, on any bytes: every frame has a verdict, and one that is seen to be ordinary has the same.
#![no_main]

use capture_common::{FragmentKey, Ordinary, PortFlags, Tables, Tunnel, Tunnels, Verdict, classify};
use libfuzzer_sys::fuzz_target;

struct Odd;

impl Tables for Odd {
    fn tunnels(&self) -> Tunnels {
        Tunnel::ALL.iter().copied().collect()
    }

    fn port(&self, port: u16) -> PortFlags {
        match Tunnel::ALL.iter().any(|tunnel| tunnel.port() == Some(port)) {
            true => PortFlags::TUNNEL,
            false => PortFlags(port as u8 & 3),
        }
    }

    fn recall(&self, key: &FragmentKey) -> Option<bool> {
        [None, Some(false), Some(true)][key.id as usize % 3]
    }

    fn remember(&self, _: &FragmentKey, _: bool) {}
}

fuzz_target!(|data: &[u8]| {
    let walked = classify(data, &Odd);
    assert_ne!(walked, Verdict::NoSocket);
    if let Some(verdict) = Ordinary::read(data).and_then(|ordinary| ordinary.verdict(&Odd)) {
        assert_eq!(verdict, walked);
    }
});
