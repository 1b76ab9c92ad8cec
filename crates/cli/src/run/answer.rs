//! The answer in one sentence: can a stuck core delay or block another core's
//! cache maintenance, on this machine?

use stalecore_model::{
    exit::ExitCode,
    glossary::Verdict,
    record::{Block, CaseRecord, Fault},
    run::Run,
};

use super::{
    figures,
    judge::{Judgement, count},
    table::worst,
};

/// The answer, without a newline.
pub fn answer(run: &Run, judgement: &Judgement, expect: Option<Verdict>) -> String {
    let mut text = match &judgement.problem {
        Some(problem) => format!("No answer: {problem}."),
        None => format!("{}{}", expectation(run, expect), found(run)),
    };
    text += &cores(run);
    if run.emulated {
        text += " The machine is emulated: this is about the harness only, and says nothing \
                 about silicon.";
    }
    text
}

/// How many of the machine's cores took part, where not all of them did.
fn cores(run: &Run) -> String {
    let (absent, machine) = (run.absent(), run.machine.as_ref());
    match machine.map_or(0, |machine| machine.cpus as usize) {
        all if !absent.is_empty() && all >= absent.len() => format!(
            " {} of {all} cores took part: CPU {absent} did not answer.",
            all - absent.len()
        ),
        _ => String::new(),
    }
}

fn expectation(run: &Run, expect: Option<Verdict>) -> String {
    match expect {
        None => String::new(),
        Some(verdict) if count(run, verdict) > 0 => format!("As expected ({verdict}): "),
        Some(verdict) => format!("Not as expected (no case {verdict}): "),
    }
}

fn found(run: &Run) -> String {
    let of = |verdict| count(run, verdict);
    let first = |verdict| run.cases.iter().find(|c| c.verdict == verdict);
    let all: u32 = Verdict::ALL.iter().map(|v| of(*v)).sum();
    let ran = all - of(Verdict::Skipped);
    let returned = match ran {
        1 => "the case returned".to_string(),
        n => format!("all {n} cases returned"),
    };
    let skipped = match of(Verdict::Skipped) {
        0 => String::new(),
        1 => "; 1 was skipped".to_string(),
        n => format!("; {n} were skipped"),
    };
    if of(Verdict::Blocked) > 0 {
        return match run.blocks.first() {
            Some(block) => blocked(run, block),
            None => format!("Yes: {} of {ran} cases blocked.", of(Verdict::Blocked)),
        };
    }
    if of(Verdict::Incoherent) > 0 {
        return first(Verdict::Incoherent).map_or("Yes: incoherent.".into(), |case| {
            format!(
                "Stale: {} returned with the stale cores in {}, and {}.",
                case.op,
                case.state,
                case.why.as_deref().unwrap_or("older data or code was seen")
            )
        });
    }
    if of(Verdict::Faulted) > 0 {
        return match run.faults.first() {
            Some(fault) => faulted(run, fault),
            None => format!("Faulted: {} of {ran} cases.", of(Verdict::Faulted)),
        };
    }
    let threshold = run.plan.as_ref().map_or(2000, |plan| plan.threshold);
    let threshold = figures::factor(threshold);
    if of(Verdict::Slowed) > 0 {
        let slow = run.cases.iter().filter(|c| c.verdict == Verdict::Slowed);
        let worst = worst(slow, run.machine.as_ref());
        let worst = worst.map_or(String::new(), |case| {
            format!(", the worst {}", slowed(run, case))
        });
        let strict = run.plan.as_ref().is_some_and(|plan| plan.strict);
        let begin = if strict {
            "Yes, delayed"
        } else {
            "Not blocked"
        };
        return format!(
            "{begin}: {returned}, {} later than {threshold} the baseline{worst}{skipped}.",
            of(Verdict::Slowed)
        );
    }
    if of(Verdict::Completed) == 0
        || ExitCode::from_number(stated(run)) == Some(ExitCode::Inconclusive)
    {
        let why = first(Verdict::Inconclusive).or(first(Verdict::Skipped));
        let why = why
            .and_then(|c| c.why.as_deref())
            .unwrap_or("no case was decisive");
        return format!("Undecided: {why}{skipped}.");
    }
    format!("No: {returned}, none later than {threshold} the baseline{skipped}.")
}

fn stated(run: &Run) -> u32 {
    run.end.as_ref().map_or(2, |end| end.exit).into()
}

fn slowed(run: &Run, case: &CaseRecord) -> String {
    let factor =
        figures::slowdown(case, run.machine.as_ref()).map_or(String::new(), figures::factor);
    format!("{} under {} ({factor})", case.op, case.state)
}

/// The stale state of a case, also of one that has no record.
pub fn state_of(run: &Run, n: u32) -> String {
    let case = run.cases.iter().find(|c| c.n == n).map(|c| c.state);
    let group = || {
        let groups = run.groups.iter();
        groups
            .filter(|g| (g.first..g.first.saturating_add(g.cases)).contains(&n))
            .map(|g| g.state)
            .next_back()
    };
    case.or_else(group)
        .map_or_else(|| "an unknown state".to_string(), |state| state.to_string())
}

fn blocked(run: &Run, block: &Block) -> String {
    let released = block
        .released_by()
        .map_or(String::new(), |rung| format!("; released by: {rung}"));
    format!(
        "Yes: {} on CPU {} {} {}, {}{released}.",
        block.op,
        block.initiator,
        block.had_not(),
        block.waited(),
        block.situation(&state_of(run, block.n)),
    )
}

fn faulted(run: &Run, fault: &Fault) -> String {
    format!(
        "Faulted: {} on CPU {} took an exception at {} ({}), with the stale cores in {}.",
        fault.op,
        fault.initiator,
        fault.at,
        fault.syndrome,
        state_of(run, fault.n),
    )
}
