//! Machines modelled on vendors' own: what their redistributors say, frame by frame. Looking
//! at anything that is not there is a data abort on silicon, and a panic here.

use alloc::{collections::BTreeMap, vec, vec::Vec};

use super::*;
use crate::platform::Start;

/// The frames of a machine, by address.
struct Machine(BTreeMap<u64, Frame>);

/// Four cores a cluster: the `nth` of a socket or die.
const fn affinity(socket: u64, nth: u64) -> u64 {
    (socket << 16) | ((nth / 4) << 8) | (nth % 4)
}

/// GICR_PIDR2 of a GICv3.
const V3: u32 = 0x3b;

impl Machine {
    fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// A redistributor at `at`; `flags` are GICR_TYPER's low bits.
    fn add(&mut self, at: u64, affinity: u64, flags: u64) {
        let typer = affinity << 32 | flags;
        self.0.insert(at, Frame { typer, pidr2: V3 });
    }

    fn look(&self, at: u64) -> Frame {
        let frame = self.0.get(&at);
        *frame.unwrap_or_else(|| panic!("nothing answers at {at:#x}"))
    }

    fn find(&self, gic: &GicV3, mpidr: u64) -> Option<u64> {
        gic.redistributor(&gic.frames(|at| self.look(at)), mpidr)
    }
}

fn many(base: u64, size: u64) -> Redistributors {
    Redistributors {
        region: Region { base, size },
        single: false,
    }
}

fn single(base: u64) -> Redistributors {
    Redistributors {
        region: Region { base, size: FRAMES },
        single: true,
    }
}

fn gic(base: u64, gicr: Vec<Redistributors>) -> GicV3 {
    GicV3 {
        gicd: Region {
            base,
            size: 0x1_0000,
        },
        gicr,
        stride: None,
        by_socket: false,
    }
}

/// An S2500 of two sockets: 64 cores each, Aff1 0 to 15 and Aff0 0 to 3, socket in
/// Aff2; `TYPER` carries only Aff1.Aff0, and four frames that belong to no core follow, of
/// which only the last has Last.
fn s2500() -> (Machine, GicV3) {
    let mut machine = Machine::new();
    let region = |socket: u64| many(socket << 41 | 0x2980_0000, 0x88_0000);
    for socket in 0..2_u64 {
        for nth in 0..68_u64 {
            let at = region(socket).region.base + nth * FRAMES;
            let affinity = if nth < 64 { affinity(0, nth) } else { 0xffff };
            machine.add(at, affinity, if nth == 67 { TYPER_LAST } else { 0 });
        }
    }
    let gic = GicV3 {
        by_socket: true,
        ..gic(0x2900_0000, vec![region(0), region(1)])
    };
    (machine, gic)
}

#[test]
fn s2500_tells_sockets_apart_by_address() {
    let (machine, gic) = s2500();
    for socket in 0..2_u64 {
        for nth in 0..64_u64 {
            let mpidr = affinity(socket, nth);
            let frame = (socket << 41 | 0x2980_0000) + nth * FRAMES;
            assert_eq!(machine.find(&gic, mpidr), Some(frame), "{mpidr:#x}");
        }
    }
    // Whichever region the description names first.
    let turned = GicV3 {
        gicr: gic.gicr.iter().rev().copied().collect(),
        ..gic
    };
    assert_eq!(machine.find(&turned, 0x103), Some(0x2980_0000 + 7 * FRAMES));
    // A socket that is not there has none, and is not given another's.
    assert_eq!(machine.find(&turned, 0x2_0103), None);
    assert_eq!(machine.find(&turned, 0x1000), None);
}

#[test]
fn s2500_that_knows_its_sockets_is_fine_too() {
    let mut machine = Machine::new();
    machine.add(0x2980_0000, 0, TYPER_LAST);
    machine.add(0x2a80_0000, 0x1_0000, TYPER_LAST);
    let gic = GicV3 {
        by_socket: true,
        ..gic(
            0x2900_0000,
            vec![many(0x2980_0000, FRAMES), many(0x2a80_0000, FRAMES)],
        )
    };
    assert_eq!(machine.find(&gic, 0x1_0000), Some(0x2a80_0000));
}

#[test]
fn without_the_quirk_all_of_the_affinity_counts() {
    let (machine, gic) = s2500();
    let plain = GicV3 {
        by_socket: false,
        ..gic
    };
    assert_eq!(machine.find(&plain, 0x103), Some(0x2980_0000 + 7 * FRAMES));
    assert_eq!(machine.find(&plain, 0x1_0103), None);
}

#[test]
fn s2500_has_a_distributor_in_each_socket_that_has_cores() {
    let (_, gic) = s2500();
    let cpus: Vec<Cpu> = [0x0, 0x103, 0x1_0000, 0x1_0f03, 0x3_0000]
        .map(|mpidr| Cpu::new(mpidr, Start::Psci))
        .into();
    let bases: Vec<u64> = gic.distributors(&cpus).iter().map(|r| r.base).collect();
    assert_eq!(bases, [0x2900_0000, 0x200_2900_0000, 0x600_2900_0000]);
    let plain = GicV3 {
        by_socket: false,
        ..gic
    };
    assert_eq!(plain.distributors(&cpus), [plain.gicd]);
}

/// A Kunpeng 920 whose MADT names 24 of the 32 cores of a die, each by a GICC
/// structure and no GICR: frames 0x40000 apart (VLPIS), Last in the die's 32nd.
#[test]
fn kunpeng_920_is_looked_at_frame_by_frame() {
    let mut machine = Machine::new();
    let mut gicr = Vec::new();
    for die in 0..2_u64 {
        let base = die << 30 | 0xae10_0000;
        for nth in 0..24_u64 {
            let own = affinity(die + 1, nth);
            machine.add(base + nth * FRAMES_V4, own, TYPER_VLPIS);
            gicr.push(single(base + nth * FRAMES_V4));
        }
    }
    let gic = gic(0xae00_0000, gicr);
    // The second die's: the walk must not run behind the first die's 24th frame.
    assert_eq!(machine.find(&gic, 0x2_0000), Some(0xee10_0000));
    assert_eq!(
        machine.find(&gic, 0x2_0503),
        Some(0xee10_0000 + 23 * FRAMES_V4)
    );
    assert_eq!(
        machine.find(&gic, 0x1_0501),
        Some(0xae10_0000 + 21 * FRAMES_V4)
    );
    assert_eq!(machine.find(&gic, 0x3_0000), None);
}

/// HIP07: GICv3 by its identification, with frames for virtual LPIs, 0x40000 apart
/// by property; 16 cores a region, and no frame says Last.
#[test]
fn hip07_steps_by_its_property_and_stops_at_the_end() {
    let bases = [
        0x4d10_0000,
        0x6d10_0000,
        0x400_4d10_0000,
        0x400_6d10_0000_u64,
    ];
    let gicr = || bases.iter().map(|base| many(*base, 0x40_0000)).collect();
    for (flags, stride) in [
        (0, Some(FRAMES_V4)),
        (TYPER_VLPIS, None),
        (TYPER_VLPIS, Some(FRAMES_V4)),
    ] {
        let mut machine = Machine::new();
        for (nth, base) in bases.iter().enumerate() {
            for core in 0..16_u64 {
                let own = affinity(2 * nth as u64 + 1, core);
                machine.add(base + core * FRAMES_V4, own, flags);
            }
        }
        let gic = GicV3 {
            stride,
            ..gic(0x4d00_0000, gicr())
        };
        assert_eq!(machine.find(&gic, 0x1_0000), Some(0x4d10_0000));
        assert_eq!(machine.find(&gic, 0x7_0303), Some(0x400_6d4c_0000));
        assert_eq!(machine.find(&gic, 0x9_0000), None);
    }
}

#[test]
fn a_region_ends_with_the_frame_that_says_so() {
    let mut machine = Machine::new();
    machine.add(0x80a_0000, 0, 0);
    machine.add(0x80c_0000, 1, TYPER_LAST);
    machine.add(0x4000_0000, 2, TYPER_LAST);
    let gic = gic(
        0x800_0000,
        vec![many(0x80a_0000, 0xf6_0000), many(0x4000_0000, 0x2_0000)],
    );
    assert_eq!(machine.find(&gic, 1), Some(0x80c_0000));
    assert_eq!(machine.find(&gic, 2), Some(0x4000_0000));
    assert_eq!(machine.find(&gic, 3), None);
}

#[test]
fn what_is_no_redistributor_ends_a_region() {
    let mut machine = Machine::new();
    machine.add(0x1000_0000, 0, 0);
    machine.0.insert(
        0x1002_0000,
        Frame {
            typer: 1 << 32,
            pidr2: 0,
        },
    );
    machine.add(0x2000_0000, 2, TYPER_LAST);
    let gic = gic(
        0,
        vec![many(0x1000_0000, 0x10_0000), many(0x2000_0000, FRAMES)],
    );
    assert_eq!(machine.find(&gic, 1), None);
    assert_eq!(machine.find(&gic, 2), Some(0x2000_0000));
}

#[test]
fn the_fourth_affinity_level_counts() {
    let mut machine = Machine::new();
    machine.add(0x1000_0000, 0x0201_0003, 0);
    machine.add(0x1002_0000, 0x0301_0003, TYPER_LAST);
    let gic = gic(0, vec![many(0x1000_0000, 0x4_0000)]);
    assert_eq!(machine.find(&gic, 0x3_0001_0003), Some(0x1002_0000));
}

#[test]
fn odd_tables_neither_wrap_nor_walk_for_ever() {
    let mut machine = Machine::new();
    machine.add(u64::MAX - FRAMES + 1, 7, 0);
    let gic = GicV3 {
        stride: Some(0),
        ..gic(
            0,
            vec![many(u64::MAX - FRAMES + 1, FRAMES), many(0x1000, 0x10)],
        )
    };
    assert_eq!(machine.find(&gic, 1), None);
}

#[test]
fn the_core_of_the_s2500_is_known() {
    assert!(is_ftc663(0x701f_6633));
    assert!(!is_ftc663(0x410f_d0c1));
}

#[test]
fn cores_above_the_sixteenth_of_a_cluster_are_called() {
    assert_eq!(sgi1r(0x0, 0), 1);
    assert_eq!(
        sgi1r(0x3_0001_000f, 2),
        3 << 48 | 1 << 32 | 2 << 24 | 1 << 15
    );
    assert_eq!(sgi1r(0x1_0203, 1), 1 << 32 | 1 << 24 | 2 << 16 | 1 << 3);
    // Aff0 17 is bit 1 of the second sixteen.
    assert_eq!(sgi1r(0x11, 0), 1 << 44 | 1 << 1);
    assert_eq!(sgi1r(0x1f, 0), 1 << 44 | 1 << 15);
}

#[test]
fn spurious_numbers_are_no_interrupts() {
    assert!((0..1020).chain(1024..9000).all(is_interrupt));
    assert!(!(1020..1024).any(is_interrupt));
}

#[test]
fn each_of_eight_sockets_has_its_own_redistributors() {
    let mut machine = Machine::new();
    let at = |socket: u64| socket << 41 | 0x2980_0000;
    for socket in 0..8 {
        machine.add(at(socket), 0, TYPER_LAST);
    }
    let gic = GicV3 {
        by_socket: true,
        ..gic(
            0x2900_0000,
            (0..8).map(|socket| many(at(socket), FRAMES)).collect(),
        )
    };
    assert_eq!(gic.regions(), 8);
    for socket in 0..8 {
        assert_eq!(machine.find(&gic, socket << 16), Some(at(socket)));
    }
}

#[test]
fn neither_another_s_core_of_that_number_nor_its_maker_s_other_cores_are_an_s2500() {
    assert!(!is_ftc663(0x411f_6633));
    assert!(!is_ftc663(0x701f_6623));
}
