//! From the tables to the [`Platform`] that the image works with.

use alloc::{format, string::String, vec::Vec};

use super::{AcpiError, Description, Gicd, Spcr, Watchdog, read};
use crate::{
    cpuset::MAX_CPUS,
    order,
    platform::{
        self, Conduit, Cpu, Gic, GicV3, Platform, Redistributors, Region, Source, Start, Uart,
        gic::{FRAMES, is_ftc663},
    },
    words,
};

const GICV3_DISTRIBUTOR: u64 = 0x1_0000;
const GICV2_DISTRIBUTOR: u64 = 0x1000;
const GICV2_INTERFACE: u64 = 0x2000;
/// A UART's registers, or one frame of a watchdog.
const PAGE: u64 = 0x1000;

/// Fills `handover`, which a loader's device tree gave and which has memory
/// and boot arguments, with what ACPI says: cores, interrupt controller, PSCI,
/// console and watchdog. `rsdp` and `memory` are as for [`read`]; `midr` is this
/// core's MIDR_EL1, without which a vendor's own structure has no meaning.
///
/// # Errors
/// As [`read`]; or there is no enabled CPU, there are more than [`MAX_CPUS`], or there
/// is no interrupt controller.
pub fn platform<'a>(
    handover: Platform,
    rsdp: u64,
    midr: u64,
    memory: impl Fn(u64, usize) -> Option<&'a [u8]>,
) -> Result<Platform, AcpiError> {
    let mut description = read(rsdp, memory)?;
    let mut notes = handover.notes;
    notes.append(&mut description.notes);
    let witnesses = core::mem::take(&mut description.witnesses);
    let psci = conduit(&description, &mut notes);
    Ok(Platform {
        source: Source::Acpi,
        cpus: cpus(&description, psci, &mut notes)?,
        gic: gic(&description, midr, &mut notes)?,
        psci,
        psci_functions: None,
        sdei: description.sdei,
        uart: description.spcr.map(uart),
        watchdog: description
            .gtdt
            .as_ref()
            .and_then(super::Gtdt::watchdog)
            .map(watchdog),
        witnesses,
        notes,
        ..handover
    })
}

fn conduit(description: &Description, notes: &mut Vec<String>) -> Option<Conduit> {
    let boot = description.boot?;
    if !boot.psci {
        notes.push("FADT: firmware does not answer PSCI; only CPUs that enter the image by themselves are used".into());
        return None;
    }
    Some(if boot.hvc { Conduit::Hvc } else { Conduit::Smc })
}

fn cpus(
    description: &Description,
    psci: Option<Conduit>,
    notes: &mut Vec<String>,
) -> Result<Vec<Cpu>, AcpiError> {
    let start = match psci {
        Some(_) => Start::Psci,
        None => Start::Pen,
    };
    let mut cpus: Vec<Cpu> = Vec::new();
    let (mut disabled, mut online_capable, mut twice) = (0, 0, 0);
    for gicc in &description.madt.gicc {
        if !gicc.enabled {
            disabled += 1;
            online_capable += usize::from(gicc.online_capable);
        } else if cpus.iter().any(|c| c.mpidr == gicc.mpidr) {
            twice += 1;
        } else if cpus.len() > MAX_CPUS {
            // Counted below without being looked at.
            continue;
        } else {
            let topology = description.topology.as_ref();
            cpus.push(Cpu {
                place: topology.and_then(|t| t.place(gicc.uid)),
                ..Cpu::new(gicc.mpidr, start)
            });
        }
    }
    if disabled > 0 {
        notes.push(told_disabled(disabled, online_capable));
    }
    if twice > 0 {
        notes.push(format!(
            "MADT: {} another's MPIDR, skipped",
            words::count(twice, "CPU repeats", "CPUs repeat")
        ));
    }
    match cpus.len() {
        0 => Err(AcpiError::NoCpus),
        n if n > MAX_CPUS => Err(AcpiError::TooManyCpus(
            description.madt.gicc.iter().filter(|c| c.enabled).count(),
        )),
        _ => Ok(cpus),
    }
}

fn gic(description: &Description, midr: u64, notes: &mut Vec<String>) -> Result<Gic, AcpiError> {
    let madt = &description.madt;
    // Phytium's driver takes structures of type 128, laid out like a GICD, as the mark
    // of an S2500; another vendor's may be anything.
    let phytium = madt.vendor_gicd.filter(|_| is_ftc663(midr));
    let Gicd { base, version } = madt.gicd.or(phytium).ok_or(AcpiError::NoGic)?;
    let gicr = redistributors(description);
    let gicc = madt.gicc.iter().filter(|c| c.enabled).find(|c| c.gicc != 0);
    match (version, gicc) {
        // Tables before ACPI 5.1 give no version.
        (0 | 3.., _) if !gicr.is_empty() => Ok(Gic::V3(GicV3 {
            gicd: Region {
                base,
                size: GICV3_DISTRIBUTOR,
            },
            gicr,
            stride: None,
            by_socket: phytium.is_some(),
        })),
        (0..=2, Some(gicc)) => {
            if version == 0 {
                notes.push("MADT: the GICD gives no version; taken as GICv2".into());
            }
            Ok(Gic::V2 {
                gicd: Region {
                    base,
                    size: GICV2_DISTRIBUTOR,
                },
                gicc: Region {
                    base: gicc.gicc,
                    size: GICV2_INTERFACE,
                },
            })
        }
        _ => Err(AcpiError::NoGic),
    }
}

/// What is said of CPUs that are not enabled, some of which could be brought online.
fn told_disabled(disabled: usize, online_capable: usize) -> String {
    let cpus = words::count(disabled, "CPU", "CPUs");
    let could = match (disabled, online_capable) {
        (_, 0) => "which nothing brings online".into(),
        (1, _) => "which could be brought online, and is not".into(),
        (n, capable) if n == capable => "which could be brought online, and are not".into(),
        (_, capable) => format!("of which {capable} could be brought online, and none is"),
    };
    format!("MADT: {cpus} disabled, {could}")
}

/// The GICR structures' ranges, or where there are none, what the enabled GICC
/// structures name: the start of one redistributor each, with nothing known about its
/// neighbours.
fn redistributors(description: &Description) -> Vec<Redistributors> {
    let madt = &description.madt;
    if !madt.gicr.is_empty() {
        let several = |r: &super::Redistributors| Redistributors {
            region: Region {
                base: r.base,
                size: r.length.into(),
            },
            single: false,
        };
        return madt.gicr.iter().map(several).collect();
    }
    let enabled = madt.gicc.iter().filter(|c| c.enabled && c.gicr != 0);
    let mut bases: Vec<u64> = enabled.map(|c| c.gicr).collect();
    order::sort(&mut bases);
    bases.dedup();
    let single = |base| Redistributors {
        region: Region { base, size: FRAMES },
        single: true,
    };
    bases.into_iter().map(single).collect()
}

fn uart(spcr: Spcr) -> Uart {
    Uart {
        kind: spcr.interface,
        registers: Region {
            base: spcr.base,
            size: PAGE,
        },
        reg_shift: spcr.reg_shift.into(),
        io_width: spcr.io_width.into(),
    }
}

fn watchdog(watchdog: &Watchdog) -> platform::Watchdog {
    let frame = |base| Region { base, size: PAGE };
    platform::Watchdog {
        refresh: frame(watchdog.refresh),
        control: frame(watchdog.control),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disabled_cpus_are_told_in_words() {
        for (disabled, capable, says) in [
            (1, 0, "1 CPU disabled, which nothing brings online"),
            (
                1,
                1,
                "1 CPU disabled, which could be brought online, and is not",
            ),
            (2, 0, "2 CPUs disabled, which nothing brings online"),
            (
                2,
                2,
                "2 CPUs disabled, which could be brought online, and are not",
            ),
            (
                3,
                1,
                "3 CPUs disabled, of which 1 could be brought online, and none is",
            ),
        ] {
            assert_eq!(told_disabled(disabled, capable), format!("MADT: {says}"));
        }
    }
}
