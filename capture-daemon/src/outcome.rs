//! What becomes of a frame in the engine: exactly one outcome each, and its name is the metric's label.

use std::marker::PhantomData;

use crate::counter::Counter;

/// Declares a fieldless enum whose variants have names for metrics and JSON.
macro_rules! labelled {
    ($(#[$meta:meta])* $enum:ident { $($(#[doc = $doc:literal])+ $variant:ident = $label:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $enum { $($(#[doc = $doc])+ $variant,)+ }

        impl $enum {
            /// Every variant, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in metrics and JSON.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// What it means, for the documentation.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+),)+ }
            }
        }
    };
}

pub(crate) use labelled;

labelled! {
    /// Where a frame ended in the engine. `frames = Σ outcomes` holds at every moment between two frames.
    Outcome {
        /// A UDP datagram that is a SIP message.
        SipUdp = "sip_udp",
        /// A TCP segment on a followed SIP connection, with or without payload.
        SipTcp = "sip_tcp",
        /// A keep-alive on a SIP port: empty, CRLF (RFC 5626 section 4.4.1) or zero bytes.
        Keepalive = "keepalive",
        /// An RTP packet.
        Rtp = "rtp",
        /// An RTCP packet.
        Rtcp = "rtcp",
        /// A DTLS record beside media: a handshake for SRTP's keys (RFC 5764), or a data channel.
        Dtls = "dtls",
        /// A ZRTP message (RFC 6189).
        Zrtp = "zrtp",
        /// A UDPTL packet of fax (T.38) where SDP announced one.
        T38 = "t38",
        /// A STUN message, of TURN or ICE also, over UDP.
        Stun = "stun",
        /// ChannelData of TURN over UDP, whatever it carries.
        TurnChannel = "turn_channel",
        /// A TCP segment on a followed connection of TURN, with or without payload.
        TurnTcp = "turn_tcp",
        /// UDP that is none of these.
        OtherUdp = "other_udp",
        /// TCP on no SIP port, or with something else in it, as TLS or HTTP.
        OtherTcp = "other_tcp",
        /// An IP protocol other than UDP and TCP.
        OtherTransport = "other_transport",
        /// A frame with no IP in it, or a tunnel with none.
        NotIp = "not_ip",
        /// A piece of a fragmented IP packet: others are missing, or it came before. The one that makes the packet whole
        /// ends where the packet does.
        Fragment = "fragment",
        /// Shorter than its link or VLAN header.
        LinkShort = "link_short",
        /// IP header shorter than it says, or of an unknown version.
        IpMalformed = "ip_malformed",
        /// Header of GRE or ERSPAN shorter than it says, or of an unknown version.
        TunnelMalformed = "tunnel_malformed",
        /// UDP header missing or its length field wrong.
        UdpMalformed = "udp_malformed",
        /// Put together from fragments, and not what was cut: the UDP checksum is wrong. Its receiver discards it too (RFC
        /// 1122 section 4.1.3.4).
        UdpChecksum = "udp_checksum",
        /// TCP header missing or its data offset wrong.
        TcpMalformed = "tcp_malformed",
        /// A datagram that stands on a SIP port, or begins as SIP does, and is no SIP message.
        SipMalformed = "sip_malformed",
        /// A datagram with the cookie of STUN that is no message, or has a wrong FINGERPRINT.
        StunMalformed = "stun_malformed",
    }
}

impl Outcome {
    /// Whether the frame was of no use to siphon: what `drops` in a report lists.
    pub const fn is_drop(self) -> bool {
        !matches!(
            self,
            Self::SipUdp
                | Self::SipTcp
                | Self::Keepalive
                | Self::Rtp
                | Self::Rtcp
                | Self::Dtls
                | Self::Zrtp
                | Self::T38
                | Self::Stun
                | Self::TurnChannel
                | Self::TurnTcp
                | Self::Fragment
        )
    }
}

labelled! {
    /// What siphon could not follow for want of room or of bytes. Beside the outcomes, not among them: one frame may cause
    /// several or none.
    Loss {
        /// A call left the table before its time.
        CallEvicted = "call_evicted",
        /// A registration left the table before its time.
        RegistrationEvicted = "registration_evicted",
        /// A transaction left the table before its answer came.
        TransactionEvicted = "transaction_evicted",
        /// A stream left the table before its time.
        StreamEvicted = "stream_evicted",
        /// What looks like RTP left the waiting room before its time.
        WaitingEvicted = "waiting_evicted",
        /// What behaves like RTP was announced by no SDP within ten seconds of its last packet.
        StreamUnjoined = "stream_unjoined",
        /// A media endpoint left the table before its time.
        EndpointEvicted = "endpoint_evicted",
        /// A fax left the table before its time.
        FaxEvicted = "fax_evicted",
        /// A source that RTCP speaks of left the table before its time.
        RtcpSourceEvicted = "rtcp_source_evicted",
        /// An incomplete datagram left the table of fragments before its time.
        FragmentEvicted = "fragment_evicted",
        /// A datagram of which some fragments did not come.
        FragmentTimeout = "fragment_timeout",
        /// A fragment that contradicts others of its datagram: IPv4 keeps what came first, IPv6 discards the datagram.
        FragmentOverlap = "fragment_overlap",
        /// A TCP direction left the table before its time.
        TcpEvicted = "tcp_evicted",
        /// Bytes of a TCP direction were missing; the reader went on at the next message.
        TcpGap = "tcp_gap",
        /// A message over TCP was longer than the configured buffer.
        TcpOverflow = "tcp_overflow",
        /// A message over TCP was no SIP.
        TcpMalformed = "tcp_sip_malformed",
        /// A TCP direction on a SIP port is TLS, and cannot be read.
        TcpTls = "tcp_tls",
        /// A WebSocket message is coded by an extension, mostly compressed (RFC 7692), and cannot be read.
        WebSocketExtension = "websocket_extension",
        /// An allocation of TURN left the table before its time.
        AllocationEvicted = "allocation_evicted",
        /// A STUN transaction left the table before its answer.
        StunTransactionEvicted = "stun_transaction_evicted",
        /// Bytes of a TCP direction of TURN were neither STUN nor ChannelData; the reader went on at the next STUN message.
        TurnTcpMalformed = "tcp_turn_malformed",
        /// A permission or channel of TURN that an allocation had no room for.
        TurnBindingEvicted = "turn_binding_evicted",
        /// An SDP body that could not be read.
        SdpMalformed = "sdp_malformed",
        /// A description that is not told of, as the memory for descriptions was used up. Its endpoints are known.
        SdpNotKept = "sdp_not_kept",
    }
}

/// One counter for each variant of an enum made above. The enum is part of the type: two may have the same number of variants.
#[derive(Debug)]
pub struct Tally<E, const N: usize>([Counter; N], PhantomData<E>);

impl<E, const N: usize> Default for Tally<E, N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()), PhantomData)
    }
}

/// Counters of outcomes.
pub type Outcomes = Tally<Outcome, { Outcome::ALL.len() }>;
/// Counters of losses.
pub type Losses = Tally<Loss, { Loss::ALL.len() }>;

impl Outcomes {
    /// Counts one frame.
    #[inline]
    pub fn count(&self, outcome: Outcome) {
        self.0[outcome as usize].add(1);
    }

    /// Counts so many frames.
    pub fn add(&self, outcome: Outcome, frames: u64) {
        self.0[outcome as usize].add(frames);
    }

    /// Frames with this outcome.
    pub fn get(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize].get()
    }
}

impl Losses {
    /// Counts one event.
    #[inline]
    pub fn count(&self, loss: Loss) {
        self.0[loss as usize].add(1);
    }

    /// Events of this kind.
    pub fn get(&self, loss: Loss) -> u64 {
        self.0[loss as usize].get()
    }
}
