//! What an initiator does for a case: prepares the lines, runs the timed
//! blocks or the routine, keeps the histogram, checks what it must find.
//! Interrupts are masked throughout; nothing is printed, locked or allocated.

#![expect(unsafe_code, reason = "buffers under test are raw memory")]

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use spin::Once;
use stalecore_model::{
    glossary::{LineState, Subject},
    histogram::Histogram,
    record::Depth,
};

use crate::{
    arch,
    core_local::Core,
    fabric,
    mark::{self, Phase, Site},
    memory::EXECUTE_OFFSET,
    probe::{self, Block, Counter, DEPTHS, Probe},
    recorder,
    routines::{self, Area, PAGE},
    stuck,
};

/// Bytes of data, and of code, that each initiator works on.
pub const BUFFER_SIZE: usize = 64 * 1024;
/// Lines that are prepared together.
const PASS: usize = 64;
/// Samples that are discarded at the beginning of each class.
const WARM_UP: usize = 4;
/// Repeats of each depth of the sweep; the median of them is kept.
const SWEEP_REPEATS: usize = 9;
/// How late the self-test is that must be found slow: far above any operation.
const SLOW_MICROSECONDS: u64 = 200;

/// The conductor's order: plain words, so that no lock is needed.
pub struct Job {
    subject: AtomicU8,
    line: AtomicU8,
    samples: AtomicU32,
    counter: AtomicU8,
    batch: AtomicU32,
    sweep: AtomicBool,
    stepped: AtomicBool,
    stale: AtomicU32,
    gate: AtomicBool,
}

/// A [`Job`], taken out.
#[derive(Clone, Copy)]
pub struct Order {
    /// What runs.
    pub subject: Subject,
    /// What the caches hold.
    pub line: LineState,
    /// Samples per class.
    pub samples: u32,
    /// What times them.
    pub counter: Counter,
    /// Operations per timed block: 1, or 16 for a coarse counter.
    pub batch: u32,
    /// Run the depth sweep.
    pub sweep: bool,
    /// Run a routine once step by step first, so that the mark knows where.
    pub stepped: bool,
    /// How many cores are stale, for the self-test that is late if any are.
    pub stale: u32,
    /// Open the gate of the cores in flight as the samples begin.
    pub gate: bool,
}

impl Job {
    /// No order yet.
    pub const fn new() -> Self {
        Self {
            subject: AtomicU8::new(0),
            line: AtomicU8::new(0),
            samples: AtomicU32::new(0),
            counter: AtomicU8::new(0),
            batch: AtomicU32::new(1),
            sweep: AtomicBool::new(false),
            stepped: AtomicBool::new(false),
            stale: AtomicU32::new(0),
            gate: AtomicBool::new(false),
        }
    }

    /// Writes an order, before the initiator is asked.
    pub fn put(&self, order: Order) {
        self.subject.store(order.subject as u8, Ordering::Relaxed);
        self.line.store(order.line as u8, Ordering::Relaxed);
        self.samples.store(order.samples, Ordering::Relaxed);
        self.counter.store(order.counter as u8, Ordering::Relaxed);
        self.batch.store(order.batch, Ordering::Relaxed);
        self.sweep.store(order.sweep, Ordering::Relaxed);
        self.stepped.store(order.stepped, Ordering::Relaxed);
        self.stale.store(order.stale, Ordering::Relaxed);
        self.gate.store(order.gate, Ordering::Relaxed);
    }

    fn get(&self) -> Option<Order> {
        Some(Order {
            subject: *Subject::ALL.get(usize::from(self.subject.load(Ordering::Relaxed)))?,
            line: *LineState::ALL.get(usize::from(self.line.load(Ordering::Relaxed)))?,
            samples: self.samples.load(Ordering::Relaxed),
            counter: if self.counter.load(Ordering::Relaxed) == Counter::Pmccntr as u8 {
                Counter::Pmccntr
            } else {
                Counter::Cntvct
            },
            batch: self.batch.load(Ordering::Relaxed),
            sweep: self.sweep.load(Ordering::Relaxed),
            stepped: self.stepped.load(Ordering::Relaxed),
            stale: self.stale.load(Ordering::Relaxed),
            gate: self.gate.load(Ordering::Relaxed),
        })
    }
}

/// What came of an order.
pub struct Results {
    /// Issue class.
    pub issue: Histogram,
    /// Complete class.
    pub complete: Histogram,
    /// The depth sweep, `depths` of it valid.
    pub sweep: [Depth; DEPTHS.len()],
    /// How many depths were run.
    pub depths: usize,
    /// ESR, FAR and ELR of a fault that ended it.
    pub fault: Option<[u64; 3]>,
    /// What a routine returned, if not 0.
    pub returned: i64,
    /// The step-by-step pass saw no operation: in this routine a mark would not
    /// say where a block is.
    pub unseen: bool,
    /// The functional check: what the code had to return, and what it did.
    pub stale_code: Option<(u16, u16)>,
}

impl Results {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            issue: Histogram::new(),
            complete: Histogram::new(),
            sweep: [Depth {
                depth: 0,
                issue: 0,
                barrier: 0,
            }; DEPTHS.len()],
            depths: 0,
            fault: None,
            returned: 0,
            unseen: false,
            stale_code: None,
        }
    }

    fn clear(&mut self) {
        self.issue.clear();
        self.complete.clear();
        self.depths = 0;
        self.fault = None;
        self.returned = 0;
        self.unseen = false;
        self.stale_code = None;
    }
}

/// The initiators' areas, by CPU number, and the machine's line sizes.
pub struct Areas {
    /// CPU and its area.
    pub of: alloc::vec::Vec<(usize, Area)>,
    /// Smallest data line, in bytes.
    pub data_line: usize,
    /// Smallest instruction line, in bytes.
    pub instruction_line: usize,
    generation: AtomicU32,
}

/// Set once, when all cores have said what their lines are.
pub static AREAS: Once<Areas> = Once::new();

impl Areas {
    /// Areas whose code is of generation 0.
    pub const fn new(
        of: alloc::vec::Vec<(usize, Area)>,
        data_line: usize,
        instruction_line: usize,
    ) -> Self {
        Self {
            of,
            data_line,
            instruction_line,
            generation: AtomicU32::new(0),
        }
    }

    /// The generation of the code that was written last.
    pub fn newest(&self) -> u16 {
        self.generation.load(Ordering::Acquire) as u16
    }

    fn area(&self, cpu: usize) -> Option<&Area> {
        self.of
            .iter()
            .find(|(c, _)| *c == cpu)
            .map(|(_, area)| area)
    }

    /// Lines of an area, counted in the larger of the two sizes, so that no
    /// two share one.
    const fn line(&self) -> usize {
        if self.data_line > self.instruction_line {
            self.data_line
        } else {
            self.instruction_line
        }
    }
}

/// Fills an area: a function in each line of code, a kexec list, zeros.
///
/// # Safety
/// The area must be mapped and used by nobody else.
pub unsafe fn fill(area: &Area) {
    for at in (0..area.size).step_by(64) {
        // SAFETY: within the area's code, through its writable view.
        unsafe { routines::write_function(area.code_writable + at, 0) }
    }
    // SAFETY: the caller vouches for the area.
    unsafe { routines::build_list(area) }
}

/// Touches every initiator's lines as the line state asks, on a core that is
/// about to get stuck.
pub fn touch(core: &Core, line: LineState, nth: usize, of: usize) {
    let Some(areas) = AREAS.get() else { return };
    for (_, area) in &areas.of {
        for (index, at) in (0..BUFFER_SIZE).step_by(areas.line()).enumerate() {
            match line {
                LineState::DirtyThere if index % of.max(1) == nth => {
                    dirty(area.data + at);
                    dirty(area.code_writable + at);
                }
                LineState::Shared => {
                    read(area.data + at);
                    read(area.code_writable + at);
                }
                LineState::ExecutedThere => {
                    // SAFETY: `fill` put a function into each line.
                    unsafe { routines::call_function(area.code + at) };
                }
                _ => {}
            }
        }
    }
    core.breathe();
}

/// Modifies a line without changing what is in it.
fn dirty(address: usize) {
    let address = address as *mut u64;
    // SAFETY: within an initiator's buffer, which is mapped and writable; of
    // two cores each has its own lines.
    let value = unsafe { address.read_volatile() };
    // SAFETY: as above.
    unsafe { address.write_volatile(value) }
}

fn read(address: usize) {
    // SAFETY: within an initiator's buffer, which is mapped.
    let _ = unsafe { (address as *const u64).read_volatile() };
}

/// Runs the order of this core, noting what it does on its mark.
pub fn measure(core: &Core) {
    let (Some(areas), Some(order), Some(results)) =
        (AREAS.get(), core.job.get(), core.results.get())
    else {
        return;
    };
    let Some(area) = areas.area(core.index) else {
        return;
    };
    let mut results = results.lock();
    results.clear();
    core.take_fault();
    core.given_up.store(false, Ordering::Relaxed);
    let run = Measurement {
        core,
        areas,
        area,
        order,
    };
    match (order.subject, probe::of(order.subject)) {
        (Subject::SelftestHang, _) => run.hang(),
        (Subject::SelftestSlow, _) => run.slow(&mut results),
        (_, Some(probe)) => run.operation(probe, &mut results),
        (_, None) => run.routine(&mut results),
    }
    results.fault = core.take_fault();
}

struct Measurement<'a> {
    core: &'a Core,
    areas: &'a Areas,
    area: &'a Area,
    order: Order,
}

impl Measurement<'_> {
    fn before(&self, phase: Phase, address: usize) {
        self.core
            .mark
            .0
            .before(Site::of(self.order.subject, phase), address);
        recorder::follow(self.core);
    }

    /// Is the rest of the order to be left undone: an operation has faulted,
    /// or was given up?
    fn over(&self) -> bool {
        self.core.fault.0.taken.load(Ordering::Relaxed)
            || self.core.given_up.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        match self.order.counter {
            Counter::Pmccntr => arch::pmccntr(),
            Counter::Cntvct => arch::cntvct(),
        }
    }

    /// Does the operation work on code rather than on data?
    const fn on_code(&self) -> bool {
        matches!(
            self.order.subject,
            Subject::IcIvau | Subject::DcCvau | Subject::DsbIsh | Subject::DsbSy
        )
    }

    /// How many different lines or pages there are to operate on.
    const fn lines(&self) -> usize {
        match self.order.subject {
            Subject::TlbiVaae1is => BUFFER_SIZE / PAGE,
            _ => BUFFER_SIZE / self.areas.line(),
        }
    }

    /// The operand for line `index`.
    const fn operand(&self, index: usize) -> usize {
        let index = index % self.lines();
        match self.order.subject {
            Subject::SelftestFault => self.core.unmapped,
            // The operand is a page number.
            Subject::TlbiVaae1is => self.area.data / PAGE + index,
            _ if self.on_code() => self.area.code + index * self.areas.line(),
            _ => self.area.data + index * self.areas.line(),
        }
    }

    /// Brings lines `[from, to)` into the line state, as far as the initiator
    /// can: what stale cores do was done before they got stuck.
    fn prepare(&self, from: usize, to: usize) {
        if !self.order.subject.takes_line() || self.order.subject == Subject::TlbiVaae1is {
            return;
        }
        let base = if self.on_code() {
            self.area.code_writable
        } else {
            self.area.data
        };
        let lines = (from..to).map(|i| base + (i % self.lines()) * self.areas.line());
        self.before(
            Phase::Prepare,
            base + (from % self.lines()) * self.areas.line(),
        );
        match self.order.line {
            LineState::Cold => {
                for line in lines {
                    // SAFETY: within this initiator's own, mapped buffer.
                    unsafe { arch::dc_civac(line) }
                }
                arch::dsb_sy();
            }
            LineState::DirtyHere => lines.for_each(dirty),
            LineState::Shared => lines.for_each(read),
            LineState::DirtyThere | LineState::ExecutedThere => {}
        }
        self.core.mark.0.after();
    }

    fn operation(&self, probe: &Probe, results: &mut Results) {
        let counter = self.order.counter as usize;
        let half = self.lines() / 2;
        // A line that a stale core touched is in that state once: each class
        // has its own half of them.
        let limit = if self.order.line.needs_stale_core() {
            half
        } else {
            usize::MAX
        };
        let samples = (self.order.samples as usize).min(limit);
        if self.order.gate {
            stuck::open_gate();
        }
        let batched = probe.depth.as_ref().filter(|_| self.order.batch > 1);
        let depth_16 = batched.map(|depth| depth[counter][4] as usize);
        self.watch(&[depth_16.unwrap_or(probe.issue[counter] as usize)]);
        self.class(
            Phase::Issue,
            samples,
            0,
            &mut results.issue,
            |operand| match batched {
                Some(depth) => depth[counter][4](operand, self.stride()).0,
                None => (probe.issue[counter])(operand),
            },
        );
        if let Some(complete) = &probe.complete {
            let complete: Block = complete[counter];
            self.watch(&[depth_16.unwrap_or(complete as usize)]);
            self.class(
                Phase::Complete,
                samples,
                half,
                &mut results.complete,
                |operand| match batched {
                    Some(depth) => {
                        let (issue, barrier) = depth[counter][4](operand, self.stride());
                        issue + barrier
                    }
                    None => complete(operand),
                },
            );
        }
        if self.order.sweep && !self.over() {
            self.sweep(probe, results);
        }
    }

    const fn stride(&self) -> usize {
        match self.order.subject {
            Subject::TlbiVaae1is => 1,
            _ => self.areas.line(),
        }
    }

    /// A class begins: counts what returns from here, and lets EL2 see the
    /// barriers of what is about to run, if there is a fabric.
    fn watch(&self, functions: &[usize]) {
        self.core.mark.0.begin();
        fabric::watch_barriers(functions.iter().copied());
    }

    /// One class of samples, on lines from `first` on.
    fn class(
        &self,
        phase: Phase,
        samples: usize,
        first: usize,
        histogram: &mut Histogram,
        block: impl Fn(usize) -> u64,
    ) {
        // A batch takes as many lines; leave room for them behind the last.
        let room = self.order.batch as usize;
        let warm_up = if self.order.line.needs_stale_core() {
            0
        } else {
            WARM_UP
        };
        let mut taken = 0;
        while taken < warm_up + samples && !self.over() {
            let pass = (warm_up + samples - taken).min(PASS).min(self.lines() / 2);
            self.prepare(first, first + pass + room);
            for index in 0..pass {
                let at = if self.order.line.needs_stale_core() {
                    first + taken + index
                } else {
                    first + index
                };
                let operand = self.operand(at);
                self.before(phase, operand);
                let ticks = block(operand);
                self.core.mark.0.after();
                if self.over() {
                    return;
                }
                if taken + index >= warm_up {
                    histogram.add(ticks);
                }
            }
            taken += pass;
        }
    }

    fn sweep(&self, probe: &Probe, results: &mut Results) {
        let Some(depths) = &probe.depth else { return };
        for (nth, depth) in DEPTHS.iter().enumerate() {
            let block = depths[self.order.counter as usize][nth];
            self.watch(&[block as usize]);
            // TLBI by address runs over page numbers, of which any are fine.
            let mut issue = [0; SWEEP_REPEATS];
            let mut barrier = [0; SWEEP_REPEATS];
            for repeat in 0..SWEEP_REPEATS {
                self.prepare(0, *depth as usize);
                let operand = self.operand(0);
                self.before(Phase::Depth, operand);
                let ticks = block(operand, self.stride());
                self.core.mark.0.after();
                (issue[repeat], barrier[repeat]) = ticks;
            }
            issue.sort_unstable();
            barrier.sort_unstable();
            results.sweep[nth] = Depth {
                depth: *depth,
                issue: issue[SWEEP_REPEATS / 2],
                barrier: barrier[SWEEP_REPEATS / 2],
            };
            results.depths = nth + 1;
        }
    }

    fn routine(&self, results: &mut Results) {
        let subject = self.order.subject;
        // A line that stale cores touched is there once, so one call is timed.
        let once = self.order.line.needs_stale_core();
        let samples = if once { 1 } else { self.order.samples as usize };
        let mut area = *self.area;
        area.size = PAGE;
        let start = if matches!(
            subject,
            Subject::FlushDcacheArea | Subject::DcacheCleanInvalPoc
        ) {
            area.data
        } else {
            area.code
        };
        self.watch(&routines::leaves(subject));
        // With a fabric EL2 sees each instruction, and debug exceptions are
        // its own.
        if self.order.stepped && !once && !fabric::is_on() {
            self.prepare_area(&area);
            self.before(Phase::Routine, start);
            arch::set_stepping(true);
            arch::debug_open();
            let returned = routines::run(subject, &area);
            arch::set_stepping(false);
            arch::debug_mask();
            self.core.mark.0.after();
            results.returned = returned;
            // Where both IDC and DIC are set nothing is left but a barrier for
            // stores.
            let site = mark::read(self.core).site;
            results.unseen = subject != Subject::FlushIcacheRangeIdcDic
                && site.is_none_or(|site| site.phase != Phase::Step);
        }
        if self.order.gate {
            stuck::open_gate();
        }
        for _ in 0..samples {
            if results.returned != 0 || self.over() {
                return;
            }
            self.prepare_area(&area);
            let expected = self.write_next(&area);
            self.before(Phase::Routine, start);
            let from = self.now();
            let returned = routines::run(subject, &area);
            let ticks = self.now().wrapping_sub(from);
            self.core.mark.0.after();
            results.returned = returned;
            if returned == 0 && !self.over() {
                results.complete.add(ticks);
                self.check(&area, expected, results);
            }
        }
    }

    fn prepare_area(&self, area: &Area) {
        self.before(Phase::Prepare, area.data);
        for at in (0..area.size).step_by(self.areas.line()) {
            match self.order.line {
                LineState::Cold => {
                    // SAFETY: within this initiator's own, mapped buffers.
                    unsafe { arch::dc_civac(area.data + at) }
                    // SAFETY: as above.
                    unsafe { arch::dc_civac(area.code_writable + at) }
                }
                LineState::DirtyHere => {
                    dirty(area.data + at);
                    dirty(area.code_writable + at);
                }
                LineState::Shared => {
                    read(area.data + at);
                    read(area.code_writable + at);
                }
                LineState::DirtyThere | LineState::ExecutedThere => {}
            }
        }
        arch::dsb_sy();
        self.core.mark.0.after();
    }

    /// Writes a new generation of code, for routines that make it visible.
    fn write_next(&self, area: &Area) -> Option<u16> {
        if !routines::makes_code_visible(self.order.subject) {
            return None;
        }
        let generation = self
            .areas
            .generation
            .fetch_add(1, Ordering::AcqRel)
            .wrapping_add(1) as u16;
        // SAFETY: the first line of this initiator's code, through its
        // writable view.
        unsafe { routines::write_function(area.code_writable, generation) }
        Some(generation)
    }

    /// Executes the code just written; anything older is incoherent.
    fn check(&self, area: &Area, expected: Option<u16>, results: &mut Results) {
        let Some(expected) = expected else { return };
        let code = match self.order.subject {
            // A copy that was made before: what a flush without effect leaves.
            Subject::SelftestStale => area.code + BUFFER_SIZE / 2,
            _ => area.code,
        };
        self.before(Phase::Check, code);
        // SAFETY: `fill` or `write_next` put a function there.
        let seen = unsafe { routines::call_function(code) };
        self.core.mark.0.after();
        if seen != expected {
            results.stale_code = Some((expected, seen));
        }
    }

    fn hang(&self) {
        let site = Site {
            offset: routines::hang_offset(),
            ..Site::of(Subject::SelftestHang, Phase::Step)
        };
        self.core.mark.0.begin();
        self.core.mark.0.before(site, self.area.data);
        recorder::follow(self.core);
        routines::run(Subject::SelftestHang, self.area);
        self.core.mark.0.after();
    }

    /// Is late if cores are stale, so that `slowed` can be proved anywhere.
    fn slow(&self, results: &mut Results) {
        for _ in 0..self.order.samples {
            self.before(Phase::Routine, self.area.data);
            let from = self.now();
            if self.order.stale > 0 {
                let wait = arch::cntfrq_el0() * SLOW_MICROSECONDS / 1_000_000;
                let start = arch::cntvct();
                while arch::cntvct().wrapping_sub(start) < wait {}
            }
            let ticks = self.now().wrapping_sub(from);
            self.core.mark.0.after();
            results.complete.add(ticks);
        }
    }
}

/// Executes the newest code of every initiator, on a core that was stale;
/// (expected, seen) if it is older.
pub fn check_newest(areas: &Areas, newest: u16, cpu: usize) -> Option<u16> {
    let area = areas.area(cpu)?;
    arch::isb();
    // SAFETY: the first line of an initiator's code always holds a function.
    let seen = unsafe { routines::call_function(area.code) };
    (seen != newest).then_some(seen)
}

/// The executable view of a buffer at `address`.
pub const fn executable(address: usize) -> usize {
    address + EXECUTE_OFFSET
}
