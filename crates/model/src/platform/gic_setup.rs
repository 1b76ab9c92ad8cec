//! Brings the interrupt controller from wherever firmware, a boot loader or a kernel left it
//! to what the harness needs: a few private interrupts, nothing else enabled, nothing
//! active, nothing pending. The registers are passed in, so that a host test can play what
//! firmware may leave.
//!
//! Offsets and rules are those of Arm IHI 0069 (GICv3) and IHI 0048 (GICv2).

use super::gic::is_interrupt;

/// The controller's 32-bit registers, by address.
pub trait Registers {
    /// Reads one.
    fn read(&self, address: u64) -> u32;
    /// Writes one.
    fn write(&self, address: u64, value: u32);
}

const GICD_CTLR: u64 = 0x0;
const GICD_TYPER: u64 = 0x4;
const GICD_IIDR: u64 = 0x8;
const GICD_IGROUPR: u64 = 0x80;
const GICD_ISENABLER: u64 = 0x100;
const GICD_ICENABLER: u64 = 0x180;
const GICD_ICPENDR: u64 = 0x280;
const GICD_ICACTIVER: u64 = 0x380;
const GICD_IPRIORITYR: u64 = 0x400;
const GICD_ITARGETSR: u64 = 0x800;
const GICD_SGIR: u64 = 0xf00;
const GICD_CPENDSGIR: u64 = 0xf10;
const GICD_ICENABLER_E: u64 = 0x1400;

const GICR_CTLR: u64 = 0x0;
const GICR_TYPER: u64 = 0x8;
const GICR_WAKER: u64 = 0x14;
/// The frame of SGIs and PPIs, from the start of a redistributor's.
pub const SGI_FRAME: u64 = 0x1_0000;
const ICFGR1: u64 = 0xc04;

const GICC_CTLR: u64 = 0x0;
const GICC_PMR: u64 = 0x4;
const GICC_BPR: u64 = 0x8;
const GICC_IAR: u64 = 0xc;
const GICC_EOIR: u64 = 0x10;
const GICC_APR: u64 = 0xd0;

/// GICD_CTLR as the non-secure world sees it, or with one security state:
/// EnableGrp1A (or EnableGrp1), ARE_NS (or ARE), RWP.
const CTLR_GROUPS: u32 = 0b11;
const CTLR_GROUP_1: u32 = 1 << 1;
const CTLR_ARE: u32 = 1 << 4;
const CTLR_RWP: u32 = 1 << 31;
/// GICD_TYPER.SecurityExtn (GICv2).
const TYPER_SECURITY: u32 = 1 << 10;
/// GICD_TYPER.ESPI.
const TYPER_ESPI: u32 = 1 << 8;
/// GICR_CTLR: EnableLPIs, RWP.
const GICR_LPIS: u32 = 1;
const GICR_RWP: u32 = 1 << 3;
/// GICR_WAKER: ProcessorSleep, ChildrenAsleep.
const PROCESSOR_SLEEP: u32 = 1 << 1;
const CHILDREN_ASLEEP: u32 = 1 << 2;

const ALL: u32 = u32::MAX;
/// The highest priority of the non-secure world, of four interrupts.
const PRIORITIES: u32 = 0x8080_8080;
/// How often to read a register that should change within microseconds; each read goes over
/// the interconnect.
const LOOKS: u32 = 100_000;

/// Waits until a register's bits are 0; returns whether they became 0.
fn cleared(registers: &impl Registers, address: u64, bits: u32) -> bool {
    (0..LOOKS).any(|_| registers.read(address) & bits == 0)
}

/// How many words of 32 interrupts the distributor has, including the first, that of the
/// private ones.
fn words(registers: &impl Registers, gicd: u64) -> u64 {
    u64::from(registers.read(gicd + GICD_TYPER) & 0x1f) + 1
}

/// Turns off and clears every shared interrupt: firmware that used one may have left it
/// enabled, and the interrupt of a device that nobody serves would be taken for ever.
fn quiet_spis(registers: &impl Registers, gicd: u64) {
    for word in 1..words(registers, gicd) {
        registers.write(gicd + GICD_ICENABLER + 4 * word, ALL);
        registers.write(gicd + GICD_ICPENDR + 4 * word, ALL);
        registers.write(gicd + GICD_ICACTIVER + 4 * word, ALL);
    }
}

/// A GICv3's distributor: affinity routing and group 1 on, every shared interrupt
/// off.
pub fn distributor_v3(registers: &impl Registers, gicd: u64) {
    // Affinity routing may be turned on only with the groups off.
    let ctlr = registers.read(gicd + GICD_CTLR) & !CTLR_GROUPS;
    registers.write(gicd + GICD_CTLR, ctlr);
    cleared(registers, gicd + GICD_CTLR, CTLR_RWP);
    registers.write(gicd + GICD_CTLR, ctlr | CTLR_ARE);
    cleared(registers, gicd + GICD_CTLR, CTLR_RWP);
    quiet_spis(registers, gicd);
    let typer = registers.read(gicd + GICD_TYPER);
    // HIP07's claims extended interrupts but has none; it also does not identify itself
    // (erratum 161010803).
    if typer & TYPER_ESPI != 0 && registers.read(gicd + GICD_IIDR) != 0 {
        for word in 0..=u64::from(typer >> 27) {
            registers.write(gicd + GICD_ICENABLER_E + 4 * word, ALL);
        }
    }
    cleared(registers, gicd + GICD_CTLR, CTLR_RWP);
    registers.write(gicd + GICD_CTLR, ctlr | CTLR_ARE | CTLR_GROUP_1);
    cleared(registers, gicd + GICD_CTLR, CTLR_RWP);
}

/// A GICv3 core's own redistributor at `frame`: awake, no LPIs, only the `wanted` ones of its
/// private interrupts on (a bit each), nothing pending or active. Returns whether they are
/// on.
pub fn redistributor(registers: &impl Registers, frame: u64, wanted: u32) -> bool {
    let waker = registers.read(frame + GICR_WAKER);
    // If the secure world owns it, this reads as 0, and the redistributor is awake.
    registers.write(frame + GICR_WAKER, waker & !PROCESSOR_SLEEP);
    cleared(registers, frame + GICR_WAKER, CHILDREN_ASLEEP);
    let ctlr = registers.read(frame + GICR_CTLR);
    if ctlr & GICR_LPIS != 0 {
        // A kernel's tables may be anywhere, the harness's memory included.
        registers.write(frame + GICR_CTLR, ctlr & !GICR_LPIS);
        cleared(registers, frame + GICR_CTLR, GICR_RWP);
    }
    let own = frame + SGI_FRAME;
    // And the extended private interrupts, where there are any.
    let extended = u64::from(registers.read(frame + GICR_TYPER) >> 27).min(2);
    for word in 0..=extended {
        registers.write(own + GICD_ICENABLER + 4 * word, ALL);
    }
    cleared(registers, frame + GICR_CTLR, GICR_RWP);
    registers.write(own + GICD_IGROUPR, ALL);
    registers.write(own + GICD_ICPENDR, ALL);
    registers.write(own + GICD_ICACTIVER, ALL);
    for word in 0..8 {
        registers.write(own + GICD_IPRIORITYR + 4 * word, PRIORITIES);
    }
    registers.write(own + ICFGR1, 0);
    registers.write(own + GICD_ISENABLER, wanted);
    registers.read(own + GICD_ISENABLER) & wanted == wanted
}

/// Turns the forwarding of interrupts off, as a kernel finds it that firmware has started.
pub fn quiet_distributor(registers: &impl Registers, gicd: u64) {
    let ctlr = registers.read(gicd + GICD_CTLR);
    registers.write(gicd + GICD_CTLR, ctlr & !CTLR_GROUPS);
    cleared(registers, gicd + GICD_CTLR, CTLR_RWP);
}

/// A GICv2 core's interface signals nothing any more.
pub fn quiet_interface_v2(registers: &impl Registers, gicc: u64) {
    registers.write(gicc + GICC_CTLR, 0);
}

/// Turns private interrupts on (a bit each) in a GICv3 core's SGI frame or a GICv2's
/// distributor; returns whether they are on.
pub fn enable(registers: &impl Registers, base: u64, bits: u32) -> bool {
    registers.write(base + GICD_ISENABLER, bits);
    bits != 0 && registers.read(base + GICD_ISENABLER) & bits == bits
}

/// A GICv2's distributor: every shared interrupt off, forwarding of group 0, as this world
/// sees it, on.
pub fn distributor_v2(registers: &impl Registers, gicd: u64) {
    registers.write(gicd + GICD_CTLR, 0);
    quiet_spis(registers, gicd);
    // If there is a secure world, its bit for group 0 is the one by which the non-secure
    // world turns its own group on (IHI 0048, 4.3.1).
    registers.write(gicd + GICD_CTLR, 1);
}

/// A GICv2 core's own interrupts and its interface. The implementation decides whether
/// software generated interrupts can be disabled at all: in GIC-400 they are always on.
pub fn interface_v2(registers: &impl Registers, gicd: u64, gicc: u64, wanted: u32) {
    registers.write(gicd + GICD_ICENABLER, ALL);
    registers.write(gicd + GICD_ICPENDR, ALL);
    registers.write(gicd + GICD_ICACTIVER, ALL);
    if registers.read(gicd + GICD_TYPER) & TYPER_SECURITY == 0 {
        // One world: group 0, which is signalled as IRQ, not FIQ.
        registers.write(gicd + GICD_IGROUPR, 0);
    }
    for word in 0..4 {
        registers.write(gicd + GICD_CPENDSGIR + 4 * word, ALL);
    }
    for word in 0..8 {
        registers.write(gicd + GICD_IPRIORITYR + 4 * word, PRIORITIES);
    }
    registers.write(gicd + GICD_ISENABLER, wanted);
    // An interrupt that firmware took and never ended would mask all of them.
    for word in 0..4 {
        registers.write(gicc + GICC_APR + 4 * word, 0);
    }
    registers.write(gicc + GICC_BPR, 0);
    registers.write(gicc + GICC_PMR, 0xff);
    // Signals interrupts; EOImode 0: the end of one deactivates it.
    registers.write(gicc + GICC_CTLR, 1);
}

/// The bit that a GICv2 has for the core that asks: the targets of its private interrupts
/// read as the core itself.
pub fn target_v2(registers: &impl Registers, gicd: u64) -> u8 {
    registers.read(gicd + GICD_ITARGETSR) as u8
}

/// Sends software generated interrupt `number` to the cores of `targets`, a bit each.
pub fn signal_v2(registers: &impl Registers, gicd: u64, targets: u8, number: u32) {
    registers.write(gicd + GICD_SGIR, u32::from(targets) << 16 | number & 0xf);
}

/// Acknowledges and ends the pending interrupt: its number, if there was one.
pub fn acknowledge_v2(registers: &impl Registers, gicc: u64) -> Option<u32> {
    // For a software generated interrupt it also names the core that sent it; the end of the
    // interrupt must name that core too.
    let acknowledged = registers.read(gicc + GICC_IAR);
    let number = acknowledged & 0x3ff;
    is_interrupt(number).then(|| {
        registers.write(gicc + GICC_EOIR, acknowledged);
        number
    })
}

#[cfg(test)]
#[path = "gic_setup_tests.rs"]
mod tests;
