//! siphon and tshark on STUN: every message by method and class, over UDP and TCP, and requests with their answers.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use capture_daemon::config::Config;
use capture_daemon::replay::replay;
use capture_daemon::report::{AllocationState, Turn};
use xtask::lab::process::run;
use xtask::lab::{Need, require};

use super::captures;

/// Counts by `method class`.
type Counts = BTreeMap<String, u64>;

/// Names of the methods as IANA numbers them.
const METHODS: [(u16, &str); 8] = [
    (0x001, "binding"),
    (0x003, "allocate"),
    (0x004, "refresh"),
    (0x006, "send"),
    (0x007, "data"),
    (0x008, "create_permission"),
    (0x009, "channel_bind"),
    (0x00a, "connect"),
];

/// What a field of tshark says for each STUN message of a file: of several in a frame one behind the other.
fn fields(file: &Path, field: &str) -> Vec<String> {
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-2", "-d", "tcp.port==80,stun", "-r"]).arg(file);
    tshark.args(["-Y", "stun", "-T", "fields", "-E", "occurrence=a", "-e", field]);
    let text = run(&mut tshark).unwrap();
    let values = text.lines().flat_map(|line| line.split(','));
    values.filter(|value| !value.is_empty()).map(str::to_owned).collect()
}

fn tshark_counts(file: &Path) -> Counts {
    let mut counts = Counts::new();
    for kind in fields(file, "stun.type") {
        let kind = u16::from_str_radix(kind.trim_start_matches("0x"), 16).unwrap();
        let number = (kind & 0x000f) | ((kind & 0x00e0) >> 1) | ((kind & 0x3e00) >> 2);
        let (_, method) = METHODS.iter().find(|(known, _)| *known == number).unwrap();
        let class = match kind & 0x0110 {
            0x0000 => "request",
            0x0010 => "indication",
            0x0100 => "success",
            _ => "error",
        };
        *counts.entry(format!("{method} {class}")).or_default() += 1;
    }
    counts
}

fn siphon_counts(turn: &Turn) -> Counts {
    let figures = &turn.figures;
    [
        ("request", &figures.requests),
        ("indication", &figures.indications),
        ("success", &figures.successes),
        ("error", &figures.errors),
    ]
    .into_iter()
    .flat_map(|(class, counts)| counts.iter().map(move |(method, n)| (format!("{method} {class}"), *n)))
    .collect()
}

/// Holds the counts against tshark's, and returns what siphon says.
fn checked(test: &str, file: &Path) -> Option<Turn> {
    if !require(test, &[Need::Program("tshark")]) {
        return None;
    }
    let replayed = replay(&[file.to_owned()], &Config::default());
    assert!(replayed.errors.is_empty(), "{:?}", replayed.errors);
    let turn = replayed.document.turn;
    let counts = siphon_counts(&turn);
    assert!(!counts.is_empty());
    assert_eq!(counts, tshark_counts(file));
    assert_eq!(turn.figures.malformed, 0);
    // tshark finds the answer of a request as siphon does, and prints the seconds between the two.
    let answered: u64 = turn
        .figures
        .transactions
        .values()
        .filter_map(|of| Some(of.round_trip.as_ref()?.count))
        .sum();
    let mut times: Vec<f64> = fields(file, "stun.time")
        .iter()
        .map(|time| time.parse().unwrap())
        .collect();
    times.sort_by(f64::total_cmp);
    let repeated: u64 = turn.figures.transactions.values().map(|of| of.retransmissions).sum();
    if repeated == 0 {
        assert_eq!(answered, times.len() as u64);
        let longest = turn
            .figures
            .transactions
            .values()
            .filter_map(|of| Some(of.round_trip.as_ref()?.max_ms));
        let difference = longest.fold(0.0, f64::max) - times.last().unwrap() * 1000.0;
        assert!(difference.abs() < 0.001, "{difference} ms");
    }
    Some(turn)
}

#[test]
fn own_coturn() {
    let file = captures::own("", "coturn.pcap").unwrap();
    let Some(turn) = checked("turn::own_coturn", &file) else {
        return;
    };
    // turnutils_uclient echoes 20 messages in each of its two runs, with an allocation before that it gives up; baresip
    // allocates for RTP and for RTCP.
    let relayed: Vec<(AllocationState, u64, u64)> = turn
        .allocations
        .iter()
        .map(|one| (one.state, one.to_peers.packets, one.from_peers.packets))
        .collect();
    use AllocationState::{Active, Deleted};
    assert_eq!(
        relayed[..4],
        [(Active, 0, 0), (Deleted, 20, 20), (Active, 0, 0), (Deleted, 20, 20)]
    );
    assert!(
        turn.allocations
            .iter()
            .all(|one| one.username.as_deref() == Some("lab"))
    );
    assert_eq!(turn.figures.data_indications.packets, 40);
    assert_eq!(
        (turn.figures.challenges, turn.figures.authentication_failures),
        (6, [].into())
    );
}

#[test]
fn own_coturn_relays_what_the_other_leg_carries() {
    let file = captures::own("", "coturn.pcap").unwrap();
    let document = replay(&[file], &Config::default()).document;
    assert_eq!((document.calls.len(), document.streams.len()), (1, 4));
    let wrapped = || document.streams.iter().filter(|stream| stream.via.is_some());
    assert_eq!(wrapped().count(), 2);
    for stream in wrapped() {
        let via = stream.via.as_ref().unwrap();
        let ends = [via.relayed.as_ref().unwrap(), via.peer.as_ref().unwrap()];
        let is_plain = |other: &&capture_daemon::report::Stream| {
            other.via.is_none() && ends.contains(&&other.src) && ends.contains(&&other.dst) && other.ssrc == stream.ssrc
        };
        let plain = document.streams.iter().find(is_plain).unwrap();
        assert_eq!((stream.packets, stream.lost), (plain.packets, plain.lost));
        assert_eq!(stream.call_id, plain.call_id);
        assert!(stream.call_id.is_some());
    }
}

#[test]
fn foreign_ice() {
    let test = "turn::foreign_ice";
    let Some(file) = captures::foreign(test, "stun-ice-testcall.pcap") else {
        return;
    };
    let Some(turn) = checked(test, &file) else { return };
    // Three bindings of a server without the cookie (RFC 3489), and 44 checks between the two sides, some of them repeated.
    let of = |kind: &str| {
        (
            turn.figures.transactions[kind].requests,
            turn.figures.transactions[kind].retransmissions,
        )
    };
    assert_eq!((of("binding"), of("ice_check")), ((3, 1), (44, 5)));
    assert_eq!(turn.allocations, []);
}

#[test]
fn foreign_turn_over_tcp() {
    let test = "turn::foreign_turn_over_tcp";
    let Some(file) = captures::foreign(test, "turn.pcap") else {
        return;
    };
    let Some(turn) = checked(test, &file) else { return };
    let [allocation] = turn.allocations.as_slice() else {
        panic!("{:?}", turn.allocations)
    };
    assert_eq!(
        (allocation.transport.as_str(), allocation.state),
        ("tcp", AllocationState::Active)
    );
    assert_eq!(allocation.relayed.as_deref(), Some("104.30.147.243:51142"));
    assert_eq!((turn.figures.challenges, turn.figures.permissions), (1, 2));
    // An error without an ERROR-CODE.
    assert_eq!(turn.figures.transactions["create_permission"].errors, [(0, 1)].into());
}
