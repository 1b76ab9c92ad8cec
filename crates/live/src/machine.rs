//! The machine as Linux tells of it.

use std::{fs, path::Path};

use stalecore_model::{
    cpuset::CpuSet,
    hex::Hex,
    histogram::Histogram,
    record::{Cores, Machine, SCHEMA},
};
use stalecore_routines::{counter::Counter, instructions};

use crate::{initiator::COUNTER, os};

/// The CPUs that this process may use.
///
/// # Errors
/// Linux does not say.
pub fn allowed() -> Result<CpuSet, String> {
    os::allowed().map_err(|error| format!("sched_getaffinity: {error}"))
}

fn text(path: &str) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    (!text.is_empty()).then(|| text.to_string())
}

/// The board's name, and where it is from.
fn named() -> Option<(String, &'static str)> {
    if let Some(model) = text("/proc/device-tree/model") {
        return Some((model, "device-tree"));
    }
    if let Some(model) = text("/proc/device-tree/compatible") {
        return Some((
            model.split('\0').next().unwrap_or(&model).into(),
            "device-tree",
        ));
    }
    let part = |name| text(&format!("/sys/class/dmi/id/{name}"));
    let maker = part("sys_vendor").unwrap_or_default();
    let product = part("product_name")?;
    Some((format!("{maker} {product}").trim().into(), "dmi"))
}

/// A register of a CPU in sysfs.
fn register(cpu: usize, name: &str) -> Option<u64> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/regs/identification/{name}");
    let text = text(&path)?;
    u64::from_str_radix(text.trim_start_matches("0x"), 16).ok()
}

/// MIDR_EL1 of a CPU; 0 where Linux does not tell.
pub fn midr(cpu: usize) -> u64 {
    register(cpu, "midr_el1").unwrap_or(0)
}

/// Memory in MiB.
fn memory_mib() -> u64 {
    let all = text("/proc/meminfo").unwrap_or_default();
    let line = all.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|rest| rest.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// Most that Linux has on Arm, by far.
const CPUS: usize = 4096;

/// Does QEMU stand in for the kernel? The machine of `uname` is an Arm's, and the device
/// files are another's; on an Arm, the core that the thread is on is none of the host's.
pub fn is_user_mode() -> bool {
    let foreign = |path: &str| Path::new(path).exists();
    if os::reads_id_registers() && register(0, "midr_el1").is_some() {
        let own = Some(instructions::midr_el1());
        return !(0..CPUS).any(|cpu| register(cpu, "midr_el1") == own);
    }
    // x86 and others have no such registers in sysfs, and a local APIC or an I/O port.
    register(0, "midr_el1").is_none() && foreign("/sys/devices/system/cpu/cpu0/microcode")
        || text("/proc/cpuinfo").is_some_and(|text| text.contains("vendor_id"))
        || text("/proc/ioports").is_some_and(|text| text.contains("dma1"))
}

/// The record of the machine: what there is not at EL0 says so.
pub fn record(cpus: usize, sentinel: Option<usize>, empty: Histogram) -> Machine {
    let (model, source) =
        named().unwrap_or_else(|| ("a machine that does not say its name".into(), "linux"));
    // The name in sysfs is the host's. As QEMU's own machines do, this one begins with whose
    // it is: whoever reads the log elsewhere has nothing else to know it by.
    let model = match is_user_mode() {
        true => format!("QEMU in user mode, on {model}"),
        false => model,
    };
    let hz = instructions::cntfrq_el0();
    let release = text("/proc/sys/kernel/osrelease").unwrap_or_default();
    Machine {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").into(),
        model,
        source: source.into(),
        entry_el: 0,
        psci: None,
        psci_version: None,
        gic: "Linux's".into(),
        gicr_regions: 0,
        cpus: cpus as u32,
        memory_mib: memory_mib(),
        console: format!("a pipe, Linux {release}"),
        counter: COUNTER.name().into(),
        counter_hz: hz,
        cntfrq: hz,
        sentinel: sentinel.map(|cpu| cpu as u32),
        empty,
    }
}

/// The registers of these CPUs that EL0 can know, equal ones together.
pub fn cores(cpus: &CpuSet, read: impl Fn(usize) -> Option<(u64, u64)>) -> Vec<Cores> {
    let mut groups: Vec<Cores> = Vec::new();
    for cpu in cpus.iter() {
        let Some((ctr, dczid)) = read(cpu) else {
            continue;
        };
        let (midr, revidr) = (midr(cpu), register(cpu, "revidr_el1").unwrap_or(0));
        let own = Cores {
            cpus: CpuSet::one(cpu),
            mpidr: Vec::new(),
            midr: Hex(midr),
            revidr: Hex(revidr),
            ctr: Hex(ctr),
            clidr: Hex(0),
            ccsidr: Vec::new(),
            dczid: Hex(dczid),
            cntfrq: instructions::cntfrq_el0(),
            pmu: None,
        };
        let same = |known: &&mut Cores| {
            (known.midr, known.revidr, known.ctr, known.dczid)
                == (own.midr, own.revidr, own.ctr, own.dczid)
        };
        match groups.iter_mut().find(same) {
            Some(known) => drop(known.cpus.insert(cpu)),
            None => groups.push(own),
        }
    }
    groups
}

const _: () = assert!(matches!(COUNTER, Counter::Cntvct));
