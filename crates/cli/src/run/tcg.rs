//! Which threads of the host QEMU emulates the CPUs in: one for all, or one for each.
//!
//! In one thread a core that waits costs nothing, as WFE, WFI and YIELD give its turn to
//! the next; in threads of their own WFE returns at once, and a hundred of such cores
//! want the whole host. A core that never waits keeps its turn for a tenth of a second,
//! and an initiator would come to its own turn late.

use stalecore_model::{
    glossary::StaleState,
    options::Options,
    plan::{Plan, default_deadline_ms},
    run::TcgThread,
    words,
};

/// What `--tcg-thread` asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Asked {
    /// One thread if each state of the plan waits, else one for each CPU
    #[default]
    Auto,
    /// One thread for all CPUs
    Single,
    /// One thread for each CPU
    Multi,
}

/// How long QEMU lets a core run that does not wait, in milliseconds (`TCG_KICK_PERIOD`).
const TURN_MS: u32 = 100;

/// So many rounds of all cores must fit into a deadline.
const TURNS: u32 = 2;

/// How many of the states that never wait are named.
const NAMED: usize = 3;

/// Why a plugin needs a thread for each CPU.
const PLUGIN: &str = "a plugin may hold up one alone";

/// The threads, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    /// Which.
    pub threads: TcgThread,
    /// Why, for a person.
    pub why: String,
}

/// The deadline that a plan needs in one thread, where cores of it never wait: more than
/// the usual one, as each of them takes its turn. `None` if the usual one will do.
///
/// # Errors
/// One line, if a shorter one was asked for.
pub fn deadline_ms(asked: Asked, options: &Options, cpus: usize) -> Result<Option<u32>, String> {
    // Under `icount` QEMU's turns are of the guest's own time.
    let busy = options.stale.iter().any(|state| !state.gives_turn_away());
    if asked != Asked::Single || options.icount || !busy {
        return Ok(None);
    }
    let turns = TURNS * TURN_MS * u32::try_from(cpus).unwrap_or(u32::MAX / 1000);
    match options.deadline_ms {
        Some(ms) if ms < turns => Err(format!(
            "--deadline-ms: {ms} with --tcg-thread single and states that never wait, where a \
             core comes to its turn every {} ms; allowed: {turns} and more",
            turns / TURNS
        )),
        Some(_) => Ok(None),
        None => Ok(Some(default_deadline_ms(cpus) + turns)),
    }
}

/// Chooses them for a plan.
///
/// # Errors
/// One line, if what is asked for cannot be had.
pub fn choose(
    asked: Asked,
    options: &Options,
    plan: &Plan,
    plugin: bool,
) -> Result<Choice, String> {
    let choice = |threads, why: &str| {
        Ok(Choice {
            threads,
            why: why.into(),
        })
    };
    match asked {
        Asked::Multi if options.icount => {
            return Err("--tcg-thread: multi with --icount; allowed: auto, single".into());
        }
        Asked::Multi => return choice(TcgThread::Multi, "as asked"),
        Asked::Single => {
            if plugin {
                return Err(format!(
                    "--tcg-thread: single, but {PLUGIN}; allowed: auto, multi"
                ));
            }
            return choice(TcgThread::Single, "as asked");
        }
        Asked::Auto => {}
    }
    if options.icount {
        return choice(TcgThread::Single, "instructions are counted");
    }
    if plugin {
        return choice(TcgThread::Multi, PLUGIN);
    }
    if plan.roles.initiators.len() > 1 {
        return choice(TcgThread::Multi, "there are several initiators");
    }
    let mut busy: Vec<StaleState> = Vec::new();
    for group in &plan.groups {
        if !group.state.gives_turn_away() && !busy.contains(&group.state) {
            busy.push(group.state);
        }
    }
    if busy.is_empty() {
        return choice(TcgThread::Single, "every stale state waits");
    }
    choice(TcgThread::Multi, &do_not_wait(&busy))
}

/// Why the states of a plan need a thread for each CPU.
fn do_not_wait(busy: &[StaleState]) -> String {
    let more = busy.len().saturating_sub(NAMED);
    let mut names: Vec<String> = busy.iter().take(NAMED).map(ToString::to_string).collect();
    if more > 0 {
        names.push(words::count(more, "other", "others"));
    }
    let (last, first) = names.split_last().map_or(("", &[][..]), |(l, f)| (l, f));
    let named = match first {
        [] => last.to_string(),
        first => format!("{} and {last}", first.join(", ")),
    };
    format!("{named} {} not wait", words::with(busy.len(), "does", "do"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(asked: Asked, text: &str, plugin: bool) -> Result<Choice, String> {
        let options = Options::from_bootargs(text).unwrap();
        let plan = Plan::new(&options, 8).unwrap();
        choose(asked, &options, &plan, plugin)
    }

    fn auto(text: &str) -> (TcgThread, String) {
        let choice = of(Asked::Auto, text, false).unwrap();
        (choice.threads, choice.why)
    }

    #[test]
    fn one_thread_where_all_wait_and_several_where_one_never_does() {
        use TcgThread::{Multi, Single};
        for (text, threads, why) in [
            ("stalecore.scenario=kdump", Single, "every stale state"),
            ("stalecore.stale=wfe,cpu-off,never-started", Single, "every"),
            ("stalecore.stale=wfe,spin", Multi, "spin does not wait"),
            (
                "stalecore.stale=cpu-off-inflight",
                Multi,
                "inflight does not",
            ),
            (
                "stalecore.stale=spin,dmb-loop",
                Multi,
                "spin and dmb-loop do not wait",
            ),
            ("", Multi, "others do not wait"),
            ("stalecore.icount=on", Single, "counted"),
            (
                "stalecore.stale=wfe stalecore.initiators=0,1",
                Multi,
                "several initiators",
            ),
        ] {
            let (found, said) = auto(text);
            assert_eq!(found, threads, "{text}");
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn what_must_not_be_in_one_thread_is_not() {
        let wfe = "stalecore.stale=wfe";
        let choice = of(Asked::Auto, wfe, true).unwrap();
        assert_eq!(choice.threads, TcgThread::Multi);
        let refused = of(Asked::Single, wfe, true).unwrap_err();
        assert!(refused.contains("auto, multi"), "{refused}");
    }

    #[test]
    fn what_is_asked_for_is_done_or_refused() {
        let busy = "stalecore.stale=spin";
        let single = of(Asked::Single, busy, false).unwrap();
        assert_eq!(
            (single.threads, &*single.why),
            (TcgThread::Single, "as asked")
        );
        let counted = of(Asked::Multi, "stalecore.icount=on", false).unwrap_err();
        assert!(counted.contains("auto, single"), "{counted}");
    }

    #[test]
    fn each_core_comes_to_its_turn_within_the_deadline() {
        let of = |asked, text: &str, cpus| {
            deadline_ms(asked, &Options::from_bootargs(text).unwrap(), cpus)
        };
        let busy = "stalecore.stale=spin";
        assert_eq!(of(Asked::Single, busy, 8), Ok(Some(2400 + 1600)));
        assert_eq!(of(Asked::Single, "stalecore.stale=wfe", 8), Ok(None));
        assert_eq!(of(Asked::Auto, busy, 8), Ok(None));
        let given = |ms| {
            of(
                Asked::Single,
                &format!("{busy} stalecore.deadline-ms={ms}"),
                8,
            )
        };
        assert_eq!(given(1600), Ok(None));
        assert!(given(1599).unwrap_err().contains("allowed: 1600 and more"));
    }
}
