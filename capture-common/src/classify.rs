//! The policy: which frames are wanted. One short function over what the headers say and what the maps hold.

use crate::descent::Descent;
use crate::headers::{self, Bytes, Datagram, Found, Ports};
use crate::ports::PortFlags;
use crate::tunnels::{L2TP_PORT, Tunnels};
use crate::verdict::{Fate, Verdict};

/// What tells the fragments of one datagram from those of others (RFC 791 section 2.3, RFC 8200 section 4.5).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FragmentKey {
    /// Source address; IPv4 in its mapped form.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
    /// Identification.
    pub id: u32,
    /// IPv4's protocol; 0 for IPv6, where it is no part of the key.
    pub protocol: u32,
}

const _: () = assert!(size_of::<FragmentKey>() == 40);

/// What the policy looks up: maps in the kernel, plain tables in a test.
pub trait Tables {
    /// The tunnels that are looked into.
    fn tunnels(&self) -> Tunnels;
    /// What `port` is wanted for.
    fn port(&self, port: u16) -> PortFlags;
    /// What either of two ports is wanted for.
    #[inline(always)]
    fn either(&self, source: u16, destination: u16) -> PortFlags {
        self.port(source).with(self.port(destination))
    }
    /// Whether the datagram is wanted, if its first fragment was seen a short while ago.
    fn recall(&self, key: &FragmentKey) -> Option<bool>;
    /// Keeps the decision on a first fragment for the later ones.
    fn remember(&self, key: &FragmentKey, wanted: bool);
}

/// Where a datagram's headers stand in its frame: those of the innermost, where there are tunnels.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The IP header, of either version.
    pub ip_at: u32,
    /// The UDP header.
    pub udp_at: u32,
}

impl Place {
    /// No datagram.
    pub const NONE: Self = Self { ip_at: 0, udp_at: 0 };

    #[inline(always)]
    pub(crate) const fn of(ports: &Ports) -> Self {
        Self {
            ip_at: ports.ip_at,
            udp_at: ports.at,
        }
    }
}

/// What the headers of a frame lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What the ports say, or why there are none; of a later fragment, what holds unless the first was seen.
    pub verdict: Verdict,
    /// The datagram whose ports they are.
    pub place: Place,
    /// The datagram whose first fragment this is.
    pub first_of: Datagram,
    /// The same of the packet around that.
    pub outer_first_of: Datagram,
    /// The datagram whose later fragment this is.
    pub later_of: Datagram,
}

impl Finding {
    #[inline(always)]
    const fn plain(verdict: Verdict) -> Self {
        Self {
            verdict,
            place: Place::NONE,
            first_of: Datagram::NONE,
            outer_first_of: Datagram::NONE,
            later_of: Datagram::NONE,
        }
    }

    /// Whether the frame is a fragment, so that [`settle`] has something to do.
    #[inline(always)]
    pub const fn is_fragment(&self) -> bool {
        self.first_of.is_some() || self.outer_first_of.is_some() || self.later_of.is_some()
    }
}

/// Decides on one frame. Every frame ends in exactly one verdict; [`Verdict::NoSocket`] is not among them, as only the
/// redirect can tell.
#[inline(always)]
pub fn classify<B: Bytes + ?Sized, T: Tables>(frame: &B, tables: &T) -> Verdict {
    let finding = find(frame, tables);
    settle(frame, &finding, finding.verdict, tables)
}

/// What [`find`] finds of an ordinary frame of IPv6, verdict and place: ports right behind one IP header, whole and in no tunnel.
/// `None` where it takes more than a glance to know.
#[inline(always)]
pub fn glance<B: Bytes + ?Sized, T: Tables>(frame: &B, tables: &T) -> Option<(Verdict, Place)> {
    let ports = headers::glance(frame)?;
    let flags = wanted_for(&ports, tables);
    if ports.udp && flags.has(PortFlags::TUNNEL) {
        return None;
    }
    Some((by_flags(flags, ports.udp), Place::of(&ports)))
}

/// Follows the headers of a frame to the ports that count.
#[inline(always)]
pub fn find<B: Bytes + ?Sized, T: Tables>(frame: &B, tables: &T) -> Finding {
    match headers::walk(frame, tables.tunnels()) {
        Ok(Found::Ports(ports)) => {
            let flags = wanted_for(&ports, tables);
            let verdict = by_flags(flags, ports.udp);
            if let Some(port) = tunnel_port(flags, &ports, tables) {
                return deeper(frame, tables, Descent::datagram(port, &ports, verdict));
            }
            Finding {
                place: Place::of(&ports),
                first_of: ports.first_of,
                ..Finding::plain(verdict)
            }
        }
        Ok(Found::Later(datagram)) => Finding {
            later_of: datagram,
            ..Finding::plain(Verdict::FragmentUnknown)
        },
        Ok(Found::Deeper(descent)) => deeper(frame, tables, descent),
        Err(verdict) => Finding::plain(verdict),
    }
}

/// Follows a frame to where its tunnels and extension headers end. A piece of a fragmented tunnel is decided by what
/// the first piece shows of the inside.
#[inline(always)]
fn deeper<B: Bytes + ?Sized, T: Tables>(frame: &B, tables: &T, mut descent: Descent) -> Finding {
    frame.descend(&mut descent, tables);
    let verdict = if descent.later_of.is_some() {
        Verdict::FragmentUnknown
    } else {
        // Without one the steps were not enough.
        descent.verdict.unwrap_or(Verdict::TunnelUnclear)
    };
    Finding {
        verdict,
        place: descent.place,
        first_of: descent.first_of,
        outer_first_of: descent.outer_first_of,
        later_of: descent.later_of,
    }
}

/// Has the fragments of a datagram share one fate: a later one is decided on as the first was, and what was decided on a
/// first one is kept for the later ones.
#[inline(always)]
pub fn settle<B: Bytes + ?Sized, T: Tables>(frame: &B, finding: &Finding, verdict: Verdict, tables: &T) -> Verdict {
    let verdict = if finding.later_of.is_some() {
        recall(frame, tables, &finding.later_of)
    } else {
        verdict
    };
    let verdict = remember(frame, tables, &finding.first_of, verdict);
    remember(frame, tables, &finding.outer_first_of, verdict)
}

/// What either port is wanted for.
#[inline(always)]
pub(crate) fn wanted_for<T: Tables>(ports: &Ports, tables: &T) -> PortFlags {
    tables.either(ports.source, ports.destination)
}

/// The port of a tunnel, if the datagram has one that is looked into. L2TP's answering end may send to a port of the
/// other's choice (RFC 2661 section 8.1). `flags` are what [`wanted_for`] says of both ports.
#[inline(always)]
pub(crate) fn tunnel_port<T: Tables>(flags: PortFlags, ports: &Ports, tables: &T) -> Option<u16> {
    if !ports.udp || !flags.has(PortFlags::TUNNEL) {
        None
    } else if tables.port(ports.destination).has(PortFlags::TUNNEL) {
        Some(ports.destination)
    } else {
        (ports.source == L2TP_PORT).then_some(L2TP_PORT)
    }
}

/// Either port makes a frame wanted; SIP and TURN over both, media over UDP only, WebSocket over TCP only.
#[inline(always)]
pub(crate) fn by_flags(flags: PortFlags, udp: bool) -> Verdict {
    if flags.has(PortFlags::SIP) || !udp && flags.has(PortFlags::WEBSOCKET) {
        Verdict::Sip
    } else if flags.has(PortFlags::TURN) {
        Verdict::Turn
    } else if udp && flags.has(PortFlags::MEDIA) {
        Verdict::Media
    } else {
        Verdict::OtherPorts
    }
}

/// Keeps what was decided on a first fragment, if the frame is one.
#[inline(always)]
fn remember<B: Bytes + ?Sized, T: Tables>(frame: &B, tables: &T, datagram: &Datagram, verdict: Verdict) -> Verdict {
    if !datagram.is_some() {
        return verdict;
    }
    let wanted = match verdict.fate() {
        Fate::Captured => true,
        Fate::Filtered => false,
        // Nothing is known of what it carries.
        Fate::Dropped => return verdict,
    };
    let Some(key) = datagram.key(frame) else {
        return verdict;
    };
    tables.remember(&key, wanted);
    if wanted { Verdict::FragmentFirst } else { verdict }
}

/// Decides on a later fragment as on the first.
#[inline(always)]
fn recall<B: Bytes + ?Sized, T: Tables>(frame: &B, tables: &T, datagram: &Datagram) -> Verdict {
    match datagram.key(frame).and_then(|key| tables.recall(&key)) {
        Some(true) => Verdict::FragmentLater,
        Some(false) => Verdict::FragmentUnwanted,
        None => Verdict::FragmentUnknown,
    }
}
