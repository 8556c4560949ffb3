//! RTCP datagrams of any content between few ends, with a call that comes and goes: no panic, the cap holds, and what was said
//! can be told.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use capture_daemon::config::Follow;
use capture_daemon::media::rtcp::{Datagram, RtcpCounters, Sources};
use capture_daemon::media::{Author, Basis, Endpoints, Purpose, Srtp, Streams, Terms, rtp};
use capture_daemon::net::Endpoint;
use capture_daemon::outcome::Losses;
use capture_daemon::time::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (sources, endpoints) = (Sources::new(4), Endpoints::new(4));
    let mut streams = Streams::new(&Follow {
        max_streams: 4,
        waiting_room: 4,
        linger: Duration::from_secs(1),
        ..Follow::default()
    });
    let (counters, losses) = (RtcpCounters::default(), Losses::default());
    let terms = |purpose| Terms {
        purpose,
        basis: Basis::Described,
        author: Author { tag: 1, peer: false },
        formats: Arc::new([]),
        srtp: Srtp::Offered,
    };
    let mut ts = Timestamp::from_nanos(1 << 60);
    let mut rest = data;
    // A step is a kind, a time, ports, and a length.
    while let Some((&[kind, ms, ports, len], next)) = rest.split_first_chunk::<4>() {
        let (payload, next) = next.split_at_checked(usize::from(len)).unwrap_or((next, &[]));
        rest = next;
        ts = ts.plus(Duration::from_millis(u64::from(ms)));
        let src = Endpoint::v4([192, 0, 2, 1], u16::from(ports % 4));
        let dst = Endpoint::v4([192, 0, 2, 1], u16::from(ports / 64));
        match kind % 8 {
            0 => {
                let purpose = [Purpose::Media, Purpose::Rtcp][usize::from(len % 2)];
                endpoints.announce(dst, &"a".into(), ts, &terms(purpose), &losses);
            }
            1 => endpoints.release(&"a".into(), ts, &losses),
            2 => sources.tick(ts, Duration::from_secs(1), &endpoints),
            3 => {
                if let rtp::Kind::Rtp(packet) = rtp::read(payload) {
                    streams.packet(ts, src, dst, &packet, &endpoints, &losses);
                }
            }
            _ => sources.take(&Datagram { ts, src, dst, payload }, &endpoints, &counters, &losses),
        }
        assert!(sources.len() <= 4);
    }
    let mut told = streams.report(&endpoints, &losses);
    sources.join(&endpoints, &mut told);
});
