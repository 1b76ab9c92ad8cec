//! The crash image: loaded before the crash, started after it as the kernel's
//! `machine_kexec` does.

#![expect(unsafe_code, reason = "leaves this kernel for good")]

use alloc::{format, string::ToString, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};

use stalecore_model::{
    cpuset::CpuSet,
    glossary::Subject,
    kdump::{
        Kernel, Step,
        image::{self, Segment},
        message,
    },
    record::Record,
};
use stalecore_routines::{
    area::PAGE,
    kernel::{Routine, dcache_clean_inval_poc, named},
    kexec_list,
};

use super::{
    backtrace, log,
    setup::{Image, Setup},
    stepped,
};
use crate::{
    conductor::fault_record,
    cores::{
        mark::{Phase, Site},
        percpu::Core,
    },
    hal::{arch, frame::Frame, layout},
    measure::{AREAS, Buffers},
    report,
};

unsafe extern "C" {
    safe fn kdump_relocate();
    safe fn kdump_relocate_end();
    safe fn crash_kernel_head();
    safe fn crash_kernel_head_end();
    safe fn crash_kernel_entry();
    fn kdump_soft_restart(code: usize, list: usize, entry: usize, argument: usize) -> !;
}

/// Entries in each page of the list: few, so that the list takes several pages.
const LIST_ENTRIES: usize = 8;
/// Pages of the list.
const LIST_PAGES: usize = 2;
/// The parts of the crash image, and their sizes in pages.
const PARTS: [(&str, usize); 3] = [("kernel", 4), ("dtb", 1), ("initrd", 3)];
/// Longer than any list that [`load`] builds.
const LIST_LIMIT: usize = LIST_ENTRIES * LIST_PAGES;

/// A routine of the played kernel faulted.
static FAULTED: AtomicBool = AtomicBool::new(false);

/// Has a routine faulted on the way?
pub fn has_faulted() -> bool {
    FAULTED.load(Ordering::Relaxed)
}

/// Bytes of the relocation code.
fn relocation_size() -> usize {
    kdump_relocate_end as *const () as usize - kdump_relocate as *const () as usize
}

/// The words of `pages` pages at `start`, which are in these buffers, as they are in
/// memory.
pub fn words(own: &Buffers, start: u64, pages: u64) -> impl Iterator<Item = u64> {
    let at = (start..start + pages * image::PAGE).step_by(size_of::<u64>());
    at.map(|at| own.load(at as usize))
}

/// Writes `size` bytes of the image's own code, in whole words, at `to`.
fn copy_code(own: &Buffers, to: usize, from: usize, size: usize) {
    let half = |at: usize| u64::from(layout::instruction(at as u64).unwrap_or(0));
    let step = size_of::<u64>();
    for (to, from) in (to..).zip(from..from + size).step_by(step) {
        own.store(to, half(from) | half(from + step / 2) << 32);
    }
}

/// Loads the crash image into the crashing core's buffers. Newer kernels also copy the
/// relocation code now, and do all the maintenance now.
///
/// # Errors
/// Buffers that are missing or too small.
pub fn load(cpu: usize, kernel: Kernel) -> Result<Image, alloc::string::String> {
    let own = AREAS
        .get()
        .and_then(|areas| areas.buffers(cpu).copied())
        .ok_or("the crashing core has no buffers")?;
    let area = own.area;
    let total: usize = PARTS.iter().map(|(_, pages)| pages).sum();
    if area.data_size < 2 * total * PAGE {
        return Err("the area is too small for the crash image".into());
    }
    let mut at = area.data;
    let mut segments = Vec::new();
    for (seed, (name, pages)) in PARTS.into_iter().enumerate() {
        let fill = image::pattern(seed as u64, pages * PAGE / size_of::<u64>());
        for (word, slot) in fill.zip((at..).step_by(size_of::<u64>())) {
            own.store(slot, word);
        }
        segments.push(Segment {
            name,
            source: at as u64,
            destination: (at + total * PAGE) as u64,
            pages: pages as u64,
        });
        at += pages * PAGE;
    }
    write_head(&own, area.data);
    // The destination is memory that this kernel does not use: no line of it is dirty
    // when the relocation code invalidates it.
    let end = area.data + 2 * total * PAGE;
    dcache_clean_inval_poc(area.data + total * PAGE, end);
    let sums = segments
        .iter()
        .map(|s| image::crc32(words(&own, s.source, s.pages)))
        .collect();
    let lists: [u64; LIST_PAGES] = core::array::from_fn(|n| (area.list + n * PAGE) as u64);
    let entries =
        image::layout(&segments, &lists, LIST_ENTRIES).ok_or("the kexec list is too long")?;
    for (slot, value) in entries {
        own.store(slot as usize, value);
    }
    let image = Image {
        segments,
        sums,
        own,
        control: own.control(),
        list: area.list,
    };
    log::reach(
        Step::Load,
        None,
        Some(format!(
            "kernel {kernel}: {total} pages in {} segments; maintenance {}",
            image.segments.len(),
            if kernel.flushes_at_crash() {
                "at the crash"
            } else {
                "now"
            }
        )),
    );
    if !kernel.flushes_at_crash() {
        copy_relocation(&image);
        let (start, size) = (image.control, relocation_size());
        let write_back = named(kernel.dcache_routine());
        write_back(start, start + size);
        named(kernel.icache_routine())(start, start + size);
        walk_list(image.list, |start, size| {
            write_back(start, start + size);
        });
    }
    Ok(image)
}

/// Puts the crash kernel's first instructions at the start of its segment,
/// with the address that they go on to.
fn write_head(own: &Buffers, at: usize) {
    let head = crash_kernel_head as *const () as usize;
    let size = crash_kernel_head_end as *const () as usize - head;
    copy_code(own, at, head, size);
    let last = at + size - size_of::<u64>();
    own.store(last, crash_kernel_entry as *const () as u64);
}

/// Copies the relocation code to its page.
fn copy_relocation(image: &Image) {
    let from = kdump_relocate as *const () as usize;
    copy_code(&image.own, image.control, from, relocation_size());
}

/// Calls `flush` with start and size for each entry of a list and each page
/// that it names.
fn walk_list(list: usize, mut flush: impl FnMut(usize, usize)) {
    let all = |start, size| -> Result<(), ()> {
        flush(start, size);
        Ok(())
    };
    // `load` has put an end to the list; nobody could be told if memory has lost it.
    let _ = kexec_list::walk(list, LIST_LIMIT, (), all);
}

/// Leaves for the crash kernel; `left` are the cores that did not stop.
#[unsafe(export_name = "machine_kexec")]
#[inline(never)]
pub extern "C" fn machine_kexec(
    setup: &'static Setup,
    core: &'static Core,
    frame: &Frame,
    left: &CpuSet,
) -> ! {
    let kernel = setup.kernel;
    let image = &setup.image;
    core.mark.begin();
    if !left.is_empty() {
        warn(setup, core, frame);
    }
    if kernel.flushes_at_crash() {
        let (start, size) = (image.control, relocation_size());
        log::reach(
            Step::Copy,
            None,
            Some(format!("{size} bytes to {start:#x}")),
        );
        copy_relocation(image);

        let name = kernel.dcache_routine();
        let write_back = named(name);
        log::reach(Step::FlushDcache, None, Some(name.into()));
        maintain(
            setup,
            core,
            Subject::FlushDcacheArea,
            write_back,
            start,
            size,
        );

        let (subject, second) = if kernel.passes_size_for_end() {
            (Subject::FlushIcacheRangeSize, size)
        } else {
            (Subject::FlushIcacheRange, start + size)
        };
        let name = kernel.icache_routine();
        log::reach(
            Step::FlushIcache,
            None,
            Some(format!("{name}({start:#x}, {second:#x})")),
        );
        maintain(setup, core, subject, named(name), start, second);

        log::reach(Step::ListFlush, None, None);
        walk_list(image.list, |start, size| {
            maintain(
                setup,
                core,
                Subject::KexecListFlush,
                write_back,
                start,
                size,
            );
        });
    }
    log::reach(Step::Bye, None, None);
    log::say(message::BYE);
    log::reach(Step::Jump, None, None);
    arch::daif_mask();
    core.mark.before(
        Site::of(Subject::MachineKexec, Phase::Routine),
        image.control,
    );
    let entry = image.segments.first().map_or(0, |s| s.destination) as usize;
    let own = core.address();
    // SAFETY: the control page holds the relocation code, which moves the
    // segments to where `entry` is and starts the crash kernel there; nothing
    // of this kernel is needed after it.
    unsafe { kdump_soft_restart(image.control, image.list, entry, own) }
}

/// Runs a routine step by step, with the mark saying where it is.
fn maintain(
    setup: &Setup,
    core: &Core,
    subject: Subject,
    routine: Routine,
    start: usize,
    second: usize,
) {
    core.mark.before(Site::of(subject, Phase::Routine), start);
    let returned = stepped::run(routine, start, second);
    core.mark.after();
    note_fault(setup, core, subject, returned);
}

/// Reports the fault that a routine took, if any. The kernel does not look, and goes on.
pub fn note_fault(setup: &Setup, core: &Core, subject: Subject, returned: i64) {
    if let Some(registers) = core.take_fault() {
        FAULTED.store(true, Ordering::Relaxed);
        let fault = fault_record(&setup.case, subject, setup.cpu, registers, returned);
        report::record(&Record::Fault(fault));
    }
}

/// The warning that cores may be stale, with registers and trace.
fn warn(setup: &Setup, core: &Core, frame: &Frame) {
    let (own, x) = arch::registers();
    log::reach(Step::Warn, None, None);
    log::say(message::CUT_HERE);
    log::say(message::STALE);
    let line = format!("{}:{}", file!(), line!());
    let symbol = backtrace::SymbolOffset(own[0]).to_string();
    log::say(message::warning(setup.kernel, core.index, &line, &symbol));
    log::say(message::MODULES);
    backtrace::say_machine(setup, core.index, true);
    backtrace::print_registers(setup.kernel, own, &x);
    let mut trace = backtrace::here(core, frame);
    // The first is this function, at the registers that were printed.
    trace[0] = own[0];
    backtrace::print_trace(&trace);
    log::say(message::end_trace(setup.kernel, arch::cntvct()));
}
