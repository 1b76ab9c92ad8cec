//! The flight recorder in this machine's memory: what must outlive a reset is written to
//! memory that no cache holds. The core that conducts the run owns it.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{
    fmt,
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
};

use spin::Mutex;
use stalecore_model::{
    again::Request,
    glossary::Verdict,
    plan::Plan,
    record::{BisectRecord, Kept, KeptBlock, Record, Seal},
    recorder::{Flight, Kind, MOST_IDLE_BOOTS, Recorder, Trial},
    sorted::Sorted,
};

use crate::{
    cores::{
        identity,
        mark::{self, Seen},
        percpu::Core,
    },
    hal::{arch, arena::Uncached, clock, watchdog},
};

/// The recorder has no room for more, and has been given up.
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the flight recorder is full: what comes now is lost in a reset")
    }
}

static RECORDER: Mutex<Option<Recorder<'static>>> = Mutex::new(None);

/// What an earlier boot has left of the same plan.
pub struct Left {
    /// How many boots there have been, with this one.
    pub boots: u32,
    /// The verdicts of the cases that had been finished, by number, each with
    /// its reason.
    pub finished: Sorted<usize, (Verdict, Option<String>)>,
    /// What the searches for culprits that have ended found.
    pub bisected: Vec<BisectRecord>,
    /// Blocks that were reported.
    pub blocks: Vec<KeptBlock>,
    /// What was in flight.
    pub flight: Option<Flight>,
    /// What was about to be done, with nothing recorded since.
    pub begun: Option<String>,
    /// CNTVCT_EL0 at entry of the boot that began the plan.
    pub first_entered: Option<u64>,
}

/// Is there no sentinel, so that the initiator that conducts the run keeps its own mark?
static ALONE: AtomicBool = AtomicBool::new(false);

/// Is every record kept, with its seal, to be sent again?
static KEEPS_ALL: AtomicBool = AtomicBool::new(false);

/// Does this boot go on with an earlier one's plan, whose machine is already recorded?
static GOES_ON: AtomicBool = AtomicBool::new(false);

/// The recorder's memory, until it is taken into use.
static MEMORY: Mutex<Option<&'static mut [u8]>> = Mutex::new(None);

/// Takes the recorder's memory. To be done before there is a fabric, which would take
/// the maintenance for an operation under test.
pub fn set_up(memory: Uncached) {
    let bytes = memory.bytes();
    empty_caches(bytes.as_ptr_range());
    *MEMORY.lock() = Some(bytes);
}

/// Empties the caches of lines that firmware or a loader may have left of this memory:
/// they must not be written back over what is recorded.
#[inline(never)]
pub(super) fn empty_caches(memory: Range<*const u8>) {
    let line = identity::data_line(arch::ctr_el0());
    for at in (memory.start as usize..memory.end as usize).step_by(line) {
        arch::dc_civac(at);
    }
    arch::dsb_sy();
}

/// Takes the recorder into use, if there is one, in a boot that entered the image when
/// CNTVCT_EL0 was `entered`; returns what an earlier boot has left, if this one is to go
/// on with it. `say` is told what the user should know. A plan is the same if the machine
/// has as many cores and the options, as boot arguments, are equal.
///
/// # Errors
/// One line: the plan was begun too often without getting any further.
pub fn begin(
    cpus: usize,
    bootargs: &str,
    entered: u64,
    plan: &Plan,
    say: &mut dyn FnMut(String),
) -> Result<Option<Left>, String> {
    let Some(bytes) = MEMORY.lock().take() else {
        return Ok(None);
    };
    ALONE.store(plan.roles.sentinel.is_none(), Ordering::Relaxed);
    let identity = format!(
        "{} {} cpus={cpus} {bootargs}",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
    );
    let left = left(bytes, &identity, say)?;
    let mut recorder = match left {
        Some(_) => Recorder::resume(bytes, arch::dmb_st)?,
        None => Recorder::create(bytes, &identity, arch::dmb_st)
            .map_err(|why| say(format!("{why}: a reset loses the run")))
            .ok(),
    };
    if let Some(open) = &mut recorder {
        open.set_in_flight(None);
        // Boots that cannot be counted could go on for ever.
        if !open.append(Kind::Boot, &entered.to_string()) {
            say(Full.to_string());
            recorder = None;
        }
    }
    *RECORDER.lock() = recorder;
    GOES_ON.store(left.is_some(), Ordering::Relaxed);
    Ok(left)
}

/// What was about to be done before a reset, if anything was, in words.
#[inline(never)]
pub fn last_of_all(begun: Option<&str>) -> String {
    begun.map_or_else(String::new, |begun| format!(" (last of all: {begun})"))
}

/// Reads what is there; if the run does not go on with it, says why.
fn left(
    bytes: &mut [u8],
    identity: &str,
    say: &mut dyn FnMut(String),
) -> Result<Option<Left>, String> {
    let mut recorder = match Recorder::resume(bytes, arch::dmb_st) {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(None),
        Err(why) => {
            say(why);
            return Ok(None);
        }
    };
    let log = recorder.log();
    if log.ended() {
        return Ok(None);
    }
    if log.plan() != identity {
        say("the flight recorder held another plan that had not ended, which is dropped".into());
        return Ok(None);
    }
    if log.idle_boots() >= MOST_IDLE_BOOTS {
        let begun = last_of_all(log.begun());
        recorder.append(Kind::End, "");
        return Err(format!(
            "the machine was reset {MOST_IDLE_BOOTS} times in a row before any case had ended{begun}; the next boot begins the plan again"
        ));
    }
    if let Some(damage) = log.damage() {
        say(damage);
    }
    let mut left = Left {
        boots: 1,
        finished: Sorted::new(),
        bisected: Vec::new(),
        blocks: Vec::new(),
        flight: log.flight(),
        begun: log.begun().map(String::from),
        first_entered: log.first_entered(),
    };
    for (kind, text) in log.entries() {
        match kind {
            Kind::Boot => left.boots += 1,
            Kind::Record => match Kept::from_json(text) {
                Some(Kept::Case(case)) => {
                    left.finished
                        .insert(case.n as usize, (case.verdict, case.why));
                }
                Some(Kept::Bisect(bisect)) => left.bisected.push(bisect),
                Some(Kept::Block(block)) => left.blocks.push(block),
                None => {}
            },
            Kind::Context | Kind::Trial | Kind::Step | Kind::End | Kind::Saved => {}
        }
    }
    Ok(Some(left))
}

/// Is there a recorder, so that a reset loses nothing?
pub fn is_on() -> bool {
    RECORDER.lock().is_some()
}

/// From now on every record is kept, so that [`again`] has it.
pub fn keep_all(asked: bool) {
    KEEPS_ALL.store(asked, Ordering::Relaxed);
}

/// Is every record kept?
pub fn keeps_all() -> bool {
    KEEPS_ALL.load(Ordering::Relaxed) && is_on()
}

/// Gives the records of this boot that are asked for, each with its seal.
pub fn again(asked: Request, mut give: impl FnMut(&str)) {
    let mut number = 0;
    if let Some(recorder) = RECORDER.lock().as_ref() {
        for (kind, text) in recorder.this_boot() {
            if matches!(kind, Kind::Context | Kind::Record | Kind::End) {
                number += 1;
                if (asked.first..=asked.last).contains(&number) {
                    give(text);
                }
            }
        }
    }
}

/// Keeps a record, if it is one that the next boot must know, or if all are kept.
///
/// # Errors
/// The recorder is full.
pub fn keep(record: &Record, json: &str, seal: Seal) -> Result<(), Full> {
    let all = KEEPS_ALL.load(Ordering::Relaxed);
    let kind = match record {
        Record::Case(_)
        | Record::Block(_)
        | Record::Rung(_)
        | Record::Witness(_)
        | Record::Fault(_)
        | Record::Bisect(_) => Kind::Record,
        Record::Machine(_)
        | Record::Cores(_)
        | Record::Topology(_)
        | Record::Plan(_)
        | Record::Absent(_)
        | Record::Group(_)
            if !GOES_ON.load(Ordering::Relaxed) =>
        {
            Kind::Context
        }
        Record::End(_) => Kind::End,
        _ if all => Kind::Context,
        _ => return Ok(()),
    };
    match (all, kind) {
        (true, _) => append(kind, &format!("{json}{seal}")),
        (false, Kind::End) => append(kind, ""),
        (false, _) => append(kind, json),
    }
}

/// Keeps a trial of a search for culprits.
///
/// # Errors
/// The recorder is full.
pub fn keep_trial(trial: &Trial) -> Result<(), Full> {
    append(Kind::Trial, &trial.to_text())
}

/// Keeps what is about to be done.
///
/// # Errors
/// The recorder is full.
pub fn keep_step(text: &str) -> Result<(), Full> {
    append(Kind::Step, text)
}

/// The trials of a case that an earlier boot has left.
pub fn trials(case: usize) -> Vec<Trial> {
    let recorder = RECORDER.lock();
    recorder.as_ref().map_or_else(Vec::new, |recorder| {
        recorder.log().trials(u32::try_from(case).unwrap_or(0))
    })
}

fn append(kind: Kind, text: &str) -> Result<(), Full> {
    let Some(mut recorder) = RECORDER.try_lock() else {
        return Ok(());
    };
    let Some(open) = recorder.as_mut() else {
        return Ok(());
    };
    if open.append(kind, text) {
        return Ok(());
    }
    open.set_in_flight(None);
    *recorder = None;
    Err(Full)
}

/// Writes that an operation of the case under way is in flight, as its mark
/// says.
pub fn set_in_flight(cpu: usize, seen: Seen) {
    stood_still(cpu, seen, 0);
}

/// Writes that its mark has not moved for so many milliseconds, which makes it a block
/// if the machine is reset now.
pub fn stood_still(cpu: usize, seen: Seen, still_ms: u64) {
    write_flight(Some(&Flight {
        case: mark::case(),
        cpu: u32::try_from(cpu).unwrap_or(0),
        seen,
        still_ms,
        at: clock::now(),
    }));
}

/// Writes that nothing is in flight.
pub fn clear_in_flight() {
    write_flight(None);
}

/// Writes the mark of the core, if nobody watches it: only its going on shows that the
/// run is being conducted.
#[inline(always)]
pub fn follow(core: &Core) {
    if ALONE.load(Ordering::Relaxed) {
        follow_alone(core);
    }
}

#[inline(never)]
fn follow_alone(core: &Core) {
    if let Some(mut recorder) = RECORDER.try_lock()
        && let Some(recorder) = recorder.as_mut()
    {
        let cpu = core.index as u32;
        recorder.follow(mark::case(), cpu, core.mark.words(), clock::now());
    }
    watchdog::refresh();
}

fn write_flight(flight: Option<&Flight>) {
    if let Some(mut recorder) = RECORDER.try_lock()
        && let Some(recorder) = recorder.as_mut()
    {
        recorder.set_in_flight(flight);
    }
}
