//! Which tunnels are looked into.

macro_rules! tunnels {
    ($($(#[$doc:meta])* $tunnel:ident = $bit:literal $label:literal,)+) => {
        /// A kind of tunnel.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Tunnel { $($(#[$doc])* $tunnel = 1 << $bit,)+ }

        impl Tunnel {
            /// Every kind, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$tunnel,)+];

            /// The name in the configuration.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$tunnel => $label,)+ }
            }
        }
    };
}

tunnels! {
    /// MPLS label stacks (RFC 3032), with IP or Ethernet (RFC 4448) in them.
    Mpls = 0 "mpls",
    /// PPPoE sessions (RFC 2516).
    Pppoe = 1 "pppoe",
    /// IP in IP, of any two versions (RFC 2003, RFC 2473, RFC 4213).
    Ipip = 2 "ipip",
    /// GRE (RFC 2784, RFC 2890) with IP, Ethernet or MPLS in it.
    Gre = 3 "gre",
    /// ERSPAN I, II and III, over GRE (draft-foschiano-erspan-03).
    Erspan = 4 "erspan",
    /// VXLAN (RFC 7348), UDP port 4789.
    Vxlan = 5 "vxlan",
    /// GENEVE (RFC 8926), UDP port 6081.
    Geneve = 6 "geneve",
    /// GTP-U (3GPP TS 29.281), UDP port 2152.
    GtpU = 7 "gtp_u",
    /// TaZmen Sniffer Protocol, UDP port 37008.
    Tzsp = 8 "tzsp",
    /// L2TPv2 (RFC 2661) over UDP port 1701; L2TPv3 (RFC 3931) there and over IP.
    L2tp = 9 "l2tp",
}

impl Tunnel {
    /// The port that announces it, where it goes over UDP.
    pub const fn port(self) -> Option<u16> {
        match self {
            Self::Vxlan => Some(VXLAN_PORT),
            Self::Geneve => Some(GENEVE_PORT),
            Self::GtpU => Some(GTP_U_PORT),
            Self::Tzsp => Some(TZSP_PORT),
            Self::L2tp => Some(L2TP_PORT),
            Self::Mpls | Self::Pppoe | Self::Ipip | Self::Gre | Self::Erspan => None,
        }
    }
}

/// L2TP (RFC 2661 section 8.1).
pub const L2TP_PORT: u16 = 1701;
/// GTP-U (3GPP TS 29.281 section 4.4.2.0).
pub const GTP_U_PORT: u16 = 2152;
/// VXLAN (RFC 7348 section 5).
pub const VXLAN_PORT: u16 = 4789;
/// GENEVE (RFC 8926 section 3.3).
pub const GENEVE_PORT: u16 = 6081;
/// TZSP, as Wireshark has it.
pub const TZSP_PORT: u16 = 37_008;

/// A set of tunnels.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Tunnels(pub u32);

impl Tunnels {
    /// These and `tunnel`.
    #[must_use]
    pub const fn with(self, tunnel: Tunnel) -> Self {
        Self(self.0 | tunnel as u32)
    }

    /// Whether `tunnel` is among them.
    #[inline(always)]
    pub const fn has(self, tunnel: Tunnel) -> bool {
        self.0 & tunnel as u32 != 0
    }
}

impl FromIterator<Tunnel> for Tunnels {
    fn from_iter<I: IntoIterator<Item = Tunnel>>(tunnels: I) -> Self {
        tunnels.into_iter().fold(Self::default(), Self::with)
    }
}
