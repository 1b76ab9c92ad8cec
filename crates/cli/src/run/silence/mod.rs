//! When the machine is silent: what its memory and registers say, read through its
//! emulator's monitor.
//!
//! Without a sentinel nobody in the machine sees an operation that does not
//! return. Then the host looks at the marks whenever the console is quiet
//! ([`Lookout::look`]), and reports one that does not move as the sentinel would
//! ([`Lookout::give_up`]).

mod end;
mod names;
mod registers;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::json;
use stalecore_model::{
    cpuset::CpuSet,
    errata,
    mark::{Marks, Seen},
    options::{Options, Preset, Scenario},
    plan::{Case, Plan},
    record::{Block, CoreState},
    run::{HOST, Run},
    words,
};

use super::{core_file::CoreFile, qmp::Qmp, threads::HeldUp};
use names::Names;
use registers::Registers;

/// How long the monitor may take: it cannot answer at all while an emulated
/// core is held up inside one instruction.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a look at the marks shows.
#[derive(Clone, Copy, Debug)]
pub enum Sight {
    /// Nothing: no marks, nothing in flight, or not for long enough.
    Nothing,
    /// A mark has moved since the last look: the machine works.
    Moving,
    /// An operation has not returned.
    Held(Held),
}

/// An operation that has not returned.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    cpu: usize,
    seen: Seen,
    /// How long its mark is known not to have moved.
    pub waited: Duration,
}

impl Held {
    /// What to ask the host's threads about it.
    pub fn held_up(&self) -> HeldUp {
        let site = self.seen.site;
        let name = site.map_or("", |site| site.instruction.symbol());
        HeldUp {
            initiator: self.cpu,
            waited: self.waited,
            broadcast: name.starts_with("tlbi"),
        }
    }
}

/// Looks into the machine.
pub struct Lookout<'a> {
    /// Where the emulator's monitor listens.
    pub monitor: &'a Path,
    /// A directory for what it writes.
    pub scratch: &'a Path,
    /// Where the results go.
    pub out: &'a Path,
    /// What the image was asked for.
    pub options: &'a Options,
    /// The plan that follows from that.
    pub plan: &'a Plan,
    /// How many cores there are.
    pub cpus: usize,
    /// The initiators' marks, and since when they are known to be the same.
    pub marks: BTreeMap<usize, (u64, Instant)>,
    /// The core file that is wanted.
    pub core: Option<CoreFile>,
}

impl Lookout<'_> {
    /// Looks once: an operation is held up if its mark has not moved between
    /// looks for the deadline of the plan.
    ///
    /// # Errors
    /// The monitor does not answer as it should.
    pub fn look(&mut self, run: &Run) -> anyhow::Result<Sight> {
        let deadline = Duration::from_millis(self.plan.deadline_ms.into());
        let Some(marks) = &run.marks else {
            return Ok(Sight::Nothing);
        };
        self.glance(marks, deadline)
    }

    fn glance(&mut self, marks: &Marks, deadline: Duration) -> anyhow::Result<Sight> {
        let mut qmp = Qmp::connect(self.monitor, PATIENCE)?;
        let status = qmp.command("query-status", &json!({}))?;
        if status["running"] != json!(true) {
            // Time stands still in the machine.
            self.marks.clear();
            return Ok(Sight::Nothing);
        }
        let memory = self.memory(&mut qmp, marks)?;
        let now = Instant::now();
        let mut moved = false;
        for cpu in self.plan.roles.initiators.iter() {
            let (seen, _) = marks.read(&memory, cpu).context("a mark")?;
            match self.marks.get(&cpu) {
                Some((sequence, since)) if *sequence == seen.sequence => {
                    let waited = now - *since;
                    if seen.in_flight() && waited >= deadline {
                        return Ok(Sight::Held(Held { cpu, seen, waited }));
                    }
                }
                known => {
                    moved |= known.is_some();
                    self.marks.insert(cpu, (seen.sequence, now));
                }
            }
        }
        Ok(if moved { Sight::Moving } else { Sight::Nothing })
    }

    /// The marks and states of all cores.
    fn memory(&self, qmp: &mut Qmp, marks: &Marks) -> anyhow::Result<Vec<u8>> {
        let (start, length) = marks.window(self.cpus).context("no place for marks")?;
        self.read(qmp, start, length)
    }

    /// Reads physical memory.
    fn read(&self, qmp: &mut Qmp, start: u64, length: usize) -> anyhow::Result<Vec<u8>> {
        let file = self.scratch.join("memory");
        let name = file.to_str().context("TMPDIR is not UTF-8")?;
        qmp.command(
            "pmemsave",
            &json!({ "val": start, "size": length, "filename": name }),
        )?;
        let bytes = fs::read(&file).with_context(|| file.display().to_string())?;
        ensure!(bytes.len() == length, "QEMU has saved too little memory");
        Ok(bytes)
    }

    /// Saves a core file, if one is wanted, while the image holds still for that; the
    /// machine goes on afterwards. Was one wanted?
    pub fn save_core(&mut self) -> bool {
        let Some(core) = &mut self.core else {
            return false;
        };
        match Qmp::connect(self.monitor, PATIENCE) {
            Ok(mut qmp) => core.save(&mut qmp),
            Err(error) => core.fail(error),
        }
        true
    }

    /// The block report of a held operation, and its case.
    fn block(
        &self,
        qmp: &mut Qmp,
        run: &Run,
        held: &Held,
        registers: &BTreeMap<usize, Registers>,
        names: &Names<'_>,
    ) -> anyhow::Result<(Case, Block)> {
        let marks = run.marks.as_ref().context("no place for marks")?;
        let memory = self.memory(qmp, marks)?;
        let (seen, _) = marks.read(&memory, held.cpu).context("a mark")?;
        ensure!(
            seen.sequence == held.seen.sequence,
            "the mark of CPU {} moved at last",
            held.cpu
        );
        let number = self.read(qmp, marks.case.0, size_of::<u32>())?;
        let number = u32::from_le_bytes(*number.first_chunk().context("a number")?);
        let plan = self.plan_of(run);
        let mut cases = plan.groups.iter().flat_map(|group| &group.cases);
        let case = cases.find(|case| u32::try_from(case.number) == Ok(number));
        let case = *case.with_context(|| format!("no case has the number {number}"))?;
        let waited = u64::try_from(held.waited.as_millis()).unwrap_or(u64::MAX);
        let block = match run.kdump.last().filter(|_| self.is_kdump()) {
            Some(last) => {
                let kernel = self.options.kernel;
                last.step
                    .block(kernel, &case, held.cpu, &seen, waited, HOST)
            }
            None => case.block(held.cpu, &seen, waited, HOST),
        };
        let mut cores: Vec<CoreState> = Vec::new();
        for cpu in 0..self.cpus {
            self.core(cpu, held, waited, (marks, &memory), registers, names)
                .join(&mut cores);
        }
        Ok((case, Block { cores, ..block }))
    }

    /// The plan as the image has it: with preset errata, it depends on the cores.
    fn plan_of(&self, run: &Run) -> Cow<'_, Plan> {
        if self.options.preset != Some(Preset::Errata) {
            return Cow::Borrowed(self.plan);
        }
        let machine = errata::Machine {
            midrs: run.cores.iter().map(|cores| cores.midr.0).collect(),
            board: run.machine.as_ref().map_or("", |m| &m.model).into(),
        };
        let all = CpuSet::first(self.cpus);
        Plan::among(self.options, self.cpus, &all, &machine)
            .map_or(Cow::Borrowed(self.plan), Cow::Owned)
    }

    fn is_kdump(&self) -> bool {
        self.options.scenario == Scenario::Kdump
    }

    /// What one core was doing.
    fn core(
        &self,
        cpu: usize,
        held: &Held,
        waited_ms: u64,
        (marks, memory): (&Marks, &[u8]),
        registers: &BTreeMap<usize, Registers>,
        names: &Names<'_>,
    ) -> CoreState {
        let registers = registers.get(&cpu);
        let (seen, state) = marks.read(memory, cpu).unzip();
        let state = state.flatten();
        let (role, doing, proof) = if cpu == held.cpu {
            (
                "initiator",
                "held up".into(),
                format!("its mark last moved {waited_ms} ms ago"),
            )
        } else if self.plan.roles.initiators.contains(cpu) {
            let doing = match seen {
                Some(seen) if seen.in_flight() => "in an operation",
                _ => "between operations",
            };
            let marks = seen.map_or(0, |seen| seen.sequence);
            ("initiator", doing.into(), format!("{marks} marks"))
        } else if self.plan.roles.sentinel == Some(cpu) {
            ("sentinel", "silent".into(), "wrote nothing".into())
        } else {
            let doing = match state {
                Some(state) => state.name(),
                None if registers.is_some_and(|r| names.knows(r.pc)) => "waiting",
                None => "not started",
            };
            (
                "stale",
                doing.into(),
                "state and registers read by the host".into(),
            )
        };
        CoreState {
            cpus: CpuSet::one(cpu),
            role: role.into(),
            doing,
            proof,
            at: registers.map(|registers| place(registers, names)),
        }
    }
}

/// Where a core is, and whether it takes interrupts.
fn place(registers: &Registers, names: &Names<'_>) -> String {
    format!(
        "{}, lr {}, EL{}, interrupts {}",
        names.at(registers.pc),
        names.at(registers.lr),
        registers.level(),
        if registers.masked() { "masked" } else { "open" }
    )
}

/// One line for each program counter, with the cores that are there.
fn places(registers: &BTreeMap<usize, Registers>, names: &Names<'_>) -> Vec<String> {
    let mut places: BTreeMap<u64, CpuSet> = BTreeMap::new();
    for (cpu, registers) in registers {
        // A number out of range cannot be a CPU of this machine.
        if *cpu < stalecore_model::cpuset::MAX_CPUS {
            places.entry(registers.pc).or_default().insert(*cpu);
        }
    }
    places
        .into_iter()
        .map(|(pc, cpus)| format!("silence: {} at {}", words::cpus(&cpus), names.at(pc)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_at_one_place_are_one_line() {
        let at = |pc| Registers {
            pc,
            ..Registers::default()
        };
        let registers = [
            (0, at(0x4008_0000)),
            (1, at(0x4008_0040)),
            (2, at(0x4008_0040)),
            (99_999, at(1)),
        ];
        assert_eq!(
            places(&registers.into(), &Names::new(&[], None)),
            [
                "silence: CPU 0 at 0x40080000",
                "silence: CPUs 1-2 at 0x40080040"
            ]
        );
    }
}
