//! What times of threads say: whose core the host did not run, and what the machine has
//! lost to others.

use std::time::Duration;

use stalecore_model::record::Starved;

use super::look::Times;

/// A core that ran for this long while its mark stood still, or for more than this many
/// turns, was held up: an emulated operation takes microseconds. There may be a turn at
/// each end.
const ENOUGH: Duration = Duration::from_millis(5);
const TURNS: u64 = 2;

/// The same within a sample, of which the end is known.
const ENOUGH_WITHIN: Duration = Duration::from_millis(2);

/// Cores that wait this many times longer than they run do not run in any useful sense:
/// an operation that waits for each of them waits for the host.
const CROWDED: u32 = 20;

/// How much of the time `of` these threads have lost to others: what they were ready to
/// run and did not, as a part of what so many CPUs of the host could have run of it.
pub fn lacked(threads: &[Times], host: u32, of: Duration) -> Duration {
    let (ran, queued) = (all_ran(threads), all_queued(threads));
    let wanted = (ran + queued).min(of * host);
    let share = wanted.saturating_sub(ran).div_duration_f64(wanted.max(of));
    if of.is_zero() { of } else { of.mul_f64(share) }
}

/// What an operation has to wait for besides the core that it is on.
#[derive(Clone, Copy)]
pub struct Waits {
    /// For each of the others, as a TLBI does that an emulator broadcasts.
    pub for_each: bool,
    /// For whoever holds a lock, which an emulator's cores take in turn: where a hundred
    /// wait for it and each is run only now and then, they sleep for seconds, but for the
    /// few whose turn it is and that stand in the host's run queue.
    pub for_a_lock: bool,
}

/// The core that the host did not run, among those that an operation on `initiator`
/// needed: the initiator itself, and what it `waits` for.
pub fn judge(times: &[Times], initiator: usize, waits: Waits, of: Duration) -> Option<Starved> {
    let told = |cpu| told(times, cpu, of);
    let own = times.get(initiator)?;
    if own.ran >= ENOUGH {
        return None;
    }
    let starved = |times: &Times| times.ran < ENOUGH && times.queued > of / 2;
    if starved(own) && own.turns <= TURNS {
        return Some(told(initiator));
    }
    let crowded = are_crowded(times);
    if waits.for_each {
        let worst = (0..times.len()).max_by_key(|cpu| times[*cpu].queued)?;
        if starved(&times[worst]) || crowded && times[worst].queued > of / 2 {
            return Some(told(worst));
        }
    }
    // Those that spin want to run all the time, and take no lock in turn.
    let most_sleep = all_queued(times) + all_ran(times) < of * times.len() as u32 / 2;
    let in_turn = crowded && most_sleep && all_queued(times) > of / 2;
    (waits.for_a_lock && in_turn).then(|| together(times, initiator, of))
}

/// See [`CROWDED`].
fn are_crowded(times: &[Times]) -> bool {
    all_queued(times) > all_ran(times) * CROWDED
}

/// How long all of them together stood in the run queue.
fn all_queued(times: &[Times]) -> Duration {
    times.iter().map(|times| times.queued).sum()
}

/// How long all of them together ran.
fn all_ran(times: &[Times]) -> Duration {
    times.iter().map(|times| times.ran).sum()
}

/// The core that the host did not run when a sample was taken, from the looks around it,
/// `of` apart: the initiator or, with `all`, any, as an emulator's cores wait for each
/// other in more than TLBIs. What stood in the queue for half as long as the sample took
/// may be all of why, unless the initiator `ran` within it and they are not crowded; if they
/// are, so may what all of them stood there together.
pub fn judge_late(
    times: &[Times],
    initiator: usize,
    ran: Duration,
    all: bool,
    (took, of): (Duration, Duration),
) -> Option<Starved> {
    let crowded = all && are_crowded(times);
    if ran >= ENOUGH_WITHIN && !crowded {
        return None;
    }
    let which = (0..times.len()).filter(|cpu| all || *cpu == initiator);
    let worst = which.max_by_key(|cpu| (times[*cpu].queued, *cpu == initiator))?;
    if times[worst].queued * 2 >= took {
        return Some(told(times, worst, of));
    }
    (crowded && all_queued(times) * 2 >= took).then(|| together(times, initiator, of))
}

/// What is told of a core that was not run.
fn told(times: &[Times], cpu: usize, of: Duration) -> Starved {
    let Times { ran, queued, .. } = times[cpu];
    Starved {
        cpu: u32::try_from(cpu).unwrap_or(u32::MAX),
        queued_ms: ms(queued),
        ran_ms: ms(ran),
        of_ms: ms(of),
        all: false,
    }
}

/// The same of one that waited for the others.
fn together(times: &[Times], cpu: usize, of: Duration) -> Starved {
    Starved {
        queued_ms: ms(all_queued(times)),
        ran_ms: ms(all_ran(times)),
        all: true,
        ..told(times, cpu, of)
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ran: u64, queued: u64) -> Times {
        Times {
            ran: Duration::from_millis(ran),
            queued: Duration::from_millis(queued),
            turns: 0,
        }
    }

    const OF: Duration = Duration::from_secs(2);
    const NOBODY: Waits = Waits {
        for_each: false,
        for_a_lock: false,
    };
    const EACH: Waits = Waits {
        for_each: true,
        ..NOBODY
    };
    const LOCK: Waits = Waits {
        for_a_lock: true,
        ..NOBODY
    };

    #[test]
    fn what_others_run_is_lost_and_what_the_machine_s_own_cpus_take_from_each_other_is_not() {
        let lost = |threads: &[Times], host| lacked(threads, host, OF).as_millis();
        // One of fifty that want one CPU; asleep most of the time; asleep.
        assert_eq!(lost(&[ms(40, 1960)], 2), 1960);
        assert_eq!(lost(&[ms(20, 100)], 2), 100);
        assert_eq!(lost(&[ms(0, 0)], 2), 0);
        // Eight that spin on two, alone and beside as many others.
        assert_eq!(lost(&[ms(500, 1500); 8], 2), 0);
        assert_eq!(lost(&[ms(250, 1750); 8], 2), 1000);
        // Eight on a host for all of them, half of which is somebody else's.
        assert_eq!(lost(&[ms(1000, 1000); 8], 16), 1000);
        assert_eq!(lacked(&[ms(0, 0)], 2, Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn a_core_that_stood_in_the_queue_is_starved_and_one_that_slept_is_not() {
        let rest = [ms(500, 1500); 3];
        let with = |own| judge(&[&[own], &rest[..]].concat(), 0, NOBODY, OF);
        let found = with(ms(3, 1990)).unwrap();
        assert_eq!((found.cpu, found.ran_ms, found.queued_ms), (0, 3, 1990));
        // An emulator that holds an instruction up sleeps.
        assert_eq!(with(ms(0, 5)), None);
        // It had its turns, if short ones as on a busy host, and still did not get on.
        assert_eq!(with(ms(15, 1300)), None);
        let turns = Times {
            turns: 3,
            ..ms(3, 1990)
        };
        assert_eq!(with(turns), None);
    }

    #[test]
    fn a_late_sample_of_a_core_that_was_not_run_is_not_late() {
        let ms_ = Duration::from_millis;
        let late = |own, other, all, took, ran| {
            let (took, of) = (ms_(took), ms_(took + 90));
            judge_late(&[own, other], 0, ms_(ran), all, (took, of)).map(|s| s.cpu)
        };
        let (idle, queued) = (ms(3, 0), ms(10, 30));
        assert_eq!(late(queued, idle, false, 50, 0), Some(0));
        assert_eq!(
            late(queued, idle, false, 70, 0),
            None,
            "it explains less than half"
        );
        assert_eq!(late(queued, idle, false, 50, 9), None, "it ran meanwhile");
        assert_eq!(
            late(queued, idle, true, 50, 9),
            None,
            "and they are no crowd"
        );
        let crowd = ms(10, 900);
        assert_eq!(late(crowd, crowd, true, 900, 9), Some(0));
        assert_eq!(late(crowd, crowd, false, 900, 9), None);
        assert_eq!(late(idle, queued, false, 50, 0), None);
        assert_eq!(late(idle, queued, true, 50, 0), Some(1));
        assert_eq!(
            late(idle, idle, true, 50, 0),
            None,
            "held up by something else"
        );
    }

    #[test]
    fn a_broadcast_waits_for_every_core() {
        let mut times = [ms(2, 10), ms(500, 1400), ms(1, 1900), ms(500, 1400)];
        assert_eq!(judge(&times, 0, EACH, OF).map(|s| s.cpu), Some(2));
        assert_eq!(judge(&times, 0, NOBODY, OF), None);
        times[2] = ms(0, 0);
        assert_eq!(judge(&times, 0, EACH, OF), None, "asleep");
        // Nobody gets on where a hundred want to run on one core.
        let many = [&[ms(0, 3)], &[ms(30, 1960); 127][..]].concat();
        assert!(judge(&many, 0, EACH, OF).is_some());
        assert_eq!(judge(&many, 0, NOBODY, OF), None);
        // Eight that spin on two are not a crowd.
        let few = [&[ms(0, 3)], &[ms(500, 1500); 7][..]].concat();
        assert_eq!(judge(&few, 0, EACH, OF), None);
    }
    #[test]
    fn a_lock_that_goes_round_a_crowd_is_waited_for_and_no_block() {
        // Each sleeps but for its turn, which comes once in many seconds.
        let round = [&[ms(0, 0)], &[ms(0, 40); 127][..]].concat();
        let found = judge(&round, 0, LOCK, OF).unwrap();
        assert_eq!((found.cpu, found.all), (0, true));
        assert_eq!(
            (found.ran_ms, found.queued_ms, found.of_ms),
            (0, 5080, 2000)
        );
        // Of a broadcast too; but one that sleeps by itself is held up.
        let both = Waits {
            for_each: true,
            ..LOCK
        };
        assert!(judge(&round, 0, both, OF).is_some_and(|found| found.all));
        assert_eq!(judge(&round, 0, EACH, OF), None);
        assert_eq!(judge(&round, 0, NOBODY, OF), None);
        // Nobody stands in the queue: the lock itself is not let go.
        assert_eq!(judge(&[ms(0, 0); 128], 0, LOCK, OF), None);
        assert_eq!(judge(&[ms(0, 7); 128], 0, LOCK, OF), None);
        // Those that spin are no such round, however many, and a lock is not why.
        let spin = [&[ms(0, 3)], &[ms(30, 1960); 127][..]].concat();
        assert_eq!(judge(&spin, 0, LOCK, OF), None);
        // Others get on.
        let few = [&[ms(0, 0)], &[ms(500, 1400); 7][..]].concat();
        assert_eq!(judge(&few, 0, LOCK, OF), None);
        // A sample that was late in the same way was not.
        let late = |times: &[Times], all| judge_late(times, 0, Duration::ZERO, all, (OF, OF));
        assert!(late(&round, true).is_some_and(|found| found.all));
        assert_eq!(late(&round, false), None);
        assert_eq!(late(&[ms(0, 7); 128], true), None);
    }
}
