//! The policy of the kernel program in front of the engine, over captures of real programs: what is told of calls whose RTP was
//! cut to its headers, or crossed for its learned endpoints only, is what is told of them whole.

#![expect(clippy::unwrap_used, reason = "all of this is tests")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use capture_common::media::{self, MediaTables};
use capture_common::{
    Decision, EndpointEntry, EndpointFormat, EndpointKey, Fate, FragmentKey, Level, Media, MediaSettings, PortFlags,
    Tables, Tunnels, Verdict, find, settle,
};
use capture_daemon::config::{Capture, Follow};
use capture_daemon::engine::{self, Engine, Shared};
use capture_daemon::frame::{Frame, LinkType};
use capture_daemon::media::{Format, Learn};
use capture_daemon::net::Endpoint;
use capture_daemon::report::Document;
use capture_daemon::source::{self, CaptureFile};
use capture_daemon::time::Timestamp;

/// The program's map of endpoints, in this process.
#[derive(Debug, Default)]
struct Learned(Mutex<HashMap<EndpointKey, EndpointEntry>>);

fn key(endpoint: Endpoint) -> EndpointKey {
    EndpointKey::new(endpoint.octets(), endpoint.port())
}

impl Learn for Learned {
    fn learn(&self, endpoint: Endpoint, formats: &[Format], level: Option<Level>, _: Option<Timestamp>) {
        let mut entry = EndpointEntry {
            level: level.map_or(0, |level| level as u8),
            ..EndpointEntry::default()
        };
        for (place, format) in entry.formats.iter_mut().zip(formats) {
            *place = EndpointFormat::new(format.payload_type, format.kind()).expect("a clock of RTP");
            entry.count += 1;
        }
        self.0.lock().unwrap().insert(key(endpoint), entry);
    }

    fn forget(&self, endpoint: Endpoint) {
        self.0.lock().unwrap().remove(&key(endpoint));
    }

    fn default_level(&self) -> Level {
        Level::Full
    }
}

/// All of the program's tables, as they stand when a frame comes.
struct Program {
    capture: Capture,
    endpoints: HashMap<EndpointKey, EndpointEntry>,
    early: Mutex<HashMap<EndpointKey, u32>>,
    fragments: Mutex<HashMap<FragmentKey, bool>>,
}

impl Tables for Program {
    fn tunnels(&self) -> Tunnels {
        Tunnels::default()
    }

    fn port(&self, port: u16) -> PortFlags {
        let mut flags = PortFlags::NONE;
        if self.capture.sip_ports.contains(&port) {
            flags = flags.with(PortFlags::SIP);
        }
        if self.capture.websocket_ports.contains(&port) {
            flags = flags.with(PortFlags::WEBSOCKET);
        }
        if self.capture.turn_ports.contains(&port) {
            flags = flags.with(PortFlags::TURN);
        }
        if self
            .capture
            .media_ports
            .iter()
            .any(|range| (range.first..=range.last).contains(&port))
        {
            flags = flags.with(PortFlags::MEDIA);
        }
        flags
    }

    fn recall(&self, key: &FragmentKey) -> Option<bool> {
        self.fragments.lock().unwrap().get(key).copied()
    }

    fn remember(&self, key: &FragmentKey, wanted: bool) {
        self.fragments.lock().unwrap().insert(*key, wanted);
    }
}

impl MediaTables for Program {
    fn endpoint(&self, key: &EndpointKey) -> Option<&EndpointEntry> {
        self.endpoints.get(key)
    }

    fn is_early(&self, key: &EndpointKey, packets: u32) -> bool {
        let mut early = self.early.lock().unwrap();
        let crossed = early.entry(*key).or_default();
        *crossed += 1;
        *crossed <= packets
    }
}

/// What came of a file, and of how many frames the program decided what.
struct Outcome {
    document: Document,
    verdicts: HashMap<Verdict, u64>,
    cut: u64,
}

fn through(file: &Path, settings: MediaSettings) -> Outcome {
    let follow = Follow {
        linger: Duration::MAX,
        ..Follow::default()
    };
    let learned = Arc::new(Learned::default());
    let shared = Shared::new(&follow).told_to(Arc::clone(&learned) as Arc<dyn Learn>);
    let shared = Arc::new(shared);
    let mut program = Program {
        capture: Capture::default(),
        endpoints: HashMap::new(),
        early: Mutex::default(),
        fragments: Mutex::default(),
    };
    let mut engine = Engine::new(&follow, &program.capture, Arc::clone(&shared));
    let mut verdicts = HashMap::new();
    let mut cut = 0;
    let files = [CaptureFile::open(file).unwrap()];
    for frame in source::merge(&files) {
        assert_eq!(frame.link, LinkType::Ethernet);
        program.endpoints.clone_from(&learned.0.lock().unwrap());
        let finding = find(frame.bytes, &program);
        let mut decision = Decision {
            verdict: finding.verdict,
            cut_to: 0,
        };
        if finding.verdict == Verdict::Media && !settings.take_all() {
            decision = media::decide(frame.bytes, &finding.place, finding.is_fragment(), &settings, &program);
        }
        let verdict = settle(frame.bytes, &finding, decision.verdict, &program);
        *verdicts.entry(verdict).or_default() += 1;
        if verdict.fate() != Fate::Captured {
            continue;
        }
        let mut bytes = frame.bytes;
        if decision.cut_to != 0 {
            bytes = &bytes[..decision.cut_to as usize];
            cut += 1;
        }
        engine.frame(&Frame { bytes, ..frame });
        engine.tick(frame.ts);
    }
    engine.finish();
    let counters = engine.counters();
    let end = counters.span().map(|(_, last)| last).unwrap_or_default();
    let document = engine::document(&shared, &[counters], engine.streams(), end);
    Outcome {
        document,
        verdicts,
        cut,
    }
}

fn captures() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|e| e == "pcap"))
        .collect();
    files.sort();
    assert!(files.len() > 8, "{files:?}");
    files
}

const WHOLE: MediaSettings = MediaSettings::new(Media::Range, Level::Full, false, 0);

#[test]
fn headers_give_the_figures_of_whole_frames() {
    let mut cut = 0;
    for file in captures() {
        let whole = through(&file, WHOLE);
        let headers = through(&file, MediaSettings::new(Media::Range, Level::Headers, false, 0));
        assert_eq!(headers.document, whole.document, "{}", file.display());
        cut += headers.cut;
    }
    assert!(cut > 1_000, "only {cut} frames were cut");
}

#[test]
fn learned_endpoints_miss_nothing_of_a_call() {
    let (mut learned, mut streams) = (0, 0);
    for file in captures() {
        let whole = through(&file, WHOLE);
        let some = through(&file, MediaSettings::new(Media::Learned, Level::Full, false, 100));
        let of_calls = |document: &Document| {
            let streams = document.streams.iter().filter(|stream| stream.call_id.is_some());
            streams.cloned().collect::<Vec<_>>()
        };
        assert_eq!(
            of_calls(&some.document),
            of_calls(&whole.document),
            "{}",
            file.display()
        );
        assert_eq!(some.document.calls, whole.document.calls, "{}", file.display());
        learned += some.verdicts.get(&Verdict::MediaLearned).copied().unwrap_or_default();
        streams += of_calls(&some.document).len();
    }
    assert!(
        learned > 1_000 && streams > 20,
        "{learned} packets of {streams} streams"
    );
}

#[test]
fn signalling_is_complete_without_any_media() {
    for file in captures() {
        let whole = through(&file, WHOLE);
        for settings in [
            MediaSettings::new(Media::Off, Level::Full, false, 100),
            MediaSettings::new(Media::Range, Level::Signaling, false, 100),
            MediaSettings::new(Media::Learned, Level::Signaling, false, 100),
        ] {
            let some = through(&file, settings);
            assert_eq!(some.document.sip, whole.document.sip, "{}", file.display());
            assert_eq!(
                some.document.calls.len(),
                whole.document.calls.len(),
                "{}",
                file.display()
            );
            assert_eq!(some.document.rtcp, whole.document.rtcp, "{}", file.display());
            // What TURN wraps crosses as TURN.
            let plain = some.document.streams.iter().filter(|stream| stream.via.is_none());
            assert_eq!(plain.count(), 0, "{}", file.display());
        }
    }
}
