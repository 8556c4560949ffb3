//! What the program's addresses lead to: context, packet, stack, and the values of maps. Addresses have 32 bits, as the context's
//! fields do: the upper 8 name a region, the lower 24 a byte in it.

/// What the program is called with.
const CONTEXT: u64 = 1;
/// The frame, with room before it.
pub const PACKET: u64 = 2;
const STACK: u64 = 3;
/// A record of a ring buffer.
const RECORD: u64 = 4;
/// Of the first map's values; the next map has the next.
const VALUES: u64 = 16;

const REGION: u32 = 24;
/// Bytes before a frame (XDP_PACKET_HEADROOM).
const HEADROOM: usize = 256;
/// Bytes of stack of one call (MAX_BPF_STACK).
const FRAME: u64 = 512;

/// The kinds of context (include/uapi/linux/bpf.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// struct xdp_md.
    Xdp,
    /// struct __sk_buff, of a frame of one packet without a tag beside it.
    Skb,
}

/// All there is.
pub struct Memory {
    kind: Kind,
    context: Vec<u8>,
    packet: Vec<u8>,
    data: usize,
    meta: usize,
    stack: Vec<u8>,
    record: Vec<u8>,
    values: Vec<Vec<u8>>,
}

impl Memory {
    /// For a program with a context of this kind.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            context: vec![0; 192],
            packet: Vec::new(),
            data: HEADROOM,
            meta: HEADROOM,
            stack: vec![0; FRAME as usize * 8],
            record: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Puts a frame in place.
    pub fn set_packet(&mut self, frame: &[u8]) {
        self.packet = vec![0; HEADROOM];
        self.packet.extend(frame);
        (self.data, self.meta) = (HEADROOM, HEADROOM);
        self.show_packet();
    }

    /// The frame.
    pub fn packet(&self) -> &[u8] {
        &self.packet[self.data..]
    }

    /// What lies in front of it.
    pub fn metadata(&self) -> &[u8] {
        &self.packet[self.meta..self.data]
    }

    /// Where the frame begins.
    pub fn data(&self) -> u64 {
        (PACKET << REGION) + self.data as u64
    }

    /// Where the context is.
    pub fn context(&self) -> u64 {
        CONTEXT << REGION
    }

    /// The frame pointer of a call `depth` deep.
    pub fn stack_top(depth: u32) -> u64 {
        (STACK << REGION) + FRAME * u64::from(depth + 1)
    }

    /// Makes room for a record, in place of the one before, and says where it begins.
    pub fn reserve(&mut self, bytes: u64) -> u64 {
        self.record = vec![0; bytes as usize];
        RECORD << REGION
    }

    /// Makes room for a map's values and says where they begin.
    pub fn add_values(&mut self, bytes: usize) -> u64 {
        assert!(bytes < 1 << REGION, "values of {bytes} bytes");
        self.values.push(vec![0; bytes]);
        (VALUES + self.values.len() as u64 - 1) << REGION
    }

    /// bpf_xdp_adjust_meta.
    pub fn adjust_meta(&mut self, by: i32) -> Option<()> {
        let meta = self.meta.checked_add_signed(by as isize)?;
        let room = self.data.checked_sub(meta)?;
        if room > 32 || room % 4 != 0 {
            return None;
        }
        self.meta = meta;
        self.show_packet();
        Some(())
    }

    /// bpf_xdp_adjust_tail: shorter only.
    pub fn adjust_tail(&mut self, by: i32) -> Option<()> {
        let length = self.packet.len().checked_add_signed(by as isize)?;
        if by > 0 || length < self.data + 14 {
            return None;
        }
        self.packet.truncate(length);
        self.show_packet();
        Some(())
    }

    fn show_packet(&mut self) {
        let base = PACKET << REGION;
        let [data, end, meta] = [self.data, self.packet.len(), self.meta].map(|at| base as u32 + at as u32);
        let fields = match self.kind {
            // data, data_end, data_meta, ingress_ifindex.
            Kind::Xdp => [(0, data), (4, end), (8, meta), (12, 1)],
            // len, data, data_end, data_meta.
            Kind::Skb => [(0, end - data), (76, data), (80, end), (140, meta)],
        };
        for (at, field) in fields {
            self.context[at..at + 4].copy_from_slice(&field.to_ne_bytes());
        }
    }

    fn region(&mut self, at: u64) -> &mut Vec<u8> {
        match at >> REGION {
            CONTEXT => &mut self.context,
            PACKET => &mut self.packet,
            STACK => &mut self.stack,
            RECORD => &mut self.record,
            region => {
                let index = region.checked_sub(VALUES).unwrap_or_else(|| panic!("address {at:#x}"));
                &mut self.values[index as usize]
            }
        }
    }

    /// `length` bytes at an address.
    pub fn bytes(&mut self, at: u64, length: u64) -> &mut [u8] {
        let offset = (at & ((1 << REGION) - 1)) as usize;
        let region = self.region(at);
        let end = offset + length as usize;
        assert!(end <= region.len(), "{length} bytes at {at:#x}, of {}", region.len());
        &mut region[offset..end]
    }

    /// Loads a little-endian number.
    pub fn load(&mut self, at: u64, size: u64) -> u64 {
        let mut number = [0; 8];
        number[..size as usize].copy_from_slice(self.bytes(at, size));
        u64::from_le_bytes(number)
    }

    /// Stores a little-endian number.
    pub fn store(&mut self, at: u64, size: u64, value: u64) {
        self.copy(at, &value.to_le_bytes()[..size as usize]);
    }

    /// Stores bytes.
    pub fn copy(&mut self, at: u64, bytes: &[u8]) {
        self.bytes(at, bytes.len() as u64).copy_from_slice(bytes);
    }
}
