//! A set of ports that is asked for every packet.

/// One bit for each port.
#[derive(Clone, Debug)]
pub struct PortSet(Box<[u64; 1024]>);

impl PortSet {
    /// The set of these ports.
    pub fn new(ports: &[u16]) -> Self {
        let mut bits = Box::new([0; 1024]);
        for port in ports {
            bits[usize::from(port / 64)] |= 1 << (port % 64);
        }
        Self(bits)
    }

    /// Whether `port` is in it.
    #[inline]
    pub fn contains(&self, port: u16) -> bool {
        self.0[usize::from(port / 64)] & (1 << (port % 64)) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in_and_nothing_else() {
        let ports = [0, 63, 64, 5060, 65_535];
        let set = PortSet::new(&ports);
        for port in 0..=u16::MAX {
            assert_eq!(set.contains(port), ports.contains(&port), "{port}");
        }
    }
}
