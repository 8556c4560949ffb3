//! What each way of a frame through the kernel programs costs: instructions executed and helpers called, counted on the compiled
//! program. Recorded in `expected/instructions.txt`; a path that grows by more than a tenth fails.

mod bpf_machine;
#[expect(dead_code, reason = "other tests make more kinds of frames")]
#[path = "kernel_lab/frames.rs"]
mod frames;

use std::path::PathBuf;

use bpf_machine::{Machine, Run};
use bytemuck::Zeroable as _;
use capture_common::settings::MediaSettings;
use capture_common::{
    Counters, EndpointEntry, EndpointKey, FragmentKey, Level, Media, Mode, PortFlags, PortTable, Settings, Stamp,
    Tables, Tunnel, Tunnels, Verdict, classify,
};
use frames::{datagram, datagram6, ethernet, extension, ipv4, ipv6, tcp, udp};

/// XDP_DROP, XDP_PASS and XDP_REDIRECT (include/uapi/linux/bpf.h).
const DROP: u64 = 1;
const PASS: u64 = 2;
const REDIRECT: u64 = 4;
/// TCX_NEXT, as a program returns it.
const NEXT: u64 = 0xffff_ffff;

/// bpf_map_lookup_elem.
const LOOKUP: i32 = 1;

const IPV4: u16 = 0x0800;
const UDP: u8 = 17;

/// The program of mirror mode.
const MIRROR: &str = "siphon";

/// A program, armed with a socket for queue 0 where it is that of a mirror port.
fn armed(program: &str, media: Media, level: Level) -> Machine {
    let object = xtask::ebpf::object("siphon").expect("a workspace");
    let mut machine = Machine::load(&object, program);
    let mode = if program == MIRROR { Mode::Mirror } else { Mode::Host };
    let mut ports = Box::new(PortTable::EMPTY);
    ports.want(5060, 5060, PortFlags::SIP);
    ports.want(10_000, 65_535, PortFlags::MEDIA);
    ports.want(4789, 4789, PortFlags::TUNNEL);
    machine.write(".bss.ports", &[0; 4], bytemuck::bytes_of(&*ports));
    set(&mut machine, mode, MediaSettings::new(media, level, false, 50));
    machine.write("SOCKETS", &[0; 4], &[7, 0, 0, 0]);
    machine.now = 1_000_000_000;
    machine
}

/// A G.711 packet of 20 ms.
/// Tells the program what is wanted.
fn set(machine: &mut Machine, mode: Mode, media: MediaSettings) {
    let settings = Settings {
        mode: mode as u32,
        log: 0,
        tunnels: [Tunnel::Vxlan, Tunnel::Gre].into_iter().collect::<Tunnels>(),
        media,
    };
    machine.write(".bss.settings", &[0; 4], bytemuck::bytes_of(&settings));
}

fn rtp() -> Vec<u8> {
    let mut rtp = vec![0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 1];
    rtp.resize(172, 0xd5);
    rtp
}

/// A packet of a stream of G.711, 20 ms each, with this first octet and number.
fn voice(first: u8, number: u16) -> Vec<u8> {
    let mut rtp = rtp();
    rtp[0] = first;
    rtp[2..4].copy_from_slice(&number.to_be_bytes());
    rtp[4..8].copy_from_slice(&(u32::from(number) * 160).to_be_bytes());
    // Octets of padding, where there is some.
    rtp[171] = 4;
    datagram(20_000, 20_002, &rtp)
}

/// A path: what it is called, what goes in, and where it must end.
struct Path {
    name: String,
    program: &'static str,
    media: Media,
    level: Level,
    /// Port of 10.0.0.2 that a call has named.
    learned: Option<u16>,
    /// There are rules, and by one of them what is learned has this level; with nothing learned, none is about it.
    ruled: Option<Level>,
    /// What went the same way before, uncounted.
    before: Vec<Vec<u8>>,
    frame: Vec<u8>,
    verdict: Verdict,
    action: u64,
}

impl Path {
    fn with(self, media: Media, level: Level) -> Self {
        Self { media, level, ..self }
    }

    fn through(self, program: &'static str) -> Self {
        Self { program, ..self }
    }

    fn learned(self, port: u16) -> Self {
        Self {
            learned: Some(port),
            ..self
        }
    }

    fn ruled(self, level: Level) -> Self {
        Self {
            ruled: Some(level),
            ..self
        }
    }

    fn after(self, before: Vec<u8>) -> Self {
        Self {
            before: vec![before],
            ..self
        }
    }

    /// The program as the path wants it.
    fn machine(&self) -> Machine {
        let mut machine = armed(self.program, self.media, self.level);
        if self.ruled.is_some() {
            set(
                &mut machine,
                Mode::Mirror,
                MediaSettings::new(self.media, self.level, true, 50),
            );
        }
        if let Some(port) = self.learned {
            let mut address = [0; 16];
            address[10..].copy_from_slice(&[0xff, 0xff, 10, 0, 0, 2]);
            let entry = EndpointEntry {
                level: self.ruled.map_or(0, |level| level as u8),
                ..EndpointEntry::zeroed()
            };
            let key = EndpointKey::new(address, port);
            machine.write("ENDPOINTS", bytemuck::bytes_of(&key), bytemuck::bytes_of(&entry));
        }
        for frame in &self.before {
            machine.run(frame);
            machine.now += 20_000_000;
        }
        machine
    }
}

fn path(name: impl Into<String>, frame: Vec<u8>, verdict: Verdict, action: u64) -> Path {
    Path {
        name: name.into(),
        program: MIRROR,
        media: Media::Range,
        level: Level::Full,
        learned: None,
        ruled: None,
        before: Vec::new(),
        frame,
        verdict,
        action,
    }
}

fn paths() -> Vec<Path> {
    let sip = b"OPTIONS sip:a SIP/2.0\r\n\r\n";
    let tagged = ethernet(
        &[0x88a8, 0x8100],
        IPV4,
        &ipv4(UDP, 0, 0, &[], &udp(20_000, 20_002, &rtp())),
    );
    let inner = datagram(20_000, 20_002, &rtp());
    let vxlan = datagram(40_000, 4789, &[&[8, 0, 0, 0, 0, 0, 7, 0], inner.as_slice()].concat());
    let extended = ethernet(&[], 0x86dd, &ipv6(60, &extension(UDP, 0, &udp(20_000, 20_002, &rtp()))));
    let first = ethernet(&[], IPV4, &ipv4(UDP, 7, 0x2000, &[], &udp(5060, 5060, sip)));
    let media = || datagram(20_000, 20_002, &rtp());
    // A receiver report without blocks (RFC 3550 section 6.4.2).
    let rtcp = datagram(20_001, 20_003, &[0x80, 201, 0, 1, 0, 0, 0, 1]);
    let voice6 = |number: u8| {
        let mut rtp = rtp();
        rtp[3] = number;
        rtp[4..8].copy_from_slice(&(u32::from(number) * 160).to_be_bytes());
        datagram6(20_000, 20_002, &rtp)
    };
    vec![
        path("no IP", ethernet(&[], 0x0806, &[0; 28]), Verdict::NotIp, DROP),
        path("other ports", datagram(53, 53, b"?"), Verdict::OtherPorts, DROP),
        path(
            "other ports, TCP",
            ethernet(&[], IPV4, &ipv4(6, 0, 0, &[], &tcp(80, 90, b"GET"))),
            Verdict::OtherPorts,
            DROP,
        ),
        path("SIP", datagram(5060, 5060, sip), Verdict::Sip, REDIRECT),
        path("SIP, first fragment", first, Verdict::FragmentFirst, REDIRECT),
        path("RTP", datagram(20_000, 20_002, &rtp()), Verdict::Media, REDIRECT),
        path(
            "RTP over IPv6",
            datagram6(20_000, 20_002, &rtp()),
            Verdict::Media,
            REDIRECT,
        ),
        path(
            "RTP behind an IPv6 extension header",
            extended,
            Verdict::Media,
            REDIRECT,
        ),
        path("RTP behind two VLAN tags", tagged, Verdict::Media, REDIRECT),
        path("RTP in VXLAN", vxlan, Verdict::Media, REDIRECT),
        path("RTP, media off", media(), Verdict::MediaOff, DROP).with(Media::Off, Level::Full),
        path("RTP by level", media(), Verdict::MediaByLevel, DROP).with(Media::Range, Level::Signaling),
        path("RTP cut to headers", media(), Verdict::MediaHeaders, REDIRECT).with(Media::Range, Level::Headers),
        path("RTP to a learned endpoint", media(), Verdict::MediaLearned, REDIRECT)
            .with(Media::Learned, Level::Full)
            .learned(20_002),
        path("RTP before its SDP", media(), Verdict::MediaEarly, REDIRECT).with(Media::Learned, Level::Full),
        path("RTP of no call", media(), Verdict::MediaUnlearned, DROP).with(Media::Learned, Level::Signaling),
        path("RTCP, media learned", rtcp, Verdict::MediaControl, REDIRECT).with(Media::Learned, Level::Full),
        path("RTP beside rules", media(), Verdict::Media, REDIRECT).ruled(Level::Full),
        path("RTP cut by a rule", media(), Verdict::MediaHeaders, REDIRECT)
            .with(Media::Range, Level::Signaling)
            .learned(20_002)
            .ruled(Level::Headers),
        path("RTP kept by a rule, media measured", media(), Verdict::Media, REDIRECT)
            .with(Media::Measured, Level::Full)
            .learned(20_002)
            .ruled(Level::Full),
        path("RTP measured", voice(0x80, 2), Verdict::Measured, DROP)
            .with(Media::Measured, Level::Full)
            .after(voice(0x80, 1)),
        path("RTP measured, over IPv6", voice6(2), Verdict::Measured, DROP)
            .with(Media::Measured, Level::Full)
            .after(voice6(1)),
        path(
            "RTP measured, contributors and padding",
            voice(0xa2, 2),
            Verdict::Measured,
            DROP,
        )
        .with(Media::Measured, Level::Full)
        .after(voice(0x80, 1)),
        path("RTP measured, behind a loss", voice(0x80, 9), Verdict::Measured, DROP)
            .with(Media::Measured, Level::Full)
            .after(voice(0x80, 1)),
        path(
            "RTP measured, a stream's first",
            voice(0x80, 1),
            Verdict::Measured,
            DROP,
        )
        .with(Media::Measured, Level::Full),
    ]
}

/// The same of the programs of host mode, which copy what they want and pass on all there is.
fn host_paths() -> impl Iterator<Item = Path> {
    let ways = [
        ("XDP", "siphon_in_xdp", PASS),
        ("tcx in", "siphon_in", NEXT),
        ("tcx out", "siphon_out", NEXT),
    ];
    ways.into_iter().flat_map(|(way, program, action)| {
        let of = |what: &str, frame: Vec<u8>, verdict| path(format!("host, {way}: {what}"), frame, verdict, action);
        let media = || datagram(20_000, 20_002, &rtp());
        [
            of("other ports", datagram(53, 53, b"?"), Verdict::OtherPorts),
            of(
                "SIP",
                datagram(5060, 5060, b"OPTIONS sip:a SIP/2.0\r\n\r\n"),
                Verdict::Sip,
            ),
            of("RTP", media(), Verdict::Media),
            of("RTP cut to headers", media(), Verdict::MediaHeaders).with(Media::Range, Level::Headers),
            of("RTP measured", voice(0x80, 2), Verdict::Measured)
                .with(Media::Measured, Level::Full)
                .after(voice(0x80, 1)),
        ]
        .map(|path| path.through(program))
    })
}

fn counters(machine: &mut Machine) -> Counters {
    let counters = machine.read("COUNTERS", &[0; 4]).expect("an array of one");
    bytemuck::pod_read_unaligned(&counters)
}

/// Runs a frame and makes sure that it took the path it was to take.
fn run(machine: &mut Machine, path: &Path) -> Run {
    let run = machine.run(&path.frame);
    let counters = counters(machine);
    let count = counters.verdicts[path.verdict as usize];
    let frames = path.before.len() as u64 + 1;
    // What a program of tcx returns has 32 bits.
    let action = run.action & u64::from(u32::MAX);
    assert_eq!((count.frames, action), (frames, path.action), "{}", path.name);
    assert_eq!(counters.seen, frames, "{}", path.name);
    run
}

#[test]
fn no_path_has_grown_by_more_than_a_tenth() {
    if !capture_daemon::program::EMBEDDED {
        let required = std::env::var_os("SIPHON_REQUIRE").is_some_and(|value| value == "1");
        assert!(!required, "the kernel program is not built: `cargo xtask build-ebpf`");
        println!("SKIPPED no_path_has_grown_by_more_than_a_tenth: the kernel program is not built");
        return;
    }
    let mut table = format!("{:<40} {:>12} {:>8}\n", "path", "instructions", "look-ups");
    let mut now = Vec::new();
    for path in paths().into_iter().chain(host_paths()) {
        let run = run(&mut path.machine(), &path);
        let lookups = run.helpers.get(&LOOKUP).copied().unwrap_or_default();
        table.push_str(&format!("{:<40} {:>12} {lookups:>8}\n", path.name, run.instructions));
        now.push((path.name, run.instructions, lookups));
    }
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/expected/instructions.txt");
    if std::env::var_os("SIPHON_BLESS").is_some() {
        std::fs::write(&file, table).expect("a file that can be written");
        return;
    }
    let recorded = std::fs::read_to_string(&file).expect("the record");
    for (name, instructions, lookups) in now {
        let line = recorded
            .lines()
            .find(|line| line.get(..40).is_some_and(|start| start.trim_end() == name));
        let line =
            line.unwrap_or_else(|| panic!("{name} is not in the record; SIPHON_BLESS=1 writes it anew:\n{table}"));
        let mut before = line[40..]
            .split_whitespace()
            .map(|figure| figure.parse::<u64>().expect("a number"));
        let (was, lookups_were) = (before.next().expect("instructions"), before.next().expect("look-ups"));
        assert!(
            instructions * 10 <= was * 11,
            "{name}: {instructions} instructions, {was} before"
        );
        assert!(
            lookups <= lookups_were,
            "{name}: {lookups} look-ups, {lookups_were} before"
        );
    }
}

/// What the maps of [`armed`] say.
struct Policy;

impl Tables for Policy {
    fn tunnels(&self) -> Tunnels {
        [Tunnel::Vxlan, Tunnel::Gre].into_iter().collect()
    }

    fn port(&self, port: u16) -> PortFlags {
        match port {
            5060 => PortFlags::SIP,
            4789 => PortFlags::TUNNEL,
            10_000.. => PortFlags::MEDIA,
            _ => PortFlags::NONE,
        }
    }

    fn recall(&self, _: &FragmentKey) -> Option<bool> {
        None
    }

    fn remember(&self, _: &FragmentKey, _: bool) {}
}

/// The machine is right about the program where the policy, compiled for the host, says the same of the same frames; and what
/// the program writes in front of a captured frame is what the daemon reads.
#[test]
fn the_compiled_program_decides_as_the_policy_does() {
    if !capture_daemon::program::EMBEDDED {
        return;
    }
    let mut machine = armed(MIRROR, Media::Range, Level::Full);
    let run = machine.run(&datagram(20_000, 20_002, &rtp()));
    assert_eq!(run.frame, datagram(20_000, 20_002, &rtp()));
    assert_eq!(run.helpers.get(&54), Some(&1), "room for the stamp is made");
    let stamp = |verdict| {
        let arrival = 1_000_000_000;
        Stamp { arrival, verdict }.word().to_ne_bytes().to_vec()
    };
    assert_eq!(run.metadata, stamp(Verdict::Media));
    let mut cutting = armed(MIRROR, Media::Range, Level::Headers);
    let run = cutting.run(&datagram(20_000, 20_002, &rtp()));
    assert_eq!(run.frame, datagram(20_000, 20_002, &rtp())[..54]);
    let cut = [214_u32.to_ne_bytes().to_vec(), stamp(Verdict::MediaHeaders)].concat();
    assert_eq!(run.metadata, cut);
    // Behind the ports the daemon's settings decide, and the policy here has none.
    let is_plain = |path: &Path| (path.media, path.level) == (Media::Range, Level::Full) && path.ruled.is_none();
    for path in paths().into_iter().filter(is_plain) {
        let mut machine = path.machine();
        // Every cut of every frame: where headers end early, all readers must agree.
        for length in 0..path.frame.len().min(120) {
            assert_same(&mut machine, &path.frame[..length], &path.name);
        }
        // And bytes changed at random, among the headers.
        let mut random = 0x5150_u32;
        let mut next = |below: usize| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) as usize % below
        };
        for _ in 0..2_000 {
            let mut frame = path.frame.clone();
            for _ in 0..=next(3) {
                let at = next(frame.len().min(100));
                frame[at] = next(256) as u8;
            }
            assert_same(&mut machine, &frame, &path.name);
        }
    }
}

fn assert_same(machine: &mut Machine, frame: &[u8], name: &str) {
    // Each frame for itself: the policy here remembers no fragments.
    machine.clear("FRAGMENTS");
    let run = machine.run(frame);
    let counters = counters(machine);
    let has_frames = |verdict: &&Verdict| counters.verdicts[**verdict as usize].frames > 0;
    let counted: Vec<_> = Verdict::ALL.iter().filter(has_frames).copied().collect();
    machine.write("COUNTERS", &[0; 4], &[0; size_of::<Counters>()]);
    assert_eq!(counters.seen, 1, "{name}: {frame:02x?}");
    assert_eq!(counted, [classify(frame, &Policy)], "{name}: {frame:02x?}");
    assert_ne!(run.action, PASS, "an armed program lets nothing pass on a mirror port");
}
