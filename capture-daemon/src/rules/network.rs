//! An IP address, or a network in CIDR notation (RFC 4632 section 3.1).

use std::fmt;
use std::net::IpAddr;

/// The addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// How many bits.
    prefix: u8,
}

impl Network {
    /// Reads `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`.
    ///
    /// # Errors
    /// What would be right.
    pub fn read(text: &str) -> Result<Self, String> {
        let wrong =
            || "expected an address or network such as \"192.0.2.1\", \"192.0.2.0/24\" or \"2001:db8::/32\"".to_owned();
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits = bits_of(address);
        let digits = |text: &&str| !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
        let prefix = match prefix {
            Some(text) => Some(text)
                .filter(digits)
                .and_then(|text| text.parse().ok())
                .filter(|prefix| *prefix <= bits)
                .ok_or_else(wrong)?,
            None => bits,
        };
        let network = Self {
            address: masked(address, prefix),
            prefix,
        };
        if network.address != address {
            return Err(format!("{address} is in the network \"{network}\""));
        }
        Ok(network)
    }

    /// Whether an address is one of them. An IPv4 address mapped into IPv6 (RFC 4291 section 2.5.5.2) is that IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        bits_of(address) == bits_of(self.address) && masked(address, self.prefix) == self.address
    }

    /// Whether all addresses of `other` are among them.
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }
}

const fn bits_of(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == bits_of(self.address) {
            return self.address.fmt(f);
        }
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(text: &str) -> Network {
        Network::read(text).expect(text)
    }

    #[test]
    fn reads_addresses_and_networks() {
        for text in ["192.0.2.1", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "::1", "::/0"] {
            assert_eq!(network(text).to_string(), text);
        }
        for text in [
            "",
            "192.0.2",
            "192.0.2.0/33",
            "192.0.2.0/",
            "192.0.2.0/+8",
            "::1/129",
            "host",
        ] {
            assert!(
                Network::read(text).unwrap_err().starts_with("expected an address"),
                "{text}"
            );
        }
        let nearest = Network::read("192.0.2.77/24").unwrap_err();
        assert_eq!(nearest, "192.0.2.77 is in the network \"192.0.2.0/24\"");
    }

    #[test]
    fn contains_what_begins_alike() {
        let of = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(network("192.0.2.0/25").contains(of("192.0.2.127")));
        assert!(!network("192.0.2.0/25").contains(of("192.0.2.128")));
        assert!(network("192.0.2.0/24").contains(of("::ffff:192.0.2.9")));
        assert!(!network("0.0.0.0/0").contains(of("2001:db8::1")));
        assert!(network("2001:db8::/32").contains(of("2001:db8:ffff::1")));
    }

    proptest! {
        #[test]
        fn a_network_that_covers_contains_what_the_other_does(a: u32, b: u32, wide in 0u8..=32, narrow in 0u8..=32) {
            let of = |bits: u32, prefix: u8| Network {
                address: masked(IpAddr::V4(bits.into()), prefix),
                prefix,
            };
            let (wide, narrow) = (of(a, wide), of(b, narrow));
            prop_assert_eq!(Network::read(&wide.to_string()), Ok(wide));
            if wide.covers(&narrow) {
                for bits in [b, b ^ 1, b ^ 0xff, b ^ 0xffff, a] {
                    let address = IpAddr::V4(bits.into());
                    prop_assert!(!narrow.contains(address) || wide.contains(address));
                }
            }
        }
    }
}
