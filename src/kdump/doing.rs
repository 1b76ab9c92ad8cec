//! What each core was doing, for the reports of the scenario.

use alloc::{format, string::String};
use core::sync::atomic::Ordering;

use stalecore_model::glossary::StaleState;

use super::{backtrace::SymbolOffset, setup::Setup};
use crate::{cores::percpu::core, hal::psci};

/// What another core was doing, from plain loads alone; with `power`, also what firmware
/// says about it, which does maintenance of its own to answer.
pub fn doing(setup: &Setup, cpu: usize, power: bool) -> String {
    if setup.sentinel() == Some(cpu) {
        return "sentinel; no part of the kernel that crashed".into();
    }
    let watch = setup.watch(cpu);
    if watch.stopped.load(Ordering::Acquire) {
        let at = SymbolOffset(watch.stopped_at.load(Ordering::Relaxed));
        let power = match power.then(|| psci::is_off(core(cpu).cpu.mpidr)) {
            None => "",
            Some(true) => "; AFFINITY_INFO: off",
            Some(false) => "; AFFINITY_INFO: not off yet",
        };
        return format!("stopped at {at}{power}");
    }
    let core = core(cpu);
    let state = core.state().map_or("running", StaleState::name);
    let irqs_masked = core.irqs_masked.load(Ordering::Relaxed);
    let masked = if irqs_masked {
        "interrupts masked; took none since"
    } else {
        "interrupts open"
    };
    let at = core.status.interrupted_at.load(Ordering::Relaxed);
    let last = if irqs_masked || at == 0 {
        String::new()
    } else {
        format!("; last interrupted at {}", SymbolOffset(at))
    };
    format!("stale in {state}, {masked}{last}")
}
