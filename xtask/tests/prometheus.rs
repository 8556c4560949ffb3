//! The laboratory's Prometheus scrapes, and promtool has an opinion.

use xtask::lab::prometheus::{Prometheus, check_metrics};
use xtask::lab::{Need, Netns, http, require};

#[test]
fn prometheus_scrapes_its_target_and_says_so() {
    let needs = [
        Need::Root,
        Need::Program("ip"),
        Need::Program("prometheus"),
        Need::Program("promtool"),
    ];
    if !require("prometheus_scrapes_its_target_and_says_so", &needs) {
        return;
    }
    let netns = Netns::new("prometheus").unwrap();
    // Its own metrics are as good as any.
    let itself = "127.0.0.1:9090".parse().unwrap();
    let prometheus = Prometheus::start(&netns, itself).unwrap();
    prometheus.wait_for_value("up{job=\"siphon\"}", |up| up == 1.0).unwrap();
    assert_eq!(prometheus.value("no_such_metric").unwrap(), None);
    let text = http::get(&netns, itself, "/metrics").unwrap();
    assert!(text.contains("# HELP prometheus_build_info"), "{text}");
}

#[test]
fn promtool_finds_what_is_wrong() {
    if !require("promtool_finds_what_is_wrong", &[Need::Program("promtool")]) {
        return;
    }
    let good = "# HELP siphon_frames_total Frames.\n# TYPE siphon_frames_total counter\nsiphon_frames_total 1\n";
    check_metrics(good).unwrap();
    let error = check_metrics("# TYPE siphon_frames counter\nsiphon_frames 1\n").unwrap_err();
    assert!(error.to_string().contains("_total"), "{error}");
}
