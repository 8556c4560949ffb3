//! Packet mode: no program, but a packet socket for each lane, whose worker has the policy. Nothing is taken from the host
//! and nothing of it is changed; all of it ends with the process.

use std::sync::Arc;

use capture_common::Verdict;

use super::error::OpenError;
use super::interface::{Interface, InterfaceCounters, Presence};
use super::{AttachMode, Obtained, ReadError, Verdicts};
use crate::config::Capture;
use crate::intake::{self, Levels, PacketLane};
use crate::xsk::packet::PacketSocket;
use crate::xsk::socket::SocketError;
use crate::xsk::{LaneError, Membership};

/// The sockets of all lanes, which each lane has too, and what is to be known of them.
#[derive(Debug)]
pub struct Tap {
    interface: Interface,
    obtained: Obtained,
    sockets: Vec<Arc<PacketSocket>>,
    verdicts: Vec<Arc<intake::Verdicts>>,
    levels: Arc<Levels>,
    _promiscuous: Option<Membership>,
}

/// Makes `lanes` packet sockets on the interface, at least one, among which its frames will be dealt out by flow. They take
/// nothing before [`Tap::arm`].
///
/// # Errors
/// What is missing or refused, with the interface, the lane, the call and its errno. Nothing stays behind then.
pub fn prepare(capture: &Capture, lanes: usize) -> Result<(Tap, Vec<PacketLane>), OpenError> {
    let interface = Interface::find(&capture.interface)?;
    let loopback = interface.is_loopback()?;
    let levels = Arc::new(Levels::new(capture.level));
    let mut opened = Vec::new();
    let mut group = None;
    for lane in 0..lanes.max(1) {
        // The configuration has at most 1024 CPUs.
        let lane = PacketLane::open(interface.port(), lane as u32, loopback, capture, Arc::clone(&levels))?;
        if lanes > 1 {
            let shared = lane.socket().share(group);
            group = Some(shared.map_err(|source| failed(&interface, opened.len(), source))?);
        }
        opened.push(lane);
    }
    let promiscuous = capture
        .promiscuous
        .then(|| Membership::promiscuous(interface.port().ifindex))
        .transpose()
        .map_err(|source| OpenError::Promiscuous {
            interface: capture.interface.clone(),
            source,
        })?;
    let tap = Tap {
        interface,
        obtained: Obtained {
            attach: AttachMode::Packet,
            why_not_native: None,
            verified_instructions: None,
            queues: Vec::new(),
            rings: Some(capture.ring_size),
        },
        sockets: opened.iter().map(PacketLane::socket).collect(),
        verdicts: opened.iter().map(PacketLane::verdicts).collect(),
        levels,
        _promiscuous: promiscuous,
    };
    Ok((tap, opened))
}

fn failed(interface: &Interface, lane: usize, source: SocketError) -> LaneError {
    LaneError::Socket {
        interface: interface.port().name.clone(),
        queue: lane as u32,
        source,
    }
}

impl Tap {
    /// Has the sockets take frames, from here on.
    ///
    /// # Errors
    /// The errno of the first that refused.
    pub fn arm(&self) -> Result<(), LaneError> {
        let mut sockets = self.sockets.iter().enumerate();
        sockets.try_for_each(|(lane, socket)| socket.arm().map_err(|source| failed(&self.interface, lane, source)))
    }

    /// What was obtained from the kernel.
    pub fn obtained(&self) -> &Obtained {
        &self.obtained
    }

    /// Where levels of single calls are told.
    pub fn levels(&self) -> Arc<Levels> {
        Arc::clone(&self.levels)
    }

    /// What the lanes decided and the kernel lost before them.
    pub fn verdicts(&self) -> Verdicts {
        let mut verdicts = Verdicts::default();
        for verdict in Verdict::ALL {
            for of_one_lane in &self.verdicts {
                verdicts.add_decided(*verdict, of_one_lane.get(*verdict));
            }
        }
        verdicts
    }

    /// Frames that found the ring of each lane full, in their order.
    pub fn ring_full(&self) -> Vec<u64> {
        let full = |lane: &Arc<intake::Verdicts>| lane.get(Verdict::RingFull).frames;
        self.verdicts.iter().map(full).collect()
    }

    /// Frames that the kernel says lay in the rings when their statistics were last read.
    pub fn waiting(&self) -> u64 {
        let waiting = self.verdicts.iter().map(|lane| lane.waiting());
        waiting.fold(0, u64::saturating_add)
    }

    /// Whether frames can come in on the interface now.
    pub fn presence(&self) -> Presence {
        self.interface.presence()
    }

    /// What the interface itself counts.
    ///
    /// # Errors
    /// When a file under /sys/class/net cannot be read: the interface is gone.
    pub fn interface_counters(&self) -> Result<InterfaceCounters, ReadError> {
        self.interface.counters()
    }

    /// How many of the frames that the interface counts as lost never reached the sockets: not those of rx_dropped, which are
    /// frames that nobody on the host wanted as well (__netif_receive_skb_core, net/core/dev.c).
    pub fn interface_lost(&self, counters: &InterfaceCounters) -> u64 {
        counters.rx_missed_errors
    }

    /// What its driver counts of loss beyond that, under the driver's own names.
    pub fn driver_counters(&self) -> Vec<(String, u64)> {
        self.interface.driver_counters()
    }

    /// Has the sockets take nothing any more; what is in their rings stays there.
    ///
    /// # Errors
    /// The errno of the last that refused.
    pub fn disarm(&self) -> Result<(), LaneError> {
        let mut result = Ok(());
        for (lane, socket) in self.sockets.iter().enumerate() {
            if let Err(source) = socket.disarm() {
                result = Err(failed(&self.interface, lane, source));
            }
        }
        result
    }
}
