//! Any session description: bounded, and only with payload types and clock rates that exist.
#![no_main]

use capture_daemon::sip::sdp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(session) = sdp::parse(data) else { return };
    assert!(session.media.len() <= 32);
    assert!(session.bundles.len() <= 8);
    for media in &session.media {
        assert!(media.fmtps.len() <= 128 && media.candidates.len() <= 32 && media.sources.len() <= 16);
        assert!(media.candidates.iter().all(|candidate| candidate.port > 0));
        let transport = session.transport_of(media);
        assert!(session.media.iter().any(|one| std::ptr::eq(one, transport)));
        assert!(media.formats.len() <= 128 && media.maps.len() <= 128);
        for map in &media.maps {
            assert!(map.payload_type < 128 && map.clock_rate > 0);
        }
    }
});
