//! Joins the caches to QEMU: what is translated, executed and accessed.

mod cpu;
mod memory;
mod qemu;
mod report;
mod settings;

use std::{
    ffi::{c_char, c_int, c_uint, c_void},
    sync::{OnceLock, atomic::Ordering},
};

use parking_lot::Mutex;

use crate::{
    caches::{Caches, Traits},
    decode::{self, Event},
    line::{SMALLEST_LINE, What, Who},
    sites::{Known, Site},
    translate::Memory,
};
use cpu::{Cpu, Registers};
use memory::Ram;
use report::Report;
use settings::Settings;

/// The version of the interface that this is written for.
#[unsafe(no_mangle)]
pub static qemu_plugin_version: c_int = 4;

/// PSCI CPU_OFF.
const CPU_OFF: u64 = 0x8400_0002;

/// Everything, once the first core is there.
struct Checker {
    caches: Caches,
    registers: Registers,
    cpus: Vec<Mutex<Cpu>>,
    ram: Ram,
}

static REPORT: OnceLock<Report> = OnceLock::new();
static CHECKER: OnceLock<Checker> = OnceLock::new();

/// A block of instructions, as it was translated.
struct Block {
    pc: u64,
    site: Site,
    el: u8,
    /// An address in each line that it lies in.
    lines: Vec<u64>,
}

/// An instruction that means something to caches.
struct Act {
    site: Site,
    event: Event,
    known: &'static Known,
}

/// Called by QEMU when it loads the plugin.
///
/// # Safety
/// QEMU's: `info` and `argv` are as its interface says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: qemu::Id,
    info: *const qemu::Info,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // SAFETY: QEMU passes a valid structure.
    let info = unsafe { &*info };
    // SAFETY: and `argc` strings that end with 0.
    let words = unsafe { settings::words(argc, argv) };
    // SAFETY: the name of the target is such a string.
    let target = unsafe { settings::text(info.target_name) };
    let prepared = Settings::read(&words).and_then(|settings| {
        if target != "aarch64" || !info.system_emulation {
            return Err(format!(
                "only qemu-system-aarch64 is checked, this is {target}"
            ));
        }
        Report::new(settings, usize::try_from(info.max_vcpus).unwrap_or(1))
    });
    match prepared {
        Ok(report) => _ = REPORT.set(report),
        Err(error) => {
            eprintln!("coherence: {error}");
            return 1;
        }
    }
    // SAFETY: the callbacks are functions that stay.
    unsafe { qemu::qemu_plugin_register_vcpu_init_cb(id, on_cpu) };
    // SAFETY: as above.
    unsafe { qemu::qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate) };
    // SAFETY: as above.
    unsafe { qemu::qemu_plugin_register_atexit_cb(id, on_exit, std::ptr::null_mut()) };
    0
}

extern "C" fn on_cpu(_: qemu::Id, _: c_uint) {
    let Some(report) = REPORT.get() else { return };
    CHECKER.get_or_init(|| {
        let registers = Registers::find();
        let ctr = registers.ctr();
        let traits = Traits {
            line: report.line,
            idc: ctr >> 28 & 1 == 1,
            dic: ctr >> 29 & 1 == 1,
        };
        Checker {
            caches: Caches::new(
                report.cores,
                traits,
                Box::new(move |kind, by, with, line| {
                    report.hazard(kind, by, with, line);
                }),
            ),
            registers,
            cpus: (0..report.cores).map(|_| Mutex::default()).collect(),
            ram: Ram::default(),
        }
    });
}

extern "C" fn on_exit(_: qemu::Id, _: *mut c_void) {
    if let (Some(report), Some(checker)) = (REPORT.get(), CHECKER.get()) {
        checker.caches.finish();
        report.finish();
    }
}

extern "C" fn on_translate(_: qemu::Id, block: *mut qemu::Block) {
    let (Some(report), Some(checker)) = (REPORT.get(), CHECKER.get()) else {
        return;
    };
    // SAFETY: `block` is valid during this call.
    let count = unsafe { qemu::qemu_plugin_tb_n_insns(block) };
    let instructions: Vec<_> = (0..count)
        // SAFETY: the index is below the count.
        .map(|index| unsafe { qemu::qemu_plugin_tb_get_insn(block, index) })
        .map(|instruction| {
            // SAFETY: QEMU has just given it, for the time of this call.
            let pc = unsafe { qemu::qemu_plugin_insn_vaddr(instruction) };
            (instruction, pc, code_of(instruction))
        })
        .collect();
    let Some((first, pc, code)) = instructions.first().copied() else {
        return;
    };
    let codes: Vec<u32> = instructions.iter().map(|(_, _, code)| *code).collect();
    let sites = &report.sites;
    sites.program.recognise(pc, &codes);
    if instructions
        .iter()
        .any(|(_, pc, code)| sites.program.differs(*pc, *code))
    {
        report.other_program();
    }
    let el = checker.registers.level();
    // SAFETY: as above.
    let host = unsafe { qemu::qemu_plugin_insn_haddr(first) };
    if !checker.registers.translates(el) {
        checker.ram.learn(pc, host as usize);
    }
    let mut lines: Vec<u64> = instructions.iter().map(|(_, pc, _)| *pc).collect();
    lines.dedup_by_key(|pc| *pc >> SMALLEST_LINE);
    let own = Box::leak(Box::new(Block {
        pc,
        site: sites.number(pc, code).0,
        el,
        lines,
    }));
    let own: *mut Block = own;
    // SAFETY: `block` is valid, and what was leaked stays.
    unsafe { qemu::qemu_plugin_register_vcpu_tb_exec_cb(block, on_block, 0, own.cast()) };
    for (instruction, pc, code) in instructions {
        let (site, known) = sites.number(pc, code);
        // SAFETY: the instruction is valid; its number travels as the pointer.
        unsafe {
            qemu::qemu_plugin_register_vcpu_mem_cb(
                instruction,
                on_access,
                0,
                qemu::READ_WRITE,
                site as usize as *mut c_void,
            );
        }
        let Some(event) = decode::decode(code) else {
            continue;
        };
        let act: *mut Act = Box::leak(Box::new(Act { site, event, known }));
        // SAFETY: the instruction is valid, and what was leaked stays.
        unsafe {
            qemu::qemu_plugin_register_vcpu_insn_exec_cb(
                instruction,
                on_event,
                qemu::READS_REGISTERS,
                act.cast(),
            );
        }
    }
}

fn code_of(instruction: *const qemu::Instruction) -> u32 {
    let mut bytes = [0; 4];
    // SAFETY: QEMU writes at most four bytes to where there are four.
    unsafe { qemu::qemu_plugin_insn_data(instruction, bytes.as_mut_ptr().cast(), 4) };
    u32::from_le_bytes(bytes)
}

extern "C" fn on_block(core: c_uint, data: *mut c_void) {
    // SAFETY: `on_translate` leaked it.
    let block = unsafe { &*data.cast::<Block>() };
    let Some(checker) = CHECKER.get() else { return };
    let who = Who {
        core: core as u16,
        what: What::Fetch,
        site: block.site,
    };
    let mut cpu = checker.cpus[core as usize].lock();
    if cpu.began_again(core, block.pc) {
        checker.caches.reset();
    }
    if cpu.enter(&checker.registers, block.el, block.pc) {
        checker.caches.synchronise(who);
        checker.caches.learn(who);
    }
    for pc in &block.lines {
        if let Some(found) = cpu.translate(checker, who, *pc, None) {
            checker
                .caches
                .fetch(who, found.physical, found.fetch_cached);
        }
    }
}

extern "C" fn on_access(core: c_uint, info: qemu::MemoryInfo, address: u64, data: *mut c_void) {
    let Some(checker) = CHECKER.get() else { return };
    // SAFETY: it only looks into `info`.
    let shift = unsafe { qemu::qemu_plugin_mem_size_shift(info) };
    // SAFETY: as above.
    let store = unsafe { qemu::qemu_plugin_mem_is_store(info) };
    let what = if store { What::Store } else { What::Load };
    let who = Who {
        core: core as u16,
        what,
        site: data as usize as Site,
    };
    let mut cpu = checker.cpus[core as usize].lock();
    let Some(found) = cpu.translate(checker, who, address, Some(info)) else {
        return;
    };
    cpu.accesses += 1;
    if found.device {
        checker.caches.learn(who);
    } else if store {
        // SAFETY: it only looks into `info`.
        let value = unsafe { qemu::qemu_plugin_mem_get_value(info) };
        let bytes = (u128::from(value.high) << 64 | u128::from(value.low)).to_le_bytes();
        let stored = &bytes[..(1 << shift).min(bytes.len())];
        checker
            .caches
            .write(who, found.physical, stored, found.data);
    } else {
        checker
            .caches
            .read(who, found.physical, 1 << shift, found.data);
    }
}

extern "C" fn on_event(core: c_uint, data: *mut c_void) {
    // SAFETY: `on_translate` leaked it.
    let act = unsafe { &*data.cast::<Act>() };
    let Some(checker) = CHECKER.get() else { return };
    act.known.times.fetch_add(1, Ordering::Relaxed);
    if act.known.ignored {
        return;
    }
    let who = Who {
        core: core as u16,
        what: What::Maintenance,
        site: act.site,
    };
    let caches = &checker.caches;
    let mut cpu = checker.cpus[core as usize].lock();
    let mut at = |register: u8| {
        let address = checker.registers.x(register);
        cpu.translate(checker, who, address, None)
    };
    match act.event {
        Event::Data(op, register) => {
            if let Some(found) = at(register) {
                caches.data(who, op, found.physical);
            }
        }
        Event::Ivau(register) => {
            if let Some(found) = at(register) {
                caches.ivau(who, found.physical);
            }
        }
        Event::Zero(register) => {
            if let Some(found) = at(register).filter(|found| found.data != Memory::Device) {
                let who = Who {
                    what: What::Zero,
                    ..who
                };
                let size = checker.registers.zeroed();
                let zeros = vec![0; size as usize];
                caches.write(who, found.physical & !(size - 1), &zeros, found.data);
            }
        }
        Event::SetWay => caches.set_way(who),
        Event::Iallu => caches.invalidate_all(who, false),
        Event::Ialluis => caches.invalidate_all(who, true),
        Event::Tlbi => caches.tlbi(),
        Event::Dsb { full, shared } => caches.dsb(who, full, shared),
        Event::Dmb => caches.dmb(who),
        Event::Isb | Event::Eret => caches.synchronise(who),
        Event::Call => {
            caches.signal(who);
            caches.synchronise(who);
            caches.learn(who);
            // The function's number is 32 bits wide.
            if checker.registers.x(0) & 0xffff_ffff == CPU_OFF {
                caches.turn_off(who);
                cpu.forget();
            }
        }
        Event::Signal => caches.signal(who),
        Event::Wait => caches.learn(who),
        Event::Context => cpu.forget(),
        Event::Unseen => {
            if let Some(report) = REPORT.get() {
                report.unseen();
            }
        }
    }
}
