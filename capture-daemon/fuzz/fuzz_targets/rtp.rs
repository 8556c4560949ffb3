//! Datagrams of any content between few ends, with two calls that come and go: no panic, and every cap holds.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use capture_daemon::config::Follow;
use capture_daemon::media::{Author, Basis, Endpoints, Format, Place, Purpose, Srtp, Streams, Terms, rtp};
use capture_daemon::net::Endpoint;
use capture_daemon::outcome::Losses;
use capture_daemon::time::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut streams = Streams::new(&Follow {
        max_streams: 4,
        waiting_room: 4,
        linger: Duration::from_secs(1),
        ..Follow::default()
    });
    let endpoints = Endpoints::new(4);
    let losses = Losses::default();
    let terms = |purpose, basis, tag| Terms {
        purpose,
        basis,
        author: Author { tag, peer: tag > 2 },
        formats: Arc::new([Format {
            payload_type: 96,
            encoding: "opus".into(),
            clock_rate: 48_000,
        }]),
        srtp: Srtp::Offered,
    };
    let mut ts = Timestamp::from_nanos(1 << 60);
    let mut rest = data;
    // A step is a kind, a time, a port, and for a datagram its length.
    while let Some((&[kind, ms, port, len], next)) = rest.split_first_chunk::<4>() {
        rest = next;
        ts = ts.plus(Duration::from_millis(u64::from(ms)));
        let dst = Endpoint::v4([192, 0, 2, 2], u16::from(port % 4));
        let call: Arc<str> = if port < 128 { "a".into() } else { "b".into() };
        match kind % 8 {
            0 => {
                let purpose = [Purpose::Media, Purpose::Rtcp, Purpose::Udptl][usize::from(len % 3)];
                let basis = [Basis::Described, Basis::Candidate, Basis::SignalingAddress][usize::from(ms % 3)];
                let place = if len < 200 {
                    dst.into()
                } else {
                    Place::Ssrc(u32::from(ms))
                };
                endpoints.announce(
                    place,
                    &call,
                    ts,
                    &terms(purpose, basis, 1 + u64::from(len % 4)),
                    &losses,
                );
            }
            1 => endpoints.release(&call, ts, &losses),
            2 => drop(streams.tick(ts, &endpoints, &losses)),
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
        assert!(streams.len() <= 4 && streams.waiting() <= 4 && endpoints.len() <= 4);
    }
    for stream in streams.report(&endpoints, &losses) {
        assert!(stream.lost < stream.expected && stream.packets > 0);
    }
});
