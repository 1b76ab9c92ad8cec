//! Reads a flattened device tree into a [`Platform`].

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use dtoolkit::{
    Node, Property,
    fdt::{Fdt, FdtNode},
    standard::{NodeStandard, Status},
};

use super::{
    Conduit, Cpu, Gic, GicV3, Platform, PsciFunctions, Redistributors, Region, Source, Start, Uart,
    UartKind, Watchdog,
    chosen::{self, Chosen},
    cpu_map,
    property::{number, text},
};
use crate::{cpuset::MAX_CPUS, kexec::Kexec, ramoops::Ramoops};

/// Nodes deeper than this are passed over: real trees have a handful of levels.
const MAX_DEPTH: usize = 16;

/// Reads a device tree.
///
/// # Errors
/// One line: what is no device tree, or what the harness needs and the tree
/// does not say.
pub fn read(data: &[u8]) -> Result<Platform, String> {
    let fdt = Fdt::new(data).map_err(|e| format!("device tree: {e}"))?;
    let root = fdt.root();
    let mut found = Found::default();
    walk(root, &mut Vec::new(), &mut found);
    if let Some(map) = root.child("cpus").and_then(|cpus| cpus.child("cpu-map")) {
        let places = cpu_map::places(map);
        for (cpu, phandle) in found.cpus.iter_mut().zip(&found.phandles) {
            cpu.place = phandle.and_then(|phandle| places.get(&phandle).copied());
        }
    }

    let chosen = Chosen::read(&root)?;
    found.notes.extend(chosen.note.clone());
    let console = chosen.console.as_ref();
    let uart = console
        .and_then(|path| found.uarts.iter().find(|(p, _)| p == path))
        .or(found.uarts.first())
        .map(|(_, uart)| *uart);

    let mut reserved: Vec<Region> = fdt
        .memory_reservations()
        .map(|r| Region {
            base: r.address(),
            size: r.size(),
        })
        .collect();
    reserved.extend(&found.reserved);
    // A Linux that UEFI booted says where its tables are: memory comes from
    // them, and where no core is described here, everything.
    let uefi = chosen.kexec.as_ref().is_some_and(|k| k.uefi.is_some());
    let mut memory = found.memory;
    if let Some(kexec) = &chosen.kexec {
        reserved.extend(kexec.elfcorehdr);
        if !uefi {
            memory = kexec.usable_of(&memory)?;
        }
        leave_held(&mut found.cpus, kexec, &mut found.notes);
    }
    let acpi = chosen.rsdp.is_some() || (uefi && found.cpus.is_empty());
    if !acpi {
        if found.cpus.is_empty() {
            return Err("device tree: no usable node below /cpus".to_string());
        }
        if found.cpus.len() > MAX_CPUS {
            return Err(format!(
                "device tree: {} CPUs; allowed: 1 to {MAX_CPUS}",
                found.cpus.len()
            ));
        }
    }
    if memory.is_empty() && !uefi {
        return Err("device tree: no memory node".to_string());
    }
    // With ACPI behind it the tree only hands over memory and arguments.
    let gic = match (found.gic, acpi) {
        (Some(gic), _) => gic,
        (None, true) => Gic::V3(GicV3 {
            gicd: Region { base: 0, size: 0 },
            gicr: Vec::new(),
            stride: None,
            by_socket: false,
        }),
        (None, false) => return Err("device tree: no GICv2 or GICv3 node".to_string()),
    };
    Ok(Platform {
        source: Source::DeviceTree,
        model: text(&root, "model")
            .or_else(|| {
                root.compatible()
                    .and_then(|mut c| c.next().map(ToString::to_string))
            })
            .unwrap_or_else(|| "unnamed".to_string()),
        cpus: found.cpus,
        gic,
        psci: found.psci,
        psci_functions: found.psci_functions,
        uart,
        memory,
        reserved,
        ramoops: found.ramoops,
        watchdog: found.watchdog,
        bootargs: chosen.bootargs,
        rsdp: chosen.rsdp,
        recorder: chosen.recorder,
        kexec: chosen.kexec,
        notes: found.notes,
    })
}

/// The boot arguments alone, of a tree that may be wrong elsewhere: they can say where
/// that is to be told.
pub fn bootargs(data: &[u8]) -> String {
    let tree = Fdt::new(data).ok();
    let chosen = tree.as_ref().and_then(|fdt| fdt.root().child("chosen"));
    chosen.map_or_else(String::new, |chosen| chosen::bootargs(&chosen))
}

/// Takes out the cores that firmware holds by a word in memory that is not to be
/// written.
fn leave_held(cpus: &mut Vec<Cpu>, kexec: &Kexec, notes: &mut Vec<String>) {
    cpus.retain(|cpu| match cpu.start {
        Start::SpinTable(base) if !kexec.may_use(&Region { base, size: 8 }) => {
            notes.push(format!(
                "the core of MPIDR {:#x} is held by a word at {base:#x}, outside the usable memory, so it is not used",
                cpu.mpidr
            ));
            false
        }
        _ => true,
    });
}

/// What the walk has found so far.
#[derive(Default)]
struct Found {
    cpus: Vec<Cpu>,
    /// By which the `cpu-map` calls them.
    phandles: Vec<Option<u32>>,
    gic: Option<Gic>,
    psci: Option<Conduit>,
    psci_functions: Option<PsciFunctions>,
    uarts: Vec<(String, Uart)>,
    memory: Vec<Region>,
    reserved: Vec<Region>,
    ramoops: Option<Ramoops>,
    watchdog: Option<Watchdog>,
    notes: Vec<String>,
}

/// A node on the way down: its name, and how addresses below it become
/// addresses above it; none means that they do not.
struct Bus {
    name: String,
    ranges: Vec<(u64, u64, u64)>,
    identity: bool,
}

fn walk(node: FdtNode<'_>, path: &mut Vec<Bus>, found: &mut Found) {
    if path.len() > MAX_DEPTH {
        return;
    }
    // A node that is not "okay" is not there, apart from cores: firmware may
    // mark those that it has not started as disabled.
    let okay = matches!(node.status(), Ok(Status::Okay));
    visit(&node, okay, path, found);
    if !okay {
        return;
    }
    for child in node.children() {
        let identity = path.is_empty()
            || node
                .property("ranges")
                .is_some_and(|p| p.value().is_empty());
        let ranges = node
            .ranges()
            .ok()
            .flatten()
            .map(|ranges| {
                ranges
                    .filter_map(|r| {
                        Some((
                            r.child_bus_address().ok()?,
                            r.parent_bus_address().ok()?,
                            r.length().ok()?,
                        ))
                    })
                    .collect()
            })
            .unwrap_or_default();
        path.push(Bus {
            name: node.name().to_string(),
            ranges,
            identity,
        });
        walk(child, path, found);
        path.pop();
    }
}

/// The node's `reg` entries as physical addresses; entries that no bus above
/// passes on are left out.
fn regions(node: &FdtNode<'_>, path: &[Bus]) -> Vec<Region> {
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

fn visit(node: &FdtNode<'_>, okay: bool, path: &[Bus], found: &mut Found) {
    let is = |names: &[&str]| {
        node.compatible()
            .is_some_and(|mut c| c.any(|n| names.contains(&n)))
    };
    let device_type = node
        .property("device_type")
        .and_then(|p| p.value_as::<&str>().ok());
    let parent = path.last().map_or("", |bus| bus.name.as_str());

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
    } else if is(&["arm,psci", "arm,psci-0.2", "arm,psci-1.0"]) {
        found.psci = match node
            .property("method")
            .and_then(|p| p.value_as::<&str>().ok())
        {
            Some("smc") => Some(Conduit::Smc),
            Some("hvc") => Some(Conduit::Hvc),
            other => {
                found.notes.push(format!(
                    "psci: method {other:?} is neither smc nor hvc; PSCI is not used"
                ));
                None
            }
        };
        // A node that names 0.2 or later too has its numbers, whatever it says.
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
    } else if is(&["arm,pl011", "arm,sbsa-uart"]) {
        push_uart(node, path, UartKind::Pl011, (0, 1), found);
    } else if is(&["ns16550", "ns16550a", "snps,dw-apb-uart"]) {
        push_uart(node, path, UartKind::Ns16550, (0, 1), found);
    } else if is(&["brcm,bcm2835-aux-uart"]) {
        // Words, and its binding has no properties to say so.
        push_uart(node, path, UartKind::Ns16550, (2, 4), found);
    } else if is(&["arm,sbsa-gwdt"]) {
        // The binding lists the control frame first.
        if let [control, refresh, ..] = regions(node, path)[..] {
            found.watchdog = Some(Watchdog { refresh, control });
        }
    }
}

/// Adds a UART; `usual` is its register shift and access width where the node
/// does not say.
fn push_uart(
    node: &FdtNode<'_>,
    path: &[Bus],
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
    let mut full: Vec<&str> = path.iter().skip(1).map(|bus| bus.name.as_str()).collect();
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

fn visit_cpu(node: &FdtNode<'_>, okay: bool, found: &mut Found) {
    // "fail", or "fail-" and why: not operational, or not there. As in Linux,
    // whatever else is not "okay" means what "disabled" means.
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
    let phandle = number(node, "phandle").or_else(|| number(node, "linux,phandle"));
    found
        .phandles
        .push(phandle.and_then(|phandle| u32::try_from(phandle).ok()));
}

#[cfg(test)]
#[path = "devicetree_tests.rs"]
mod tests;
