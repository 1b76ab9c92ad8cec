//! What was found besides the table: blocks, faults, older code, the cost of
//! the timed block, notes.

use stalecore_model::{
    console::printable,
    fabric::MessageClass,
    glossary::Verdict,
    hazard::{Coverage, Hazard},
    record::{BisectRecord, Block, Fault, Icount},
    run::Run,
    words,
};

use super::{
    answer::{made_by, state_named},
    figures,
    table::fold,
};

/// Each finding as a paragraph of at most `width` columns. Text from the console is made fit for a
/// terminal: a record can hold what a line cannot.
pub fn findings(run: &Run, width: usize) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(run.blocks.iter().map(|b| block(run, b)));
    parts.extend(run.starved.iter().map(starved));
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
    parts.extend(
        run.absent
            .iter()
            .map(|absent| format!("note: CPU {} has no role: {}", absent.cpus, absent.why)),
    );
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
        "returned, and its core did not go on;"
    } else {
        "not returned"
    };
    let mut text = format!(
        "blocked: case {}, {} under {under}{}\n  CPU {} at {}: {}{address}\n  \
         {what} {}, {} had returned before; seen by the {}\n",
        block.n,
        block.op,
        made_by(run, block.n),
        block.initiator,
        block.at,
        block.instruction,
        block.waited(),
        block.returned,
        block.seen_by
    );
    for core in &block.cores {
        let at = core
            .at
            .as_ref()
            .map_or(String::new(), |at| format!(", at {at}"));
        text += &format!(
            "  CPU {}: {}, {}, {}{at}\n",
            core.cpus, core.role, core.doing, core.proof
        );
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

/// What the image took for a block, and the host knows to be none.
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

/// Where the image relies on memory that a cache may hide or overwrite; what is wrong
/// on purpose once for all its places.
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

/// What the checker of caches saw.
fn coverage(seen: &Coverage) -> String {
    let ignored = seen.sites.iter().filter(|site| site.ignored);
    let ignored: Vec<_> = ignored
        .map(|site| format!("{} ({})", site.at, site.instruction))
        .collect();
    let mut text = format!(
        "coherence: {} accesses and {} fetches checked, {} places of maintenance and barriers",
        seen.accesses,
        seen.fetches,
        seen.sites.len()
    );
    if !ignored.is_empty() {
        text += &format!("; ignored as asked: {}", ignored.join(", "));
    }
    for unseen in &seen.unseen {
        text += &format!("\n  not seen: {unseen}");
    }
    text + "\n"
}

/// Which stale cores a block takes.
fn bisection(found: &BisectRecord) -> String {
    if let (Some(why), 0) = (&found.why, found.trials) {
        return format!("case {}: the stale CPUs were not searched: {why}", found.n);
    }
    let culprits: Vec<_> = found.culprits.iter().map(|c| format!("CPU {c}")).collect();
    let culprits = if culprits.is_empty() {
        "no smaller set".to_string()
    } else {
        culprits.join(", or ")
    };
    let rest = match (&found.why, found.complete) {
        (Some(why), _) => format!("; broken off: {why}"),
        (None, true) => "; no other of them blocks".to_string(),
        (None, false) => "; there may be more".to_string(),
    };
    format!(
        "case {}: of the stale CPUs {}, {culprits} is enough to block, found in {}{rest}",
        found.n,
        found.stale,
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

/// Skipped cases by their reason: a state that cannot be had skips many.
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
mod tests {
    use super::*;
    use stalecore_model::{
        cpuset::CpuSet,
        glossary::{LineState, StaleState, Subject},
        record::{CoreState, GroupRecord, Hex, Rung},
    };

    #[test]
    fn a_block_report_names_everything() {
        let run = Run {
            groups: vec![GroupRecord {
                state: StaleState::Spin,
                line: LineState::DirtyHere,
                first: 3,
                cases: 4,
            }],
            blocks: vec![Block {
                n: 5,
                op: Subject::FlushIcacheRange,
                initiator: 0,
                instruction: "ic ivau".into(),
                at: "flush_icache_range+92".into(),
                address: Some(Hex(0xffff_0000)),
                waited_ms: 2400,
                returned: 7,
                seen_by: "sentinel".into(),
                cores: vec![CoreState {
                    cpus: CpuSet::parse("1-6").unwrap(),
                    role: "stale".into(),
                    doing: "spin".into(),
                    proof: "heartbeat 3\u{1b}[2J, 12 ms ago".into(),
                    at: None,
                }],
                ladder: vec![Rung {
                    rung: "sev".into(),
                    us: 1500,
                    released: false,
                }],
                baseline: false,
                behind: false,
                starved: None,
            }],
            ..Run::default()
        };
        let text = findings(&run, 80);
        for part in [
            "case 5, flush-icache-range under spin",
            "CPU 0 at flush_icache_range+92: ic ivau, address 0xffff0000",
            "2400 ms, 7 had returned",
            "CPU 1-6: stale, spin, heartbeat 3\u{fffd}[2J, 12 ms ago",
            "tried sev: no change after 1.50ms",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_block_in_the_baseline_is_not_told_as_the_state_s() {
        let mut run = crate::synthetic::run(&crate::synthetic::Shape::default());
        run.blocks.truncate(1);
        run.blocks[0].baseline = true;
        let told = findings(&run, 200);
        assert!(told.contains("under every other core parked"), "{told}");
        let judgement = super::super::judge::Judgement {
            code: stalecore_model::exit::ExitCode::Blocked,
            problem: None,
        };
        let answer = super::super::answer::answer(&run, &judgement, None);
        assert!(answer.contains("with every other core parked"), "{answer}");
        assert!(!answer.contains("stale cores in"), "{answer}");
        run.blocks[0].behind = true;
        let answer = super::super::answer::answer(&run, &judgement, None);
        assert!(
            answer.contains("had not gone on behind flush_icache_range+92 (ic ivau), which had"),
            "{answer}"
        );
    }

    #[test]
    fn cores_that_do_not_answer_are_named_and_counted() {
        let mut run = crate::synthetic::run(&crate::synthetic::Shape::default());
        let cpus = run.machine.as_ref().map_or(0, |machine| machine.cpus);
        run.absent.push(stalecore_model::record::Absent {
            cpus: CpuSet::one(3),
            why: "PSCI CPU_ON: invalid parameters".into(),
        });
        let told = findings(&run, 200);
        assert!(
            told.contains("note: CPU 3 has no role: PSCI CPU_ON: invalid parameters"),
            "{told}"
        );
        let judgement = super::super::judge::Judgement {
            code: stalecore_model::exit::ExitCode::Blocked,
            problem: None,
        };
        let answer = super::super::answer::answer(&run, &judgement, None);
        let counted = format!("{} of {cpus} cores took part: CPU 3", cpus - 1);
        assert!(answer.contains(&counted), "{answer}");
        run.absent.clear();
        let answer = super::super::answer::answer(&run, &judgement, None);
        assert!(!answer.contains("cores took part"), "{answer}");
    }

    #[test]
    fn what_is_wrong_on_purpose_is_told_once_and_as_that() {
        let side = |at: &str| stalecore_model::hazard::Side {
            cpu: 0,
            at: at.into(),
            pc: Hex(0),
            what: "dc ivac".into(),
        };
        let found = |at: &str, meant: &[Subject]| Hazard {
            kind: stalecore_model::hazard::Kind::DirtyDiscarded,
            by: side(at),
            with: side("dirty"),
            line: Hex(0x40),
            meant: meant.to_vec(),
        };
        let run = Run {
            hazards: vec![
                found("f", &[Subject::DcIvac]),
                found("g", &[]),
                found("h", &[Subject::DcIvac]),
                found("i", &[]),
            ],
            ..Run::default()
        };
        let text = findings(&run, 200);
        for part in [
            "hazard, as expected: CPU 0 at f (dc ivac) throws dirty data away",
            "  and at 1 place more\n  wrong on purpose: dc-ivac\n",
            "hazard: CPU 0 at g",
            "hazard: CPU 0 at i",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("at h"), "{text}");
    }

    #[test]
    fn the_cost_of_the_timed_block() {
        let run = Run {
            icount: Some(Icount {
                empty: 4,
                written: 4,
                more: vec![(Subject::IcIvau, 1)],
            }),
            notes: vec!["no sentinel".into()],
            ..Run::default()
        };
        assert_eq!(
            findings(&run, 80),
            "the empty timed block costs 4 instructions; 4 are written in it\n  \
             ic-ivau: 1 more\nnote: no sentinel\n"
        );
    }
}
