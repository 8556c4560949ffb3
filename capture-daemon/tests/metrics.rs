//! `/metrics`: what is exposed, that promtool is content with it, and how it is served.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line that was wrong"
)]

mod sample;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use capture_daemon::config;
use capture_daemon::control::{Health, Light, Reason};
use capture_daemon::metrics::{Exporter, GLOSSARY, Kind, Server};
use sample::fake::Fake;
use tokio::sync::oneshot;

fn page() -> String {
    Exporter::default().render(
        &sample::health(),
        &sample::status(),
        &sample::figures::signaling(),
        &sample::figures::turn(),
    )
}

/// Figure of one series, its labels in order of the glossary.
fn figure(page: &str, series: &str) -> Option<f64> {
    page.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
        .map(|figure| figure.parse().unwrap())
}

#[test]
fn every_metric_of_the_glossary_is_exposed_and_no_other() {
    let page = page();
    let mut exposed: BTreeMap<&str, &str> = BTreeMap::new();
    let mut labels: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for line in page.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            exposed.insert(name, kind);
        } else if !line.starts_with('#') && !line.is_empty() {
            let (name, rest) = line.split_once(['{', ' ']).unwrap();
            let histogram = ["_bucket", "_sum", "_count"]
                .iter()
                .filter_map(|end| name.strip_suffix(end))
                .find(|name| exposed.get(name) == Some(&"histogram"));
            let name = histogram.unwrap_or(name);
            let names = rest
                .split_once('}')
                .map_or("", |(labels, _)| labels)
                .split("\",")
                .filter_map(|label| label.split_once('=').map(|(name, _)| name.to_owned()))
                .filter(|name| histogram.is_none() || name != "le")
                .collect();
            labels.insert(name, names);
        }
    }
    let glossary: BTreeMap<&str, &str> = GLOSSARY
        .iter()
        .map(|metric| (metric.name, metric.kind.label()))
        .collect();
    assert_eq!(exposed, glossary);
    for metric in GLOSSARY {
        let expected: BTreeSet<String> = metric.labels.iter().map(|label| (*label).to_owned()).collect();
        assert_eq!(labels.get(metric.name), Some(&expected), "{}", metric.name);
        assert!(
            page.contains(&format!("# HELP {} {}\n", metric.name, metric.help)),
            "{}",
            metric.name
        );
        assert_eq!(
            metric.name.ends_with("_total"),
            metric.kind == Kind::Counter,
            "{}",
            metric.name
        );
    }
}

#[test]
fn figures_are_those_of_the_status() {
    let page = page();
    for (series, expected) in [
        ("siphon_start_time_seconds", 1_795_251_600.0),
        ("siphon_uptime_seconds", 3_725.5),
        ("siphon_health{status=\"red\"}", 1.0),
        ("siphon_health{status=\"green\"}", 0.0),
        ("siphon_health_reason{reason=\"disk_full\"}", 1.0),
        ("siphon_program_verdicts_total{verdict=\"captured_media\"}", 898_020.0),
        ("siphon_stage_seen_frames_total{stage=\"program\"}", 1_000_000.0),
        ("siphon_stage_identity_holds{stage=\"sockets\"}", 1.0),
        ("siphon_socket_rx_ring_full_frames_total{queue=\"1\"}", 7.0),
        ("siphon_sip_requests_total{method=\"INVITE\"}", 400.0),
        ("siphon_sip_responses_total{code=\"180\"}", 400.0),
        ("siphon_rtcp_packets_total{type=\"sr\"}", 900.0),
        ("siphon_rtcp_packets_total{type=\"xr\"}", 0.0),
        ("siphon_rtcp_malformed_total{reason=\"length\"}", 3.0),
        ("siphon_rtcp_round_trip_seconds_bucket{le=\"0.05\"}", 70.0),
        ("siphon_rtcp_round_trip_seconds_bucket{le=\"+Inf\"}", 91.0),
        ("siphon_rtcp_round_trip_seconds_sum", 4.2),
        ("siphon_rtcp_fraction_lost_ratio_count", 0.0),
        ("siphon_rtp_packets_total", 898_000.0),
        ("siphon_rtp_lost_packets_total", 1_200.0),
        ("siphon_rtp_discarded_packets_total{buffer=\"fixed_50\"}", 300.0),
        ("siphon_rtp_streams_ended_total", 776.0),
        ("siphon_rtp_dtmf_digits_total", 16.0),
        ("siphon_t38_packets_total", 500.0),
        ("siphon_rtp_jitter_seconds_bucket{le=\"0.01\"}", 760.0),
        ("siphon_rtp_lost_ratio_sum", 1.25),
        ("siphon_rtp_events_total{event=\"codec_change\"}", 9.0),
        ("siphon_rtp_streams_noted_total{what=\"clock_mismatch\"}", 1.0),
        ("siphon_rtp_streams_linked_total{by=\"symmetric\"}", 4.0),
        ("siphon_rtp_delta_max_seconds_sum", 31.5),
        ("siphon_rtp_skew_max_seconds_bucket{le=\"0.04\"}", 770.0),
        ("siphon_rtp_burst_density_ratio_sum", 4.5),
        ("siphon_rtp_gap_density_ratio_count", 776.0),
        ("siphon_rtp_r_lq_sum{model=\"G.107\",buffer=\"fixed_50\"}", 72_000.5),
        ("siphon_rtp_r_cq_sum{model=\"G.107\",buffer=\"fixed_50\"}", 60_000.5),
        ("siphon_rtp_mos_cq_sum{model=\"G.107\",buffer=\"fixed_50\"}", 3_120.5),
        ("siphon_sip_calls_noted_total{what=\"transfer\"}", 5.0),
        ("siphon_sip_info_digits_total", 4.0),
        (
            "siphon_rtp_mos_lq_bucket{model=\"G.107\",buffer=\"fixed_50\",le=\"4\"}",
            770.0,
        ),
        ("siphon_rtp_mos_lq_count{model=\"G.107\",buffer=\"fixed_50\"}", 776.0),
        ("siphon_calls_ended_total{by=\"no_bye\"}", 8.0),
        ("siphon_one_way_calls_total", 3.0),
        ("siphon_no_media_calls_total", 1.0),
        ("siphon_calls{state=\"answered\"}", 2.0),
        ("siphon_calls{state=\"trying\"}", 0.0),
        ("siphon_registrations{state=\"registered\"}", 12.0),
        (
            "siphon_sip_transactions_total{method=\"INVITE\",result=\"challenged\"}",
            12.0,
        ),
        ("siphon_sip_transactions_total{method=\"INVITE\",result=\"4xx\"}", 5.0),
        (
            "siphon_sip_transactions_total{method=\"INVITE\",result=\"timed_out\"}",
            1.0,
        ),
        ("siphon_sip_retransmissions_total{method=\"REGISTER\"}", 3.0),
        (
            "siphon_sip_transaction_seconds_bucket{method=\"INVITE\",le=\"10\"}",
            204.0,
        ),
        (
            "siphon_sip_transaction_seconds_bucket{method=\"INVITE\",le=\"20\"}",
            408.0,
        ),
        (
            "siphon_sip_transaction_seconds_bucket{method=\"INVITE\",le=\"+Inf\"}",
            408.0,
        ),
        ("siphon_sip_transaction_seconds_sum{method=\"INVITE\"}", 2_529.6),
        ("siphon_sip_transaction_seconds_count{method=\"INVITE\"}", 408.0),
        ("siphon_sip_events_total{package=\"presence\",what=\"notify\"}", 70.0),
        ("siphon_sip_registration_attempts_total{result=\"refused\"}", 6.0),
        ("siphon_sip_session_request_delay_seconds_count{result=\"failed\"}", 8.0),
        ("siphon_sip_post_dial_delay_seconds_bucket{le=\"2.5\"}", 195.0),
        ("siphon_sip_session_establishment_ratio", 388.0 / 397.0),
        (
            "siphon_stun_messages_total{method=\"binding\",class=\"success\"}",
            900.0,
        ),
        ("siphon_stun_errors_total{method=\"allocate\",code=\"486\"}", 9.0),
        ("siphon_stun_unanswered_total{method=\"ice_check\"}", 1.0),
        ("siphon_stun_round_trip_seconds_count{method=\"allocate\"}", 399.0),
        ("siphon_turn_challenges_total", 200.0),
        ("siphon_turn_authentication_failures_total{code=\"438\"}", 4.0),
        ("siphon_turn_allocations{state=\"active\"}", 120.0),
        ("siphon_turn_allocations{state=\"joined\"}", 0.0),
        ("siphon_turn_allocations_over_total{result=\"expired\"}", 5.0),
        ("siphon_turn_channels", 110.0),
        ("siphon_turn_relayed_bytes_total{by=\"channel\"}", 172_000_000.0),
        ("siphon_spool_writing", 0.0),
        ("siphon_spool_disk_size_bytes", 500_000_000.0),
        ("siphon_control_rejected_clients_total", 1.0),
    ] {
        assert_eq!(figure(&page, series), Some(expected), "{series}");
    }
}

#[test]
fn counters_never_go_back_and_states_that_are_empty_read_zero() {
    let exporter = Exporter::default();
    exporter.render(
        &sample::health(),
        &sample::status(),
        &sample::figures::signaling(),
        &sample::figures::turn(),
    );
    let mut status = sample::status();
    status.sip.messages = 5;
    status.calls.states.clear();
    let health = Health {
        reasons: vec![Reason {
            what: "ring_drops".to_owned(),
            status: Light::Yellow,
            since: sample::at(1),
            detail: String::new(),
        }],
        ..sample::health()
    };
    // A message that came late has moved a time into another bucket, and a transaction is between two places.
    let mut signaling = sample::figures::signaling();
    let register = signaling.transactions.get_mut("REGISTER").unwrap();
    register.response_time = Some(sample::figures::latency(1_197, 150.0));
    let page = exporter.render(&health, &status, &signaling, &sample::figures::turn());
    assert_eq!(figure(&page, "siphon_sip_messages_total"), Some(1_980.0));
    let series = "siphon_sip_transaction_seconds_count{method=\"REGISTER\"}";
    assert_eq!(figure(&page, series), Some(1_198.0));
    assert_eq!(figure(&page, "siphon_calls{state=\"answered\"}"), Some(0.0));
    assert_eq!(figure(&page, "siphon_health_reason{reason=\"disk_full\"}"), Some(0.0));
    assert_eq!(figure(&page, "siphon_health_reason{reason=\"ring_drops\"}"), Some(1.0));
}

#[test]
fn promtool_is_content() {
    let Ok(mut promtool) = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    else {
        sample::skip(
            "promtool_is_content",
            "promtool (Debian package prometheus) is not installed",
        );
        return;
    };
    promtool.stdin.take().unwrap().write_all(page().as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&said), "");
    assert!(output.status.success());
}

/// Serves the sample on a port of its own, runs `test` against it, and gives what the server's end says.
fn serving(test: impl FnOnce(SocketAddr)) {
    let config = config::Metrics {
        listen: "127.0.0.1:0".parse().unwrap(),
        ..config::Metrics::default()
    };
    let (address_is, address) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let server = Server::bind(&config).await.unwrap();
            address_is.send(server.address()).unwrap();
            let stop = async { stopped.await.unwrap() };
            server.serve(Arc::new(Fake::default()), stop).await;
        });
    });
    test(address.recv().unwrap());
    stop.send(()).unwrap();
    thread.join().unwrap();
}

fn get(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: siphon\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn a_scrape_over_http() {
    serving(|address| {
        let response = get(address, "GET /metrics");
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(
            head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
            "{head}"
        );
        assert_eq!(figure(body, "siphon_sip_messages_total"), Some(1_980.0));
        assert!(get(address, "GET /nothing").starts_with("HTTP/1.1 404 "));
        assert!(get(address, "POST /metrics").starts_with("HTTP/1.1 405 "));
    });
}

/// Ends a program that a test started, also when the test fails.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_real_prometheus_scrapes_it() {
    serving(|address| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prometheus.yml");
        let job = format!(
            "scrape_configs:\n- job_name: siphon\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['{address}']\n"
        );
        std::fs::write(&file, job).unwrap();
        // Free a moment ago; Prometheus takes no port 0.
        let own = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let Ok(prometheus) = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={own}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
        else {
            sample::skip("a_real_prometheus_scrapes_it", "prometheus is not installed");
            return;
        };
        let mut prometheus = Running(prometheus);
        let begun = std::time::Instant::now();
        let query = |query: &str| -> String {
            if TcpStream::connect(own).is_err() {
                return String::new();
            }
            get(own, &format!("GET /api/v1/query?query={query}"))
        };
        let mut scraped = String::new();
        while !scraped.contains("\"1980\"") {
            assert!(begun.elapsed() < Duration::from_secs(60), "{scraped}");
            assert_eq!(prometheus.0.try_wait().unwrap(), None, "prometheus ended");
            std::thread::sleep(Duration::from_millis(200));
            scraped = query("siphon_sip_messages_total");
        }
        assert!(query("up").contains("\"1\""));
        // Every metric came over with its kind.
        let metadata = get(own, "GET /api/v1/metadata?limit=1000");
        for metric in GLOSSARY {
            assert!(
                metadata.contains(&format!("\"{}\":[{{\"type\":\"{}\"", metric.name, metric.kind.label())),
                "{}",
                metric.name
            );
        }
    });
}

#[test]
fn a_client_that_says_nothing_does_not_delay_the_stop() {
    let mut silent = None;
    serving(|address| silent = Some(TcpStream::connect(address).unwrap()));
    assert_eq!(silent.unwrap().read(&mut [0]).unwrap_or(0), 0);
}

#[test]
fn an_address_in_use_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = config::Metrics {
        listen: taken.local_addr().unwrap(),
        ..config::Metrics::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let error = runtime.block_on(Server::bind(&config)).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "serving /metrics on {}: listen: Address already in use (os error 98)",
            config.listen
        )
    );
}
