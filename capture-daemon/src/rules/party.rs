//! Who calls or is called: patterns for the parts of a URI, and telephone numbers among them.

use std::borrow::Cow;
use std::fmt;

use super::pattern::{Case, Pattern};
use crate::sip::Uri;

/// A pattern for user and host of a URI: `user@host`, `user`, or `@host`.
///
/// Users are compared as they are written, escapes undone (RFC 3261 section 19.1.4), hosts without regard to case. Where the
/// user is a telephone number, its visual separators and those of the pattern do not count (RFC 3966 section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    text: Box<str>,
    user: Option<Pattern>,
    /// The user's pattern for telephone numbers.
    number: Option<Pattern>,
    host: Option<Pattern>,
}

impl Party {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let (user, host) = match text.rsplit_once('@') {
            Some((user, host)) => (Some(user).filter(|user| !user.is_empty()), Some(host)),
            None => (Some(text), None),
        };
        let bare = |host: &str| host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let user = user.map(|user| Pattern::read(user, Case::Kept)).transpose()?;
        Ok(Self {
            text: text.into(),
            number: user.clone().map(|user| user.without(is_separator)),
            user,
            host: host.map(|host| Pattern::read(&bare(host), Case::Folded)).transpose()?,
        })
    }

    /// Whether a URI is one of those.
    pub fn matches(&self, uri: &[u8]) -> bool {
        let Some(uri) = Uri::parse(uri) else { return false };
        let host = self.host.as_ref().is_none_or(|host| host.matches(uri.host));
        host && self.user.as_ref().is_none_or(|pattern| {
            let user = user(&uri);
            let as_number = || self.number.as_ref().zip(number(&user));
            pattern.matches(&user) || as_number().is_some_and(|(pattern, number)| pattern.matches(&number))
        })
    }

    /// Whether whatever `other` describes is described by this too.
    pub fn covers(&self, other: &Self) -> bool {
        covers(self.user.as_ref(), other.user.as_ref())
            && covers(self.number.as_ref(), other.number.as_ref())
            && covers(self.host.as_ref(), other.host.as_ref())
    }
}

/// Whether a pattern that may be absent, and is everything then, covers another.
fn covers(wide: Option<&Pattern>, narrow: Option<&Pattern>) -> bool {
    match (wide, narrow) {
        (None, _) => true,
        (Some(wide), None) => wide.is_everything(),
        (Some(wide), Some(narrow)) => wide.covers(narrow),
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A pattern for the telephone number of either party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number(Pattern);

impl Number {
    /// Reads a pattern, in which visual separators do not count.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let may_be = |octet: u8| is_of_number(octet) || b"?\\".contains(&octet);
        if !text.bytes().all(may_be) || text.bytes().all(is_separator) {
            return Err("expected digits, +, #, *, ? and visual separators, such as \"+49-211-*\"".to_owned());
        }
        Ok(Self(Pattern::read(text, Case::Kept)?.without(is_separator)))
    }

    /// Whether the user of a URI is a telephone number that is one of those.
    pub fn matches(&self, uri: &[u8]) -> bool {
        Uri::parse(uri).is_some_and(|uri| number(&user(&uri)).is_some_and(|number| self.0.matches(&number)))
    }

    /// Whether whatever `other` describes is described by this too.
    pub fn covers(&self, other: &Self) -> bool {
        self.0.covers(&other.0)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The user of a URI without its password, escapes undone (RFC 3261 section 25.1, `escaped`).
fn user<'a>(uri: &Uri<'a>) -> Cow<'a, [u8]> {
    let name = uri.user.split(|octet| *octet == b':').next().unwrap_or_default();
    if !name.contains(&b'%') {
        return Cow::Borrowed(name);
    }
    let digit = |octet: &u8| char::from(*octet).to_digit(16);
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((octet, behind)) = rest.split_first() {
        rest = behind;
        let escaped = match (octet, behind) {
            (b'%', [high, low, ..]) => digit(high).zip(digit(low)),
            _ => None,
        };
        plain.push(match escaped {
            Some((high, low)) => {
                rest = behind.get(2..).unwrap_or_default();
                (high * 16 + low) as u8
            }
            None => *octet,
        });
    }
    Cow::Owned(plain)
}

/// What is in a telephone number to make it easier to read (RFC 3966 section 3).
const fn is_separator(octet: u8) -> bool {
    matches!(octet, b'-' | b'.' | b'(' | b')')
}

/// What a telephone number is made of: digits, what else a telephone has keys for, and separators. Those of RFC 3966 are
/// hexadecimal in local numbers; nobody dials them.
const fn is_of_number(octet: u8) -> bool {
    octet.is_ascii_digit() || matches!(octet, b'+' | b'*' | b'#') || is_separator(octet)
}

/// A user as a telephone number, without parameters and separators; `None` where it is none.
fn number(user: &[u8]) -> Option<Cow<'_, [u8]>> {
    let number = user.split(|octet| *octet == b';').next().unwrap_or_default();
    let is_number = number.iter().all(|octet| is_of_number(*octet)) && number.iter().any(u8::is_ascii_digit);
    if !is_number {
        return None;
    }
    if !number.iter().any(|octet| is_separator(*octet)) {
        return Some(Cow::Borrowed(number));
    }
    let significant = number.iter().copied().filter(|octet| !is_separator(*octet));
    Some(Cow::Owned(significant.collect()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn party(text: &str, uri: &str) -> bool {
        Party::read(text).expect(text).matches(uri.as_bytes())
    }

    #[test]
    fn user_and_host() {
        for (text, uri) in [
            ("alice", "sip:alice@example.com"),
            ("alice@example.com", "sips:alice:secret@Example.COM:5061;transport=tcp"),
            ("al*@*.com", "sip:alice@example.com"),
            ("@example.com", "sip:example.com"),
            ("@2001:db8::1", "sip:x@[2001:DB8::1]:5060"),
            ("@[2001:db8::*]", "sip:x@[2001:DB8::1]:5060"),
            ("j@s", "sip:%6a@s"),
            ("100%", "sip:100%@h"),
            ("a@b@h", "sip:a@b@h"),
        ] {
            assert!(party(text, uri), "{text} {uri}");
        }
        for (text, uri) in [
            ("alice", "sip:Alice@example.com"),
            ("alice", "sip:alice.b@example.com"),
            ("@example.com", "sip:alice@sub.example.com"),
            ("alice@example.com", "tel:+49211"),
            ("*", "nothing"),
        ] {
            assert!(!party(text, uri), "{text} {uri}");
        }
        assert!(Party::read("alice@").is_err() && Party::read("").is_err());
    }

    #[test]
    fn visual_separators_do_not_count_in_numbers() {
        for (text, uri) in [
            ("+49211*", "tel:+49-211-5551234"),
            ("+49-211-*", "sip:+492115551234@gw;user=phone"),
            ("+1(201)555.0123", "tel:+1-201-555-0123;phone-context=x"),
            ("0211?", "sip:02.1-1.(7)@h"),
            ("+49*", "sip:%2b49211@h"),
            ("110", "sip:110;phone-context=+49@h"),
        ] {
            assert!(party(text, uri), "{text} {uri}");
            assert!(Number::read(text).expect(text).matches(uri.as_bytes()), "{text} {uri}");
        }
        // The letters of a name are no number, and in a name a hyphen is a hyphen.
        assert!(party("jo-ann", "sip:jo-ann@h") && !party("joann", "sip:jo-ann@h"));
        assert!(!Number::read("*").expect("a number").matches(b"sip:alice@h"));
        assert!(Number::read("\\*21#").expect("a number").matches(b"sip:*21#@h"));
        assert!(Number::read("alice").is_err() && Number::read("-").is_err() && Number::read("").is_err());
    }

    #[test]
    fn covering_looks_at_both_parts() {
        let covers = |wide: &str, narrow: &str| Party::read(wide).unwrap().covers(&Party::read(narrow).unwrap());
        assert!(covers("al*", "alice@example.com") && covers("@*", "bob") && covers("*", "@h"));
        assert!(!covers("alice@example.com", "alice") && !covers("@example.com", "alice"));
    }

    proptest! {
        #[test]
        fn any_uri_gets_an_answer(uri in prop::collection::vec(any::<u8>(), 0..60), text in "[a-z0-9@*?.-]{1,20}") {
            if let Ok(party) = Party::read(&text) {
                party.matches(&uri);
                prop_assert!(party.covers(&party));
            }
        }

        #[test]
        fn separators_anywhere_change_nothing(digits in "[0-9]{3,12}", at in 0usize..12, separator in "[-.()]") {
            let mut separated = digits.clone();
            separated.insert_str(at.min(digits.len()), &separator);
            let (with, without) = (format!("sip:{separated}@h"), format!("sip:{digits}@h"));
            prop_assert!(party(&digits, &with));
            prop_assert!(party(&separated, &without));
        }
    }
}
