//! The E-model: ITU-T G.107 (06/2015) with all its default values, and G.107.1 (06/2019) for wideband.
//! A planning model: its rating is the opinion of many listeners on average, not of one.

use std::time::Duration;

/// Which E-model a codec belongs to. Ratings of two scales are not comparable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// G.107: 300 to 3400 Hz, at best 93.2.
    Narrow,
    /// G.107.1: 50 to 7000 Hz, at best 129.
    Wide,
}

impl Scale {
    /// Every scale.
    pub const ALL: [Self; 2] = [Self::Narrow, Self::Wide];

    /// The recommendation.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Narrow => "G.107",
            Self::Wide => "G.107.1",
        }
    }

    /// The scale of a recommendation.
    pub fn named(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scale| scale.label() == label)
    }

    /// Highest rating over that of G.107's scale: Annex A of G.107.1.
    const fn stretch(self) -> f64 {
        match self {
            Self::Narrow => 1.0,
            Self::Wide => 1.29,
        }
    }
}

/// Packet loss as the model takes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// Packets lost, in percent: Ppl.
    pub percent: f64,
    /// BurstR: 1 for random loss, more where losses come in rows.
    pub burst_ratio: f64,
}

// Default values, G.107 table 3. Levels in dB, noise in dBm0p and dBmp.
const SLR: f64 = 8.0;
const RLR: f64 = 2.0;
const STMR: f64 = 15.0;
const LSTR: f64 = 18.0;
const DS: f64 = 3.0;
const TELR: f64 = 65.0;
const WEPL: f64 = 110.0;
const QDU: f64 = 1.0;
const NC: f64 = -70.0;
const NFOR: f64 = -64.0;
const PS: f64 = 35.0;
const PR: f64 = 35.0;
/// Minimum perceivable delay in ms, mT of clause 7.4, and the sensitivity sT.
const MT: f64 = 100.0;
const ST: f64 = 1.0;

fn power(db: f64) -> f64 {
    10f64.powf(db / 10.0)
}

/// Sum of all noise at the 0 dBr point, clause 7.2: No.
fn noise() -> f64 {
    let olr = SLR + RLR;
    let nos = PS - SLR - DS - 100.0 + 0.004 * (PS - olr - DS - 14.0).powi(2);
    let pre = PR + 10.0 * (1.0 + power(10.0 - LSTR)).log10();
    let nor = RLR - 121.0 + pre + 0.008 * (pre - 35.0).powi(2);
    10.0 * (power(NC) + power(nos) + power(nor) + power(NFOR + RLR)).log10()
}

/// Basic signal-to-noise ratio, clause 7.2: Ro.
fn basic() -> f64 {
    15.0 - 1.5 * (SLR + noise())
}

/// Simultaneous impairment, clause 7.3: Is. `t` is the one-way delay of the echo path in ms.
fn simultaneous(t: f64) -> f64 {
    let xolr = SLR + RLR + 0.2 * (64.0 + noise() - RLR);
    let olr = 20.0 * ((1.0 + (xolr / 8.0).powi(8)).powf(1.0 / 8.0) - xolr / 8.0);

    let q = 37.0 - 15.0 * QDU.log10();
    let g = 1.07 + 0.258 * q + 0.0602 * q * q;
    let y = (basic() - 100.0) / 15.0 + 46.0 / 8.4 - g / 9.0;
    let z = 46.0 / 30.0 - g / 40.0;
    let quantizing = 15.0 * (1.0 + 10f64.powf(y) + 10f64.powf(z)).log10();
    olr + sidetone(t) + quantizing
}

/// Impairment by a non-optimum sidetone, clause 7.3: Ist.
fn sidetone(t: f64) -> f64 {
    let stmr = -10.0 * (power(-STMR) + (-t / 4.0).exp() * power(-TELR)).log10();
    12.0 * (1.0 + ((stmr - 13.0) / 6.0).powi(8)).powf(1.0 / 8.0)
        - 28.0 * (1.0 + ((stmr + 1.0) / 19.4).powi(35)).powf(1.0 / 35.0)
        - 13.0 * (1.0 + ((stmr - 3.0) / 33.0).powi(13)).powf(1.0 / 13.0)
        + 29.0
}

/// Impairment by delay, clause 7.4: Id, of a one-way delay in ms. The echo paths are as long: T = Ta, Tr = 2 Ta.
fn delay_impairment(ta: f64) -> f64 {
    talker_echo(ta) + listener_echo(2.0 * ta) + too_long(ta)
}

/// Talker echo: Idte.
fn talker_echo(t: f64) -> f64 {
    if t < 1.0 {
        return 0.0;
    }
    let roe = -1.5 * (noise() - RLR);
    let terv = TELR - 40.0 * ((1.0 + t / 10.0) / (1.0 + t / 150.0)).log10() + 6.0 * (-0.3 * t * t).exp();
    let re = 80.0 + 2.5 * (terv - 14.0);
    (over(roe - re, 100.0) - 1.0) * (1.0 - (-t).exp())
}

/// Listener echo: Idle.
fn listener_echo(tr: f64) -> f64 {
    let rle = 10.5 * (WEPL + 7.0) * (tr + 1.0).powf(-0.25);
    over(basic() - rle, 169.0)
}

/// `x` where it is positive and 0 where it is not, with a soft corner.
fn over(x: f64, corner: f64) -> f64 {
    x / 2.0 + (x * x / 4.0 + corner).sqrt()
}

/// Delay that is too long though there is no echo: Idd.
fn too_long(ta: f64) -> f64 {
    if ta <= MT {
        return 0.0;
    }
    let x = (ta / MT).log2();
    let n = 6.0 * ST;
    25.0 * ((1.0 + x.powf(n)).powf(1.0 / n) - 3.0 * (1.0 + (x / 3.0).powf(n)).powf(1.0 / n) + 2.0)
}

/// Impairment by codec and loss, clause 7.5: Ie,eff, of the equipment impairment factor Ie and the robustness Bpl. `None`
/// where packets are lost and no Bpl is known.
pub fn equipment(scale: Scale, ie: f64, bpl: Option<f64>, loss: Loss) -> Option<f64> {
    if loss.percent <= 0.0 {
        return Some(ie);
    }
    let burst_ratio = match scale {
        // Losses more even than random ones are not covered by the model.
        Scale::Narrow => loss.burst_ratio.max(1.0),
        // G.113 has robustness factors of random loss only.
        Scale::Wide => 1.0,
    };
    let effective = ie + (95.0 - ie) * loss.percent / (loss.percent / burst_ratio + bpl?);
    // Where losses come in rows the equation has no bound; nothing is worse than no signal.
    Some(effective.min(95.0))
}

/// The transmission rating R for listening only, without delay, or for a conversation with this mouth-to-ear delay.
/// Advantage factor A is 0. Not below 0. On the wideband scale echo is taken for cancelled.
pub fn rating(scale: Scale, equipment: f64, delay: Option<Duration>) -> f64 {
    let ta = delay.unwrap_or_default().as_secs_f64() * 1e3;
    let r = match scale {
        Scale::Narrow => basic() - simultaneous(ta) - delay_impairment(ta) - equipment,
        Scale::Wide => 129.0 - too_long(ta) - equipment,
    };
    r.max(0.0)
}

/// Mean opinion score, 1 to 4.5, of a rating: G.107 Annex B, and Annex A of the others.
pub fn mos(scale: Scale, rating: f64) -> f64 {
    let r = rating / scale.stretch();
    if r <= 0.0 {
        return 1.0;
    }
    if r >= 100.0 {
        return 4.5;
    }
    // Between 0 and 6.5 the polynomial is below 1, which no score is.
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0)
}

#[cfg(test)]
#[path = "emodel_tests.rs"]
mod tests;
