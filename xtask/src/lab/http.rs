//! One GET over HTTP/1.0, to something that runs inside a namespace.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::netns::Netns;

/// How long the other side may be silent.
const SILENCE: Duration = Duration::from_secs(10);

/// Most that is read of an answer, in bytes.
const MOST: u64 = 64 << 20;

/// Fetches `path` from `address` as seen in the namespace and returns the body.
///
/// # Errors
/// When nobody answers, or with another status than 200.
pub fn get(netns: &Netns, address: SocketAddr, path: &str) -> Result<String> {
    let what = || format!("GET http://{address}{path} in {}", netns.name());
    let answer = netns
        .enter(|| TcpStream::connect_timeout(&address, SILENCE))?
        .and_then(|stream| exchange(stream, address, path))
        .with_context(what)?;
    body(&answer).with_context(what)
}

/// 1.0, so that the answer ends with the connection and is not chunked.
fn exchange(mut stream: TcpStream, address: SocketAddr, path: &str) -> std::io::Result<String> {
    stream.set_read_timeout(Some(SILENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\nAccept: */*\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MOST).read_to_string(&mut answer)?;
    Ok(answer)
}

fn body(answer: &str) -> Result<String> {
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("{status}: {}", body.trim());
    }
    Ok(body.to_owned())
}

/// A value for a query string: everything but letters and digits becomes `%xx` (RFC 3986 section 2.1).
pub fn escape(value: &str) -> String {
    let mut escaped = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_200_has_a_body() {
        assert_eq!(body("HTTP/1.0 200 OK\r\nA: b\r\n\r\ntext").unwrap(), "text");
        let error = body("HTTP/1.0 503 Service Unavailable\r\n\r\nnot yet").unwrap_err();
        assert!(error.to_string().contains("503"), "{error}");
        assert!(body("").is_err());
    }

    #[test]
    fn a_query_is_escaped() {
        assert_eq!(escape("up{job=\"siphon\"}"), "up%7Bjob%3D%22siphon%22%7D");
    }
}
