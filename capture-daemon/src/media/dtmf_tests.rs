//! Bodies of INFO requests, and the keys of a call in any order.

use proptest::prelude::*;

use super::*;

fn told(content_type: &str, body: &str) -> Option<(char, Option<u32>)> {
    signal(content_type.as_bytes(), body.as_bytes()).map(|signal| (signal.key, signal.duration_ms))
}

#[test]
fn bodies_name_a_key_and_perhaps_a_duration() {
    let relay = "application/dtmf-relay";
    for (content_type, body, expected) in [
        (relay, "Signal=5\r\nDuration=160\r\n", Some(('5', Some(160)))),
        (relay, "Signal= 1\r\nDuration= 180\r\n", Some(('1', Some(180)))),
        (relay, "signal: *\nduration: x", Some(('*', None))),
        (
            "Application/DTMF-Relay;charset=x",
            "Duration=50\r\nSignal=d",
            Some(('D', Some(50))),
        ),
        (relay, "Signal=10\r\n", Some(('*', None))),
        (relay, "Signal=16\r\n", Some(('!', None))),
        (relay, "Signal=17\r\n", None),
        (relay, "Signal=\r\n", None),
        (relay, "5", None),
        ("application/dtmf", "5", Some(('5', None))),
        ("application/dtmf", "\r\n#\r\n", Some(('#', None))),
        ("application/dtmf", "Signal=7\r\nDuration=90", Some(('7', Some(90)))),
        ("application/dtmf", "hello", None),
        ("application/media_control+xml", "Signal=5", None),
        ("", "Signal=5", None),
    ] {
        assert_eq!(told(content_type, body), expected, "{content_type}: {body:?}");
    }
}

fn press(ms: u64, cseq: u32, tag: u64) -> InfoDigit {
    InfoDigit {
        at: (
            Timestamp::from_nanos(ms * 1_000_000),
            Endpoint::v4([192, 0, 2, 1], 5060),
        ),
        request: (tag, cseq),
        signal: Signal {
            key: char::from(b'0' + (cseq % 10) as u8),
            duration_ms: None,
        },
    }
}

/// Keys and times in milliseconds, and how many are beyond the cap.
fn report(presses: &InfoDigits) -> (Vec<(String, u64)>, u64) {
    let report = presses.report();
    let told = |digit: report::Digit| (digit.digit, digit.at.as_nanos() / 1_000_000);
    (report.digits.into_iter().map(told).collect(), report.beyond)
}

proptest! {
    /// Requests that are repeated and come in any order: each counts once, at its first time.
    #[test]
    fn order_and_repetitions_do_not_matter(
        requests in prop::collection::vec((0u64..1_000, 1u32..40, 0u64..2), 0..60).prop_shuffle()
    ) {
        let mut presses = InfoDigits::default();
        let mut first = std::collections::BTreeMap::<(u64, u32), u64>::new();
        for (ms, cseq, tag) in requests {
            presses.insert(press(ms, cseq, tag));
            let known = first.entry((tag, cseq)).or_insert(ms);
            *known = ms.min(*known);
        }
        let mut expected: Vec<_> = first
            .into_iter()
            .map(|((_, cseq), ms)| (ms, (cseq % 10).to_string()))
            .collect();
        let (mut told, beyond) = report(&presses);
        told.sort_by_key(|(key, ms)| (*ms, key.clone()));
        expected.sort();
        prop_assert_eq!(told, expected.into_iter().map(|(ms, key)| (key, ms)).collect::<Vec<_>>());
        prop_assert_eq!(beyond, 0);
    }

    /// A body of lines that are names, separators and values, read by another way: all of it as text, line by line.
    #[test]
    fn a_body_is_read_as_text_would_be(
        lines in prop::collection::vec(
            (
                prop::sample::select(vec!["Signal", "signal", " SIGNAL ", "Duration", "duration\t", "Other", "5", "11", "#", ""]),
                prop::sample::select(vec!["=", ":", " = ", "", "=="]),
                prop::sample::select(vec!["1", " 5 ", "*", "#", "11", "16", "d", "160", "-1", "99999999999", "x", ""]),
                prop::sample::select(vec!["\r\n", "\n", "\r", "\r\n\r\n"]),
            ),
            0..8,
        ),
        relay in any::<bool>(),
    ) {
        let body: String = lines.iter().map(|(name, sign, value, end)| format!("{name}{sign}{value}{end}")).collect();
        let key = |text: &str| -> Option<char> {
            match text {
                "*" | "#" => text.chars().next(),
                "!" => Some('!'),
                _ if text.len() == 1 => text.chars().next().map(|c| c.to_ascii_uppercase()).filter(|c| "0123456789ABCD".contains(*c)),
                _ => match text.parse::<u8>().ok()? {
                    10 => Some('*'),
                    11 => Some('#'),
                    12 => Some('A'),
                    13 => Some('B'),
                    14 => Some('C'),
                    15 => Some('D'),
                    16 => Some('!'),
                    _ => None,
                },
            }
        };
        let (mut pressed, mut lasted) = (None, None);
        for line in body.replace('\r', "\n").split('\n').take(MAX_LINES) {
            let at = line.find(['=', ':']);
            let (name, value) = at.map_or((line, None), |at| (&line[..at], Some(line[at + 1..].trim_matches([' ', '\t']))));
            let name = name.trim_matches([' ', '\t']).to_lowercase();
            match (name.as_str(), value) {
                ("signal", Some(value)) => pressed = pressed.or(key(value)),
                ("duration", Some(value)) => lasted = lasted.or(value.parse::<u32>().ok()),
                (name, None) if !relay => pressed = pressed.or(key(name)),
                _ => {}
            }
        }
        let expected = pressed.map(|key| Signal { key, duration_ms: lasted });
        let content_type = if relay { &b"application/dtmf-relay"[..] } else { b"application/dtmf" };
        prop_assert_eq!(signal(content_type, body.as_bytes()), expected, "{:?}", body);
    }

    /// Any body: a key that there is, or nothing.
    #[test]
    fn any_body_gets_an_answer(body in prop::collection::vec(any::<u8>(), 0..64)) {
        for content_type in [&b"application/dtmf-relay"[..], b"application/dtmf"] {
            if let Some(signal) = signal(content_type, &body) {
                prop_assert!("0123456789*#ABCD!".contains(signal.key));
            }
        }
    }
}

#[test]
fn the_earliest_keys_are_kept_and_the_others_counted() {
    let mut presses = InfoDigits::default();
    for cseq in (1..=100).rev() {
        presses.insert(press(u64::from(cseq), cseq, 0));
    }
    let (told, beyond) = report(&presses);
    assert_eq!((told.len(), beyond), (MAX_DIGITS, 36));
    assert_eq!((told[0].1, told[63].1), (1, 64));
}
