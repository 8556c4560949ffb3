//! Blocks as the kernel writes them, made by hand.

use bytemuck::Zeroable;

use super::types::{BlockHead, EARLIEST, FrameHead, LinkAddress, VirtioHead};

/// A frame and what the kernel says of it.
#[derive(Clone, Debug)]
pub struct Written {
    pub head: FrameHead,
    pub kind: u8,
    pub virtio: VirtioHead,
    pub bytes: Vec<u8>,
}

impl Written {
    /// One that came in, plain, at 1.5 s.
    pub fn plain(bytes: &[u8]) -> Self {
        Self {
            head: FrameHead {
                seconds: 1,
                nanoseconds: 500_000_000,
                captured: bytes.len() as u32,
                length: bytes.len() as u32,
                status: libc::TP_STATUS_USER,
                mac: EARLIEST as u16 + 4,
                ..FrameHead::zeroed()
            },
            kind: 0,
            virtio: VirtioHead::zeroed(),
            bytes: bytes.to_vec(),
        }
    }
}

/// A block of `size` bytes with these frames, handed over.
pub fn block(frames: &[Written], size: usize) -> Vec<u8> {
    let mut block = vec![0; size];
    let first = size_of::<BlockHead>();
    let mut at = first;
    for (number, frame) in frames.iter().enumerate() {
        let mac = usize::from(frame.head.mac);
        let length = (mac + frame.bytes.len()).next_multiple_of(8);
        let head = FrameHead {
            next: if number + 1 == frames.len() { 0 } else { length as u32 },
            ..frame.head
        };
        let address = LinkAddress {
            kind: frame.kind,
            ..LinkAddress::zeroed()
        };
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(at, bytemuck::bytes_of(&head));
        put(at + size_of::<FrameHead>(), bytemuck::bytes_of(&address));
        put(at + mac - size_of::<VirtioHead>(), bytemuck::bytes_of(&frame.virtio));
        put(at + mac, &frame.bytes);
        at += length;
    }
    let head = BlockHead {
        version: 1,
        status: libc::TP_STATUS_USER,
        frames: frames.len() as u32,
        first: first as u32,
        length: at as u32,
        ..BlockHead::zeroed()
    };
    block[..first].copy_from_slice(bytemuck::bytes_of(&head));
    block
}
