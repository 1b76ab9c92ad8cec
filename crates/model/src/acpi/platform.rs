//! From the tables to the [`Platform`] that the image works with.

use alloc::{format, string::String, vec::Vec};

use super::{AcpiError, Description, Gicd, Interface, Spcr, Watchdog, read};
use crate::{
    cpuset::MAX_CPUS,
    platform::{self, Conduit, Cpu, Gic, Platform, Region, Source, Start, Uart, UartKind},
};

/// One redistributor's frames where a GICC structure gives only their start:
/// 64 KiB for LPIs and 64 KiB for SGIs. GICv4 has as much again, which the
/// harness does not use.
const REDISTRIBUTOR: u64 = 0x2_0000;
const GICV3_DISTRIBUTOR: u64 = 0x1_0000;
const GICV2_DISTRIBUTOR: u64 = 0x1000;
const GICV2_INTERFACE: u64 = 0x2000;
/// A UART's registers, or one frame of a watchdog.
const PAGE: u64 = 0x1000;

/// Fills `handover`, which a loader's device tree gave and which has memory
/// and boot arguments, with what ACPI says: cores, interrupt controller, PSCI,
/// console and watchdog. `rsdp` and `memory` are as for [`read`].
///
/// # Errors
/// As [`read`], and where there is no enabled CPU, more than [`MAX_CPUS`], or
/// no interrupt controller.
pub fn platform<'a>(
    handover: Platform,
    rsdp: u64,
    memory: impl Fn(u64, usize) -> Option<&'a [u8]>,
) -> Result<Platform, AcpiError> {
    let mut description = read(rsdp, memory)?;
    let mut notes = handover.notes;
    notes.append(&mut description.notes);
    let psci = conduit(&description, &mut notes);
    Ok(Platform {
        source: Source::Acpi,
        cpus: cpus(&description, psci, &mut notes)?,
        gic: gic(&description, &mut notes)?,
        psci,
        uart: description.spcr.map(uart),
        watchdog: description
            .gtdt
            .as_ref()
            .and_then(super::Gtdt::watchdog)
            .map(watchdog),
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
    let (mut disabled, mut online_capable, mut twice) = (0_u32, 0_u32, 0_u32);
    for gicc in &description.madt.gicc {
        if !gicc.enabled {
            disabled += 1;
            online_capable += u32::from(gicc.online_capable);
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
        notes.push(format!(
            "MADT: {disabled} CPUs disabled, of which {online_capable} could be brought online; none is used"
        ));
    }
    if twice > 0 {
        notes.push(format!(
            "MADT: {twice} CPUs repeat another's MPIDR, skipped"
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

fn gic(description: &Description, notes: &mut Vec<String>) -> Result<Gic, AcpiError> {
    let madt = &description.madt;
    let Gicd { base, version } = madt.gicd.ok_or(AcpiError::NoGic)?;
    let gicr = redistributors(description);
    let gicc = madt.gicc.iter().filter(|c| c.enabled).find(|c| c.gicc != 0);
    match (version, gicc) {
        // Tables before ACPI 5.1 say no version.
        (3.., _) | (0, None) | (0, Some(_)) if !gicr.is_empty() => Ok(Gic::V3 {
            gicd: Region {
                base,
                size: GICV3_DISTRIBUTOR,
            },
            gicr,
        }),
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

/// The GICR structures' ranges, or where there are none, those of the enabled
/// GICC structures, neighbours joined.
fn redistributors(description: &Description) -> Vec<Region> {
    let madt = &description.madt;
    if !madt.gicr.is_empty() {
        return madt
            .gicr
            .iter()
            .map(|r| Region {
                base: r.base,
                size: r.length.into(),
            })
            .collect();
    }
    let enabled = madt.gicc.iter().filter(|c| c.enabled && c.gicr != 0);
    let mut bases: Vec<u64> = enabled.map(|c| c.gicr).collect();
    bases.sort_unstable();
    bases.dedup();
    let mut regions: Vec<Region> = Vec::new();
    for base in bases {
        match regions.last_mut() {
            Some(last) if last.end() == base => last.size += REDISTRIBUTOR,
            _ => regions.push(Region {
                base,
                size: REDISTRIBUTOR,
            }),
        }
    }
    regions
}

fn uart(spcr: Spcr) -> Uart {
    Uart {
        kind: match spcr.interface {
            Interface::Pl011 | Interface::Sbsa => UartKind::Pl011,
            Interface::Ns16550 => UartKind::Ns16550,
        },
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
