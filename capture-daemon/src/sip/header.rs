//! Header fields: lines, folding, names, and the lists and parameters inside a value.

use memchr::memchr;

use super::scan::find;

/// What RFC 3261 section 25.1 calls LWS, one octet of it. A folded line leaves its line end inside the value, so CR and
/// LF are white space wherever a value is read.
const fn is_lws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// `bytes` without white space at either end.
pub fn trim(bytes: &[u8]) -> &[u8] {
    let from = bytes.iter().position(|byte| !is_lws(*byte)).unwrap_or(bytes.len());
    let to = bytes.iter().rposition(|byte| !is_lws(*byte)).map_or(from, |at| at + 1);
    bytes.get(from..to).unwrap_or_default()
}

/// Splits before the first octet for which `stop` says yes; all of `bytes` where it never does.
pub fn split_before(bytes: &[u8], stop: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|byte| stop(*byte)).unwrap_or(bytes.len());
    bytes.split_at_checked(at).unwrap_or((bytes, &[]))
}

/// The first word of a value and what comes after it, both without white space around them.
pub fn word(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (word, rest) = split_before(trim(bytes), is_lws);
    (word, trim(rest))
}

/// A decimal number that is nothing but digits and fits.
pub fn number(bytes: &[u8]) -> Option<u32> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0u32, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        value.checked_mul(10)?.checked_add(u32::from(digit))
    })
}

/// The first line of `bytes` without its line end, and what comes after; `None` where no line ends.
/// LF alone ends a line too, as implementations write it.
pub fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr(b'\n', bytes)?;
    let (line, rest) = bytes.split_at_checked(at)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..)?))
}

/// The fields of a header block, in order, each as its name (compact forms written out) and its trimmed value.
/// Lines that have no colon are passed over.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    ended: bool,
}

impl<'a> Fields<'a> {
    /// Over the bytes that follow a start line.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            ended: false,
        }
    }

    /// What is left: once the iterator has ended at the empty line, the body.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether the iterator has met the empty line that ends the header.
    pub const fn ended(&self) -> bool {
        self.ended
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended && !self.rest.is_empty() {
            if let Some(body) = self
                .rest
                .strip_prefix(b"\r\n")
                .or_else(|| self.rest.strip_prefix(b"\n"))
            {
                self.rest = body;
                self.ended = true;
                return None;
            }
            if let Some((name, value, rest)) = plain_field(self.rest) {
                self.rest = rest;
                return Some((full_name(trim(name)), trim(value)));
            }
            let (field, rest) = self.rest.split_at_checked(folded_len(self.rest))?;
            self.rest = rest;
            if let Some(at) = memchr(b':', field)
                && let (name, [_, value @ ..]) = field.split_at(at)
            {
                return Some((full_name(trim(name)), trim(value)));
            }
        }
        None
    }
}

/// Name, value and what follows, where a field is what nearly all are: no line is folded onto it.
fn plain_field(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, [b':', rest @ ..]) = bytes.split_at_checked(find(bytes, *b":\n")?)? else {
        return None;
    };
    let (value, [_, rest @ ..]) = rest.split_at_checked(find(rest, *b"\n")?)? else {
        return None;
    };
    (!matches!(rest, [b' ' | b'\t', ..])).then_some((name, value, rest))
}

/// Octets of the field that begins `bytes`, with the lines folded onto it (RFC 3261 section 7.3.1) and its line end.
fn folded_len(bytes: &[u8]) -> usize {
    let mut len = 0;
    let mut rest = bytes;
    while let Some(at) = memchr(b'\n', rest) {
        len += at + 1;
        rest = bytes.get(len..).unwrap_or_default();
        if !matches!(rest.first(), Some(b' ' | b'\t')) {
            return len;
        }
    }
    bytes.len()
}

/// The long form of a compact name, or the name itself. The registry is IANA's "SIP Header Fields".
fn full_name(name: &[u8]) -> &[u8] {
    let [letter] = name else { return name };
    match letter.to_ascii_lowercase() {
        b'a' => b"Accept-Contact",
        b'b' => b"Referred-By",
        b'c' => b"Content-Type",
        b'd' => b"Request-Disposition",
        b'e' => b"Content-Encoding",
        b'f' => b"From",
        b'i' => b"Call-ID",
        b'j' => b"Reject-Contact",
        b'k' => b"Supported",
        b'l' => b"Content-Length",
        b'm' => b"Contact",
        b'n' => b"Identity-Info",
        b'o' => b"Event",
        b'r' => b"Refer-To",
        b's' => b"Subject",
        b't' => b"To",
        b'u' => b"Allow-Events",
        b'v' => b"Via",
        b'x' => b"Session-Expires",
        b'y' => b"Identity",
        _ => name,
    }
}

/// Pieces of a value between separators that stand neither in a quoted string nor between angle brackets, trimmed.
/// A quote that is never closed quotes nothing.
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
    /// No quote has been found open so far. Behind one that is never closed, none is, and looking for its end again and
    /// again would take time in the square of the length.
    quotes_close: bool,
}

/// The values of a header that is a list (RFC 3261 section 7.3.1).
pub const fn values(list: &[u8]) -> Pieces<'_> {
    Pieces {
        rest: Some(list),
        separator: b',',
        quotes_close: true,
    }
}

/// The parameters of a value, each still as `name=value`.
pub const fn pieces(parameters: &[u8]) -> Pieces<'_> {
    Pieces {
        rest: Some(parameters),
        separator: b';',
        quotes_close: true,
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let at = self.separator_at(rest);
        let piece = at.and_then(|at| rest.get(..at)).unwrap_or(rest);
        self.rest = at.and_then(|at| rest.get(at + 1..));
        Some(trim(piece))
    }
}

impl Pieces<'_> {
    /// Where the first separator stands that is neither quoted nor in brackets.
    fn separator_at(&mut self, bytes: &[u8]) -> Option<usize> {
        // What nearly all values are: nothing in front of the separator, or of the end, that could hide it.
        let plain = find(bytes, [self.separator]);
        let before = plain.and_then(|at| bytes.get(..at)).unwrap_or(bytes);
        if find(before, *b"\"<").is_none() {
            return plain;
        }
        let mut at = 0;
        let mut bracketed = false;
        while let Some(byte) = bytes.get(at) {
            match *byte {
                b'"' if self.quotes_close && !bracketed => match bytes.get(at..).and_then(quoted_len) {
                    Some(len) => at += len - 1,
                    None => self.quotes_close = false,
                },
                b'<' => bracketed = true,
                b'>' => bracketed = false,
                byte if byte == self.separator && !bracketed => return Some(at),
                _ => {}
            }
            at += 1;
        }
        None
    }
}

/// Octets of the quoted string that begins `bytes`, quotes included; `None` where it is not closed.
pub fn quoted_len(bytes: &[u8]) -> Option<usize> {
    let mut escaped = false;
    let inner = bytes.strip_prefix(b"\"")?;
    let close = inner.iter().position(|byte| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    })?;
    Some(close + 2)
}

/// The value of the parameter `name` among `;name=value` pairs, unquoted; empty for one without a value. Names have no
/// case.
pub fn parameter<'a>(parameters: &'a [u8], name: &str) -> Option<&'a [u8]> {
    // What nearly all values are: nothing in them that could hide a separator.
    if find(parameters, *b"\"<").is_none() {
        let mut rest = Some(parameters);
        while let Some(bytes) = rest {
            let at = find(bytes, *b";");
            let (piece, behind) = bytes.split_at_checked(at.unwrap_or(bytes.len()))?;
            rest = behind.get(1..);
            if let Some(value) = value_of(trim(piece), name) {
                return Some(value);
            }
        }
        return None;
    }
    pieces(parameters).find_map(|piece| value_of(piece, name))
}

/// The value in `name=value`, unquoted; `None` where the name is another.
fn value_of<'a>(piece: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (key, rest) = piece.split_at_checked(name.len())?;
    if !key.eq_ignore_ascii_case(name.as_bytes()) {
        return None;
    }
    let value = match trim(rest) {
        [] => &[],
        [b'=', value @ ..] => trim(value),
        _ => return None,
    };
    let inner = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    Some(inner.unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(fields: &[u8]) -> Vec<(String, String)> {
        let utf8 = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Fields::new(fields)
            .map(|(name, value)| (utf8(name), utf8(value)))
            .collect()
    }

    #[test]
    fn fields_unfold_and_compact_names_are_written_out() {
        let fields = text(b"v: a\r\n ,b\r\nSubject :\n\tx\nnonsense\r\nI:1\r\n\r\n body: no\r\n");
        assert_eq!(
            fields,
            [("Via", "a\r\n ,b"), ("Subject", "x"), ("Call-ID", "1")].map(|(n, v)| (n.to_owned(), v.to_owned()))
        );
    }

    #[test]
    fn the_body_is_what_follows_the_empty_line() {
        let mut fields = Fields::new(b"a: b\n\n hello");
        assert_eq!(fields.by_ref().count(), 1);
        assert!(fields.ended());
        assert_eq!(fields.rest(), b" hello");
    }

    #[test]
    fn separators_in_quotes_and_brackets_separate_nothing() {
        let list = br#""a, \" <b" <sip:x,y@h>;q=1, <sip:z>, "open, <c>"#;
        let pieces: Vec<_> = values(list).map(String::from_utf8_lossy).collect();
        assert_eq!(pieces, [r#""a, \" <b" <sip:x,y@h>;q=1"#, "<sip:z>", "\"open", "<c>"]);
    }

    #[test]
    fn parameters_have_no_case_and_may_be_quoted() {
        let parameters = br#";Tag = 1x ; b;c="a;b""#;
        assert_eq!(parameter(parameters, "tag"), Some(&b"1x"[..]));
        assert_eq!(parameter(parameters, "B"), Some(&b""[..]));
        assert_eq!(parameter(parameters, "c"), Some(&b"a;b"[..]));
        assert_eq!(parameter(parameters, "d"), None);
    }

    #[test]
    fn numbers_are_digits_that_fit() {
        assert_eq!(number(b"0042"), Some(42));
        assert_eq!(number(b"4294967295"), Some(u32::MAX));
        for wrong in [&b""[..], b"-1", b"4294967296", b"1 2", b"x"] {
            assert_eq!(number(wrong), None);
        }
    }
}
