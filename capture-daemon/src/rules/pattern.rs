//! Patterns with wildcards: `*` for any octets or none, `?` for one octet, `\` before either for itself.
//!
//! Matching goes over the text once and remembers only the last `*`: at most as many steps as pattern and text have octets,
//! multiplied, whatever both are. What is compared is bounded in its turn ([`LONGEST`], [`COMPARED`]).

use std::fmt;

/// Octets of the longest pattern.
pub const LONGEST: usize = 128;
/// Octets of a text that are compared; of a longer one these are the first.
pub const COMPARED: usize = 512;

/// Whether letters of another case are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// They are not.
    Kept,
    /// They are, those of ASCII.
    Folded,
}

/// One place of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Symbol {
    /// This octet.
    Octet(u8),
    /// `?`.
    One,
    /// `*`.
    Any,
}

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// As it was written.
    text: Box<str>,
    /// Of a run of wildcards those for one octet come first, and there is one `*` at most.
    symbols: Box<[Symbol]>,
    case: Case,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str, case: Case) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an empty pattern matches nothing; \"*\" matches everything".to_owned());
        }
        if text.len() > LONGEST {
            return Err(format!("a pattern has at most {LONGEST} octets"));
        }
        if text.chars().any(char::is_control) {
            return Err("a pattern has no control characters".to_owned());
        }
        let mut symbols: Vec<Symbol> = Vec::with_capacity(text.len());
        let mut octets = text.bytes();
        while let Some(octet) = octets.next() {
            let symbol = match octet {
                b'*' => Symbol::Any,
                b'?' => Symbol::One,
                b'\\' => match octets.next() {
                    Some(escaped @ (b'*' | b'?' | b'\\')) => Symbol::Octet(escaped),
                    _ => return Err("a \\ stands before *, ? or \\".to_owned()),
                },
                octet if case == Case::Folded => Symbol::Octet(octet.to_ascii_lowercase()),
                octet => Symbol::Octet(octet),
            };
            push(&mut symbols, symbol);
        }
        Ok(Self {
            text: text.into(),
            symbols: symbols.into(),
            case,
        })
    }

    /// The same without the octets that `left_out` names, which no wildcard is among.
    pub fn without(mut self, left_out: impl Fn(u8) -> bool) -> Self {
        let stays = |symbol: &&Symbol| !matches!(symbol, Symbol::Octet(octet) if left_out(*octet));
        let mut symbols: Vec<Symbol> = Vec::with_capacity(self.symbols.len());
        for symbol in self.symbols.iter().filter(stays) {
            push(&mut symbols, *symbol);
        }
        self.symbols = symbols.into();
        self
    }

    /// Whether the text is one of those the pattern describes.
    pub fn matches(&self, text: &[u8]) -> bool {
        let text = text.get(..COMPARED).unwrap_or(text);
        let (mut at, mut place) = (0, 0);
        // Behind the last `*`: where the pattern goes on, and how far into the text it has reached.
        let mut star: Option<(usize, usize)> = None;
        while let Some(octet) = text.get(at) {
            match self.symbols.get(place) {
                Some(Symbol::Any) => {
                    place += 1;
                    star = Some((place, at));
                    continue;
                }
                Some(Symbol::One) => {}
                Some(Symbol::Octet(wanted)) if *wanted == self.folded(*octet) => {}
                _ => {
                    let Some((behind, reached)) = &mut star else {
                        return false;
                    };
                    *reached += 1;
                    (place, at) = (*behind, *reached);
                    continue;
                }
            }
            (place, at) = (place + 1, at + 1);
        }
        self.symbols.iter().skip(place).all(|symbol| *symbol == Symbol::Any)
    }

    const fn folded(&self, octet: u8) -> u8 {
        match self.case {
            Case::Kept => octet,
            Case::Folded => octet.to_ascii_lowercase(),
        }
    }

    /// The only text it matches, where there is but one.
    pub fn literal(&self) -> Option<Vec<u8>> {
        let octet = |symbol: &Symbol| match symbol {
            Symbol::Octet(octet) => Some(*octet),
            Symbol::One | Symbol::Any => None,
        };
        self.symbols.iter().map(octet).collect()
    }

    /// Whether it describes every text.
    pub fn is_everything(&self) -> bool {
        *self.symbols == [Symbol::Any]
    }

    /// Whether it describes whatever `other`, of the same case, describes. A yes is certain; of patterns with wildcards next
    /// to what they stand for, some get a no that are covered.
    pub fn covers(&self, other: &Self) -> bool {
        // The other's symbols are the text; its wildcards are octets that only wildcards as wide can stand for.
        let (mut at, mut place) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while let Some(symbol) = other.symbols.get(at) {
            match (self.symbols.get(place), symbol) {
                (Some(Symbol::Any), _) => {
                    place += 1;
                    star = Some((place, at));
                    continue;
                }
                (Some(Symbol::One), Symbol::One | Symbol::Octet(_)) => {}
                (Some(Symbol::Octet(wanted)), Symbol::Octet(octet)) if wanted == octet => {}
                _ => {
                    let Some((behind, reached)) = &mut star else {
                        return false;
                    };
                    *reached += 1;
                    (place, at) = (*behind, *reached);
                    continue;
                }
            }
            (place, at) = (place + 1, at + 1);
        }
        self.symbols.iter().skip(place).all(|symbol| *symbol == Symbol::Any)
    }
}

/// Adds a symbol, and keeps a run of wildcards in its order.
fn push(symbols: &mut Vec<Symbol>, symbol: Symbol) {
    match (symbols.last(), symbol) {
        (Some(Symbol::Any), Symbol::Any) => {}
        (Some(Symbol::Any), Symbol::One) => symbols.insert(symbols.len() - 1, symbol),
        _ => symbols.push(symbol),
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::read(text, Case::Kept).expect(text)
    }

    /// The definition, as slow as it comes.
    fn described(symbols: &[Symbol], text: &[u8]) -> bool {
        match (symbols.split_first(), text.split_first()) {
            (None, None) => true,
            (None, Some(_)) | (Some((Symbol::One | Symbol::Octet(_), _)), None) => false,
            (Some((Symbol::Any, rest)), None) => described(rest, text),
            (Some((Symbol::Any, rest)), Some((_, after))) => described(rest, text) || described(symbols, after),
            (Some((Symbol::One, rest)), Some((_, after))) => described(rest, after),
            (Some((Symbol::Octet(wanted), rest)), Some((octet, after))) => wanted == octet && described(rest, after),
        }
    }

    #[test]
    fn wildcards_and_what_is_none() {
        for (text, yes, no) in [
            ("alice", "alice", "Alice"),
            ("*", "", "\u{0}"),
            ("a*", "a", "ba"),
            ("*a", "bca", "ab"),
            ("a?c", "abc", "ac"),
            ("*?", "x", ""),
            ("a\\*c", "a*c", "abc"),
            ("\\?\\\\", "?\\", "x\\"),
            ("*ab*ab", "abcab", "ab"),
        ] {
            assert!(pattern(text).matches(yes.as_bytes()), "{text} {yes}");
            if no != "\u{0}" {
                assert!(!pattern(text).matches(no.as_bytes()), "{text} {no}");
            }
        }
        let folded = Pattern::read("Yealink*", Case::Folded).unwrap();
        assert!(folded.matches(b"YEALINK SIP-T46") && !folded.matches(b"Snom"));
        assert_eq!(folded.to_string(), "Yealink*");
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        for (text, why) in [
            ("", "an empty pattern"),
            ("a\\", "a \\ stands before"),
            ("\\a", "a \\ stands before"),
            ("a\nb", "no control characters"),
            (&"x".repeat(LONGEST + 1), "at most 128 octets"),
        ] {
            assert!(Pattern::read(text, Case::Kept).unwrap_err().contains(why), "{text}");
        }
    }

    #[test]
    fn the_worst_pattern_takes_no_more_steps_than_its_product() {
        // With a `*` for each octet, trying every way would take longer than the age of the universe.
        let hard = pattern(&"*a".repeat(64)[..127]);
        assert!(hard.matches(&[b'a'; COMPARED]));
        assert!(!pattern(&format!("{}b", "a*".repeat(63))).matches(&[b'a'; COMPARED]));
    }

    #[test]
    fn covering() {
        for (wide, narrow) in [
            ("*", "a*b?c"),
            ("a*", "ab*"),
            ("a*", "a"),
            ("*b", "a*b"),
            ("a?c", "abc"),
            ("?*", "*?"),
            ("?*", "??*"),
            ("+49*", "+49211*"),
        ] {
            assert!(pattern(wide).covers(&pattern(narrow)), "{wide} {narrow}");
        }
        for (wide, narrow) in [
            ("ab*", "a*"),
            ("a", "a*"),
            ("?", "*"),
            ("?*", "*"),
            ("a?c", "a?d"),
            ("*b", "b*"),
        ] {
            assert!(!pattern(wide).covers(&pattern(narrow)), "{wide} {narrow}");
        }
    }

    proptest! {
        #[test]
        fn matching_is_as_defined(text in "[ab*?]{1,8}", against in "[ab]{0,10}") {
            let pattern = pattern(&text);
            let symbols: Vec<Symbol> = text
                .bytes()
                .map(|octet| match octet {
                    b'*' => Symbol::Any,
                    b'?' => Symbol::One,
                    octet => Symbol::Octet(octet),
                })
                .collect();
            prop_assert_eq!(pattern.matches(against.as_bytes()), described(&symbols, against.as_bytes()));
        }

        #[test]
        fn what_is_covered_matches_too(wide in "[ab*?]{1,6}", narrow in "[ab*?]{1,6}", texts in prop::collection::vec("[abc]{0,8}", 1..20)) {
            let (wide, narrow) = (pattern(&wide), pattern(&narrow));
            if wide.covers(&narrow) {
                for text in texts {
                    let (narrow, wide) = (narrow.matches(text.as_bytes()), wide.matches(text.as_bytes()));
                    prop_assert!(!narrow || wide, "{}", text);
                }
            }
            prop_assert!(narrow.covers(&narrow));
        }

        #[test]
        fn any_text_is_a_pattern_or_says_why(text in ".{0,140}", against in prop::collection::vec(any::<u8>(), 0..600)) {
            match Pattern::read(&text, Case::Folded) {
                Ok(pattern) => {
                    pattern.matches(&against);
                    prop_assert_eq!(pattern.to_string(), text);
                }
                Err(why) => prop_assert!(!why.is_empty()),
            }
        }
    }
}
