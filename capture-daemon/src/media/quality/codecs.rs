//! What codecs cost: equipment impairment factors Ie and packet-loss robustness Bpl, with their sources.
//!
//! - Narrowband: ITU-T G.113 (11/2007) Appendix I, tables I.1 (Ie) and I.4 (Bpl). Receivers of G.711 are taken to conceal loss
//!   (G.711 Appendix I: Bpl 25.1, not 4.3), and those of G.729 and G.723.1 to have VAD, as the tables that have a Bpl do.
//! - AMR: G.113 has no row for it, but 12.2 kbit/s is GSM-EFR and 7.40 kbit/s is IS-641, bit for bit (3GPP TS 26.071
//!   clause 4), which have one.
//! - Wideband: G.113 Appendix IV, table IV.1 (Ie). Of AMR-WB the modes 12.65, 19.85, 23.05 and 23.85 kbit/s have no rating,
//!   and no wideband codec has a Bpl: their values could not be verified.
//! - EVS, Opus, iLBC, Speex and all others: no value that is verified and covers bit rates and frame sizes as they are in
//!   use. No rating.

use super::emodel::Scale;

/// A codec as the E-model sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impairment {
    /// Which E-model.
    pub scale: Scale,
    /// Equipment impairment factor.
    pub ie: f64,
    /// Packet-loss robustness factor; `None` where there is no value, and so no rating once packets are lost.
    pub bpl: Option<f64>,
    /// Where the figures stand.
    pub source: &'static str,
}

const I: &str = "G.113 (11/2007) Appendix I";
const AMR: &str = "G.113 (11/2007) Appendix I, TS 26.071";
const IV: &str = "G.113 Appendix IV";

const fn narrow(ie: f64, bpl: Option<f64>) -> Impairment {
    Impairment {
        scale: Scale::Narrow,
        ie,
        bpl,
        source: I,
    }
}

const fn wide(ie: f64) -> Impairment {
    Impairment {
        scale: Scale::Wide,
        ie,
        bpl: None,
        source: IV,
    }
}

/// The impairment by an encoding name (IANA's, any case) and, where a codec has several bit rates, the octets of the
/// longest payload and the time a packet is for, in milliseconds. `None` where there is no basis.
pub fn impairment(encoding: &str, octets: u8, packet_ms: Option<f64>) -> Option<Impairment> {
    let name = encoding.to_ascii_uppercase();
    // Frames of 20 ms, one in a packet: the length tells the mode.
    let one_frame = || packet_ms.is_some_and(|ms| (ms - 20.0).abs() < 0.5).then_some(octets);
    Some(match name.as_str() {
        "PCMU" | "PCMA" => narrow(0.0, Some(25.1)),
        "G726-40" => narrow(2.0, None),
        // ADPCM at 32 kbit/s, and LD-CELP at 16.
        "G726-32" | "G721" | "G728" => narrow(7.0, None),
        "G726-24" => narrow(25.0, None),
        "G726-16" => narrow(50.0, None),
        "G729" => narrow(11.0, Some(19.0)),
        // RFC 3551 section 4.5.3: 24 octets at 6.3 kbit/s, 20 at 5.3, each for 30 ms.
        "G723" => match octets {
            0 => return None,
            octets if octets % 24 == 0 => narrow(15.0, Some(16.1)),
            octets if octets % 20 == 0 => narrow(19.0, None),
            _ => return None,
        },
        "GSM" => narrow(20.0, None),
        "GSM-HR-08" => narrow(23.0, None),
        "GSM-EFR" => narrow(5.0, Some(10.0)),
        // RFC 4867 section 4: 244 and 148 bits, with 10 bits before them or two octets.
        "AMR" => Impairment {
            source: AMR,
            ..match one_frame()? {
                32 | 33 => narrow(5.0, Some(10.0)),
                20 | 21 => narrow(10.0, None),
                _ => return None,
            }
        },
        // Of its three rates SDP knows 64 kbit/s only (RFC 3551 section 4.5.2).
        "G722" => wide(13.0),
        // RFC 4867 section 4 again: 132, 177, 285, 317 and 365 bits, the modes that have a rating.
        "AMR-WB" => match one_frame()? {
            18 | 19 => wide(41.0),
            24 | 25 => wide(26.0),
            37 | 38 => wide(10.0),
            41 | 42 => wide(7.0),
            47 | 48 => wide(5.0),
            _ => return None,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_known_by_its_payload() {
        let ie = |encoding, octets, ms| impairment(encoding, octets, Some(ms)).map(|impairment| impairment.ie);
        assert_eq!(ie("pcma", 160, 20.0), Some(0.0));
        assert_eq!(ie("G723", 24, 30.0), Some(15.0));
        assert_eq!(ie("G723", 40, 60.0), Some(19.0));
        assert_eq!(ie("AMR", 32, 20.0), Some(5.0));
        assert_eq!(ie("AMR", 33, 20.0), Some(5.0));
        assert_eq!(ie("AMR", 32, 40.0), None);
        assert_eq!(ie("AMR-WB", 37, 20.0), Some(10.0));
        assert_eq!(ie("AMR-WB", 30, 20.0), None);
        for unrated in [33, 34, 51, 52, 59, 60, 61, 62] {
            assert_eq!(ie("AMR-WB", unrated, 20.0), None, "{unrated} octets");
        }
        for unrated in ["EVS", "opus", "iLBC", "speex", "H264", "L16", ""] {
            assert_eq!(ie(unrated, 50, 20.0), None, "{unrated}");
        }
    }

    #[test]
    fn every_rating_is_that_of_its_source() {
        // Ie and Bpl by G.113 (11/2007) tables I.1 and I.4, and Ie,wb by table IV.1.
        for (encoding, octets, ms, ie, bpl, source) in [
            ("PCMU", 160, 20.0, 0.0, Some(25.1), I),
            ("PCMA", 160, 20.0, 0.0, Some(25.1), I),
            ("G726-40", 100, 20.0, 2.0, None, I),
            ("G726-32", 80, 20.0, 7.0, None, I),
            ("G721", 80, 20.0, 7.0, None, I),
            ("G728", 40, 20.0, 7.0, None, I),
            ("G726-24", 60, 20.0, 25.0, None, I),
            ("G726-16", 40, 20.0, 50.0, None, I),
            ("G729", 20, 20.0, 11.0, Some(19.0), I),
            ("G723", 24, 30.0, 15.0, Some(16.1), I),
            ("G723", 20, 30.0, 19.0, None, I),
            ("GSM", 33, 20.0, 20.0, None, I),
            ("GSM-HR-08", 15, 20.0, 23.0, None, I),
            ("GSM-EFR", 31, 20.0, 5.0, Some(10.0), I),
            ("AMR", 32, 20.0, 5.0, Some(10.0), AMR),
            ("AMR", 20, 20.0, 10.0, None, AMR),
            ("G722", 160, 20.0, 13.0, None, IV),
            ("AMR-WB", 18, 20.0, 41.0, None, IV),
            ("AMR-WB", 24, 20.0, 26.0, None, IV),
            ("AMR-WB", 37, 20.0, 10.0, None, IV),
            ("AMR-WB", 41, 20.0, 7.0, None, IV),
            ("AMR-WB", 47, 20.0, 5.0, None, IV),
        ] {
            let found = impairment(encoding, octets, Some(ms)).unwrap();
            let scale = if source == IV { Scale::Wide } else { Scale::Narrow };
            assert_eq!(
                (found.scale, found.ie, found.bpl, found.source),
                (scale, ie, bpl, source),
                "{encoding} {octets}"
            );
        }
    }

    /// RFC 4867 sections 4.3 and 4.4: CMR, one entry of the table of contents and the frame; with four and six bits
    /// in front, or eight and eight.
    #[test]
    fn lengths_are_those_of_rfc_4867() {
        let octets = |bits: u32| [(10 + bits).div_ceil(8) as u8, 2 + bits.div_ceil(8) as u8];
        for bits in [244, 148] {
            for octets in octets(bits) {
                assert!(impairment("AMR", octets, Some(20.0)).is_some(), "{bits} bits");
            }
        }
        for bits in [132, 177, 285, 317, 365] {
            for octets in octets(bits) {
                assert!(impairment("AMR-WB", octets, Some(20.0)).is_some(), "{bits} bits");
            }
        }
    }
}
