//! The same answers as the parsers give, the slow way: octets as letters of a `String`, lines joined, lists copied, one letter
//! at a time. What RFC 3261 says, and what `header`, `address` and `message` say of senders that do otherwise.

#![expect(
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that slices wrongly fails, as it should"
)]

use proptest::prelude::*;

use super::*;

/// Each octet a letter: Latin-1, in which nothing is invalid and nothing changes its length.
fn letters(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// White space of a header (RFC 3261 section 25.1, LWS), the line ends of folds included.
fn is_white(letter: char) -> bool {
    " \t\r\n".contains(letter)
}

fn trimmed(text: &str) -> String {
    text.trim_matches(is_white).to_owned()
}

/// What a message says.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    start: String,
    call_id: String,
    cseq: (u32, Method),
    from: (String, String, Option<String>),
    to: (String, String, Option<String>),
    branch: String,
    vias: usize,
    content_type: String,
    expires: Option<u32>,
    contacts: Vec<String>,
    body: String,
}

/// The header's fields in order, names long and in lower case, and what follows the empty line.
fn fields(text: &str) -> (Vec<(String, String)>, String) {
    let mut fields: Vec<String> = Vec::new();
    let mut lines = text.split_inclusive('\n');
    let mut body = String::new();
    while let Some(line) = lines.next() {
        if line == "\r\n" || line == "\n" {
            body = lines.collect();
            break;
        }
        let last_is_whole = fields.last().is_some_and(|field| field.ends_with('\n'));
        match fields.last_mut() {
            Some(field) if last_is_whole && line.starts_with([' ', '\t']) => field.push_str(line),
            _ => fields.push(line.to_owned()),
        }
    }
    let pairs = fields.iter().filter_map(|field| field.split_once(':'));
    let named = pairs.map(|(name, value)| (long(&trimmed(name).to_lowercase()), trimmed(value)));
    (named.collect(), body)
}

fn long(name: &str) -> String {
    match name {
        "v" => "via",
        "f" => "from",
        "t" => "to",
        "i" => "call-id",
        "m" => "contact",
        "l" => "content-length",
        "c" => "content-type",
        other => other,
    }
    .to_owned()
}

/// A list's values, or a value's parameters. A quotation that does not end quotes nothing, nor does any behind it.
fn split(text: &str, separator: char) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let mut pieces = vec![String::new()];
    let (mut quoted, mut bracketed, mut quotes_end) = (false, false, true);
    let mut at = 0;
    while at < letters.len() {
        let letter = letters[at];
        let mut taken = 1;
        if quoted {
            if letter == '\\' {
                taken = 2;
            } else if letter == '"' {
                quoted = false;
            }
        } else if letter == '"' && quotes_end && !bracketed {
            quotes_end = ends(&letters[at + 1..]);
            quoted = quotes_end;
        } else if letter == '<' || letter == '>' {
            bracketed = letter == '<';
        }
        if letter == separator && !quoted && !bracketed {
            pieces.push(String::new());
        } else if let Some(piece) = pieces.last_mut() {
            piece.extend(letters[at..].iter().take(taken));
        }
        at += taken;
    }
    // A quote inside brackets opens nothing: what they hold is a URI.
    pieces.iter().map(|piece| trimmed(piece)).collect()
}

/// Whether a quotation that begins before these letters ends among them.
fn ends(letters: &[char]) -> bool {
    let mut escaped = false;
    letters.iter().any(|letter| {
        let closes = *letter == '"' && !escaped;
        escaped = *letter == '\\' && !escaped;
        closes
    })
}

fn parameter(parameters: &str, name: &str) -> Option<String> {
    split(parameters, ';').iter().find_map(|piece| {
        let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
        let value = trimmed(value);
        let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        (trimmed(key).to_lowercase() == name).then(|| inner.unwrap_or(&value).to_owned())
    })
}

/// Display name, URI, tag.
fn address(value: &str) -> Option<(String, String, Option<String>)> {
    let value = trimmed(value);
    let letters: Vec<char> = value.chars().collect();
    let mut name = 0;
    if letters.first() == Some(&'"') && ends(&letters[1..]) {
        let mut escaped = false;
        name = 1 + letters[1..]
            .iter()
            .position(|letter| {
                let closes = *letter == '"' && !escaped;
                escaped = *letter == '\\' && !escaped;
                closes
            })
            .map_or(0, |at| at + 1);
    }
    let text = |letters: &[char]| letters.iter().collect::<String>();
    let (display, uri, parameters) = match letters[name..].iter().position(|letter| *letter == '<') {
        Some(open) => {
            let inside = text(&letters[name + open + 1..]);
            let (uri, parameters) = inside.split_once('>').unwrap_or((&inside, ""));
            (text(&letters[..name + open]), uri.to_owned(), parameters.to_owned())
        }
        None => match value.find(';') {
            Some(at) => (String::new(), value[..at].to_owned(), value[at..].to_owned()),
            None => (String::new(), value.clone(), String::new()),
        },
    };
    let tag = parameter(&parameters, "tag").filter(|tag| !tag.is_empty());
    let uri = trimmed(&uri);
    (!uri.is_empty()).then(|| (trimmed(&display), uri, tag))
}

fn digits(text: &str) -> Option<u32> {
    (!text.is_empty() && text.chars().all(|letter| letter.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn message(bytes: &[u8]) -> Option<Said> {
    let text = letters(bytes);
    let text = text.trim_start_matches(['\r', '\n']);
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let start = first.strip_suffix('\r').unwrap_or(first);
    let method = match StartLine::parse(&latin1(start)).ok()? {
        StartLine::Request { method, .. } => Some(method),
        StartLine::Response { .. } => None,
    };
    let (fields, rest) = fields(rest);
    let all = |name: &str| -> Vec<String> {
        let named = fields.iter().filter(|(known, _)| known == name);
        named.map(|(_, value)| value.clone()).collect()
    };
    let one = |name: &str| all(name).first().cloned();
    let call_id = one("call-id").filter(|id| !id.is_empty() && id.chars().count() <= 512)?;
    let cseq = one("cseq")?;
    let mut words = cseq.split(is_white).filter(|word| !word.is_empty());
    let cseq = (digits(words.next()?)?, Method::from_token(&latin1(words.next()?)));
    if method.is_some_and(|method| method != cseq.1) {
        return None;
    }
    let vias: Vec<String> = all("via").iter().flat_map(|via| split(via, ',')).collect();
    let topmost = split(&one("via").unwrap_or_default(), ',')
        .first()
        .cloned()
        .unwrap_or_default();
    let parameters = topmost.find(';').map_or("", |at| &topmost[at..]).to_owned();
    let letters: Vec<char> = rest.chars().collect();
    let length = one("content-length").and_then(|value| digits(&value));
    let length = length
        .map(|length| length as usize)
        .filter(|length| *length <= letters.len());
    Some(Said {
        start: start.to_owned(),
        call_id,
        cseq,
        from: address(&one("from")?)?,
        to: address(&one("to")?)?,
        branch: parameter(&parameters, "branch").unwrap_or_default(),
        vias: vias
            .iter()
            .filter(|via| !via.is_empty() && !via.starts_with(';'))
            .count(),
        content_type: one("content-type").unwrap_or_default(),
        expires: one("expires").and_then(|value| digits(&value)),
        contacts: all("contact")
            .iter()
            .flat_map(|list| split(list, ','))
            .filter_map(|contact| Some(address(&contact)?.1))
            .collect(),
        body: letters[..length.unwrap_or(letters.len())].iter().collect(),
    })
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|letter| letter as u8).collect()
}

/// What the parser says, in the reference's words.
fn said(bytes: &[u8]) -> Option<Said> {
    let (message, _) = Message::parse(bytes).ok()?;
    let (_, text) = header::split_before(bytes, |byte| !matches!(byte, b'\r' | b'\n'));
    let address = |address: Address<'_>| {
        (
            letters(address.display),
            letters(address.uri),
            address.tag().map(letters),
        )
    };
    Some(Said {
        start: letters(header::line(text).map_or(text, |(line, _)| line)),
        call_id: letters(message.call_id),
        cseq: (message.cseq.number, message.cseq.method),
        from: address(message.from),
        to: address(message.to),
        branch: letters(message.branch),
        vias: message.vias,
        content_type: letters(message.content_type),
        expires: message.expires,
        contacts: message.contacts().map(|contact| letters(contact.uri)).collect(),
        body: letters(message.body),
    })
}

/// Messages with everything that senders do to a header, and some that nobody should.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "sip:a@h",
        "<sip:b,c@h;x=y>",
        "\"n, <q>\" ",
        "\"open ",
        "\\\"",
        ";tag=1",
        "; TAG = \"t\"",
        ";branch=z9hG4bK7",
        ",",
        ";",
        "<",
        ">",
        "\"",
        "=",
        " ",
        "\t",
        "\r\n ",
        "\n\t",
        "*",
        "SIP/2.0/UDP h",
        "7",
        "INVITE",
        "BYE",
        "é",
        "a/b",
    ]);
    let value = prop::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat());
    let name = prop::sample::select(vec![
        "Via",
        "v",
        "From",
        "f",
        "To",
        "t",
        "Call-ID",
        "i",
        "CSeq",
        "CSEQ ",
        "Contact",
        "m",
        "Content-Length",
        "l",
        "Content-Type",
        "c",
        "Expires",
        "Subject",
        "nonsense",
    ]);
    let field = (name, prop::sample::select(vec![":", ": ", " :\t", ""]), value)
        .prop_map(|(name, colon, value)| format!("{name}{colon}{value}"));
    let sound = prop::sample::select(vec![
        "Via: SIP/2.0/UDP h;branch=z9hG4bK1",
        "f: \"A\" <sip:a@h>;tag=x",
        "T: sip:b@h;tag=\"y\"",
        "i: one@h",
        "CSeq: 0007 INVITE",
        "cseq: 4294967296 INVITE",
        "l: 3",
        "Content-Length: 9999",
    ]);
    let fields = prop::collection::vec(prop_oneof![field, sound.prop_map(str::to_owned)], 0..12);
    let start = prop::sample::select(vec![
        "INVITE sip:b@h SIP/2.0",
        "SIP/2.0 200 OK",
        "\r\nSIP/2.0 180",
        "OPTIONS x SIP/2.0",
    ]);
    let end = prop::sample::select(vec!["\r\n", "\n"]);
    let frame = prop_oneof![3 => Just(true), 1 => Just(false)];
    (start, fields, end, frame, "[a-z\r\n]{0,8}").prop_map(|(start, mut fields, end, framed, body)| {
        if framed {
            for sound in ["i: one@h", "CSeq: 7 INVITE", "f: <sip:a@h>;tag=x", "t: sip:b@h"] {
                fields.push(sound.to_owned());
            }
        }
        let header = fields.join(end);
        latin1(&format!("{start}{end}{header}{end}{end}{body}"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn the_parser_says_what_the_reference_says(bytes in messages(), cut in prop::option::weighted(0.2, any::<prop::sample::Index>())) {
        let bytes = cut.map_or(bytes.as_slice(), |cut| &bytes[..cut.index(bytes.len())]);
        prop_assert_eq!(said(bytes), message(bytes), "{}", String::from_utf8_lossy(bytes));
    }

    #[test]
    fn lists_are_split_where_the_reference_splits_them(text in "[\"\\\\<>,;a ]{0,24}") {
        let pieces: Vec<String> = header::values(text.as_bytes()).map(letters).collect();
        prop_assert_eq!(pieces, split(&text, ','));
    }
}

/// A URI taken apart by splitting copies: the scheme at the first colon, the user at the last `@`, then host, port and the rest.
fn uri(text: &str) -> Option<(String, String, String, Option<u16>, String)> {
    let (scheme, rest) = text.split_once(':').filter(|(scheme, _)| !scheme.is_empty())?;
    let cut = |text: &str, stops: &[char]| {
        let at = text.find(stops).unwrap_or(text.len());
        (text[..at].to_owned(), text[at..].to_owned())
    };
    if scheme.eq_ignore_ascii_case("tel") {
        let (user, parameters) = cut(rest, &[';']);
        return Some((scheme.to_owned(), user, String::new(), None, parameters));
    }
    let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (authority, parameters) = cut(rest, &[';', '?']);
    let (host, port) = match authority.strip_prefix('[') {
        Some(inner) => {
            let (host, behind) = cut(inner, &[']']);
            (host, behind.strip_prefix(']').unwrap_or_default().to_owned())
        }
        None => cut(&authority, &[':']),
    };
    let port = port.strip_prefix(':').and_then(digits);
    Some((
        scheme.to_owned(),
        user.to_owned(),
        host,
        port.and_then(|port| u16::try_from(port).ok()),
        parameters,
    ))
}

/// The body of a multipart part of this type, by cutting the whole body at the lines that delimit.
fn part(body: &str, boundary: &str, wanted: &str) -> Option<String> {
    let mut parts: Vec<String> = vec![String::new()];
    for line in body.split_inclusive('\n') {
        let bare = line
            .strip_suffix('\n')
            .map_or(line, |line| line.strip_suffix('\r').unwrap_or(line));
        if bare.starts_with(&format!("--{boundary}")) {
            if let Some(before) = parts.last_mut() {
                // The line end before a delimiter is the delimiter's.
                let kept = before.strip_suffix('\n').unwrap_or(before);
                *before = kept.strip_suffix('\r').unwrap_or(kept).to_owned();
            }
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push_str(line);
        }
    }
    parts.iter().skip(1).find_map(|part| {
        let (fields, content) = fields(part);
        let is_wanted = fields.iter().any(|(name, value)| {
            name == "content-type" && trimmed(value.split(';').next().unwrap_or_default()).eq_ignore_ascii_case(wanted)
        });
        is_wanted.then_some(content)
    })
}

proptest! {
    #[test]
    fn uris_are_taken_apart_as_the_reference_takes_them(text in "(sip|SIPS|tel|x)?:?[a-z0-9@:;?=\\[\\].%&]{0,24}") {
        let parsed = Uri::parse(text.as_bytes()).map(|uri| {
            (letters(uri.scheme), letters(uri.user), letters(uri.host), uri.port, letters(uri.parameters))
        });
        prop_assert_eq!(parsed, uri(&text));
    }

    #[test]
    fn parts_are_found_where_the_reference_finds_them(
        lines in prop::collection::vec(
            prop::sample::select(vec![
                "--b", "--b--", "--bc", " --b", "Content-Type: application/sdp", "c: application/SDP; x=y", "content-type: text/plain",
                "", "v=0", " folded", "-",
            ]),
            0..12,
        ),
        ends in prop::collection::vec(prop::sample::select(vec!["\r\n", "\n"]), 12),
        whole in any::<bool>(),
    ) {
        let mut body: String = lines.iter().zip(&ends).map(|(line, end)| format!("{line}{end}")).collect();
        if !whole {
            body.pop();
        }
        let found = multipart::part(body.as_bytes(), b"b", b"application/sdp").map(letters);
        prop_assert_eq!(found, part(&body, "b", "application/sdp"), "{:?}", body);
    }
}
