//! Frames made by hand, innermost header first.

/// UDP (RFC 768) without a checksum.
pub fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(source.to_be_bytes());
    bytes.extend(destination.to_be_bytes());
    bytes.extend((payload.len() as u16 + 8).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    bytes
}

/// TCP (RFC 9293) with nothing but ports that matters.
pub fn tcp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(source.to_be_bytes());
    bytes.extend(destination.to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend(payload);
    bytes
}

/// IPv4 with options (a multiple of 4 bytes), from 10.0.0.1 to 10.0.0.2. `fragment` is the flags and offset field.
pub fn ipv4(protocol: u8, id: u16, fragment: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let header_len = 20 + options.len();
    let mut bytes = vec![0x40 | (header_len / 4) as u8, 0];
    bytes.extend(((header_len + payload.len()) as u16).to_be_bytes());
    bytes.extend(id.to_be_bytes());
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend(options);
    bytes.extend(payload);
    bytes
}

/// IPv6 from fd00::1 to fd00::2, `next` first.
pub fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend((payload.len() as u16).to_be_bytes());
    bytes.extend([next, 64]);
    for last in [1, 2] {
        bytes.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    bytes.extend(payload);
    bytes
}

/// An IPv6 extension header of 8 × (1 + `units`) bytes in front of `payload`.
pub fn extension(next: u8, units: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 8 * (1 + usize::from(units))];
    bytes[0] = next;
    bytes[1] = units;
    bytes.extend(payload);
    bytes
}

/// An IPv6 fragment header; `offset` in bytes.
pub fn ipv6_fragment(next: u8, id: u32, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![next, 0];
    bytes.extend((offset | u16::from(more)).to_be_bytes());
    bytes.extend(id.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Ethernet with VLAN tags (TPID of each, outermost first).
pub fn ethernet(tags: &[u16], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    for (number, tag) in tags.iter().enumerate() {
        bytes.extend(tag.to_be_bytes());
        bytes.extend((100 + number as u16).to_be_bytes());
    }
    bytes.extend(ethertype.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// UDP in IPv4 in Ethernet.
pub fn datagram(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    ethernet(&[], 0x0800, &ipv4(17, 0, 0, &[], &udp(source, destination, payload)))
}

/// UDP in IPv6 in Ethernet.
pub fn datagram6(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    ethernet(&[], 0x86dd, &ipv6(17, &udp(source, destination, payload)))
}
