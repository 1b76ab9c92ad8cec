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

    /// Checks that a CPU which one of the flags of `named` gives a role is among those that
    /// may be used: where an operating system has taken CPUs away, no other is put in the
    /// place of one that somebody asked for.
    ///
    /// # Errors
    /// The first that may not be used, by its key, and which may.
    pub fn only_allowed(options: &Options, named: &[&str], allowed: &CpuSet) -> Result<(), String> {
        let sentinel = match options.sentinel {
            Sentinel::Cpu(cpu) => CpuSet::one(cpu),
            Sentinel::Auto | Sentinel::Off => CpuSet::default(),
        };
        let asked = [
            ("initiators", options.initiators),
            ("stale-cpus", options.stale_cpus.unwrap_or_default()),
            ("sentinel", sentinel),
        ];
        for (key, cpus) in asked.iter().filter(|(key, _)| named.contains(key)) {
            let others = cpus.difference(allowed);
            if !others.is_empty() {
                return Err(format!(
                    "{key}: CPU {others} may not be used here; allowed: {allowed}"
                ));
            }
        }
        Ok(())
    }

    /// The core that conducts the run: the sentinel, or the lowest initiator.
    pub fn conductor(&self) -> usize {
        self.sentinel
            .or_else(|| self.initiators.lowest())
            .unwrap_or(0)
    }
}
