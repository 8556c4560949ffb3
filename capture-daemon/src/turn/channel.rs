//! ChannelData (RFC 8656 section 12.4): a number for the peer, a length, and what is relayed.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "reads what anyone may send: a slice is asked for, never assumed"
)]

/// Bytes before the data.
const HEADER: usize = 4;

/// One ChannelData message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelData<'a> {
    /// The channel: 0x4000 to 0x4fff, and up to 0x7fff in RFC 5766.
    pub number: u16,
    /// What is relayed.
    pub data: &'a [u8],
}

/// Whether a number is one of a channel (RFC 5766 section 11).
pub const fn is_number(number: u16) -> bool {
    matches!(number, 0x4000..=0x7fff)
}

/// Reads a datagram. It may be padded to four bytes (RFC 8656 section 12.5); with more behind the data it is something
/// else.
pub fn read(datagram: &[u8]) -> Option<ChannelData<'_>> {
    let (number, length, rest) = header(datagram)?;
    let (data, padding) = rest.split_at_checked(length)?;
    (padding.len() < 4 && (padding.is_empty() || datagram.len().is_multiple_of(4)))
        .then_some(ChannelData { number, data })
}

/// Reads what begins with `announced_len` bytes of a stream.
pub fn read_padded(bytes: &[u8]) -> Option<ChannelData<'_>> {
    let (number, length, rest) = header(bytes)?;
    let data = rest.get(..length)?;
    Some(ChannelData { number, data })
}

/// Bytes that the message which begins here takes up in a stream, where it is padded to four; `None` where there are too
/// few to tell, or it is none.
pub fn announced_len(bytes: &[u8]) -> Option<usize> {
    let (_, length, _) = header(bytes)?;
    Some(length.saturating_add(HEADER).next_multiple_of(4))
}

fn header(bytes: &[u8]) -> Option<(u16, usize, &[u8])> {
    let (&[n0, n1, l0, l1], rest) = bytes.split_first_chunk::<HEADER>()?;
    let number = u16::from_be_bytes([n0, n1]);
    is_number(number).then(|| (number, usize::from(u16::from_be_bytes([l0, l1])), rest))
}

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics has said what is wrong"
)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_those_of_both_rfcs() {
        for (number, is) in [
            (0x3fff, false),
            (0x4000, true),
            (0x4fff, true),
            (0x7fff, true),
            (0x8000, false),
        ] {
            assert_eq!(is_number(number), is, "{number:#x}");
        }
    }

    #[test]
    fn padding_is_allowed_and_nothing_else() {
        let message = [0x40, 0x01, 0, 3, 7, 8, 9];
        let expected = ChannelData {
            number: 0x4001,
            data: &[7, 8, 9],
        };
        assert_eq!(read(&message), Some(expected));
        let padded = [message.as_slice(), &[0]].concat();
        assert_eq!(read(&padded), Some(expected));
        assert_eq!(announced_len(&padded), Some(8));
        assert_eq!(read_padded(&padded), Some(expected));
        assert_eq!(read(&[padded.as_slice(), &[0; 4]].concat()), None);
        assert_eq!(read(&message[..6]), None);
    }

    /// RFC 8656 section 12.4, said as slowly as possible.
    fn slow(datagram: &[u8]) -> Option<(u16, Vec<u8>)> {
        (0..4)
            .map(|padding| datagram.len().checked_sub(padding))
            .find_map(|len| {
                let message = &datagram[..len?];
                let number = u16::from(*message.first()?) * 256 + u16::from(*message.get(1)?);
                let length = usize::from(*message.get(2)?) * 256 + usize::from(*message.get(3)?);
                let padded = message.len() != datagram.len();
                let fits = message.len() == length + 4 && (!padded || datagram.len().is_multiple_of(4));
                (fits && number / 0x4000 == 1).then(|| (number, message[4..].to_vec()))
            })
    }

    proptest! {
        #[test]
        fn agrees_with_the_slow_reference(number in prop_oneof![0x3ff0..0x8010u16, any::<u16>()], short in 0..6usize, data in proptest::collection::vec(any::<u8>(), 0..40)) {
            let length = data.len().saturating_sub(short) as u16;
            let bytes = [&number.to_be_bytes()[..], &length.to_be_bytes(), &data].concat();
            let is = read(&bytes).map(|message| (message.number, message.data.to_vec()));
            prop_assert_eq!(is, slow(&bytes));
        }
    }
}
