//! What a thread can be and execute, and why not the rest.

use stalecore_model::{
    framebuffer::Choice,
    glossary::{Kind, StaleState, Subject},
    options::{AfterBlock, Auto, CounterChoice, Options, Preset, Scenario, Then},
    plan::{Group, Plan, Roles},
};
use stalecore_routines::{kernel, probe};

use crate::{machine, os, table};

/// Keys of use to the image alone, whatever their value.
const ONLY_IMAGE: [&str; 4] = ["device-stuck-at", "kernel", "recorder", "watchdog-thresh"];

/// Why no CPU can be taken offline here, if none can.
pub fn why_not_offline() -> Option<&'static str> {
    match () {
        () if machine::is_user_mode() => {
            Some("in QEMU's user mode a CPU is the host's, and is not taken offline")
        }
        () if !os::is_root() => Some("only root may take a CPU offline"),
        () => None,
    }
}

/// Why a thread cannot be in a stale state, if it cannot; `offline` is why no CPU can be
/// taken offline.
pub fn why_not_state(state: StaleState, offline: Option<&'static str>) -> Option<&'static str> {
    use StaleState as S;
    match state {
        S::WfiMasked | S::WfeMasked => Some("a thread cannot mask interrupts: only the image can"),
        S::TlbiStorm => Some("EL0 has no TLBI: only the image does it"),
        S::DeviceStuck | S::SgiStorm | S::FaultLoop | S::MmuOff => {
            Some("only EL1 stages it: the image does")
        }
        S::CpuOff => offline,
        S::CpuOffInflight
        | S::CpuOffAbandoned
        | S::CpuOnInflight
        | S::CpuSuspend
        | S::CpuSuspendPowerdown
        | S::SdeiParked => Some("only EL1 calls firmware: the image does"),
        S::CrashStopped => Some("a thread cannot mask interrupts: only the image can"),
        S::NeverStarted => Some("Linux has started every CPU"),
        S::Parked => None,
        // What has a row in the table of threads.
        _ if !table::of(state).sleeps() => None,
        _ => Some("no thread can be in it: the image stages it"),
    }
}

/// Why EL0 cannot run a subject, if it cannot.
pub fn why_not_subject(subject: Subject) -> Option<&'static str> {
    match subject {
        Subject::SelftestHang | Subject::SelftestSlow => None,
        Subject::SelftestFault => Some("at EL0 a fault ends the program: only the image takes it"),
        Subject::SelftestUnseen => Some("no routine is run step by step at EL0"),
        _ if probe::of(subject).is_some() || !kernel::leaves(subject).is_empty() => None,
        _ if subject.is_no_maintenance() => Some("a control that only the image has"),
        _ => Some("EL0 may not execute it: the image does"),
    }
}

/// Why all of a group is skipped, if it is.
pub fn why_not_group(
    group: &Group,
    roles: &Roles,
    offline: Option<&'static str>,
) -> Option<&'static str> {
    let alone = group.state != StaleState::Parked && roles.stale.is_empty();
    why_not_state(group.state, offline).or(alone.then_some("no CPU is left to be stale"))
}

/// The cases of a plan that are skipped, by number, each with the state or the subject that
/// is not there and the reason. An instruction that Linux refuses shows only as it runs.
pub fn skipped(plan: &Plan, offline: Option<&'static str>) -> Vec<(usize, String, &'static str)> {
    let mut skipped = Vec::new();
    for group in &plan.groups {
        let whole = why_not_group(group, &plan.roles, offline);
        for case in &group.cases {
            let why = whole.map(|why| (group.state.to_string(), why));
            let own = || why_not_subject(case.subject).map(|why| (case.subject.to_string(), why));
            skipped.extend(why.or_else(own).map(|(what, why)| (case.number, what, why)));
        }
    }
    skipped
}

/// What of the options is left out, as nobody has asked for it by name.
pub struct LeftOut {
    /// States that no thread can be in.
    pub states: Vec<StaleState>,
    /// Subjects that EL0 does not have.
    pub subjects: Vec<Subject>,
}

/// The first option that only the image has.
fn only_image(options: &Options) -> Option<&'static str> {
    let given = [
        ("fabric", options.fabric.is_some()),
        ("icount", options.icount),
        ("dsb", options.dsb.is_some()),
        ("stage2", options.stage2),
        ("bisect", options.bisect),
        ("scenario", options.scenario != Scenario::Plan),
        ("after-block", options.after_block != AfterBlock::End),
        (
            "dwell",
            options.dwell_ms.as_ref().is_some_and(|ms| !ms.is_empty()),
        ),
        ("trace", options.trace),
        ("disturb-inherited", options.disturb_inherited),
        ("then", options.then != Then::Off),
        ("ramoops", options.ramoops),
        ("framebuffer", options.framebuffer != Choice::Auto),
        ("witness", options.witness == Auto::On),
    ];
    given
        .iter()
        .find(|(_, given)| *given)
        .map(|(flag, _)| *flag)
}

/// Is this preset's plan one for threads?
fn has_preset(preset: Preset) -> bool {
    // Which errata a machine has, the image finds out.
    preset != Preset::Errata && only_image(&Options::of(preset)).is_none()
}

/// Takes out of a default what there is not at EL0; what was named stays, and is skipped
/// with its reason. `given` are the keys that were.
///
/// # Errors
/// An option that only the image has.
pub fn narrow(options: &mut Options, given: &[&str]) -> Result<LeftOut, String> {
    if let Some(preset) = options.preset.filter(|preset| !has_preset(*preset)) {
        let here = Preset::ALL.iter().filter(|preset| has_preset(**preset));
        let here: Vec<_> = here.map(|preset| preset.name()).collect();
        return Err(format!(
            "--preset: only the image has {}; allowed: {}; or stalecore run, or a board",
            preset.name(),
            here.join(", ")
        ));
    }
    let useless = ONLY_IMAGE.iter().find(|key| given.contains(*key)).copied();
    if let Some(flag) = only_image(options).or(useless) {
        return Err(format!(
            "--{flag}: only the image has it; allowed: stalecore run, or a board"
        ));
    }
    if options.counter == CounterChoice::Pmccntr {
        return Err("--counter: EL0 may not read PMCCNTR_EL0; allowed: cntvct".into());
    }
    let mut left = LeftOut {
        states: Vec::new(),
        subjects: Vec::new(),
    };
    if StaleState::default_set().eq(options.stale.iter().copied()) || options.preset.is_some() {
        let (out, stay) = options
            .stale
            .iter()
            // A machine whose CPUs go offline is changed: only where that is asked for by name.
            .partition(|s| why_not_state(**s, Some("it changes the machine")).is_some());
        (left.states, options.stale) = (out, stay);
    }
    if Subject::default_set().eq(options.ops.iter().copied()) || options.preset.is_some() {
        let (out, stay) = options
            .ops
            .iter()
            .partition(|s| why_not_subject(**s).is_some());
        (left.subjects, options.ops) = (out, stay);
    }
    options.dwell_ms = Some(Vec::new());
    Ok(left)
}

impl LeftOut {
    /// In one line; `None` where nothing was.
    pub fn told(&self) -> Option<String> {
        let names = |all: &[String]| all.join(", ");
        let states: Vec<_> = self.states.iter().map(ToString::to_string).collect();
        let subjects: Vec<_> = self.subjects.iter().map(ToString::to_string).collect();
        (!states.is_empty() || !subjects.is_empty()).then(|| {
            format!(
                "not at EL0, and left out of this plan: {}; as stale states: {} (cpu-off is there by \
                 name, for root)",
                names(&subjects),
                names(&states)
            )
        })
    }
}

/// Is it one of those whose block is this harness's own making?
pub fn is_selftest(subject: Subject) -> bool {
    subject.kind() == Kind::Selftest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_is_narrowed_and_what_was_named_stays() {
        let mut options = Options::default();
        let left = narrow(&mut options, &[]).unwrap();
        assert!(left.subjects.contains(&Subject::TlbiVmalle1is));
        assert!(left.states.contains(&StaleState::CpuOff));
        assert!(options.ops.contains(&Subject::IcIvau));
        assert!(options.stale.contains(&StaleState::IcStorm));
        let text = left.told().unwrap();
        assert!(text.contains("tlbi-vmalle1is"), "{text}");
        let mut named = Options::default();
        named.set("ops", "tlbi-vmalle1is,ic-ivau").unwrap();
        named.set("stale", "mmu-off").unwrap();
        assert!(narrow(&mut named, &[]).unwrap().told().is_none());
        assert_eq!(named.ops.len(), 2);
        assert!(why_not_state(StaleState::CpuOff, None).is_none());
        let mut fabric = Options::from_bootargs("stalecore.fabric=depth=4").unwrap();
        assert!(narrow(&mut fabric, &[]).is_err());
    }
}
