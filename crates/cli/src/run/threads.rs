//! Did the host run the emulated CPUs? A core whose thread stood in the host's run
//! queue was not held up by any operation, whatever its mark says. One whose thread
//! slept was: an emulator that holds up an instruction sleeps. The same for a single
//! sample that was late.
//!
//! For each thread the kernel tells how long it has run and how long it was ready but
//! did not run: the first two fields of `/proc/PID/task/TID/schedstat`
//! (Documentation/scheduler/sched-stats.rst, `CONFIG_SCHED_INFO`). The second grows only
//! when a wait is over; a wait that still lasts is known by the thread's state, `R` in
//! `/proc/PID/task/TID/stat`, while the first does not grow. One that was stopped (Ctrl-Z,
//! SIGSTOP, a debugger), `T` or `t`, does not run either, and nobody counts for how long.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use stalecore_model::{
    glossary::StaleState,
    record::{Block, Late, Starved},
};

/// How often the threads of few CPUs are looked at, and what each CPU adds: a look at
/// one takes some microseconds, and all looks should take less than a hundredth of the
/// time.
const EVERY: Duration = Duration::from_millis(40);
const EVERY_CPU: Duration = Duration::from_millis(1);

/// As far back as a block may reach, or a sample of a group that is told of when all of it
/// is over.
const KEPT: Duration = Duration::from_secs(600);

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

/// The name of the one that runs all CPUs in turn.
const ALL: &str = "ALL CPUs/TCG";

/// How long a thread has run and waited.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
struct Times {
    ran: Duration,
    queued: Duration,
    turns: u64,
}

/// What one look at a thread shows: its times since it began, and whether it runs or
/// the host keeps it from that.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Look {
    times: Times,
    ready: bool,
}

impl Look {
    fn at(thread: &Path) -> Option<Self> {
        let read = |file| fs::read_to_string(thread.join(file)).ok();
        Some(Self {
            times: Times::read(&read("schedstat")?)?,
            ready: is_ready(&read("stat")?),
        })
    }

    /// How long it ran and waited between this look and the next, `of` later.
    fn until(self, next: Self, of: Duration) -> Times {
        let ran = next.times.ran.saturating_sub(self.times.ran).min(of);
        let queued = match self.ready && next.ready {
            true => of - ran,
            false => next
                .times
                .queued
                .saturating_sub(self.times.queued)
                .min(of - ran),
        };
        let turns = next.times.turns.saturating_sub(self.times.turns);
        Times { ran, queued, turns }
    }
}

/// Would it go on if the host let it: is the state `R`, or that of one that was stopped? It
/// stands behind the name, which may hold anything.
fn is_ready(stat: &str) -> bool {
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|state| state.starts_with(['R', 'T', 't']))
}

impl Times {
    /// Reads `472286757 526060529 117`: nanoseconds, nanoseconds, turns.
    fn read(text: &str) -> Option<Self> {
        let mut fields = text.split_ascii_whitespace();
        let mut next = || fields.next()?.parse::<u64>().ok();
        Some(Self {
            ran: Duration::from_nanos(next()?),
            queued: Duration::from_nanos(next()?),
            turns: next()?,
        })
    }

    fn and(self, more: Self) -> Self {
        Self {
            ran: self.ran + more.ran,
            queued: self.queued + more.queued,
            turns: self.turns + more.turns,
        }
    }
}

/// The threads of a machine's CPUs, looked at again and again.
pub struct Threads {
    tasks: PathBuf,
    /// A thread's directory, by CPU.
    of: Vec<Option<PathBuf>>,
    /// Must a CPU wait for all others where it broadcasts a TLBI?
    together: bool,
    /// Does one thread run all of them?
    one: bool,
    /// How many CPUs the host has for them.
    host: u32,
    looks: VecDeque<(Instant, Vec<Look>)>,
    /// The emulator's first thread, which makes the machine before any CPU runs.
    first: PathBuf,
    looked: Option<(Instant, Look)>,
    lacked: Duration,
}

impl Threads {
    /// Those of the emulator with that process number.
    pub fn new(process: u32, cpus: usize) -> Self {
        Self::within(format!("/proc/{process}/task").into(), process, cpus)
    }

    /// Those with a directory in `tasks`, of which one is the first.
    pub fn within(tasks: PathBuf, first: u32, cpus: usize) -> Self {
        Self {
            first: tasks.join(first.to_string()),
            looked: None,
            tasks,
            of: vec![None; cpus],
            together: false,
            one: false,
            // That is what a quota or a mask leaves of them.
            host: thread::available_parallelism().map_or(1, |n| n.get() as u32),
            looks: VecDeque::new(),
            lacked: Duration::ZERO,
        }
    }

    /// How much of the time so far the machine has lost to what else the host runs. That
    /// its own CPUs are more than the host's does not count.
    pub const fn lacked(&self) -> Duration {
        self.lacked
    }

    /// Looks at them, if it is time for that.
    pub fn look(&mut self) {
        let cpus = u32::try_from(self.of.len()).unwrap_or(u32::MAX);
        let last = self.looks.back().map(|(at, _)| at.elapsed());
        if last.is_none_or(|ago| ago >= EVERY + EVERY_CPU * cpus) {
            self.look_now();
        }
    }

    fn look_now(&mut self) {
        if self.of.iter().any(Option::is_none) {
            self.find();
        }
        let now = Instant::now();
        let look = |thread: &Option<PathBuf>| Look::at(thread.as_ref()?);
        let all: Option<Vec<Look>> = self.of.iter().map(look).collect();
        self.count_lacked(now, all.as_deref());
        let Some(all) = all else { return };
        self.looks.push_back((now, all));
        while self.looks.front().is_some_and(|(at, _)| now - *at > KEPT) {
            self.looks.pop_front();
        }
    }

    /// Adds what the machine has lost since the last look, of which these are the CPUs'.
    fn count_lacked(&mut self, now: Instant, all: Option<&[Look]>) {
        let Some(first) = Look::at(&self.first) else {
            return;
        };
        if let Some((at, before)) = self.looked.replace((now, first)) {
            let of = now - at;
            let mut times = vec![before.until(first, of)];
            let known = self.looks.back().filter(|(then, _)| *then == at);
            if let (Some((_, then)), Some(all)) = (known, all) {
                let threads = if self.one { 1 } else { all.len() };
                let cpus = then.iter().zip(all).take(threads);
                times.extend(cpus.map(|(then, next)| then.until(*next, of)));
            }
            self.lacked += lacked(&times, self.host, of);
        }
    }

    /// QEMU names them `CPU 3/TCG` and `CPU 3/KVM`, where it was asked for names, and one
    /// that runs all `ALL CPUs/TCG`.
    fn find(&mut self) {
        let tasks = fs::read_dir(&self.tasks).into_iter().flatten().flatten();
        for task in tasks {
            let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            if name.trim_end() == ALL {
                self.of.fill(Some(task.path()));
                self.one = true;
            }
            let Some((cpu, kind)) = number(&name) else {
                continue;
            };
            if let Some(slot) = self.of.get_mut(cpu) {
                *slot = Some(task.path());
                self.together = kind == "TCG";
            }
        }
    }

    /// If a mark has stood still because the host did not run a core: that core. None
    /// where the kernel tells nothing about threads.
    pub fn starved(&mut self, held: &HeldUp) -> Option<Starved> {
        self.look_now();
        let (now, _) = self.looks.back()?;
        // Only looks within that time: what a core ran before must not count.
        let before = |(at, _): &(Instant, Vec<Look>)| *now - *at > held.waited;
        let first = self.looks.partition_point(before);
        let of = *now - self.looks.get(first)?.0;
        if of < held.waited / 2 {
            return None;
        }
        let times = self.times(first, self.looks.len() - 1);
        // An emulator has every core take part in a TLBI that is broadcast.
        let all = self.together && held.broadcast;
        judge(&times, held.initiator, all, of)
    }

    /// What came between two looks, by CPU.
    fn times(&self, first: usize, last: usize) -> Vec<Times> {
        let mut times = vec![Times::default(); self.of.len()];
        let looks = self.looks.range(first..=last);
        for ((from, then), (to, next)) in looks.clone().zip(looks.skip(1)) {
            for (sum, (then, next)) in times.iter_mut().zip(then.iter().zip(next)) {
                *sum = sum.and(then.until(*next, *to - *from));
            }
        }
        times
    }

    /// If a sample was late because the host did not run a core: that core. Of `took`, it
    /// is told now.
    pub fn not_run(&mut self, late: &Late, took: Duration) -> Option<Starved> {
        self.look_now();
        let (now, _) = self.looks.back()?;
        let end = now.checked_sub(Duration::from_millis(late.ago_ms))?;
        let begin = end.checked_sub(took)?;
        let until = |at: Instant| self.looks.partition_point(|(look, _)| *look < at);
        // From the last look before it to the first one behind it; and those within it.
        let first = until(begin).checked_sub(1)?;
        let last = until(end).min(self.looks.len() - 1);
        let within = (until(begin), until(end).saturating_sub(1));
        let ran = match within {
            (first, last) if first < last => self.times(first, last),
            _ => Vec::new(),
        };
        let of = self.looks[last].0 - self.looks[first].0;
        let ran = ran.get(late.cpu as usize).map(|times| times.ran);
        judge_late(
            &self.times(first, last),
            late.cpu as usize,
            ran.unwrap_or_default(),
            self.together,
            (took, of),
        )
    }
}

/// A mark that has stood still.
pub struct HeldUp {
    /// Whose it is.
    pub initiator: usize,
    /// For how long.
    pub waited: Duration,
    /// Is there a TLBI to wait for, its own or another core's?
    pub broadcast: bool,
}

impl HeldUp {
    /// Of a block report, under this stale state.
    pub fn of(block: &Block, state: Option<StaleState>) -> Self {
        Self {
            initiator: block.initiator as usize,
            waited: Duration::from_millis(block.waited_ms),
            broadcast: block.instruction.starts_with("tlbi")
                || state == Some(StaleState::TlbiStorm),
        }
    }
}

/// `CPU 12/TCG` as 12 and `TCG`.
fn number(name: &str) -> Option<(usize, &str)> {
    let (number, kind) = name.trim_end().strip_prefix("CPU ")?.split_once('/')?;
    Some((number.parse().ok()?, kind))
}

/// How much of the time `of` these threads have lost to others: what they were ready to
/// run and did not, as a part of what so many CPUs of the host could have run of it.
fn lacked(threads: &[Times], host: u32, of: Duration) -> Duration {
    let ran: Duration = threads.iter().map(|times| times.ran).sum();
    let queued: Duration = threads.iter().map(|times| times.queued).sum();
    let wanted = (ran + queued).min(of * host);
    let share = wanted.saturating_sub(ran).div_duration_f64(wanted.max(of));
    if of.is_zero() { of } else { of.mul_f64(share) }
}

/// The core that the host did not run, among those that an operation on `initiator`
/// needed: the initiator itself and, if it must wait for `all`, the others.
fn judge(times: &[Times], initiator: usize, all: bool, of: Duration) -> Option<Starved> {
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
fn judge_late(
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
    fn the_kernel_s_figures_and_qemu_s_names() {
        let read = Times::read("472286757 526060529 117\n").unwrap();
        assert_eq!(read.queued, Duration::from_nanos(526_060_529));
        assert_eq!(Times::read("x"), None);
        assert_eq!(number("CPU 12/TCG\n"), Some((12, "TCG")));
        assert_eq!(number("qemu-system-aar\n"), None);
    }

    #[test]
    fn one_thread_may_run_every_cpu() {
        let dir = tempfile::tempdir().unwrap();
        let task = dir.path().join("12");
        fs::create_dir(&task).unwrap();
        fs::write(task.join("comm"), "ALL CPUs/TCG\n").unwrap();
        fs::write(task.join("schedstat"), "1000000 2000000 3\n").unwrap();
        fs::write(task.join("stat"), "12 (ALL CPUs/TCG) R 1 2").unwrap();
        // It sleeps while the CPUs run.
        let first = dir.path().join("11");
        fs::create_dir(&first).unwrap();
        fs::write(first.join("schedstat"), "5000000 2000000 3\n").unwrap();
        fs::write(first.join("stat"), "11 (qemu) S 1 2").unwrap();
        let mut threads = Threads::within(dir.path().into(), 11, 3);
        threads.look_now();
        assert_eq!(threads.of, vec![Some(task.clone()); 3]);
        assert_eq!((threads.looks.len(), threads.lacked()), (1, Duration::ZERO));
        std::thread::sleep(Duration::from_millis(2));
        threads.look_now();
        // It was ready all the time, and did not run: once, not for each CPU.
        let between = threads.looks[1].0 - threads.looks[0].0;
        assert_eq!(threads.lacked(), between);
    }

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
    fn a_wait_that_lasts_is_known_by_the_state() {
        let look = |ran, queued, ready| Look {
            times: ms(ran, queued),
            ready,
        };
        let of = Duration::from_millis(40);
        for (then, next, between) in [
            (look(5, 7, true), look(5, 7, true), ms(0, 40)),
            (look(5, 7, true), look(15, 7, true), ms(10, 30)),
            (look(5, 7, false), look(15, 9, true), ms(10, 2)),
            (look(5, 7, true), look(6, 900, false), ms(1, 39)),
            (look(5, 7, false), look(5, 7, false), ms(0, 0)),
        ] {
            assert_eq!(then.until(next, of), between);
        }
        assert!(is_ready("12 (CPU 0/TCG) R 1 2") && !is_ready("12 (a) R b) S 1"));
        assert!(is_ready("12 (CPU 0/TCG) T 1 2") && is_ready("12 (CPU 0/TCG) t 1 2"));
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
