//! Arm's coherent mesh. Its root node lists the crosspoints, each crosspoint the nodes at
//! its ports: DVM nodes, whose events a monitor at the crosspoint (DTM) counts in 16 bits,
//! and the controllers (DTC), whose counters of 32 bits take what overflows there.

use alloc::vec::Vec;
use core::cell::Cell;

use super::{COUNTERS, IN_USE, Registers, UNREADABLE, Why};

// Of every node: first what it is; where its children are listed.
const CHILD_INFO: u64 = 0x80;
/// A child that belongs to another component, which may be without power.
const EXTERNAL: u64 = 1 << 31;
/// A child's offset in the region.
const CHILD: u64 = (1 << 30) - 1;

// Types of nodes.
const DVM: u64 = 1;
const ROOT: u64 = 2;
const DTC: u64 = 3;
const CROSSPOINT: u64 = 6;

// Of the root node.
const PERIPHERAL_ID_01: u64 = 0x8;
const PERIPHERAL_ID_23: u64 = 0x10;
const INFO_GLOBAL: u64 = 0x900;
/// Ports may be shut off, and whoever reads behind one hangs.
const ISOLATION: u64 = 1 << 44;
/// A crosspoint has a monitor for each two ports.
const MONITORS: u64 = 1 << 63;

// Of a monitor: its configuration and its counters, one beside the other.
const DTM_CONFIG: u64 = 0x210;
const DTM_COUNTERS: u64 = 0x220;
/// The next monitor of a crosspoint.
const DTM_STEP: u64 = 0x200;
/// The configuration's bits that say that a counter is in use.
const PAIRED: u64 = 0xf0;

// Of a controller: it is on; its counters, two in each register; they count.
const DTC_CONTROL: u64 = 0xa00;
const DTC_COUNTERS: [u64; 2] = [0x0, 0x10];
const DTC_PMCR: u64 = 0x100;

/// A mesh is at most twelve by twelve.
const MAX_CROSSPOINTS: u64 = 144;
/// What one crosspoint has behind its six ports, and more.
const MAX_CHILDREN: u64 = 128;
/// The most DVM nodes, and the most controllers, that are read.
const MOST: usize = 16;

const TOO_MANY: &str = "a node lists more than a mesh has";
const NUMBER: &str = "not 1 to 16 DVM nodes and controllers";

/// What differs between the products.
#[derive(PartialEq, Eq, Debug)]
struct Product {
    /// The part number that the root node has.
    part: u64,
    name: &'static str,
    /// The events of a DVM node that are counted, by their numbers; named in
    /// [`super::told`].
    events: u32,
    /// Have crosspoints more than two ports, and from where are the further ones told?
    ports: Option<u64>,
}

const NEWER: u32 = 0x0c_0a_09_05;

const PRODUCTS: [Product; 5] = [
    Product {
        part: 0x434,
        name: "cmn-600",
        events: 0x05_04_02_01,
        ports: None,
    },
    Product {
        part: 0x436,
        name: "cmn-650",
        events: NEWER,
        ports: None,
    },
    Product {
        part: 0x43a,
        name: "ci-700",
        events: NEWER,
        ports: Some(0x28),
    },
    Product {
        part: 0x43c,
        name: "cmn-700",
        events: NEWER,
        ports: Some(0x18),
    },
    Product {
        part: CMN_S3,
        name: "cmn-s3",
        events: NEWER,
        ports: Some(0x18),
    },
];

const CMN_S3: u64 = 0x43e;

/// A mesh whose counters run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Cmn {
    product: &'static Product,
    /// The monitors that count.
    monitors: Vec<u64>,
    /// The controllers' PMU registers.
    controllers: Vec<u64>,
}

/// A DVM node: its selection of events, its monitor, the monitor's configuration.
struct Node {
    events: u64,
    monitor: u64,
    config: u64,
}

/// Registers that are asked for nothing more once one could not be read, which is kept;
/// they are all zero from then on.
struct Careful<'a, R> {
    registers: &'a R,
    failed: Cell<Option<u64>>,
}

impl<R: Registers> Careful<'_, R> {
    #[inline(never)]
    fn read(&self, offset: u64) -> u64 {
        if self.failed.get().is_some() {
            return 0;
        }
        self.registers.read(offset).unwrap_or_else(|| {
            self.failed.set(Some(offset));
            0
        })
    }
}

impl Cmn {
    /// Finds the DVM nodes below the root at this offset, and has them counted.
    pub(super) fn start(registers: &impl Registers, root: u64, taken: bool) -> Result<Self, Why> {
        let registers = Careful {
            registers,
            failed: Cell::new(None),
        };
        let started = Self::find(&registers, root, taken);
        match registers.failed.get() {
            Some(at) => Err((UNREADABLE, at)),
            None => started,
        }
    }

    fn find(registers: &Careful<'_, impl Registers>, root: u64, taken: bool) -> Result<Self, Why> {
        let read = |offset| registers.read(offset);
        let children = |node: u64, most: u64| {
            let info = read(node + CHILD_INFO);
            let (count, list) = (info & 0xffff, info >> 16 & 0xffff);
            if count > most {
                return Err((TOO_MANY, node));
            }
            Ok((0..count as usize).map(move |nth| node + list + 8 * nth as u64))
        };
        if read(root) & 0xffff != ROOT {
            return Err(("no root node", root));
        }
        let id = read(root + PERIPHERAL_ID_01);
        let part = id & 0xff | id >> 32 << 8 & 0xf00;
        let product = PRODUCTS.iter().find(|product| product.part == part);
        let product = product.ok_or(("a part that is not known", part))?;
        let global = read(root + INFO_GLOBAL);
        if global & ISOLATION != 0 {
            return Err(("ports may be shut off, and reading behind one hangs", root));
        }
        let revision = read(root + PERIPHERAL_ID_23) >> 4 & 0xf;
        let (pmu, dtm) = match (part, revision) {
            (CMN_S3, 2..) => (0xd900, 0xa000),
            (CMN_S3, _) => (0xd900, 0xd900),
            _ => (0x2000, 0x2000),
        };
        let mut nodes: Vec<Node> = Vec::new();
        let mut controllers: Vec<u64> = Vec::new();
        // The first by its logical number governs the others.
        let mut governing = (u64::MAX, 0);
        let crosspoints = children(root, MAX_CROSSPOINTS)?;
        let alone = crosspoints.len() == 1;
        for entry in crosspoints {
            let crosspoint = read(entry) & CHILD;
            if read(crosspoint) & 0xffff != CROSSPOINT {
                return Err(("no crosspoint", crosspoint));
            }
            let mut further = false;
            for port in 0..4 {
                if let Some(first) = product.ports {
                    further |= read(crosspoint + first + 8 * port) as u32 != 0;
                }
            }
            let (port_bits, device_bits) = match (alone, further) {
                (true, _) => (3, 2),
                (_, true) => (2, 1),
                _ => (1, 2),
            };
            for entry in children(crosspoint, MAX_CHILDREN)? {
                let child = read(entry);
                // Some crosspoints list more than they have: those are zero.
                if child & EXTERNAL != 0 || child == 0 {
                    continue;
                }
                let child = child & CHILD;
                let info = read(child);
                let id = info >> 16;
                match info & 0xffff {
                    DVM => {
                        let device = id & ((1 << device_bits) - 1);
                        let mut port = id >> device_bits & ((1 << port_bits) - 1);
                        let mut monitor = crosspoint + dtm;
                        if global & MONITORS != 0 {
                            monitor += DTM_STEP * (port / 2);
                            port %= 2;
                        }
                        let input = 0x10 + (port << 4) + (device << 2);
                        // Each counter: its input, the global counter of the same number.
                        let config = 0x3210_00f1 | (input * 0x0101_0101 + 0x0302_0100) << 32;
                        if !nodes.iter().any(|node| node.monitor == monitor) {
                            nodes.push(Node {
                                events: child + pmu,
                                monitor,
                                config,
                            });
                        }
                    }
                    DTC => {
                        let controller = (id >> 16 & 0xffff, child);
                        governing = governing.min(controller);
                        if !controllers.contains(&(child + pmu)) {
                            controllers.push(child + pmu);
                        }
                    }
                    _ => {}
                }
            }
        }
        let few = 1..=MOST;
        if !few.contains(&nodes.len()) || !few.contains(&controllers.len()) {
            return Err((NUMBER, root));
        }
        let (_, governing) = governing;
        // Everything that is written to is read before: it is there.
        for node in &nodes {
            let config = read(node.monitor + DTM_CONFIG);
            // As an earlier boot has left it, it is nobody's.
            if !taken && config & PAIRED != 0 && config != node.config {
                return Err((IN_USE, node.monitor));
            }
            read(node.monitor + DTM_COUNTERS);
            read(node.events);
        }
        for controller in &controllers {
            for at in DTC_COUNTERS {
                read(controller + at);
            }
        }
        let on = read(governing + DTC_CONTROL);
        let counting = read(governing + pmu + DTC_PMCR);

        if registers.failed.get().is_some() {
            return Err((UNREADABLE, root));
        }
        let registers = registers.registers;
        for node in &nodes {
            // All that is in the node's tracker counts as its occupancy, not only syncs.
            registers.write(node.events, product.events.into());
            registers.write(node.monitor + DTM_CONFIG, node.config);
        }
        for controller in &controllers {
            for at in DTC_COUNTERS {
                registers.write(controller + at, 0);
            }
        }
        registers.write(governing + DTC_CONTROL, on | 1);
        registers.write(governing + pmu + DTC_PMCR, counting | 1);
        Ok(Self {
            product,
            monitors: nodes.iter().map(|node| node.monitor).collect(),
            controllers,
        })
    }

    pub(super) const fn name(&self) -> &'static str {
        self.product.name
    }

    /// The counters of all DVM nodes together, as Linux gives them: what the monitors hold,
    /// and above that what overflowed into the controllers' counters.
    pub(super) fn read(&self, registers: &impl Registers) -> [u64; COUNTERS] {
        let mut high = self.overflowed(registers);
        let mut low = [0; COUNTERS];
        // An overflow between the two belongs to neither: once more. One that is still on
        // its way through the mesh is not seen by this.
        for _ in 0..4 {
            low = [0; COUNTERS];
            for monitor in &self.monitors {
                let counters = registers.read(monitor + DTM_COUNTERS).unwrap_or(0);
                for (nth, low) in low.iter_mut().enumerate() {
                    *low += counters >> (16 * nth) & 0xffff;
                }
            }
            let again = self.overflowed(registers);
            if again == high {
                break;
            }
            high = again;
        }
        core::array::from_fn(|nth| (high[nth] << 16) + low[nth])
    }

    fn overflowed(&self, registers: &impl Registers) -> [u64; COUNTERS] {
        let mut sums = [0; COUNTERS];
        for controller in &self.controllers {
            for (pair, at) in DTC_COUNTERS.iter().enumerate() {
                let counters = registers.read(controller + at).unwrap_or(0);
                sums[2 * pair] += counters & 0xffff_ffff;
                sums[2 * pair + 1] += counters >> 32;
            }
        }
        sums
    }
}
