//! Any datagram as UDPTL and as a handshake: lengths that are there, and a fax that adds up.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use capture_daemon::media::{Author, Basis, Endpoints, Faxes, Purpose, Srtp, Terms, dtls, t38};
use capture_daemon::net::Endpoint;
use capture_daemon::outcome::Losses;
use capture_daemon::time::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let endpoints = Endpoints::new(4);
    let losses = Losses::default();
    // Room for both directions, also in the same part of the table.
    let faxes = Faxes::new(64);
    let dst = Endpoint::v4([192, 0, 2, 2], 4000);
    let call: Arc<str> = "a".into();
    let terms = Terms {
        purpose: Purpose::Udptl,
        basis: Basis::Described,
        author: Author { tag: 1, peer: false },
        formats: [].into(),
        srtp: Srtp::No,
    };
    let mut ts = Timestamp::from_nanos(1 << 60);
    endpoints.announce(dst, &call, ts, &terms, &losses);
    let mut taken = 0;
    let mut rest = data;
    // A step is a length, a port to come from, and so many octets.
    while let Some((&[len, port], next)) = rest.split_first_chunk::<2>() {
        let (datagram, next) = next.split_at_checked(usize::from(len)).unwrap_or((next, &[]));
        rest = next;
        ts = ts.plus(Duration::from_millis(20));
        let _ = dtls::read(datagram);
        let src = Endpoint::v4([192, 0, 2, 1], u16::from(port % 2));
        let is_fax = faxes.take(ts, src, dst, datagram, &endpoints, &losses);
        assert!(!is_fax || t38::read(datagram).is_some());
        taken += u64::from(is_fax);
    }
    let told = faxes.report(&endpoints);
    assert!(told.iter().map(|(_, fax)| fax.packets).sum::<u64>() == taken);
    for (_, fax) in told {
        assert!(fax.recovered <= fax.lost && fax.lost < fax.expected);
        assert!(fax.indicators + fax.data == fax.packets && fax.duplicates < fax.packets);
    }
});
