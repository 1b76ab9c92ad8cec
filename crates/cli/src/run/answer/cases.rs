//! The results of a plan's cases, in sentences.

use stalecore_model::{
    exit::ExitCode,
    glossary::{StaleState, Verdict},
    maintenance::MessageClass,
    record::{Block, CaseRecord, Fault, Maker},
    rounds::Found,
    run::{AWAKE, Run},
    words,
};

use super::{Lead, Sentence, others_in, state_of};
use crate::run::{figures, judge::count, table::worst};

/// The cases that one maker made, or the machine itself.
struct Part<'a> {
    run: &'a Run,
    maker: Option<Maker>,
    /// All of them.
    all: Vec<&'a CaseRecord>,
    /// Those that test what was asked, and ran.
    asked: Vec<&'a CaseRecord>,
}

/// The results of the cases: those of the machine, and those of each maker.
pub fn sentences(run: &Run) -> Vec<Sentence> {
    let mut makers: Vec<_> = run.cases.iter().map(|case| run.maker(case.op)).collect();
    makers.sort();
    makers.dedup();
    let mut sentences: Vec<_> = makers
        .into_iter()
        .flat_map(|maker| Part::new(run, maker).sentences())
        .collect();
    let uncounted = uncounted(run);
    if !uncounted.is_empty() {
        // That the others returned is no answer.
        sentences.retain(|sentence| sentence.code.rank() < ExitCode::Slowed.rank());
        sentences.extend(uncounted);
    }
    if sentences.is_empty() {
        sentences.push(Sentence {
            code: ExitCode::Inconclusive,
            text: Lead::Undecided.words(None) + "no case was read",
        });
    }
    sentences
}

/// What the closing record counts, but no record that was read tells of.
fn uncounted(run: &Run) -> Vec<Sentence> {
    let serious = [Verdict::Blocked, Verdict::Incoherent, Verdict::Faulted];
    let missing = serious.into_iter().filter_map(|verdict| {
        let read = run.cases.iter().filter(|c| c.verdict == verdict).count();
        let counted = count(run, verdict) as usize;
        (counted > read).then(|| Sentence {
            code: verdict.exit_code(),
            text: format!(
                "The closing record counts {} {verdict} of which no record was read",
                words::cases(counted - read)
            ),
        })
    });
    missing.collect()
}

impl<'a> Part<'a> {
    fn new(run: &'a Run, maker: Option<Maker>) -> Self {
        let all: Vec<_> = run
            .cases
            .iter()
            .filter(|c| run.maker(c.op) == maker)
            .collect();
        let ran = |c: &&&CaseRecord| run.counts(c) && c.verdict != Verdict::Skipped;
        Self {
            run,
            maker,
            asked: all.iter().filter(ran).copied().collect(),
            all,
        }
    }

    fn sentences(&self) -> Vec<Sentence> {
        let serious: Vec<_> = [Verdict::Blocked, Verdict::Incoherent, Verdict::Faulted]
            .into_iter()
            .filter_map(|verdict| self.serious(verdict))
            .collect();
        if serious.is_empty() {
            return vec![self.rest()];
        }
        serious
    }

    fn say(&self, code: ExitCode, lead: Lead, text: &str) -> Sentence {
        Sentence {
            code,
            text: lead.words(self.maker) + text,
        }
    }

    /// The first case of this verdict, and how many others there are.
    fn serious(&self, verdict: Verdict) -> Option<Sentence> {
        let of = |c: &&&CaseRecord| c.verdict == verdict;
        let first = self.all.iter().find(of)?;
        let control = self
            .all
            .iter()
            .filter(of)
            .find(|c| c.op.is_no_maintenance());
        let so = self.all.iter().filter(of).count();
        let ran = self
            .all
            .iter()
            .filter(|c| c.verdict != Verdict::Skipped)
            .count();
        let (lead, mut text) = match verdict {
            Verdict::Blocked => match control {
                Some(control) => {
                    let text = blocked(self.run, self.block(control), control);
                    (Lead::NotAlone, format!("{}: {text}", who(control)))
                }
                None => {
                    let block = self.block(first);
                    let text = blocked(self.run, block, first);
                    let baseline = block.is_some_and(|block| block.baseline);
                    let rest = match baseline {
                        true => String::new(),
                        false => self.returned_there(first),
                    };
                    (Lead::Yes, text + &rest)
                }
            },
            Verdict::Faulted => {
                let mut faults = self.run.faults.iter();
                let fault = faults.find(|fault| fault.n == first.n);
                (Lead::Faulted, faulted(self.run, fault, first))
            }
            _ => (Lead::Stale, incoherent(self.run, first)),
        };
        if so > 1 {
            text += &format!("; {so} of {} {verdict}", words::cases(ran));
        }
        Some(self.say(verdict.exit_code(), lead, &text))
    }

    fn block(&self, case: &CaseRecord) -> Option<&'a Block> {
        self.run.blocks.iter().find(|block| block.n == case.n)
    }

    /// What ran under the same stale state, is no maintenance, and returned.
    fn returned_there(&self, case: &CaseRecord) -> String {
        let returned = |c: &&&CaseRecord| {
            c.state == case.state
                && c.op.sends() == Some(MessageClass::Access)
                && matches!(c.verdict, Verdict::Completed | Verdict::Slowed)
        };
        let mut names: Vec<_> = self.all.iter().filter(returned).collect();
        names.dedup_by_key(|c| c.op);
        let names: Vec<_> = names.iter().map(|c| c.op.to_string()).collect();
        match names.len() {
            0 => String::new(),
            n => format!(
                "; {}, which {} no maintenance, returned there",
                words::list(&names),
                words::with(n, "is", "are")
            ),
        }
    }

    /// The result where no case was serious.
    fn rest(&self) -> Sentence {
        let of = |verdict| self.asked.iter().filter(move |c| c.verdict == verdict);
        let slowed = of(Verdict::Slowed).count();
        let returned = of(Verdict::Completed).count() + slowed;
        let doubtful = of(Verdict::Inconclusive).count();
        let skipped = self
            .all
            .iter()
            .filter(|c| c.verdict == Verdict::Skipped)
            .count();
        let skipped = match skipped {
            0 => String::new(),
            n => format!("; {n} {} skipped", words::with(n, "was", "were")),
        };
        if returned == 0 && doubtful == 0 {
            return self.nothing(&skipped);
        }
        if doubtful > 0 {
            return self.doubtful(doubtful, returned, slowed, &skipped);
        }
        let text = format!(
            "{} returned, {}{skipped}",
            words::all_cases(returned),
            self.late(returned, slowed)
        );
        if self.run.only_control() {
            let text = format!(
                "{} returned with every other core parked; no core was stale",
                words::all_cases(returned)
            );
            return self.say(ExitCode::Expected, Lead::Control, &text);
        }
        if slowed == 0 {
            return self.say(ExitCode::Expected, Lead::No, &text);
        }
        match self.is_strict() {
            true => self.say(ExitCode::Slowed, Lead::Delayed, &text),
            false => self.say(ExitCode::Expected, Lead::NotBlocked, &text),
        }
    }

    /// Only the control ran, or nothing.
    fn nothing(&self, skipped: &str) -> Sentence {
        let skip = self.all.iter().find(|c| c.verdict == Verdict::Skipped);
        let why = skip.and_then(|c| c.why.as_deref());
        let why = why.unwrap_or("no case was decisive");
        let control = self.all.iter().any(|c| c.verdict != Verdict::Skipped);
        let control = match control {
            true => "only the control ran, and no core was stale: ",
            false => "",
        };
        let text = format!("{control}{why}{skipped}");
        self.say(ExitCode::Inconclusive, Lead::Undecided, &text)
    }

    /// Some prove nothing.
    fn doubtful(&self, doubtful: usize, returned: usize, slowed: usize, skipped: &str) -> Sentence {
        let first = self
            .asked
            .iter()
            .find(|c| c.verdict == Verdict::Inconclusive);
        let why = first.map_or(String::new(), |case| {
            let why = case.why.as_deref().unwrap_or("no reason is given");
            format!(" ({} under {}: {why})", case.op, case.state)
        });
        let proves = words::with(doubtful, "proves", "prove");
        let mut text = match returned {
            0 => format!("{} {proves} nothing{why}", words::all_cases(doubtful)),
            n => format!(
                "{doubtful} of {} {proves} nothing{why}",
                words::cases(doubtful + n)
            ),
        };
        if returned > 0 {
            text += &format!(
                "; {} returned, {}",
                words::with(returned, "the other", &format!("the other {returned}")),
                self.late(returned, slowed)
            );
        }
        self.say(ExitCode::Inconclusive, Lead::Undecided, &(text + skipped))
    }

    /// How many of the cases that returned were late, how many are too noisy to say, and
    /// how many were so in a single sample.
    fn late(&self, returned: usize, slowed: usize) -> String {
        let noisy = |case: &&&CaseRecord| {
            case.verdict == Verdict::Completed && self.run.found(case) == Some(Found::Noisy)
        };
        let mut text = self.certainly_late(returned, slowed);
        match self.asked.iter().filter(noisy).count() {
            0 => {}
            n => text += &format!("; {n} {} too noisy to say", words::with(n, "is", "are")),
        }
        text + &self.late_once()
    }

    /// The cases with a single sample that was late.
    fn late_once(&self) -> String {
        let late = self.run.late();
        let ours = |case: &&&CaseRecord| self.asked.iter().any(|asked| asked.n == case.n);
        let ours: Vec<_> = late.iter().filter(ours).collect();
        let (Some(first), Some(machine)) = (ours.first(), &self.run.machine) else {
            return String::new();
        };
        let ticks = first.was_late().map_or(0, |late| late.ticks);
        format!(
            "; {} late in a single sample, {}{} under {} ({})",
            words::with(ours.len(), "1 was", &format!("{} were", ours.len())),
            words::with(ours.len(), "", "the longest "),
            first.op,
            first.state,
            figures::time(figures::nanoseconds(ticks, machine))
        )
    }

    fn certainly_late(&self, returned: usize, slowed: usize) -> String {
        let its = words::with(returned, "its", "their");
        let than = match &self.run.plan {
            Some(plan) => {
                let threshold = figures::factor(plan.threshold);
                format!("later than {threshold} {its} baseline")
            }
            None => format!("later than allowed against {its} baseline"),
        };
        if slowed == 0 {
            return match returned {
                1 => format!("no {than}"),
                _ => format!("none {than}"),
            };
        }
        let slow = self.asked.iter().filter(|c| c.verdict == Verdict::Slowed);
        let machine = self.run.machine.as_ref();
        let worst = worst(slow.copied(), machine).map_or(String::new(), |case| {
            let factor = figures::slowdown(case, machine);
            let factor = factor.map_or(String::new(), |f| format!(" ({})", figures::factor(f)));
            format!("{} under {}{factor}", case.op, case.state)
        });
        let text = match (returned, slowed) {
            (1, _) => format!("{than}: {worst}"),
            (_, 1) => format!("1 of them {than}: {worst}"),
            (all, n) if all == n => format!("{than}, the worst {worst}"),
            (_, n) => format!("{n} of them {than}, the worst {worst}"),
        };
        text + &self.as_beside_awake()
    }

    /// How many of those that are late are not so against cores that are only awake.
    fn as_beside_awake(&self) -> String {
        let late = self.asked.iter().filter(|c| c.verdict == Verdict::Slowed);
        let (all, so) = late.fold((0, 0), |(all, so), case| {
            (all + 1, so + usize::from(self.run.as_beside_awake(case)))
        });
        let which = match (all, so) {
            (_, 0) => return String::new(),
            (1, _) => "which is",
            (all, so) if all == so => "all of which are",
            (_, 1) => "of which 1 is",
            (_, so) => &format!("of which {so} are"),
        };
        let than = self.run.plan.as_ref().map_or(0, |plan| plan.threshold);
        let than = figures::factor(than);
        format!(", {which} not later than {than} against cores that are only awake ({AWAKE})")
    }

    /// Does a slowed case count against the exit code?
    fn is_strict(&self) -> bool {
        self.run.plan.as_ref().map_or_else(
            || {
                self.run
                    .end
                    .as_ref()
                    .is_some_and(|end| end.exit == ExitCode::Slowed as u8)
            },
            |plan| plan.strict,
        )
    }
}

/// Who does not answer, where what is no maintenance has not returned.
fn who(control: &CaseRecord) -> &'static str {
    match control.op.sends() {
        Some(MessageClass::Firmware) => "firmware does not answer",
        Some(MessageClass::Interrupt) => "an interrupt is not taken",
        _ => "the interconnect answers nobody",
    }
}

fn blocked(run: &Run, block: Option<&Block>, case: &CaseRecord) -> String {
    let what = match case.op.is_no_maintenance() {
        true => ", which is no maintenance,",
        false => "",
    };
    let Some(block) = block else {
        return format!(
            "{}{what} had not returned, {}; where it was is not known, as no record of that was read",
            case.op,
            others_in(run, Some(case.state))
        );
    };
    let released = block
        .released()
        .map_or(String::new(), |released| format!("; {released}"));
    let others = match block.baseline {
        true => others_in(run, Some(StaleState::Parked)),
        false => others_in(run, state_of(run, block.n)),
    };
    format!(
        "{}{what} on CPU {} {} {}, {others}{released}",
        block.op,
        block.initiator,
        block.had_not(),
        block.waited(),
    )
}

fn incoherent(run: &Run, case: &CaseRecord) -> String {
    format!(
        "{} returned, {}, and {}",
        case.op,
        others_in(run, Some(case.state)),
        case.why.as_deref().unwrap_or("older data or code was seen")
    )
}

fn faulted(run: &Run, fault: Option<&Fault>, case: &CaseRecord) -> String {
    let Some(fault) = fault else {
        return format!(
            "{} took an exception, {}; where is not known, as no record of that was read",
            case.op,
            others_in(run, Some(case.state))
        );
    };
    format!(
        "{} on CPU {} took an exception at {} ({}), {}",
        fault.op,
        fault.initiator,
        fault.at,
        fault.syndrome,
        others_in(run, state_of(run, fault.n)),
    )
}
