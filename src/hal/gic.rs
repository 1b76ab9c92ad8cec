//! The interrupt controller, as far as the harness needs it: software generated
//! interrupts from core to core, and a core's own timer.

use alloc::{string::String, vec::Vec};
use core::sync::atomic::{AtomicU8, Ordering};

use aarch64_cpu::registers::{ReadWriteable, Readable, Writeable};
use arm_gic::{IntId, InterruptGroup, gicv3::GicCpuInterface};
use spin::Once;
use stalecore_model::platform::{
    Cpu, Gic,
    gic::{Frame, is_interrupt, sgi1r},
    gic_setup::{self, Registers},
};

use super::{
    arch, mmio,
    registers::{
        ICC_AP1R0_EL1, ICC_AP1R1_EL1, ICC_AP1R2_EL1, ICC_AP1R3_EL1, ICC_BPR1_EL1, ICC_CTLR_EL1,
        ICC_SGI1R_EL1, ICC_SRE_EL1,
    },
};

/// The interrupt that wakes and calls a core.
pub const CALL: IntId = IntId::sgi(0);
/// The interrupt that EL2 keeps, where EL2 takes interrupts first.
pub const KICK_NUMBER: u32 = 1;
pub const KICK: IntId = IntId::sgi(KICK_NUMBER);
/// The interrupt that stops a core when the kernel has crashed.
pub const CRASH_STOP: IntId = IntId::sgi(2);
/// The interrupt whose handler broadcasts.
pub const STORM: IntId = IntId::sgi(3);
/// The virtual timer's: PPI 11 (Arm's Base System Architecture).
pub const VIRTUAL_TIMER: IntId = IntId::ppi(11);

const GICD_IIDR: u64 = 8;

static GIC: Once<Gic> = Once::new();

/// A GICv3's redistributors, as all cores look for their own among them: read once.
static FRAMES: Once<Vec<(u64, Frame)>> = Once::new();

/// GICv2 numbers cores by its own interfaces: the bit of each core.
static V2_TARGETS: [AtomicU8; 8] = [const { AtomicU8::new(0) }; 8];

/// The controller's registers, where they are mapped.
struct Mapped;

impl Registers for Mapped {
    fn read(&self, address: u64) -> u32 {
        mmio::read_u32(address)
    }

    fn write(&self, address: u64, value: u32) {
        mmio::write_u32(address, value);
    }
}

/// The registers that say whose redistributor a frame is.
fn look(frame: u64) -> Frame {
    Frame {
        typer: mmio::read_u64(frame + 0x8),
        pidr2: Mapped.read(frame + 0xffe8),
    }
}

/// The secure side of the controller, where the image is its own firmware:
/// everything belongs to the non-secure world. Offsets from Arm IHI 0069 and
/// IHI 0048.
mod secure {
    use smccc::smc64;
    use stalecore_model::platform::{Gic, Region};

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
    /// non-secure world. `distributors` are a GICv3's.
    pub fn init_distributor(gic: &Gic, distributors: &[Region]) {
        match gic {
            // EnableGrp1NS, ARE_S, ARE_NS
            Gic::V3(_) => distributors
                .iter()
                .for_each(|gicd| write(gicd.base + GICD_CTLR, 1 << 1 | 1 << 4 | 1 << 5)),
            // EnableGrp0, EnableGrp1
            Gic::V2 { gicd, .. } => write(gicd.base + GICD_CTLR, 3),
        }
    }

    /// This core's own interrupts, and for GICv2 its interface.
    pub fn init_core(gic: &Gic, redistributor: Option<u64>) {
        match (gic, redistributor) {
            (Gic::V3(_), Some(frame)) => {
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

/// Sets up the distributors of the sockets that these cores are on; the
/// controller's registers must be mapped. With `at_el3`, the secure side is set up too.
pub fn init_distributor(gic: &Gic, cpus: &[Cpu], at_el3: bool) {
    AT_EL3.call_once(|| at_el3);
    let distributors = match gic {
        Gic::V3(v3) => v3.distributors(cpus),
        Gic::V2 { .. } => Vec::new(),
    };
    if at_el3 {
        secure::init_distributor(gic, &distributors);
    }
    match gic {
        Gic::V3(_) => distributors
            .iter()
            .for_each(|gicd| gic_setup::distributor_v3(&Mapped, gicd.base)),
        Gic::V2 { gicd, .. } => gic_setup::distributor_v2(&Mapped, gicd.base),
    }
    if let Gic::V3(v3) = gic {
        FRAMES.call_once(|| v3.frames(look));
    }
    GIC.call_once(|| gic.clone());
}

/// The private interrupts that the harness uses from the start, a bit each.
const WANTED: u32 = 1 << 0 | 1 << KICK_NUMBER | 1 << 2 | 1 << 3;

/// Sets up the part of the controller of the core that runs this, CPU `index`, so
/// that it can be called.
///
/// # Errors
/// Why it cannot be, in a few words.
pub fn init_core(index: usize, mpidr: u64) -> Result<(), &'static str> {
    match GIC.get() {
        Some(gic @ Gic::V2 { gicd, gicc }) => {
            if at_el3() {
                secure::init_core(gic, None);
            }
            gic_setup::interface_v2(&Mapped, gicd.base, gicc.base, WANTED);
            if let Some(slot) = V2_TARGETS.get(index) {
                let own = gic_setup::target_v2(&Mapped, gicd.base);
                slot.store(own, Ordering::Relaxed);
            }
            Ok(())
        }
        Some(gic @ Gic::V3(_)) => {
            ICC_SRE_EL1.modify(ICC_SRE_EL1::SRE::SET);
            arch::isb();
            // Where a level above keeps it 0 the other registers are undefined.
            if !ICC_SRE_EL1.is_set(ICC_SRE_EL1::SRE) {
                return Err("its ICC_SRE_EL1.SRE cannot be set");
            }
            let frame = redistributor(mpidr).ok_or("the GIC has no redistributor for it")?;
            if at_el3() {
                secure::init_core(gic, Some(frame));
            }
            if !gic_setup::redistributor(&Mapped, frame, WANTED) {
                return Err("its redistributor does not enable SGIs");
            }
            quiet_interface();
            GicCpuInterface::set_priority_mask(0xff);
            GicCpuInterface::enable_group1(true);
            arch::isb();
            Ok(())
        }
        None => Ok(()),
    }
}

/// Leaves the controller to the next kernel: no interrupt is forwarded to any core. All
/// others must be off.
pub fn leave(cpus: &[Cpu], mpidr: u64) {
    match GIC.get() {
        Some(Gic::V2 { gicd, gicc }) => {
            gic_setup::quiet_interface_v2(&Mapped, gicc.base);
            gic_setup::quiet_distributor(&Mapped, gicd.base);
        }
        Some(Gic::V3(v3)) => {
            GicCpuInterface::enable_group1(false);
            if let Some(frame) = redistributor(mpidr) {
                gic_setup::redistributor(&Mapped, frame, 0);
            }
            for gicd in v3.distributors(cpus) {
                gic_setup::quiet_distributor(&Mapped, gicd.base);
            }
        }
        None => {}
    }
}

/// Resets what earlier software left in this core's interface. ICC_CTLR_EL1.EOImode is
/// UNKNOWN at a warm reset, and 1 would leave an interrupt active for ever; an active
/// priority that was never dropped masks all that are not higher (IHI 0069, 4.8).
fn quiet_interface() {
    let priority_bits = ICC_CTLR_EL1.read(ICC_CTLR_EL1::PRIbits) + 1;
    ICC_BPR1_EL1.set(0);
    ICC_CTLR_EL1.set(0);
    if priority_bits >= 7 {
        ICC_AP1R3_EL1.set(0);
        ICC_AP1R2_EL1.set(0);
    }
    if priority_bits >= 6 {
        ICC_AP1R1_EL1.set(0);
    }
    ICC_AP1R0_EL1.set(0);
    arch::isb();
}

/// The address of the redistributor of the core of this MPIDR.
fn redistributor(mpidr: u64) -> Option<u64> {
    match GIC.get() {
        Some(Gic::V3(v3)) => v3.redistributor(FRAMES.get()?, mpidr),
        _ => None,
    }
}

/// A register that can be read at any time and never changes: GICD_IIDR.
pub fn identification() -> Option<usize> {
    let gicd = match GIC.get()? {
        Gic::V2 { gicd, .. } => *gicd,
        Gic::V3(v3) => v3.gicd,
    };
    usize::try_from(gicd.base + GICD_IIDR).ok()
}

/// Lets a private interrupt through to the core that runs this, CPU `index`.
///
/// # Errors
/// One line if the controller does not know it.
pub fn enable(index: usize, mpidr: u64, interrupt: IntId) -> Result<(), String> {
    let number: u32 = interrupt.into();
    let refused = |e: &str| alloc::format!("CPU {index}: interrupt {number}: {e}");
    let base = match GIC.get() {
        Some(Gic::V2 { gicd, .. }) => gicd.base,
        Some(Gic::V3(_)) => {
            redistributor(mpidr).ok_or_else(|| refused("no redistributor"))? + gic_setup::SGI_FRAME
        }
        None => return Err(refused("no interrupt controller")),
    };
    let bit = 1_u32.checked_shl(number).unwrap_or(0);
    if gic_setup::enable(&Mapped, base, bit) {
        Ok(())
    } else {
        Err(refused("it stays off"))
    }
}

/// Sends cores, by number and MPIDR, a software generated interrupt, behind one barrier
/// for all: none is executed for the last core while the first already does what it was
/// asked.
pub fn send(targets: impl IntoIterator<Item = (usize, u64)>, interrupt: IntId) {
    // What was written before must be seen by the cores that are called.
    arch::dsb_ishst();
    for (index, mpidr) in targets {
        signal(index, mpidr, interrupt);
    }
    arch::isb();
}

/// Can cores be interrupted that are not in the image's hands? A GICv2 numbers cores in a
/// way that only a core itself can tell.
pub fn reaches_strangers() -> bool {
    matches!(GIC.get(), Some(Gic::V3(_)))
}

fn signal(index: usize, mpidr: u64, interrupt: IntId) {
    match GIC.get() {
        Some(Gic::V2 { gicd, .. }) => {
            let target = V2_TARGETS
                .get(index)
                .map_or(0, |t| t.load(Ordering::Relaxed));
            gic_setup::signal_v2(&Mapped, gicd.base, target, interrupt.into());
        }
        Some(Gic::V3(_)) => ICC_SGI1R_EL1.set(sgi1r(mpidr, interrupt.into())),
        None => {}
    }
}

/// Acknowledges and ends the pending interrupt; returns which it was, if there was one.
pub fn acknowledge() -> Option<IntId> {
    match GIC.get() {
        Some(Gic::V2 { gicc, .. }) => gic_setup::acknowledge_v2(&Mapped, gicc.base).map(private),
        Some(Gic::V3(_)) => {
            match GicCpuInterface::get_and_acknowledge_interrupt(InterruptGroup::Group1) {
                Some(interrupt) if is_interrupt(interrupt.into()) => {
                    GicCpuInterface::end_interrupt(interrupt, InterruptGroup::Group1);
                    Some(interrupt)
                }
                _ => None,
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
