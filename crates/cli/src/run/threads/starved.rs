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
    let ran: Duration = threads.iter().map(|times| times.ran).sum();
    let queued: Duration = threads.iter().map(|times| times.queued).sum();
    let wanted = (ran + queued).min(of * host);
    let share = wanted.saturating_sub(ran).div_duration_f64(wanted.max(of));
    if of.is_zero() { of } else { of.mul_f64(share) }
}

/// The core that the host did not run, among those that an operation on `initiator`
/// needed: the initiator itself and, if it must wait for `all`, the others.
pub fn judge(times: &[Times], initiator: usize, all: bool, of: Duration) -> Option<Starved> {
    let told = |cpu| told(times, cpu, of);
    let own = times.get(initiator)?;
    if own.ran >= ENOUGH {
        return None;
    }
    let starved = |times: &Times| times.ran < ENOUGH && times.queued > of / 2;
    if starved(own) && own.turns <= TURNS {
        return Some(told(initiator));
    }
    let others = all.then_some(0..times.len()).into_iter().flatten();
    let worst = others.max_by_key(|cpu| times[*cpu].queued)?;
    let crowded = are_crowded(times) && times[worst].queued > of / 2;
    (starved(&times[worst]) || crowded).then(|| told(worst))
}

/// See [`CROWDED`].
fn are_crowded(times: &[Times]) -> bool {
    let sum = |of: fn(&Times) -> Duration| times.iter().map(of).sum::<Duration>();
    sum(|t| t.queued) > sum(|t| t.ran) * CROWDED
}

/// The core that the host did not run when a sample was taken, from the looks around it,
/// `of` apart: the initiator or, with `all`, any, as an emulator's cores wait for each
/// other in more than TLBIs. What stood in the queue for half as long as the sample took
/// may be all of why, unless the initiator `ran` within it and they are not crowded.
pub fn judge_late(
    times: &[Times],
    initiator: usize,
    ran: Duration,
    all: bool,
    (took, of): (Duration, Duration),
) -> Option<Starved> {
    if ran >= ENOUGH_WITHIN && !(all && are_crowded(times)) {
        return None;
    }
    let which = (0..times.len()).filter(|cpu| all || *cpu == initiator);
    let worst = which.max_by_key(|cpu| (times[*cpu].queued, *cpu == initiator))?;
    (times[worst].queued * 2 >= took).then(|| told(times, worst, of))
}

/// What is told of a core that was not run.
fn told(times: &[Times], cpu: usize, of: Duration) -> Starved {
    let Times { ran, queued, .. } = times[cpu];
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Starved {
        cpu: u32::try_from(cpu).unwrap_or(u32::MAX),
        queued_ms: ms(queued),
        ran_ms: ms(ran),
        of_ms: ms(of),
    }
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
        let with = |own| judge(&[&[own], &rest[..]].concat(), 0, false, OF);
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
        assert_eq!(judge(&times, 0, true, OF).map(|s| s.cpu), Some(2));
        assert_eq!(judge(&times, 0, false, OF), None);
        times[2] = ms(0, 0);
        assert_eq!(judge(&times, 0, true, OF), None, "asleep");
        // Nobody gets on where a hundred want to run on one core.
        let many = [&[ms(0, 3)], &[ms(30, 1960); 127][..]].concat();
        assert!(judge(&many, 0, true, OF).is_some());
        assert_eq!(judge(&many, 0, false, OF), None);
        // Eight that spin on two are not a crowd.
        let few = [&[ms(0, 3)], &[ms(500, 1500); 7][..]].concat();
        assert_eq!(judge(&few, 0, true, OF), None);
    }
}
