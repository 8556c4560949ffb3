//! Challenges and credentials of digest authentication (RFC 8760, RFC 3261 section 22): which challenge a request answers.

use super::header::{split_before, trim, values, word};

/// The nonce in a value of WWW-Authenticate, Proxy-Authenticate, Authorization or Proxy-Authorization (RFC 3261 section
/// 25.1: `Digest nonce="…", …`), without its quotes; `None` where there is none or it is empty, as in the first REGISTER
/// of IMS (3GPP TS 24.229 section 5.1.1.2).
pub fn nonce(value: &[u8]) -> Option<&[u8]> {
    let (_scheme, parameters) = word(value);
    let quoted = values(parameters).find_map(|parameter| {
        let (name, value) = split_before(parameter, |byte| byte == b'=');
        trim(name)
            .eq_ignore_ascii_case(b"nonce")
            .then(|| trim(value.get(1..).unwrap_or_default()))
    })?;
    let inner = quoted.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    Some(inner.unwrap_or(quoted)).filter(|nonce| !nonce.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn challenges_and_credentials() {
        for (value, expected) in [
            (r#"Digest realm="a,b", nonce="PUK=/x", algorithm=MD5"#, Some("PUK=/x")),
            (r#"Digest username="nonce=1", Nonce = "2",nc=00000001"#, Some("2")),
            ("Digest\r\n realm=\"x\",\r\n nonce=plain", Some("plain")),
            (r#"Digest nonce="",response="""#, None),
            (r#"Digest cnonce="3""#, None),
            ("nonce=\"4\"", None),
            ("Digest", None),
            ("", None),
        ] {
            assert_eq!(nonce(value.as_bytes()), expected.map(str::as_bytes), "{value}");
        }
    }

    /// Letter by letter: scheme, then parameters, where a comma inside quotes separates nothing.
    fn slow(value: &str) -> Option<String> {
        let (_, parameters) = value.trim().split_once(' ')?;
        let mut parts = vec![String::new()];
        let mut quoted = false;
        for letter in parameters.chars() {
            quoted ^= letter == '"';
            match letter {
                ',' if !quoted => parts.push(String::new()),
                letter => parts.last_mut()?.push(letter),
            }
        }
        let found = parts.iter().find_map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            name.trim()
                .eq_ignore_ascii_case("nonce")
                .then(|| value.trim().to_owned())
        })?;
        let bare = found.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let nonce = bare.map_or_else(|| found.clone(), str::to_owned);
        (!nonce.is_empty()).then_some(nonce)
    }

    proptest! {
        #[test]
        fn reads_what_the_slow_reading_reads(
            parameters in prop::collection::vec(
                (
                    prop::sample::select(vec!["nonce", "NONCE", "cnonce", "realm", "qop", "nc"]),
                    " ?",
                    prop_oneof!["[a-z0-9=/]{0,5}", r#""[a-z0-9=/, ]{0,8}""#],
                ),
                0..5,
            )
        ) {
            let parameters: Vec<String> = parameters
                .into_iter()
                .map(|(name, space, value)| format!("{name}{space}={space}{value}"))
                .collect();
            let value = format!("Digest {}", parameters.join(","));
            let right = slow(&value);
            prop_assert_eq!(nonce(value.as_bytes()), right.as_deref().map(str::as_bytes), "{}", value);
        }

        #[test]
        fn takes_any_bytes(value in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(nonce) = nonce(&value) {
                prop_assert!(!nonce.is_empty() && nonce.len() < value.len());
            }
        }
    }
}
