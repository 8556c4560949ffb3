//! `siphon rules`: lists the rules of a running daemon with what came of each, and changes them.

use std::process::ExitCode;

use capture_common::Level;
use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::table::{Column, Table};
use super::terminal::say;
use super::text::{count, printable};
use super::{Daemon, Style};
use crate::config::rule_as_toml;
use crate::control::{Ask, RuleBook, RuleStatus, draft_of_json};
use crate::rules::{
    Case, Change, Conditions, Draft, Header, Network, Number, Party, Pattern, Place, Rule, Sample, WORDS, level,
};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Rules {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    daemon: Daemon,
    /// Print the rules as they would stand in the configuration file.
    #[arg(long, conflicts_with = "json")]
    toml: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Adds a rule, behind all others unless told where.
    Add(Box<Add>),
    /// Changes what a rule says: what is given takes the place of what was, the rest stays.
    Change(Box<Changed>),
    /// Removes a rule.
    Remove {
        #[command(flatten)]
        daemon: Daemon,
        /// Name of the rule.
        name: String,
    },
}

#[derive(Debug, Args)]
struct Add {
    #[command(flatten)]
    daemon: Daemon,
    /// Name of the rule: letters, digits, -, _ and .
    name: String,
    /// How much of its calls is kept: signaling, headers or full.
    #[arg(long, value_parser = level)]
    level: Level,
    #[command(flatten)]
    conditions: Asked,
    #[command(flatten)]
    place: Where,
}

#[derive(Debug, Args)]
struct Changed {
    #[command(flatten)]
    daemon: Daemon,
    /// Name of the rule.
    name: String,
    /// How much of its calls is kept: signaling, headers or full.
    #[arg(long, value_parser = level)]
    level: Option<Level>,
    #[command(flatten)]
    conditions: Asked,
    /// A condition it has no more, by its name in the configuration; may be given several times.
    #[arg(long, value_name = "CONDITION", value_parser = clap::builder::PossibleValuesParser::new(&WORDS[2..]))]
    without: Vec<String>,
    #[command(flatten)]
    place: Where,
}

/// Conditions of a rule; all that are given must hold of a call.
#[derive(Debug, Args)]
struct Asked {
    /// Who calls: USER, USER@HOST or @HOST, with * and ? as wildcards.
    #[arg(long, value_name = "PATTERN", value_parser = Party::read)]
    from: Option<Party>,
    /// Who is called, likewise.
    #[arg(long, value_name = "PATTERN", value_parser = Party::read)]
    to: Option<Party>,
    /// The telephone number of either; visual separators do not count.
    #[arg(long, value_name = "PATTERN", value_parser = Number::read)]
    number: Option<Number>,
    /// Where one of its SIP messages came from or went to.
    #[arg(long, value_name = "ADDRESS[/BITS]", value_parser = Network::read)]
    address: Option<Network>,
    /// Its Call-ID.
    #[arg(long, value_name = "PATTERN", value_parser = kept)]
    call_id: Option<Pattern>,
    /// User-Agent or Server of one of its messages, without regard to case.
    #[arg(long, value_name = "PATTERN", value_parser = folded)]
    user_agent: Option<Pattern>,
    /// Encoding name that one of its descriptions has, without regard to case.
    #[arg(long, value_name = "PATTERN", value_parser = folded)]
    codec: Option<Pattern>,
    /// A header of one of its messages.
    #[arg(long, value_name = "NAME:PATTERN", value_parser = header)]
    header: Option<Header>,
    /// Whether it is in this share of all calls, 0.0 to 1.0: the same calls everywhere.
    #[arg(long, value_name = "SHARE", value_parser = sample)]
    sample: Option<Sample>,
}

/// Where a rule is to stand.
#[derive(Debug, Args)]
struct Where {
    /// Before the rule with this name.
    #[arg(long, value_name = "NAME", conflicts_with = "at")]
    before: Option<String>,
    /// As the first (1), second (2), …
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    at: Option<u32>,
}

fn kept(text: &str) -> Result<Pattern, String> {
    Pattern::read(text, Case::Kept)
}

fn folded(text: &str) -> Result<Pattern, String> {
    Pattern::read(text, Case::Folded)
}

fn header(text: &str) -> Result<Header, String> {
    let (name, value) = text.split_once(':').ok_or("expected NAME:PATTERN")?;
    Header::read(name.trim(), value.trim())
}

fn sample(text: &str) -> Result<Sample, String> {
    Sample::read(text.parse().unwrap_or(f64::NAN))
}

impl From<Asked> for Conditions {
    fn from(asked: Asked) -> Self {
        let Asked {
            from,
            to,
            number,
            address,
            call_id,
            user_agent,
            codec,
            header,
            sample,
        } = asked;
        Self {
            from,
            to,
            number,
            address,
            call_id,
            user_agent,
            codec,
            header,
            sample,
        }
    }
}

impl From<Where> for Option<Place> {
    fn from(place: Where) -> Self {
        let at = place.at.map(|at| Place::At(at as usize));
        place.before.map(Place::Before).or(at)
    }
}

impl Rules {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let (daemon, change) = match self.verb {
            None if self.toml => return toml(&self.daemon),
            None => {
                self.daemon.show(&Ask::Rules, text)?;
                return Ok(ExitCode::SUCCESS);
            }
            Some(Verb::Add(add)) => add.change()?,
            Some(Verb::Change(changed)) => changed.change(),
            Some(Verb::Remove { daemon, name }) => (daemon, Change::Remove { name }),
        };
        daemon.show(&Ask::ChangeRules(change), text)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Add {
    fn change(self) -> anyhow::Result<(Daemon, Change)> {
        let mut draft = Draft {
            level: Some(self.level),
            conditions: self.conditions.into(),
            ..Draft::default()
        };
        draft
            .say("name", &crate::rules::Said::Text(&self.name))
            .map_err(anyhow::Error::msg)?;
        let rule = Box::new(draft.finish().map_err(anyhow::Error::msg)?);
        let place = self.place.into();
        Ok((self.daemon, Change::Add { rule, place }))
    }
}

impl Changed {
    fn change(self) -> (Daemon, Change) {
        let draft = Draft {
            name: None,
            level: self.level,
            conditions: self.conditions.into(),
        };
        let change = Change::Change {
            name: self.name,
            draft: Box::new(draft),
            without: self.without,
            place: self.place.into(),
        };
        (self.daemon, change)
    }
}

/// The rules as they would stand in the file.
fn toml(daemon: &Daemon) -> anyhow::Result<ExitCode> {
    let book: RuleBook = daemon.ask(&Ask::Rules)?;
    let rule = |status: &RuleStatus| -> Result<Rule, String> { draft_of_json(&status.rule)?.finish() };
    let rules: Result<Vec<Rule>, String> = book.rules.iter().map(rule).collect();
    let rules = rules.map_err(|wrong| anyhow::anyhow!("the daemon has a rule this client does not know: {wrong}"))?;
    let texts: Vec<String> = rules.iter().map(rule_as_toml).collect();
    say(&texts.join("\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// The rules for people: a table, and below it what can never match or comes to nothing.
fn text(book: &RuleBook, style: Style) -> String {
    let level = printable(&book.default_level);
    if book.rules.is_empty() {
        return format!("no rules; every call has the level {level}\n");
    }
    let mut text = table(&book.rules, style);
    text.push_str(&format!("calls under none have the level {level}\n"));
    for rule in &book.rules {
        for why in [&rule.never, &rule.idle].into_iter().flatten() {
            text.push_str(&format!("{} {}\n", printable(rule.name()), printable(why)));
        }
    }
    text
}

fn table(rules: &[RuleStatus], style: Style) -> String {
    const COLUMNS: &[Column] = &[
        Column::Figure("#"),
        Column::Word("RULE"),
        Column::Word("LEVEL"),
        Column::Figure("CALLS"),
        Column::Figure("NOW"),
        Column::Figure("RTP"),
        Column::Long("CONDITIONS", 20),
    ];
    let mut table = Table::new(COLUMNS).dropping(&["RTP", "NOW"]);
    for (rule, number) in rules.iter().zip(1_u32..) {
        let level = rule.rule.get("level").and_then(Value::as_str).unwrap_or_default();
        table.row([
            number.to_string(),
            printable(rule.name()),
            printable(level),
            count(rule.calls),
            count(rule.calls_now),
            count(rule.rtp_packets),
            conditions(&rule.rule),
        ]);
    }
    table.render(style)
}

/// What a rule asks for, in a line.
fn conditions(rule: &Map<String, Value>) -> String {
    let asked = |word: &&str| -> Option<String> {
        let value = match rule.get(*word)? {
            Value::String(text) => text.clone(),
            Value::Object(header) => {
                let part = |name: &str| header.get(name).and_then(Value::as_str).unwrap_or_default();
                format!("{}:{}", part("name"), part("value"))
            }
            other => other.to_string(),
        };
        Some(format!("{word}={}", printable(&value)))
    };
    let asked: Vec<String> = WORDS.iter().skip(2).filter_map(asked).collect();
    if asked.is_empty() {
        return "every call".to_owned();
    }
    asked.join(" ")
}
