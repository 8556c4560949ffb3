//! Which payload types a stream's packets have, and how often they change.

/// Payload types remembered for one stream: two codecs, their comfort noise and their events.
pub const MOST: usize = 6;

/// Stands for no type.
const NONE: u8 = u8::MAX;

/// The payload types of a stream. Touched when the type changes, not by every packet.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct PayloadTypes {
    /// Packets of the stream before the latest change of type.
    mark: u64,
    /// Packets of each.
    packets: [u32; MOST],
    /// In the order of their first packets, the first `len`.
    list: [u8; MOST],
    len: u8,
    /// Type of the packets since `mark`.
    current: u8,
    changes: u16,
    /// First type, whatever it is.
    first: u8,
    /// First type that is neither comfort noise nor telephone-event, or `NONE`.
    media: u8,
    /// The media type of the highest number, or `NONE`.
    latest: u8,
    padding: [u8; 3],
}

const _: () = assert!(size_of::<PayloadTypes>() == 48);

impl PayloadTypes {
    /// Of a stream whose first packet has this type.
    #[inline(always)]
    pub const fn begin(payload_type: u8) -> Self {
        Self {
            mark: 0,
            packets: [0; MOST],
            list: [payload_type; MOST],
            len: 1,
            current: payload_type,
            changes: 0,
            first: payload_type,
            media: NONE,
            latest: NONE,
            padding: [0; 3],
        }
    }

    /// The packet after `before` others has this type.
    #[inline(always)]
    pub fn turn_to(&mut self, payload_type: u8, before: u64) {
        if payload_type != self.current {
            self.settle(before);
            self.current = payload_type;
        }
    }

    /// Counts the packets since the latest change for their type.
    #[inline(always)]
    fn settle(&mut self, packets: u64) {
        let since = packets.saturating_sub(self.mark).min(u32::MAX as u64) as u32;
        self.mark = packets;
        for at in 0..MOST {
            if at == self.len as usize {
                // A new one takes the first free place.
                self.list[at] = self.current;
                self.len += 1;
            }
            if self.list[at] == self.current {
                self.packets[at] = self.packets[at].saturating_add(since);
                return;
            }
        }
    }

    /// The packet's type is media's. `ahead`: its number is the highest so far, so that a late packet of the codec before is
    /// no change.
    #[inline(always)]
    pub const fn media(&mut self, payload_type: u8, ahead: bool) {
        if self.media == NONE {
            self.media = payload_type;
        }
        if ahead {
            if self.latest != NONE && self.latest != payload_type {
                self.changes = self.changes.saturating_add(1);
            }
            self.latest = payload_type;
        }
    }

    /// What was taken for media is none.
    #[inline(always)]
    pub const fn retract_media(&mut self) {
        self.media = NONE;
        self.latest = NONE;
    }

    /// First type that is neither comfort noise nor telephone-event.
    #[inline(always)]
    pub const fn first_media(&self) -> Option<u8> {
        if self.media == NONE { None } else { Some(self.media) }
    }

    /// The payload type whose clock matters most: the media's, as far as there is any.
    #[inline(always)]
    pub const fn main(&self) -> u8 {
        if self.media == NONE { self.first } else { self.media }
    }

    /// First type, whatever it is.
    pub const fn first(&self) -> u8 {
        self.first
    }

    /// Times the media changed its type.
    pub const fn changes(&self) -> u16 {
        self.changes
    }

    /// The first six types with their packets, in the order of their first packets, of `packets` in all.
    pub fn counts(&self, packets: u64) -> impl Iterator<Item = (u8, u64)> {
        let mut now = *self;
        now.settle(packets);
        let list = now.list.into_iter().zip(now.packets.map(u64::from));
        list.take(usize::from(now.len))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    fn counts(types: &PayloadTypes, packets: u64) -> Vec<(u8, u64)> {
        types.counts(packets).collect()
    }

    #[test]
    fn every_packet_counts_for_its_type_and_a_late_one_is_no_change() {
        let mut types = PayloadTypes::begin(0);
        types.media(0, true);
        types.turn_to(8, 10);
        types.media(8, true);
        types.turn_to(0, 15);
        types.media(0, false);
        types.turn_to(8, 16);
        types.media(8, true);
        types.turn_to(101, 20);
        assert_eq!(counts(&types, 23), [(0, 11), (8, 9), (101, 3)]);
        assert_eq!((types.changes(), types.main(), types.first()), (1, 0, 0));
    }

    #[test]
    fn a_seventh_type_is_left_out() {
        let mut types = PayloadTypes::begin(0);
        for payload_type in 1..10 {
            types.turn_to(payload_type, u64::from(payload_type));
        }
        assert_eq!(
            counts(&types, 10),
            (0..6).map(|payload_type| (payload_type, 1)).collect::<Vec<_>>()
        );
    }
}
