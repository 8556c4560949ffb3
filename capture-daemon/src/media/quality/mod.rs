//! From a stream's figures to an opinion: R and MOS by the E-model.

mod codecs;
mod emodel;

use std::time::Duration;

pub use codecs::{Impairment, impairment};
pub use emodel::{Loss, Scale, mos};
use emodel::{equipment, rating};

/// Packets below which there is no rating: a second of the usual 20 ms. A loss among fewer says nothing of the path.
pub const LEAST: u64 = 50;

/// Rating R of listening to a codec under this loss. `None` where the codec's robustness against loss is not known and packets
/// are lost.
pub fn listening(impairment: &Impairment, loss: Loss) -> Option<f64> {
    let Impairment { scale, ie, bpl, .. } = *impairment;
    Some(rating(scale, equipment(scale, ie, bpl, loss)?, None))
}

/// Rating R of a conversation, with this delay from mouth to ear, by the rating `listening` of what is heard: impairments add
/// up on the scale of R, each on its own (G.107 clause 7.1).
pub fn conversation(scale: Scale, listening: f64, delay: Duration) -> f64 {
    let cost = rating(scale, 0.0, None) - rating(scale, 0.0, Some(delay));
    (listening - cost).max(0.0)
}
