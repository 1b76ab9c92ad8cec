//! Meshes made up in memory.

use super::*;
use crate::hex::Hex;
use alloc::{collections::BTreeMap, vec::Vec};
use core::cell::{Cell, RefCell};
use proptest::prelude::*;

/// Registers that are memory; those that a test names cannot be read.
#[derive(Default)]
struct Made {
    words: RefCell<BTreeMap<u64, u64>>,
    size: u64,
    broken: Option<u64>,
    reads: Cell<u64>,
    /// A controller's counter, and what is added to it by each of its next reads.
    overflows: RefCell<Vec<u64>>,
}

impl Registers for Made {
    fn read(&self, offset: u64) -> Option<u64> {
        self.reads.set(self.reads.get() + 1);
        if offset == DTC + 0x2000
            && let Some(more) = self.overflows.borrow_mut().pop()
        {
            *self.words.borrow_mut().entry(offset).or_default() += more;
        }
        let there = offset.is_multiple_of(8) && offset < self.size && self.broken != Some(offset);
        there.then(|| self.at(offset))
    }

    fn write(&self, offset: u64, value: u64) {
        assert!(offset.is_multiple_of(8) && offset < self.size);
        self.words.borrow_mut().insert(offset, value);
    }

    fn read_word(&self, offset: u64) -> Option<u32> {
        self.read(offset & !7)
            .map(|both| (both >> (offset % 8 * 8)) as u32)
    }

    fn write_word(&self, offset: u64, value: u32) {
        let shift = offset % 8 * 8;
        let kept = self.at(offset & !7) & !(0xffff_ffff << shift);
        self.write(offset & !7, kept | u64::from(value) << shift);
    }
}

impl Made {
    fn at(&self, offset: u64) -> u64 {
        self.words.borrow().get(&offset).copied().unwrap_or(0)
    }

    fn set(&self, offset: u64, value: u64) -> &Self {
        self.words.borrow_mut().insert(offset, value);
        self
    }

    /// A node: its type, its number, its logical number, its children.
    fn node(&self, at: u64, info: (u64, u64, u64), children: &[u64]) {
        let (kind, id, logical) = info;
        self.set(at, kind | id << 16 | logical << 32);
        self.set(at + 0x80, children.len() as u64 | 0x100 << 16);
        for (nth, child) in (0..).zip(children) {
            self.set(at + 0x100 + 8 * nth, *child);
        }
    }
}

const ROOT: u64 = 0x10_0000;
const XP: [u64; 2] = [0x20_0000, 0x30_0000];
const DN: u64 = 0x40_0000;
const DTC: u64 = 0x50_0000;
const OTHER: u64 = 0x60_0000;

/// Two crosspoints: a home node and one of another component's at the first, a DVM node
/// and a controller at the second; the DVM node at its port 1, device 2.
fn mesh(part: u64, revision: u64) -> Made {
    let made = Made {
        size: 0x100_0000,
        ..Made::default()
    };
    made.node(ROOT, (2, 0, 0), &XP);
    made.set(ROOT + 8, part & 0xff | (part >> 8) << 32);
    made.set(ROOT + 0x10, revision << 4);
    made.node(XP[0], (6, 0, 0), &[OTHER, 1 << 31 | 0x70_0000, 0]);
    made.node(XP[1], (6, 8, 1), &[DN, DTC]);
    made.node(OTHER, (4, 0, 0), &[]);
    made.node(DN, (1, 8 | 1 << 2 | 2, 0), &[]);
    made.node(DTC, (3, 8, 0), &[]);
    made
}

fn described() -> Described {
    Described {
        kind: Kind::Cmn,
        region: Region {
            base: 0x5000_0000,
            size: 0x100_0000,
        },
        root: ROOT,
    }
}

fn start(made: &Made) -> Result<Witness, Why> {
    Witness::start(made, &described(), false)
}

#[test]
fn each_product_s_dvm_node_is_found_and_counted() {
    // Port 1 and device 2: input 0x28 and the counter's number.
    const CONFIG: u64 = 0x2b2a_2928_3210_00f1;
    for (part, revision, name, events, pmu, dtm) in [
        (0x434, 3, "cmn-600", 0x0504_0201, 0x2000, 0x2000),
        (0x436, 1, "cmn-650", 0x0c0a_0905, 0x2000, 0x2000),
        (0x43a, 1, "ci-700", 0x0c0a_0905, 0x2000, 0x2000),
        (0x43c, 2, "cmn-700", 0x0c0a_0905, 0x2000, 0x2000),
        (0x43e, 1, "cmn-s3", 0x0c0a_0905, 0xd900, 0xd900),
        (0x43e, 2, "cmn-s3", 0x0c0a_0905, 0xd900, 0xa000),
    ] {
        let made = mesh(part, revision);
        let cmn = start(&made).unwrap();
        assert_eq!(cmn.name(), name);
        assert_eq!(made.at(DN + pmu), events, "{name}");
        assert_eq!(made.at(XP[1] + dtm + 0x210), CONFIG, "{name}");
        assert_eq!((made.at(DTC + 0xa00), made.at(DTC + pmu + 0x100)), (1, 1));
        // The crosspoint without a DVM node is left alone.
        assert_eq!(made.at(XP[0] + dtm + 0x210), 0);
        made.set(XP[1] + dtm + 0x220, 0x0004_0003_0002_ffff);
        made.set(DTC + pmu, 7 << 32 | 1)
            .set(DTC + pmu + 0x10, 9 << 32 | 8);
        assert_eq!(
            cmn.read(&made),
            [0x1_ffff, 0x7_0002, 0x8_0003, 0x9_0004],
            "{name}"
        );
        // Once more, as after a reset that the mesh has not seen.
        assert_eq!(start(&made), Ok(cmn));
    }
}

#[test]
fn ports_and_monitors_are_told_apart() {
    // Port 3 of four, device 1, by the second monitor.
    let made = mesh(0x43c, 2);
    made.set(ROOT + 0x900, 1 << 63)
        .set(XP[1] + 0x18, 0x1d)
        .set(DN, 1 | (8 | 3 << 1 | 1) << 16);
    start(&made).unwrap();
    assert_eq!(made.at(XP[1] + 0x2210), 0);
    assert_eq!(
        made.at(XP[1] + 0x2410),
        0x2724_2524_3210_00f1 + 0x0002_0000_0000_0000
    );
    // A mesh of one crosspoint: port 5.
    let made = mesh(0x434, 3);
    made.node(ROOT, (2, 0, 0), &XP[1..]);
    made.set(DN, 1 | (5 << 2) << 16);
    start(&made).unwrap();
    assert_eq!(made.at(XP[1] + 0x2210) >> 32 & 0xff, 0x60);
}

#[test]
fn an_overflow_between_two_reads_is_seen() {
    let made = mesh(0x434, 3);
    let cmn = start(&made).unwrap();
    made.set(XP[1] + 0x2220, 5);
    // While the monitors are read for the first time a counter overflows.
    *made.overflows.borrow_mut() = [0, 1, 0].into();
    assert_eq!(cmn.read(&made), [0x1_0005, 0, 0, 0]);
    // And one that overflows all the time is read all the same.
    *made.overflows.borrow_mut() = [1; 100].into();
    made.reads.set(0);
    cmn.read(&made);
    assert!(made.reads.get() < 20, "{}", made.reads.get());
}

#[test]
fn what_somebody_else_counts_is_left_alone() {
    let made = mesh(0x434, 3);
    made.set(XP[1] + 0x2210, 0x11);
    assert_eq!(start(&made), Err((IN_USE, XP[1] + 0x2000)));
    assert_eq!(made.at(XP[1] + 0x2210), 0x11);
    assert!(Witness::start(&made, &described(), true).is_ok());
    // A monitor that is on, with no counter in use, as Linux leaves one that nobody uses.
    let made = mesh(0x434, 3);
    made.set(XP[1] + 0x2210, 1);
    assert!(start(&made).is_ok());
}

#[test]
fn a_tree_that_is_wrong_is_one_clear_error() {
    type Change = fn(&mut Made);
    let wrong: [(Change, Why); 10] = [
        (
            |m| {
                m.set(ROOT, 6);
            },
            ("no root node", ROOT),
        ),
        (
            |m| {
                m.set(ROOT + 8, 0x99);
            },
            ("a part that is not known", 0x99),
        ),
        (
            |m| {
                m.set(ROOT + 0x900, 1 << 44);
            },
            ("ports may be shut off, and reading behind one hangs", ROOT),
        ),
        (
            |m| {
                m.set(ROOT + 0x80, 145);
            },
            ("a node lists more than a mesh has", ROOT),
        ),
        (
            |m| {
                m.set(XP[0] + 0x80, 0xffff);
            },
            ("a node lists more than a mesh has", XP[0]),
        ),
        // A loop: the root is no crosspoint.
        (
            |m| {
                m.set(ROOT + 0x100, ROOT);
            },
            ("no crosspoint", ROOT),
        ),
        (
            |m| {
                m.set(XP[1] + 0x100, 0x3fff_fff8);
            },
            (UNREADABLE, 0x3fff_fff8),
        ),
        (|m| m.broken = Some(DN), (UNREADABLE, DN)),
        (
            |m| {
                m.set(XP[1] + 0x100, OTHER);
            },
            ("not 1 to 16 DVM nodes and controllers", ROOT),
        ),
        (
            |m| {
                m.set(XP[1] + 0x108, XP[0]);
            },
            ("not 1 to 16 DVM nodes and controllers", ROOT),
        ),
    ];
    for (change, error) in wrong {
        let mut made = mesh(0x434, 3);
        change(&mut made);
        let before = made.words.borrow().clone();
        assert_eq!(start(&made), Err(error));
        assert_eq!(*made.words.borrow(), before, "{error:?}");
    }
    assert!(
        Witness::start(
            &mesh(0x434, 3),
            &Described {
                root: u64::from(u32::MAX),
                ..described()
            },
            false
        )
        .is_err()
    );
}

#[test]
fn the_mn_s_counters_are_started_and_read() {
    let made = Made {
        size: 0x2000,
        ..Made::default()
    };
    let mn = Described {
        kind: Kind::Mn,
        ..described()
    };
    made.set(0x1c00, 0xabcd << 32);
    let witness = Witness::start(&made, &mn, false).unwrap();
    assert_eq!(witness.name(), "hisi-mn");
    assert_eq!((made.at(0x408), made.at(0x1d00)), (1 << 6, 0x8108_0302));
    assert_eq!(made.at(0x1c00), 0xabcd << 32 | 0xf, "the version is kept");
    made.set(0x1e00, 1).set(0x1e08, 2).set(0x1e10, 3);
    made.set(0x1e18, 1 << 47);
    assert_eq!(witness.read(&made), [1, 2, 3, 1 << 47]);
    assert!(Witness::start(&made, &mn, false).is_ok());
    made.set(0x1d00, 0x0102);
    assert_eq!(Witness::start(&made, &mn, false), Err((IN_USE, 0x1c00)));
}

#[test]
fn firmware_s_names() {
    for name in [
        "arm,cmn-600",
        "arm,cmn-650",
        "arm,cmn-700",
        "arm,cmn-s3",
        "arm,ci-700",
    ] {
        assert_eq!(Kind::of_compatible(name), Some(Kind::Cmn));
    }
    for name in ["arm,cci-400", "arm,cmn-60", "mn-600", ""] {
        assert_eq!(Kind::of_compatible(name), None);
    }
    assert_eq!(Kind::of_hid(b"ARMHC003"), Some(Kind::Cmn));
    assert_eq!(Kind::of_hid(b"HISI0222"), Some(Kind::Mn));
    assert_eq!(Kind::of_hid(b"ARMHC501"), None);
}

#[test]
fn what_moved_is_told_in_words() {
    let reading = |waited_ms, counts: [u64; 4]| Reading {
        n: 1,
        of: "cmn-600".into(),
        at: Hex(0x5000_0000),
        waited_ms,
        returned: waited_ms > 3000,
        counts: counts.to_vec(),
    };
    let readings = [
        reading(0, [1, 1, 0, 9]),
        reading(2400, [7, 2, 0, 30]),
        reading(2700, [7, 2, 1, 40]),
        reading(3100, [8, 3, 1, 50]),
    ];
    let spans = Reading::spans(&readings);
    let [(first, last)] = spans[..] else {
        panic!("{spans:?}")
    };
    assert_eq!(
        first.until(last),
        "cmn-600 at 0x50000000, from 2400 to 2700 ms: operations stood still at 7, syncs stood \
         still at 2, retried +1, occupancy +10"
    );
    assert!(Reading::spans(&readings[..2]).is_empty());
    assert!(Reading::spans(&[]).is_empty());
}

proptest! {
    /// Any registers: an answer, soon.
    #[test]
    fn any_registers_are_bounded(words in proptest::collection::vec((0_u64..0x2000, any::<u64>()), 0..40), root in 0_u64..0x400) {
        let made = Made { size: 0x1_0000, ..Made::default() };
        made.set(root * 8, 2).set(root * 8 + 8, 0x34 | 4 << 32);
        for (at, value) in words {
            made.set(at * 8, value);
        }
        let described = Described { root: root * 8, ..described() };
        if let Ok(witness) = Witness::start(&made, &described, true) {
            witness.read(&made);
        }
        prop_assert!(made.reads.get() < 144 * 140 * 4);
    }
}

#[test]
fn each_pair_of_ports_has_its_monitor() {
    // (Port, device) of one of several crosspoints, and of one alone, which has six ports.
    for (alone, port, device) in [
        (false, 0, 0),
        (false, 1, 1),
        (false, 2, 0),
        (false, 3, 1),
        (true, 2, 3),
        (true, 4, 0),
        (true, 5, 2),
    ] {
        let made = mesh(0x43c, 2);
        made.set(ROOT + 0x900, 1 << 63).set(XP[1] + 0x18, 0x1d);
        if alone {
            made.node(ROOT, (2, 0, 0), &XP[1..]);
        }
        let shift = if alone { 2 } else { 1 };
        made.set(DN, 1 | (port << shift | device) << 16);
        start(&made).unwrap();
        for monitor in 0..3 {
            let config = made.at(XP[1] + 0x2210 + 0x200 * monitor);
            let expected = match monitor == port / 2 {
                true => 0x10 + ((port % 2) << 4) + (device << 2),
                false => 0,
            };
            assert_eq!(config >> 32 & 0xff, expected, "port {port}");
        }
    }
}

#[test]
fn of_two_nodes_at_a_monitor_the_first_is_counted() {
    let second = 0x80_0000;
    let with = |global: u64| {
        let made = mesh(0x43c, 2);
        made.set(ROOT + 0x900, global).set(XP[1] + 0x18, 0x1d);
        made.node(XP[1], (6, 8, 1), &[DN, second, DTC]);
        made.node(DN, (1, 0, 0), &[]);
        made.node(second, (1, 2 << 1, 1), &[]);
        start(&made).unwrap();
        [DN, second].map(|node| made.at(node + 0x2000) != 0)
    };
    assert_eq!(with(0), [true, false]);
    assert_eq!(with(1 << 63), [true, true], "each port has its own");
}

#[test]
fn the_first_controller_by_its_number_governs_each_is_read_once() {
    let first = 0x80_0000;
    let made = mesh(0x434, 3);
    made.node(XP[1], (6, 8, 1), &[DN, DTC, first, DTC]);
    made.node(DTC, (3, 8, 1), &[]);
    made.node(first, (3, 9, 0), &[]);
    let cmn = start(&made).unwrap();
    let on = |at| (made.at(at + 0xa00), made.at(at + 0x2100));
    assert_eq!((on(DTC), on(first)), ((0, 0), (1, 1)));
    made.set(DTC + 0x2000, 1).set(first + 0x2000, 2 << 32 | 1);
    assert_eq!(cmn.read(&made), [2 << 16, 2 << 16, 0, 0]);
    // What is on stays on, with all else that is set there; what was counted is gone.
    made.set(first + 0xa00, 0x101).set(first + 0x2100, 0x41);
    made.set(DTC + 0x2010, 7);
    start(&made).unwrap();
    assert_eq!(on(first), (0x101, 0x41));
    assert_eq!(cmn.read(&made), [0; COUNTERS]);
}

#[test]
fn nothing_is_written_unless_all_of_it_can_be_read() {
    let counts = [DTC + 0x2000, DTC + 0x2010];
    let others = [DTC + 0xa00, DTC + 0x2100, DN + 0x2000];
    let monitor = [XP[1] + 0x2210, XP[1] + 0x2220];
    for at in counts.into_iter().chain(others).chain(monitor) {
        let mut made = mesh(0x434, 3);
        made.broken = Some(at);
        let before = made.words.borrow().clone();
        assert_eq!(start(&made), Err((UNREADABLE, at)));
        assert_eq!(*made.words.borrow(), before, "{at:#x}");
    }
    // Another component's node is not asked, nor one that is listed and not there.
    for at in [0x70_0000, 0] {
        let mut made = mesh(0x434, 3);
        made.broken = Some(at);
        assert!(start(&made).is_ok(), "{at:#x}");
    }
}

#[test]
fn the_largest_mesh_is_read() {
    let mut made = mesh(0x434, 3);
    made.size = 0x1000_0000;
    let all: Vec<u64> = (0..144).map(|nth| 0x100_0000 + 0x1_0000 * nth).collect();
    for at in &all {
        made.node(*at, (6, 0, 0), &[]);
    }
    let full: Vec<u64> = [DN, DTC].into_iter().chain([OTHER; 126]).collect();
    made.node(all[143], (6, 8, 1), &full);
    made.node(ROOT, (2, 0, 0), &all);
    assert!(start(&made).is_ok());
    assert_ne!(made.at(all[143] + 0x2210), 0);
}

#[test]
fn an_mn_that_counts_for_nobody_is_taken() {
    let mn = Described {
        kind: Kind::Mn,
        ..described()
    };
    // Another's events: not while they count.
    for (control, counting, free) in [(0, 1, true), (1 << 6, 0, true), (1 << 6, 1, false)] {
        let made = Made {
            size: 0x2000,
            ..Made::default()
        };
        made.set(0x408, control).set(0x1c00, counting);
        made.set(0x1d00, 0x0102);
        let started = Witness::start(&made, &mn, false);
        assert_eq!(started.is_ok(), free, "{control} {counting}");
        assert!(Witness::start(&made, &mn, true).is_ok());
    }
}

#[test]
fn counters_have_their_names_and_a_late_reading_says_so() {
    let reading = |of: &str, returned| Reading {
        n: 1,
        of: of.into(),
        at: Hex(0x5000_0000),
        waited_ms: 2400,
        returned,
        counts: [4, 3, 2, 1].into(),
    };
    let names = |of: &str| -> Vec<_> { reading(of, false).named().map(|(name, _)| name).collect() };
    assert_eq!(
        names("hisi-mn"),
        ["operations", "syncs", "sync snoops", "sync latency"]
    );
    assert_eq!(names("cmn-600")[..2], ["operations", "syncs"]);
    assert_eq!(names("cmn-700")[..2], ["syncs", "snoops"]);
    // Only where the operation had returned, as reports of before have it not at all.
    for (returned, said) in [(false, false), (true, true)] {
        let reading = reading("cmn-600", returned);
        let text = serde_json::to_string(&reading).unwrap();
        assert_eq!(text.contains("\"returned\":true"), said, "{text}");
        assert_eq!(text.contains("returned"), said, "{text}");
        let again: Reading = serde_json::from_str(&text).unwrap();
        assert_eq!(again, reading);
    }
}
