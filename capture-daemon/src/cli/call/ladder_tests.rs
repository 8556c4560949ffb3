use super::*;
use crate::report::CallFlow;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_nanos(1_795_251_600_000_000_000 + millis * 1_000_000)
}

/// A message from one place to another: `5060` is a port of 192.0.2.1, as all are.
fn message(millis: u64, src: &str, dst: &str, method: &str, status_code: Option<u16>) -> Message {
    Message {
        ts: at(millis),
        src: src.to_owned(),
        dst: dst.to_owned(),
        method: method.to_owned(),
        status_code,
        cseq: 1,
        sdp: false,
        retransmission: false,
        from_tag: Some(0),
        to_tag: None,
    }
}

fn call(ladder: Vec<Message>) -> Call {
    Call {
        ladder,
        ..Call::default()
    }
}

const A: &str = "192.0.2.1:5060";
const B: &str = "192.0.2.2:5060";

fn style(width: usize) -> Style {
    Style { width, ..Style::PLAIN }
}

/// The ladder without the line that says when it begins.
fn drawn(calls: &[&Call], style: Style) -> String {
    let text = ladder(calls, style);
    let (begin, rest) = text.split_once('\n').unwrap_or_default();
    assert_eq!(begin, "Seconds since 2026-11-21 09:00:00.000 UTC");
    rest.to_owned()
}

fn short() -> Call {
    let invite = Message {
        sdp: true,
        ..message(0, A, B, "INVITE", None)
    };
    let again = Message {
        ts: at(500),
        retransmission: true,
        ..invite.clone()
    };
    let reinvite = Message {
        to_tag: Some(1),
        ..message(1_250, B, A, "INVITE", None)
    };
    call(vec![
        invite,
        again,
        message(612, B, A, "INVITE", Some(486)),
        reinvite,
        message(12_000, B, B, "OPTIONS", Some(200)),
        message(12_001, A, A, "X", None),
    ])
}

#[test]
fn an_arrow_for_each_message() {
    assert_eq!(
        drawn(&[&short()], style(80)),
        "        192.0.2.1:5060            192.0.2.2:5060\n \
         0.000         │ INVITE (SDP) ──────────▶│\n \
         0.500         │ INVITE (SDP, again) ╌╌╌▶│\n \
         0.612         │◀───────── 486 Busy Here │\n \
         1.250         │◀───────────── re-INVITE │\n\
         12.000         │       200 OK (OPTIONS) ↩│\n\
         12.001         │↩ X                      │\n"
    );
}

#[test]
fn nothing_but_ascii_where_that_is_wanted() {
    let ascii = Style {
        ascii: true,
        ..style(80)
    };
    let text = ladder(&[&short()], ascii);
    assert!(text.is_ascii(), "{text}");
    assert!(text.contains("| INVITE (SDP) ---------->|"), "{text}");
    assert!(text.contains("| INVITE (SDP, again) ...>|"), "{text}");
}

#[test]
fn colours_only_where_they_are_wanted() {
    let coloured = Style {
        colour: true,
        ..style(80)
    };
    let text = ladder(&[&short()], coloured);
    assert!(text.contains("\u{1b}[31m◀───────── 486 Busy Here"), "{text:?}");
    assert!(!ladder(&[&short()], style(80)).contains('\u{1b}'));
}

#[test]
fn messages_that_were_not_kept_have_their_place() {
    let gap = Call {
        messages_not_kept: 1_200,
        ..call((0..3).map(|n| message(n * 10, A, B, "INFO", None)).collect())
    };
    let text = drawn(&[&gap], style(80));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[3], "              ⋮ 1,200 not kept          ⋮", "{text}");
    assert_eq!(lines.len(), 5, "{text}");
}

#[test]
fn legs_are_numbered_and_in_order_of_time() {
    let one = call(vec![
        message(0, A, B, "INVITE", None),
        message(30, B, A, "INVITE", Some(200)),
    ]);
    let other = call(vec![
        message(10, B, "192.0.2.3:5060", "INVITE", None),
        message(20, "192.0.2.3:5060", B, "INVITE", Some(200)),
    ]);
    let text = drawn(&[&one, &other], style(100));
    let prefixes: Vec<&str> = text.lines().skip(1).filter_map(|line| line.get(..7)).collect();
    assert_eq!(prefixes, ["0.000 1", "0.010 2", "0.020 2", "0.030 1"]);
}

/// A message through `hops` ports of as many hosts.
fn chain(hops: u64, ports: u64) -> Call {
    let end = |n: u64| format!("192.0.2.{}:{}", n / ports, 5060 + n % ports);
    call(
        (1..hops)
            .map(|n| message(n - 1, &end(n - 1), &end(n), "INVITE", None))
            .collect(),
    )
}

#[test]
fn columns_give_way_to_letters_and_ports_to_hosts() {
    let four = ladder(&[&chain(4, 1)], style(80));
    assert!(four.contains("\n       192.0.2.0:5060     192.0.2.1:5060 "), "{four}");
    let five = chain(5, 1);
    let lettered = ladder(&[&five], style(80));
    assert!(
        lettered.contains("\nA 192.0.2.0:5060, B 192.0.2.1:5060, C 192.0.2.2:5060"),
        "{lettered}"
    );
    assert!(!ladder(&[&five], style(120)).contains("A 192"));
    let hosts = ladder(&[&chain(8, 2)], style(80));
    assert!(hosts.contains("192.0.2.0 ") && !hosts.contains(":5060"), "{hosts}");
    let many = ladder(&[&chain(20, 1)], style(80));
    assert!(many.contains("\n0.001  B ─▶ C  INVITE\n"), "{many}");
}

#[test]
fn every_ladder_fits_its_line() {
    for hops in 2..24 {
        for ports in 1..4 {
            for width in [80, 100, 120, 160] {
                let text = ladder(&[&chain(hops, ports)], style(width));
                let longest = text.lines().map(|line| line.chars().count()).max();
                assert!(longest <= Some(width), "{hops} {ports} {width}: {longest:?}\n{text}");
                // Every message has its line.
                let messages = text.lines().filter(|line| line.contains("INVITE")).count();
                assert_eq!(messages as u64, hops - 1, "{text}");
            }
        }
    }
}

#[test]
fn nothing_off_the_wire_is_obeyed() {
    let evil = call(vec![message(0, A, B, "IN\u{1b}[2JVITE", None)]);
    let text = ladder(&[&evil], style(80));
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
}

#[test]
fn related_calls_are_gathered_once_and_not_without_end() {
    let known = |id: &str| {
        let n: u64 = id.parse().unwrap_or_default();
        let call = Call {
            call_id: id.to_owned(),
            related: vec![(n + 1).to_string(), n.saturating_sub(1).to_string()],
            start: at(n),
            ..Call::default()
        };
        CallFlow::new(id, vec![call], Vec::new())
    };
    let gathered = |related| {
        let mut asked = Vec::new();
        let flow = super::super::gather("0", related, |id| {
            asked.push(id.to_owned());
            Ok::<_, std::convert::Infallible>(known(id))
        });
        (flow.map(|flow| flow.calls.len()).ok(), asked.len())
    };
    assert_eq!(gathered(false), (Some(1), 1));
    assert_eq!(gathered(true), (Some(16), 16));
}
