//! Which payload types a stream's packets have, and how often they change.

/// Payload types remembered for one stream: two codecs, their comfort noise and their events.
const MOST: usize = 6;

/// The payload types of a stream. Touched when the type changes, not by every packet.
#[derive(Clone, Debug)]
pub struct PayloadTypes {
    /// In the order of their first packets, the first `len`, with their packets.
    list: [u8; MOST],
    packets: [u32; MOST],
    len: u8,
    /// Type of the packets since `mark`.
    current: u8,
    /// First type, whatever it is.
    first: u8,
    /// First type that is neither comfort noise nor telephone-event.
    media: Option<u8>,
    /// The media type of the highest number.
    latest: Option<u8>,
    changes: u16,
    /// Packets of the stream before the latest change of type.
    mark: u64,
}

impl PayloadTypes {
    /// Of a stream whose first packet has this type.
    pub const fn begin(payload_type: u8) -> Self {
        Self {
            list: [payload_type; MOST],
            packets: [0; MOST],
            len: 1,
            current: payload_type,
            first: payload_type,
            media: None,
            latest: None,
            changes: 0,
            mark: 0,
        }
    }

    /// The packet after `before` others has this type.
    pub fn turn_to(&mut self, payload_type: u8, before: u64) {
        if payload_type != self.current {
            self.settle(before);
            self.current = payload_type;
        }
    }

    /// Counts the packets since the latest change for their type.
    fn settle(&mut self, packets: u64) {
        let since = u32::try_from(packets.saturating_sub(self.mark)).unwrap_or(u32::MAX);
        self.mark = packets;
        let len = usize::from(self.len);
        let known = self.list.iter().take(len).position(|known| *known == self.current);
        if let (None, Some(free)) = (known, self.list.get_mut(len)) {
            *free = self.current;
            self.len += 1;
        }
        if let Some(count) = self.packets.get_mut(known.unwrap_or(len)) {
            *count = count.saturating_add(since);
        }
    }

    /// The packet's type is media's. `ahead`: its number is the highest so far, so that a late packet of the codec before is
    /// no change.
    pub fn media(&mut self, payload_type: u8, ahead: bool) {
        self.media = self.media.or(Some(payload_type));
        if ahead {
            if self.latest.is_some_and(|latest| latest != payload_type) {
                self.changes = self.changes.saturating_add(1);
            }
            self.latest = Some(payload_type);
        }
    }

    /// What was taken for media is none.
    pub const fn retract_media(&mut self) {
        self.media = None;
        self.latest = None;
    }

    /// First type that is neither comfort noise nor telephone-event.
    pub const fn first_media(&self) -> Option<u8> {
        self.media
    }

    /// The payload type whose clock matters most: the media's, as far as there is any.
    pub fn main(&self) -> u8 {
        self.media.unwrap_or(self.first)
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
    pub fn counts(&self, packets: u64) -> Vec<(u8, u64)> {
        let mut now = self.clone();
        now.settle(packets);
        let list = now.list.into_iter().zip(now.packets.map(u64::from));
        list.take(usize::from(now.len)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(types.counts(23), [(0, 11), (8, 9), (101, 3)]);
        assert_eq!((types.changes(), types.main(), types.first()), (1, 0, 0));
    }

    #[test]
    fn a_seventh_type_is_left_out() {
        let mut types = PayloadTypes::begin(0);
        for payload_type in 1..10 {
            types.turn_to(payload_type, u64::from(payload_type));
        }
        assert_eq!(
            types.counts(10),
            (0..6).map(|payload_type| (payload_type, 1)).collect::<Vec<_>>()
        );
    }
}
