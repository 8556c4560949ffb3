//! The configuration file: what it takes, what it refuses and in which words.

use std::time::Duration;

use capture_common::Level;
use proptest::prelude::*;
use toml::de::DeTable;

use super::file::{check, default_file, load, parse};
use super::keys::KEYS;
use super::rules::rule_as_toml;
use super::{Config, Mode, PortRange};

/// Problems as a user reads them.
fn problems(text: &str) -> Vec<String> {
    parse(text)
        .unwrap_err()
        .iter()
        .map(|problem| {
            format!(
                "{}: {problem}",
                problem.line.map_or("-".to_owned(), |line| line.to_string())
            )
        })
        .collect()
}

#[test]
fn a_template_that_the_spool_refuses_is_wrong() {
    for template in ["{time}{lane}", "{lane}-{time}-{time}", "{lane}-{time}.part"] {
        let problems = parse(&format!("[spool]\ntemplate = \"{template}\"")).unwrap_err();
        let [problem] = problems.as_slice() else {
            panic!("{template}: {problems:?}");
        };
        assert_eq!(
            (problem.line, problem.key.as_deref()),
            (Some(2), Some("spool.template"))
        );
    }
}

#[test]
fn the_default_file_is_the_default_configuration() {
    assert_eq!(parse(&default_file()), Ok(Config::default()));
    assert_eq!(parse(""), Ok(Config::default()));
}

#[test]
fn every_key_of_the_structs_is_in_the_table() {
    // Debug prints every field of a struct, whatever this table says.
    let text = format!("{:#?}", Config::default());
    let fields: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("        ") && !line.starts_with("         "))
        .filter_map(|line| line.trim().split_once(": "))
        .map(|(field, _)| field)
        .collect();
    let keys: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    assert_eq!(fields, keys);
}

#[test]
fn every_key_changes_what_it_names() {
    let text = r#"
        [capture]
        interface = "mirror0"
        mode = "host"
        steal_traffic = true
        sip_ports = [5080]
        websocket_ports = [80]
        turn_ports = [3480]
        media_ports = ["16384-32767", 4000]
        tunnels = ["erspan", "gtp_u"]
        media = "learned"
        level = "headers"
        early_packets = 7
        attach = "tcx"
        bind = "zero-copy"
        cpus = [2, 3]
        ring_entries = 2048
        umem_frames = 4096
        frame_size = "4KiB"
        huge_pages = false
        ring_size = "1MiB"
        promiscuous = false
        kernel_log = true
        [follow]
        max_calls = 10
        max_registrations = 11
        max_transactions = 16
        max_streams = 12
        waiting_room = 16
        max_endpoints = 13
        max_faxes = 17
        sdp_memory = "64MiB"
        nat = ["symmetric"]
        rtp_without_sip = true
        max_rtcp_sources = 16
        max_fragments = 15
        fragment_buffer = "8MiB"
        max_tcp_streams = 14
        max_allocations = 16
        max_stun_transactions = 17
        tcp_buffer = "256KiB"
        tcp_memory = "32MiB"
        linger = "1m"
        invite_timeout = "200s"
        request_timeout = "33s"
        answered_timeout = "1h"
        max_messages = 20
        headers = ["Server"]
        correlate = []
        [spool]
        enabled = false
        directory = "/data"
        format = "pcapng"
        template = "{time}-{lane}"
        rotate_size = "2GB"
        rotate_interval = "10m"
        max_total = "10TiB"
        max_age = "7d"
        flush_interval = "250ms"
        chunk_size = "2MiB"
        chunks = 64
        [control]
        socket = "/tmp/s"
        mode = 0o600
        max_clients = 2
        max_request = "4KiB"
        request_timeout = "1s"
        idle_timeout = "2s"
        write_timeout = "3s"
        [metrics]
        enabled = false
        listen = "[::1]:9000"
        [privacy]
        dtmf = "shown"
        [log]
        filter = "debug"
    "#;
    let config = parse(text).unwrap();
    let written = |config: &Config| KEYS.iter().map(|key| (key.write)(config)).collect::<Vec<_>>();
    let same: Vec<&str> = KEYS
        .iter()
        .zip(written(&config).iter().zip(&written(&Config::default())))
        .filter(|(_, (value, default))| value == default)
        .map(|(key, _)| key.name)
        .collect();
    assert!(same.is_empty(), "{same:?}");
    assert_eq!(config.spool.rotate_size, 2_000_000_000);
    assert_eq!(config.spool.max_total, 10 << 40);
    assert_eq!(config.capture.frame_size, 4096);
    assert_eq!(config.control.mode, 0o600);
    assert_eq!(config.spool.flush_interval.as_millis(), 250);
}

#[test]
fn unknown_keys_name_the_line_and_the_nearest() {
    assert_eq!(
        problems("[capture]\ninterface = \"eth0\"\nring_entires = 64\n\n[spol]\nchunks = 4\n"),
        [
            "3: capture.ring_entires: unknown key; did you mean ring_entries?",
            "5: unknown section [spol]; did you mean [spool]?",
        ]
    );
    assert_eq!(
        problems("interface = \"eth0\"\n[zzz]\n[log]\nlisten = 1\nqqq = 2\n[metrics]\nrotate_size = 1"),
        [
            "1: interface belongs under [capture]",
            "2: unknown section [zzz]; there are [capture] [follow] [spool] [control] [metrics] [privacy] [log] \
             [[rules]]",
            "4: log.listen: unknown key; metrics.listen is one",
            "5: log.qqq: unknown key; [log] has filter",
            "7: metrics.rotate_size: unknown key; spool.rotate_size is one",
        ]
    );
}

#[test]
fn all_chunks_together_are_bounded() {
    assert_eq!(
        problems("[spool]\nchunks = 65536\nchunk_size = \"1MiB\"\n"),
        ["2: spool.chunks: 68719476736 bytes of chunks for each lane are more than 17179869184"]
    );
    assert!(parse("[spool]\nchunks = 16384\nchunk_size = \"1MiB\"\n").is_ok());
}

#[test]
fn wrong_values_say_what_would_be_right() {
    assert_eq!(
        problems(
            "[capture]\nmode = \"tap\"\nattach = 1\ncpus = 3\nsip_ports = [5060, 70000]\nmedia_ports = [\"9-1\"]\n\
             huge_pages = \"yes\"\nring_entries = -1\n[follow]\nlinger = 10\n[spool]\nrotate_size = \"1GX\"\n\
             directory = \"\"\n[control]\nmode = 660\n[metrics]\nlisten = \"localhost\"\n[log]\nfilter = [1]\n"
        ),
        [
            "2: capture.mode: expected \"mirror\" or \"host\" or \"packet\", found \"tap\"",
            "3: capture.attach: expected \"auto\" or \"native\" or \"generic\" or \"tcx\", found the number 1",
            "4: capture.cpus: expected a list of CPU numbers such as [2, 3], found the number 3",
            "5: capture.sip_ports: expected a list of ports (1 to 65535) such as [5060, 5061], found the number 70000",
            "6: capture.media_ports: expected a list of ports and ranges (1 to 65535, the lower first) such as \
             [\"10000-65535\", 4000], found \"9-1\"",
            "7: capture.huge_pages: expected true or false, found \"yes\"",
            "8: capture.ring_entries: expected a whole number, found the number -1",
            "10: follow.linger: expected a duration such as \"250ms\", \"1s\", \"10m\", \"1h\", \"7d\" or 0, found the number 10",
            "12: spool.rotate_size: expected a size such as \"512MB\", \"1GiB\" or a number of bytes, found \"1GX\"",
            "13: spool.directory: expected a path, found \"\"",
            "15: control.mode: expected permission bits in octal such as \"0660\", found the number 660",
            "17: metrics.listen: expected an address and port such as \"127.0.0.1:9464\" or \"[::1]:9464\", found \"localhost\"",
            "19: log.filter: expected a string, found a list",
        ]
    );
}

#[test]
fn values_that_do_not_fit_together_are_refused() {
    assert_eq!(
        problems(
            "[capture]\ninterface = \"a/b\"\nsip_ports = []\ncpus = [4096]\nring_entries = 1000\numem_frames = 64\n\
             frame_size = 8192\n[follow]\nmax_calls = 0\ninvite_timeout = 0\n[spool]\ntemplate = \"a/{lane}{x}}\"\n\
             rotate_size = 1\nrotate_interval = \"2d\"\nmax_total = \"1B\"\nflush_interval = 0\nchunks = 1\n\
             [control]\nmode = \"1777\"\nmax_request = 1\n[log]\nfilter = \"a=b=c\"\n"
        ),
        [
            "2: capture.interface: \"a/b\" is not the name of an interface (at most 15 bytes, no \"/\", \":\" or space)",
            "3: capture.sip_ports: at least one port is needed",
            "4: capture.cpus: CPU 4096 is above the highest, 1023",
            "5: capture.ring_entries: 1000 is not a power of two between 64 and 1048576",
            "6: capture.umem_frames: 64 is below ring_entries (1000): the fill ring could never be full",
            "7: capture.frame_size: 8192 is neither 2048 nor 4096",
            "9: follow.max_calls: 0 is not between 1 and 268435456",
            "10: follow.invite_timeout: must be longer than 0",
            "12: spool.template: \"a/{lane}{x}}\" lacks {time}: two files could have the same name",
            "12: spool.template: \"a/{lane}{x}}\" names a folder; that is spool.directory",
            "12: spool.template: {x} is not known; {interface}, {lane}, {time} and {extension} are",
            "12: spool.template: \"a/{lane}{x}}\" has a \"}\" that closes nothing",
            "13: spool.rotate_size: 1 is below chunk_size (1048576)",
            "14: spool.rotate_interval: must be longer than 0 and at most a day",
            "16: spool.flush_interval: must be longer than 0",
            "17: spool.chunks: 1 is not between 2 and 65536",
            "19: control.mode: 1777 is above 777",
            "20: control.max_request: 1 is not between 256 and 1048576",
            "22: log.filter: \"a=b=c\" is not a filter such as \"info\" or \"info,capture_daemon::xsk=debug\"",
        ]
    );
}

#[test]
fn workers_go_before_others_on_a_mirror_port_or_where_the_file_says_so() {
    let raises = |keys: &str| parse(&format!("[capture]\n{keys}\n")).unwrap().capture.raise_priority;
    assert!(raises(""));
    assert!(!raises("raise_priority = false"));
    for mode in ["host", "packet"] {
        assert!(!raises(&format!("mode = \"{mode}\"")), "{mode}");
        assert!(raises(&format!("mode = \"{mode}\"\nraise_priority = true")), "{mode}");
    }
}

#[test]
fn packet_mode_is_chosen_by_name_and_has_what_needs_no_kernel_program() {
    assert_eq!(Config::default().capture.mode, Mode::Mirror);
    for media in ["off", "range"] {
        let text = format!("[capture]\nmode = \"packet\"\nmedia = \"{media}\"\nattach = \"auto\"\n");
        let capture = parse(&text).unwrap().capture;
        assert_eq!((capture.mode, capture.level), (Mode::Packet, Level::Headers));
    }
    let full = parse("[capture]\nmode = \"packet\"\nlevel = \"full\"\n").unwrap();
    assert_eq!(full.capture.level, Level::Full);
    for media in ["learned", "measured"] {
        let text = format!("[capture]\nmode = \"packet\"\nattach = \"tcx\"\nmedia = \"{media}\"\nkernel_log = true\n");
        assert_eq!(
            problems(&text),
            [
                "3: capture.attach: in packet mode nothing is attached; only \"auto\" goes with it".to_owned(),
                format!(
                    "4: capture.media: \"{media}\" needs the kernel program, which packet mode has not; capture.mode = \"host\" \
                     and \"mirror\" have it, \"range\" and \"off\" go with packet mode"
                ),
                "5: capture.kernel_log: packet mode has no kernel program; capture.mode = \"host\" and \"mirror\" have one"
                    .to_owned(),
            ]
        );
    }
}

#[test]
fn rules_are_read_and_all_that_is_wrong_with_them_is_named_by_line() {
    let text = "[[rules]]\nname = \"support\"\nlevel = \"full\"\nfrom = \"+49-211-*\"\n\
                header = { name = \"X-Customer\", value = \"acme*\" }\n\n\
                [[rules]]\nname = \"one-in-ten\"\nlevel = \"headers\"\nsample = 0.1\n\
                [[rules]]\nname = \"rest\"\nlevel = \"signaling\"\nsample = 1\n";
    let config = parse(text).unwrap();
    let names: Vec<&str> = config.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["support", "one-in-ten", "rest"]);
    let written: String = config.rules.iter().map(rule_as_toml).collect();
    assert_eq!(parse(&written).unwrap().rules, config.rules);
    assert_eq!(
        problems(
            "[[rules]]\nname = \"two words\"\nlevel = \"some\"\n[[rules]]\nname = \"a\"\nlevel = \"full\"\n\
             sample = 1.5\naddress = \"192.0.2.1/24\"\ncolour = \"red\"\n[[rules]]\nname = \"b\"\n\
             [[rules]]\nname = \"c\"\nlevel = \"full\"\nfrom = \"\"\nheader = { name = \"X-A\" }\n\
             [[rules]]\nname = \"d\"\nlevel = \"full\"\n[[rules]]\nname = \"d\"\nlevel = \"full\"\n"
        ),
        [
            "2: rules.name: expected letters, digits, -, _ and . (at most 64)",
            "3: rules.level: expected \"signaling\", \"headers\" or \"full\"",
            "7: rules.sample: expected a number from 0.0 to 1.0",
            "8: rules.address: 192.0.2.1 is in the network \"192.0.2.0/24\"",
            "9: rules.colour: a rule says nothing of this name; it may say name, level, from, to, number, address, \
             call_id, user_agent, codec, header, sample",
            "10: rules: a rule has a level: \"signaling\", \"headers\" or \"full\"",
            "15: rules.from: an empty pattern matches nothing; \"*\" matches everything",
            "16: rules.header: expected a name and a pattern such as { name = \"X-Customer\", value = \"acme*\" }",
            "20: rules.name: a rule called d is there already",
        ]
    );
    assert_eq!(
        problems("rules = 1\n"),
        ["1: rules are a list: write [[rules]] above each"]
    );
    assert_eq!(
        problems("[rules]\nname = \"a\"\n"),
        ["1: rules are a list: write [[rules]] above each"]
    );
    assert_eq!(
        problems("rules = [1]\n"),
        ["1: a rule is a table: write [[rules]] above it"]
    );
    assert_eq!(
        problems("[rule]\n"),
        ["1: unknown section [rule]; did you mean [[rules]]?"]
    );
    let many: String = (0..257)
        .map(|number| format!("[[rules]]\nname = \"{number}\"\nlevel = \"full\"\nfrom = \"{number}\"\n"))
        .collect();
    assert_eq!(problems(&many), ["1: rules: 257 rules are more than 256"]);
}

#[test]
fn rules_that_can_never_match_are_odd_and_not_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("siphon.toml");
    let text = "[[rules]]\nname = \"wide\"\nlevel = \"full\"\nfrom = \"+49*\"\n\n\
                [[rules]]\nname = \"narrow\"\nlevel = \"headers\"\nfrom = \"+49211*\"\ncodec = \"opus\"\n\n\
                [[rules]]\nname = \"none\"\nlevel = \"headers\"\nsample = 0\n";
    std::fs::write(&file, text).unwrap();
    let odd = check(&file).unwrap();
    let shown = file.display();
    assert_eq!(
        odd,
        [
            format!(
                "{shown}:6: rules.narrow: can never match: every call it is about comes under wide, which stands before it"
            ),
            format!("{shown}:12: rules.none: can never match: no call is in a sample of 0"),
        ]
    );
}

#[test]
fn syntax_errors_name_every_line() {
    assert_eq!(
        problems("[capture]\ninterface = eth0\n[spool\nchunks = 1\nchunks = 2\n").len(),
        2
    );
    let duplicate = problems("[spool]\nchunks = 4\nchunks = 5\n");
    assert_eq!(duplicate, ["3: duplicate key"]);
}

#[test]
fn depth_and_length_are_bounded() {
    assert!(!problems(&format!("x = {}", "[".repeat(100_000))).is_empty());
    let long = format!("[log]\n{} = 1\n", "k".repeat(100_000));
    assert_eq!(
        problems(&long),
        [format!("2: log.{}: unknown key; [log] has filter", "k".repeat(64))]
    );
    let error = load(std::path::Path::new("/dev/zero")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/dev/zero: longer than 1048576 bytes: not a configuration"
    );
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}|(\\[?(capture|spool|log)\\]?|[a-z_]{1,12} ?= ?(\"[0-9a-z]*\"|-?[0-9]{1,30}|\\[[^\\n]*)|\\n){0,20}") {
        let _ = parse(&text);
    }

    #[test]
    fn what_is_written_is_read_back(
        bytes in any::<u64>(),
        millis in 0..u64::MAX / 1_000_000,
        bits in 0u32..=0o777,
        text in any::<String>(),
        ports in proptest::collection::vec(1u16.., 0..5),
        ends in proptest::collection::vec((1u16.., 1u16..), 0..5),
    ) {
        let mut config = Config::default();
        config.spool.max_total = bytes;
        config.spool.max_age = Duration::from_millis(millis);
        config.control.mode = bits;
        config.spool.template = text;
        config.capture.sip_ports = ports;
        config.capture.media_ports =
            ends.iter().map(|(one, other)| PortRange { first: *one.min(other), last: *one.max(other) }).collect();
        for key in KEYS {
            let line = format!("key = {}", (key.write)(&config));
            let document = DeTable::parse(&line).unwrap();
            let mut read = Config::default();
            (key.read)(&mut read, document.get_ref().get("key").unwrap().get_ref()).unwrap();
            prop_assert_eq!((key.write)(&read), (key.write)(&config), "{}", key.name);
        }
    }
}
