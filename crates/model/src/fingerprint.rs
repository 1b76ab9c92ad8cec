//! A file in a word: two files with the same word are the same, barring malice.

use alloc::{format, string::String};
use crc::{CRC_64_XZ, Crc};

const CRC: Crc<u64> = Crc::<u64>::new(&CRC_64_XZ);

/// Length and CRC-64 (XZ) of these bytes: `554832:9b1f3a…`.
pub fn fingerprint(bytes: &[u8]) -> String {
    format!("{}:{:016x}", bytes.len(), CRC.checksum(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_is_the_catalogue_s() {
        assert_eq!(fingerprint(b"123456789"), "9:995dc9bbdf1939fa");
    }
}
