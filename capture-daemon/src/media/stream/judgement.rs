//! What a stream's first packets say of its clock, judged while they are kept.

use super::Stream;
use crate::media::codec::{self, Kind};
use crate::media::probation::{Header, Traits};

/// What the first packets say of the clock that is signalled.
pub(super) struct Judgement {
    /// There is no doubt.
    pub is_certain: bool,
    /// What they say of which payload type.
    pub said: Option<(u8, Traits)>,
}

impl Stream {
    /// Keeps one of the first packets, and looks now and then at what they say of the clock.
    #[inline(never)]
    pub(super) fn keep(&mut self, header: Header) {
        let Some(probation) = &mut self.probation else {
            return;
        };
        let time_to_judge = probation.keep(header);
        let (count, full) = (probation.len(), probation.is_full());
        if !time_to_judge {
            return;
        }
        let judgement = self.judge(count);
        if judgement.is_certain || full {
            self.end_probation(count, judgement.said);
        }
    }

    /// Holds the clock that is signalled against the one that the first `count` packets show, and measures anew where they
    /// differ. Where nothing is signalled yet there is doubt, until no more packets are kept.
    pub(super) fn judge(&mut self, count: usize) -> Judgement {
        let Some(probation) = &self.probation else {
            return Judgement {
                is_certain: true,
                said: None,
            };
        };
        let main = self.measurement.types().main();
        let traits = probation.traits_of_first(count, main);
        let judgement = |is_certain| Judgement {
            is_certain,
            said: Some((main, traits)),
        };
        let kind = codec::kind(main, self.formats());
        let measured = match (kind, traits.clock_rate) {
            // Video's timestamps are those of pictures, not of packets.
            (Kind::Media(codec::VIDEO), _) => return judgement(true),
            (Kind::Media(signalled), Some(measured)) if signalled == measured => return judgement(true),
            // What is said is not contradicted for a moment's sake.
            (Kind::Media(_), Some(_)) if !traits.steady => return judgement(false),
            (Kind::Media(_) | Kind::Unknown, Some(measured)) => (main, measured),
            (Kind::Media(_) | Kind::Noise(_) | Kind::Event | Kind::Unknown, _) => return judgement(false),
        };
        let again = self
            .measurement
            .again(&probation.packets(), self.formats(), Some(measured));
        self.measurement = again.unwrap_or_else(|| self.measurement.clone());
        judgement(kind != Kind::Unknown)
    }

    /// Keeps no more packets, and of the first `count` what they say, of which `said` is known of one payload type.
    pub(super) fn end_probation(&mut self, count: usize, said: Option<(u8, Traits)>) {
        let payload_type = self.payload_type();
        let Some(probation) = &self.probation else {
            return;
        };
        let traits = match said {
            Some((of, traits)) if of == payload_type => traits,
            _ => probation.traits_of_first(count, payload_type),
        };
        (self.units, self.len) = (traits.units.unwrap_or_default(), traits.len);
        self.probation = None;
        self.measurement.set_probation(false);
    }

    /// What the first packets say of the media.
    pub(super) fn traits(&self) -> Traits {
        match &self.probation {
            Some(probation) => probation.traits(self.payload_type()),
            None => Traits {
                clock_rate: None,
                steady: false,
                units: Some(self.units).filter(|&units| units > 0),
                len: self.len,
            },
        }
    }
}
