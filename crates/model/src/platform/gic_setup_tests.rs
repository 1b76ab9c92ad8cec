//! A controller as firmware may leave it, and what setting it up makes of it.

use alloc::collections::BTreeMap;
use core::cell::RefCell;

use super::*;

const GICD: u64 = 0x800_0000;
const GICR: u64 = 0x80a_0000;
const GICC: u64 = 0x801_0000;

/// Registers that behave as these do: enable, pending and active bits are set by
/// one address and cleared by another; all others keep what is written.
#[derive(Default)]
struct Fake {
    words: RefCell<BTreeMap<u64, u32>>,
    /// Reads of a register whose write takes a while.
    looks: RefCell<u32>,
}

impl Fake {
    fn set(&self, address: u64, value: u32) {
        self.words.borrow_mut().insert(address, value);
    }

    fn get(&self, address: u64) -> u32 {
        self.words.borrow().get(&address).copied().unwrap_or(0)
    }
}

/// The address that sets what `address` clears, if it clears something.
fn set_of(address: u64) -> Option<u64> {
    let offset = address & 0xffff;
    [(0x180, 0x80), (0x280, 0x80), (0x380, 0x80)]
        .into_iter()
        .find(|(start, _)| (*start..*start + 0x80).contains(&offset))
        .map(|(_, back)| address - back)
        .or((0x1400..0x1480).contains(&offset).then(|| address - 0x200))
}

impl Registers for Fake {
    fn read(&self, address: u64) -> u32 {
        if let Some(set) = set_of(address) {
            return self.get(set);
        }
        // A write takes a while to take effect.
        if address == GICD || address == GICR {
            *self.looks.borrow_mut() += 1;
            let pending = *self.looks.borrow() % 3 == 1;
            let rwp = if address == GICD { CTLR_RWP } else { GICR_RWP };
            return self.get(address) | if pending { rwp } else { 0 };
        }
        self.get(address)
    }

    fn write(&self, address: u64, value: u32) {
        match set_of(address) {
            Some(set) => self.set(set, self.get(set) & !value),
            None if (0x100..0x180).contains(&(address & 0xffff)) => {
                self.set(address, self.get(address) | value);
            }
            // The controller itself says whether its children sleep.
            None if address == GICR + GICR_WAKER => self.set(address, 0),
            None => self.set(address, value),
        }
    }
}

#[test]
fn what_firmware_left_of_a_gicv3_is_gone() {
    let gic = Fake::default();
    gic.set(GICD + GICD_TYPER, 5);
    gic.set(GICD, CTLR_GROUPS);
    for word in 0..6 {
        for what in [0x100, 0x200, 0x300] {
            gic.set(GICD + what + 4 * word, 0x8000_0101);
        }
    }
    distributor_v3(&gic, GICD);
    assert_eq!(gic.get(GICD) & 0x7fff_ffff, CTLR_ARE | CTLR_GROUP_1);
    for word in 1..6 {
        for what in [0x100, 0x200, 0x300] {
            assert_eq!(gic.get(GICD + what + 4 * word), 0, "{what:#x} {word}");
        }
    }

    gic.set(GICR + GICR_WAKER, PROCESSOR_SLEEP | CHILDREN_ASLEEP);
    gic.set(GICR, GICR_LPIS);
    let own = GICR + SGI_FRAME;
    for what in [0x100, 0x200, 0x300] {
        gic.set(own + what, ALL);
    }
    assert!(redistributor(&gic, GICR, 0b111));
    assert_eq!(gic.get(GICR + GICR_WAKER), 0);
    assert_eq!(gic.get(GICR) & GICR_LPIS, 0, "LPIs are off");
    let bits = [0x100, 0x200, 0x300].map(|what| gic.get(own + what));
    assert_eq!(bits, [0b111, 0, 0], "enabled, pending, active");
    assert_eq!(gic.get(own + GICD_IGROUPR), ALL);
    assert_eq!(gic.get(own + GICD_IPRIORITYR), PRIORITIES);
}

#[test]
fn hip07_is_not_asked_for_extended_interrupts() {
    for (extended, iidr, disabled) in [
        (TYPER_ESPI, 0, false),
        (TYPER_ESPI, 0x43b, true),
        (0, 0x43b, false),
    ] {
        let gic = Fake::default();
        gic.set(GICD + GICD_TYPER, 5 | extended | 1 << 27);
        gic.set(GICD + GICD_IIDR, iidr);
        for word in 0..2 {
            gic.set(GICD + 0x1200 + 4 * word, 7);
        }
        distributor_v3(&gic, GICD);
        let left = [0, 4].map(|at| gic.get(GICD + 0x1200 + at));
        assert_eq!(left == [0, 0], disabled, "{left:?}");
    }
}

#[test]
fn extended_private_interrupts_are_off_where_there_are_any() {
    let own = GICR + SGI_FRAME + 0x100;
    for (typer, words) in [(0, 1), (1 << 27, 2), (2 << 27, 3), (31 << 27, 3)] {
        let gic = Fake::default();
        gic.set(GICR + GICR_TYPER, typer);
        for word in 0..4 {
            gic.set(own + 4 * word, 0xf0);
        }
        assert!(redistributor(&gic, GICR, 1));
        let on = [0, 4, 8, 12].map(|at| gic.get(own + at));
        let left = |word| if word < words { 0 } else { 0xf0 };
        assert_eq!(on, [1, left(1), left(2), left(3)], "{typer:#x}");
    }
}

#[test]
fn a_redistributor_that_does_not_take_them_says_so() {
    /// Interrupts that stay off.
    struct Off(Fake);
    impl Registers for Off {
        fn read(&self, address: u64) -> u32 {
            self.0.read(address)
        }
        fn write(&self, address: u64, value: u32) {
            if address != GICR + SGI_FRAME + GICD_ISENABLER {
                self.0.write(address, value);
            }
        }
    }
    assert!(!redistributor(&Off(Fake::default()), GICR, 0b11));
}

#[test]
fn what_firmware_left_of_a_gicv2_is_gone() {
    let gic = Fake::default();
    gic.set(GICD + GICD_TYPER, 2);
    for word in 0..3 {
        for what in [0x100, 0x200, 0x300] {
            gic.set(GICD + what + 4 * word, 0x8000_0101);
        }
    }
    for (register, value) in [
        (GICC_APR, 4),
        (GICC_BPR, 7),
        (GICC_CTLR, 0x201),
        (GICC_PMR, 0),
    ] {
        gic.set(GICC + register, value);
    }
    distributor_v2(&gic, GICD);
    interface_v2(&gic, GICD, GICC, 0b101);
    for word in 0..3 {
        let bits = [0x100, 0x200, 0x300].map(|what| gic.get(GICD + what + 4 * word));
        assert_eq!(bits, [if word == 0 { 0b101 } else { 0 }, 0, 0]);
    }
    let interface = [GICC_APR, GICC_BPR, GICC_CTLR, GICC_PMR].map(|at| gic.get(GICC + at));
    assert_eq!(interface, [0, 0, 1, 0xff]);
    assert_eq!(gic.get(GICD), 1);
}

#[test]
fn a_gicv2_is_told_whom_to_call_and_which_call_has_ended() {
    let gic = Fake::default();
    gic.set(GICD + GICD_ITARGETSR, 0x0404_0404);
    assert_eq!(target_v2(&gic, GICD), 0b100);
    signal_v2(&gic, GICD, 0b101, 2);
    assert_eq!(gic.get(GICD + GICD_SGIR), 0x0005_0002);
    // From core 3; the end says so too.
    gic.set(GICC + GICC_IAR, 3 << 10 | 2);
    assert_eq!(acknowledge_v2(&gic, GICC), Some(2));
    assert_eq!(gic.get(GICC + GICC_EOIR), 3 << 10 | 2);
}

#[test]
fn what_is_spurious_is_not_ended() {
    let gic = Fake::default();
    gic.set(GICC + GICC_IAR, 1023);
    assert_eq!(acknowledge_v2(&gic, GICC), None);
    assert_eq!(gic.get(GICC + GICC_EOIR), 0);
}

#[test]
fn registers_that_never_settle_are_not_waited_for_for_ever() {
    struct Stuck;
    impl Registers for Stuck {
        fn read(&self, _: u64) -> u32 {
            ALL
        }
        fn write(&self, _: u64, _: u32) {}
    }
    distributor_v3(&Stuck, GICD);
    assert!(redistributor(&Stuck, GICR, 1));
}

/// A GICv3 of which nothing else may be touched, and which takes its time: a write of these
/// registers is in effect once the one that says so was read a few times.
#[derive(Default)]
struct Slow {
    fake: Fake,
    /// Reads until the distributor's, the redistributor's write is in effect, and until
    /// its children are awake.
    left: RefCell<[u32; 3]>,
    reads: RefCell<u32>,
}

impl Slow {
    fn known(address: u64) {
        let distributor = (GICD..GICD + 0x1_0000).contains(&address);
        let redistributor = (GICR..GICR + 0x2_0000).contains(&address);
        assert!(distributor || redistributor, "{address:#x}");
    }

    /// Which of the three a register tells, and by which bits.
    fn told(address: u64) -> Option<(usize, u32)> {
        match address {
            GICD => Some((0, CTLR_RWP)),
            GICR => Some((1, GICR_RWP)),
            _ if address == GICR + GICR_WAKER => Some((2, CHILDREN_ASLEEP)),
            _ => None,
        }
    }
}

impl Registers for Slow {
    fn read(&self, address: u64) -> u32 {
        Self::known(address);
        *self.reads.borrow_mut() += 1;
        let Some((which, bits)) = Self::told(address) else {
            return self.fake.get(set_of(address).unwrap_or(address));
        };
        let left = &mut self.left.borrow_mut()[which];
        let busy = *left > 0;
        *left = left.saturating_sub(1);
        self.fake.get(address) & !bits | if busy { bits } else { 0 }
    }

    fn write(&self, address: u64, value: u32) {
        Self::known(address);
        let own = GICR + SGI_FRAME;
        let disables = |base: u64| (base + 0x180..base + 0x200).contains(&address);
        let mut left = self.left.borrow_mut();
        if address >= GICR && address != GICR + GICR_WAKER {
            assert_eq!(left[2], 0, "{address:#x}: asleep");
        }
        // Many may be disabled before the first is in effect, and nothing else done.
        if address == GICD || (address > GICR && !disables(own)) {
            let which = usize::from(address != GICD);
            assert_eq!(left[which], 0, "{address:#x}: too early");
        }
        if address == GICD && value & CTLR_GROUPS != 0 {
            assert_ne!(self.fake.get(GICD) & CTLR_ARE, 0, "no affinity routing yet");
        }
        match Self::told(address) {
            Some((which, _)) => left[which] = 4,
            None if disables(GICD) => left[0] = 4,
            None if disables(own) => left[1] = 4,
            None => {}
        }
        match Self::told(address) {
            Some(_) => self.fake.set(address, value),
            None => self.fake.write(address, value),
        }
    }
}

#[test]
fn what_takes_its_time_is_waited_for_and_nothing_else_is_touched() {
    let gic = Slow::default();
    gic.fake.set(GICD + GICD_TYPER, 5);
    for before in [CTLR_GROUPS, CTLR_GROUPS | CTLR_ARE] {
        gic.fake.set(GICD, before);
        distributor_v3(&gic, GICD);
        assert_eq!(*gic.left.borrow(), [0; 3]);
        assert_eq!(gic.fake.get(GICD), CTLR_ARE | CTLR_GROUP_1);
    }
    // Its other bits are the implementation's.
    gic.fake.set(GICR + GICR_WAKER, PROCESSOR_SLEEP | 1 << 31);
    gic.fake.set(GICR, GICR_LPIS);
    assert!(redistributor(&gic, GICR, 0b1));
    assert_eq!(*gic.left.borrow(), [0; 3]);
    assert_eq!(gic.fake.get(GICR + GICR_WAKER), 1 << 31);
    quiet_distributor(&gic, GICD);
    assert_eq!(*gic.left.borrow(), [0; 3]);
    assert_eq!(gic.fake.get(GICD), CTLR_ARE);
    // Each goes over the interconnect.
    assert!(*gic.reads.borrow() < 100, "{:?}", gic.reads);
}

#[test]
fn a_gicv2_is_set_up_in_its_own_registers() {
    for (typer, groups) in [(0, 0), (TYPER_SECURITY, 0x55)] {
        let gic = Fake::default();
        gic.set(GICD + GICD_TYPER, typer);
        gic.set(GICD + GICD_IGROUPR, 0x55);
        interface_v2(&gic, GICD, GICC, 0b11);
        assert_eq!(gic.get(GICD + GICD_IGROUPR), groups, "the secure world's");
        for word in 0..8 {
            assert_eq!(gic.get(GICD + GICD_IPRIORITYR + 4 * word), PRIORITIES);
        }
        for word in 0..4 {
            assert_eq!(gic.get(GICD + GICD_CPENDSGIR + 4 * word), ALL);
        }
        let words = gic.words.borrow();
        assert!(words.keys().all(|at| (GICD..GICC + 0x2000).contains(at)));
    }
}

#[test]
fn an_interface_is_quiet_and_an_interrupt_on_only_if_it_says_so() {
    struct Nothing;
    impl Registers for Nothing {
        fn read(&self, _: u64) -> u32 {
            0
        }
        fn write(&self, _: u64, _: u32) {}
    }
    let gic = Fake::default();
    gic.set(GICC, 1);
    quiet_interface_v2(&gic, GICC);
    assert_eq!(gic.get(GICC), 0);
    assert!(enable(&gic, GICD, 0b100));
    assert_eq!(gic.get(GICD + GICD_ISENABLER), 0b100);
    assert!(!enable(&gic, GICD, 0));
    assert!(!enable(&Nothing, GICD, 0b100));
}
