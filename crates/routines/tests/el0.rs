//! The routines and the timed blocks at EL0 of a Linux: they end in order, and
//! what only EL1 may execute is not there.

#![cfg(all(target_arch = "aarch64", target_os = "linux"))]

use stalecore_model::glossary::{Kind, Subject};
use stalecore_routines::{
    area::{Area, PAGE},
    counter::Counter,
    instructions, kernel, kexec_list, probe, run,
};

/// Pages of memory, aligned as pages are.
#[repr(align(4096))]
struct Pages([u8; 8 * PAGE]);

/// Memory for every routine: code and data are only maintained, not executed.
fn area(pages: &mut Pages) -> Area {
    let base = pages.0.as_mut_ptr() as usize;
    Area {
        code: base,
        code_writable: base,
        size: PAGE,
        data: base + PAGE,
        data_size: 4 * PAGE,
        list: base + 6 * PAGE,
    }
}

#[test]
fn every_routine_that_el0_has_returns() {
    let mut pages = Box::new(Pages([0; 8 * PAGE]));
    let area = area(&mut pages);
    for (at, entry) in kexec_list::entries(&area) {
        // SAFETY: in the area's list pages, which are this test's own.
        unsafe { (at as *mut u64).write(entry) }
    }
    for subject in Subject::ALL.iter().filter(|s| s.kind() == Kind::Routine) {
        assert_eq!(run::run(*subject, &area), 0, "{subject}");
    }
    assert!(kernel::leaf(Subject::SelftestHang).is_none());
}

#[test]
fn what_el0_may_execute_is_timed_and_the_rest_is_left_out() {
    let pages = Box::new(Pages([1; 8 * PAGE]));
    let address = pages.0.as_ptr() as usize;
    let mut timed = 0;
    for subject in Subject::ALL.iter().copied() {
        let name = subject.to_string();
        // Linux opens `dc cvac`, `cvau`, `civac` and `ic ivau` to EL0; `dc ivac` never is.
        let privileged = name.contains("tlbi") || name.starts_with("ic-iall") || name == "dc-ivac";
        let Some(probe) = probe::of(subject) else {
            // What is no maintenance is a control of the image's.
            let control = subject.is_no_maintenance();
            let operation = subject.kind() == Kind::Operation;
            assert!(privileged || control || !operation, "{name}");
            continue;
        };
        assert!(!privileged, "{name}");
        let block = probe.issue[Counter::Cntvct as usize];
        let ticks = (0..64).map(|_| block(address)).min();
        assert!(ticks < Some(instructions::cntfrq_el0()), "{name}");
        timed += 1;
    }
    assert!(timed >= 6, "{timed}");
}
