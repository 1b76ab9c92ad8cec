//! The board: from the device tree that firmware left to memory, console,
//! interrupt controller, cores and plan, each set up once.

use alloc::{format, string::String, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering};

use aarch64_cpu::registers::{MPIDR_EL1, Readable};
use spin::{Mutex, Once};
use stalecore_model::{
    cpuset::CpuSet,
    framebuffer::{Choice, Framebuffer},
    options::{Auto, Options, Scenario, Then},
    plan::Plan,
    platform::{Platform, Region, Start, Uart, devicetree, earlycon},
    ramoops::{Log, Ramoops},
    recorder as log,
};
use stalecore_routines::area::PAGE;

use super::acpi;
use crate::{
    cores::{
        job::Job,
        percpu::{self, Core, OwnMemory},
        survey,
    },
    fabric::{self, EL2_STACK},
    hal::{
        arch,
        arena::{Arena, Pages, Uncached},
        boot::Tree,
        clock,
        console::{self, Console},
        controls::MPIDR_AFFINITY,
        exit, gic, layout,
        memory::{Seam, Tables},
        psci, sdei,
    },
    measure::{self, AREA_SIZE, AREAS, Areas, BUFFER_SIZE, Buffers, SEAM_SIZE, code_of},
    report::{self, recorder},
    stuck::{self, FAR_CODE, FAR_SIZE, SCRATCH_SIZE},
};

/// A core's stack of the program, and its stack of exceptions: a few frames and a printed
/// line. What is used of each stack: "Memory" in docs/performance.md.
const STACK: usize = 8 * 1024;
/// The same of an initiator, which measures, and whose watchdog finds the lockup in the
/// scenario `kdump`.
const INITIATOR_STACK: usize = 16 * 1024;
/// The program's stack of a core that describes the machine.
const TALKER_STACK: usize = 128 * 1024;
/// The stack of the core that conducts the run, while it does.
const CONDUCTOR_STACK: usize = 256 * 1024;
/// The largest region of an interconnect's registers that is mapped: more than a mesh can
/// list.
const MAX_WITNESS: u64 = 1 << 32;
/// Everything known and set up.
pub struct Board {
    /// What firmware says.
    pub platform: Platform,
    /// What the user asked for.
    pub options: Options,
    /// What will be done, or why nothing.
    pub plan: Result<Plan, String>,
    /// The core that booted.
    pub boot_cpu: usize,
    /// The exception level of entry.
    pub entry_el: u64,
    buffers: Vec<Buffers>,
    /// The stack for the conductor, until one takes it.
    conductor_stack: Mutex<Option<Pages>>,
    started: AtomicU64,
}

static BOARD: Once<Board> = Once::new();

/// The board, once it is set up.
pub fn get() -> &'static Board {
    BOARD.wait()
}

impl Board {
    /// Reads the description, maps what is needed, opens the console.
    ///
    /// # Errors
    /// One line, printed if there was a console by then.
    pub fn set_up(tree: Option<&'static Tree>, entry_el: u64) -> Result<&'static Self, String> {
        let bytes = tree.ok_or("no device tree")?.bytes();
        clock::set_frequency();
        let tree = devicetree::Tree::new(bytes);
        let bootargs = tree
            .as_ref()
            .map_or_else(|_| String::new(), |tree| tree.bootargs());
        let named = earlycon::console(&bootargs);
        let described = tree.and_then(|tree| tree.platform());
        let described = described.and_then(acpi::complete);
        let mut platform = match (described, &named) {
            (Ok(platform), _) => platform,
            (Err(error), Ok(Some(uart))) => {
                let mut tables = Tables::new(false)?;
                tables.map_device(&uart.registers)?;
                tables.activate();
                open_console(uart);
                return Err(error);
            }
            (Err(error), _) => return Err(error),
        };
        if let Ok(Some(uart)) = &named {
            platform.uart = Some(*uart);
        }
        if entry_el == 3 {
            // The image has taken EL3 over: no firmware is left above it to keep what
            // the description promises.
            platform.psci = None;
            for cpu in &mut platform.cpus {
                cpu.start = Start::Pen;
            }
            platform
                .notes
                .push("entered at EL3: no firmware is left, so there is no PSCI".into());
        }
        let tree = Region {
            base: bytes.as_ptr() as u64,
            size: bytes.len() as u64,
        };
        psci::set_up(&platform);
        stuck::set_power_states(&platform.suspend);
        if platform.sdei && entry_el == 2 {
            sdei::set_up();
        }
        let options = named.and_then(|_| Options::from_bootargs(&platform.bootargs));
        if options.as_ref().is_ok_and(|o| o.semihosting) || says_semihosting(&platform.bootargs) {
            exit::allow_semihosting();
        }
        let then = match &options {
            Ok(options) => options.then,
            Err(_) => Options::end_of(&platform.bootargs),
        };
        if then != Then::Off {
            exit::reset_at_the_end();
        }
        let mut plan = options
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|o| Plan::new(o, platform.cpus.len()));

        let fabric = options.as_ref().ok().and_then(|o| o.fabric);
        if fabric.is_some() && entry_el < 2 {
            plan = Err("fabric: the image was entered at EL1; the fabric needs EL2".into());
        }
        let stage2 = options.as_ref().is_ok_and(|o| o.stage2);
        if stage2 && entry_el < 2 {
            plan = Err("stage2: the image was entered at EL1; stage 2 is EL2's".into());
        }
        let next = platform.kexec.as_ref().and_then(|kexec| kexec.next);
        if then == Then::Kexec && (next.is_none() || fabric.is_some() || platform.psci.is_none()) {
            plan = Err("then: kexec needs a kernel that deploy has loaded, PSCI and no fabric; allowed: off, reset".into());
        }
        let image = Region {
            base: layout::image_start() as u64,
            size: (layout::image_end() - layout::image_start()) as u64,
        };
        if let Some(kexec) = &platform.kexec
            && !kexec.may_use(&image)
        {
            // It has been written there already; nothing more will be.
            plan = Err(kexec.outside(&image));
        }
        let mut tables = Tables::new(fabric.is_some())?;
        tables.map_platform(&platform)?;
        if options.as_ref().is_ok_and(|o| o.dsb.is_some()) {
            tables.map_patches()?;
        }
        let wanted = |o: &Options| o.witness != Auto::Off;
        if !options.as_ref().is_ok_and(wanted) {
            platform.witnesses.clear();
        }
        platform.witnesses.retain(|found| {
            let sound = found.region.size <= MAX_WITNESS && !found.region.overlaps(&image);
            sound && tables.map_device(&found.region).is_ok()
        });
        if let Some(at) = options.as_ref().ok().and_then(|o| o.device_stuck_at) {
            match tables.map_stranger(&platform, at) {
                Ok(()) => stuck::load_from(at),
                Err(why) => plan = Err(why),
            }
        }
        let choice = options.as_ref().map_or(Choice::Auto, |o| o.framebuffer);
        let screen = match framebuffer(choice, &platform, &[image, tree], &mut tables) {
            Ok(screen) => screen,
            Err(why) => {
                match choice {
                    Choice::Auto => platform.notes.push(why),
                    _ => plan = Err(why),
                }
                None
            }
        };
        if let Some((frame, _)) = &screen {
            platform.notes.push(format!("framebuffer: {frame}"));
        }
        let frame = screen.as_ref().map(|(frame, _)| frame.pages());
        let taken: Vec<_> = [image, tree].into_iter().chain(frame).collect();
        let own = MPIDR_EL1.get() & MPIDR_AFFINITY;
        let boot_cpu = platform.cpus.iter().position(|cpu| cpu.mpidr == own);
        let recorder = options
            .as_ref()
            .ok()
            .filter(|o| o.recorder && o.scenario == Scenario::Plan)
            .and_then(|_| log::place(&platform, &taken));
        let uncached = match &recorder {
            Some(region) => Some(Uncached::map(&mut tables, region)?),
            None => None,
        };
        let kept = match options.as_ref().is_ok_and(|o| o.ramoops) {
            true => ramoops(&platform, &tree, &mut tables).map(Some),
            false => Ok(None),
        };
        let kept_at = kept.iter().flatten().map(|(layout, _)| layout.region);
        let taken: Vec<_> = taken.into_iter().chain(recorder).chain(kept_at).collect();
        let built = build(&platform, &plan, boot_cpu, &taken, &mut tables, stage2);
        // From here on, what went wrong can be reported.
        let el2_tables = tables.activate();
        if let Some(uart) = &platform.uart {
            open_console(uart);
        }
        if let Some((frame, memory)) = screen {
            let cached = platform.has_memory_in(&frame.pages());
            report::screen::set_up(frame, memory, cached);
            if then != Then::Kexec {
                exit::stay(report::screen::STAYS_MS);
            }
        }
        let options = options?;
        let Built {
            cores,
            areas,
            far,
            conductor_stack,
            stage2,
            seam: (pages, seam),
        } = built?;
        stage2.into_iter().for_each(fabric::stage2::set_up);
        uncached.into_iter().for_each(recorder::set_up);
        if let Some((layout, memory)) = kept? {
            console::keep(Log::begin(memory.bytes(), &layout, arch::dmb_st)?);
        }
        let buffers = areas.into_iter().map(Buffers::new).collect();
        stuck::set_up_far(far);
        measure::set_up_seam(pages, seam);
        let boot_cpu = boot_cpu.ok_or_else(|| {
            format!(
                "this core's MPIDR {own:#x} is not among the {} described",
                platform.cpus.len()
            )
        })?;
        percpu::set_all(cores);
        percpu::adopt(percpu::core(boot_cpu));
        if let (Some(fabric), Some(ttbr0)) = (&fabric, el2_tables) {
            fabric::set_up(fabric, platform.cpus.len(), ttbr0, &platform.gic);
        }
        gic::init_distributor(&platform.gic, &platform.cpus, entry_el == 3);
        Ok(BOARD.call_once(|| Self {
            platform,
            options,
            plan,
            boot_cpu,
            entry_el,
            buffers,
            conductor_stack: Mutex::new(Some(conductor_stack)),
            started: AtomicU64::new(0),
        }))
    }

    /// Goes on at `boot_core_main`, on the boot core's own stacks.
    pub fn leave_boot_stacks(&'static self, started: u64) -> ! {
        self.started.store(started, Ordering::Relaxed);
        percpu::leave_boot_stacks(self.boot_cpu)
    }

    /// CNTVCT_EL0 at entry.
    pub fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Has this core, which is to conduct the run, continue in `conduct`, on a stack with
    /// room for records. Any core may be the one, as the core that was meant to conduct
    /// may not have come up. Its stack so far is abandoned.
    pub fn conduct(&self, conduct: extern "C" fn() -> !) -> ! {
        let stack = self.conductor_stack.lock().take();
        stack.expect("one core conducts").run(conduct)
    }

    /// Publishes the areas of these initiators, at most as many as in the plan that the
    /// board was set up for, with the smallest line of the cores that are up. Each is
    /// given at most `most` orders at once.
    ///
    /// # Errors
    /// A line is larger than the areas were laid out for.
    pub fn set_up_areas(&self, initiators: &CpuSet, most: usize) -> Result<(), String> {
        let (data_line, instruction_line, differ) = survey::smallest_lines();
        if data_line.max(instruction_line) > BUFFER_SIZE / 128 {
            return Err(format!(
                "cache lines of {data_line} and {instruction_line} bytes are larger than the harness handles"
            ));
        }
        for cpu in initiators.iter() {
            percpu::all()[cpu].job.call_once(|| Job::new(most));
        }
        let areas = initiators
            .iter()
            .zip(self.buffers.iter().copied())
            .collect();
        stuck::interrupt(initiators);
        if let Some(first) = self.buffers.first() {
            stuck::aim_at(first.area.data);
        }
        AREAS.call_once(|| Areas::new(areas, data_line, instruction_line));
        if differ {
            report::note(format!(
                "cores differ in CTR_EL0: lines of {data_line} (data) and {instruction_line} (instruction) bytes are used"
            ));
        }
        Ok(())
    }
}

/// Maps the frame buffer that is drawn in, if any: never cached, so that what is drawn is
/// seen, and whole pages of nothing else.
///
/// # Errors
/// One line: the one that is described, or that was asked for, cannot be drawn in.
fn framebuffer(
    choice: Choice,
    platform: &Platform,
    used: &[Region],
    tables: &mut Tables,
) -> Result<Option<(Framebuffer, Uncached)>, String> {
    // Where a loader has left room for it.
    let recorder = platform.recorder.and_then(|_| log::place(platform, &[]));
    let used = used.iter().copied().chain(platform.kept()).chain(recorder);
    let used: Vec<_> = used.collect();
    let found = choice.of(platform.framebuffer, platform.kexec.is_some(), &used);
    let mapped = found.and_then(|found| match found {
        None => Ok(None),
        Some(frame) => Uncached::map(tables, &frame.pages()).map(|memory| Some((frame, memory))),
    });
    mapped.map_err(|why| format!("framebuffer: {why}"))
}

/// Maps the memory in which Linux keeps its logs, which is to be asked for: something
/// else may be in it.
///
/// # Errors
/// One line: nothing says where it is, or it cannot be used.
fn ramoops(
    platform: &Platform,
    tree: &Region,
    tables: &mut Tables,
) -> Result<(Ramoops, Uncached), String> {
    let layout = match Ramoops::of_bootargs(&platform.bootargs)? {
        Some(layout) => layout,
        None => platform.ramoops.ok_or(
            "ramoops: nothing says where it is; allowed: a node in the device tree, or ramoops.mem_address= and mem_size= as for Linux",
        )?,
    };
    layout.check()?;
    if layout.region.overlaps(tree) {
        return Err("ramoops: the device tree is there".into());
    }
    let memory = Uncached::map(tables, &layout.region).map_err(|why| format!("ramoops: {why}"))?;
    Ok((layout, memory))
}

/// Opens the console on a UART that is mapped.
fn open_console(uart: &Uart) {
    if let Some(console) = Console::new(uart) {
        console::install(console);
    }
}

/// Is semihosting allowed in arguments that are otherwise wrong? Without it the
/// emulator could not be told of the error.
fn says_semihosting(bootargs: &str) -> bool {
    bootargs
        .split_ascii_whitespace()
        .any(|word| word == "stalecore.semihosting=on")
}

/// What memory was taken for.
struct Built {
    cores: Vec<Core>,
    areas: Vec<Pages>,
    far: Pages,
    conductor_stack: Pages,
    stage2: Option<Pages>,
    seam: (Pages, Seam),
}

/// Takes memory for the cores' stacks, the initiators' areas, what is far, and the table
/// of stage 2 if it is asked for.
fn build(
    platform: &Platform,
    plan: &Result<Plan, String>,
    boot_cpu: Option<usize>,
    taken: &[Region],
    tables: &mut Tables,
    stage2: bool,
) -> Result<Built, String> {
    let plan = plan.as_ref().map_err(Clone::clone)?;
    let roles = &plan.roles;
    let with_el2 = tables.has_el2();
    let cpus = platform.cpus.len();
    let guarded = |size: usize| size + PAGE;
    let size = cpus
        * (2 * guarded(STACK) + SCRATCH_SIZE + if with_el2 { guarded(EL2_STACK) } else { 0 })
        + 2 * (guarded(TALKER_STACK) + guarded(INITIATOR_STACK))
        + guarded(CONDUCTOR_STACK)
        + roles.initiators.len() * (2 * guarded(INITIATOR_STACK) + guarded(AREA_SIZE))
        + guarded(FAR_SIZE)
        + SEAM_SIZE
        + if stage2 { fabric::stage2::ROOM } else { 0 }
        + PAGE;
    let mut arena = Arena::take(platform, size, taken)?;
    let mut cores = Vec::with_capacity(cpus);
    for (index, cpu) in platform.cpus.iter().enumerate() {
        let talks = index == roles.conductor() || Some(index) == boot_cpu;
        let (stack, exceptions) = match (talks, roles.initiators.contains(index)) {
            (true, _) => (TALKER_STACK, INITIATOR_STACK),
            (false, true) => (INITIATOR_STACK, INITIATOR_STACK),
            (false, false) => (STACK, STACK),
        };
        // An overflow of the exceptions' stack goes on below the guard page, frame by
        // frame, and is then reported: what lies there nobody needs.
        let scratch = arena.pages(tables, SCRATCH_SIZE, false)?.start();
        let guard = arena.end_of_used();
        let exceptions = arena.pages(tables, exceptions, true)?.range();
        let thread = arena.pages(tables, stack, true)?.range();
        let el2_stack = if with_el2 {
            arena.pages(tables, EL2_STACK, true)?.range().end
        } else {
            0
        };
        cores.push(Core::new(
            index,
            *cpu,
            &OwnMemory {
                stacks: [thread, exceptions],
                scratch,
                unmapped: guard,
                el2_stack,
            },
        ));
    }
    let conductor_stack = arena.pages(tables, CONDUCTOR_STACK, true)?;
    let mut areas = Vec::new();
    for _ in roles.initiators.iter() {
        let area = arena.pages(tables, AREA_SIZE, true)?;
        let (code, size) = code_of(area.start());
        tables.map_code_view(code, size)?;
        areas.push(area);
    }
    let far = arena.pages(tables, FAR_SIZE, true)?;
    tables.map_code_view(far.start(), FAR_CODE)?;
    let seam = arena.pages(tables, SEAM_SIZE, false)?;
    let seam = {
        let mapped = tables.map_seam(seam.start())?;
        (seam, mapped)
    };
    let stage2 = match stage2 {
        true => Some(arena.pages(tables, fabric::stage2::ROOM, false)?),
        false => None,
    };
    Ok(Built {
        cores,
        areas,
        far,
        conductor_stack,
        stage2,
        seam,
    })
}
