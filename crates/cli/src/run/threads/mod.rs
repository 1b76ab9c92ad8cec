//! Did the host run the emulated CPUs? A core whose thread stood in the host's run
//! queue was not held up by any operation, whatever its mark says. One whose thread
//! slept was: an emulator that holds up an instruction sleeps. But for a lock that goes
//! round threads which the host hardly runs. The same for a single sample that was late.

mod look;
mod starved;

use std::{
    collections::VecDeque,
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use stalecore_model::{
    glossary::StaleState,
    record::{Block, Late, Starved},
};

use look::{Look, Times, waits_for_another};
use starved::{Waits, judge, judge_late, lacked};

/// How often the threads of few CPUs are looked at, and what each CPU adds: a look at
/// one takes some microseconds, and all looks should take less than a hundredth of the
/// time.
const EVERY: Duration = Duration::from_millis(40);
const EVERY_CPU: Duration = Duration::from_millis(1);

/// As far back as a block may reach, or a sample of a group that is told of when all of it
/// is over: a quarter of an hour where a hundred CPUs have two of a busy host. That is some
/// 70 MB of 128 CPUs.
const KEPT: Duration = Duration::from_secs(1800);

/// The name of the one that runs all CPUs in turn.
const ALL: &str = "ALL CPUs/TCG";

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
        let own = self.of.get(held.initiator).and_then(Option::as_deref);
        let waits = Waits {
            for_each: self.together && held.broadcast,
            for_a_lock: self.together && own.is_some_and(waits_for_another),
        };
        judge(&times, held.initiator, waits, of)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qemu_s_names() {
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
    /// Four CPUs, of which the last is ready all the time and is not run, and the others
    /// sleep: the first, whose mark has stood still, in this function of the kernel's.
    fn asleep(kind: &str, place: &str) -> Option<Starved> {
        let dir = tempfile::tempdir().unwrap();
        for (cpu, state) in ['S', 'S', 'S', 'R'].into_iter().enumerate() {
            let task = dir.path().join(cpu.to_string());
            fs::create_dir(&task).unwrap();
            fs::write(task.join("comm"), format!("CPU {cpu}/{kind}\n")).unwrap();
            fs::write(task.join("schedstat"), "1000000 2000000 3\n").unwrap();
            fs::write(task.join("stat"), format!("{cpu} (CPU) {state} 1 2")).unwrap();
            fs::write(task.join("wchan"), place).unwrap();
        }
        let mut threads = Threads::within(dir.path().into(), 0, 4);
        threads.look_now();
        let second = Duration::from_secs(1);
        threads.looks[0].0 -= second;
        let held = HeldUp {
            initiator: 0,
            waited: second * 3 / 2,
            broadcast: false,
        };
        threads.starved(&held)
    }

    #[test]
    fn who_sleeps_in_a_lock_that_is_hardly_run_is_starved_and_who_sleeps_otherwise_is_not() {
        let found = asleep("TCG", "futex_do_wait").unwrap();
        assert_eq!((found.cpu, found.all, found.ran_ms), (0, true, 0));
        assert!(found.queued_ms >= 1000, "{found:?}");
        assert_eq!(asleep("TCG", "hrtimer_nanosleep"), None);
        assert_eq!(asleep("TCG", "0"), None, "the place is not told");
        assert_eq!(asleep("KVM", "futex_do_wait"), None, "no emulator's lock");
    }
}
