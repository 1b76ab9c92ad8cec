//! ESR_EL1 in words (Arm ARM, D17 "ESR_EL1").

use alloc::{format, string::String};

/// The exception class, ESR_ELx bits 31:26.
pub const fn class(esr: u64) -> u8 {
    ((esr >> 26) & 0x3f) as u8
}

/// A data abort, from this exception level.
pub const DATA_ABORT: u8 = 0x25;
/// A software step, from this exception level.
pub const SOFTWARE_STEP: u8 = 0x33;

/// Was this a data abort on a cache maintenance instruction? (ISS.CM)
pub const fn on_cache_maintenance(esr: u64) -> bool {
    matches!(class(esr), 0x24 | DATA_ABORT) && esr & (1 << 8) != 0
}

/// The syndrome as a phrase: `data abort, translation fault level 3, cache
/// maintenance`.
pub fn describe(esr: u64) -> String {
    let iss = esr & 0x01ff_ffff;
    match class(esr) {
        0x00 => "undefined instruction".into(),
        0x01 => "trapped WFI or WFE".into(),
        0x07 => "trapped SIMD or floating point".into(),
        0x0e => "illegal execution state".into(),
        0x15 => format!("svc #{:#x}", iss & 0xffff),
        0x16 => format!("hvc #{:#x}", iss & 0xffff),
        0x17 => format!("smc #{:#x}", iss & 0xffff),
        0x18 => format!("trapped system instruction, iss {iss:#x}"),
        0x20 | 0x21 => format!("instruction abort, {}", fault_status(iss)),
        0x22 => "misaligned pc".into(),
        0x24 | 0x25 => {
            let what = if iss & (1 << 8) != 0 {
                "cache maintenance"
            } else if iss & (1 << 6) != 0 {
                "write"
            } else {
                "read"
            };
            format!("data abort, {}, {what}", fault_status(iss))
        }
        0x26 => "misaligned sp".into(),
        0x2f => format!("serror, iss {iss:#x}"),
        0x30 | 0x31 => "hardware breakpoint".into(),
        0x32 | 0x33 => "software step".into(),
        0x34 | 0x35 => "watchpoint".into(),
        0x3c => format!("brk #{:#x}", iss & 0xffff),
        other => format!("exception class {other:#x}, iss {iss:#x}"),
    }
}

/// DFSC or IFSC, bits 5:0.
fn fault_status(iss: u64) -> String {
    let level = iss & 3;
    match iss & 0x3f {
        0x00..=0x03 => format!("address size fault level {level}"),
        0x04..=0x07 => format!("translation fault level {level}"),
        0x08..=0x0b => format!("access flag fault level {level}"),
        0x0c..=0x0f => format!("permission fault level {level}"),
        0x10 => "external abort".into(),
        0x11 => "tag check fault".into(),
        0x14..=0x17 => format!("external abort on a table walk level {level}"),
        0x18 => "parity or ECC error".into(),
        0x21 => "alignment fault".into(),
        0x30 => "TLB conflict".into(),
        other => format!("status {other:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_abort_of_a_dc_cvac_seen_in_the_field() {
        // OP-TEE's issue 2737: dc cvac at EL1.
        assert_eq!(
            describe(0x9600_0147),
            "data abort, translation fault level 3, cache maintenance"
        );
        assert!(on_cache_maintenance(0x9600_0147));
    }

    #[test]
    fn a_load_is_no_cache_maintenance() {
        assert!(!on_cache_maintenance(0x9600_0007));
        assert_eq!(
            describe(0x9600_0007),
            "data abort, translation fault level 3, read"
        );
    }

    #[test]
    fn every_syndrome_has_words() {
        for class in 0..64_u64 {
            for status in 0..64 {
                assert!(!describe(class << 26 | status).is_empty());
            }
        }
    }

    #[test]
    fn a_store_is_told_from_a_load() {
        assert_eq!(
            describe(0x9600_0047),
            "data abort, translation fault level 3, write"
        );
    }
}
