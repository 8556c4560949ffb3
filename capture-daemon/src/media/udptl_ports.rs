//! The ports fax is announced on: a first look that takes no lock, so that other traffic pays nothing for fax.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many announcements there are of each port. Readers see a change a little later, and look again at the next packet.
#[derive(Debug)]
pub(super) struct UdptlPorts {
    all: AtomicU32,
    by_port: Box<[AtomicU32]>,
}

impl Default for UdptlPorts {
    fn default() -> Self {
        Self {
            all: AtomicU32::new(0),
            by_port: (0..=u16::MAX).map(|_| AtomicU32::new(0)).collect(),
        }
    }
}

impl UdptlPorts {
    /// Whether no fax is announced on any port.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.all.load(Ordering::Relaxed) == 0
    }

    /// Whether fax is announced on one of these ports of any address.
    #[inline]
    pub fn contains(&self, ports: [u16; 2]) -> bool {
        let announced = |port| self.of(port).is_some_and(|count| count.load(Ordering::Relaxed) != 0);
        !self.is_empty() && ports.into_iter().any(announced)
    }

    /// Counts an announcement of `port` for as long as the mark lives.
    pub fn mark(self: &Arc<Self>, port: u16) -> Mark {
        self.all.fetch_add(1, Ordering::Relaxed);
        if let Some(count) = self.of(port) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Mark {
            ports: Arc::clone(self),
            port,
        }
    }

    fn of(&self, port: u16) -> Option<&AtomicU32> {
        self.by_port.get(usize::from(port))
    }
}

/// One announcement of a port.
#[derive(Debug)]
pub(super) struct Mark {
    ports: Arc<UdptlPorts>,
    port: u16,
}

impl Drop for Mark {
    fn drop(&mut self) {
        if let Some(count) = self.ports.of(self.port) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
        self.ports.all.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_there_while_anyone_announces_it() {
        let ports = Arc::new(UdptlPorts::default());
        assert!(ports.is_empty() && !ports.contains([0; 2]) && !ports.contains([4000, 4001]));
        let (one, other, last) = (ports.mark(4000), ports.mark(4000), ports.mark(u16::MAX));
        drop(one);
        assert!(ports.contains([4000, 4001]) && ports.contains([1, u16::MAX]) && !ports.contains([4001; 2]));
        drop(other);
        assert!(!ports.contains([4000, 4001]) && ports.contains([1, u16::MAX]));
        drop(last);
        assert!(ports.is_empty() && !ports.contains([1, u16::MAX]));
    }
}
