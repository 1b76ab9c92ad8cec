//! What all cores say about themselves, taken together.

use alloc::vec::Vec;

use stalecore_model::{
    cpuset::CpuSet,
    errata,
    platform::Platform,
    record::{Cores, Hex},
};

use super::{
    identity::{Identity, data_line, instruction_line},
    percpu,
};
use crate::hal::arch;

/// The cores that have been up.
pub fn known() -> CpuSet {
    percpu::all()
        .iter()
        .filter(|core| core.identity.get().is_some())
        .map(|core| core.index)
        .collect()
}

/// What errata are looked up by: the kinds of cores that have been up, and the board's
/// name.
pub fn machine(platform: &Platform) -> errata::Machine {
    let mut midrs = Vec::new();
    for identity in percpu::all().iter().filter_map(|core| core.identity.get()) {
        if !midrs.contains(&identity.midr) {
            midrs.push(identity.midr);
        }
    }
    errata::Machine {
        midrs,
        board: platform.model.clone(),
    }
}

/// Those of `cpus` that have been up, grouped by equal registers.
pub fn groups(cpus: &CpuSet) -> Vec<Cores> {
    let mut groups: Vec<(&Identity, CpuSet)> = Vec::new();
    for core in percpu::all()
        .iter()
        .filter(|core| cpus.contains(core.index))
    {
        let Some(identity) = core.identity.get() else {
            continue;
        };
        match groups.iter_mut().find(|(known, _)| *known == identity) {
            Some((_, cpus)) => {
                cpus.insert(core.index);
            }
            None => groups.push((identity, CpuSet::one(core.index))),
        }
    }
    groups
        .into_iter()
        .map(|(identity, cpus)| {
            let mpidr = cpus.iter().map(|cpu| Hex(percpu::core(cpu).cpu.mpidr));
            identity.record(cpus, mpidr.collect())
        })
        .collect()
}

/// The smallest data and instruction lines of the cores that are up, in bytes,
/// and whether cores differ in CTR_EL0.
pub fn smallest_lines() -> (usize, usize, bool) {
    let mut ctrs = percpu::all()
        .iter()
        .filter_map(|c| c.identity.get())
        .map(|i| i.ctr);
    let first = ctrs.next().unwrap_or_else(arch::ctr_el0);
    ctrs.fold(
        (data_line(first), instruction_line(first), false),
        |(d, i, differ), ctr| {
            (
                d.min(data_line(ctr)),
                i.min(instruction_line(ctr)),
                differ || ctr != first,
            )
        },
    )
}
