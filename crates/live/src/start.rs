//! Starts the harness in a process of its own, beside one that puts CPUs back online.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use stalecore_model::glossary::Subject;
use stalecore_model::{
    cpuset::CpuSet,
    exit::ExitCode,
    hex::Hex,
    histogram::Histogram,
    ktap,
    measured::Judge,
    options::{DEFAULT_SLOWDOWN, Options},
    outcomes::Outcomes,
    plan::Plan,
    record::{PlanRecord, Record},
    verdict,
};
use stalecore_routines::{instructions, probe};

use crate::{
    buffers::{BUFFER_SIZE, Buffers},
    calls,
    conduct::conduct,
    far,
    flight::Flight,
    initiator::COUNTER,
    machine,
    offline::{self, Tell},
    os::{self, Side},
    report,
    run::Run,
    scope,
    threads::Threads,
    trapped,
};

/// Samples of the empty block at the beginning.
const SAMPLES: u32 = 256;

/// What is run, and how.
pub struct Config {
    /// The options.
    pub options: Options,
    /// What they make.
    pub plan: Plan,
    /// What is said besides.
    pub notes: Vec<String>,
    /// The CPUs that may be used.
    pub allowed: CpuSet,
    /// The CPU of the one that watches.
    pub watcher: usize,
    /// Do the initiators go before ordinary threads?
    pub fifo: bool,
    /// The directory of the run.
    pub dir: PathBuf,
}

/// A harness that runs.
pub struct Harness {
    process: i32,
    keeper: i32,
    status: Option<i32>,
}

/// Starts it; what it writes is a console as the image writes it.
///
/// Must be called while this process has one thread.
///
/// # Errors
/// No process, or no pipe.
pub fn start(config: Config) -> io::Result<(Harness, File)> {
    let flight = Flight::begin(&config.dir)?;
    let (keeper, tell) = offline::start()?;
    let (read, write) = os::pipe()?;
    let parent = os::process();
    match os::fork()? {
        Side::Parent(process) => {
            let harness = Harness {
                process,
                keeper,
                status: None,
            };
            Ok((harness, read))
        }
        Side::Child => {
            drop(read);
            let ready = os::die_with(parent).and_then(|()| os::speak_into(&write));
            drop(write);
            if ready.is_err() {
                os::leave(2);
            }
            let code = run(config, tell, flight).unwrap_or_else(|why| {
                report::text(format_args!("stalecore: {why}\n"));
                ExitCode::Harness
            });
            report::text(format_args!("{}{}\n", ktap::EXIT, code as u8));
            // Not all threads may end in order.
            os::leave(i32::from(code as u8))
        }
    }
}

impl Harness {
    /// Waits for its end; its exit status as `waitpid` gives it, `None` if it is still
    /// there after `limit`.
    ///
    /// # Errors
    /// Those of `waitpid`.
    pub fn wait(&mut self, limit: Duration) -> io::Result<Option<i32>> {
        let end = Instant::now() + limit;
        while self.status.is_none() {
            self.status = os::ended(self.process)?;
            if self.status.is_some() || Instant::now() >= end {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(self.status)
    }

    /// Ends it, waits a while for that and for all CPUs to be back. Did both come about?
    pub fn end(&mut self, limit: Duration) -> bool {
        if self.status.is_none() {
            os::kill(self.process);
        }
        let gone = self.wait(limit).ok().flatten().is_some();
        let end = Instant::now() + limit;
        let mut kept = false;
        while gone && !kept && Instant::now() < end {
            kept = os::ended(self.keeper).is_ok_and(|status| status.is_some());
            thread::sleep(Duration::from_millis(5));
        }
        gone && kept
    }
}

/// In the process of its own: sets up, says what machine it is, runs the plan.
fn run(config: Config, tell: Tell, flight: Flight) -> Result<ExitCode, String> {
    let started = Instant::now();
    let Config {
        options,
        plan,
        notes,
        allowed,
        watcher,
        fifo,
        dir,
    } = config;
    let roles = plan.roles;
    let of_memory = |error| format!("memory that may be executed: {error}");
    let mut buffers = Vec::new();
    for cpu in roles.initiators.iter() {
        buffers.push((cpu, Buffers::new().map_err(of_memory)?));
    }
    far::set_up().map_err(of_memory)?;
    let buffers: &'static [(usize, Buffers)] = Box::leak(buffers.into_boxed_slice());
    let (first, own) = buffers.first().copied().ok_or("no initiator")?;
    let lacking = trapped::lacking(&own)?;
    calls::take().map_err(|error| format!("sigaction: {error}"))?;
    os::pin(0, first).map_err(|error| format!("CPU {first}: {error}"))?;
    let empty = empty();
    let size = trapped::line(instructions::ctr_el0());
    let mut costs = trapped::notes_on(first, own, size, lacking.clone());
    if own.is_twice() {
        costs.push(
            "live: no memory here may be both written and executed: code is written at one address \
             and executed at another"
                .into(),
        );
    }
    let registers: BTreeMap<usize, (u64, u64)> = allowed.iter().filter_map(registers).collect();
    os::pin(0, watcher).map_err(|error| format!("CPU {watcher}: {error}"))?;
    let all = roles.initiators.union(&roles.stale);
    let threads = Threads::start(all.iter(), buffers, fifo)?;

    let mut head = String::new();
    // Writing to a string cannot fail.
    let _ = ktap::write_head(&mut head, &plan);
    report::text(format_args!("{head}"));
    let resolution = verdict::resolution(&empty);
    let record = machine::record(allowed.len(), roles.sentinel, empty);
    let hz = record.counter_hz;
    report::record(&Record::Machine(Box::new(record)));
    for cores in machine::cores(&allowed, |cpu| registers.get(&cpu).copied()) {
        report::record(&Record::Cores(cores));
    }
    let threshold = options.max_slowdown.unwrap_or(DEFAULT_SLOWDOWN);
    report::record(&Record::Plan(PlanRecord {
        cases: plan.len() as u32,
        initiators: roles.initiators,
        stale: roles.stale,
        samples: options.samples,
        deadline_ms: plan.deadline_ms,
        threshold,
        strict: options.max_slowdown.is_some(),
        options: Some(options.to_bootargs()),
        under_test: Some([
            Hex(own.area.data as u64),
            Hex((own.area.data + BUFFER_SIZE) as u64),
        ]),
    }));
    notes.into_iter().chain(costs).for_each(report::note);
    let run = Run {
        judge: Judge {
            resolution,
            threshold,
            family: plan.len(),
            hz,
            deadline_ms: plan.deadline_ms,
        },
        plan: &plan,
        options: &options,
        threads,
        tell,
        flight,
        dir,
        size,
        lacking,
        offline: scope::why_not_offline(),
        started,
        outcomes: Outcomes::new(options.max_slowdown.is_some()),
        generation: 0,
        dropped: 0,
        taken: 0,
        ended: false,
    };
    Ok(conduct(run))
}

/// The empty block, on this thread.
fn empty() -> Histogram {
    let mut empty = Histogram::new();
    if let Some(probe) = probe::of(Subject::None) {
        for sample in 0..SAMPLES + 8 {
            let ticks = probe.issue[COUNTER as usize](0);
            if sample >= 8 {
                empty.add(ticks);
            }
        }
    }
    empty
}

/// The registers that EL0 can read, on a CPU.
fn registers(cpu: usize) -> Option<(usize, (u64, u64))> {
    os::pin(0, cpu).ok()?;
    Some((cpu, (instructions::ctr_el0(), instructions::dczid_el0())))
}
