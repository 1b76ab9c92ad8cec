//! How long the host waits, for the whole run and in silence.

use std::time::Duration;

use stalecore_model::{
    fabric::FabricOptions,
    options::{Options, Scenario},
    plan::{ClassTime, Plan},
    rounds::{CONFIRMING_MS, OF_THE_FIRST, ROUNDS},
};

/// The host's deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For the whole run.
    pub total: Duration,
    /// Was that asked for? Then the host's clock alone counts, else what the machine had of it.
    pub asked: bool,
    /// Without a byte on the console, or a sign that the machine works.
    pub silence: Duration,
    /// The same before the image has said anything, while firmware runs.
    pub boot: Duration,
    /// How long the machine may go on after the image's last line.
    pub grace: Duration,
    /// How often to look into a silent machine, if nobody in it watches.
    pub look: Option<Duration>,
}

/// The longest that anything is waited for: a week.
pub const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// The emulator ends at once, unless the host is busy.
const GRACE: Duration = Duration::from_secs(5);

/// More instructions than any routine that is timed has.
const ROUTINE: u32 = 1024;

/// Twice what a case is allowed: that is far more than it takes, so it leaves room for the
/// visits of all rounds.
const VISITS: usize = 2;

/// The shortest and the longest time between two looks.
const LOOKS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

impl Limits {
    /// The deadlines for a plan, with what firmware may take before the image
    /// begins; `asked` replaces the one of the whole run.
    ///
    /// They are generous: an emulator may run all cores in turn on one core
    /// of a busy host.
    pub fn of(
        options: &Options,
        plan: &Plan,
        cpus: usize,
        firmware: Duration,
        asked: Option<Duration>,
    ) -> Self {
        let cores = u32::try_from(cpus).unwrap_or(u32::MAX);
        let times =
            |what: Duration, n: usize| what.saturating_mul(u32::try_from(n).unwrap_or(u32::MAX));
        // Four histograms for each case: two classes, and the baseline. An
        // initiator whose stale cores spin has as small a part of the host as
        // each of them: with 128 cores on two a case takes a second.
        let case = Duration::from_millis(200)
            + Duration::from_micros(80) * options.samples
            + Duration::from_millis(15) * cores;
        let group = Duration::from_secs(1) + Duration::from_millis(100) * cores;
        let deadline = Duration::from_millis(plan.deadline_ms.into());
        // The deadline, a wait, the rungs of the ladder, the report.
        let wait = Duration::from_millis(options.wait_ms.unwrap_or(0).into());
        let block = deadline * 5 + wait;
        let dwell = Duration::from_millis(plan.dwell.all_ms(&plan.groups));
        // Only a fabric blocks one case after another; a search for culprits
        // makes a trial of each half, and of each core at worst.
        let blocks = match (&options.fabric, options.bisect) {
            (None, _) => 1,
            (Some(_), false) => 1 + plan.len(),
            (Some(_), true) => 1 + plan.len() * (2 + cpus),
        };
        // A fabric that is told to be late needs time: two classes and the sweep
        // take theirs, and a routine has hundreds of operations, each of which is
        // answered within the deadline or is blocked.
        let late = |fabric: &FabricOptions| {
            let held = fabric.hold.map_or(0, |hold| hold.ns);
            Duration::from_nanos(fabric.delay_ns).saturating_mul(cores) + Duration::from_nanos(held)
        };
        let answers = options.fabric.as_ref().map(late);
        let late = answers.filter(|answers| !answers.is_zero());
        let late = late.map_or(Duration::ZERO, |answers| {
            let class = Duration::from_millis(ClassTime::of(options.samples).longest_ms);
            class * 3 + answers.min(deadline) * ROUTINE
        });
        // The crash path waits for its watchdog, and for cores to stop.
        let crash = match options.scenario {
            Scenario::Kdump => {
                Duration::from_millis(options.watchdog_ms.into()) * 2 + Duration::from_secs(1)
            }
            Scenario::Plan => Duration::ZERO,
        };
        // With no sentinel the cores enter their state anew for each case.
        let alone = plan.roles.sentinel.is_none();
        let entries = if alone { plan.len() } else { plan.groups.len() };
        let entries = 2 * ROUNDS * entries;
        let measuring = times(case + late, plan.len() * VISITS);
        let of_the_first = u32::try_from(OF_THE_FIRST).unwrap_or(u32::MAX);
        let confirming = Duration::from_millis(CONFIRMING_MS) + measuring * of_the_first;
        let total = asked.unwrap_or(
            Duration::from_secs(60)
                + firmware
                + measuring
                + confirming
                + times(group, entries)
                + times(block + late, blocks)
                + dwell * 2
                + crash,
        );
        // With nobody in the machine to report a block, the host looks for
        // itself, and need not wait for a ladder.
        let told = if alone { deadline * 2 } else { block };
        let quiet = Duration::from_millis(plan.dwell.longest_ms().into());
        // The cases of a group are told of together, and in between, every few seconds,
        // that they go on. Where instructions are the clock, those are the guest's
        // seconds, of which each may be many of the host's; and into a state that passes the
        // cores go anew for each case in each round.
        let largest = plan.groups.iter().map(|group| group.cases.len()).max();
        let together = match options.icount {
            true => largest.unwrap_or(1) * 2 * ROUNDS,
            false => 1,
        };
        let silence = Duration::from_secs(15)
            + Duration::from_millis(100) * cores
            + times(case, together)
            + quiet * 2
            + told
            + crash;
        // A deadline that was asked for bounds the silence too.
        let silence = asked.unwrap_or(silence).min(total);
        Self {
            total,
            asked: asked.is_some(),
            silence,
            boot: silence.max(firmware).min(total),
            grace: GRACE,
            look: alone.then(|| (deadline / 2).clamp(LOOKS.0, LOOKS.1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(text: &str, cpus: usize, asked: Option<u64>) -> Limits {
        let options = Options::from_bootargs(text).unwrap();
        let plan = Plan::new(&options, cpus).unwrap();
        let firmware = Duration::ZERO;
        Limits::of(
            &options,
            &plan,
            cpus,
            firmware,
            asked.map(Duration::from_secs),
        )
    }

    #[test]
    fn firmware_gets_its_time_and_no_more_than_was_asked_for() {
        let options = Options::default();
        let plan = Plan::new(&options, 8).unwrap();
        let of = |firmware, asked: Option<u64>| {
            let firmware = Duration::from_secs(firmware);
            let asked = asked.map(Duration::from_secs);
            Limits::of(&options, &plan, 8, firmware, asked)
        };
        let (without, with) = (of(0, None), of(100, None));
        assert_eq!(with.total, without.total + Duration::from_secs(100));
        assert_eq!((with.boot.as_secs(), without.boot), (100, without.silence));
        assert_eq!(with.silence, without.silence);
        assert_eq!(of(100, Some(7)).boot.as_secs(), 7);
    }

    #[test]
    fn two_minutes_and_what_the_plan_needs() {
        let small = limits("stalecore.ops=none stalecore.stale=spin", 2, None);
        assert!((121..160).contains(&small.total.as_secs()), "{small:?}");
        let whole = limits("", 8, None);
        assert!((120..1800).contains(&whole.total.as_secs()), "{whole:?}");
        assert!(whole.silence < whole.total);
    }

    #[test]
    fn a_fabric_may_block_every_case() {
        let plain = "stalecore.ops=all stalecore.deadline-ms=1000";
        let fabric = format!("{plain} stalecore.fabric=deaf=spin");
        let bisect = format!("{fabric} stalecore.bisect=on");
        let total = |text: &str| limits(text, 8, None).total.as_secs();
        assert!(total(&fabric) > total(plain) + 24 * 20);
        assert!(total(&bisect) > total(&fabric));
    }

    #[test]
    fn a_late_fabric_is_waited_for() {
        let total = |text: &str| limits(text, 8, None).total;
        let plain = "stalecore.ops=ic-ivau stalecore.stale=spin stalecore.fabric=depth=4";
        let held = format!("{plain},hold=250ms/9");
        assert!(total(&held) > total(plain) + Duration::from_secs(18));
        let late = format!("{plain},delay=250ms");
        // Two classes and a sweep of six seconds each.
        assert!(total(&late) > total(plain) + Duration::from_secs(18));
    }

    #[test]
    fn with_no_sentinel_the_host_looks_for_itself() {
        let of = |text: &str| limits(&format!("stalecore.deadline-ms=10000 {text}"), 8, None);
        let (with, without) = (of(""), of("stalecore.sentinel=off"));
        assert_eq!(with.look, None);
        assert_eq!(without.look, Some(Duration::from_secs(5)));
        assert!(without.silence + Duration::from_secs(20) < with.silence);
        // Two looks must find the mark where it was before the host gives up.
        assert!(without.silence > Duration::from_secs(3 * 5));
        let quick = limits("stalecore.deadline-ms=1 stalecore.sentinel=off", 8, None);
        assert_eq!(quick.look, Some(Duration::from_millis(100)));
    }

    #[test]
    fn where_instructions_are_the_clock_a_group_may_be_silent() {
        let silence = |text: &str| limits(text, 4, None).silence;
        let one = "stalecore.ops=ic-ivau stalecore.stale=spin";
        let counted = |text: &str| silence(&format!("{text} stalecore.icount=on"));
        // Twenty cases, of a fifth of a second and more, in ten visits each.
        assert!(counted("") > silence("") + Duration::from_secs(40));
        // Of one case, the visits of a few rounds.
        assert!(counted(one) < silence(one) + Duration::from_secs(4));
    }

    #[test]
    fn a_slow_watchdog_is_waited_for() {
        let of = |ms| {
            limits(
                &format!("stalecore.scenario=kdump stalecore.watchdog-thresh={ms}ms"),
                8,
                None,
            )
        };
        assert_eq!(
            of(60_000).silence - of(10_000).silence,
            Duration::from_secs(100)
        );
        assert!(of(60_000).total > Duration::from_secs(150));
    }

    #[test]
    fn what_is_asked_for_bounds_the_silence_too() {
        let limits = limits("stalecore.deadline-ms=3600000", 512, Some(3));
        assert_eq!((limits.total.as_secs(), limits.silence.as_secs()), (3, 3));
    }
}
