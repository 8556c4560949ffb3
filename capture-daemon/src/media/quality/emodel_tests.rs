//! Against values that ITU-T published.

use super::*;

const NONE: Loss = Loss {
    percent: 0.0,
    burst_ratio: 1.0,
};

fn close(is: f64, should_be: f64, within: f64) {
    assert!((is - should_be).abs() <= within, "{is}, not {should_be}");
}

/// G.107 clause 7.7: with all default values R is 93.2; Annex B makes it 4.41.
#[test]
fn the_default_is_93_2() {
    let r = rating(Scale::Narrow, 0.0, None);
    close(r, 93.2, 0.05);
    close(mos(Scale::Narrow, r), 4.41, 0.005);
    close(basic(), 94.77, 0.01);
    close(simultaneous(0.0), 1.41, 0.01);
    close(delay_impairment(0.0), 0.15, 0.01);
}

/// G.107 table B.1.
#[test]
fn ratings_have_the_scores_of_table_b_1() {
    // It says 4.03 where the polynomial is 4.024.
    for (r, score) in [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)] {
        close(mos(Scale::Narrow, r), score, 0.0075);
    }
    assert_eq!((mos(Scale::Narrow, -5.0), mos(Scale::Narrow, 101.0)), (1.0, 4.5));
    assert_eq!(mos(Scale::Narrow, 3.0), 1.0);
    close(mos(Scale::Wide, 129.0), 4.5, 0.001);
    close(mos(Scale::Wide, 80.0 * 1.29), 4.03, 0.0075);
}

/// G.114 figure 1, made with these equations and no echo: R 93 up to 100 ms, about 90 at 200, 73 at 300, 62 at 400. With the
/// default TELR the echo path costs a few points more.
#[test]
fn delay_costs_what_g_114_shows() {
    for (ms, idd) in [(100.0, 0.0), (150.0, 0.1), (200.0, 3.0), (300.0, 14.6), (400.0, 24.1)] {
        close(too_long(ms), idd, 0.6);
    }
    let at = |ms| rating(Scale::Narrow, 0.0, Some(Duration::from_millis(ms)));
    assert!((0..60).map(|n| at(n * 10)).is_sorted_by(|near, far| near > far));
    close(rating(Scale::Wide, 0.0, Some(Duration::from_millis(100))), 129.0, 0.0);
}

/// G.107 clause 7.5, by hand.
#[test]
fn loss_costs_by_robustness_and_rows() {
    let percent = |percent| Loss { percent, ..NONE };
    let narrow = |ie, bpl, loss| equipment(Scale::Narrow, ie, Some(bpl), loss).unwrap();
    close(narrow(0.0, 4.3, percent(1.0)), 95.0 / 5.3, 1e-9);
    close(narrow(0.0, 25.1, percent(5.0)), 15.78, 0.01);
    close(narrow(11.0, 19.0, percent(2.0)), 19.0, 1e-9);
    let rows = Loss {
        percent: 2.0,
        burst_ratio: 2.0,
    };
    close(narrow(11.0, 19.0, rows), 11.0 + 84.0 * 2.0 / 20.0, 1e-9);
    let even = Loss {
        percent: 2.0,
        burst_ratio: 0.5,
    };
    close(narrow(11.0, 19.0, even), 19.0, 1e-9);
    let outage = Loss {
        percent: 97.0,
        burst_ratio: 13.0,
    };
    assert_eq!(narrow(5.0, 10.0, outage), 95.0);
    assert_eq!(rating(Scale::Narrow, 95.0, None), 0.0);
    assert_eq!(equipment(Scale::Narrow, 20.0, None, NONE), Some(20.0));
    assert_eq!(equipment(Scale::Narrow, 20.0, None, percent(0.1)), None);
    close(
        equipment(Scale::Wide, 20.0, Some(4.3), rows).unwrap(),
        20.0 + 75.0 * 2.0 / 6.3,
        1e-9,
    );
}
