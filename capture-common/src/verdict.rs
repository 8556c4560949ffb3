//! What the kernel program does with a frame and why: exactly one verdict each.

/// Declares the verdicts once: number, fate, label and meaning.
macro_rules! verdicts {
    ($($(#[doc = $doc:literal])+ $variant:ident = $fate:ident $label:literal,)+) => {
        /// Where a frame ended in the kernel program: the index of its counter and the label of its metric.
        /// `seen = captured + filtered + dropped` holds because every frame adds to one counter only.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Verdict { $($(#[doc = $doc])+ $variant,)+ }

        impl Verdict {
            /// Every verdict, in order of number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name in metrics and JSON, unique among all.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// What it means, for the documentation.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+),)+ }
            }

            /// What becomes of the frame.
            #[inline(always)]
            pub const fn fate(self) -> Fate {
                match self { $(Self::$variant => Fate::$fate,)+ }
            }

            /// The verdict with this number.
            pub const fn from_number(number: u32) -> Option<Self> {
                $(if number == Self::$variant as u32 { return Some(Self::$variant); })+
                None
            }
        }
    };
}

/// What becomes of a frame in the kernel program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It went to the socket of its queue, or its copy into a ring buffer.
    Captured,
    /// It was none of what the configuration wants.
    Filtered,
    /// It may have been wanted and was lost.
    Dropped,
}

impl Fate {
    /// The name in metrics and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Captured => "captured",
            Self::Filtered => "filtered",
            Self::Dropped => "dropped",
        }
    }
}

verdicts! {
    /// UDP or TCP from or to a SIP port, or TCP from or to a port of WebSocket.
    Sip = Captured "sip",
    /// UDP from or to a media port.
    Media = Captured "media",
    /// RTCP, STUN or SIP from or to a media port, where something is decided of media.
    MediaControl = Captured "media_control",
    /// From or to an endpoint that a call has named.
    MediaLearned = Captured "media_learned",
    /// RTP to an endpoint that no call has named so far.
    MediaEarly = Captured "media_early",
    /// RTP cut to its headers.
    MediaHeaders = Captured "media_headers",
    /// UDP or TCP from or to a port of TURN.
    Turn = Captured "turn",
    /// First fragment of a wanted datagram.
    FragmentFirst = Captured "fragment_first",
    /// Later fragment of a wanted datagram.
    FragmentLater = Captured "fragment_later",
    /// Later fragment of a datagram whose first was not seen: it may come behind this one, or by another way.
    FragmentUnknown = Captured "fragment_unknown",
    /// Inside a tunnel that the configuration names, with headers that more than one reading fits, or deeper than the
    /// program looks: user space decides.
    TunnelUnclear = Captured "tunnel_unclear",
    /// No IP: ARP, LLDP, spanning tree and the like.
    NotIp = Filtered "not_ip",
    /// IP, but neither UDP nor TCP.
    OtherProtocol = Filtered "other_protocol",
    /// UDP or TCP between ports nobody wants.
    OtherPorts = Filtered "other_ports",
    /// UDP from or to a media port, while no media is wanted.
    MediaOff = Filtered "media_off",
    /// From and to endpoints that no call has named, beyond the packets that are kept in case one will.
    MediaUnlearned = Filtered "media_unlearned",
    /// From or to a media port, while the call's level is `signaling`.
    MediaByLevel = Filtered "media_by_level",
    /// RTP that was accounted for where it was.
    Measured = Filtered "measured",
    /// Later fragment of a datagram that is not wanted.
    FragmentUnwanted = Filtered "fragment_unwanted",
    /// Shorter than its Ethernet or VLAN header.
    LinkMalformed = Dropped "link_malformed",
    /// More VLAN tags than the program follows.
    VlanDepth = Dropped "vlan_depth",
    /// An IP header that is cut short or contradicts itself.
    IpMalformed = Dropped "ip_malformed",
    /// A header of GRE, ERSPAN, PPPoE or MPLS that is cut short or contradicts itself, where the configuration names it.
    TunnelMalformed = Dropped "tunnel_malformed",
    /// More IPv6 extension headers than the program follows.
    ExtensionDepth = Dropped "extension_depth",
    /// A datagram that ends before its ports.
    TransportMalformed = Dropped "transport_malformed",
    /// RTP to be accounted for where it is, of a stream that there is no room for.
    MeasuredFull = Dropped "measured_full",
    /// Wanted, but its queue has no socket.
    NoSocket = Dropped "no_socket",
    /// Wanted, but the ring buffer had no room for its copy; in packet mode, wanted or not. The host has it all the same.
    RingFull = Dropped "ring_full",
    /// Wanted, but the kernel refused to copy it out of its buffers; in packet mode, not where the kernel says it is. The host
    /// has it all the same.
    CopyRefused = Dropped "copy_refused",
}

/// The program's counters on one CPU: the one value of its per-CPU map.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Counters {
    /// By the verdict's number, counted when it was reached; those beyond the last verdict's stay 0.
    pub verdicts: [VerdictCount; Counters::PLACES],
    /// Frames, counted as they come. Behind the others: who copies all of it from the front finds no verdict without its frame.
    pub seen: u64,
}

impl Counters {
    /// A power of two, so that any number becomes one of a place by a mask.
    pub const PLACES: usize = 32;
}

const _: () = assert!(Verdict::COUNT <= Counters::PLACES);

/// One verdict's counters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct VerdictCount {
    /// Frames.
    pub frames: u64,
    /// Bytes of those frames, from the Ethernet header on, without the checksum behind them.
    pub bytes: u64,
}

const _: () = assert!(size_of::<VerdictCount>() == 16);

#[cfg(test)]
mod tests {
    extern crate std;
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn numbers_are_indices_and_labels_tell_verdicts_apart() {
        let mut labels = HashSet::new();
        for (index, verdict) in Verdict::ALL.iter().enumerate() {
            assert_eq!(*verdict as usize, index);
            assert_eq!(Verdict::from_number(index as u32), Some(*verdict));
            assert!(labels.insert(verdict.label()));
        }
        assert_eq!(Verdict::from_number(Verdict::COUNT as u32), None);
    }
}
