//! FINGERPRINT (RFC 8489 section 14.7): the CRC-32 of ITU-T V.42, mixed with a constant.

/// "STUN", so that the CRC of another protocol in the same packet is none of STUN's.
const MIXED_WITH: u32 = 0x5354_554e;

/// The polynomial 0x04c11db7 with its bits turned around.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// What each byte does to the sum.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 != 0 {
                (sum >> 1) ^ POLYNOMIAL
            } else {
                sum >> 1
            };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
};

/// The fingerprint of these bytes.
pub fn of(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        // The low byte of the sum is below 256.
        sum = (sum >> 8) ^ TABLE[((sum ^ u32::from(*byte)) & 0xff) as usize];
    }
    !sum ^ MIXED_WITH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_crc_of_v42() {
        // The check value of CRC-32/ISO-HDLC in the catalogue of parametrised CRC algorithms.
        assert_eq!(of(b"123456789") ^ MIXED_WITH, 0xcbf4_3926);
        assert_eq!(of(b"") ^ MIXED_WITH, 0);
    }
}
