//! The values of From, To and Contact: a URI with or without display name and brackets, and parameters.

use super::header::{parameter, quoted_len, split_before, trim};
use super::scan::find;

/// `name-addr` or `addr-spec` with its parameters (RFC 3261 sections 20.10 and 25.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Address<'a> {
    /// Display name as on the wire, with its quotes; empty where there is none.
    pub display: &'a [u8],
    /// The URI with its own parameters; `*` in a Contact that means every binding.
    pub uri: &'a [u8],
    /// Parameters of the header, from their first semicolon.
    pub parameters: &'a [u8],
}

impl<'a> Address<'a> {
    /// Reads one value. Without brackets, everything from the first semicolon on belongs to the header and not to the
    /// URI (RFC 3261 section 20.10). `None` where there is no URI.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let value = trim(value);
        // Brackets in a quoted display name are letters; a quote that never closes is one too.
        let name = quoted_len(value).unwrap_or(0);
        let open = find(value.get(name..)?, *b"<");
        let address = match open {
            Some(at) => {
                let (display, rest) = value.split_at_checked(name + at)?;
                let rest = rest.get(1..)?;
                let (uri, rest) = rest.split_at_checked(find(rest, *b">").unwrap_or(rest.len()))?;
                Self {
                    display: trim(display),
                    uri: trim(uri),
                    parameters: trim(rest.get(1..).unwrap_or_default()),
                }
            }
            None => {
                let (uri, parameters) = split_before(value, |byte| byte == b';');
                Self {
                    display: &[],
                    uri: trim(uri),
                    parameters,
                }
            }
        };
        (!address.uri.is_empty()).then_some(address)
    }

    /// The tag of a From or To; `None` in a To outside a dialog.
    pub fn tag(&self) -> Option<&'a [u8]> {
        self.parameter("tag").filter(|tag| !tag.is_empty())
    }

    /// A parameter of the header by its name, empty where it has no value.
    pub fn parameter(&self, name: &str) -> Option<&'a [u8]> {
        parameter(self.parameters, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> (String, String, Option<String>) {
        let address = Address::parse(value.as_bytes()).expect("a URI");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(address.display), text(address.uri), address.tag().map(text))
    }

    #[test]
    fn forms_of_rfc_3261_and_rfc_4475() {
        let cases = [
            ("<sip:a@h>", "", "sip:a@h", None),
            ("sip:a@h;tag=1", "", "sip:a@h", Some("1")),
            ("<sip:a@h;user=phone>;tag=1", "", "sip:a@h;user=phone", Some("1")),
            ("caller<sip:a@h>;x; TAG = 323", "caller", "sip:a@h", Some("323")),
            (
                r#""B, A <b>" < sip:a@h > ;tag=1"#,
                r#""B, A <b>""#,
                "sip:a@h",
                Some("1"),
            ),
            (r#""\\\"" <sip:a@h>"#, r#""\\\"""#, "sip:a@h", None),
            (r#""Mr. User <sip:a@h>;tag=2"#, r#""Mr. User"#, "sip:a@h", Some("2")),
            ("Bell, Alex <sip:a@h>;tag=43", "Bell, Alex", "sip:a@h", Some("43")),
            ("*", "", "*", None),
        ];
        for (value, display, uri, tag) in cases {
            let expected = (display.to_owned(), uri.to_owned(), tag.map(str::to_owned));
            assert_eq!(read(value), expected, "{value}");
        }
    }

    #[test]
    fn no_uri_is_no_address() {
        for value in ["", " ", "<>", "\"x\" <", ";tag=1"] {
            assert_eq!(Address::parse(value.as_bytes()), None, "{value}");
        }
    }
}
