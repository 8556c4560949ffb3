//! Requests of the control protocol: one line of JSON each, read by a total function.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::panic,
    reason = "a request is whatever a client sends"
)]

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Filter, rules};
use crate::report::{AllocationState, CallState, RegistrationState};
use crate::rules::Change;

/// Version of the protocol.
pub const VERSION: u64 = 1;

/// Longest `id` that is given back, in bytes of JSON.
const ID_LENGTH: usize = 256;

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Given back with the answer: a string, a number or null.
    pub id: Value,
    /// What is asked, or why it is not answered.
    pub ask: Result<Ask, Refusal>,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// How the daemon does.
    Health,
    /// Everything about the daemon itself.
    Status,
    /// Transactions, registrations and sessions in figures.
    Signaling,
    /// Calls.
    Calls(Filter),
    /// The calls under this Call-ID, message by message, and their streams.
    Call(String),
    /// RTP streams.
    Streams(Filter),
    /// Registrations.
    Registrations(Filter),
    /// STUN and TURN: figures, and allocations.
    Turn(Filter),
    /// The rules, and what came of each.
    Rules,
    /// Change the rules.
    ChangeRules(Change),
    /// Stop the daemon.
    Stop,
    /// Version of the daemon and of the protocol.
    Version,
}

/// Names of what can be asked, in the order of the documentation.
const ASKS: &[&str] = &[
    "health",
    "status",
    "signaling",
    "calls",
    "call",
    "streams",
    "registrations",
    "turn",
    "rules",
    "rule_add",
    "rule_change",
    "rule_remove",
    "stop",
    "version",
];

impl Ask {
    /// The name in a request.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Status => "status",
            Self::Signaling => "signaling",
            Self::Calls(_) => "calls",
            Self::Call(_) => "call",
            Self::Streams(_) => "streams",
            Self::Registrations(_) => "registrations",
            Self::Turn(_) => "turn",
            Self::Rules => "rules",
            Self::ChangeRules(change) => rules::label(change),
            Self::Stop => "stop",
            Self::Version => "version",
        }
    }

    /// The request as a line, without its newline; `parse` takes it back.
    pub fn line(&self) -> String {
        let filter = match self {
            Self::Calls(filter) | Self::Streams(filter) | Self::Registrations(filter) | Self::Turn(filter) => {
                Some(filter)
            }
            Self::Call(_)
            | Self::Health
            | Self::Status
            | Self::Signaling
            | Self::Rules
            | Self::ChangeRules(_)
            | Self::Stop
            | Self::Version => None,
        };
        let mut request = Map::new();
        request.insert("v".to_owned(), VERSION.into());
        request.insert("ask".to_owned(), self.label().into());
        if let Self::Call(call_id) = self {
            request.insert("call_id".to_owned(), call_id.clone().into());
        }
        if let Self::ChangeRules(change) = self {
            rules::write(change, &mut request);
        }
        if let Some(Filter { limit, state, call_id }) = filter {
            request.extend(limit.map(|limit| ("limit".to_owned(), limit.into())));
            request.extend(state.clone().map(|state| ("state".to_owned(), state.into())));
            request.extend(call_id.clone().map(|id| ("call_id".to_owned(), id.into())));
        }
        Value::Object(request).to_string()
    }
}

/// Why a request is not answered, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Not UTF-8, not JSON, or a field that is missing, unknown or wrong.
    BadRequest,
    /// The line is longer than `control.max_request`.
    TooLarge,
    /// `v` is a version this daemon does not speak.
    UnsupportedVersion,
    /// `ask` is nothing this daemon knows.
    UnknownAsk,
    /// As many clients as `control.max_clients` are connected.
    Busy,
    /// The request did not become whole in time.
    Timeout,
    /// The answer was not ready in time.
    Unavailable,
    /// The rules are not such that they could be changed like this.
    Conflict,
}

impl Code {
    /// The name in a reply.
    pub const fn label(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::TooLarge => "too_large",
            Self::UnsupportedVersion => "unsupported_version",
            Self::UnknownAsk => "unknown_ask",
            Self::Busy => "busy",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Conflict => "conflict",
        }
    }
}

/// An error reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// For programs.
    pub code: Code,
    /// For people.
    pub message: String,
}

impl Refusal {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(Code::BadRequest, message)
    }
}

/// Reads one line. Never panics; work is bounded by the line's length (nesting by serde_json's limit of 128).
pub fn parse(line: &[u8]) -> Request {
    let refused = |refusal| Request {
        id: Value::Null,
        ask: Err(refusal),
    };
    let Ok(text) = std::str::from_utf8(line) else {
        return refused(Refusal::bad("the request is not UTF-8"));
    };
    let fields = match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return refused(Refusal::bad("the request is not a JSON object")),
        Err(error) => return refused(Refusal::bad(format!("the request is not JSON: {error}"))),
    };
    let id = fields.get("id").cloned().unwrap_or_default();
    if !matches!(id, Value::Null | Value::Number(_) | Value::String(_)) || id.to_string().len() > ID_LENGTH {
        return refused(Refusal::bad(format!(
            "id is a string or a number of at most {ID_LENGTH} bytes"
        )));
    }
    Request { id, ask: ask(&fields) }
}

fn ask(fields: &Map<String, Value>) -> Result<Ask, Refusal> {
    match fields.get("v") {
        Some(version) if version.as_u64() == Some(VERSION) => {}
        Some(Value::Number(version)) => {
            let message = format!("version {version} is not spoken here; {VERSION} is");
            return Err(Refusal::new(Code::UnsupportedVersion, message));
        }
        _ => return Err(Refusal::bad(format!("v is the version of the protocol: {VERSION}"))),
    }
    let known = || ASKS.join(", ");
    let Some(name) = fields.get("ask").and_then(Value::as_str) else {
        return Err(Refusal::bad(format!("ask is one of {}", known())));
    };
    if let Some((_, known)) = rules::CHANGES.iter().find(|(known, _)| *known == name) {
        only(fields, name, known)?;
        return rules::read(name, fields).map(Ask::ChangeRules);
    }
    let (ask, narrows): (fn(Filter) -> Ask, &[&str]) = match name {
        "health" => (|_| Ask::Health, &[]),
        "status" => (|_| Ask::Status, &[]),
        "signaling" => (|_| Ask::Signaling, &[]),
        "calls" => (Ask::Calls, &["limit", "state", "call_id"]),
        "call" => (|filter| Ask::Call(filter.call_id.unwrap_or_default()), &["call_id"]),
        "streams" => (Ask::Streams, &["limit", "call_id"]),
        "registrations" => (Ask::Registrations, &["limit", "state", "call_id"]),
        "turn" => (Ask::Turn, &["limit", "state"]),
        "rules" => (|_| Ask::Rules, &[]),
        "stop" => (|_| Ask::Stop, &[]),
        "version" => (|_| Ask::Version, &[]),
        _ => {
            let message = format!("there is nothing of this name to ask; there are {}", known());
            return Err(Refusal::new(Code::UnknownAsk, message));
        }
    };
    only(fields, name, narrows)?;
    let call_id = text(fields, "call_id")?;
    if name == "call" && call_id.is_none() {
        return Err(Refusal::bad("call_id says which call"));
    }
    Ok(ask(Filter {
        limit: limit(fields)?,
        state: state(fields, name)?,
        call_id,
    }))
}

/// Refuses fields that the ask `name` does not take.
fn only(fields: &Map<String, Value>, name: &str, known: &[&str]) -> Result<(), Refusal> {
    let taken = |field: &&String| ["v", "id", "ask"].contains(&field.as_str()) || known.contains(&field.as_str());
    match fields.keys().find(|field| !taken(field)) {
        Some(field) => {
            let shown: String = field.chars().take(64).collect();
            Err(Refusal::bad(format!("{name} has no field {shown:?}")))
        }
        None => Ok(()),
    }
}

fn limit(fields: &Map<String, Value>) -> Result<Option<usize>, Refusal> {
    match fields.get("limit") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64().and_then(|limit| usize::try_from(limit).ok()) {
            Some(limit) => Ok(Some(limit)),
            None => Err(Refusal::bad("limit is a whole number")),
        },
    }
}

fn text(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Refusal::bad(format!("{name} is a string"))),
    }
}

fn state(fields: &Map<String, Value>, ask: &str) -> Result<Option<String>, Refusal> {
    let Some(state) = text(fields, "state")? else {
        return Ok(None);
    };
    let names: &[&str] = match ask {
        "calls" => &CallState::ALL.map(CallState::label),
        "turn" => &AllocationState::ALL.map(AllocationState::label),
        _ => &RegistrationState::ALL.map(RegistrationState::label),
    };
    if names.contains(&state.as_str()) {
        Ok(Some(state))
    } else {
        Err(Refusal::bad(format!("state is one of {}", names.join(", "))))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn refusal(line: &str) -> (Code, String) {
        let refusal = parse(line.as_bytes()).ask.unwrap_err();
        (refusal.code, refusal.message)
    }

    #[test]
    fn takes_every_ask_with_its_filters() {
        let filter = Filter {
            limit: Some(3),
            state: Some("ringing".to_owned()),
            call_id: Some("a@b".to_owned()),
        };
        let stateless = Filter {
            state: None,
            ..filter.clone()
        };
        let registered = Filter {
            state: Some("registered".to_owned()),
            ..filter.clone()
        };
        let active = Filter {
            state: Some("active".to_owned()),
            call_id: None,
            ..filter.clone()
        };
        for ask in [
            Ask::Health,
            Ask::Status,
            Ask::Signaling,
            Ask::Calls(filter),
            Ask::Calls(Filter::default()),
            Ask::Call("a@b".to_owned()),
            Ask::Streams(stateless),
            Ask::Registrations(registered),
            Ask::Turn(active),
            Ask::Rules,
            Ask::Stop,
            Ask::Version,
        ] {
            assert!(ASKS.contains(&ask.label()));
            assert_eq!(parse(ask.line().as_bytes()).ask, Ok(ask));
        }
    }

    #[test]
    fn gives_the_id_back_also_with_a_refusal() {
        let request = parse(br#"{"v":1,"id":"seven","ask":"nothing"}"#);
        assert_eq!(request.id, json!("seven"));
        assert_eq!(request.ask.unwrap_err().code, Code::UnknownAsk);
        assert_eq!(parse(br#"{"v":1,"id":7,"ask":"stop"}"#).id, json!(7));
    }

    #[test]
    fn refuses_with_a_reason() {
        let bad = |message: &str| (Code::BadRequest, message.to_owned());
        assert_eq!(refusal("[]"), bad("the request is not a JSON object"));
        assert_eq!(
            refusal("GET / HTTP/1.1"),
            bad("the request is not JSON: expected value at line 1 column 1")
        );
        assert_eq!(refusal("{}"), bad("v is the version of the protocol: 1"));
        assert_eq!(refusal(r#"{"v":"1"}"#), bad("v is the version of the protocol: 1"));
        assert_eq!(
            refusal(r#"{"v":2,"ask":"health"}"#),
            (
                Code::UnsupportedVersion,
                "version 2 is not spoken here; 1 is".to_owned()
            )
        );
        assert_eq!(
            refusal(r#"{"v":1}"#),
            bad(
                "ask is one of health, status, signaling, calls, call, streams, registrations, turn, rules, rule_add, \
                 rule_change, rule_remove, stop, version"
            )
        );
        assert_eq!(
            refusal(r#"{"v":1,"ask":"health","limit":1}"#),
            bad("health has no field \"limit\"")
        );
        assert_eq!(
            refusal(r#"{"v":1,"ask":"streams","state":"ended"}"#),
            bad("streams has no field \"state\"")
        );
        assert_eq!(
            refusal(r#"{"v":1,"ask":"calls","state":"registered"}"#),
            bad("state is one of trying, ringing, answered, ended, failed, cancelled, timed_out")
        );
        assert_eq!(
            refusal(r#"{"v":1,"ask":"calls","limit":-1}"#),
            bad("limit is a whole number")
        );
        assert_eq!(
            refusal(r#"{"v":1,"ask":"calls","call_id":5}"#),
            bad("call_id is a string")
        );
        assert_eq!(refusal(r#"{"v":1,"ask":"call"}"#), bad("call_id says which call"));
        assert_eq!(
            refusal(r#"{"v":1,"id":[1],"ask":"health"}"#),
            bad("id is a string or a number of at most 256 bytes")
        );
        let not_utf8 = parse(b"{\"v\":1,\"ask\":\"\xff\"}");
        assert_eq!(not_utf8.ask.unwrap_err().message, "the request is not UTF-8");
        let deep = "[".repeat(60_000);
        assert_eq!(refusal(&deep).0, Code::BadRequest);
    }

    proptest! {
        #[test]
        fn never_panics_and_explains_itself(line in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Err(refusal) = parse(&line).ask {
                prop_assert!(!refusal.message.is_empty());
            }
        }

        #[test]
        fn takes_back_what_it_writes(limit in proptest::option::of(0usize..1 << 40), call_id in proptest::option::of(".*")) {
            let ask = Ask::Streams(Filter { limit, state: None, call_id });
            prop_assert_eq!(parse(ask.line().as_bytes()).ask, Ok(ask));
        }
    }
}
