//! One rule: the calls it is about, and the level it gives them; read word by word, whatever it is written in.

use capture_common::Level;

use super::network::Network;
use super::party::{Number, Party};
use super::pattern::{Case, Pattern};
use super::sample::Sample;

/// Letters of the longest name; it is a label in metrics.
const LONGEST_NAME: usize = 64;

/// What a rule may say, in the order it is written in.
pub const WORDS: &[&str] = &[
    "name",
    "level",
    "from",
    "to",
    "number",
    "address",
    "call_id",
    "user_agent",
    "codec",
    "header",
    "sample",
];

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it is called; no two have the same.
    pub name: String,
    /// How much of its calls is kept.
    pub level: Level,
    /// Which calls are its: those of which all of this holds.
    pub conditions: Conditions,
}

/// What must hold of a call; what is absent holds always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Who calls: the URI in From.
    pub from: Option<Party>,
    /// Who is called: the URI in To.
    pub to: Option<Party>,
    /// The telephone number of either.
    pub number: Option<Number>,
    /// Where one of its SIP messages came from or went to.
    pub address: Option<Network>,
    /// Its Call-ID.
    pub call_id: Option<Pattern>,
    /// User-Agent or Server of one of its messages.
    pub user_agent: Option<Pattern>,
    /// The encoding name of a format that one of its descriptions has.
    pub codec: Option<Pattern>,
    /// A header of one of its messages.
    pub header: Option<Header>,
    /// Whether it is in this share of all calls.
    pub sample: Option<Sample>,
}

/// A header and a pattern for its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its long name; names have no case.
    pub name: String,
    /// Its value, without regard to case (RFC 3261 section 7.3.1).
    pub value: Pattern,
}

/// What one word of a rule says.
#[derive(Clone, Debug, PartialEq)]
pub enum Said<'a> {
    /// Text.
    Text(&'a str),
    /// A number.
    Number(f64),
    /// A header.
    Header {
        /// Its name.
        name: &'a str,
        /// The pattern of its value.
        value: &'a str,
    },
    /// Something else.
    Other,
}

/// What one word of a rule says, to be written.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// Text.
    Text(String),
    /// A number.
    Number(f64),
    /// A header's name and the pattern of its value.
    Header(String, String),
}

/// Parts of a rule: one that is being read, or what is to be changed of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// Its name.
    pub name: Option<String>,
    /// Its level.
    pub level: Option<Level>,
    /// Its conditions.
    pub conditions: Conditions,
}

impl Draft {
    /// Takes over what `word` says.
    ///
    /// # Errors
    /// What would be right.
    pub fn say(&mut self, word: &str, said: &Said<'_>) -> Result<(), String> {
        let conditions = &mut self.conditions;
        let text = || match said {
            Said::Text(text) => Ok(*text),
            _ => Err(expected(word)),
        };
        match word {
            "name" => self.name = Some(name(text()?)?),
            "level" => self.level = Some(level(text()?)?),
            "from" => conditions.from = Some(Party::read(text()?)?),
            "to" => conditions.to = Some(Party::read(text()?)?),
            "number" => conditions.number = Some(Number::read(text()?)?),
            "address" => conditions.address = Some(Network::read(text()?)?),
            "call_id" => conditions.call_id = Some(Pattern::read(text()?, Case::Kept)?),
            "user_agent" => conditions.user_agent = Some(Pattern::read(text()?, Case::Folded)?),
            "codec" => conditions.codec = Some(Pattern::read(text()?, Case::Folded)?),
            "header" => {
                let Said::Header { name, value } = said else {
                    return Err(expected(word));
                };
                conditions.header = Some(Header::read(name, value)?);
            }
            "sample" => {
                let Said::Number(share) = said else {
                    return Err(expected(word));
                };
                conditions.sample = Some(Sample::read(*share)?);
            }
            _ => {
                return Err(format!(
                    "a rule says nothing of this name; it may say {}",
                    WORDS.join(", ")
                ));
            }
        }
        Ok(())
    }

    /// The rule, if it has a name and a level.
    ///
    /// # Errors
    /// What is missing.
    pub fn finish(self) -> Result<Rule, String> {
        let Self {
            name,
            level,
            conditions,
        } = self;
        let missing = |word: &str| format!("a rule has a {word}: {}", example(word));
        Ok(Rule {
            name: name.ok_or_else(|| missing("name"))?,
            level: level.ok_or_else(|| missing("level"))?,
            conditions,
        })
    }

    /// What it says, word by word.
    pub fn words(&self) -> Vec<(&'static str, Written)> {
        words(self.name.as_ref(), self.level, &self.conditions)
    }

    /// `rule` with what this says in place of what it said.
    pub fn over(self, rule: &Rule) -> Rule {
        let Self {
            name,
            level,
            conditions: new,
        } = self;
        let old = rule.conditions.clone();
        Rule {
            name: name.unwrap_or_else(|| rule.name.clone()),
            level: level.unwrap_or(rule.level),
            conditions: Conditions {
                from: new.from.or(old.from),
                to: new.to.or(old.to),
                number: new.number.or(old.number),
                address: new.address.or(old.address),
                call_id: new.call_id.or(old.call_id),
                user_agent: new.user_agent.or(old.user_agent),
                codec: new.codec.or(old.codec),
                header: new.header.or(old.header),
                sample: new.sample.or(old.sample),
            },
        }
    }
}

impl Rule {
    /// What it says, word by word.
    pub fn words(&self) -> Vec<(&'static str, Written)> {
        words(Some(&self.name), Some(self.level), &self.conditions)
    }

    /// Takes a condition away, and says whether there was one of this name.
    pub fn drop_condition(&mut self, word: &str) -> bool {
        let Conditions {
            from,
            to,
            number,
            address,
            call_id,
            user_agent,
            codec,
            header,
            sample,
        } = &mut self.conditions;
        match word {
            "from" => from.take().is_some(),
            "to" => to.take().is_some(),
            "number" => number.take().is_some(),
            "address" => address.take().is_some(),
            "call_id" => call_id.take().is_some(),
            "user_agent" => user_agent.take().is_some(),
            "codec" => codec.take().is_some(),
            "header" => header.take().is_some(),
            "sample" => sample.take().is_some(),
            _ => false,
        }
    }
}

/// What is said, word by word.
fn words(name: Option<&String>, level: Option<Level>, conditions: &Conditions) -> Vec<(&'static str, Written)> {
    fn text<T: ToString>(written: Option<&T>) -> Option<Written> {
        written.map(|written| Written::Text(written.to_string()))
    }
    let Conditions {
        from,
        to,
        number,
        address,
        call_id,
        user_agent,
        codec,
        header,
        sample,
    } = conditions;
    let header = header.as_ref();
    let said = [
        text(name),
        text(level.map(Level::label).as_ref()),
        text(from.as_ref()),
        text(to.as_ref()),
        text(number.as_ref()),
        text(address.as_ref()),
        text(call_id.as_ref()),
        text(user_agent.as_ref()),
        text(codec.as_ref()),
        header.map(|header| Written::Header(header.name.clone(), header.value.to_string())),
        sample.map(|sample| Written::Number(sample.share())),
    ];
    let words = WORDS.iter().zip(said);
    words.filter_map(|(word, said)| Some((*word, said?))).collect()
}

impl Header {
    /// Reads the name and the pattern of its value.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(name: &str, value: &str) -> Result<Self, String> {
        // RFC 3261 section 25.1, token; compact names are written out when a message is read.
        let is_token = |octet: u8| octet.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&octet);
        if name.len() < 2 || !name.bytes().all(is_token) {
            return Err(format!(
                "{name:?} is not the long name of a header, such as \"X-Customer\""
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            value: Pattern::read(value, Case::Folded)?,
        })
    }
}

fn name(text: &str) -> Result<String, String> {
    let may_be = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    let holds = !text.is_empty() && text.len() <= LONGEST_NAME && text.bytes().all(may_be);
    holds
        .then(|| text.to_owned())
        .ok_or_else(|| format!("{} (at most {LONGEST_NAME})", expected("name")))
}

/// A level by its name.
///
/// # Errors
/// The names there are.
pub fn level(text: &str) -> Result<Level, String> {
    let named = Level::ALL.iter().find(|level| level.label() == text);
    named.copied().ok_or_else(|| expected("level"))
}

fn expected(word: &str) -> String {
    format!("expected {}", example(word))
}

/// What a word may say.
fn example(word: &str) -> String {
    match word {
        "name" => "letters, digits, -, _ and .",
        "level" => "\"signaling\", \"headers\" or \"full\"",
        "from" | "to" => "a pattern for user and host such as \"alice@*.example.com\", \"+49211*\" or \"@192.0.2.*\"",
        "number" => "a pattern for a telephone number such as \"+49-211-*\"",
        "address" => "an address or network such as \"192.0.2.0/24\"",
        "header" => "a name and a pattern such as { name = \"X-Customer\", value = \"acme*\" }",
        "sample" => "a number from 0.0 to 1.0",
        _ => "a pattern with * and ? as wildcards",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        let mut draft = Draft::default();
        for (word, said) in [
            ("name", Said::Text("support")),
            ("level", Said::Text("full")),
            ("from", Said::Text("+49-211-*@gw.example.com")),
            ("to", Said::Text("alice")),
            ("number", Said::Text("+49(211)*")),
            ("address", Said::Text("192.0.2.0/24")),
            ("call_id", Said::Text("*@192.0.2.10")),
            ("user_agent", Said::Text("Yealink*")),
            ("codec", Said::Text("opus")),
            (
                "header",
                Said::Header {
                    name: "X-Customer",
                    value: "acme*",
                },
            ),
            ("sample", Said::Number(0.25)),
        ] {
            draft.say(word, &said).expect(word);
        }
        draft
    }

    /// What [`Rule::words`] wrote, read again.
    fn read_again(rule: &Rule) -> Rule {
        let mut draft = Draft::default();
        for (word, written) in rule.words() {
            let said = match &written {
                Written::Text(text) => Said::Text(text),
                Written::Number(number) => Said::Number(*number),
                Written::Header(name, value) => Said::Header { name, value },
            };
            draft.say(word, &said).expect(word);
        }
        draft.finish().expect("a rule")
    }

    #[test]
    fn what_is_written_reads_as_the_same_rule() {
        let rule = draft().finish().expect("a rule");
        assert_eq!(rule.words().len(), WORDS.len());
        assert_eq!(read_again(&rule), rule);
    }

    #[test]
    fn every_condition_can_be_dropped_and_changed() {
        let rule = draft().finish().expect("a rule");
        let mut bare = rule.clone();
        for word in WORDS.iter().skip(2) {
            assert!(bare.drop_condition(word), "{word}");
            assert!(!bare.drop_condition(word), "{word}");
        }
        assert!(!bare.drop_condition("name"));
        assert_eq!(bare.conditions, Conditions::default());
        assert_eq!(draft().over(&bare), rule);
        assert_eq!(Draft::default().over(&rule), rule);
    }

    #[test]
    fn what_is_wrong_is_answered_by_what_would_be_right() {
        let said = |word: &str, said: Said<'_>| Draft::default().say(word, &said).unwrap_err();
        assert_eq!(
            said("level", Said::Text("some")),
            "expected \"signaling\", \"headers\" or \"full\""
        );
        assert_eq!(said("sample", Said::Text("half")), "expected a number from 0.0 to 1.0");
        assert_eq!(said("sample", Said::Number(2.0)), "expected a number from 0.0 to 1.0");
        assert_eq!(
            said("name", Said::Text("two words")),
            "expected letters, digits, -, _ and . (at most 64)"
        );
        assert!(said("from", Said::Number(1.0)).starts_with("expected a pattern for user and host"));
        assert!(said("header", Said::Other).starts_with("expected a name and a pattern"));
        let header = Said::Header { name: "X", value: "*" };
        assert!(said("header", header).contains("not the long name"));
        assert!(said("colour", Said::Text("red")).contains("it may say name, level"));
        let nameless = Draft::default().finish().unwrap_err();
        assert_eq!(nameless, "a rule has a name: letters, digits, -, _ and .");
    }
}
