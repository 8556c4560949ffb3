//! SIP, SIPS and tel URIs taken apart.

use super::header::{number, split_before};
use crate::text::lossy;

/// A URI's parts (RFC 3261 section 19.1.1). Parts that a scheme does not have are empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uri<'a> {
    /// `sip`, `sips`, `tel`, …, as on the wire.
    pub scheme: &'a [u8],
    /// User and password before `@`, as on the wire.
    pub user: &'a [u8],
    /// Host; an IPv6 address without its brackets. The number of a tel URI (RFC 3966) is its user.
    pub host: &'a [u8],
    /// Port, where one is given.
    pub port: Option<u16>,
    /// Parameters and headers, from their first semicolon or question mark.
    pub parameters: &'a [u8],
}

impl<'a> Uri<'a> {
    /// Takes `uri` apart; `None` where it has no scheme.
    pub fn parse(uri: &'a [u8]) -> Option<Self> {
        let (scheme, rest) = split_before(uri, |byte| byte == b':');
        let rest = rest.get(1..)?;
        if scheme.is_empty() {
            return None;
        }
        if scheme.eq_ignore_ascii_case(b"tel") {
            let (user, parameters) = split_before(rest, |byte| byte == b';');
            return Some(Self {
                scheme,
                user,
                parameters,
                ..Self::default()
            });
        }
        // A user may hold semicolons and question marks (RFC 3261 section 19.1.1), so the last `@` is looked for first.
        let (user, rest) = match rest.iter().rposition(|byte| *byte == b'@') {
            Some(at) => (rest.get(..at)?, rest.get(at + 1..)?),
            None => (&[][..], rest),
        };
        let (authority, parameters) = split_before(rest, |byte| matches!(byte, b';' | b'?'));
        let (host, port) = match authority.strip_prefix(b"[") {
            Some(inner) => {
                let (host, rest) = split_before(inner, |byte| byte == b']');
                (host, rest.strip_prefix(b"]").unwrap_or_default())
            }
            None => split_before(authority, |byte| byte == b':'),
        };
        Some(Self {
            scheme,
            user,
            host,
            port: port
                .strip_prefix(b":")
                .and_then(number)
                .and_then(|port| u16::try_from(port).ok()),
            parameters,
        })
    }

    /// The URI as a registrar keys its bindings: without parameters, scheme and host in lower case (RFC 3261 section
    /// 10.3, step 5).
    pub fn address_of_record(&self) -> String {
        let lower = |bytes: &[u8]| lossy(bytes).to_ascii_lowercase();
        let mut aor = lower(self.scheme);
        aor.push(':');
        aor.push_str(&lossy(self.user));
        if !self.host.is_empty() {
            if !self.user.is_empty() {
                aor.push('@');
            }
            let host = lower(self.host);
            if self.host.contains(&b':') {
                aor.push('[');
                aor.push_str(&host);
                aor.push(']');
            } else {
                aor.push_str(&host);
            }
        }
        if let Some(port) = self.port {
            aor.push(':');
            aor.push_str(&port.to_string());
        }
        aor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aor(uri: &str) -> Option<String> {
        Uri::parse(uri.as_bytes()).map(|uri| uri.address_of_record())
    }

    #[test]
    fn an_address_of_record_loses_parameters_and_case_of_the_host() {
        for (uri, expected) in [
            ("SIP:Alice@Example.COM;transport=tcp?x=y", "sip:Alice@example.com"),
            ("sip:a;b=c@h:5070", "sip:a;b=c@h:5070"),
            ("sip:[2001:DB8::1]:5060;lr", "sip:[2001:db8::1]:5060"),
            ("sip:h", "sip:h"),
            ("tel:+1-201-555-0123;phone-context=x", "tel:+1-201-555-0123"),
        ] {
            assert_eq!(aor(uri).as_deref(), Some(expected), "{uri}");
        }
        assert_eq!(aor("nothing"), None);
        assert_eq!(aor(":x"), None);
    }

    #[test]
    fn parts() {
        let uri = Uri::parse(b"sips:bob:secret@[::1]:99999;lr").expect("a URI");
        assert_eq!(
            (uri.scheme, uri.user, uri.host),
            (&b"sips"[..], &b"bob:secret"[..], &b"::1"[..])
        );
        assert_eq!(uri.port, None);
        assert_eq!(uri.parameters, b";lr");
    }
}
