use super::*;
use alloc::{vec, vec::Vec};
use proptest::prelude::*;

const MARKS: Marks = Marks {
    image: Hex(0x4000_0000),
    symbols: Hex(0x4010_0000),
    case: Hex(0x4020_0000),
    mark: Hex(0x4030_0500),
    state: Hex(0x4030_0400),
    stride: 0x900,
};

fn site() -> impl Strategy<Value = Site> {
    let subject = 0..Subject::ALL.len();
    (subject.clone(), 0..Phase::ALL.len(), any::<u16>(), subject).prop_map(
        |(subject, phase, offset, instruction)| Site {
            subject: Subject::ALL[subject],
            phase: Phase::ALL[phase],
            offset,
            instruction: Subject::ALL[instruction],
        },
    )
}

#[test]
fn what_has_returned_since_it_was_seen_is_still_the_order_that_it_was() {
    let orders = [
        Subject::None,
        Subject::None,
        Subject::IcIvau,
        Subject::DcCvau,
    ];
    let of = |sequence, subject, done| {
        let seen = Seen {
            sequence,
            site: Some(Site::of(subject, Phase::Issue)),
            address: 0,
            returned: 0,
        };
        seen.order(orders.into_iter(), done)
    };
    assert_eq!(of(1, Subject::IcIvau, 2), 2);
    assert_eq!(of(1, Subject::IcIvau, 3), 2);
    assert_eq!(of(1, Subject::DcCvau, 4), 3);
    // The empty block in front of a case that is one.
    assert_eq!((of(1, Subject::None, 0), of(1, Subject::None, 1)), (0, 1));
    // Between two operations it is the next that has not begun.
    assert_eq!(of(2, Subject::IcIvau, 3), 3);
    // A mark that is none.
    assert_eq!(of(1, Subject::TlbiVmalle1, 1), 1);
}

#[test]
fn places_are_named_as_the_kernel_names_them() {
    let step = |subject, instruction, offset| {
        Site {
            subject,
            phase: Phase::Step,
            offset,
            instruction,
        }
        .place()
    };
    assert_eq!(
        step(Subject::FlushIcacheRangeSize, Subject::IcIvau, 92),
        "flush_icache_range+92"
    );
    assert_eq!(
        step(Subject::MachineKexec, Subject::DcCivac, 32),
        "__flush_dcache_area+32"
    );
    assert_eq!(
        step(Subject::MachineKexec, Subject::IcIvau, 92),
        "flush_icache_range+92"
    );
    assert_eq!(
        Site::of(Subject::IcIvau, Phase::Complete).place(),
        "ic ivau (timed block, complete class)"
    );
    // What does not return there is the DSB, for what was posted before.
    let drain = Site::of(Subject::IcIvau, Phase::Drain);
    assert_eq!(drain.instruction, Subject::DsbSy);
    assert!(drain.phase.is_between() && !Phase::Complete.is_between());
    assert!(
        drain.place().starts_with("ic ivau (the DSB behind"),
        "{}",
        drain.place()
    );
}

#[test]
fn phases_are_numbered_in_order() {
    for (number, phase) in Phase::ALL.into_iter().enumerate() {
        assert_eq!(phase as usize, number);
    }
}

#[test]
fn addresses_that_cannot_be_have_no_window() {
    assert_eq!(
        MARKS.window(8),
        Some((0x4030_0400, 0x100 + 7 * 0x900 + MARK_SIZE))
    );
    assert_eq!(MARKS.window(0), None);
    assert_eq!(MARKS.window(MAX_CPUS + 1), None);
    for wrong in [
        Marks {
            stride: u64::MAX,
            ..MARKS
        },
        Marks {
            state: Hex(0),
            ..MARKS
        },
        Marks {
            mark: Hex(u64::MAX),
            state: Hex(u64::MAX - 8),
            ..MARKS
        },
    ] {
        assert_eq!(wrong.window(8), None, "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn a_site_is_read_as_it_was_written(site in site()) {
        prop_assert_eq!(Site::unpack(site.pack()), Some(site));
    }

    #[test]
    fn marks_are_read_from_where_they_were_written(
        written in proptest::collection::vec((any::<u64>(), site(), any::<u64>(), any::<u64>(), 0..=StaleState::ALL.len()), 1..9),
        stride in 2 * 256_u64..4096,
        swapped: bool,
    ) {
        let (mark, state_at) = if swapped { (0x4000, 0x4100) } else { (0x4100, 0x4000) };
        let marks = Marks { mark: Hex(mark), state: Hex(state_at), stride, ..MARKS };
        let (start, length) = marks.window(written.len()).unwrap();
        let mut memory = vec![0xa5; length];
        for (cpu, (sequence, site, address, returned, state)) in written.iter().enumerate() {
            let base = cpu * stride as usize;
            let at = base + (mark - start) as usize;
            let words: Vec<u8> = [*sequence, site.pack(), *address, *returned].iter().flat_map(|w| w.to_le_bytes()).collect();
            memory[at..at + MARK_SIZE].copy_from_slice(&words);
            memory[base + (state_at - start) as usize] = *state as u8;
        }
        for (cpu, (sequence, site, address, returned, state)) in written.iter().enumerate() {
            let (seen, stuck) = marks.read(&memory, cpu).unwrap();
            prop_assert_eq!(seen, Seen { sequence: *sequence, site: Some(*site), address: *address, returned: *returned });
            prop_assert_eq!(seen.in_flight(), sequence % 2 == 1);
            prop_assert_eq!(stuck.map_or(0, |s| s as usize + 1), *state);
        }
    }

    #[test]
    fn no_memory_and_no_addresses_make_it_panic(
        mark: u64, state: u64, stride: u64, cpu in 0_usize..600,
        memory in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let marks = Marks { mark: Hex(mark), state: Hex(state), stride, ..MARKS };
        let _ = marks.window(cpu);
        let _ = marks.read(&memory, cpu);
        let near = Marks { mark: Hex(mark % 300), state: Hex(state % 300), stride: stride % 300, ..MARKS };
        let _ = near.read(&memory, cpu % 4);
    }
}

#[test]
fn an_address_is_named_where_the_instruction_takes_one_and_of_the_self_test() {
    let of = |subject, instruction| {
        let seen = Seen {
            sequence: 1,
            site: Some(Site::of(subject, Phase::Issue)),
            address: 0x80,
            returned: 0,
        };
        seen.named_address(instruction)
    };
    assert_eq!(of(Subject::IcIvau, Subject::IcIvau), Some(Hex(0x80)));
    assert_eq!(of(Subject::IcIallu, Subject::IcIallu), None);
    assert_eq!(of(Subject::SelftestHang, Subject::IcIallu), Some(Hex(0x80)));
    let seen = Seen {
        sequence: 1,
        site: None,
        address: 0x80,
        returned: 0,
    };
    assert_eq!(seen.named_address(Subject::DcCivac), Some(Hex(0x80)));
    assert_eq!(seen.named_address(Subject::IcIalluis), None);
}

/// What a machine says of itself may be anything; no more is read for it than the
/// largest that there can be.
#[test]
fn no_window_is_larger_than_all_cores_can_be() {
    let at_most = Marks {
        stride: LARGEST_CORE,
        state: Hex(MARKS.mark.0 + LARGEST_CORE),
        ..MARKS
    };
    let (start, length) = at_most.window(MAX_CPUS).unwrap();
    assert_eq!(start, MARKS.mark.0);
    assert_eq!(
        length as u64,
        LARGEST_CORE * MAX_CPUS as u64 + MARK_SIZE as u64
    );
    for beyond in [
        Marks {
            stride: LARGEST_CORE + 1,
            ..MARKS
        },
        Marks {
            state: Hex(MARKS.mark.0 + LARGEST_CORE + 1),
            ..MARKS
        },
    ] {
        assert_eq!(beyond.window(2), None);
    }
    assert_eq!((MARKS.window(MAX_CPUS + 1), MARKS.window(0)), (None, None));
}
