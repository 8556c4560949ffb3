//! Rules in the control protocol: as JSON, and what can be asked of them.

#![deny(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a request is whatever a client sends"
)]

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::protocol::Refusal;
use crate::rules::{Change, Draft, Place, Rule, Said, WORDS, Written};

/// The answer to `rules` and to what changes them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleBook {
    /// The level of calls under no rule.
    pub default_level: String,
    /// The rules in order.
    pub rules: Vec<RuleStatus>,
}

/// A rule and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleStatus {
    /// The rule, word by word.
    pub rule: Map<String, Value>,
    /// Calls that came under it since it was made, some of which may be under an earlier one by now.
    pub calls: u64,
    /// Calls remembered that are under it.
    pub calls_now: u64,
    /// RTP packets of its calls that crossed from the kernel, kept or not, as of the last look at their streams.
    pub rtp_packets: u64,
    /// Why no call will ever come under it, where that is certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub never: Option<String>,
    /// Why what it says comes to nothing, whichever calls come under it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<String>,
}

impl RuleStatus {
    /// The rule's name.
    pub fn name(&self) -> &str {
        self.rule.get("name").and_then(Value::as_str).unwrap_or_default()
    }
}

/// A rule as JSON.
pub fn rule_as_json(rule: &Rule) -> Map<String, Value> {
    words_as_json(rule.words())
}

fn words_as_json(words: Vec<(&'static str, Written)>) -> Map<String, Value> {
    let value = |written| match written {
        Written::Text(text) => Value::String(text),
        Written::Number(number) => json!(number),
        Written::Header(name, value) => json!({"name": name, "value": value}),
    };
    let words = words.into_iter();
    words.map(|(word, written)| (word.to_owned(), value(written))).collect()
}

/// What JSON says of a rule.
///
/// # Errors
/// What is wrong with it.
pub fn draft_of_json(words: &Map<String, Value>) -> Result<Draft, String> {
    let mut draft = Draft::default();
    for (word, value) in words {
        let said = match value {
            Value::String(text) => Said::Text(text),
            Value::Number(number) => number.as_f64().map_or(Said::Other, Said::Number),
            Value::Object(header) => {
                let text = |word: &str| header.get(word).and_then(Value::as_str);
                match (text("name"), text("value"), header.len()) {
                    (Some(name), Some(value), 2) => Said::Header { name, value },
                    _ => Said::Other,
                }
            }
            _ => Said::Other,
        };
        let shown: String = word.chars().take(64).collect();
        draft.say(word, &said).map_err(|wrong| format!("{shown}: {wrong}"))?;
    }
    Ok(draft)
}

/// Names of the asks that change rules, with the fields of each.
pub(super) const CHANGES: [(&str, &[&str]); 3] = [
    ("rule_add", &["rule", "before", "at"]),
    ("rule_change", &["name", "rule", "without", "before", "at"]),
    ("rule_remove", &["name"]),
];

/// The name of the ask that makes a change.
pub(super) const fn label(change: &Change) -> &'static str {
    match change {
        Change::Add { .. } => "rule_add",
        Change::Change { .. } => "rule_change",
        Change::Remove { .. } => "rule_remove",
    }
}

/// Reads the change that the ask `name` is for; its fields are known to be among those it may have.
pub(super) fn read(name: &str, fields: &Map<String, Value>) -> Result<Change, Refusal> {
    let rule_name = || match fields.get("name") {
        Some(Value::String(name)) => Ok(name.clone()),
        _ => Err(Refusal::bad("name says which rule")),
    };
    let of_rule = |wrong: String| Refusal::bad(format!("rule: {wrong}"));
    let draft = || match fields.get("rule") {
        Some(Value::Object(words)) => draft_of_json(words).map_err(of_rule),
        None if name == "rule_change" => Ok(Draft::default()),
        _ => Err(Refusal::bad(format!("rule is an object of {}", WORDS.join(", ")))),
    };
    match name {
        "rule_add" => Ok(Change::Add {
            rule: Box::new(draft()?.finish().map_err(of_rule)?),
            place: place(fields)?,
        }),
        "rule_change" => {
            let draft = draft()?;
            if draft.name.is_some() {
                return Err(Refusal::bad("rule: a rule keeps its name"));
            }
            Ok(Change::Change {
                name: rule_name()?,
                draft: Box::new(draft),
                without: without(fields)?,
                place: place(fields)?,
            })
        }
        _ => Ok(Change::Remove { name: rule_name()? }),
    }
}

fn place(fields: &Map<String, Value>) -> Result<Option<Place>, Refusal> {
    let at = match fields.get("at") {
        None => None,
        Some(value) => {
            let number = value.as_u64().filter(|number| *number > 0);
            let number = number.and_then(|number| usize::try_from(number).ok());
            Some(number.ok_or_else(|| Refusal::bad("at is the place of the rule, from 1"))?)
        }
    };
    match (fields.get("before"), at) {
        (None, at) => Ok(at.map(Place::At)),
        (Some(Value::String(before)), None) => Ok(Some(Place::Before(before.clone()))),
        (Some(Value::String(_)), Some(_)) => Err(Refusal::bad("before and at are two places")),
        (Some(_), _) => Err(Refusal::bad("before is the name of a rule")),
    }
}

fn without(fields: &Map<String, Value>) -> Result<Vec<String>, Refusal> {
    let wrong = || Refusal::bad("without is a list of conditions, such as [\"from\"]");
    match fields.get("without") {
        None => Ok(Vec::new()),
        Some(Value::Array(names)) => {
            let names = names.iter().map(|name| name.as_str().map(str::to_owned));
            names.map(|name| name.ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

/// Adds the fields of a change to a request.
pub(super) fn write(change: &Change, request: &mut Map<String, Value>) {
    let mut put = |field: &str, value: Value| drop(request.insert(field.to_owned(), value));
    let place = match change {
        Change::Add { rule, place } => {
            put("rule", rule_as_json(rule).into());
            place
        }
        Change::Change {
            name,
            draft,
            without,
            place,
        } => {
            put("name", name.clone().into());
            let words = words_as_json(draft.words());
            if !words.is_empty() {
                put("rule", words.into());
            }
            if !without.is_empty() {
                put("without", without.clone().into());
            }
            place
        }
        Change::Remove { name } => {
            put("name", name.clone().into());
            &None
        }
    };
    match place {
        Some(Place::Before(name)) => put("before", name.clone().into()),
        Some(Place::At(at)) => put("at", (*at).into()),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::{Ask, Code, parse};
    use super::*;

    fn words() -> Map<String, Value> {
        let rule = json!({
            "name": "support", "level": "full", "from": "+49-211-*@gw", "to": "alice", "number": "+49*",
            "address": "192.0.2.0/24", "call_id": "*@h", "user_agent": "Yealink*", "codec": "opus",
            "header": {"name": "X-Customer", "value": "acme*"}, "sample": 0.25,
        });
        rule.as_object().unwrap().clone()
    }

    #[test]
    fn every_change_is_taken_as_it_is_written() {
        let rule = draft_of_json(&words()).unwrap().finish().unwrap();
        assert_eq!(rule_as_json(&rule), words());
        let mut changed = words();
        changed.remove("name");
        let draft = Box::new(draft_of_json(&changed).unwrap());
        let name = || "support".to_owned();
        for change in [
            Change::Add {
                rule: Box::new(rule.clone()),
                place: None,
            },
            Change::Add {
                rule: Box::new(rule),
                place: Some(Place::Before("other".to_owned())),
            },
            Change::Change {
                name: name(),
                draft,
                without: vec!["from".to_owned(), "sample".to_owned()],
                place: Some(Place::At(1)),
            },
            Change::Change {
                name: name(),
                draft: Box::default(),
                without: Vec::new(),
                place: None,
            },
            Change::Remove { name: name() },
        ] {
            let ask = Ask::ChangeRules(change);
            assert_eq!(parse(ask.line().as_bytes()).ask, Ok(ask));
        }
    }

    #[test]
    fn a_change_that_says_nothing_or_too_much_is_refused() {
        for (line, message) in [
            (r#"{"v":1,"ask":"rule_add"}"#, "rule is an object of name, level"),
            (
                r#"{"v":1,"ask":"rule_add","rule":{"name":"a"}}"#,
                "rule: a rule has a level: \"signaling\"",
            ),
            (
                r#"{"v":1,"ask":"rule_add","rule":{"name":"a","colour":1}}"#,
                "rule: colour: a rule says nothing of this name",
            ),
            (
                r#"{"v":1,"ask":"rule_add","rule":{"name":"a","level":"full"},"at":0}"#,
                "at is the place of the rule, from 1",
            ),
            (
                r#"{"v":1,"ask":"rule_add","rule":{"name":"a","level":"full"},"at":1,"before":"b"}"#,
                "before and at are two places",
            ),
            (
                r#"{"v":1,"ask":"rule_change","name":"a","rule":{"name":"b"}}"#,
                "rule: a rule keeps its name",
            ),
            (r#"{"v":1,"ask":"rule_change","rule":{}}"#, "name says which rule"),
            (
                r#"{"v":1,"ask":"rule_change","name":"a","without":"from"}"#,
                "without is a list of conditions",
            ),
            (r#"{"v":1,"ask":"rule_remove"}"#, "name says which rule"),
            (
                r#"{"v":1,"ask":"rule_remove","name":"a","at":1}"#,
                "rule_remove has no field \"at\"",
            ),
        ] {
            let refusal = parse(line.as_bytes()).ask.unwrap_err();
            assert_eq!(refusal.code, Code::BadRequest);
            assert!(refusal.message.starts_with(message), "{line}: {}", refusal.message);
        }
    }
}
