//! Controls that are more than an instruction: firmware is called, another core is
//! interrupted.

use stalecore_model::{glossary::Subject, rounds::Class};

use super::measurement::Measurement;
use crate::{
    cores::{
        job::Results,
        mark::Phase,
        percpu::{self, Core},
    },
    hal::{arch, psci},
    stuck,
};

impl Measurement<'_> {
    /// Times calls of firmware, or interrupts until another core has taken them.
    pub(super) fn call(&self, results: &mut Results) {
        self.core.mark.begin();
        if self.order.cpu_off_hold {
            stuck::begin();
        }
        for _ in 0..(self.order.samples as usize).min(self.most()) {
            if self.over() {
                return;
            }
            self.before(Phase::Issue, 0);
            let from = self.order.counter.now();
            match self.order.subject {
                Subject::AffinityInfo => {
                    // Whatever it says: it has answered.
                    let _ = psci::affinity(self.core.cpu.mpidr);
                }
                Subject::PsciVersion => {
                    psci::version();
                }
                _ => self.interrupt(),
            }
            let ticks = self.order.counter.now().wrapping_sub(from);
            self.core.mark.after();
            if !self.over() {
                results.add(Class::Issue, ticks, 0);
            }
        }
    }

    /// Interrupts a core that is stuck, until it has taken that: the mark stands still
    /// meanwhile, and the sentinel watches it.
    fn interrupt(&self) {
        let takes = |other: &&Core| {
            other.index != self.core.index && other.state().is_some_and(stuck::takes_interrupts)
        };
        let Some(other) = percpu::all().iter().find(takes) else {
            return;
        };
        let before = other.interrupts();
        other.call();
        while other.interrupts() == before && !self.over() {
            arch::pause();
        }
    }
}
