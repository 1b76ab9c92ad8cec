//! What was found besides the table: blocks, faults, older code, the cost of
//! the timed block, notes.

use stalecore_model::{
    console::printable,
    cpuset::CpuSet,
    fabric::MessageClass,
    glossary::Verdict,
    hazard::{Coverage, Hazard},
    record::{BisectRecord, Block, CaseRecord, Fault, Icount, Late},
    run::Run,
    witness::Reading,
    words,
};

use super::{
    answer::{made_by, state_named},
    figures,
    table::fold,
};

/// Each finding as a paragraph of at most `width` columns. Text from the console is made
/// printable: a record can hold what a line cannot.
pub fn findings(run: &Run, width: usize) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(run.blocks.iter().map(|b| block(run, b)));
    parts.extend(run.starved.iter().map(starved));
    parts.extend(late(run));
    parts.extend(run.bisections.iter().map(bisection));
    parts.extend(run.faults.iter().map(|f| fault(run, f)));
    parts.extend(hazards(&run.hazards));
    parts.extend(run.coherence.as_ref().map(coverage));
    for case in &run.cases {
        if matches!(case.verdict, Verdict::Incoherent | Verdict::Inconclusive)
            && let Some(why) = &case.why
        {
            parts.push(format!(
                "{}: case {}, {} under {}{}: {why}",
                case.verdict,
                case.n,
                case.op,
                case.state,
                made_by(run, case.n)
            ));
        }
    }
    parts.extend(skipped(run));
    parts.extend(run.icount.as_ref().map(icount));
    parts.extend(run.absent.iter().map(|absent| {
        let count = absent.cpus.len();
        let cpus = words::cpus(&absent.cpus);
        match absent.inherited {
            true => format!(
                "note: {cpus} {} {}",
                words::with(count, "is", "are"),
                absent.why
            ),
            false => format!(
                "note: {cpus} {} no role: {}",
                words::with(count, "has", "have"),
                absent.why
            ),
        }
    }));
    parts.extend(run.notes.iter().map(|note| format!("note: {note}")));
    let safe = |part: &String| {
        let lines: Vec<_> = part
            .lines()
            .map(|line| fold(&printable(line.as_bytes()), width))
            .collect();
        lines.concat()
    };
    parts.iter().map(safe).collect()
}

fn block(run: &Run, block: &Block) -> String {
    let address = block
        .address
        .map_or(String::new(), |address| format!(", address {address}"));
    let under = if block.baseline {
        "every other core parked (the baseline)".to_string()
    } else {
        state_named(run, block.n)
    };
    let what = if block.behind {
        "returned, and its core had not gone on"
    } else {
        "not returned"
    };
    // In a timed block the place already names the instruction.
    let instruction = match block.at.starts_with(&block.instruction) {
        true => String::new(),
        false => format!(": {}", block.instruction),
    };
    let before = match block.returned {
        0 => "none".into(),
        n => n.to_string(),
    };
    let mut text = format!(
        "blocked: case {}, {} under {under}{}\n  CPU {} at {}{instruction}{address}\n  \
         {what} {}, {before} had returned before; seen by the {}\n",
        block.n,
        block.op,
        made_by(run, block.n),
        block.initiator,
        block.at,
        block.waited(),
        block.seen_by
    );
    for core in &block.cores {
        let at = core
            .at
            .as_ref()
            .map_or(String::new(), |at| format!(", at {at}"));
        text += &format!(
            "  {}: {}, {}, {}{at}\n",
            words::cpus(&core.cpus),
            core.role,
            core.doing,
            core.proof
        );
    }
    for (first, last) in Reading::spans(&block.witness) {
        text += &format!("  witness: {}\n", first.until(last));
    }
    for rung in &block.ladder {
        let result = if rung.released {
            "returned"
        } else {
            "no change"
        };
        let time = figures::time(rung.us as f64 * 1e3);
        text += &format!("  tried {}: {result} after {time}\n", rung.rung);
    }
    match block.released() {
        Some(released) => text += &format!("  {released}\n"),
        None if !block.ladder.is_empty() => text += "  not released by anything tried\n",
        None => {}
    }
    let class = block
        .op
        .sends()
        .map_or("several messages", MessageClass::about);
    text += &format!("  what {} sends: {class}\n", block.op);
    text
}

/// What the image took for a block, although the host knows better.
fn starved(block: &Block) -> String {
    let why = block.starved.map_or(String::new(), |starved| starved.why());
    format!(
        "not a block: case {}, {}: CPU {} {} {}; {why}",
        block.n,
        block.op,
        block.initiator,
        block.had_not(),
        block.waited()
    )
}

/// Single samples that were late, and those that were not after all.
fn late(run: &Run) -> Vec<String> {
    /// More are only counted.
    const TOLD: usize = 8;
    let Some(machine) = &run.machine else {
        return Vec::new();
    };
    let took = |ticks| figures::time(figures::nanoseconds(ticks, machine));
    let told = |case: &CaseRecord, late: &Late| {
        format!(
            "case {}, {} under {}{}: one sample took {}, the longest of its controls {}\n  {}",
            case.n,
            case.op,
            case.state,
            made_by(run, case.n),
            took(late.ticks),
            took(late.control),
            late.place()
        )
    };
    let all = run.late();
    let mut parts: Vec<_> = all
        .iter()
        .filter_map(|case| Some(format!("late: {}\n", told(case, case.was_late()?))))
        .take(TOLD)
        .collect();
    if all.len() > TOLD {
        let more = words::count(all.len() - TOLD, "more case", "more cases");
        parts.push(format!("late: {more} in a sample that took less\n"));
    }
    let not = run.cases.iter().filter_map(|case| {
        let late = case.late.as_ref()?;
        Some((case, late, late.starved?))
    });
    if let Some((case, late, starved)) = not.clone().max_by_key(|(_, late, _)| late.ticks) {
        let more = match not.count() {
            1 => String::new(),
            n => format!(
                "; the same of {}",
                words::count(n - 1, "other case", "other cases")
            ),
        };
        parts.push(format!(
            "not late: {}\n  {}{more}\n",
            told(case, late),
            starved.why()
        ));
    }
    parts
}

/// Where the image relies on memory that a cache may hide or overwrite; for what is wrong
/// on purpose, one paragraph for all its places.
fn hazards(all: &[Hazard]) -> Vec<String> {
    let alike = |one: &Hazard, other: &Hazard| {
        !one.meant.is_empty() && one.kind == other.kind && one.meant == other.meant
    };
    let first = |(nth, found): &(usize, &Hazard)| !all[..*nth].iter().any(|h| alike(h, found));
    let told = |(_, found): (usize, &Hazard)| {
        let more = all.iter().filter(|other| alike(other, found)).count();
        hazard(found, more.saturating_sub(1))
    };
    all.iter().enumerate().filter(first).map(told).collect()
}

fn hazard(found: &Hazard, more: usize) -> String {
    let mut text = format!(
        "{} {}\n  with {}, line {}\n",
        found.by.text(),
        found.kind.about(),
        found.with.text(),
        found.line
    );
    if found.meant.is_empty() {
        return format!("hazard: {text}");
    }
    if more > 0 {
        text += &format!("  and at {} more\n", words::count(more, "place", "places"));
    }
    let names: Vec<_> = found.meant.iter().map(|subject| subject.name()).collect();
    format!(
        "hazard, as expected: {text}  wrong on purpose: {}\n",
        names.join(" or ")
    )
}

/// What the cache checker saw.
fn coverage(seen: &Coverage) -> String {
    let ignored = seen.sites.iter().filter(|site| site.ignored);
    let ignored: Vec<_> = ignored
        .map(|site| format!("{} ({})", site.at, site.instruction))
        .collect();
    let mut text = format!(
        "coherence: {} and {} checked, {} of maintenance and barriers",
        words::count(seen.accesses as usize, "access", "accesses"),
        words::count(seen.fetches as usize, "fetch", "fetches"),
        words::count(seen.sites.len(), "place", "places")
    );
    if !ignored.is_empty() {
        text += &format!("; ignored as asked: {}", ignored.join(", "));
    }
    for unseen in &seen.unseen {
        text += &format!("\n  not seen: {unseen}");
    }
    text + "\n"
}

/// Which stale cores it takes to block.
fn bisection(found: &BisectRecord) -> String {
    if let (Some(why), 0) = (&found.why, found.trials) {
        return format!("case {}: the stale CPUs were not searched: {why}", found.n);
    }
    let culprits: Vec<_> = found.culprits.iter().map(words::cpus).collect();
    let last = found.culprits.last().map_or(1, CpuSet::len);
    let are = words::with(last, "is", "are");
    let culprits = match &culprits[..] {
        [] => "no smaller set".to_string(),
        sets => sets.join(", or "),
    };
    let rest = match (&found.why, found.complete) {
        (Some(why), _) => format!("; broken off: {why}"),
        (None, true) if found.culprits.is_empty() => String::new(),
        (None, true) => "; no other of them blocks".to_string(),
        (None, false) => "; there may be more".to_string(),
    };
    format!(
        "case {}: of {}, stale, {culprits} {are} enough to block, found in {}{rest}",
        found.n,
        words::cpus(&found.stale),
        words::count(found.trials as usize, "trial", "trials")
    )
}

fn fault(run: &Run, fault: &Fault) -> String {
    format!(
        "faulted: case {}, {} under {}{}\n  CPU {} at {}: {}\n  \
         ESR {} FAR {} ELR {}; the routine returned {}",
        fault.n,
        fault.op,
        state_named(run, fault.n),
        made_by(run, fault.n),
        fault.initiator,
        fault.at,
        fault.syndrome,
        fault.esr,
        fault.far,
        fault.elr,
        fault.returned
    )
}

/// Skipped cases by their reason: a state that cannot be entered skips many.
fn skipped(run: &Run) -> Vec<String> {
    let mut reasons: Vec<(&str, usize, Vec<String>)> = Vec::new();
    for case in run.cases.iter().filter(|c| c.verdict == Verdict::Skipped) {
        let why = case.why.as_deref().unwrap_or("no reason given");
        let state = case.state.to_string();
        match reasons.iter_mut().find(|(reason, ..)| *reason == why) {
            Some((_, count, states)) => {
                *count += 1;
                if !states.contains(&state) {
                    states.push(state);
                }
            }
            None => reasons.push((why, 1, vec![state])),
        }
    }
    reasons
        .into_iter()
        .map(|(why, count, states)| format!("skipped: {count} under {}: {why}", states.join(", ")))
        .collect()
}

fn icount(icount: &Icount) -> String {
    let mut text = format!(
        "the empty timed block costs {}; {} {} written in it",
        words::count(icount.empty as usize, "instruction", "instructions"),
        icount.written,
        words::with(icount.written as usize, "is", "are")
    );
    for (op, more) in &icount.more {
        text += &format!("\n  {op}: {more} more");
    }
    text
}

#[cfg(test)]
mod golden_tests;

#[cfg(test)]
mod tests;
