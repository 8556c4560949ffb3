//! Session descriptions on their way into the table of endpoints: where a call wants its media, RTCP and fax.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::sync::Arc;

use super::Shared;
use crate::calls::{Description, Said};
use crate::media::{Author, Basis, Endpoints, Format, Place, Purpose, Srtp, Terms, assigned, rtcp_beside};
use crate::net::Endpoint;
use crate::outcome::{Loss, Losses};
use crate::shared_lists::SharedLists;
use crate::sip::sdp::{self, DISCARD, Media, Session};
use crate::sip::{Message, Method, StartLine};
use crate::text::lossy;
use crate::time::Timestamp;

/// Formats of one media line that are remembered: browsers offer some forty for video.
const MAX_FORMATS: usize = 64;
/// Letters of an encoding name that are remembered; the longest registered has some twenty.
const MAX_ENCODING: usize = 32;
/// Port pairs of one media line (RFC 8866 section 5.14) that are remembered.
const MAX_PORTS: u16 = 8;

/// A message that may announce media.
pub struct Announcing<'a> {
    /// Its time.
    pub ts: Timestamp,
    /// Where it came from.
    pub src: Endpoint,
    /// Where it goes.
    pub dst: Endpoint,
    /// The call it belongs to.
    pub call_id: &'a Arc<str>,
    /// When the call ended, if it did.
    pub ended_at: Option<Timestamp>,
    /// Whether a private address in SDP may stand for that of the sender.
    pub nat: bool,
}

impl Announcing<'_> {
    /// Publishes what `message` says of the call's media, and has the call keep it.
    pub fn read(&self, message: &Message<'_>, shared: &Shared, losses: &Losses) {
        // Outside of a dialog the request has no To tag, and neither has a 100 (RFC 3261 sections 8.1.1.2 and 8.2.6.2).
        let begins = message.cseq.method == Method::Invite && message.to_tag.is_none();
        let begun_by = begins.then(|| message.caller_tag());
        if let Some(tag) = begun_by {
            shared.endpoints.begun_by(tag, self.call_id, self.ts, losses);
        }
        let session = self.session(message, losses);
        let description = session.as_ref().and_then(|session| {
            let kept = Description::of(self.ts, self.src, message, session, &shared.descriptions);
            if kept.is_none() {
                losses.count(Loss::SdpNotKept);
            }
            kept
        });
        if begun_by.is_some() || description.is_some() {
            let ends = (self.src, self.dst);
            shared
                .calls
                .describe(self.ts, ends, self.call_id, message, begun_by, description);
        }
        let asked = shared.rules.generation();
        self.judge(message, session.as_ref(), shared, losses);
        if let Some(session) = &session {
            self.announce(message, session, &shared.endpoints, losses);
        }
        self.judge_again(asked, message, session.as_ref(), shared, losses);
    }

    /// Asks again where the rules are others than those of the generation `asked`: the change may have come to this call while its media
    /// was not known yet, and so have found nobody to tell.
    fn judge_again(
        &self,
        asked: u64,
        message: &Message<'_>,
        session: Option<&Session<'_>>,
        shared: &Shared,
        losses: &Losses,
    ) {
        if shared.rules.generation() != asked {
            self.judge(message, session, shared, losses);
        }
    }

    /// Asks which rule the call is under. Before its media is announced, so that none of it is taken at another level.
    fn judge(&self, message: &Message<'_>, session: Option<&Session<'_>>, shared: &Shared, losses: &Losses) {
        if !shared.rules.any() {
            return;
        }
        let said = Said {
            ends: (self.src, self.dst),
            message,
            session,
        };
        if let Some((ticket, rule)) = shared.calls.judge(self.ts, &said, &shared.rules) {
            let at = self.ended_at.map_or(self.ts, |ended_at| self.ts.min(ended_at));
            match rule {
                Some(rule) => shared.endpoints.set_rule(self.call_id, at, ticket, &rule, losses),
                None => shared.endpoints.change_rule(self.call_id, ticket, None),
            }
        }
    }

    /// The description in a message.
    fn session<'m>(&self, message: &Message<'m>, losses: &Losses) -> Option<Session<'m>> {
        // A description in a refusal says what would be accepted (RFC 3261 section 21.4.26), not where.
        let refuses = matches!(message.start, StartLine::Response { code: 300.., .. });
        let session = sdp::parse(message.sdp().filter(|_| !refuses)?);
        if session.is_err() {
            losses.count(Loss::SdpMalformed);
        }
        session.ok()
    }

    fn announce(&self, message: &Message<'_>, session: &Session<'_>, endpoints: &Endpoints, losses: &Losses) {
        let author = Author {
            tag: message.author_tag(),
            peer: false,
        };
        // Behind a proxy the message comes from the proxy.
        let first_hop = matches!(message.start, StartLine::Response { .. }) || message.vias <= 1;
        let seen_at = Some(self.src.ip()).filter(|_| self.nat && first_hop);
        let lease = OnceCell::new();
        for media in &session.media {
            let mut announce = |place: Place, purpose, basis, formats: &Arc<[Format]>| {
                let terms = Terms {
                    purpose,
                    basis,
                    author,
                    formats: Arc::clone(formats),
                    srtp: srtp(media),
                };
                let lease = lease.get_or_init(|| endpoints.lease(self.call_id, self.ts, losses));
                endpoints.announce_for(place, lease, self.ts, &terms, losses);
            };
            if media.is_rtp() {
                let formats = endpoints.formats();
                rtp(media, session, seen_at, formats, &mut announce);
            } else if media.is_udptl() {
                udptl(media, seen_at, endpoints.formats(), &mut announce);
            }
        }
    }
}

fn rtp(
    media: &Media<'_>,
    session: &Session<'_>,
    seen_at: Option<IpAddr>,
    lists: &SharedLists<Format>,
    announce: &mut impl FnMut(Place, Purpose, Basis, &Arc<[Format]>),
) {
    if media.port == 0 && !media.bundle_only {
        return;
    }
    let formats = lists.keep(formats(media));
    let none = lists.keep(Vec::new());
    let transport = session.transport_of(media);
    for (endpoint, basis) in endpoints(transport, seen_at) {
        announce(endpoint.into(), Purpose::Media, basis, &formats);
        if transport.rtcp.is_none()
            && !transport.rtcp_mux_only
            && let Some(rtcp) = rtcp_beside(endpoint)
        {
            announce(rtcp.into(), Purpose::Rtcp, basis, &none);
        }
    }
    if let Some(rtcp) = transport.rtcp {
        let address = rtcp.address.or(transport.connection);
        for (endpoint, basis) in address
            .into_iter()
            .flat_map(|address| places(address, rtcp.port, seen_at))
        {
            announce(endpoint.into(), Purpose::Rtcp, basis, &none);
        }
    }
    for candidate in transport
        .candidates
        .iter()
        .filter(|candidate| candidate.port != DISCARD)
    {
        let place = Endpoint::new(candidate.address, candidate.port).into();
        match candidate.component {
            1 => announce(place, Purpose::Media, Basis::Candidate, &formats),
            2 => announce(place, Purpose::Rtcp, Basis::Candidate, &none),
            _ => {}
        }
    }
    for source in &media.sources {
        announce(Place::Ssrc(source.ssrc), Purpose::Media, Basis::Candidate, &formats);
    }
}

fn udptl(
    media: &Media<'_>,
    seen_at: Option<IpAddr>,
    lists: &SharedLists<Format>,
    announce: &mut impl FnMut(Place, Purpose, Basis, &Arc<[Format]>),
) {
    let none = lists.keep(Vec::new());
    for (endpoint, basis) in endpoints(media, seen_at) {
        announce(endpoint.into(), Purpose::Udptl, basis, &none);
    }
}

/// Where a media line wants its packets. Port 0 refuses the media, port 9 is not known yet, and 0.0.0.0 is the hold of
/// RFC 2543: nowhere.
fn endpoints(media: &Media<'_>, seen_at: Option<IpAddr>) -> impl Iterator<Item = (Endpoint, Basis)> {
    let ports = (0..media.port_count.min(MAX_PORTS))
        .filter_map(|pair| media.port.checked_add(pair * 2))
        .filter(|port| !matches!(*port, 0 | DISCARD));
    let address = media.connection.filter(|_| media.port != 0);
    address
        .into_iter()
        .flat_map(move |address| ports.clone().flat_map(move |port| places(address, port, seen_at)))
}

/// The place SDP names, and, where that cannot be one in this network, the one at the address its SIP came from.
fn places(address: IpAddr, port: u16, seen_at: Option<IpAddr>) -> impl Iterator<Item = (Endpoint, Basis)> {
    let described = (Endpoint::new(address, port), Basis::Described);
    let guess = seen_at
        .filter(|seen_at| is_private(address) && *seen_at != address)
        .map(|seen_at| (Endpoint::new(seen_at, port), Basis::SignalingAddress));
    [Some(described), guess]
        .into_iter()
        .flatten()
        .filter(move |_| !address.is_unspecified())
}

/// Whether an address has a meaning in some network only: RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291 section 2.5.6.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            v4.is_private() || v4.is_link_local() || v4.is_loopback() || shared
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback(),
    }
}

fn srtp(media: &Media<'_>) -> Srtp {
    match (media.is_srtp(), media.has_keys()) {
        (true, _) => Srtp::Yes,
        (false, true) => Srtp::Offered,
        (false, false) => Srtp::No,
    }
}

fn formats(media: &Media<'_>) -> Vec<Format> {
    let format = |map: &sdp::RtpMap<'_>| Format {
        payload_type: map.payload_type,
        encoding: lossy(map.encoding.get(..MAX_ENCODING).unwrap_or(map.encoding)).into(),
        clock_rate: map.clock_rate,
    };
    let maps = media.maps.iter().map(format);
    maps.chain(unmapped(media)).take(MAX_FORMATS).collect()
}

/// Static payload types that stand in the media line without a mapping (RFC 8866 section 6.6).
fn unmapped(media: &Media<'_>) -> impl Iterator<Item = Format> {
    let listed = media.formats.iter().filter_map(|format| payload_type(format));
    let unmapped = listed.filter(|listed| media.maps.iter().all(|map| map.payload_type != *listed));
    unmapped.filter_map(|payload_type| {
        let (encoding, clock_rate) = assigned(payload_type)?;
        Some(Format {
            payload_type,
            encoding: encoding.into(),
            clock_rate,
        })
    })
}

fn payload_type(format: &[u8]) -> Option<u8> {
    let text = str::from_utf8(format).ok()?;
    text.parse()
        .ok()
        .filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use capture_common::Level;

    use super::*;
    use crate::config::Follow;
    use crate::rules::{Change, Draft, Said as Word};

    /// The control thread and a lane that reads the first of a call's messages, which is an answer.
    #[test]
    fn rules_that_change_before_the_calls_media_is_known_reach_it() {
        let sdp =
            "v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=audio 30000 RTP/AVP 0\r\n";
        let text = format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>;tag=2\r\n\
             Call-ID: one\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        let (message, _) = Message::parse(text.as_bytes()).unwrap();
        let (shared, losses) = (Shared::new(&Follow::default()), Losses::default());
        let ts = Timestamp::from_nanos(1_000_000_000);
        let (src, dst) = (Endpoint::v4([192, 0, 2, 2], 5060), Endpoint::v4([192, 0, 2, 1], 5060));
        let followed = shared.calls.record(ts, src, dst, &message).unwrap();
        let announcing = Announcing {
            ts,
            src,
            dst,
            call_id: &followed.call_id,
            ended_at: None,
            nat: false,
        };
        let session = announcing.session(&message, &losses).unwrap();
        let asked = shared.rules.generation();
        announcing.judge(&message, Some(&session), &shared, &losses);
        let mut draft = Draft::default();
        draft.say("name", &Word::Text("all")).unwrap();
        draft.say("level", &Word::Text("headers")).unwrap();
        let rule = Box::new(draft.finish().unwrap());
        shared.rules.change(Change::Add { rule, place: None }).unwrap();
        assert!((0..1_000).any(|part| !shared.judge_again(part)));
        announcing.announce(&message, &session, &shared.endpoints, &losses);
        announcing.judge_again(asked, &message, Some(&session), &shared, &losses);
        let place = Endpoint::v4([192, 0, 2, 2], 30_000);
        let claim = shared.endpoints.claim(place, Purpose::Media, ts, None).unwrap();
        assert_eq!(claim.lease.level(), Some(Level::Headers));
    }
}
