//! Figures as pictures: lines over an axis, in SVG 1.1.

use std::fmt::Write as _;

use crate::table::{Table, number};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
/// Where the axes lie.
const LEFT: f64 = 80.0;
const RIGHT: f64 = 540.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 380.0;

/// Told apart also without colour vision (Okabe and Ito).
const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999",
];

/// A picture.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// The axes, with their units.
    pub axes: [String; 2],
    /// Whether the horizontal axis is logarithmic.
    pub is_log: bool,
    /// Lines, with their names, of points in order.
    pub lines: Vec<(String, Vec<[f64; 2]>)>,
}

/// The pictures that a table gives, with a word for the name of the file.
pub fn of_table(table: &Table) -> Vec<(&'static str, Chart)> {
    match table.name {
        "loss" => vec![("loss", loss(table))],
        "mirror" => vec![("mirror", mirror(table))],
        "growth" => vec![
            (
                "streams",
                growth(table, "streams", |keys| (keys.get(1)? == "0").then_some(0)),
            ),
            (
                "calls",
                growth(table, "new calls a second", |keys| (keys.get(1)? != "0").then_some(1)),
            ),
        ],
        _ => Vec::new(),
    }
}

/// Frames lost in percent, over what was offered.
fn loss(table: &Table) -> Chart {
    let point = |keys: &[&str]| {
        let offered = table.spread(keys, "offered_pps").ok()?.median;
        let captured = table.spread(keys, "captured_pps").ok()?.median;
        (offered > 0.0).then(|| [offered / 1e6, ((offered - captured) / offered * 100.0).max(0.0)])
    };
    Chart {
        title: "Frames lost by the rate offered".to_owned(),
        axes: ["offered, Mpps".to_owned(), "lost, %".to_owned()],
        is_log: false,
        lines: lines(table, point),
    }
}

/// The highest rate without loss, over the number of streams.
fn mirror(table: &Table) -> Chart {
    let point = |keys: &[&str]| {
        let streams: f64 = keys.get(1)?.parse().ok()?;
        Some([streams, table.spread(keys, "rate_pps").ok()?.median / 1e6])
    };
    Chart {
        title: "Highest rate without loss by the number of streams".to_owned(),
        axes: ["streams".to_owned(), "Mpps".to_owned()],
        is_log: true,
        lines: lines(table, point),
    }
}

/// What a packet costs, over one of the table's keys.
fn growth(table: &Table, axis: &str, key: fn(&[String]) -> Option<usize>) -> Chart {
    let points = table.rows.iter().filter_map(|row| {
        let over: f64 = row.keys.get(key(&row.keys)?)?.parse().ok()?;
        let keys: Vec<&str> = row.keys.iter().map(String::as_str).collect();
        Some([over, table.spread(&keys, "ns_per_packet").ok()?.median])
    });
    Chart {
        title: format!("What a packet costs the engine by {axis}"),
        axes: [axis.to_owned(), "ns for a packet".to_owned()],
        is_log: true,
        lines: vec![("siphon".to_owned(), points.collect())],
    }
}

/// A line for each first key of the table's rows.
fn lines(table: &Table, point: impl Fn(&[&str]) -> Option<[f64; 2]>) -> Vec<(String, Vec<[f64; 2]>)> {
    let mut lines: Vec<(String, Vec<[f64; 2]>)> = Vec::new();
    for row in &table.rows {
        let keys: Vec<&str> = row.keys.iter().map(String::as_str).collect();
        let (Some(name), Some(point)) = (row.keys.first(), point(&keys)) else {
            continue;
        };
        match lines.iter_mut().find(|(found, _)| found == name) {
            Some((_, points)) => points.push(point),
            None => lines.push((name.clone(), vec![point])),
        }
    }
    for (_, points) in &mut lines {
        points.sort_by(|a, b| a[0].total_cmp(&b[0]));
    }
    lines
}

impl Chart {
    /// The picture as a file.
    pub fn svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
        );
        text(&mut svg, [LEFT, 28.0], "start", &self.title);
        text(
            &mut svg,
            [f64::midpoint(LEFT, RIGHT), HEIGHT - 18.0],
            "middle",
            &self.axes[0],
        );
        text(&mut svg, [LEFT - 60.0, TOP - 6.0], "start", &self.axes[1]);
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let (range, most) = (self.over(points().map(|[x, _]| *x)), up(points().map(|[_, y]| *y)));
        for (tick, at) in self.ticks(range) {
            line(&mut svg, [at, TOP, at, BOTTOM], "#dddddd");
            text(&mut svg, [at, BOTTOM + 18.0], "middle", &number(tick));
        }
        for step in 0..=4 {
            let tick = most * f64::from(step) / 4.0;
            let at = BOTTOM - (BOTTOM - TOP) * f64::from(step) / 4.0;
            line(&mut svg, [LEFT, at, RIGHT, at], "#dddddd");
            text(&mut svg, [LEFT - 8.0, at + 4.0], "end", &number(tick));
        }
        for (index, ((name, points), colour)) in self.lines.iter().zip(COLOURS.iter().cycle()).enumerate() {
            let place = |[x, y]: [f64; 2]| [self.across(x, range), BOTTOM - (BOTTOM - TOP) * y / most];
            let places: Vec<[f64; 2]> = points.iter().map(|point| place(*point)).collect();
            let path: Vec<String> = places.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
            write(
                &mut svg,
                format_args!(
                    "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n",
                    path.join(" ")
                ),
            );
            for [x, y] in places {
                write(
                    &mut svg,
                    format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>\n"),
                );
            }
            let at = TOP + 12.0 + 20.0 * index as f64;
            write(
                &mut svg,
                format_args!(
                    "<rect x=\"{}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\n",
                    RIGHT + 20.0,
                    at - 10.0
                ),
            );
            text(&mut svg, [RIGHT + 38.0, at], "start", name);
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// The least and the most of the horizontal axis.
    fn over(&self, values: impl Iterator<Item = f64>) -> [f64; 2] {
        let [least, most] = values.fold([f64::INFINITY, 0.0_f64], |[least, most], value| {
            [least.min(value), most.max(value)]
        });
        if !self.is_log {
            return [0.0, up([most].into_iter())];
        }
        if least > most {
            return [1.0, 10.0];
        }
        let least = 10_f64.powf(least.max(1.0).log10().floor());
        [least, 10_f64.powf(most.max(1.0).log10().ceil()).max(least * 10.0)]
    }

    /// Where a value of the horizontal axis lies.
    fn across(&self, value: f64, [least, most]: [f64; 2]) -> f64 {
        let part = if self.is_log {
            (value.max(least).log10() - least.log10()) / (most.log10() - least.log10())
        } else {
            value / most.max(f64::MIN_POSITIVE)
        };
        LEFT + (RIGHT - LEFT) * part
    }

    fn ticks(&self, range: [f64; 2]) -> Vec<(f64, f64)> {
        let [least, most] = range;
        let ticks: Vec<f64> = if self.is_log {
            std::iter::successors(Some(least), |tick| Some(tick * 10.0))
                .take_while(|tick| *tick <= most * 1.001)
                .collect()
        } else {
            (0..=4).map(|step| most * f64::from(step) / 4.0).collect()
        };
        ticks.into_iter().map(|tick| (tick, self.across(tick, range))).collect()
    }
}

/// The next round number that no value exceeds.
fn up(values: impl Iterator<Item = f64>) -> f64 {
    let most = values.fold(0.0, f64::max);
    if most <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(most.log10().floor());
    let steps = [1.0, 2.0, 4.0, 5.0, 8.0, 10.0];
    steps
        .map(|step| step * power)
        .into_iter()
        .find(|step| *step >= most)
        .unwrap_or(most)
}

fn text(svg: &mut String, [x, y]: [f64; 2], anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    write(
        svg,
        format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>\n"),
    );
}

fn line(svg: &mut String, [x, y, to_x, to_y]: [f64; 4], colour: &str) {
    write(
        svg,
        format_args!("<line x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{to_x:.1}\" y2=\"{to_y:.1}\" stroke=\"{colour}\"/>\n"),
    );
}

fn write(svg: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = svg.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Figure, Row, Style};

    fn table() -> Table {
        let row = |keys: &[&str], offered, captured| {
            let mut row = Row::new(keys, "");
            row.rounds.push(vec![Some(offered), Some(captured)]);
            row
        };
        let figure = |name| Figure {
            name,
            head: "",
            style: Style::Median,
        };
        Table {
            name: "loss",
            title: String::new(),
            conditions: Vec::new(),
            keys: vec!["receiver", "asked"],
            figures: vec![figure("offered_pps"), figure("captured_pps")],
            rows: vec![
                row(&["a & b", "fast"], 2e6, 1.5e6),
                row(&["a & b", "slow"], 1e6, 1e6),
                row(&["other", "slow"], 1e6, 0.9e6),
            ],
        }
    }

    #[test]
    fn a_line_has_its_points_in_order() {
        let chart = loss(&table());
        let (name, points) = &chart.lines[0];
        assert_eq!(
            (name.as_str(), points.as_slice()),
            ("a & b", &[[1.0, 0.0], [2.0, 25.0]][..])
        );
        let (name, points) = &chart.lines[1];
        assert_eq!((name.as_str(), points[0][1].round()), ("other", 10.0));
    }

    #[test]
    fn the_picture_has_lines_points_and_names() {
        let (word, chart) = of_table(&table()).remove(0);
        let svg = chart.svg();
        assert_eq!(word, "loss");
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains("a &amp; b") && svg.contains("offered, Mpps"), "{svg}");
        // 2 Mpps, the most, lie at the right end of the axis.
        assert!(svg.contains("cx=\"540.0\""), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn a_picture_of_nothing_is_one() {
        for is_log in [true, false] {
            let chart = Chart {
                title: String::new(),
                axes: [String::new(), String::new()],
                is_log,
                lines: Vec::new(),
            };
            let svg = chart.svg();
            assert!(
                svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"),
                "{svg}"
            );
        }
    }

    #[test]
    fn axes_end_at_round_numbers() {
        let up = |value| up([value].into_iter());
        assert_eq!((up(0.0), up(0.3), up(3.4e6), up(25.0)), (1.0, 0.4, 4e6, 40.0));
    }
}
