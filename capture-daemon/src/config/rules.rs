//! `[[rules]]` in the configuration file: each read word by word, and written as siphon would have it written.

#![deny(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a rule is whatever stands in the file"
)]

use toml::de::{DeTable, DeValue};

use super::value::quoted;
use crate::rules::{Draft, Rule, Said, Written};

/// What is wrong with a word of a rule, and where it stands in the file.
pub(super) type Wrong = (std::ops::Range<usize>, String, String);

/// Reads one rule, or says everything that is wrong with it.
pub(super) fn read(table: &DeTable<'_>, at: std::ops::Range<usize>) -> Result<Rule, Vec<Wrong>> {
    let mut draft = Draft::default();
    let mut wrong: Vec<Wrong> = Vec::new();
    for (word, value) in table {
        let span = word.span();
        let word = word.get_ref().as_ref();
        if let Err(right) = draft.say(word, &said(value.get_ref())) {
            wrong.push((span, word.to_owned(), right));
        }
    }
    // What a wrong word leaves out is not missing.
    if !wrong.is_empty() {
        return Err(wrong);
    }
    draft.finish().map_err(|missing| vec![(at, String::new(), missing)])
}

fn said<'a>(value: &'a DeValue<'_>) -> Said<'a> {
    let number = |text: &str| text.parse().map_or(Said::Other, Said::Number);
    match value {
        DeValue::String(text) => Said::Text(text),
        DeValue::Float(float) => number(float.as_str()),
        DeValue::Integer(integer) if integer.radix() == 10 => number(integer.as_str()),
        DeValue::Table(table) => {
            let text = |word: &str| table.get(word).and_then(|value| value.get_ref().as_str());
            match (text("name"), text("value"), table.len()) {
                (Some(name), Some(value), 2) => Said::Header { name, value },
                _ => Said::Other,
            }
        }
        _ => Said::Other,
    }
}

/// A rule as it would stand in the file.
pub fn rule_as_toml(rule: &Rule) -> String {
    let mut text = "[[rules]]\n".to_owned();
    for (word, written) in rule.words() {
        let value = match written {
            Written::Text(text) => quoted(&text),
            Written::Number(number) => format!("{number:?}"),
            Written::Header(name, value) => {
                format!("{{ name = {}, value = {} }}", quoted(&name), quoted(&value))
            }
        };
        text.push_str(&format!("{word} = {value}\n"));
    }
    text
}

/// What the default file says of rules, of which it has none.
pub(super) const EXAMPLE: &str = r##"
# Rules: calls that are kept at another level than capture.level. A call is under the first rule of which all conditions
# hold; docs/rules.md has all there are.
# [[rules]]
# name = "support"
# level = "full"
# from = "+49-211-*"
# user_agent = "Yealink*"
#
# [[rules]]
# name = "one-in-ten"
# level = "headers"
# sample = 0.1
"##;
