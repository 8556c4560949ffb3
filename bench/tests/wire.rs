//! The load and the bare receiver on a real wire: every frame as the template says, in order, and accounted for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bench::account::{Account, Passage, Stage};
use bench::frame;
use bench::generator::{Generator, Load};
use bench::receiver::Bare;
use bench::wire::{LOAD, Sent, Wire};
use xtask::lab::mirror::TAP;
use xtask::lab::{Need, require};

const STREAMS: u32 = 7;
const FRAMES: u32 = 5_000;
const RATE: u32 = 100_000;

/// Guards against a hang; nothing is measured with it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Takes frames until none have come for a while after `done`.
fn receive(bare: &mut Bare, done: &AtomicBool) -> Result<Vec<Vec<u8>>> {
    let mut frames = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let is_done = done.load(Ordering::Acquire);
        let before = frames.len();
        let mut batch = bare.lane.peek(64);
        while let Some(packet) = batch.next_packet() {
            frames.push(packet.bytes().to_vec());
            packet.release();
        }
        batch.release();
        bare.lane.refill();
        if frames.len() > before {
            continue;
        }
        if !bare.lane.poll(Duration::from_millis(20))? && is_done {
            return Ok(frames);
        }
        ensure!(Instant::now() < deadline, "{} frames, and no end", frames.len());
    }
}

/// The number of a frame of the load, by its sequence number and SSRC; fewer turns are made here than there are sequence
/// numbers.
fn number_of(frame: &[u8]) -> u64 {
    let sequence = u16::from_be_bytes([frame[44], frame[45]]);
    let ssrc = u32::from_be_bytes([frame[50], frame[51], frame[52], frame[53]]);
    u64::from(sequence) * u64::from(STREAMS) + u64::from(ssrc)
}

#[test]
fn every_frame_of_the_load_arrives_as_it_was_made_or_is_counted() {
    let object = xtask::ebpf::object("load").unwrap();
    let needs = [
        Need::Root,
        Need::Program("ip"),
        Need::Program("ethtool"),
        Need::Fact(object.is_file(), "the generator is not built: `cargo xtask build-ebpf`"),
    ];
    if !require("every_frame_of_the_load_arrives_as_it_was_made_or_is_counted", &needs) {
        return;
    }
    let wire = Wire::new().unwrap();
    let mut bare = wire.sensor.enter(|| Bare::open(TAP)).unwrap().unwrap();
    let mut generator = Generator::load(&object).unwrap();
    let load = Load {
        streams: STREAMS,
        rate: Some(RATE),
        frames: FRAMES,
    };
    let done = AtomicBool::new(false);
    let (frames, made) = thread::scope(|scope| {
        let received = scope.spawn(|| receive(&mut bare, &done));
        let made = generator.send(&wire.source, LOAD, 0, load);
        done.store(true, Ordering::Release);
        (received.join().unwrap(), made)
    });
    let (frames, made) = (frames.unwrap(), made.unwrap());

    let timestamp = |frame: &[u8]| u32::from_be_bytes([frame[46], frame[47], frame[48], frame[49]]);
    let mut last = None;
    for frame in &frames {
        let number = number_of(frame);
        let mut expected = frame::expected(number, STREAMS.into());
        expected[46..50].copy_from_slice(&timestamp(frame).to_be_bytes());
        assert_eq!(frame.as_slice(), expected, "frame {number}");
        // The clock is the machine's, and the pace is exact.
        let first = (number_of(&frames[0]), timestamp(&frames[0]));
        let passed = (number - first.0) as f64 / f64::from(RATE) * 8000.0;
        let ticks = timestamp(frame).wrapping_sub(first.1);
        assert!(
            (f64::from(ticks) - passed).abs() < 2.0,
            "frame {number}: {ticks} for {passed}"
        );
        assert!(last < Some(number), "frame {number} after {last:?}");
        last = Some(number);
    }

    let Sent { sent, refused } = wire.sent().unwrap();
    let (seen, redirected) = bare.seen().unwrap();
    bare.lane.read_statistics().unwrap();
    let account = Account {
        passages: vec![
            Passage::new(Stage::Veth, made.frames, refused),
            Passage::new(Stage::Interface, sent, 0),
            Passage::new(Stage::Program, seen, seen.saturating_sub(redirected)),
            Passage::new(Stage::Sockets, redirected, bare.lane.counters().lost()),
        ],
        captured: frames.len() as u64,
    };
    let conserved = account.check().unwrap();
    assert_eq!(conserved.made(), u64::from(FRAMES));
    // The rings hold more than the whole load: what got as far as the socket is not lost there, however slow this is.
    assert_eq!(conserved.lost(Stage::Sockets), Some(0));
    assert!(conserved.captured() > 0);
}
