//! From a stream's figures to an opinion: R and MOS by the E-model.

mod codecs;
mod emodel;

use std::time::Duration;

pub use codecs::{Impairment, impairment};
pub use emodel::{Loss, equipment, mos, rating};

/// Packets below which there is no rating: a second of the usual 20 ms. A loss among fewer says nothing of the path.
pub const LEAST: u64 = 50;

/// An opinion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Opinion {
    /// Transmission rating factor.
    pub r: f64,
    /// Mean opinion score, 1 to 4.5.
    pub mos: f64,
}

/// The opinion of a codec under this loss: of listening where there is no delay, of a conversation where there is one. `None`
/// where the codec's robustness against loss is not known and packets are lost.
pub fn opinion(impairment: &Impairment, loss: Loss, delay: Option<Duration>) -> Option<Opinion> {
    let Impairment { scale, ie, bpl, .. } = *impairment;
    let r = rating(scale, equipment(scale, ie, bpl, loss)?, delay);
    Some(Opinion { r, mos: mos(scale, r) })
}
