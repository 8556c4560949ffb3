//! Comparisons of made-up answers.

use serde_json::json;

use super::*;

fn reading() -> Reading {
    Reading {
        frames: 10,
        requests: BTreeMap::from([("INVITE".to_owned(), 1), ("BYE".to_owned(), 1)]),
        responses: BTreeMap::from([(200, 2)]),
        calls: BTreeMap::from([(
            "id".to_owned(),
            tshark::Call {
                final_status: Some(200),
                bye: true,
                messages: 4,
            },
        )]),
        streams: vec![tshark::Stream {
            src: "192.0.2.1:10000".to_owned(),
            dst: "192.0.2.2:20000".to_owned(),
            ssrc: 0x5150_0001,
            packets: 6,
            lost: -1,
            jitter_mean_ms: 20.0,
            jitter_max_ms: 30.0,
        }],
    }
}

fn answers(state: &str, jitter: f64) -> Answers {
    Answers::new(
        &json!({"messages": 4, "requests": {"INVITE": 1, "BYE": 1}, "responses": {"200": 2}, "malformed": 0}),
        &json!([{"call_id": "id", "state": state, "status_code": 200}]),
        &json!([{
            "ssrc": "0x51500001", "src": "192.0.2.1:10000", "dst": "192.0.2.2:20000", "packets": 6,
            "lost": 0, "duplicates": 1, "jitter_mean_ms": jitter, "jitter_max_ms": 30.0,
        }]),
    )
    .unwrap()
}

#[test]
fn the_same_is_equal() {
    // Within one per cent of 20 ms.
    let rows = side_by_side(&answers("ended", 20.19), &reading());
    assert!(rows.iter().all(|row| row.equal), "{}", table(&rows));
    assert!(rows.iter().any(|row| row.what == "calls ended 200"));
}

#[test]
fn every_difference_is_a_row() {
    let unequal = |answers: &Answers, reading: &Reading| -> Vec<String> {
        let rows = side_by_side(answers, reading);
        rows.into_iter().filter(|row| !row.equal).map(|row| row.what).collect()
    };
    let stream = "stream 0x51500001 192.0.2.1:10000 > 192.0.2.2:20000";
    assert_eq!(
        unequal(&answers("answered", 20.0), &reading()),
        ["calls answered 200", "calls ended 200", "call id"]
    );
    let differ = "streams that differ in loss or jitter";
    assert_eq!(unequal(&answers("ended", 20.21), &reading()), [stream, differ]);
    let mut fewer = reading();
    fewer.streams.clear();
    fewer.requests.remove("BYE");
    assert_eq!(
        unequal(&answers("ended", 20.0), &fewer),
        [
            "SIP messages",
            "BYE",
            "RTP streams",
            "RTP packets",
            "RTP packets lost",
            stream,
            differ
        ]
    );
}

#[test]
fn a_second_stream_with_the_same_key_is_not_lost() {
    let mut twice = reading();
    twice.streams.push(twice.streams[0].clone());
    let rows = differences(&answers("ended", 20.0), &twice);
    let [row] = rows.as_slice() else {
        panic!("one difference, not {rows:?}")
    };
    assert!(row.what.ends_with("(the 2. of these)"), "{row:?}");
    assert_eq!(row.siphon, "not there");
}

#[test]
fn a_difference_is_marked_in_the_table() {
    let rows = [Row::new("calls", 1, 1), Row::new("RTP streams", 10, 9)];
    assert_eq!(
        table(&rows),
        "             siphon  tshark\ncalls             1       1\nRTP streams      10       9  <-\n"
    );
}
