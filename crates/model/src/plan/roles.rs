//! Which core does what.

use alloc::{format, string::String};

use crate::{
    cpuset::CpuSet,
    options::{Options, Sentinel},
};

/// Which core does what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Roles {
    /// The cores that run the operations.
    pub initiators: CpuSet,
    /// The cores that are made stale.
    pub stale: CpuSet,
    /// The core that only watches; with none, the lowest initiator conducts and only the
    /// host can see a block.
    pub sentinel: Option<usize>,
}

impl Roles {
    /// Gives each of `cpus` cores its role, if it is `present`: a core that does not answer
    /// has none, and others take its place where a run needs that.
    ///
    /// # Errors
    /// A CPU is out of range or has two roles, or no initiator is left. That no core is left
    /// to be stale is not an error.
    pub fn assign(options: &Options, cpus: usize, present: &CpuSet) -> Result<Self, String> {
        let all = CpuSet::first(cpus);
        let within = |set: &CpuSet, key: &str| match set.difference(&all).lowest() {
            Some(cpu) => Err(format!(
                "{key}: CPU {cpu} is out of range: this machine has CPUs {all}"
            )),
            None => Ok(()),
        };
        within(&options.initiators, "initiators")?;
        let named = options.stale_cpus.unwrap_or_default();
        within(&named, "stale-cpus")?;
        let both = named.intersection(&options.initiators);
        if !both.is_empty() {
            return Err(format!(
                "CPU {both} is an initiator and stale; a core has one role"
            ));
        }
        match options.sentinel {
            Sentinel::Cpu(cpu) if cpu >= cpus => {
                return Err(format!(
                    "sentinel: CPU {cpu} is out of range: this machine has CPUs {all}"
                ));
            }
            Sentinel::Cpu(cpu) if options.initiators.contains(cpu) || named.contains(cpu) => {
                return Err(format!(
                    "sentinel: CPU {cpu} is an initiator or stale; a core has one role"
                ));
            }
            _ => {}
        }
        let mut initiators = options.initiators.intersection(present);
        if initiators.is_empty() {
            let next = present.difference(&named).lowest();
            let next = next.ok_or_else(|| {
                format!(
                    "initiators: CPU {} does not answer, and no other core is left",
                    options.initiators
                )
            })?;
            initiators.insert(next);
        }
        let free = present.difference(&initiators).difference(&named);
        let sentinel = match options.sentinel {
            Sentinel::Off => None,
            Sentinel::Cpu(cpu) if free.contains(cpu) => Some(cpu),
            Sentinel::Auto | Sentinel::Cpu(_) => free.highest(),
        };
        let mut stale = match options.stale_cpus {
            Some(stale) => stale.intersection(present),
            None => present.difference(&initiators),
        };
        if let Some(cpu) = sentinel {
            stale.remove(cpu);
        }
        Ok(Self {
            initiators,
            stale,
            sentinel,
        })
    }

    /// The core that conducts the run: the sentinel, or the lowest initiator.
    pub fn conductor(&self) -> usize {
        self.sentinel
            .or_else(|| self.initiators.lowest())
            .unwrap_or(0)
    }
}
