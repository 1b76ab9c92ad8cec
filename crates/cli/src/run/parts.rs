//! The boots that a run is made of: one, or two where an emulator is better off with the
//! states that wait in one thread and the others with a thread for each CPU.

use std::time::Duration;

use stalecore_model::{
    cpuset::CpuSet,
    options::{CaseNumbers, Options, Scenario},
    plan::Plan,
    run::TcgThread,
};

use super::{
    Args,
    pace::Pace,
    tcg::{Asked, Choice},
};

/// What one boot runs.
pub struct Part {
    /// The image's options.
    pub options: Options,
    /// The cases.
    pub plan: Plan,
    /// How long it may take.
    pub pace: Pace,
    /// The threads of an emulator.
    pub threads: Option<Choice>,
}

impl Part {
    /// All of a plan, `boot` being what firmware takes.
    ///
    /// # Errors
    /// One line with what is allowed.
    pub fn whole(
        args: &Args,
        options: Options,
        plan: Plan,
        boot: Duration,
    ) -> Result<Self, String> {
        let threads = args.threads(&options, &plan)?;
        let pace = Pace::of(&options, &plan, args.machine.cpus, boot);
        Ok(Self {
            options,
            plan,
            pace,
            threads,
        })
    }

    /// The boots that this is best run in: what is run before the rest, and the rest.
    ///
    /// # Errors
    /// One line with what is allowed.
    pub fn split(self, args: &Args, boot: Duration) -> Result<(Option<Self>, Self), String> {
        let machine = &args.machine;
        let multi = matches!(&self.threads, Some(choice) if choice.threads == TcgThread::Multi);
        // What else is asked of the emulator may be about one machine: a debugger, a core file.
        let plain = machine.tcg_thread == Asked::Auto
            && machine.qemu_arg.is_empty()
            && args.core.is_none()
            && args.check_coherence.is_none()
            && self.plan.roles.initiators.len() == 1
            && !self.plan.has_selftest()
            && self.options.scenario == Scenario::Plan;
        if !multi || !plain {
            return Ok((None, self));
        }
        let numbers = |waits: bool| {
            let groups = self.plan.groups.iter();
            let of = groups.filter(move |group| group.state.gives_turn_away() == waits);
            CaseNumbers::of(of.flat_map(|g| &g.cases).map(|case| case.number as u32))
        };
        let (Some(waiting), Some(busy)) = (numbers(true), numbers(false)) else {
            return Ok((None, self));
        };
        let part = |cases| {
            let options = Options {
                cases: Some(cases),
                ..self.options.clone()
            };
            let plan = plan(args, &options)?;
            Self::whole(args, options, plan, boot)
        };
        let first = part(waiting)?;
        // Another boot has to be worth it.
        match first.pace.is_mostly_cases() {
            true => Ok((Some(first), part(busy)?)),
            false => Ok((None, self)),
        }
    }
}

/// What these options make on the machine that is asked for.
///
/// # Errors
/// One line with what is allowed.
pub fn plan(args: &Args, options: &Options) -> Result<Plan, String> {
    let machine = &args.machine;
    let all = CpuSet::first(machine.cpus);
    Plan::among(options, machine.cpus, &all, &machine.known())
}
