use super::*;
use alloc::{collections::BTreeSet, string::ToString};

fn numbers(midrs: &[u64], board: &str) -> Vec<&'static str> {
    let machine = Machine {
        midrs: midrs.to_vec(),
        board: board.to_string(),
    };
    machine.errata().iter().map(|e| e.number).collect()
}

#[test]
fn each_row_has_cases_a_source_and_a_number_of_its_own() {
    assert_eq!(ERRATA.len(), ABOUT.len());
    let mut seen = BTreeSet::new();
    for (erratum, about) in ERRATA.iter().zip(ABOUT) {
        assert!(seen.insert(erratum.number), "{}", erratum.number);
        assert!(Subject::ALL.iter().any(|s| erratum.suffers(*s)));
        assert!(StaleState::ALL.iter().any(|s| erratum.is_by(*s)));
        assert!(!erratum.cores.is_empty() && erratum.cores.iter().all(|c| !c.name().is_empty()));
        assert!(!about.trigger.is_empty() && !about.effect.is_empty() && !about.source.is_empty());
    }
}

#[test]
fn cores_have_their_own() {
    // QEMU 10's revisions: r0p3, r4p1, r2p1.
    assert_eq!(
        numbers(&[0x410f_d083], "linux,dummy-virt"),
        ["A72 exclusives"]
    );
    assert_eq!(
        numbers(&[0x414f_d0c1], ""),
        ["2743102", "DSU 936184", "CVE-2025-10263"]
    );
    assert_eq!(numbers(&[0x412f_d471], ""), ["2768515", "DSU 2313941"]);
    // QEMU's `max` has no maker.
    assert!(numbers(&[0x000f_0510], "").is_empty());
    // Of a machine with two kinds of cores, both kinds' errata.
    assert_eq!(
        numbers(&[0x412f_d471, 0x411f_d462], ""),
        ["3672349", "2768515", "DSU 2313941"]
    );
}

#[test]
fn a_revision_before_or_after_is_not_affected() {
    for (midr, number, has) in [
        (0x410f_d0c0, "1542419", false), // r0p0
        (0x413f_d0c0, "1542419", true),  // r3p0
        (0x414f_d0c0, "1542419", true),
        (0x414f_d0c1, "1542419", false), // r4p1
        (0x410f_d840, "3782181", false), // r0p0
        (0x410f_d841, "3782181", true),
        (0x410f_d842, "3782181", false),
        (0x410f_d032, "826319", true), // r0p2
        (0x410f_d034, "826319", false),
        (0x700f_d032, "826319", false), // another maker's
        (0x701f_6633, "S2500 kdump", true),
        (0x410f_d422, "2376748", true), // r0p2
        (0x411f_d402, "2294912", true), // r1p2
        (0x412f_d402, "2294912", false),
    ] {
        assert_eq!(numbers(&[midr], "").contains(&number), has, "{midr:#x}");
    }
}

#[test]
fn a_board_s_own_is_not_another_board_s() {
    let on = |board| numbers(&[0x410f_d083], board).contains(&"BCM2711 stall");
    assert!(on("Raspberry Pi 4 Model B Rev 1.4") && !on("Raspberry Pi 3 Model B"));
}

#[test]
fn of_a_machine_that_is_not_there_yet_all_may_be() {
    assert_eq!(Machine::default().errata().len(), ERRATA.len());
}

#[test]
fn revisions_in_words() {
    let words = |core: Core| core.revisions();
    assert_eq!(words(Core::arm(1, (4, 1))), "r0p0 to r4p1");
    assert_eq!(words(Core::arm(1, (0, 0))), "r0p0");
    assert_eq!(words(Core::arm(1, EVERY)), "every revision");
}

#[test]
fn a_set_has_room_for_each_word() {
    assert!(Subject::ALL.len() <= 64 && StaleState::ALL.len() <= 64);
}

#[test]
fn an_erratum_is_of_its_operations_and_cores_alone() {
    let find = |number| ERRATA.iter().find(|e| e.number == number).unwrap();
    let both = find("2768515");
    assert_eq!(both.cores(), "Cortex-A710, Cortex-X2");
    assert!(both.suffers(Subject::DsbSy) && !both.suffers(Subject::Stxr));
    let of_instructions = find("3392149");
    let ops: Vec<_> = Subject::ALL
        .iter()
        .filter(|s| of_instructions.suffers(**s))
        .map(|s| s.name())
        .collect();
    assert_eq!(ops, ["ic-ivau", "ic-ialluis", "flush-icache-range"]);
}

#[test]
fn how_sure_a_row_is_is_told_apart() {
    let words: BTreeSet<_> = ABOUT.iter().map(|about| about.sure.words()).collect();
    assert_eq!(words.len(), 3);
    assert!(Sure::Inferred.words().contains("workaround"));
    assert!(Sure::Reported.words().contains("not confirmed"));
}
