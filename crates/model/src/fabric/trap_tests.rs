use super::*;

/// Instruction with `x0` or without a register, the same from an assembler,
/// and ESR_EL2 with Rt = 0 or 31.
const TABLE: &[(Maintenance, u32, u64)] = &[
    (Maintenance::IcIvau, 0xd50b_7520, 0x6212_dc0a),
    (Maintenance::DcCvau, 0xd50b_7b20, 0x6212_dc16),
    (Maintenance::DcCvac, 0xd50b_7a20, 0x6212_dc14),
    (Maintenance::DcCvap, 0xd50b_7c20, 0x6212_dc18),
    (Maintenance::DcCvadp, 0xd50b_7d20, 0x6212_dc1a),
    (Maintenance::DcCivac, 0xd50b_7e20, 0x6212_dc1c),
    (Maintenance::DcIvac, 0xd508_7620, 0x6212_1c0c),
    (Maintenance::IcIalluis, 0xd508_711f, 0x6210_1fe2),
    (Maintenance::IcIallu, 0xd508_751f, 0x6210_1fea),
    (Maintenance::TlbiVmalle1is, 0xd508_831f, 0x6210_23e6),
    (Maintenance::TlbiVae1is, 0xd508_8320, 0x6212_2006),
    (Maintenance::TlbiVmalle1, 0xd508_871f, 0x6210_23ee),
];

/// The `sys` instruction word of an encoding.
fn word(what: Maintenance, rt: u32) -> u32 {
    let (op1, crn, crm, op2) = what.encoding();
    let [op1, crn, crm, op2] = [op1, crn, crm, op2].map(u32::from);
    0xd508_0000 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5 | rt
}

/// ESR_EL2 of a trapped `sys`, out of the fields of its instruction word.
fn syndrome(word: u32) -> u64 {
    let field = |low: u32, bits: u32| u64::from(word >> low & ((1 << bits) - 1));
    0x18 << 26
        | 1 << 25
        | 1 << 20
        | field(5, 3) << 17
        | field(16, 3) << 14
        | field(12, 4) << 10
        | field(0, 5) << 5
        | field(8, 4) << 1
}

#[test]
fn the_table_of_syndromes_is_read() {
    for (what, instruction, esr) in TABLE {
        let rt = (instruction & 31) as u8;
        assert_eq!(word(*what, u32::from(rt)), *instruction, "{what}");
        assert_eq!(decode(*esr), Trap::Maintenance { what: *what, rt });
    }
}

#[test]
fn every_instruction_is_read_with_every_register() {
    for what in Maintenance::ALL {
        for rt in 0..32_u8 {
            assert_eq!(
                decode(syndrome(word(*what, u32::from(rt)))),
                Trap::Maintenance { what: *what, rt }
            );
        }
    }
    for (_, instruction, esr) in TABLE {
        assert_eq!(syndrome(*instruction), *esr);
    }
}

#[test]
fn what_is_no_maintenance_is_not_taken_for_it() {
    // mrs x3, ctr_el0 and dc zva, x0.
    let ctr = 0x18 << 26 | 1 << 25 | 3 << 20 | 1 << 17 | 3 << 14 | 3 << 5 | 1;
    assert_eq!(
        decode(ctr),
        Trap::System {
            register: (3, 3, 0, 0, 1),
            rt: 3,
            read: true
        }
    );
    assert_eq!(
        decode(syndrome(0xd50b_7420)),
        Trap::System {
            register: (1, 3, 7, 4, 1),
            rt: 0,
            read: false
        }
    );
    // The same encoding, read: no such instruction exists.
    assert!(matches!(
        decode(0x6212_dc0b),
        Trap::System { read: true, .. }
    ));
}

#[test]
fn the_other_classes() {
    // QEMU's syndrome of a breakpoint on a DSB at EL1.
    assert_eq!(decode(0xc200_0022), Trap::Breakpoint);
    assert_eq!(decode(0xc600_0022), Trap::OwnBreakpoint);
    assert_eq!(decode(0x5a00_1234), Trap::Hvc(0x1234));
    assert_eq!(decode(0x5e00_0000), Trap::Smc(0));
    assert_eq!(decode(0x0600_0001), Trap::WaitFor { kind: 1 });
    assert_eq!(
        decode(0x9200_0147),
        Trap::DataAbort {
            maintenance: true,
            status: 7
        }
    );
    assert_eq!(
        decode(0xbe00_0011),
        Trap::Other {
            class: 0x2f,
            iss: 0x11
        }
    );
}

#[test]
fn the_injected_fault_is_the_one_seen_on_silicon() {
    // OP-TEE's `dc cvac` on an unmapped address.
    assert_eq!(INJECTED_ESR_EL1, 0x9600_0147);
}

#[test]
fn barriers_that_wait_and_barriers_that_do_not() {
    for (instruction, waits) in [
        (0xd503_3b9f, Some(true)),  // dsb ish
        (0xd503_3f9f, Some(true)),  // dsb sy
        (0xd503_339f, Some(true)),  // dsb osh
        (0xd503_3a9f, Some(false)), // dsb ishst
        (0xd503_379f, Some(false)), // dsb nsh
        (0xd503_309f, None),        // ssbb
        (0xd503_3bbf, None),        // dmb ish
        (0xd503_3fdf, None),        // isb
        (0xd503_201f, None),        // nop
    ] {
        let read = Barrier::decode(instruction).map(Barrier::waits_for_maintenance);
        assert_eq!(read, waits, "{instruction:#x}");
    }
}

#[test]
fn nothing_traps_without_a_fabric() {
    assert_eq!(traps_for(None), 0);
    let bits = traps_for(Some(&FabricOptions::default()));
    assert_eq!(bits, 1 << 23 | 1 << 24 | 1 << 25);
    assert_eq!(bits & HCR_EL2_TSW, 0);
    assert_eq!(DBGBCR_EL1_ONLY, 0x1e3);
}

#[test]
fn the_read_of_a_counter_is_known() {
    // mrs x3, pmccntr_el0; mrs x30, cntvct_el0; mrs x0, cntpct_el0; msr pmccntr_el0, x3
    let found = [0xd53b_9d03, 0xd53b_e05e, 0xd53b_e020, 0xd51b_9d03].map(reads_counter);
    assert_eq!(found, [true, true, false, false]);
}

#[test]
fn an_abort_of_a_load_is_no_maintenance_s() {
    // The access size and the register of the load are there in its place.
    for esr in [0x9200_0007_u64, 0x9280_0007, 0x93c1_0047] {
        assert_eq!(
            decode(esr),
            Trap::DataAbort {
                maintenance: false,
                status: 7
            }
        );
    }
}

#[test]
fn a_barrier_is_the_instruction_that_an_assembler_makes_of_it() {
    for (name, word) in [
        ("nsh", 0xd503_379f_u32),
        ("ish", 0xd503_3b9f),
        ("osh", 0xd503_339f),
        ("sy", 0xd503_3f9f),
    ] {
        let (_, barrier) = Barrier::NAMED.iter().find(|(of, _)| *of == name).unwrap();
        assert_eq!(barrier.encode(), word, "{name}");
        assert_eq!(Barrier::decode(word), Some(*barrier));
    }
}
