//! From the tables to the [`Platform`] that the image works with.

use alloc::{format, string::String, vec::Vec};

use super::{AcpiError, Description, Gicd, Interface, Spcr, Watchdog, read};
use crate::{
    cpuset::MAX_CPUS,
    platform::{
        self, Conduit, Cpu, Gic, GicV3, Platform, Redistributors, Region, Source, Start, Uart,
        UartKind,
        gic::{FRAMES, is_ftc663},
    },
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
    let psci = conduit(&description, &mut notes);
    Ok(Platform {
        source: Source::Acpi,
        cpus: cpus(&description, psci, &mut notes)?,
        gic: gic(&description, midr, &mut notes)?,
        psci,
        psci_functions: None,
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
    bases.sort_unstable();
    bases.dedup();
    let single = |base| Redistributors {
        region: Region { base, size: FRAMES },
        single: true,
    };
    bases.into_iter().map(single).collect()
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
