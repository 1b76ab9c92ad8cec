//! The interrupt controller, as far as the harness needs it: one software
//! generated interrupt from core to core.

#![expect(unsafe_code, reason = "the controller's registers")]

use alloc::string::String;
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU8, Ordering},
};

use arm_gic::{
    IntId, InterruptGroup,
    gicv2::{
        GicV2, SgiTarget as SgiTargetV2, SgiTargetListFilter,
        registers::{Gicc, Gicd as GicdV2},
    },
    gicv3::{
        GicCpuInterface, GicDistributor, GicRedistributor, GicRedistributorIterator, SgiTarget,
        SgiTargetGroup,
        registers::{Gicd, GicrSgi},
    },
};
use safe_mmio::UniqueMmioPointer;
use spin::Once;
use stalecore_model::platform::Gic;

use super::arch;

/// The interrupt that wakes and calls a core.
pub const CALL: IntId = IntId::sgi(0);
/// The interrupt that EL2 keeps, where it takes them first.
pub const KICK_NUMBER: u32 = 1;
pub const KICK: IntId = IntId::sgi(KICK_NUMBER);
/// The interrupt that stops a core when the kernel has crashed.
pub const CRASH_STOP: IntId = IntId::sgi(2);
/// The virtual timer's: PPI 11 (Arm's Base System Architecture).
pub const VIRTUAL_TIMER: IntId = IntId::ppi(11);

static GIC: Once<Gic> = Once::new();

/// GICv2 numbers cores by its own interfaces: the bit of each core.
static V2_TARGETS: [AtomicU8; 8] = [const { AtomicU8::new(0) }; 8];

fn v2(gicd: u64, gicc: u64) -> GicV2<'static> {
    // SAFETY: both regions are mapped as Device memory. Several cores may hold
    // such a value at once; each uses only registers that are banked for it,
    // and GICD_SGIR, of which every write counts for itself.
    unsafe { GicV2::new(gicd as *mut GicdV2, gicc as *mut Gicc) }
}

/// The secure side of the controller, where the image is its own firmware:
/// everything belongs to the non-secure world. Offsets from Arm IHI 0069 and
/// IHI 0048.
mod secure {
    use smccc::smc64;
    use stalecore_model::platform::Gic;

    use crate::hal::boot::EL3_WRITE;

    const GICD_CTLR: u64 = 0;
    const GICD_IGROUPR: u64 = 0x80;
    const GICC_CTLR: u64 = 0;
    const GICC_PMR: u64 = 4;
    const GICR_IGROUPR0: u64 = 0x1_0080;
    const GICR_IGRPMODR0: u64 = 0x1_0d00;

    fn write(address: u64, value: u32) {
        let mut arguments = [0; 17];
        arguments[0] = address;
        arguments[1] = value.into();
        smc64(EL3_WRITE, arguments);
    }

    /// Affinity routing on in both worlds, group 1 on, all interrupts of the
    /// non-secure world.
    pub fn init_distributor(gic: &Gic) {
        match gic {
            // EnableGrp1NS, ARE_S, ARE_NS
            Gic::V3 { gicd, .. } => write(gicd.base + GICD_CTLR, 1 << 1 | 1 << 4 | 1 << 5),
            // EnableGrp0, EnableGrp1
            Gic::V2 { gicd, .. } => write(gicd.base + GICD_CTLR, 3),
        }
    }

    /// This core's own interrupts, and for GICv2 its interface.
    pub fn init_core(gic: &Gic, redistributor: Option<u64>) {
        match (gic, redistributor) {
            (Gic::V3 { .. }, Some(frame)) => {
                write(frame + GICR_IGROUPR0, u32::MAX);
                write(frame + GICR_IGRPMODR0, 0);
            }
            (Gic::V2 { gicd, gicc }, _) => {
                write(gicd.base + GICD_IGROUPR, u32::MAX);
                write(gicc.base + GICC_PMR, 0xff);
                write(gicc.base + GICC_CTLR, 3);
            }
            _ => {}
        }
    }
}

/// Is the image its own firmware, at EL3?
static AT_EL3: Once<bool> = Once::new();

fn at_el3() -> bool {
    AT_EL3.get().copied().unwrap_or(false)
}

/// Sets up the distributor; the controller's registers must be mapped. With
/// `at_el3` nobody has set up the secure side.
pub fn init_distributor(gic: &Gic, at_el3: bool) {
    AT_EL3.call_once(|| at_el3);
    if at_el3 {
        secure::init_distributor(gic);
    }
    if let Gic::V3 { gicd, .. } = gic
        && let Some(registers) = NonNull::new(gicd.base as *mut Gicd)
    {
        // SAFETY: the region is mapped as Device memory, and only the boot
        // core does this, once.
        let registers = unsafe { UniqueMmioPointer::new(registers) };
        GicDistributor::new(registers).configure_default_settings();
    }
    GIC.call_once(|| gic.clone());
}

/// Sets up the part of the controller of the core that runs this, CPU `index`,
/// so that it can be called.
///
/// # Errors
/// One line if the controller has no redistributor for this core.
pub fn init_core(index: usize, mpidr: u64) -> Result<(), String> {
    match GIC.get() {
        Some(Gic::V2 { gicd, gicc }) => {
            if at_el3()
                && let Some(gic) = GIC.get()
            {
                secure::init_core(gic, None);
            }
            let mut own = v2(gicd.base, gicc.base);
            own.setup();
            // Where there is a secure world, what it calls group 0 is the bit by
            // which the non-secure one turns its own group on (IHI 0048, 4.3.1).
            own.enable_group0(true);
            // GICD_ITARGETSR0 reads as this core's own bit.
            // SAFETY: a mapped, banked, read-only register.
            let own = unsafe { ((gicd.base + 0x800) as *const u32).read_volatile() };
            if let Some(slot) = V2_TARGETS.get(index) {
                slot.store(own as u8, Ordering::Relaxed);
            }
            Ok(())
        }
        Some(Gic::V3 { gicr, .. }) => {
            GicCpuInterface::enable_system_register_el1();
            arch::isb();
            let (frame, mut redistributor) = gicr
                .iter()
                .find_map(|region| find_redistributor(region.base, mpidr))
                .ok_or_else(|| {
                    alloc::format!("CPU {index}: the GIC has no redistributor for MPIDR {mpidr:#x}")
                })?;
            if at_el3()
                && let Some(gic) = GIC.get()
            {
                secure::init_core(gic, Some(frame));
            }
            // Firmware may have woken it already.
            let _ = redistributor.mark_core_awake();
            redistributor.configure_default_settings();
            for interrupt in [CALL, KICK] {
                redistributor
                    .enable_interrupt(interrupt, true)
                    .map_err(|e| alloc::format!("CPU {index}: {e}"))?;
            }
            GicCpuInterface::set_priority_mask(0xff);
            GicCpuInterface::enable_group1(true);
            arch::isb();
            Ok(())
        }
        None => Ok(()),
    }
}

/// The frame of the core of that MPIDR in a region: its address and driver.
fn find_redistributor(region: u64, mpidr: u64) -> Option<(u64, GicRedistributor<'static>)> {
    let base = NonNull::new(region as *mut GicrSgi)?;
    // SAFETY: the region is mapped as Device memory and ends with a frame that
    // says so; each core keeps only its own frame.
    let frames = unsafe { GicRedistributorIterator::new(base) }.ok()?;
    let mut frame = region;
    for redistributor in frames {
        let typer = redistributor.typer();
        if typer.core_mpidr() == mpidr {
            return Some((frame, redistributor));
        }
        // Virtual LPIs (GICv4) take two more pages of 64 KiB.
        frame += if typer.virtual_lpis_supported() {
            0x4_0000
        } else {
            0x2_0000
        };
    }
    None
}

/// Lets a private interrupt through to the core that runs this, CPU `index`.
///
/// # Errors
/// One line if the controller does not know it.
pub fn enable(index: usize, mpidr: u64, interrupt: IntId) -> Result<(), String> {
    let refused = |e: &dyn core::fmt::Display| alloc::format!("CPU {index}: {interrupt:?}: {e}");
    match GIC.get() {
        Some(Gic::V2 { gicd, gicc }) => v2(gicd.base, gicc.base)
            .enable_interrupt(interrupt, true)
            .map_err(|e| refused(&e)),
        Some(Gic::V3 { gicr, .. }) => gicr
            .iter()
            .find_map(|region| find_redistributor(region.base, mpidr))
            .ok_or_else(|| refused(&"no redistributor"))?
            .1
            .enable_interrupt(interrupt, true)
            .map_err(|e| refused(&e)),
        None => Err(refused(&"no interrupt controller")),
    }
}

/// Sends CPU `index` a software generated interrupt.
pub fn send(index: usize, mpidr: u64, interrupt: IntId) {
    // What was written before must be seen by the core that is called.
    arch::dsb_ishst();
    match GIC.get() {
        Some(Gic::V2 { gicd, gicc }) => {
            let target = V2_TARGETS
                .get(index)
                .map_or(0, |t| t.load(Ordering::Relaxed));
            v2(gicd.base, gicc.base).send_sgi(
                interrupt,
                SgiTargetV2::List {
                    target_list_filter: SgiTargetListFilter::CPUTargetList,
                    target_list: u16::from(target),
                },
            );
        }
        Some(Gic::V3 { .. }) => {
            let [aff0, aff1, aff2, _, aff3, ..] = mpidr.to_le_bytes();
            let target = SgiTarget::List {
                affinity3: aff3,
                affinity2: aff2,
                affinity1: aff1,
                target_list: 1 << (aff0 & 0xf),
            };
            // Only an interrupt that is no SGI is refused.
            let _ = GicCpuInterface::send_sgi(interrupt, target, SgiTargetGroup::CurrentGroup1);
        }
        None => {}
    }
    arch::isb();
}

/// Acknowledges and ends the pending interrupt; `false` if there was none.
pub fn acknowledge() -> bool {
    acknowledge_which().is_some()
}

/// As [`acknowledge`]: which it was.
pub fn acknowledge_which() -> Option<IntId> {
    match GIC.get() {
        Some(Gic::V2 { gicd, gicc }) => {
            let mut gic = v2(gicd.base, gicc.base);
            // The acknowledged value keeps the calling core's number, as the
            // end of a GICv2 SGI needs it.
            match gic.get_and_acknowledge_interrupt(InterruptGroup::Group0) {
                Some(interrupt) if interrupt.raw_value() & 0x3ff < 1020 => {
                    gic.end_interrupt(interrupt, InterruptGroup::Group0);
                    // Without the number of the core that sent it.
                    Some(private(interrupt.raw_value() & 0x3ff))
                }
                _ => None,
            }
        }
        Some(Gic::V3 { .. }) => {
            match GicCpuInterface::get_and_acknowledge_interrupt(InterruptGroup::Group1) {
                Some(interrupt) => {
                    GicCpuInterface::end_interrupt(interrupt, InterruptGroup::Group1);
                    Some(interrupt)
                }
                None => None,
            }
        }
        None => None,
    }
}

/// The interrupt of that number, below 1020; the harness enables none but
/// private ones.
const fn private(number: u32) -> IntId {
    match number {
        0..16 => IntId::sgi(number),
        16..32 => IntId::ppi(number - 16),
        _ => IntId::spi(number - 32),
    }
}
