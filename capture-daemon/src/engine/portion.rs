//! How much of what a frame carries is wanted: by the level of the call, where it is media.

use capture_common::Level;

use crate::frame::Keep;
use crate::media::Heard;
use crate::outcome::Outcome;

/// Where a frame ended, and how much of it is wanted.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// Where it ended.
    pub outcome: Outcome,
    /// How much of it is wanted.
    pub portion: Portion<'a>,
}

/// How much of a frame is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Portion<'a> {
    /// All of it.
    All,
    /// What is in front of these bytes.
    Before(&'a [u8]),
    /// Nothing.
    Nothing,
}

impl From<Outcome> for End<'_> {
    /// What is no media is wanted, whatever it is: it says what became of calls, or why not.
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            portion: Portion::All,
        }
    }
}

impl<'a> End<'a> {
    /// Of an RTP packet with this payload; `default` is the level of what is under no rule. Telephone events are as short as
    /// headers, and say what the call did.
    #[inline(always)]
    pub fn of_rtp(heard: Heard, payload: &'a [u8], default: Level) -> Self {
        let portion = match heard.level.unwrap_or(default) {
            Level::Full => Portion::All,
            Level::Headers if heard.is_event => Portion::All,
            Level::Headers => Portion::Before(payload),
            Level::Signaling => Portion::Nothing,
        };
        Self {
            outcome: heard.outcome,
            portion,
        }
    }
}

impl Portion<'_> {
    /// What that means for a frame with these bytes.
    #[inline(always)]
    pub fn of(self, frame: &[u8]) -> Keep {
        match self {
            Self::All => Keep::All,
            Self::Nothing => Keep::Nothing,
            Self::Before(payload) => head(payload, frame),
        }
    }
}

/// The same of a frame with RTP that is no event and whose payload begins at `payload_at`.
#[inline(always)]
pub const fn of_media(level: Level, payload_at: u32) -> Keep {
    match level {
        Level::Full => Keep::All,
        Level::Headers | Level::Signaling => cut(matches!(level, Level::Headers), payload_at),
    }
}

/// Apart, so that a frame that is kept whole pays no arithmetic for the others.
#[inline(never)]
const fn cut(has_headers: bool, payload_at: u32) -> Keep {
    if has_headers {
        Keep::Head(payload_at)
    } else {
        Keep::Nothing
    }
}

/// The bytes of a frame in front of some of its bytes. What was put together from several frames is in none of them.
fn head(payload: &[u8], frame: &[u8]) -> Keep {
    let start = payload.as_ptr().addr().checked_sub(frame.as_ptr().addr());
    match start.filter(|start| start + payload.len() <= frame.len()) {
        Some(start) => Keep::Head(start as u32),
        None => Keep::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_decides_what_is_wanted_of_rtp() {
        let frame = [0; 100];
        let payload = &frame[54..];
        let end = |level, default, is_event| {
            let heard = Heard {
                outcome: Outcome::Rtp,
                level,
                is_event,
            };
            End::of_rtp(heard, payload, default).portion.of(&frame)
        };
        use Level::{Full, Headers, Signaling};
        assert_eq!(end(None, Full, false), Keep::All);
        assert_eq!(end(None, Headers, false), Keep::Head(54));
        assert_eq!(end(None, Signaling, false), Keep::Nothing);
        assert_eq!(end(Some(Full), Signaling, false), Keep::All);
        assert_eq!(end(Some(Headers), Full, false), Keep::Head(54));
        assert_eq!(end(Some(Headers), Full, true), Keep::All);
        assert_eq!(end(Some(Signaling), Full, true), Keep::Nothing);
    }

    #[test]
    fn what_is_in_no_frame_is_kept_with_all_of_it() {
        let (frame, elsewhere) = ([0; 100], [0; 100]);
        for payload in [&elsewhere[..], &elsewhere[50..]] {
            assert_eq!(Portion::Before(payload).of(&frame), Keep::All);
        }
        assert_eq!(Portion::Before(&frame[100..]).of(&frame), Keep::Head(100));
        assert_eq!(End::from(Outcome::SipUdp).portion.of(&frame), Keep::All);
    }
}
