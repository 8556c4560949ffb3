//! In whose network a packet is: tenants and customers behind tags and tunnels use the same addresses.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "reads what anyone may send: a slice is asked for, never assumed"
)]

/// The tags and tunnels around a packet as one number; the default where there are none. Two different ones have the same
/// number as rarely as two draws of 64 bits do, and a sender who arranges for it mixes up what is his own.
///
/// What changes between the packets of one flow is left out: priorities, sequence numbers, labels and bits that spread load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Domain(u64);

/// What carries an identifier. The same number of two kinds is not the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// VLAN identifier (IEEE 802.1Q), of a tag or of ERSPAN.
    Vlan = 1,
    /// The label at the bottom of an MPLS stack: that of the customer (RFC 4364 section 4.3.2) or pseudowire.
    Mpls,
    /// PPPoE session (RFC 2516 section 4).
    Pppoe,
    /// Key of GRE (RFC 2890 section 2.1).
    Gre,
    /// Network identifier of VXLAN (RFC 7348 section 5).
    Vxlan,
    /// The same of GENEVE (RFC 8926 section 3.4).
    Geneve,
    /// Tunnel endpoint identifier of GTP-U (TS 29.281 section 5.1).
    GtpU,
    /// Tunnel and session of L2TPv2 (RFC 2661 section 3.1), or session of L2TPv3 (RFC 3931 section 4.1).
    L2tp,
}

impl Domain {
    /// Goes one step further in.
    pub(super) const fn enter(&mut self, kind: Kind, id: u32) {
        // The finalizer of splitmix64 by Steele, Lea and Flood: one to one, and every bit changes every other.
        let tag = (kind as u64) << 32 | id as u64;
        let mut z = self
            .0
            .rotate_left(17)
            .wrapping_add(tag)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.0 = z ^ (z >> 31);
    }

    /// The same, by three octets as they stand in a header.
    pub(super) const fn enter_by_three(&mut self, kind: Kind, [a, b, c]: [u8; 3]) {
        self.enter(kind, u32::from_be_bytes([0, a, b, c]));
    }
}
