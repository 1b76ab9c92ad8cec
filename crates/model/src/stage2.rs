//! Stage 2 of EL1's translation, as an identity: every address to itself, with stage 1's
//! attributes. One level of blocks of 1 GiB, which is all that is walked.
//!
//! Fields are those of VTCR_EL2 and of the stage 2 block descriptor (Arm ARM, D8).

/// The most bits of an address that one level of blocks maps: sixteen tables side by side.
pub const MOST_BITS: u32 = 43;

/// Address bits of ID_AA64MMFR0_EL1.PARange, up to [`MOST_BITS`].
pub const fn bits(parange: u64) -> u32 {
    match parange {
        0 => 32,
        1 => 36,
        2 => 40,
        3 => 42,
        _ => MOST_BITS,
    }
}

/// How many blocks map that many bits; the table is aligned to its size, and to a page.
pub const fn blocks(bits: u32) -> usize {
    1 << (bits - 30)
}

/// VTCR_EL2: these bits from level 1 on (SL0), pages of 4 KiB, walks write-back and Inner
/// Shareable, the output size (PS), RES1.
pub const fn control(bits: u32, parange: u64) -> u64 {
    let output = if parange > 5 { 5 } else { parange };
    (64 - bits as u64) | 0b01 << 6 | 0b01 << 8 | 0b01 << 10 | 0b11 << 12 | output << 16 | 1 << 31
}

/// The descriptor of a block: Normal write-back where stage 1 says so too (MemAttr), for
/// reading and writing (S2AP), Inner Shareable, accessed, executable.
pub const fn block(nth: usize) -> u64 {
    (nth as u64) << 30 | 1 << 10 | 0b11 << 8 | 0b11 << 6 | 0b1111 << 2 | 0b01
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_in_the_block_that_maps_it_to_itself() {
        for parange in 0..=6 {
            let bits = bits(parange);
            let last = blocks(bits) - 1;
            assert_eq!(block(last) >> 30, ((1 << bits) - 1) >> 30, "{parange}");
            // As many bits as the output has, or fewer.
            let vtcr = control(bits, parange);
            assert_eq!(64 - (vtcr & 0x3f), u64::from(bits));
            assert!(vtcr >> 16 & 7 <= 5);
        }
        assert_eq!(control(40, 2), 0x8002_3558);
        assert_eq!(block(1), 0x4000_07fd);
    }

    #[test]
    fn at_most_sixteen_tables_lie_side_by_side() {
        assert_eq!(blocks(MOST_BITS) * 8, 16 * 4096);
    }

    #[test]
    fn as_many_bits_as_the_core_has_but_no_more_than_one_level_maps() {
        assert_eq!([0, 1, 2, 3].map(bits), [32, 36, 40, 42]);
        assert_eq!([4, 5, 6].map(bits), [MOST_BITS; 3]);
    }
}
