//! A call that turns into a fax.

use super::*;
use crate::report::FaxCorrection;

/// UDPTL with V.21 data, or CNG where `data` is false, that repeats the packet before it.
fn udptl(seq: u16, data: bool) -> Vec<u8> {
    let ifp: &[u8] = if data {
        &[0xc0, 0x01, 0x80, 0x00, 0x00, 0xff]
    } else {
        &[0x02]
    };
    let mut bytes = seq.to_be_bytes().to_vec();
    bytes.push(ifp.len() as u8);
    bytes.extend(ifp);
    bytes.extend([0, u8::from(seq > 0)]);
    if seq > 0 {
        bytes.extend([1, 0x02]);
    }
    bytes
}

fn image(host: [u8; 4], port: u16) -> String {
    sdp(host, port)
        .replace("m=audio", "m=image")
        .replace("RTP/AVP 96", "udptl t38")
        .replace(
            "a=rtpmap:96 PCMX/8000",
            "a=T38FaxVersion:0\r\na=T38FaxUdpEC:t38UDPRedundancy",
        )
}

/// Audio, then a re-INVITE of the callee's to fax on the same ports. Of the caller's fax, packets 5, 6 and 10 are lost.
fn scene() -> Scene {
    let mut scene = Scene::new()
        .call(&sdp(ALICE, 20_000), &sdp(BOB, 30_000))
        .rtp(1_100, 3_000, (ALICE, 20_000), (BOB, 30_000), 1)
        .rtp(1_110, 3_000, (BOB, 30_000), (ALICE, 20_000), 2)
        .sip(
            3_000,
            Callee,
            "INVITE sip:a@x SIP/2.0",
            "7 INVITE",
            Callee,
            &image(BOB, 30_000),
        )
        .sip(
            3_100,
            Caller,
            "SIP/2.0 200 x",
            "7 INVITE",
            Callee,
            &image(ALICE, 20_000),
        )
        // The last of the audio.
        .rtp(3_120, 3_160, (BOB, 30_000), (ALICE, 20_000), 2);
    for seq in (0..40).filter(|seq| ![5, 6, 10].contains(seq)) {
        let at = 3_300 + u64::from(seq) * 30;
        scene = scene.datagram(at, (ALICE, 20_000), (BOB, 30_000), &udptl(seq, seq > 2));
    }
    for seq in 0..10 {
        let at = 3_310 + u64::from(seq) * 30;
        scene = scene.datagram(at, (BOB, 30_000), (ALICE, 20_000), &udptl(seq, true));
    }
    scene.bye(12_000)
}

#[test]
fn fax_is_counted_per_call_and_direction() {
    let document = scene().in_any_order();
    let call = only_call(&document);
    let [up, down] = call.t38.as_slice() else {
        panic!("two directions, not {:?}", call.t38)
    };
    assert_eq!((up.direction, down.direction), (UP, DOWN));
    assert_eq!((up.packets, up.expected, up.lost, up.recovered), (37, 40, 3, 2));
    assert_eq!((up.indicators, up.data), (3, 34));
    assert_eq!((down.packets, down.lost, down.duplicates), (10, 0, 0));
    assert_eq!(up.error_correction, Some(FaxCorrection::Redundancy));
    assert_eq!(up.modulations, ["v21"]);
    assert_eq!(
        (up.duration_ms, up.src.as_str(), up.dst.as_str()),
        (1170.0, "192.0.2.1:20000", "192.0.2.2:30000")
    );
    // Audio was wanted for two seconds only, and the audio streams are whole.
    assert_eq!((call.one_way, call.no_media), (None, false));
    let packets: Vec<u64> = document.streams.iter().map(|stream| stream.packets).collect();
    assert_eq!(packets, [95, 97]);
    let negotiated = &call.media.as_ref().expect("descriptions").negotiated[0];
    assert_eq!(
        (negotiated.kind.as_str(), negotiated.codec.name.as_deref()),
        ("image", Some("t38"))
    );
}

#[test]
fn udptl_is_fax_only_where_it_is_announced() {
    let mut scene = Scene::new().call(&sdp(ALICE, 20_000), &sdp(BOB, 30_000));
    for seq in 0..10 {
        scene = scene.datagram(
            1_100 + u64::from(seq),
            (ALICE, 20_000),
            (BOB, 30_000),
            &udptl(seq, true),
        );
    }
    let document = scene.document();
    assert_eq!(only_call(&document).t38, []);
    assert_eq!(document.drops.get("other_udp"), Some(&10));
}

/// The table has sixteen parts, of one place each at the least.
#[test]
fn a_full_table_of_faxes_counts_what_it_loses() {
    let mut scene = Scene::new().call(&image(ALICE, 20_000), &image(BOB, 30_000));
    for n in 0..200 {
        scene = scene.datagram(
            2_000 + u64::from(n),
            (ALICE, 10_000 + n),
            (BOB, 30_000),
            &udptl(1, true),
        );
    }
    let document = scene.following(&Follow {
        max_faxes: 1,
        ..Follow::default()
    });
    let kept = only_call(&document).t38.len() as u64;
    assert!((1..=16).contains(&kept), "{kept}");
    assert_eq!(document.drops.get("fax_evicted"), Some(&(200 - kept)));
}
