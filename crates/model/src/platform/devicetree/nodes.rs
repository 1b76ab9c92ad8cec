//! The nodes of a device tree, one by one: cores, memory, controllers, UARTs.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use dtoolkit::{
    Node, Property,
    fdt::FdtNode,
    standard::{NodeStandard, Status},
};

use crate::{
    framebuffer::Framebuffer,
    platform::{
        Conduit, Cpu, Gic, GicV3, PsciFunctions, Redistributors, Region, Start, Uart, UartKind,
        Watchdog, uarts::ROWS,
    },
    property::{number, text},
    ramoops::Ramoops,
    witness::{Described, Kind},
};

/// Nodes deeper than this are passed over: real trees have a handful of levels.
const MAX_DEPTH: usize = 16;

/// What the walk has found so far.
#[derive(Default)]
pub(super) struct Found {
    pub(super) cpus: Vec<Cpu>,
    /// The cores' phandles, by which the `cpu-map` names them.
    pub(super) phandles: Vec<Option<u32>>,
    pub(super) gic: Option<Gic>,
    pub(super) psci: Option<Conduit>,
    pub(super) psci_functions: Option<PsciFunctions>,
    pub(super) suspend: Vec<u32>,
    pub(super) sdei: bool,
    pub(super) uarts: Vec<(String, Uart)>,
    pub(super) memory: Vec<Region>,
    pub(super) reserved: Vec<Region>,
    pub(super) ramoops: Option<Ramoops>,
    pub(super) framebuffer: Option<Framebuffer>,
    pub(super) watchdog: Option<Watchdog>,
    pub(super) witnesses: Vec<Described>,
    pub(super) notes: Vec<String>,
}

impl Found {
    /// Looks at every node of a tree.
    pub(super) fn of(root: FdtNode<'_>) -> Self {
        let mut found = Self::default();
        walk(root, &mut Vec::new(), &mut found);
        found
    }
}

/// A node on the way down: its name, and how addresses below it become addresses above it;
/// with no ranges, they do not.
struct Bus<'a> {
    node: FdtNode<'a>,
    name: &'a str,
    ranges: Vec<(u64, u64, u64)>,
    identity: bool,
}

impl<'a> Bus<'a> {
    fn of(node: &FdtNode<'a>, is_root: bool) -> Self {
        let ranges = node.property("ranges");
        let identity = is_root || ranges.is_some_and(|p| p.value().is_empty());
        let ranges = node.ranges().ok().flatten().map(|ranges| {
            let each = ranges.filter_map(|r| {
                Some((
                    r.child_bus_address().ok()?,
                    r.parent_bus_address().ok()?,
                    r.length().ok()?,
                ))
            });
            each.collect()
        });
        Self {
            node: *node,
            name: node.name(),
            ranges: ranges.unwrap_or_default(),
            identity,
        }
    }
}

fn walk<'a>(node: FdtNode<'a>, path: &mut Vec<Bus<'a>>, found: &mut Found) {
    if path.len() > MAX_DEPTH {
        return;
    }
    // A node that is not "okay" does not count, except cores: firmware may mark those that
    // it has not started as disabled.
    let okay = matches!(node.status(), Ok(Status::Okay));
    visit(&node, okay, path, found);
    if !okay {
        return;
    }
    let mut children = node.children().peekable();
    if children.peek().is_none() {
        return;
    }
    path.push(Bus::of(&node, path.is_empty()));
    for child in children {
        walk(child, path, found);
    }
    path.pop();
}

/// The node's `reg` entries as physical addresses; entries that no bus above
/// passes on are left out.
fn regions(node: &FdtNode<'_>, path: &[Bus<'_>]) -> Vec<Region> {
    let Ok(Some(entries)) = node.reg() else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let mut base: u64 = entry.address().ok()?;
            let size = entry.size().unwrap_or(0);
            for bus in path.iter().rev() {
                if bus.identity {
                    continue;
                }
                let (child, parent, _) = bus
                    .ranges
                    .iter()
                    .find(|(child, _, length)| base >= *child && base - child < *length)?;
                base = parent.checked_add(base - child)?;
            }
            Some(Region { base, size })
        })
        .collect()
}

/// The memory that a node is about: what its `memory-region` names below
/// `/reserved-memory`, which counts before its `reg`, if it has both.
fn memory_of(node: &FdtNode<'_>, path: &[Bus<'_>]) -> Result<Region, &'static str> {
    let Some(property) = node.property("memory-region") else {
        return regions(node, path).first().copied().ok_or("no reg");
    };
    let named = property.value().first_chunk().copied();
    let named = named.map(u32::from_be_bytes);
    let find = || {
        let root = path.first()?.node;
        let reserved = root.child("reserved-memory")?;
        let mut all = reserved.children();
        let region = all.find(|child| named.is_some() && phandle(child) == named)?;
        let path = [Bus::of(&root, true), Bus::of(&reserved, false)];
        regions(&region, &path).first().copied()
    };
    find().ok_or("its memory-region has no place")
}

/// The number by which other nodes name this one.
fn phandle(node: &FdtNode<'_>) -> Option<u32> {
    let number = number(node, "phandle").or_else(|| number(node, "linux,phandle"))?;
    u32::try_from(number).ok()
}

fn visit(node: &FdtNode<'_>, okay: bool, path: &[Bus<'_>], found: &mut Found) {
    // Looked up once, as there are many names to compare it with.
    let compatible: Vec<&str> = node.compatible().into_iter().flatten().collect();
    let is = |names: &[&str]| compatible.iter().any(|name| names.contains(name));
    let device_type = node
        .property("device_type")
        .and_then(|p| p.value_as::<&str>().ok());
    let parent = path.last().map_or("", |bus| bus.name);

    if device_type == Some("cpu") || (parent == "cpus" && node.name_without_address() == "cpu") {
        visit_cpu(node, okay, found);
        return;
    }
    if !okay {
        return;
    }
    if device_type == Some("memory") {
        found
            .memory
            .extend(regions(node, path).into_iter().filter(|r| r.size > 0));
    } else if parent == "reserved-memory" {
        let memory = regions(node, path);
        if let ([region], true) = (&memory[..], is(&["ramoops"])) {
            found.ramoops = Some(Ramoops::of_node(node, *region));
        }
        found.reserved.extend(memory);
    } else if is(&["ramoops"]) {
        match memory_of(node, path) {
            Ok(region) => {
                // Linux looks below /reserved-memory first.
                let old = || Ramoops::of_old_node(node, region);
                found.ramoops.get_or_insert_with(old);
                found.reserved.push(region);
            }
            Err(why) => found
                .notes
                .push(format!("{}: {why}, so no log is left there", node.name())),
        }
    } else if is(&["simple-framebuffer"]) {
        visit_framebuffer(node, path, found);
    } else if is(&["arm,idle-state"]) {
        let state = number(node, "arm,psci-suspend-param");
        found
            .suspend
            .extend(state.and_then(|s| u32::try_from(s).ok()));
    } else if is(&["arm,sdei-1.0"]) {
        found.sdei = true;
    } else if is(&["arm,psci", "arm,psci-0.2", "arm,psci-1.0"]) {
        found.psci = match node
            .property("method")
            .and_then(|p| p.value_as::<&str>().ok())
        {
            Some("smc") => Some(Conduit::Smc),
            Some("hvc") => Some(Conduit::Hvc),
            other => {
                found.notes.push(format!(
                    "psci: method '{}' is neither smc nor hvc; PSCI is not used",
                    other.unwrap_or_default()
                ));
                None
            }
        };
        // A node that also names 0.2 or later has the standard numbers.
        found.psci_functions = (!is(&["arm,psci-0.2", "arm,psci-1.0"])).then(|| {
            let function = |name| number(node, name).and_then(|n| u32::try_from(n).ok());
            PsciFunctions {
                cpu_suspend: function("cpu_suspend"),
                cpu_off: function("cpu_off"),
                cpu_on: function("cpu_on"),
            }
        });
    } else if is(&["arm,gic-v3", "arm,gic-phytium-2500"]) {
        let all = regions(node, path);
        let count = number(node, "#redistributor-regions").unwrap_or(1);
        let count = usize::try_from(count)
            .unwrap_or(1)
            .clamp(1, all.len().max(1));
        if let Some((gicd, rest)) = all.split_first() {
            let several = |region: &Region| Redistributors {
                region: *region,
                single: false,
            };
            found.gic = Some(Gic::V3(GicV3 {
                gicd: *gicd,
                gicr: rest.iter().take(count).map(several).collect(),
                // The binding: a multiple of 64 KiB.
                stride: number(node, "redistributor-stride").filter(|stride| *stride > 0),
                by_socket: is(&["arm,gic-phytium-2500"]),
            }));
        }
    } else if is(&[
        "arm,cortex-a15-gic",
        "arm,gic-400",
        "arm,cortex-a7-gic",
        "arm,cortex-a9-gic",
    ]) {
        if let [gicd, gicc, ..] = regions(node, path)[..] {
            found.gic = Some(Gic::V2 { gicd, gicc });
        }
    } else if let Some(row) = ROWS.iter().find(|row| is(row.compatible)) {
        push_uart(node, path, row.kind, row.usual, found);
    } else if is(&["arm,sbsa-gwdt"]) {
        // The binding lists the control frame first.
        if let [control, refresh, ..] = regions(node, path)[..] {
            found.watchdog = Some(Watchdog { refresh, control });
        }
    } else if let Some(kind) = compatible.iter().copied().find_map(Kind::of_compatible)
        && let [region, ..] = regions(node, path)[..]
    {
        // The binding has the root's offset for CMN-600 alone, in one cell.
        let root = number(node, "arm,root-node").and_then(|root| u32::try_from(root).ok());
        found.witnesses.push(Described {
            kind,
            region,
            root: root.unwrap_or(0).into(),
        });
    }
}

/// Adds a UART; `usual` is its register shift and access width if the node does not say.
fn push_uart(
    node: &FdtNode<'_>,
    path: &[Bus<'_>],
    kind: UartKind,
    usual: (u32, u32),
    found: &mut Found,
) {
    let Some(registers) = regions(node, path).first().copied() else {
        return;
    };
    let small = |name: &str, default: u32| {
        number(node, name)
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(default)
    };
    let mut full: Vec<&str> = path.iter().skip(1).map(|bus| bus.name).collect();
    let name = node.name();
    full.push(name);
    found.uarts.push((
        full.join("/"),
        Uart {
            kind,
            registers,
            reg_shift: small("reg-shift", usual.0),
            io_width: small("reg-io-width", usual.1),
        },
    ));
}

/// Takes the first screen that can be drawn in; why another cannot is for the report.
fn visit_framebuffer(node: &FdtNode<'_>, path: &[Bus], found: &mut Found) {
    let size = |name: &str| {
        let size = number(node, name).and_then(|n| u32::try_from(n).ok());
        size.ok_or_else(|| format!("no {name}"))
    };
    let read = || {
        let memory = memory_of(node, path)?;
        let sizes = [size("width")?, size("height")?, size("stride")?];
        let format = text(node, "format").ok_or("no format")?;
        Framebuffer::new(memory, sizes, &format)
    };
    match read() {
        Ok(framebuffer) => found.framebuffer = found.framebuffer.or(Some(framebuffer)),
        Err(why) => found
            .notes
            .push(format!("{}: {why}, so nothing is drawn there", node.name())),
    }
}

fn visit_cpu(node: &FdtNode<'_>, okay: bool, found: &mut Found) {
    // "fail", or "fail-" and a reason: not operational, or not there. As in Linux, anything
    // else that is not "okay" means the same as "disabled".
    if let Some(status) = text(node, "status").filter(|s| s == "fail" || s.starts_with("fail-")) {
        found.notes.push(format!(
            "{}: status {status}, so the core is not used",
            node.name()
        ));
        return;
    }
    let Some(mpidr) = node
        .reg()
        .ok()
        .flatten()
        .and_then(|mut r| r.next())
        .and_then(|r| r.address::<u64>().ok())
    else {
        found
            .notes
            .push(format!("{}: no reg, so the core is not used", node.name()));
        return;
    };
    let method = node
        .property("enable-method")
        .and_then(|p| p.value_as::<&str>().ok().map(ToString::to_string));
    // ePAPR: a disabled core with an enable-method can still be started.
    if !okay && method.is_none() {
        found.notes.push(format!(
            "{}: disabled, so the core is not used",
            node.name()
        ));
        return;
    }
    let start = match method.as_deref() {
        Some("psci") => Start::Psci,
        Some("spin-table") => match number(node, "cpu-release-addr") {
            Some(address) => Start::SpinTable(address),
            None => Start::Pen,
        },
        _ => Start::Pen,
    };
    found.cpus.push(Cpu::new(mpidr, start));
    found.phandles.push(phandle(node));
}
