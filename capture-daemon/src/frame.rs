//! A captured frame as the engine and the spool see it, whatever source it came from.

use crate::time::Timestamp;

/// What the first byte of a frame is, as in the registry of link types at tcpdump.org.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// LINKTYPE_NULL (0): a four-byte address family in the writer's byte order, then IP.
    Null,
    /// LINKTYPE_ETHERNET (1).
    Ethernet,
    /// LINKTYPE_RAW (101): IPv4 or IPv6 from the first byte.
    Raw,
    /// LINKTYPE_LINUX_SLL (113): the 16-byte "cooked" header.
    LinuxSll,
    /// LINKTYPE_LINUX_SLL2 (276): the 20-byte "cooked" header.
    LinuxSll2,
}

impl LinkType {
    /// The type for a number out of a capture file, or `None` where siphon does not read it.
    /// DLT_RAW is 12 or 14 on some systems and files carry those numbers too.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Null),
            1 => Some(Self::Ethernet),
            12 | 14 | 101 => Some(Self::Raw),
            113 => Some(Self::LinuxSll),
            276 => Some(Self::LinuxSll2),
            _ => None,
        }
    }

    /// The number that stands for this type in a capture file.
    pub const fn number(self) -> u32 {
        match self {
            Self::Null => 0,
            Self::Ethernet => 1,
            Self::Raw => 101,
            Self::LinuxSll => 113,
            Self::LinuxSll2 => 276,
        }
    }
}

/// One frame, borrowed from the ring or the file it lies in.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When the frame arrived.
    pub ts: Timestamp,
    /// What `bytes` begins with.
    pub link: LinkType,
    /// Bytes the frame had on the wire; more than `bytes.len()` where the source cut it short.
    pub wire_len: u32,
    /// The bytes that were captured.
    pub bytes: &'a [u8],
}

/// How much of a frame is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All that was captured.
    All,
    /// Its first bytes, so many.
    Head(u32),
    /// Nothing.
    Nothing,
}
