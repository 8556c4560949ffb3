//! Calls that belong together, and headers that are kept.

use super::*;

const NIL: &str = "00000000000000000000000000000000";
const ALICE: &str = "ab30317f1a784dc48ff824d0d3715d86";
const BOB: &str = "47755a9de7794ba387653f2099600ef2";

/// The two sides of a back-to-back user agent that hands the Session-ID on (RFC 7989).
pub fn both_sides() -> Dialog {
    let side = |call_id: &str, from: &str| {
        Dialog::default()
            .request(0, "INVITE", 1, "")
            .between(from, "")
            .with(&format!("Session-ID: {ALICE};remote={NIL}"))
            .response(50, 200, "INVITE", 1)
            .between(from, "b")
            .with(&format!("Session-ID: {};remote={ALICE}", BOB.to_uppercase()))
            .under(call_id)
    };
    side("left", "a").and(side("right", "x").later(10))
}

fn related(dialog: &Dialog) -> Vec<(String, Vec<String>)> {
    let calls = calls_of(&dialog.sent);
    let listed: Vec<_> = calls
        .report(ms(9_000))
        .into_iter()
        .map(|call| (call.call_id, call.related))
        .collect();
    for (call_id, related) in &listed {
        assert_eq!(calls.one(call_id, ms(9_000))[0].related, *related);
    }
    listed
}

fn with_header(call_id: &str, at: u64, header: &str) -> Dialog {
    Dialog::default()
        .request(at, "INVITE", 1, "")
        .with(header)
        .under(call_id)
}

fn pairs(expected: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    let owned = |ids: &[&str]| ids.iter().map(ToString::to_string).collect();
    expected.iter().map(|(id, ids)| (id.to_string(), owned(ids))).collect()
}

#[test]
fn a_session_id_connects_both_sides() {
    assert_eq!(
        related(&both_sides()),
        pairs(&[("left", &["right"]), ("right", &["left"])])
    );
    let nil = |call_id: &str| with_header(call_id, 0, &format!("Session-ID: {NIL};remote={NIL}"));
    assert_eq!(related(&nil("x").and(nil("y"))), pairs(&[("x", &[]), ("y", &[])]));
}

#[test]
fn a_configured_header_connects_by_value_and_by_call_id() {
    let named = with_header("left", 0, "X-None: 1").and(with_header("right", 1, "X-Call-ID: left"));
    assert_eq!(related(&named), pairs(&[("left", &["right"]), ("right", &["left"])]));
    let shared = with_header("left", 0, "x-call-id: 7").and(with_header("right", 1, "X-Call-ID: 7"));
    assert_eq!(related(&shared), pairs(&[("left", &["right"]), ("right", &["left"])]));
    let replaced =
        with_header("left", 0, "X-None: 1").and(with_header("right", 1, "Replaces: left;to-tag=1;from-tag=2"));
    assert_eq!(related(&replaced), pairs(&[("left", &["right"]), ("right", &["left"])]));
}

#[test]
fn a_header_that_is_the_same_everywhere_costs_little() {
    let many = (0..20).fold(Dialog::default(), |dialog, at| {
        dialog.and(with_header(&format!("call{at:02}"), at, "X-Call-ID: same"))
    });
    let told = related(&many);
    let first: Vec<String> = (0..8).map(|at| format!("call{at:02}")).collect();
    assert_eq!(told[19], ("call19".to_owned(), first));
    assert_eq!(told[0].1.len(), 8);
    assert!(!told[0].1.contains(&"call00".to_owned()));
}

#[test]
fn a_call_id_that_is_used_again_is_named_once() {
    let side = |call_id: &str, at: u64, from: &str| with_header(call_id, at, "X-Call-ID: same").between(from, "");
    let many = (0..20).fold(side("right", 5, "a"), |dialog, n: u64| {
        dialog.and(side("left", n * 10, &format!("from{n}")))
    });
    let told = related(&many);
    let (right, left): (Vec<_>, Vec<_>) = told.iter().partition(|(call_id, _)| call_id == "right");
    assert_eq!((right.len(), left.len()), (1, 8));
    assert_eq!(right[0].1, ["left"]);
    assert!(left.iter().all(|(_, related)| *related == ["right"]), "{left:?}");
}

#[test]
fn configured_headers_are_kept_as_the_first_request_has_them() {
    let dialog = invite()
        .with("User-Agent: callee")
        .request(50, "ACK", 1, "b")
        .with("User-Agent: later")
        .request(10, "INVITE", 1, "")
        .with("user-agent:  Phone 1.0 ")
        .with("X-Lost: yes");
    let call = call_at(&dialog, 100);
    let told: Vec<_> = call
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(told, [("User-Agent", "Phone 1.0"), ("X-Lost", "yes")]);
    let long = invite()
        .request(20, "ACK", 1, "b")
        .with(&format!("User-Agent: {}", "x".repeat(400)));
    assert_eq!(call_at(&long, 100).headers["User-Agent"].len(), 256);
}
