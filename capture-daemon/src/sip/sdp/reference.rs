//! Descriptions put together from lines that are right, wrong and nearly right, read by the parser and by a slow reader
//! that takes text apart with the standard library's means alone.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

/// A description as owned text, media by media.
#[derive(Debug, Default, PartialEq)]
struct Read {
    bundles: Vec<String>,
    media: Vec<ReadMedia>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct ReadMedia {
    line: (String, u16, u16, String, Vec<String>),
    connection: Option<IpAddr>,
    direction: String,
    maps: Vec<(u8, String, u32)>,
    fmtps: Vec<(u8, String)>,
    rtcp: Option<(u16, Option<IpAddr>)>,
    mux: (bool, bool),
    ptime_us: Option<u32>,
    mid: String,
    bundle_only: bool,
    crypto: Option<String>,
    fingerprint: bool,
    candidates: Vec<(u16, bool, IpAddr, u16)>,
    sources: Vec<(u32, String)>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("generated text")
}

/// What the parser says, in the reference's words.
fn parsed(session: &Session<'_>) -> Read {
    let media = session.media.iter().map(|media| ReadMedia {
        line: (
            text(media.kind),
            media.port,
            media.port_count,
            text(media.protocol),
            media.formats.iter().map(|format| text(format)).collect(),
        ),
        connection: media.connection,
        direction: media.direction.label().to_owned(),
        maps: media
            .maps
            .iter()
            .map(|map| (map.payload_type, text(map.encoding), map.clock_rate))
            .collect(),
        fmtps: media
            .fmtps
            .iter()
            .map(|fmtp| (fmtp.payload_type, text(fmtp.parameters)))
            .collect(),
        rtcp: media.rtcp.map(|rtcp| (rtcp.port, rtcp.address)),
        mux: (media.rtcp_mux, media.rtcp_mux_only),
        ptime_us: media.ptime_us,
        mid: text(media.mid),
        bundle_only: media.bundle_only,
        crypto: media.crypto.map(text),
        fingerprint: media.fingerprint,
        candidates: media
            .candidates
            .iter()
            .map(|c| (c.component, c.tcp, c.address, c.port))
            .collect(),
        sources: media.sources.iter().map(|s| (s.ssrc, text(s.cname))).collect(),
    });
    Read {
        bundles: session.bundles.iter().map(|group| text(group)).collect(),
        media: media.collect(),
    }
}

/// Digits only, as `str::parse` also takes a sign.
fn digits<T: std::str::FromStr>(word: &str) -> Option<T> {
    word.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| word.parse().ok())
        .flatten()
}

fn address_of(words: &[&str]) -> Option<IpAddr> {
    let [network, family, address, ..] = words else {
        return None;
    };
    let known = ["ip4", "ip6"].contains(&family.to_lowercase().as_str());
    let written = address.split('/').next().unwrap_or_default();
    (known && network.to_lowercase() == "in")
        .then(|| written.parse().ok())
        .flatten()
}

/// Reads a description the slow way; `None` where it is none.
fn reference(description: &str) -> Option<Read> {
    let mut lines = description
        .split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line));
    lines.next().filter(|first| first.starts_with("v="))?;
    let mut read = Read::default();
    let mut session = ReadMedia {
        direction: "sendrecv".to_owned(),
        ..ReadMedia::default()
    };
    for line in lines {
        let Some((kind, value)) = line.split_once('=') else {
            continue;
        };
        let words: Vec<&str> = value.split_whitespace().collect();
        match kind {
            "m" if read.media.len() == 32 => break,
            "m" => {
                let [kind, ports, protocol, formats @ ..] = words.as_slice() else {
                    return None;
                };
                let (port, count) = ports.split_once('/').unwrap_or((ports, "1"));
                let formats = formats.iter().take(128).map(|&format| format.to_owned()).collect();
                let line = (
                    (*kind).to_owned(),
                    digits(port)?,
                    digits(count).unwrap_or(1),
                    (*protocol).to_owned(),
                    formats,
                );
                read.media.push(ReadMedia {
                    line,
                    ..session.clone()
                });
            }
            "c" => read.media.last_mut().unwrap_or(&mut session).connection = address_of(&words),
            "a" => match read.media.last_mut() {
                Some(media) => attribute(value, media),
                None => match value.trim().split_once(':') {
                    Some(("group", group)) => {
                        let (semantics, tags) = group.trim().split_once(' ').unwrap_or((group.trim(), ""));
                        if semantics.to_lowercase() == "bundle" && read.bundles.len() < 8 {
                            read.bundles.push(tags.trim().to_owned());
                        }
                    }
                    Some(("fingerprint", _)) => session.fingerprint = true,
                    None if ["sendrecv", "sendonly", "recvonly", "inactive"].contains(&value.trim()) => {
                        value.trim().clone_into(&mut session.direction);
                    }
                    _ => {}
                },
            },
            _ => {}
        }
    }
    Some(read)
}

fn attribute(attribute: &str, media: &mut ReadMedia) {
    let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
    let value = value.trim();
    let words: Vec<&str> = value.split_whitespace().collect();
    let payload_type = words
        .first()
        .and_then(|word| digits::<u8>(word))
        .filter(|number| *number < 128);
    let after_first = || match value.split_once(' ') {
        Some((_, rest)) => rest.trim().to_owned(),
        None => String::new(),
    };
    match name.trim() {
        direction @ ("sendrecv" | "sendonly" | "recvonly" | "inactive") => direction.clone_into(&mut media.direction),
        "rtcp-mux" => media.mux.0 = true,
        "rtcp-mux-only" => media.mux = (true, true),
        "bundle-only" => media.bundle_only = true,
        "fingerprint" => media.fingerprint = true,
        "mid" => value.clone_into(&mut media.mid),
        "rtpmap" => {
            let mapping = after_first();
            let mut parts = mapping.splitn(3, '/').map(str::trim);
            if let (Some(payload_type), Some(name), Some(rate)) = (payload_type, parts.next(), parts.next())
                && let Some(rate @ 1..) = digits(rate)
                && media.maps.len() < 128
            {
                media.maps.push((payload_type, name.to_owned(), rate));
            }
        }
        "fmtp" => {
            if let Some(payload_type) = payload_type
                && media.fmtps.len() < 128
            {
                media.fmtps.push((payload_type, after_first()));
            }
        }
        "rtcp" => {
            let port = words.first().and_then(|word| digits(word));
            media.rtcp = port.map(|port| (port, address_of(words.get(1..).unwrap_or_default())));
        }
        "ptime" => {
            let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
            let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
            media.ptime_us = digits::<u32>(whole)
                .zip(digits::<u32>(&fraction))
                .map(|(whole, fraction)| whole.saturating_mul(1000).saturating_add(fraction))
                .filter(|micros| (1..60_000_000).contains(micros));
        }
        "crypto" => {
            if let [tag, suite, _, ..] = words.as_slice()
                && digits::<u32>(tag).is_some()
            {
                media.crypto.get_or_insert_with(|| (*suite).to_owned());
            }
        }
        "candidate" => {
            if let [_, component, transport, _, address, port, typ, ..] = words.as_slice()
                && let (Some(component @ 1..=256), Ok(address), Some(port @ 1..)) =
                    (digits::<u16>(component), address.parse(), digits::<u16>(port))
                && ["tcp", "udp"].contains(&transport.to_lowercase().as_str())
                && typ.to_lowercase() == "typ"
                && media.candidates.len() < 32
            {
                let tcp = transport.to_lowercase() == "tcp";
                media.candidates.push((component, tcp, address, port));
            }
        }
        "ssrc" => {
            if let Some(ssrc) = words.first().and_then(|word| digits(word)) {
                let cname = after_first().strip_prefix("cname:").unwrap_or_default().to_owned();
                let full = media.sources.len() == 16;
                match media.sources.iter_mut().find(|(known, _)| *known == ssrc) {
                    Some((_, known)) if known.is_empty() => *known = cname,
                    None if !full => media.sources.push((ssrc, cname)),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn ip() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|ip| ip.to_string()),
        Just("0.0.0.0".to_owned()),
        Just("fax.example.com".to_owned()),
        Just("b6c5.local".to_owned()),
    ]
}

/// A number that mostly fits.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0u32..200).prop_map(|n| n.to_string()),
        2 => any::<u16>().prop_map(|n| n.to_string()),
        1 => any::<u64>().prop_map(|n| n.to_string()),
        1 => "[-+x ]?[0-9]{0,3}",
    ]
}

fn connection_value() -> impl Strategy<Value = String> {
    ("IN|in|XX", "IP4|IP6|ip4|IP", ip(), "(/[0-9]{1,3})?").prop_map(|(n, f, ip, ttl)| format!("{n} {f} {ip}{ttl}"))
}

/// One line, its end included.
fn some_line() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => ("audio|video|image", number(), "(/[0-9]{1,2})?", "RTP/AVP|UDP/TLS/RTP/SAVPF|udptl", "( [0-9a-z]{1,4}){0,5}")
            .prop_map(|(kind, port, count, protocol, formats)| format!("m={kind} {port}{count} {protocol}{formats}")),
        3 => connection_value().prop_map(|value| format!("c={value}")),
        3 => "sendrecv|sendonly|recvonly|inactive".prop_map(|name| format!("a={name}")),
        2 => "rtcp-mux|rtcp-mux-only|bundle-only|fingerprint:sha-256 AA:BB".prop_map(|name| format!("a={name}")),
        2 => ("BUNDLE|LS|bundle", "( [a-c]{1,2}){0,4}").prop_map(|(kind, tags)| format!("a=group:{kind}{tags}")),
        2 => "[a-c]{1,2}".prop_map(|mid| format!("a=mid:{mid}")),
        2 => (number(), "[A-Za-z0-9-]{0,9}", "/?", number(), "(/2)?")
            .prop_map(|(pt, name, slash, rate, channels)| format!("a=rtpmap:{pt} {name}{slash}{rate}{channels}")),
        2 => (number(), "[a-z0-9=;, -]{0,20}").prop_map(|(pt, rest)| format!("a=fmtp:{pt} {rest}")),
        2 => (number(), proptest::option::of(connection_value()))
            .prop_map(|(port, value)| format!("a=rtcp:{port} {}", value.unwrap_or_default())),
        2 => "[0-9]{0,6}(\\.[0-9a]{0,4})?".prop_map(|ptime| format!("a=ptime:{ptime}")),
        2 => ("[0-9x]?", "AES_CM_128_HMAC_SHA1_(80|32)", "( inline:x)?")
            .prop_map(|(tag, suite, key)| format!("a=crypto:{tag} {suite}{key}")),
        3 => (number(), "UDP|tcp|SCTP", ip(), number(), "typ|type").prop_map(|(component, transport, ip, port, typ)| {
            format!("a=candidate:1 {component} {transport} 1 {ip} {port} {typ} host")
        }),
        3 => ("[0-9]{1,2}", "( cname:[a-z]{0,4}| msid:x)?").prop_map(|(ssrc, rest)| format!("a=ssrc:{ssrc}{rest}")),
        1 => "[a-z]=[ -~]{0,20}",
        1 => "[ -~]{0,10}",
    ];
    (line, "\r?\n").prop_map(|(line, end)| line + &end)
}

proptest! {
    #[test]
    fn the_parser_reads_what_the_slow_reader_reads(lines in prop::collection::vec(some_line(), 0..60)) {
        let description = format!("v=0\r\n{}", lines.concat());
        let fast = parse(description.as_bytes()).ok();
        let read = fast.as_ref().map(parsed);
        prop_assert_eq!(read, reference(&description));
    }

    /// What siphon derives from a description holds for any.
    #[test]
    fn the_transport_of_any_media_is_one_of_the_session(lines in prop::collection::vec(some_line(), 0..60)) {
        let description = format!("v=0\r\n{}", lines.concat());
        let Ok(session) = parse(description.as_bytes()) else { return Ok(()) };
        for media in &session.media {
            let transport = session.transport_of(media);
            prop_assert!(session.media.iter().any(|one| std::ptr::eq(one, transport)));
            let grouped = session.bundles.iter().any(|group| {
                text(group).split_whitespace().any(|tag| tag.as_bytes() == media.mid)
            });
            prop_assert!(grouped || std::ptr::eq(media, transport));
        }
    }
}
