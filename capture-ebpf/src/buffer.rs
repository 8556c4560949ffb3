//! A frame in the kernel's hands: an XDP buffer, or an skb as tcx programs see it, whose bytes may lie in many pages and whose
//! VLAN tag may lie beside them.

use core::arch::asm;
use core::mem::offset_of;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::{bpf_skb_load_bytes, bpf_xdp_get_buff_len, bpf_xdp_load_bytes};
use aya_ebpf::programs::{TcContext, XdpContext};

/// What the programs ask of a frame.
pub trait Buffer {
    /// Where the bytes begin that can be read as they lie.
    fn start(&self) -> usize;

    /// Where those end.
    fn end(&self) -> usize;

    /// Bytes of the frame, all its parts together.
    fn length(&self) -> u32;

    /// Copies `len` bytes from `at` on; whether the frame has them.
    ///
    /// # Safety
    /// `to` must have room for `len` bytes, which the verifier checks too.
    unsafe fn copy(&self, at: u32, to: *mut u8, len: u32) -> bool;

    /// The VLAN tag that the kernel holds beside the frame, as four bytes on the wire.
    fn tag(&self) -> Option<[u8; 4]>;

    /// Bytes of payload in each packet of a frame that stands for several (GSO, GRO), and how many those are; 0 where it is
    /// one.
    fn segments(&self) -> (u16, u16);
}

impl Buffer for XdpContext {
    #[inline(always)]
    fn start(&self) -> usize {
        self.data()
    }

    #[inline(always)]
    fn end(&self) -> usize {
        self.data_end()
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        // SAFETY: the context is the one the kernel called the program with.
        let length = unsafe { bpf_xdp_get_buff_len(self.ctx) };
        // MAX_SKB_FRAGS pages at most.
        length as u32
    }

    #[inline(always)]
    unsafe fn copy(&self, at: u32, to: *mut u8, len: u32) -> bool {
        // SAFETY: `to` has room, as the caller says; the helper refuses what is beyond the frame.
        unsafe { bpf_xdp_load_bytes(self.ctx, at, to.cast(), len) == 0 }
    }

    #[inline(always)]
    fn tag(&self) -> Option<[u8; 4]> {
        None
    }

    #[inline(always)]
    fn segments(&self) -> (u16, u16) {
        (0, 0)
    }
}

/// A field of an skb's context. By an instruction of its own, as the kernel rewrites loads from the context and takes no address that was
/// calculated before.
macro_rules! field {
    ($ctx:ident, $name:ident) => {{
        let value: u32;
        // SAFETY: the context is the one the kernel called the program with, and the field has four bytes.
        unsafe {
            asm!(
                "{value} = *(u32 *)({skb} + {at})",
                skb = in(reg) $ctx.skb.skb,
                at = const offset_of!(__sk_buff, $name),
                value = lateout(reg) value,
                options(pure, readonly, nostack, preserves_flags)
            )
        };
        value
    }};
}

impl Buffer for TcContext {
    #[inline(always)]
    fn start(&self) -> usize {
        self.data()
    }

    #[inline(always)]
    fn end(&self) -> usize {
        self.data_end()
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        self.len()
    }

    #[inline(always)]
    unsafe fn copy(&self, at: u32, to: *mut u8, len: u32) -> bool {
        // SAFETY: `to` has room, as the caller says; the helper refuses what is beyond the frame.
        unsafe { bpf_skb_load_bytes(self.skb.skb.cast(), at, to.cast(), len) == 0 }
    }

    #[inline(always)]
    fn tag(&self) -> Option<[u8; 4]> {
        if field!(self, vlan_present) == 0 {
            return None;
        }
        let protocol = field!(self, vlan_proto) as u16;
        let control = field!(self, vlan_tci) as u16;
        // The protocol is in the order of the wire already (bpf_convert_ctx_access, net/core/filter.c).
        let [a, b] = protocol.to_ne_bytes();
        let [c, d] = control.to_be_bytes();
        Some([a, b, c, d])
    }

    #[inline(always)]
    fn segments(&self) -> (u16, u16) {
        let size = field!(self, gso_size);
        let count = field!(self, gso_segs);
        // Both are 16 bits in the kernel (struct skb_shared_info, include/linux/skbuff.h).
        (size as u16, count as u16)
    }
}
