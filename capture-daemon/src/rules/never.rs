//! Rules that no call will ever come under. What is reported is certain; rules that several others together leave nothing to, or
//! patterns that overlap in ways not looked for, are not found.

use std::fmt;

use capture_common::{Level, Media};

use super::network::Network;
use super::party::{Number, Party};
use super::pattern::Pattern;
use super::rule::{Conditions, Header, Rule};

/// Why no call will come under a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Never {
    /// Its share of calls is none.
    NoShare,
    /// It names one Call-ID, and that is not in its share.
    NotInShare,
    /// Every call it is about comes under an earlier one.
    Shadowed {
        /// The earlier one's name.
        by: String,
    },
}

impl fmt::Display for Never {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoShare => f.write_str("can never match: no call is in a sample of 0"),
            Self::NotInShare => f.write_str("can never match: the one Call-ID it is about is not in its sample"),
            Self::Shadowed { by } => write!(
                f,
                "can never match: every call it is about comes under {by}, which stands before it"
            ),
        }
    }
}

/// For each rule, in order, why no call will come under it.
pub fn never(rules: &[Rule]) -> Vec<Option<Never>> {
    let mut found: Vec<Option<Never>> = Vec::with_capacity(rules.len());
    for (at, rule) in rules.iter().enumerate() {
        let by = |(earlier, never): &(&Rule, &Option<Never>)| {
            // What has no calls itself takes none from others.
            !matches!(never, Some(Never::NoShare | Never::NotInShare)) && covers(&earlier.conditions, &rule.conditions)
        };
        let shadow = rules.iter().take(at).zip(&found).find(by);
        let shadow = shadow.map(|(earlier, _)| Never::Shadowed {
            by: earlier.name.clone(),
        });
        found.push(contradiction(&rule.conditions).or(shadow));
    }
    found
}

/// Why a rule that gives calls this level changes nothing, whichever come under it; `None` where it does. What no RTP crosses for has none kept.
pub fn idle(level: Level, media: Media) -> Option<&'static str> {
    (media == Media::Off && level != Level::Signaling).then_some(
        "comes to nothing: capture.media is \"off\", so that no RTP crosses from the kernel whatever the level",
    )
}

fn contradiction(conditions: &Conditions) -> Option<Never> {
    let sample = conditions.sample?;
    if sample.is_nothing() {
        return Some(Never::NoShare);
    }
    let call_id = conditions.call_id.as_ref()?.literal()?;
    (!sample.contains(&call_id)).then_some(Never::NotInShare)
}

/// Whether each condition of `wide` holds wherever those of `narrow` do.
fn covers(wide: &Conditions, narrow: &Conditions) -> bool {
    fn follows<T>(wide: Option<&T>, narrow: Option<&T>, covers: impl Fn(&T, &T) -> bool) -> bool {
        match (wide, narrow) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(wide), Some(narrow)) => covers(wide, narrow),
        }
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
    } = wide;
    let same_header = |wide: &Header, narrow: &Header| {
        wide.name.eq_ignore_ascii_case(&narrow.name) && wide.value.covers(&narrow.value)
    };
    // Every call has a Call-ID, and is in a sample of 1.
    let any_id = call_id.as_ref().is_some_and(Pattern::is_everything);
    let any_share = sample.is_some_and(|sample| sample.share() >= 1.0);
    follows(from.as_ref(), narrow.from.as_ref(), Party::covers)
        && follows(to.as_ref(), narrow.to.as_ref(), Party::covers)
        && follows(number.as_ref(), narrow.number.as_ref(), Number::covers)
        && follows(address.as_ref(), narrow.address.as_ref(), Network::covers)
        && (any_id || follows(call_id.as_ref(), narrow.call_id.as_ref(), Pattern::covers))
        && follows(user_agent.as_ref(), narrow.user_agent.as_ref(), Pattern::covers)
        && follows(codec.as_ref(), narrow.codec.as_ref(), Pattern::covers)
        && follows(header.as_ref(), narrow.header.as_ref(), same_header)
        && (any_share || follows(sample.as_ref(), narrow.sample.as_ref(), |a, b| a >= b))
}

#[cfg(test)]
mod tests {
    use super::super::rule::{Draft, Said};
    use super::*;

    fn rule(name: &str, words: &[(&str, &str)]) -> Rule {
        let mut draft = Draft::default();
        draft.say("name", &Said::Text(name)).unwrap();
        draft.say("level", &Said::Text("full")).unwrap();
        for (word, text) in words {
            let said = match *word {
                "sample" => Said::Number(text.parse().unwrap()),
                "header" => Said::Header {
                    name: "X-Customer",
                    value: text,
                },
                _ => Said::Text(text),
            };
            draft.say(word, &said).unwrap();
        }
        draft.finish().unwrap()
    }

    /// What is said of the second of two rules.
    fn second(first: &[(&str, &str)], second: &[(&str, &str)]) -> Option<Never> {
        never(&[rule("one", first), rule("two", second)]).pop().flatten()
    }

    #[test]
    fn a_rule_is_shadowed_by_one_that_asks_for_no_more() {
        let shadowed = Some(Never::Shadowed { by: "one".to_owned() });
        type Words<'a> = &'a [(&'a str, &'a str)];
        let cases: [(Words<'_>, Words<'_>); 10] = [
            (&[], &[("from", "alice")]),
            (&[("call_id", "*")], &[]),
            (&[("sample", "1")], &[("to", "bob")]),
            (&[("from", "al*")], &[("from", "alice@example.com"), ("codec", "opus")]),
            (&[("address", "192.0.2.0/24")], &[("address", "192.0.2.9")]),
            (&[("number", "+49*")], &[("number", "+49-211-*")]),
            (&[("user_agent", "YEALINK*")], &[("user_agent", "yealink t4*")]),
            (&[("header", "acme*")], &[("header", "Acme")]),
            (&[("sample", "0.5")], &[("sample", "0.25"), ("from", "x")]),
            (&[("codec", "?*")], &[("codec", "opus")]),
        ];
        for (one, two) in cases {
            assert_eq!(second(one, two), shadowed, "{one:?} {two:?}");
        }
        let others: [(Words<'_>, Words<'_>); 7] = [
            (&[("from", "alice")], &[]),
            (&[("from", "alice")], &[("to", "alice")]),
            (&[("from", "alice@example.com")], &[("from", "alice")]),
            (&[("address", "192.0.2.9")], &[("address", "192.0.2.0/24")]),
            (&[("sample", "0.25")], &[("sample", "0.5")]),
            (&[("sample", "0")], &[("from", "alice")]),
            (&[("codec", "opus"), ("from", "al*")], &[("from", "alice")]),
        ];
        for (one, two) in others {
            assert_eq!(second(one, two), None, "{one:?} {two:?}");
        }
    }

    #[test]
    fn a_rule_whose_media_does_not_cross_is_idle() {
        for media in [Media::Off, Media::Range, Media::Learned, Media::Measured] {
            for level in [Level::Signaling, Level::Headers, Level::Full] {
                let is_idle = media == Media::Off && level != Level::Signaling;
                assert_eq!(idle(level, media).is_some(), is_idle, "{media:?} {level:?}");
            }
        }
    }

    #[test]
    fn a_rule_that_contradicts_itself_is_told() {
        let alone = |words: &[(&str, &str)]| never(&[rule("one", words)]).pop().flatten();
        assert_eq!(alone(&[("sample", "0")]), Some(Never::NoShare));
        // 1-4711@h is at 0.41 of the whole.
        let of_one = |share: &str| alone(&[("call_id", "1-4711@h"), ("sample", share)]);
        assert_eq!(of_one("0.01"), Some(Never::NotInShare));
        assert_eq!(of_one("0.999"), None);
        assert_eq!(alone(&[("call_id", "*-4711@h"), ("sample", "0.01")]), None);
        let text = Never::Shadowed { by: "all".to_owned() }.to_string();
        assert_eq!(
            text,
            "can never match: every call it is about comes under all, which stands before it"
        );
    }
}
