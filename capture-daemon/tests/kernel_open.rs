//! Opening: what is refused, with the reason an operator needs, and what is asked of the interface.

#![expect(clippy::unwrap_used, reason = "all of this is tests")]

mod kernel_lab;

use std::fs;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use capture_common::Fate;
use capture_daemon::config::{Attach, Capture};
use capture_daemon::program::{self, OpenError};
use kernel_lab::frames::datagram;
use kernel_lab::{CAPTURE, PATIENCE, Sender, Wire, config, receive};

#[test]
fn an_interface_with_an_address_is_refused_unless_told_twice() {
    let wire = Wire {
        address: Some("10.1.0.1/24"),
        ..Wire::new(1, 1500)
    };
    wire.run("an_interface_with_an_address_is_refused_unless_told_twice", || {
        let error = program::open(&config()).unwrap_err();
        assert!(matches!(error, OpenError::OwnAddress { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("10.1.0.1") && text.contains("--steal-traffic"), "{text}");
        let attached = std::process::Command::new("ip")
            .args(["link", "show", CAPTURE])
            .output()
            .unwrap();
        let attached = String::from_utf8(attached.stdout).unwrap();
        assert!(attached.contains(CAPTURE) && !attached.contains("xdp"), "{attached}");
        let capture = Capture {
            steal_traffic: true,
            ..config()
        };
        let (program, mut lanes) = program::open(&capture).unwrap();
        Sender::open().send(&datagram(5060, 5060, b"to the host itself"));
        let mut received = Vec::new();
        receive(&program, &mut lanes, 1, &mut received);
        assert_eq!(received.len(), 1);
    });
}

/// What the verifier followed when this was written, with kernel 6.18.
const VERIFIED: u32 = 178_269;

/// The verifier's limit is a million; the program has room to grow, and when it does, this says so.
#[test]
fn the_verifier_follows_no_more_than_it_did() {
    Wire::new(1, 1500).run("the_verifier_follows_no_more_than_it_did", || {
        let (program, _lanes) = program::open(&config()).unwrap();
        let followed = program.obtained().verified_instructions.unwrap();
        assert!(
            followed <= VERIFIED + VERIFIED / 10,
            "{followed} instructions, {VERIFIED} before"
        );
    });
}

#[test]
fn a_missing_interface_is_named() {
    Wire::new(1, 1500).run("a_missing_interface_is_named", || {
        let capture = Capture {
            interface: "nowhere".to_owned(),
            ..config()
        };
        let error = program::open(&capture).unwrap_err().to_string();
        assert!(error.contains("no interface nowhere"), "{error}");
    });
}

#[test]
fn a_second_capture_is_refused_and_leaves_the_first_alone() {
    Wire::new(1, 1500).run("a_second_capture_is_refused_and_leaves_the_first_alone", || {
        let (program, mut lanes) = program::open(&config()).unwrap();
        let error = program::open(&config()).unwrap_err().to_string();
        assert!(error.contains("native") && error.contains("generic"), "{error}");
        assert!(
            error.contains("another siphon") && error.contains("ip link show"),
            "{error}"
        );
        let capture = Capture {
            attach: Attach::Native,
            ..config()
        };
        let error = program::open(&capture).unwrap_err().to_string();
        assert!(error.contains("os error 16"), "busy: {error}");
        Sender::open().send(&datagram(5060, 5060, b"still here"));
        let mut received = Vec::new();
        receive(&program, &mut lanes, 1, &mut received);
        assert_eq!(received.len(), 1);
    });
}

#[test]
fn the_interface_is_promiscuous_as_long_as_it_is_captured() {
    Wire::new(1, 1500).run("the_interface_is_promiscuous_as_long_as_it_is_captured", || {
        let flags = || {
            let text = fs::read_to_string(format!("/sys/class/net/{CAPTURE}/flags")).unwrap();
            u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).unwrap() & libc::IFF_PROMISC as u32
        };
        assert_eq!(flags(), 0);
        let opened = program::open(&config()).unwrap();
        assert_ne!(flags(), 0);
        drop(opened);
        assert_eq!(flags(), 0);
        let capture = Capture {
            promiscuous: false,
            ..config()
        };
        let _opened = program::open(&capture).unwrap();
        assert_eq!(flags(), 0);
    });
}

#[test]
fn the_interfaces_own_counters_are_read() {
    Wire::new(1, 1500).run("the_interfaces_own_counters_are_read", || {
        let (program, mut lanes) = program::open(&config()).unwrap();
        let before = program.interface_counters().unwrap();
        let frame = datagram(5060, 5060, &[0; 100]);
        Sender::open().send(&frame);
        receive(&program, &mut lanes, 1, &mut Vec::new());
        let after = program.interface_counters().unwrap();
        assert_eq!(after.rx_packets - before.rx_packets, 1);
        // veth counts without the Ethernet header, other drivers with it.
        assert!(after.rx_bytes - before.rx_bytes >= frame.len() as u64 - 14);
        assert_eq!(after.rx_dropped, before.rx_dropped);
    });
}

/// A frame that found no room in its socket's rings is the socket's loss, and not the interface's beside that.
#[test]
fn what_a_socket_has_no_room_for_is_counted_once() {
    Wire::new(1, 1500).run("what_a_socket_has_no_room_for_is_counted_once", || {
        for attach in [Attach::Native, Attach::Generic] {
            let capture = Capture {
                attach,
                ring_entries: 64,
                umem_frames: 64,
                ..config()
            };
            let (program, lanes) = program::open(&capture).unwrap();
            let before = program.interface_counters().unwrap();
            let sender = Sender::open();
            for _ in 0..200 {
                sender.send(&datagram(5060, 5060, &[0; 100]));
            }
            let captured = || program.verdicts().unwrap().frames(Fate::Captured);
            let deadline = Instant::now() + PATIENCE;
            while captured() < 200 {
                assert!(Instant::now() < deadline, "{} of 200", captured());
                std::thread::sleep(Duration::from_millis(1));
            }
            lanes[0].read_statistics().unwrap();
            let socket = lanes[0].counters();
            let in_sockets = socket.rx_dropped.get() + socket.rx_ring_full.get();
            assert_eq!(in_sockets, 200 - 64, "{attach:?}");
            let after = program.interface_counters().unwrap();
            if attach == Attach::Native {
                assert_eq!(after.rx_dropped - before.rx_dropped, in_sockets, "veth counts them too");
            }
            // What was lost before siphon came is not of this daemon.
            let lost = program.interface_lost(&after, in_sockets) - program.interface_lost(&before, 0);
            assert_eq!(lost, 0, "{attach:?}");
        }
    });
}

#[test]
fn the_kernel_log_speaks_only_when_it_is_asked_to() {
    Wire::new(1, 1500).run("the_kernel_log_speaks_only_when_it_is_asked_to", || {
        let (mut program, lanes) = program::open(&config()).unwrap();
        assert!(program.take_kernel_log().is_none());
        drop((program, lanes));
        let capture = Capture {
            kernel_log: true,
            ..config()
        };
        let (mut program, mut lanes) = program::open(&capture).unwrap();
        let mut log = program.take_kernel_log().unwrap();
        let lines = kernel_lab::lines::Lines::default();
        let guard = tracing::subscriber::set_default(lines.subscriber());
        Sender::open().send(&datagram(5060, 5060, &[0; 100]));
        receive(&program, &mut lanes, 1, &mut Vec::new());
        let deadline = Instant::now() + PATIENCE;
        while lines.text().is_empty() {
            assert!(Instant::now() < deadline, "no line");
            log.flush();
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(guard);
        assert!(
            lines.text().contains("captured: verdict 0, queue 0, 142 bytes"),
            "{}",
            lines.text()
        );
        assert!(rustix::io::fcntl_getfd(log.as_fd()).is_ok());
    });
}

#[test]
fn an_interface_that_goes_away_is_an_error_with_its_name() {
    Wire::new(1, 1500).run("an_interface_that_goes_away_is_an_error_with_its_name", || {
        let (_program, lanes) = program::open(&config()).unwrap();
        assert!(!lanes[0].poll(Duration::ZERO).unwrap());
        let deleted = std::process::Command::new("ip")
            .args(["link", "delete", CAPTURE])
            .status()
            .unwrap();
        assert!(deleted.success());
        let deadline = Instant::now() + PATIENCE;
        let error = loop {
            match lanes[0].poll(Duration::from_millis(10)) {
                Err(error) => break error.to_string(),
                Ok(_) => assert!(Instant::now() < deadline, "still there"),
            }
        };
        assert!(error.contains("in queue 0"), "{error}");
    });
}

#[test]
fn without_capabilities_the_error_names_them() {
    const TEST: &str = "without_capabilities_the_error_names_them";
    const NONE: &str = "SIPHON_TEST_NONE";
    Wire::new(1, 1500).run(TEST, || {
        if std::env::var_os(NONE).is_some() {
            let error = program::open(&config()).unwrap_err().to_string();
            assert!(error.contains("CAP_BPF") && error.contains("os error 1"), "{error}");
            return;
        }
        as_if_granted("-all", TEST, NONE);
    });
}

/// Runs a test again with these capabilities only, in setpriv's notation, and the variable `told` set.
fn as_if_granted(capabilities: &str, test: &str, told: &str) {
    let output = std::process::Command::new("setpriv")
        .args([&format!("--bounding-set={capabilities}"), "--inh-caps=-all"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(told, "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The capabilities the service unit grants, as setpriv(1) takes them.
fn granted() -> String {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/siphon.service");
    let unit = fs::read_to_string(unit).unwrap();
    let set = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.to_lowercase().replace("cap_", "+").replace(' ', ",")
    };
    let ambient = set("AmbientCapabilities=");
    assert_eq!(ambient, set("CapabilityBoundingSet="));
    ambient
}

#[test]
fn what_the_service_unit_grants_is_enough() {
    const TEST: &str = "what_the_service_unit_grants_is_enough";
    const LEAST: &str = "SIPHON_TEST_LEAST";
    Wire::new(1, 1500).run(TEST, || {
        if std::env::var_os(LEAST).is_some() {
            let (program, mut lanes) = program::open(&config()).unwrap();
            Sender::open().send(&datagram(5060, 5060, b"with little"));
            let mut received = Vec::new();
            receive(&program, &mut lanes, 1, &mut received);
            assert_eq!(received.len(), 1);
            return;
        }
        as_if_granted(&format!("-all,{}", granted()), TEST, LEAST);
    });
}
