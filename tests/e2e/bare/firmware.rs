//! Firmware of our own at EL3 (`firmware.S`): it leaves registers as a warm reset might,
//! and answers in ways that PSCI allows.

use std::path::Path;

use stalecore_model::{
    cpuset::CpuSet,
    glossary::{INHERITED, StaleState, Verdict},
    record::{Block, Release},
    run::Run,
};

use super::Bare;
use crate::dist::built;

/// What the firmware does; see there.
struct Firmware {
    newer: bool,
    features: i64,
    suspend: i64,
    off_ms: i64,
    serror: bool,
    sdei: bool,
    down: bool,
    /// The core that is on from the beginning and that nobody controls; 0 for none.
    held: i64,
}

/// Leaves registers as badly as it can, and answers normally.
const RUDE: Firmware = Firmware {
    newer: false,
    features: 0,
    suspend: 0,
    off_ms: 1,
    serror: false,
    sdei: false,
    down: false,
    held: 0,
};

/// PSCI's NOT_SUPPORTED and DENIED.
const NOT_SUPPORTED: i64 = -1;
const DENIED: i64 = -3;

/// Runs two operations under some stale states: exit code 0, each record read.
#[track_caller]
fn run(firmware: &Firmware, states: &str) -> Run {
    let (code, console, run) = ended(firmware, states);
    assert_eq!(code, 0, "{console}");
    run
}

/// The same, however it ends. A core that is held was held before a kexec.
#[track_caller]
fn ended(firmware: &Firmware, states: &str) -> (i32, String, Run) {
    let bare = Bare::new(0x4040_0000, ("firmware.dts", 0x4030_0000));
    let arguments = format!(
        "stalecore.semihosting=on stalecore.sweep=off stalecore.samples=8 \
         stalecore.ops=ic-ivau,tlbi-vaae1is stalecore.stale={states}"
    );
    bare.set("/chosen", "bootargs", "-ts", &[&arguments]);
    if firmware.held != 0 {
        bare.set("/chosen", "linux,booted-from-kexec", "-tx", &[]);
    }
    let flash = bare.assemble(
        "firmware.S",
        &[
            ("NEWER", firmware.newer.into()),
            ("FEATURES", firmware.features),
            ("SUSPEND", firmware.suspend),
            ("OFF_MS", firmware.off_ms),
            ("SERROR", firmware.serror.into()),
            ("SDEI", firmware.sdei.into()),
            ("DOWN", firmware.down.into()),
            ("HELD", firmware.held),
        ],
    );
    // Fine-grained traps came with QEMU 8.
    let newer = built("qemu/usr/bin/qemu-system-aarch64");
    let (qemu, cpu) = match firmware.newer {
        true => (newer.as_path(), "max"),
        false => (Path::new("qemu-system-aarch64"), "cortex-a72"),
    };
    let machine = "virt,secure=on,virtualization=on,gic-version=3";
    let flash = flash.display().to_string();
    let (code, console, run) =
        bare.run_on(qemu, cpu, &["-M", machine, "-smp", "3", "-bios", &flash]);
    let machine = run.machine.as_ref().unwrap();
    assert_eq!(machine.entry_el, 2);
    assert_eq!(machine.psci_version.as_deref(), Some("1.1"));
    let odd = run.notes.iter().find(|n| n.contains("takes no interrupt"));
    assert_eq!(odd, None, "{console}");
    (code, console, run)
}

/// Did every case of this state run?
#[track_caller]
fn ran(run: &Run, state: StaleState) {
    let cases: Vec<_> = run.cases.iter().filter(|c| c.state == state).collect();
    assert_eq!(cases.len(), 2, "{cases:?}");
    for case in cases {
        let ran = matches!(case.verdict, Verdict::Completed | Verdict::Slowed);
        assert!(ran, "{case:?}");
    }
}

/// Do both operations block where the core does not answer in this state, and does the
/// report say in which it is?
#[track_caller]
fn found_deaf(firmware: &Firmware, state: StaleState) {
    let plan = format!("{state} stalecore.deadline-ms=1000 stalecore.fabric=deaf={state},heal=sev");
    let (code, console, run) = ended(firmware, &plan);
    assert_eq!(code, 4, "{console}");
    assert_eq!(run.blocks.len(), 2, "{console}");
    for block in &run.blocks {
        assert!(block.cores.iter().any(|core| core.doing == state.name()));
    }
}

fn serrors(run: &Run) -> usize {
    let told = run.notes.iter().filter(|note| note.contains("SErrors"));
    told.count()
}

/// EL2's traps and the E2H layout, fine-grained traps, an interrupt controller left in the
/// middle of an interrupt: none of it is left when EL1 starts work.
#[test]
fn what_firmware_leaves_behind_does_not_matter() {
    for newer in [false, true] {
        let run = run(&Firmware { newer, ..RUDE }, "spin,cpu-off");
        ran(&run, StaleState::Spin);
        ran(&run, StaleState::CpuOff);
        assert_eq!(serrors(&run), 0, "{:?}", run.notes);
    }
}

#[test]
fn a_core_that_firmware_does_not_suspend_is_not_called_suspended() {
    for (features, suspend, why) in [
        (NOT_SUPPORTED, NOT_SUPPORTED, "there is no CPU_SUSPEND"),
        // It says that it can, but does not.
        (0, DENIED, "PSCI CPU_SUSPEND: "),
    ] {
        let firmware = Firmware {
            features,
            suspend,
            ..RUDE
        };
        let run = run(&firmware, "cpu-suspend,spin");
        ran(&run, StaleState::Spin);
        let suspended = run
            .cases
            .iter()
            .filter(|c| c.state == StaleState::CpuSuspend);
        let suspended: Vec<_> = suspended.collect();
        assert_eq!(suspended.len(), 2);
        for case in suspended {
            assert_eq!(case.verdict, Verdict::Skipped, "{case:?}");
            let told = case.why.as_deref().unwrap_or_default();
            assert!(told.contains(why), "{told}");
        }
    }
}

/// Firmware says that a core is on until it is off, and refuses to start it until
/// then.
#[test]
fn a_core_on_its_way_off_is_waited_for() {
    let slow = Firmware { off_ms: 60, ..RUDE };
    let run = run(&slow, "cpu-off,crash-stopped,cpu-off-inflight,spin");
    for state in [
        StaleState::CpuOff,
        StaleState::CrashStopped,
        StaleState::CpuOffInflight,
        StaleState::Spin,
    ] {
        ran(&run, state);
    }
    // While they are on their way the operations go on.
    let complete = |state| {
        let of = run.cases.iter().filter(move |case| case.state == state);
        of.map(|case| case.complete.count()).min()
    };
    let (passing, stays) = (StaleState::CpuOffInflight, StaleState::CpuOff);
    assert!(complete(passing) > complete(stays), "{:?}", run.cases);
    assert!(run.absent.is_empty(), "{:?}", run.absent);
}

#[test]
fn an_serror_is_taken_and_told() {
    let firmware = Firmware {
        serror: true,
        ..RUDE
    };
    let run = run(&firmware, "cpu-off,spin");
    ran(&run, StaleState::Spin);
    assert!(serrors(&run) > 0, "{:?}", run.notes);
}

/// A core that a kernel has left stuck is a stale core beside each case, and is by itself
/// enough for an answer; if it does not answer the fabric it is found and named, and
/// no rung of the ladder reaches it.
#[test]
fn a_core_that_was_stuck_before_this_boot_is_a_stale_core() {
    let held = Firmware { held: 2, ..RUDE };
    for states in ["parked", "parked stalecore.fabric=deaf=spin"] {
        let run = run(&held, states);
        ran(&run, StaleState::Parked);
        assert_eq!(run.inherited(), CpuSet::one(2));
        assert!(run.decided() && !run.only_control());
    }
    let (code, console, run) = ended(&held, "parked stalecore.fabric=deaf=inherited");
    assert_eq!(code, 4, "{console}");
    let block = &run.blocks[0];
    assert_eq!(block.release(), Release::None, "{console}");
    let suspects = block.cores.iter().filter(|core| core.role == INHERITED);
    let suspects: Vec<_> = suspects.map(|core| core.cpus).collect();
    assert_eq!(suspects, [CpuSet::one(2)], "{console}");
    // Without such a core nothing is deaf.
    let run = self::run(&RUDE, "spin stalecore.fabric=deaf=inherited");
    ran(&run, StaleState::Spin);
    assert!(run.inherited().is_empty());
}

/// An SDEI event reaches a core whatever that masks: a rung of the ladder, which the core
/// goes on after; and where a core stays in it, a stale state. Firmware takes the calls
/// from EL2 alone.
#[test]
fn an_sdei_event_is_a_rung_and_a_stale_state() {
    let sdei = Firmware { sdei: true, ..RUDE };
    let run = self::run(&sdei, "sdei-parked,wfi-masked");
    ran(&run, StaleState::SdeiParked);
    ran(&run, StaleState::WfiMasked);
    let fabric = "wfi-masked,sdei-parked stalecore.fabric=deaf=wfi-masked,heal=sdei";
    let (code, console, run) = ended(&sdei, fabric);
    assert_eq!(code, 4, "{console}");
    ran(&run, StaleState::SdeiParked);
    let released: Vec<_> = run.blocks.iter().map(Block::release).collect();
    assert_eq!(released, [Release::By("sdei"); 2], "{console}");
    // Deaf there, it is found: a row of the matrix for which QEMU's own firmware lacks the call.
    found_deaf(&sdei, StaleState::SdeiParked);
    // Firmware that is said to have it, and does not.
    let run = self::run(&RUDE, "sdei-parked,spin");
    let skipped: Vec<_> = run.cases.iter().filter_map(|c| c.why.as_deref()).collect();
    assert_eq!(skipped.len(), 2);
    assert!(
        skipped.iter().all(|why| why.contains("no SDEI")),
        "{skipped:?}"
    );
}

/// A core that CPU_SUSPEND powers down comes back as one that is started; where firmware
/// only returns, nothing is claimed of a power-down.
#[test]
fn a_core_is_powered_down_by_cpu_suspend() {
    let down = Firmware { down: true, ..RUDE };
    let run = self::run(&down, "cpu-suspend-powerdown,spin");
    ran(&run, StaleState::CpuSuspendPowerdown);
    ran(&run, StaleState::Spin);
    found_deaf(&down, StaleState::CpuSuspendPowerdown);
    let (_, console, run) = ended(&RUDE, "cpu-suspend-powerdown");
    for case in &run.cases {
        assert_eq!(case.verdict, Verdict::Inconclusive, "{console}");
    }
}
