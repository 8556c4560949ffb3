//! Histograms in the exposition format. The recorder makes its own from single samples; the engine counts into buckets
//! as the calls go by, so the lines are written here.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::glossary::{GLOSSARY, Kind, Metric};
use crate::report::{BUCKETS_MS, Bucket, Distribution, Latency};

/// The histograms that were ever given, kept between scrapes so that no bucket goes back: what was counted may change a
/// little when a message comes out of order.
#[derive(Debug, Default)]
pub struct Histograms(BTreeMap<(&'static str, Vec<String>), Distribution>);

impl Histograms {
    /// Sets the latencies for these values of the labels.
    pub fn set(&mut self, metric: &Metric, values: &[&str], now: Option<&Latency>) {
        let Some(now) = now else { return };
        let ends = BUCKETS_MS.iter().map(|ms| *ms as f64 / 1e3);
        let buckets = ends.zip(&now.buckets).map(|(le, count)| Bucket { le, count: *count });
        let now = Distribution {
            buckets: buckets.collect(),
            count: now.count,
            sum: now.sum_s,
        };
        self.set_distribution(metric, values, &now);
    }

    /// Sets figures of any kind.
    pub fn set_distribution(&mut self, metric: &Metric, values: &[&str], now: &Distribution) {
        let key = (metric.name, values.iter().map(|value| (*value).to_owned()).collect());
        let known = self.0.entry(key).or_insert_with(|| now.clone());
        for (known, now) in known.buckets.iter_mut().zip(&now.buckets) {
            known.count = known.count.max(now.count);
        }
        known.count = known.count.max(now.count);
        known.sum = known.sum.max(now.sum);
    }

    /// Appends them to `page`, in the order of the glossary.
    pub fn render(&self, page: &mut String) {
        for metric in GLOSSARY.iter().filter(|metric| metric.kind == Kind::Histogram) {
            let mut series = self.0.iter().filter(|((name, _), _)| *name == metric.name).peekable();
            if series.peek().is_none() {
                continue;
            }
            // Writing to a String cannot fail.
            let _ = write!(page, "# HELP {0} {1}\n# TYPE {0} histogram\n", metric.name, metric.help);
            for ((name, values), known) in series {
                let labels = |more: &str| braced(metric.labels, values, more);
                for Bucket { le, count } in &known.buckets {
                    let le = labels(&format!("le=\"{le}\""));
                    let _ = writeln!(page, "{name}_bucket{le} {count}");
                }
                let infinite = labels("le=\"+Inf\"");
                let _ = writeln!(page, "{name}_bucket{infinite} {}", known.count);
                let _ = writeln!(page, "{name}_sum{} {}", labels(""), known.sum);
                let _ = writeln!(page, "{name}_count{} {}", labels(""), known.count);
            }
            page.push('\n');
        }
    }
}

/// Labels with their values, and one more; nothing where there is none. The values are siphon's own words.
fn braced(names: &[&str], values: &[String], more: &str) -> String {
    let mut pairs: Vec<String> = names
        .iter()
        .zip(values)
        .map(|(name, value)| format!("{name}=\"{value}\""))
        .collect();
    if !more.is_empty() {
        pairs.push(more.to_owned());
    }
    match pairs.is_empty() {
        true => String::new(),
        false => format!("{{{}}}", pairs.join(",")),
    }
}
