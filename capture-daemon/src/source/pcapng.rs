//! pcapng files (draft-ietf-opsawg-pcapng): sections of blocks, each section with its own byte order and interfaces.
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a total function on bytes from anywhere"
)]

use super::{ByteOrder, Fault, MAX_FRAME, Reason, Skipped};
use crate::frame::{Frame, LinkType};
use crate::time::Timestamp;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
/// Obsolete, and still in old files (draft-ietf-opsawg-pcapng, appendix A).
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

const OPTION_END: u16 = 0;
const OPTION_TSRESOL: u16 = 9;
const OPTION_TSOFFSET: u16 = 14;

/// Interfaces remembered of one section: bounds memory at some megabytes whatever the file says.
const MAX_INTERFACES: usize = 65_536;

/// Whether these are the first bytes of a pcapng file.
pub fn begins(bytes: &[u8]) -> bool {
    // The block type reads the same in both byte orders.
    ByteOrder::Little.u32(bytes, 0) == Some(SECTION_HEADER)
}

/// What an interface description says about the packets of that interface.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link: Result<LinkType, u32>,
    /// Bytes captured of each packet at most; 0: no limit.
    snaplen: u32,
    clock: Clock,
}

/// How an interface counts time: if_tsresol and if_tsoffset.
#[derive(Clone, Copy, Debug)]
struct Clock {
    resolution: u8,
    offset_seconds: i64,
}

impl Clock {
    /// Microseconds since the epoch, unless options say otherwise.
    const DEFAULT: Self = Self {
        resolution: 6,
        offset_seconds: 0,
    };

    /// The moment of `ticks`, held within what a timestamp can be: an offset may lead before 1970 or beyond 2554.
    fn moment(self, ticks: u64) -> Timestamp {
        const NANOS: u128 = 1_000_000_000;
        let ticks = u128::from(ticks);
        let exponent = u32::from(self.resolution & 0x7f);
        let nanos = if self.resolution & 0x80 != 0 {
            // 64 bits of ticks and 30 of 10⁹ fit into 128.
            (ticks * NANOS) >> exponent
        } else if exponent <= 9 {
            ticks * 10_u128.pow(9 - exponent)
        } else {
            // A unit of 10⁻²⁹ seconds and less: 64 bits of it are less than a nanosecond.
            10_u128.checked_pow(exponent - 9).map_or(0, |unit| ticks / unit)
        };
        // nanos < 2⁹⁴ and |offset| < 2⁹³: no overflow in 127 bits.
        let moment = nanos.cast_signed() + i128::from(self.offset_seconds) * NANOS.cast_signed();
        Timestamp::from_nanos(u64::try_from(moment.max(0)).unwrap_or(u64::MAX))
    }
}

/// A block taken apart: its type, body, and what follows it.
struct Block<'a> {
    kind: u32,
    body: &'a [u8],
    rest: &'a [u8],
}

/// The frames of a pcapng file; ends after the first error.
#[derive(Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    offset: u64,
    order: ByteOrder,
    interfaces: Vec<Interface>,
    latest: Timestamp,
    skipped: Skipped,
}

impl<'a> Records<'a> {
    /// The frames of `file`, the whole of it, which [`begins`] as pcapng does.
    pub fn new(file: &'a [u8]) -> Self {
        Self {
            rest: file,
            offset: 0,
            order: ByteOrder::Little,
            interfaces: Vec::new(),
            latest: Timestamp::ZERO,
            skipped: Skipped::new(),
        }
    }

    /// Frames passed over so far, by link type. At most 65,536 entries: the link type of an interface has 16 bits.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// Takes the next block off the file, and sets the byte order where it begins a section.
    fn block(&mut self) -> Result<Block<'a>, Reason> {
        let bytes = self.rest;
        let cut = |what, needed: u64| Reason::Truncated {
            what,
            needed,
            left: bytes.len() as u64,
        };
        let kind = self.order.u32(bytes, 0).ok_or_else(|| cut("block header", 12))?;
        if kind == SECTION_HEADER {
            let magic = ByteOrder::Little
                .u32(bytes, 8)
                .ok_or_else(|| cut("section header", 28))?;
            self.order = match (magic, magic.swap_bytes()) {
                (BYTE_ORDER_MAGIC, _) => ByteOrder::Little,
                (_, BYTE_ORDER_MAGIC) => ByteOrder::Big,
                _ => return Err(Reason::ByteOrderMagic(magic)),
            };
        }
        let leading = self.order.u32(bytes, 4).ok_or_else(|| cut("block header", 12))?;
        if leading < 12 || !leading.is_multiple_of(4) {
            return Err(Reason::Length {
                what: "block",
                length: leading,
            });
        }
        let (block, rest) = bytes
            .split_at_checked(leading as usize)
            .ok_or_else(|| cut("block", u64::from(leading)))?;
        let behind = block.len() - 4;
        let trailing = self.order.u32(block, behind).unwrap_or_default();
        if trailing != leading {
            return Err(Reason::LengthsDiffer { leading, trailing });
        }
        let body = block.get(8..behind).unwrap_or_default();
        Ok(Block { kind, body, rest })
    }

    /// What a block means: a frame, or nothing that is one.
    fn read(&mut self, kind: u32, body: &'a [u8]) -> Result<Option<Frame<'a>>, Reason> {
        match kind {
            SECTION_HEADER => self.section(body).map(|()| None),
            INTERFACE_DESCRIPTION => self.interface(body).map(|()| None),
            ENHANCED_PACKET => {
                let interface = self.field(body, 0)?;
                self.packet(interface, body)
            }
            PACKET => {
                let interface = self.order.u16(body, 0).ok_or_else(|| short(body))?;
                self.packet(u32::from(interface), body)
            }
            SIMPLE_PACKET => self.simple_packet(body),
            _ => Ok(None),
        }
    }

    fn field(&self, body: &[u8], at: usize) -> Result<u32, Reason> {
        self.order.u32(body, at).ok_or_else(|| short(body))
    }

    fn section(&mut self, body: &[u8]) -> Result<(), Reason> {
        // The section's length is not used: its blocks are walked one by one.
        let version = self.order.u16(body, 4).zip(self.order.u16(body, 6));
        let (major, minor) = version.ok_or_else(|| short(body))?;
        if major != 1 || body.len() < 16 {
            return Err(Reason::Version {
                format: "pcapng",
                major,
                minor,
            });
        }
        self.interfaces.clear();
        Ok(())
    }

    fn interface(&mut self, body: &[u8]) -> Result<(), Reason> {
        if self.interfaces.len() == MAX_INTERFACES {
            return Err(Reason::TooManyInterfaces(MAX_INTERFACES));
        }
        let number = u32::from(self.order.u16(body, 0).ok_or_else(|| short(body))?);
        let snaplen = self.field(body, 4)?;
        let mut clock = Clock::DEFAULT;
        let mut options = body.get(8..).unwrap_or_default();
        // Each turn takes at least four bytes: as many turns as the block has room for.
        while let Some((code, length)) = self.order.u16(options, 0).zip(self.order.u16(options, 2)) {
            if code == OPTION_END {
                break;
            }
            let wrong = || Reason::Option { code, length };
            let value = options.get(4..).and_then(|rest| rest.get(..usize::from(length)));
            let value = value.ok_or_else(wrong)?;
            match code {
                OPTION_TSRESOL => clock.resolution = *value.first().ok_or_else(wrong)?,
                OPTION_TSOFFSET => {
                    clock.offset_seconds = self.order.u64(value, 0).ok_or_else(wrong)?.cast_signed();
                }
                _ => {}
            }
            options = options
                .get(4 + usize::from(length).next_multiple_of(4)..)
                .unwrap_or_default();
        }
        self.interfaces.push(Interface {
            link: LinkType::from_number(number).ok_or(number),
            snaplen,
            clock,
        });
        Ok(())
    }

    fn described(&self, interface: u32) -> Result<Interface, Reason> {
        self.interfaces
            .get(interface as usize)
            .copied()
            .ok_or(Reason::Interface {
                interface,
                described: self.interfaces.len(),
            })
    }

    /// An enhanced packet block, or the obsolete packet block, which differs only in the first four bytes.
    fn packet(&mut self, interface: u32, body: &'a [u8]) -> Result<Option<Frame<'a>>, Reason> {
        let Interface { link, clock, .. } = self.described(interface)?;
        let ticks = u64::from(self.field(body, 4)?) << 32 | u64::from(self.field(body, 8)?);
        let (captured, on_wire) = (self.field(body, 12)?, self.field(body, 16)?);
        let data = body.get(20..).unwrap_or_default();
        self.latest = clock.moment(ticks);
        self.frame(link, data, captured, on_wire)
    }

    /// A simple packet block: interface 0, and no time of its own, so it has that of the packet in front of it.
    fn simple_packet(&mut self, body: &'a [u8]) -> Result<Option<Frame<'a>>, Reason> {
        let Interface { link, snaplen, .. } = self.described(0)?;
        let on_wire = self.field(body, 0)?;
        let captured = if snaplen == 0 { on_wire } else { on_wire.min(snaplen) };
        let data = body.get(4..).unwrap_or_default();
        self.frame(link, data, captured, on_wire)
    }

    fn frame(
        &mut self,
        link: Result<LinkType, u32>,
        data: &'a [u8],
        captured: u32,
        on_wire: u32,
    ) -> Result<Option<Frame<'a>>, Reason> {
        let bytes = data.get(..captured as usize).filter(|_| captured <= MAX_FRAME);
        let bytes = bytes.ok_or(Reason::Length {
            what: "frame",
            length: captured,
        })?;
        match link {
            Ok(link) => Ok(Some(Frame {
                ts: self.latest,
                link,
                wire_len: on_wire.max(captured),
                bytes,
            })),
            Err(number) => {
                *self.skipped.entry(number).or_default() += 1;
                Ok(None)
            }
        }
    }
}

fn short(body: &[u8]) -> Reason {
    Reason::Length {
        what: "block body",
        // A body is shorter than its block, whose length is 32 bits.
        length: u32::try_from(body.len()).unwrap_or(u32::MAX),
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Frame<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let at = self.offset;
            let read = self.block().and_then(|Block { kind, body, rest }| {
                self.offset += (self.rest.len() - rest.len()) as u64;
                self.rest = rest;
                self.read(kind, body)
            });
            match read {
                Ok(Some(frame)) => return Some(Ok(frame)),
                Ok(None) => {}
                Err(reason) => {
                    self.rest = &[];
                    return Some(Err(Fault { offset: at, reason }));
                }
            }
        }
        None
    }
}
