//! Datagrams of any content between few ends, with two calls that come and go: no panic, and every cap holds.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use capture_daemon::media::{Endpoints, Format, Streams, rtp};
use capture_daemon::net::Endpoint;
use capture_daemon::outcome::Losses;
use capture_daemon::time::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut streams = Streams::new(4, Duration::from_secs(1));
    let endpoints = Endpoints::new(4);
    let losses = Losses::default();
    let formats: Arc<[Format]> = Arc::new([Format {
        payload_type: 96,
        encoding: "opus".into(),
        clock_rate: 48_000,
    }]);
    let mut ts = Timestamp::from_nanos(1 << 60);
    let mut rest = data;
    // A step is a kind, a time, a port, and for a datagram its length.
    while let Some((&[kind, ms, port, len], next)) = rest.split_first_chunk::<4>() {
        rest = next;
        ts = ts.plus(Duration::from_millis(u64::from(ms)));
        let dst = Endpoint::v4([192, 0, 2, 2], u16::from(port % 4));
        let call: Arc<str> = if port < 128 { "a".into() } else { "b".into() };
        match kind % 8 {
            0 => endpoints.announce(dst, &call, ts, &formats, &losses),
            1 => endpoints.release(&call, ts, &losses),
            2 => streams.tick(ts, &endpoints),
            3 => endpoints.tick(ts, Duration::from_secs(1)),
            _ => {
                let (datagram, next) = rest.split_at_checked(usize::from(len)).unwrap_or((rest, &[]));
                rest = next;
                let src = Endpoint::v4([192, 0, 2, 1], 4000);
                if let rtp::Kind::Rtp(packet) = rtp::read(datagram) {
                    streams.packet(ts, src, dst, &packet, &endpoints, &losses);
                }
            }
        }
        assert!(streams.len() <= 4 && endpoints.len() <= 4);
    }
    for stream in streams.report(&endpoints) {
        assert!(stream.lost < stream.expected && stream.packets > 0);
    }
});
