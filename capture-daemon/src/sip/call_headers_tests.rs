//! The values as the RFCs write them, and against a reading letter by letter.

#![expect(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test that slices wrongly fails, as it should"
)]

use proptest::prelude::*;

use super::*;

#[test]
fn reasons_of_rfc_3326() {
    let read = |value: &str| {
        Reason::parse(value.as_bytes()).map(|reason| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (text(reason.protocol), reason.cause, text(reason.text))
        })
    };
    let told = |protocol: &str, cause, text: &str| Some((protocol.to_owned(), cause, text.to_owned()));
    assert_eq!(
        read("SIP ;cause=200 ;text=\"Call completed elsewhere\""),
        told("SIP", Some(200), "Call completed elsewhere")
    );
    assert_eq!(
        read("Q.850 ;cause=16;text=\"Ter;minated\""),
        told("Q.850", Some(16), "Ter;minated")
    );
    assert_eq!(read("preemption"), told("preemption", None, ""));
    assert_eq!(read("Q.850;cause=sixteen"), told("Q.850", None, ""));
    assert_eq!(read(" ;cause=1"), None);
}

#[test]
fn session_ids_of_rfc_7989_and_rfc_7329() {
    let (a, b) = ("ab30317f1a784dc48ff824d0d3715d86", "47755a9de7794ba387653f2099600ef2");
    let nil = "0".repeat(32);
    let read = |value: &str| session_ids(value.as_bytes()).map(<[u8]>::to_vec).collect::<Vec<_>>();
    assert_eq!(read(&format!("{a};remote={b}")), [a.as_bytes(), b.as_bytes()]);
    assert_eq!(read(&format!("{a} ; x=y;remote={nil}")), [a.as_bytes()]);
    assert_eq!(read(a), [a.as_bytes()]);
    for wrong in ["", "x", &nil, &a[1..], &format!("{a}0"), &a.replace('a', "g")] {
        assert_eq!(read(wrong), Vec::<Vec<u8>>::new(), "{wrong}");
    }
}

#[test]
fn timers_events_replaced_calls_and_fragments() {
    assert_eq!(session_expires(b"1800;refresher=uac"), Some(1_800));
    assert_eq!(session_expires(b" 90 "), Some(90));
    assert_eq!(session_expires(b"soon"), None);
    assert_eq!(referred(b"refer;id=93809824"), Some(Some(93_809_824)));
    assert_eq!(referred(b"Refer"), Some(None));
    assert_eq!(referred(b"refer;id=x"), Some(None));
    assert_eq!(referred(b"presence;id=1"), None);
    assert_eq!(
        replaced_call_id(b" 98732@sip.example.com ;from-tag=1;to-tag=2"),
        Some(&b"98732@sip.example.com"[..])
    );
    assert_eq!(replaced_call_id(b" ;from-tag=1"), None);
    let status = |body: &[u8]| fragment_status(b"Message/SIPfrag;version=2.0", body);
    assert_eq!(status(b"SIP/2.0 503 Service Unavailable"), Some(503));
    assert_eq!(status(b"SIP/2.0 100 Trying\r\nTo: <sip:a@h>\r\n"), Some(100));
    assert_eq!(status(b"INVITE sip:a@h SIP/2.0\r\n"), None);
    assert_eq!(status(b""), None);
    assert_eq!(fragment_status(b"application/sdp", b"SIP/2.0 200 OK"), None);
    assert!(names_option(b"timer , 100REL", "100rel"));
    assert!(!names_option(b"timer,x100rel", "100rel"));
}

/// The first parameter of this name, read letter by letter: separators between quotes or brackets are letters.
fn slow_parameter(value: &str, name: &str) -> Option<String> {
    let letters: Vec<char> = value.chars().collect();
    let mut pieces = vec![String::new()];
    let (mut at, mut bracketed, mut quotes_close) = (0, false, true);
    while at < letters.len() {
        let mut end = at;
        if letters[at] == '"' && !bracketed && quotes_close {
            let mut close = at + 1;
            while close < letters.len() && letters[close] != '"' {
                close += if letters[close] == '\\' { 2 } else { 1 };
            }
            if close < letters.len() {
                end = close;
            } else {
                quotes_close = false;
            }
        }
        if letters[at] == '<' {
            bracketed = true;
        }
        if letters[at] == '>' {
            bracketed = false;
        }
        if letters[at] == ';' && !bracketed {
            pieces.push(String::new());
        } else {
            let piece: String = letters[at..=end].iter().collect();
            pieces.last_mut().unwrap().push_str(&piece);
        }
        at = end + 1;
    }
    for piece in pieces {
        let (key, value) = piece.split_once('=').unwrap_or((&piece, ""));
        if key.trim().eq_ignore_ascii_case(name) {
            let value = value.trim();
            let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            return Some(bare.unwrap_or(value).to_owned());
        }
    }
    None
}

fn slow_number(digits: &str) -> Option<u32> {
    let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// A value made of pieces that matter, and its parameters from the first semicolon on.
fn value() -> impl Strategy<Value = (String, String, String)> {
    let piece = prop::sample::select(vec![
        "Q.850",
        "refer",
        "cause",
        "text",
        "remote",
        "id",
        "=",
        ";",
        "\"",
        "\\",
        "<",
        ">",
        ",",
        " ",
        "16",
        "4294967296",
        "0",
        "ab30317f1a784dc48ff824d0d3715d86",
        "00000000000000000000000000000000",
        "SIP/2.0 200 OK",
        "\r\n",
        "x",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| {
        let value = pieces.concat();
        let (first, parameters) = match value.find(';') {
            Some(at) => value.split_at(at),
            None => (value.as_str(), ""),
        };
        (value.clone(), first.trim().to_owned(), parameters.to_owned())
    })
}

proptest! {
    #[test]
    fn values_are_read_as_letter_by_letter((value, first, parameters) in value()) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let bytes = value.as_bytes();
        let reason = Reason::parse(bytes).map(|reason| (text(reason.protocol), reason.cause, text(reason.text)));
        let slow = (!first.is_empty()).then(|| {
            let cause = slow_parameter(&parameters, "cause").and_then(|cause| slow_number(&cause));
            (first.clone(), cause, slow_parameter(&parameters, "text").unwrap_or_default())
        });
        prop_assert_eq!(reason, slow);

        let ids: Vec<String> = session_ids(bytes).map(text).collect();
        let slow: Vec<String> = [Some(first.clone()), slow_parameter(&parameters, "remote")]
            .into_iter()
            .flatten()
            .filter(|uuid| uuid.len() == 32 && u128::from_str_radix(uuid, 16).is_ok_and(|uuid| uuid != 0))
            .collect();
        prop_assert_eq!(ids, slow);

        prop_assert_eq!(session_expires(bytes), slow_number(&first));
        prop_assert_eq!(replaced_call_id(bytes).map(text), (!first.is_empty()).then(|| first.clone()));
        let slow = (first.to_lowercase() == "refer")
            .then(|| slow_parameter(&parameters, "id").and_then(|id| slow_number(&id)));
        prop_assert_eq!(referred(bytes), slow);
        let slow = value.split(['\r', '\n']).next().filter(|line| line.trim().starts_with("SIP/2.0 200 ")).map(|_| 200);
        let read = fragment_status(b"message/sipfrag", bytes);
        prop_assert!(slow.is_none() || read == slow, "{:?}", read);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Reason::parse(&bytes);
        prop_assert!(session_ids(&bytes).count() <= 2);
        let _ = (session_expires(&bytes), referred(&bytes), replaced_call_id(&bytes), names_option(&bytes, "x"));
        let _ = fragment_status(b"message/sipfrag", &bytes);
    }
}
