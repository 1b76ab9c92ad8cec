//! From the entry code to the core that conducts the run: finds out about the
//! machine, brings its cores up, reports it, hands the plan over.

use alloc::{string::String, vec::Vec};

use stalecore_model::{
    cpuset::CpuSet,
    errata,
    exit::ExitCode,
    glossary::StaleState,
    ktap,
    measured::Judge,
    options::{Auto, DEFAULT_SLOWDOWN},
    plan::Plan,
};

use crate::{
    board::{self, Board, describe},
    conductor::{Conductor, witness},
    cores::{
        ask::ask,
        command::Command,
        percpu::{self, core},
        start, survey,
    },
    fabric,
    hal::{
        boot::Tree,
        clock,
        console::{self, println},
        exit, heap,
    },
    measure,
    report::{self, recorder, screen},
    scenarios, worker,
};

/// Enters Rust on the core that booted: MMU on, on the boot stacks. `tree` is the
/// device tree, if there is one, `entry_el` the exception level of entry.
pub extern "C" fn primary_main(tree: Option<&'static Tree>, entry_el: u64) -> ! {
    let started = clock::now();
    heap::init();
    match Board::set_up(tree, entry_el) {
        // On its own stacks from here, with a guard page below each.
        Ok(board) => board.leave_boot_stacks(started),
        Err(error) => refuse(&error),
    }
}

/// Continues after [`primary_main`], on the boot core's own stacks.
pub extern "C" fn boot_core_main() -> ! {
    match run() {
        Ok(()) => worker::command_loop(core(board::get().boot_cpu)),
        Err(error) => refuse(&error),
    }
}

/// Brings up the cores that the plan needs first, reports the machine, and
/// hands the run to the core that conducts it.
fn run() -> Result<(), String> {
    let board = board::get();
    let own = core(board.boot_cpu);
    worker::init(own);
    board.options.dsb.into_iter().for_each(measure::put_barrier);
    let mut roles = board.plan.clone()?.roles;

    let all = CpuSet::first(percpu::all().len());
    let mut present = all;
    let mut missing = Vec::new();
    loop {
        // Cores for the state `never-started` must not be started.
        let known = planned(board, &present, survey::machine(&board.platform)).ok();
        let mut states = known
            .iter()
            .flat_map(|p| &p.groups)
            .map(|group| group.state);
        let spare = if states.any(|state| state == StaleState::NeverStarted) {
            roles.stale.difference(&start::on(&roles.stale))
        } else {
            CpuSet::EMPTY
        };
        let mut more = start::start_all(&present.difference(&spare));
        more.extend(start::unknown(&spare));
        if more.is_empty() {
            break;
        }
        present = present.difference(&more.iter().map(|missing| missing.cpu).collect());
        missing.append(&mut more);
        // Others take their place, which may not have been started yet.
        roles = planned(board, &present, errata::Machine::default())?.roles;
    }
    // Only now is it known of what kind the cores are.
    let plan = planned(board, &present, survey::machine(&board.platform))?;
    let roles = plan.roles;
    let up = present
        .iter()
        .filter(|cpu| core(*cpu).is_online())
        .collect();
    let silent = start::without_interrupts(&up);
    board.set_up_areas(&roles.initiators, plan.most_at_once())?;

    let (counter, empty) = measure::counter(board.options.counter, own)?;
    let resolution = stalecore_model::verdict::resolution(&empty);
    report::allow_pause(board.options.hold);
    recorder::keep_all(board.options.ask);
    let mut notes = Vec::new();
    let left = recorder::begin(
        board.platform.cpus.len(),
        &board.options.to_bootargs(),
        board.started(),
        &plan,
        &mut |note| notes.push(note),
    )?;
    if left.is_none() {
        console::with(|out| {
            // Writing to a console cannot fail: a dead line swallows what is written.
            let _ = ktap::write_head(out, &plan);
        });
    }
    let hz = measure::frequency(counter);
    describe::machine(board, counter, hz, empty, &plan);
    notes.into_iter().for_each(report::note);
    let after_kexec = board.platform.kexec.is_some();
    let absent: Vec<_> = missing.into_iter().map(|m| m.told(after_kexec)).collect();
    let inherited = absent.iter().filter(|absent| absent.inherited);
    let inherited = inherited.fold(CpuSet::EMPTY, |all, absent| all.union(&absent.cpus));
    if !inherited.is_empty() {
        report::note("cores that are stale since before this boot are so in the baseline too: only a run of a fresh boot of this machine, by compare, can tell whether they slow anything".into());
    }
    let mut disturbed = CpuSet::EMPTY;
    if board.options.disturb_inherited && !inherited.is_empty() {
        disturbed = inherited;
        report::note("disturb-inherited: where nothing else releases an operation, inherited cores are interrupted, and run the earlier kernel's handler in its memory".into());
    }
    report::absent(absent.into_iter());
    // Not earlier: until now the image has used maintenance of its own.
    fabric::inherit(&inherited);
    describe::oddities(&silent);
    describe::arm_watchdog(board, &plan);
    // A load may be what does not return.
    witness::set_up(&board.platform.witnesses, board.options.witness == Auto::On);
    if board.options.icount {
        measure::instructions(counter);
    }
    let conductor = roles.conductor();
    let (family, deadline_ms) = (plan.family, plan.deadline_ms);
    scenarios::install(Conductor {
        plan,
        samples: board.options.samples,
        max_slowdown: board.options.max_slowdown,
        counter,
        judge: Judge {
            resolution,
            threshold: board.options.max_slowdown.unwrap_or(DEFAULT_SLOWDOWN),
            family,
            hz,
            deadline_ms,
        },
        bisect: board.options.bisect,
        wait_ms: board.options.wait_ms,
        after_block: board.options.after_block,
        left,
        present,
        inherited,
        disturbed,
        counts_instructions: board.options.icount,
        boot_cpu: board.boot_cpu,
        started: board.started(),
    });
    if conductor == board.boot_cpu {
        board.conduct(scenarios::conduct);
    }
    ask(&CpuSet::one(conductor), Command::Conduct, |_| 0);
    Ok(())
}

/// The plan for the cores that are present, as far as the machine is known.
fn planned(board: &Board, present: &CpuSet, machine: errata::Machine) -> Result<Plan, String> {
    Plan::among(&board.options, percpu::all().len(), present, &machine)
}

/// Says in one line why there is no run, and ends.
fn refuse(error: &str) -> ! {
    println!("stalecore: {error}");
    screen::fail(|| error.into());
    exit::end(ExitCode::Harness)
}
