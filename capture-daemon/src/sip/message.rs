//! A whole message: what the engine needs of it, read in one pass, and the rest on demand.

use super::address::Address;
use super::header::{Fields, line, number, parameter, split_before, trim, values, word};
use super::method::Method;
use super::multipart;
use super::scan::find;
use super::start_line::StartLine;
use crate::outcome::labelled;
use crate::text::fingerprint;

/// The longest Call-ID that is followed; it is a key of tables whose memory is bounded.
const LONGEST_CALL_ID: usize = 512;

labelled! {
    /// Why a message cannot be followed.
    Malformed {
        /// The first line is neither a request's nor a response's.
        StartLine = "start_line",
        /// A SIP version other than 2.0.
        Version = "version",
        /// A status code outside 100 to 699.
        StatusCode = "status_code",
        /// No Call-ID, or one longer than siphon keeps.
        CallId = "call_id",
        /// No CSeq, or one that is not a 32-bit number and a method.
        CSeq = "cseq",
        /// A request whose CSeq names another method (RFC 3261 section 8.1.1.5).
        CSeqMethod = "cseq_method",
        /// No From, or no URI in it.
        From = "from",
        /// No To, or no URI in it.
        To = "to",
    }
}

/// A sequence number within a dialog and the method it counts (RFC 3261 section 20.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq {
    /// The number.
    pub number: u32,
    /// The method, which in a response names the request that is answered.
    pub method: Method,
}

/// One message, borrowed from the packet or the stream it lies in.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// Request or response.
    pub start: StartLine<'a>,
    /// Call-ID.
    pub call_id: &'a [u8],
    /// CSeq.
    pub cseq: CSeq,
    /// From.
    pub from: Address<'a>,
    /// To.
    pub to: Address<'a>,
    /// From's tag.
    pub from_tag: Option<&'a [u8]>,
    /// To's tag; `None` outside a dialog.
    pub to_tag: Option<&'a [u8]>,
    /// Branch of the topmost Via; empty where it has none (RFC 2543 senders).
    pub branch: &'a [u8],
    /// Via values: the hops between the sender of the request and here.
    pub vias: usize,
    /// Content-Type, with its parameters; empty where there is none.
    pub content_type: &'a [u8],
    /// Expires in seconds.
    pub expires: Option<u32>,
    /// The body, cut at Content-Length where that says less than there is.
    pub body: &'a [u8],
    fields: Index<'a>,
}

/// Fields that a message keeps found; few have more, and what is behind them is looked for again.
const INDEXED: usize = 24;

/// The fields of a header, the first of them as they were found: a dozen questions are asked of each message.
#[derive(Clone, Debug)]
struct Index<'a> {
    found: [(&'a [u8], &'a [u8]); INDEXED],
    len: usize,
    rest: Fields<'a>,
}

impl<'a> Index<'a> {
    const fn new(fields: Fields<'a>) -> Self {
        Self {
            found: [(&[], &[]); INDEXED],
            len: 0,
            rest: fields,
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone + use<'a, '_> {
        let found = self.found.get(..self.len).unwrap_or_default();
        found.iter().copied().chain(self.rest.clone())
    }
}

/// What the pass over the header found.
#[derive(Default)]
struct Found<'a> {
    call_id: Option<&'a [u8]>,
    cseq: Option<&'a [u8]>,
    from: Option<&'a [u8]>,
    to: Option<&'a [u8]>,
    /// The first value of the first Via.
    topmost: Option<&'a [u8]>,
    vias: usize,
    content_type: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
    expires: Option<&'a [u8]>,
}

impl<'a> Found<'a> {
    /// Of a header that may stand once, the first counts.
    fn note(&mut self, name: &[u8], value: &'a [u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("Via") {
            // What is nothing but separators (RFC 4475 section 3.1.2.1) is no hop.
            for via in values(value) {
                self.vias += usize::from(!matches!(via.first(), None | Some(b';')));
                self.topmost.get_or_insert(via);
            }
        } else if is("From") {
            self.from.get_or_insert(value);
        } else if is("To") {
            self.to.get_or_insert(value);
        } else if is("Call-ID") {
            self.call_id.get_or_insert(value);
        } else if is("CSeq") {
            self.cseq.get_or_insert(value);
        } else if is("Content-Length") {
            self.content_length.get_or_insert(value);
        } else if is("Content-Type") {
            self.content_type.get_or_insert(value);
        } else if is("Expires") {
            self.expires.get_or_insert(value);
        }
    }
}

impl<'a> Message<'a> {
    /// Reads the message that begins `bytes`, and says how many octets it takes. Meant for a datagram, which ends the
    /// message where no Content-Length does, and for what [`frame`](super::frame) cut out of a stream. A header that
    /// the datagram cuts off in the middle is read as far as it goes; empty lines before the message are passed over.
    ///
    /// # Errors
    /// [`Malformed`] where the message cannot be followed.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, usize), Malformed> {
        let (_, message) = split_before(bytes, |byte| !matches!(byte, b'\r' | b'\n'));
        let (first, rest) = line(message).unwrap_or((message, &[]));
        let start = StartLine::parse(first)?;

        let mut fields = Index::new(Fields::new(rest));
        let mut found = Found::default();
        while let Some(place) = fields.found.get_mut(fields.len)
            && let Some(field) = fields.rest.next()
        {
            found.note(field.0, field.1);
            *place = field;
            fields.len += 1;
        }
        let mut pass = fields.rest.clone();
        for (name, value) in pass.by_ref() {
            found.note(name, value);
        }

        let call_id = found
            .call_id
            .filter(|id| !id.is_empty() && id.len() <= LONGEST_CALL_ID)
            .ok_or(Malformed::CallId)?;
        let cseq = found.cseq.and_then(cseq).ok_or(Malformed::CSeq)?;
        if matches!(start, StartLine::Request { method, .. } if method != cseq.method) {
            return Err(Malformed::CSeqMethod);
        }
        let from = found.from.and_then(Address::parse).ok_or(Malformed::From)?;
        let to = found.to.and_then(Address::parse).ok_or(Malformed::To)?;

        let rest = pass.rest();
        let body = found
            .content_length
            .and_then(content_length)
            .and_then(|len| rest.get(..len))
            .unwrap_or(rest);
        let consumed = bytes.len() - (rest.len() - body.len());
        let message = Self {
            start,
            call_id,
            cseq,
            from,
            to,
            from_tag: from.tag(),
            to_tag: to.tag(),
            branch: found.topmost.and_then(branch).unwrap_or_default(),
            vias: found.vias,
            content_type: found.content_type.unwrap_or_default(),
            expires: found.expires.and_then(number),
            body,
            fields,
        };
        Ok((message, consumed))
    }

    /// The values of every header of this name (the long form), in order, lists not taken apart. Names have no case.
    pub fn headers<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n, '_> {
        self.fields
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// The single values of every header of this name that is a list.
    pub fn lists<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n, '_> {
        self.headers(name).flat_map(values)
    }

    /// Every Contact, in order.
    pub fn contacts(&self) -> impl Iterator<Item = Address<'a>> + use<'a, '_> {
        self.headers("Contact").flat_map(values).filter_map(Address::parse)
    }

    /// Seconds that `contact` asks for or was granted: its own parameter, else the message's Expires
    /// (RFC 3261 section 10.2.1.1).
    pub fn expires_of(&self, contact: &Address<'_>) -> Option<u32> {
        contact.parameter("expires").and_then(number).or(self.expires)
    }

    /// The session description in the body, alone or as a part of a multipart body (RFC 5621).
    pub fn sdp(&self) -> Option<&'a [u8]> {
        let (media_type, parameters) = split_before(self.content_type, |byte| byte == b';');
        let media_type = trim(media_type);
        if media_type.eq_ignore_ascii_case(multipart::SDP) {
            return (!self.body.is_empty()).then_some(self.body);
        }
        let (kind, _) = split_before(media_type, |byte| byte == b'/');
        if !trim(kind).eq_ignore_ascii_case(b"multipart") {
            return None;
        }
        multipart::part(self.body, parameter(parameters, "boundary")?, multipart::SDP)
    }

    /// The party that sent the request, or the one the response answers: a hash of From's tag, never 0.
    pub fn caller_tag(&self) -> u64 {
        party(self.from_tag, &self.from)
    }

    /// The party whose description the body is: who sent the request, or who answers it.
    pub fn author_tag(&self) -> u64 {
        match self.start {
            StartLine::Request { .. } => party(self.from_tag, &self.from),
            StartLine::Response { .. } => party(self.to_tag, &self.to),
        }
    }

    /// A hash of the body.
    pub fn body_hash(&self) -> u64 {
        fingerprint(self.body)
    }
}

/// A party of a dialog as a number: its tag, or its URI where it has none (RFC 2543).
fn party(tag: Option<&[u8]>, address: &Address<'_>) -> u64 {
    fingerprint(tag.unwrap_or(address.uri)).max(1)
}

/// `4711 INVITE`.
fn cseq(value: &[u8]) -> Option<CSeq> {
    let (digits, method) = word(value);
    let (method, _) = word(method);
    Some(CSeq {
        number: number(digits)?,
        method: (!method.is_empty()).then(|| Method::from_token(method))?,
    })
}

fn branch(via: &[u8]) -> Option<&[u8]> {
    parameter(via.get(find(via, *b";")?..)?, "branch")
}

/// Content-Length as a number of octets; `None` where it is none.
pub fn content_length(value: &[u8]) -> Option<usize> {
    number(value).and_then(|len| usize::try_from(len).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:bob@biloxi.example.com SIP/2.0\r\n\
        Via: SIP/2.0/TCP ss1.example.com;branch=z9hG4bK2, SIP/2.0/UDP client.example.com ;branch=z9hG4bK1\r\n\
        VIA: SIP/2.0/UDP first.example.com\r\n\
        f: \"A, <Alice>\" <sip:alice@example.com>;tag=9fxced76sl\r\n\
        TO : Bob <sip:bob@biloxi.example.com>\r\n\
        i: 3848276298220188511@example.com\r\n\
        cSeq:\r\n  0001\r\n\tINVITE\r\n\
        m: <sip:alice@1.2.3.4>;expires=60, <sip:alice@5.6.7.8>\r\n\
        Expires: 300\r\n\
        c: application/SDP;x=y\r\n\
        l: 5\r\n\r\nv=0\r\ntrailing";

    #[test]
    fn compact_folded_and_listed_headers_read_as_the_long_ones() {
        let (message, consumed) = Message::parse(INVITE.as_bytes()).expect("a message");
        assert_eq!(message.call_id, b"3848276298220188511@example.com");
        assert_eq!((message.cseq.number, message.cseq.method), (1, Method::Invite));
        assert_eq!(message.from.uri, b"sip:alice@example.com");
        assert_eq!(message.from_tag, Some(&b"9fxced76sl"[..]));
        assert_eq!(message.to_tag, None);
        assert_eq!((message.branch, message.vias), (&b"z9hG4bK2"[..], 3));
        assert_eq!(message.sdp(), Some(&b"v=0\r\n"[..]));
        assert_eq!(consumed, INVITE.len() - "trailing".len());
        let contacts: Vec<_> = message
            .contacts()
            .map(|contact| (contact.uri, message.expires_of(&contact)))
            .collect();
        assert_eq!(
            contacts,
            [
                (&b"sip:alice@1.2.3.4"[..], Some(60)),
                (&b"sip:alice@5.6.7.8"[..], Some(300))
            ]
        );
    }

    #[test]
    fn a_datagram_ends_its_message_whatever_content_length_says() {
        for length in ["500", "-1", "x", ""] {
            let text = INVITE.replace("l: 5", &format!("l: {length}"));
            let (message, consumed) = Message::parse(text.as_bytes()).expect("a message");
            assert_eq!(message.body, b"v=0\r\ntrailing", "{length}");
            assert_eq!(consumed, text.len());
        }
    }

    #[test]
    fn separators_are_no_hop() {
        let text = INVITE.replace(
            "VIA: SIP/2.0/UDP first.example.com",
            "VIA: SIP/2.0/UDP first.example.com;;,;,,",
        );
        let (message, _) = Message::parse(text.as_bytes()).expect("a message");
        assert_eq!(message.vias, 3);
    }

    #[test]
    fn a_header_cut_off_is_read_as_far_as_it_goes_and_line_ends_may_be_bare() {
        let text = INVITE.replace("\r\n", "\n");
        let cut = text.split("Expires").next().expect("some text");
        let (message, consumed) = Message::parse(cut.as_bytes()).expect("a message");
        assert_eq!(message.contacts().count(), 2);
        assert_eq!((message.body, consumed), (&b""[..], cut.len()));
    }

    #[test]
    fn what_cannot_be_followed_says_why() {
        let long = format!("i: {}", "x".repeat(513));
        for (with, without, why) in [
            ("i: 3848276298220188511@example.com", "x: y", Malformed::CallId),
            ("i: 3848276298220188511@example.com", &long, Malformed::CallId),
            ("0001", "36893488147419103232", Malformed::CSeq),
            ("\tINVITE", "\t", Malformed::CSeq),
            ("\tINVITE", "\tOPTIONS", Malformed::CSeqMethod),
            ("f: ", "x: ", Malformed::From),
            ("Bob <sip:bob@biloxi.example.com>", "Bob <>", Malformed::To),
            ("INVITE sip", "INVITE@sip", Malformed::StartLine),
        ] {
            let text = INVITE.replacen(with, without, 1);
            assert_eq!(Message::parse(text.as_bytes()).err(), Some(why), "{without}");
        }
    }

    #[test]
    fn a_description_is_found_in_a_multipart_body() {
        let body = "--b1\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b1\r\ncontent-type: application/sdp\r\n\r\nv=0\r\n--b1--";
        let text = INVITE
            .replace("application/SDP;x=y", "multipart/mixed; boundary=\"b1\"")
            .replace(
                "l: 5\r\n\r\nv=0\r\ntrailing",
                &format!("l: {}\r\n\r\n{body}", body.len()),
            );
        let (message, _) = Message::parse(text.as_bytes()).expect("a message");
        assert_eq!(message.sdp(), Some(&b"v=0"[..]));
        let other = text.replace("boundary", "bound");
        assert_eq!(Message::parse(other.as_bytes()).expect("a message").0.sdp(), None);
    }
}
