//! What a thread can be and execute, and why not the rest.

use stalecore_model::{
    framebuffer::Choice,
    glossary::{Kind, StaleState, Subject},
    options::{AfterBlock, CounterChoice, Options, Scenario, Then},
};
use stalecore_routines::{kernel, probe};

use crate::table;

/// Why a thread cannot be in a stale state, if it cannot.
pub fn why_not_state(state: StaleState, may_offline: bool) -> Option<&'static str> {
    use StaleState as S;
    match state {
        S::WfiMasked | S::WfeMasked => Some("a thread cannot mask interrupts: only the image can"),
        S::TlbiStorm => Some("EL0 has no TLBI: only the image does it"),
        S::DeviceStuck | S::SgiStorm | S::FaultLoop | S::MmuOff => {
            Some("only EL1 stages it: the image does")
        }
        S::CpuOff if !may_offline => Some("only root may take a CPU offline"),
        S::CpuOffInflight
        | S::CpuOffAbandoned
        | S::CpuOnInflight
        | S::CpuSuspend
        | S::CpuSuspendPowerdown
        | S::SdeiParked => Some("only EL1 calls firmware: the image does"),
        S::CrashStopped => Some("a thread cannot mask interrupts: only the image can"),
        S::NeverStarted => Some("Linux has started every CPU"),
        S::Parked | S::CpuOff => None,
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

/// What of the options is left out, as nobody has asked for it by name.
pub struct LeftOut {
    /// States that no thread can be in.
    pub states: Vec<StaleState>,
    /// Subjects that EL0 does not have.
    pub subjects: Vec<Subject>,
}

/// Takes out of a default what there is not at EL0; what was named stays, and is skipped
/// with its reason.
///
/// # Errors
/// An option that only the image has.
pub fn narrow(options: &mut Options) -> Result<LeftOut, String> {
    let only_image = [
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
    ];
    if let Some((flag, _)) = only_image.iter().find(|(_, given)| *given) {
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
            .partition(|s| why_not_state(**s, false).is_some());
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
        let left = narrow(&mut options).unwrap();
        assert!(left.subjects.contains(&Subject::TlbiVmalle1is));
        assert!(left.states.contains(&StaleState::CpuOff));
        assert!(options.ops.contains(&Subject::IcIvau));
        assert!(options.stale.contains(&StaleState::IcStorm));
        let text = left.told().unwrap();
        assert!(text.contains("tlbi-vmalle1is"), "{text}");
        let mut named = Options::default();
        named.set("ops", "tlbi-vmalle1is,ic-ivau").unwrap();
        named.set("stale", "mmu-off").unwrap();
        assert!(narrow(&mut named).unwrap().told().is_none());
        assert_eq!(named.ops.len(), 2);
        assert!(why_not_state(StaleState::CpuOff, true).is_none());
        let mut fabric = Options::from_bootargs("stalecore.fabric=depth=4").unwrap();
        assert!(narrow(&mut fabric).is_err());
    }
}
