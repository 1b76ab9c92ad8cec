//! Trees dumped from QEMU's `virt` machine, and one made by hand
//! (`tests/data/dtb/soc.dts`) for what `virt` does not have.

use super::*;
use crate::{
    cpuset::CpuSet,
    platform::{Conduit, PsciFunctions, UartKind},
    topology::Topology,
};
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty as Property};
use proptest::prelude::*;

const VIRT_8: &[u8] = include_bytes!("../../tests/data/dtb/virt-8-gicv3-hvc.dtb");
/// `-smp 8,sockets=2,clusters=2,cores=2`.
const VIRT_8_CLUSTERS: &[u8] = include_bytes!("../../tests/data/dtb/virt-8-clusters.dtb");
const VIRT_8_SMC: &[u8] = include_bytes!("../../tests/data/dtb/virt-8-gicv3-smc.dtb");
const VIRT_4_V2: &[u8] = include_bytes!("../../tests/data/dtb/virt-4-gicv2.dtb");
const VIRT_128: &[u8] = include_bytes!("../../tests/data/dtb/virt-128.dtb");
const SOC: &[u8] = include_bytes!("../../tests/data/dtb/soc.dtb");

#[test]
fn virt_with_gicv3() {
    let machine = read(VIRT_8).unwrap();
    assert_eq!(machine.model, "linux,dummy-virt");
    assert_eq!(machine.cpus.len(), 8);
    let third = &machine.cpus[3];
    assert_eq!((third.mpidr, third.start), (3, Start::Psci));
    assert_eq!(machine.psci, Some(Conduit::Hvc));
    assert_eq!(
        machine.memory,
        [Region {
            base: 0x4000_0000,
            size: 1 << 30
        }]
    );
    let uart = machine.uart.unwrap();
    assert_eq!(
        (uart.kind, uart.registers.base),
        (UartKind::Pl011, 0x900_0000)
    );
    let Gic::V3(GicV3 {
        gicd,
        gicr,
        stride,
        by_socket,
    }) = machine.gic
    else {
        panic!("not v3")
    };
    assert_eq!((stride, by_socket), (None, false));
    assert_eq!(
        (gicd.base, gicr.len(), gicr[0].region.base),
        (0x800_0000, 1, 0x80a_0000)
    );
}

#[test]
fn nothing_is_put_where_linux_keeps_its_logs() {
    let args = "quiet ramoops.mem_address=0x60000000 ramoops.mem_size=2M";
    let mut tree = DeviceTree::from_fdt(&Fdt::new(VIRT_8).unwrap());
    let chosen = tree.root.child_mut("chosen").unwrap();
    chosen.add_property(Property::new_unchecked("bootargs", args));
    let machine = read(&tree.to_dtb()).unwrap();
    let kept = Region {
        base: 0x6000_0000,
        size: 2 << 20,
    };
    // The middle of memory is where the flight recorder would go.
    let recorder = crate::recorder::place(&machine, &[]).unwrap();
    assert!(!recorder.overlaps(&kept), "{recorder:?}");
    let before = crate::recorder::place(&read(VIRT_8).unwrap(), &[]).unwrap();
    assert!(before.overlaps(&kept), "{before:?}");
}

/// What `memory-region` can name: a region with a place, and one that Linux would place.
const PLACED: u32 = 0x77;
const UNPLACED: u32 = 0x78;

/// The tree of `virt`, with these two regions below `/reserved-memory`.
fn with_regions() -> DeviceTree {
    let mut tree = DeviceTree::from_fdt(&Fdt::new(VIRT_8).unwrap());
    let mut reserved = DeviceTreeNode::new_unchecked("reserved-memory");
    for name in ["#address-cells", "#size-cells"] {
        reserved.add_property(Property::new_unchecked(name, 2_u32));
    }
    reserved.add_property(Property::new_unchecked("ranges", Vec::<u8>::new()));
    let place = [0x7800_0000, 0x40_0000].map(u64::to_be_bytes).concat();
    let size = 0x40_0000_u64.to_be_bytes().to_vec();
    for (name, phandle, (property, value)) in [
        ("unplaced", UNPLACED, ("size", size)),
        ("placed@78000000", PLACED, ("reg", place)),
    ] {
        let mut region = DeviceTreeNode::new_unchecked(name);
        region.add_property(Property::new_unchecked("phandle", phandle));
        region.add_property(Property::new_unchecked(property, value));
        reserved.add_child(region);
    }
    tree.root.add_child(reserved);
    tree
}

/// That tree, with a child of `/chosen` or of the root that has these properties.
fn with_screen(in_chosen: bool, base: u64, properties: &[(&str, &str)]) -> Platform {
    let mut tree = with_regions();
    let mut node = DeviceTreeNode::new_unchecked("framebuffer");
    let mut set = |name: &'static str, value: Vec<u8>| {
        node.add_property(Property::new_unchecked(name, value));
    };
    set(
        "compatible",
        b"vendor,screen\0simple-framebuffer\0".to_vec(),
    );
    let reg = [base, 0x30_0000].map(u64::to_be_bytes).concat();
    set("reg", reg);
    set("width", 1024_u32.to_be_bytes().to_vec());
    set("height", 768_u32.to_be_bytes().to_vec());
    set("stride", 4096_u32.to_be_bytes().to_vec());
    set("format", b"a8r8g8b8\0".to_vec());
    for (name, value) in properties {
        let value = match value.parse::<u32>() {
            Ok(number) => number.to_be_bytes().to_vec(),
            Err(_) => [value.as_bytes(), b"\0"].concat(),
        };
        node.add_property(Property::new_unchecked(*name, value));
    }
    let parent = match in_chosen {
        true => tree.root.child_mut("chosen").unwrap(),
        false => &mut tree.root,
    };
    if in_chosen {
        // As the binding has it.
        for name in ["#address-cells", "#size-cells"] {
            parent.add_property(Property::new_unchecked(name, 2_u32));
        }
        parent.add_property(Property::new_unchecked("ranges", Vec::<u8>::new()));
    }
    parent.add_child(node);
    read(&tree.to_dtb()).unwrap()
}

#[test]
fn a_screen_is_found_below_chosen_and_below_the_root() {
    for in_chosen in [true, false] {
        let machine = with_screen(in_chosen, 0x7d00_0000, &[]);
        let found = machine.framebuffer.unwrap();
        assert_eq!(found.to_string(), "0x7d000000,1024x768,4096,a8r8g8b8");
        assert!(machine.notes.is_empty(), "{:?}", machine.notes);
        // It lies in what the tree calls memory.
        assert!(machine.has_memory_in(&found.pages()));
        let beside = with_screen(in_chosen, 0x1_0000_0000, &[]);
        assert!(!beside.has_memory_in(&beside.framebuffer.unwrap().pages()));
        let off = with_screen(in_chosen, 0x7d00_0000, &[("status", "disabled")]);
        assert_eq!((off.framebuffer, off.notes.len()), (None, 0));
    }
}

#[test]
fn a_screen_that_cannot_be_is_told_and_not_used() {
    for (property, value, part) in [
        (
            "width",
            "text",
            "framebuffer: no width, so nothing is drawn",
        ),
        ("stride", "100", "framebuffer: a stride of 100 bytes"),
        (
            "height",
            "769",
            "3149824 bytes of pixels in memory of 3145728 bytes",
        ),
        ("format", "rgb", "'rgb' is not allowed; allowed: r5g6b5"),
        ("memory-region", "120", "its memory-region has no place"),
        ("memory-region", "121", "its memory-region has no place"),
        ("memory-region", "", "its memory-region has no place"),
    ] {
        let machine = with_screen(false, 0x7d00_0000, &[(property, value)]);
        assert_eq!(machine.framebuffer, None);
        assert!(machine.notes[0].contains(part), "{:?}", machine.notes);
    }
}

#[test]
fn a_screen_s_memory_region_counts_before_its_reg() {
    let region = PLACED.to_string();
    for in_chosen in [true, false] {
        let machine = with_screen(in_chosen, 0x7d00_0000, &[("memory-region", &region)]);
        assert_eq!(machine.framebuffer.unwrap().base, 0x7800_0000);
        assert!(machine.notes.is_empty(), "{:?}", machine.notes);
    }
    // What does not fit there is not drawn in its `reg` either.
    let large = [("memory-region", &*region), ("height", "1025")];
    let machine = with_screen(false, 0x7d00_0000, &large);
    assert_eq!(machine.framebuffer, None);
}

/// That tree, with a node `ramoops` that is a child of the root and has these properties.
fn with_old_ramoops(properties: &[(&'static str, &[u8])]) -> Platform {
    let mut tree = with_regions();
    let mut node = DeviceTreeNode::new_unchecked("ramoops");
    node.add_property(Property::new_unchecked("compatible", "ramoops"));
    for (name, value) in properties {
        node.add_property(Property::new_unchecked(*name, value.to_vec()));
    }
    tree.root.add_child(node);
    read(&tree.to_dtb()).unwrap()
}

#[test]
fn memory_for_linux_s_logs_may_be_named_from_elsewhere() {
    let region = &PLACED.to_be_bytes();
    let [size, half, check] = [0x2000_u32, 0x1000, 16].map(u32::to_be_bytes);
    let found = |more: &[(&'static str, &[u8])]| {
        let all = [
            &[("memory-region", &region[..]), ("record-size", &size[..])][..],
            more,
        ]
        .concat();
        let machine = with_old_ramoops(&all);
        let logs = machine.ramoops.unwrap();
        assert_eq!(
            (logs.region.base, logs.region.size),
            (0x7800_0000, 0x40_0000)
        );
        assert!(machine.reserved.contains(&logs.region));
        assert!(machine.kept().any(|kept| kept == logs.region));
        logs
    };
    let both = found(&[("console-size", &half)]);
    assert_eq!((both.console(), both.check()), (0x1000, Ok(())));
    // As Linux has it where sizes are the records' alone.
    assert_eq!(found(&[]).console(), 0x2000);
    assert_eq!(found(&[("pmsg-size", &half)]).console(), 0);
    let with_bits = found(&[("ecc-size", &check)]);
    assert_eq!((with_bits.console(), with_bits.check().is_err()), (0, true));
}

#[test]
fn memory_for_logs_that_is_nowhere_is_told() {
    let nowhere = UNPLACED.to_be_bytes();
    let named = [("memory-region", &nowhere[..])];
    for (properties, why) in [
        (&named[..], "ramoops: its memory-region has no place, so"),
        (&named[..0], "ramoops: no reg, so no log is left there"),
    ] {
        let machine = with_old_ramoops(properties);
        assert_eq!(machine.ramoops, None);
        assert!(machine.notes[0].contains(why), "{:?}", machine.notes);
    }
    // A place of its own, as it may have instead.
    let own = [0x7900_0000, 0x10_0000].map(u64::to_be_bytes).concat();
    let machine = with_old_ramoops(&[("reg", &own)]);
    let logs = machine.ramoops.unwrap().region;
    assert_eq!((logs.base, logs.size), (0x7900_0000, 0x10_0000));
    assert!(machine.reserved.contains(&logs));
}

#[test]
fn the_conduit_is_read_not_assumed() {
    assert_eq!(read(VIRT_8_SMC).unwrap().psci, Some(Conduit::Smc));
}

#[test]
fn virt_with_gicv2() {
    let Gic::V2 { gicd, gicc } = read(VIRT_4_V2).unwrap().gic else {
        panic!("not v2")
    };
    assert_eq!((gicd.base, gicc.base), (0x800_0000, 0x801_0000));
}

#[test]
fn above_123_cores_there_are_two_redistributor_regions() {
    let machine = read(VIRT_128).unwrap();
    assert_eq!(machine.cpus.len(), 128);
    let Gic::V3(GicV3 { gicr, .. }) = machine.gic else {
        panic!("not v3")
    };
    assert_eq!(gicr.len(), 2);
}

#[test]
fn addresses_go_through_the_bus_and_names_through_the_aliases() {
    let machine = read(SOC).unwrap();
    let uart = machine.uart.unwrap();
    assert_eq!(uart.kind, UartKind::Ns16550);
    assert_eq!(uart.registers.base, 0x80_2800_1000);
    assert_eq!((uart.reg_shift, uart.io_width), (2, 4));
    let Gic::V3(GicV3 { gicd, gicr, .. }) = machine.gic else {
        panic!("not v3")
    };
    assert!(gicr.iter().all(|r| !r.single));
    assert_eq!(
        (gicd.base, gicr.len(), gicr[1].region.base),
        (0x80_3000_0000, 2, 0x80_3020_0000)
    );
    assert_eq!(machine.watchdog.unwrap().refresh.base, 0x80_2800_b000);
    assert_eq!(machine.bootargs, "quiet stalecore.ops=ic-ivau");
}

#[test]
fn a_raspberry_pi_s_small_uart_has_word_registers() {
    let mut tree = DeviceTree::from_fdt(&Fdt::new(SOC).unwrap());
    let uart = tree.find_node_mut("/soc/uart@1000").unwrap();
    uart.remove_property("reg-shift");
    uart.remove_property("reg-io-width");
    let shape = |tree: &DeviceTree| {
        let uart = read(&tree.to_dtb()).unwrap().uart.unwrap();
        (uart.kind, uart.reg_shift, uart.io_width)
    };
    assert_eq!(shape(&tree), (UartKind::Ns16550, 0, 1));
    let uart = tree.find_node_mut("/soc/uart@1000").unwrap();
    let compatible = uart.property_mut("compatible").unwrap();
    compatible.set_value("brcm,bcm2835-aux-uart");
    assert_eq!(shape(&tree), (UartKind::Ns16550, 2, 4));
}

#[test]
fn each_uart_of_the_table_is_found_by_its_names() {
    let mut tree = DeviceTree::from_fdt(&Fdt::new(SOC).unwrap());
    let uart = tree.find_node_mut("/soc/uart@1000").unwrap();
    uart.remove_property("reg-shift");
    uart.remove_property("reg-io-width");
    for row in crate::platform::uarts::ROWS {
        for name in row.compatible {
            let uart = tree.find_node_mut("/soc/uart@1000").unwrap();
            let compatible = uart.property_mut("compatible").unwrap();
            compatible.set_value(*name);
            let uart = read(&tree.to_dtb()).unwrap().uart.unwrap();
            assert_eq!(uart.kind, row.kind, "{name}");
            assert_eq!((uart.reg_shift, uart.io_width), row.usual, "{name}");
        }
    }
}

#[test]
fn a_stride_and_the_s2500_are_named() {
    let gic = |change: &dyn Fn(&mut dtoolkit::model::DeviceTreeNode)| {
        let mut tree = DeviceTree::from_fdt(&Fdt::new(SOC).unwrap());
        change(tree.find_node_mut("/soc/gic@200000").unwrap());
        let Gic::V3(v3) = read(&tree.to_dtb()).unwrap().gic else {
            panic!("not v3")
        };
        (v3.stride, v3.by_socket)
    };
    assert_eq!(gic(&|_| ()), (None, false));
    let stride = |cells: &[u8]| {
        let property =
            dtoolkit::model::DeviceTreeProperty::new("redistributor-stride", cells).unwrap();
        gic(&|node| node.add_property(property.clone())).0
    };
    assert_eq!(stride(&0x4_0000_u64.to_be_bytes()), Some(0x4_0000));
    assert_eq!(stride(&0x4_0000_u32.to_be_bytes()), Some(0x4_0000));
    assert_eq!(stride(&0_u64.to_be_bytes()), None);
    let phytium = |node: &mut dtoolkit::model::DeviceTreeNode| {
        let compatible = node.property_mut("compatible").unwrap();
        compatible.set_value("arm,gic-phytium-2500");
    };
    assert_eq!(gic(&phytium), (None, true));
}

#[test]
fn a_mesh_that_the_tree_names_is_a_witness() {
    assert_eq!(read(SOC).unwrap().witnesses, []);
    let mut tree = DeviceTree::from_fdt(&Fdt::new(SOC).unwrap());
    let node = tree.find_node_mut("/soc/gic@200000").unwrap().clone();
    let property =
        |name: &str, value: Vec<u8>| dtoolkit::model::DeviceTreeProperty::new(name, value).unwrap();
    let mut mesh = dtoolkit::model::DeviceTreeNode::new("pmu@200000").unwrap();
    mesh.add_property(node.property("reg").unwrap().clone());
    mesh.add_property(property("compatible", b"arm,cmn-600\0".to_vec()));
    mesh.add_property(property(
        "arm,root-node",
        0x10_4000_u32.to_be_bytes().to_vec(),
    ));
    tree.find_node_mut("/soc").unwrap().add_child(mesh);
    let [found] = read(&tree.to_dtb()).unwrap().witnesses[..] else {
        panic!("not one")
    };
    assert_eq!((found.region.base, found.root), (0x80_3000_0000, 0x10_4000));
}

#[test]
fn a_psci_before_0_2_has_numbers_of_its_own() {
    assert_eq!(read(VIRT_8).unwrap().psci_functions, None);
    let mut tree = DeviceTree::from_fdt(&Fdt::new(VIRT_8).unwrap());
    let psci = tree.find_node_mut("/psci").unwrap();
    psci.property_mut("compatible")
        .unwrap()
        .set_value("arm,psci");
    psci.remove_property("cpu_off");
    for (name, id) in [("cpu_on", 0x8400_0002_u32), ("cpu_suspend", 0x95c1_ba5e)] {
        psci.remove_property(name);
        let property = dtoolkit::model::DeviceTreeProperty::new(name, id.to_be_bytes()).unwrap();
        psci.add_property(property);
    }
    let machine = read(&tree.to_dtb()).unwrap();
    assert_eq!(machine.psci, Some(Conduit::Hvc));
    assert_eq!(
        machine.psci_functions,
        Some(PsciFunctions {
            cpu_suspend: Some(0x95c1_ba5e),
            cpu_off: None,
            cpu_on: Some(0x8400_0002),
        })
    );
}

#[test]
fn cores_without_psci() {
    let machine = read(SOC).unwrap();
    assert_eq!(machine.psci, None);
    let cores: Vec<_> = machine.cpus.iter().map(|c| (c.mpidr, c.start)).collect();
    assert_eq!(
        cores,
        [
            (0, Start::Pen),
            (0x100, Start::SpinTable(0x8000_fff8)),
            (0x1_8100_0200, Start::Pen),
        ]
    );
    assert!(
        machine.notes.iter().any(|n| n.contains("cpu@101")),
        "{:?}",
        machine.notes
    );
}

#[test]
fn reserved_memory_is_kept_free() {
    let machine = read(SOC).unwrap();
    assert!(machine.reserved.contains(&Region {
        base: 0x8000_0000,
        size: 0x1000
    }));
    assert!(machine.reserved.contains(&Region {
        base: 0x8800_0000,
        size: 0x10_0000
    }));
    assert_eq!(machine.memory.len(), 2);
}

/// Sockets and clusters, as lists of cores.
fn topology(data: &[u8]) -> Option<[Vec<String>; 2]> {
    let machine = read(data).unwrap();
    let topology = Topology::of(machine.cpus.iter().map(|cpu| cpu.place))?;
    let text = |groups: &[CpuSet]| groups.iter().map(ToString::to_string).collect();
    Some([text(&topology.sockets), text(&topology.clusters)])
}

#[test]
fn the_cpu_map_says_who_shares_what() {
    let groups = |sockets: &[&str], clusters: &[&str]| {
        let text = |groups: &[&str]| groups.iter().map(ToString::to_string).collect();
        Some([text(sockets), text(clusters)])
    };
    // One socket with one cluster: the cluster says nothing more.
    assert_eq!(topology(VIRT_8), groups(&["0-7"], &[]));
    assert_eq!(
        topology(VIRT_8_CLUSTERS),
        groups(&["0-3", "4-7"], &["0-1", "2-3", "4-5", "6-7"])
    );
    // No sockets, and names that the binding does not know.
    assert_eq!(topology(SOC), groups(&[], &["0-1", "2"]));
    let mut tree = DeviceTree::from_fdt(&Fdt::new(SOC).unwrap());
    let cpus = tree.find_node_mut("/cpus").unwrap();
    cpus.remove_child("cpu-map").unwrap();
    assert_eq!(topology(&tree.to_dtb()), None);
}

#[test]
fn what_is_no_tree_is_refused() {
    for data in [&[][..], &[0; 64], &VIRT_8[..VIRT_8.len() / 2]] {
        assert!(read(data).unwrap_err().starts_with("device tree: "));
    }
}

proptest! {
    #[test]
    fn damaged_trees_never_panic(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..12), soc in any::<bool>()) {
        let mut data = if soc { SOC.to_vec() } else { VIRT_8[..].to_vec() };
        for (at, value) in changes {
            let at = at % data.len();
            data[at] = value;
        }
        let _ = read(&data);
    }
}

/// The tree of `virt` with so many cores.
fn with_cores(count: u32) -> Result<Platform, String> {
    let mut tree = DeviceTree::from_fdt(&Fdt::new(VIRT_8).unwrap());
    let mut cpus = DeviceTreeNode::new_unchecked("cpus");
    cpus.add_property(Property::new_unchecked("#address-cells", 1_u32));
    cpus.add_property(Property::new_unchecked("#size-cells", 0_u32));
    for nth in 0..count {
        let mut cpu = DeviceTreeNode::new_unchecked(format!("cpu@{nth:x}"));
        cpu.add_property(Property::new_unchecked("reg", nth));
        cpus.add_child(cpu);
    }
    tree.root.remove_child("cpus");
    tree.root.add_child(cpus);
    read(&tree.to_dtb())
}

#[test]
fn a_tree_has_as_many_cores_as_the_harness_handles() {
    assert_eq!(with_cores(1).unwrap().cpus.len(), 1);
    assert_eq!(with_cores(512).unwrap().cpus.len(), 512);
    let refused = |count| with_cores(count).unwrap_err();
    assert_eq!(refused(513), "device tree: 513 CPUs; allowed: 1 to 512");
    assert_eq!(refused(0), "device tree: no usable node below /cpus");
}

#[test]
fn clusters_in_clusters_are_followed_as_deep_as_any_machine_has_them() {
    let place = |clusters: usize| {
        let mut tree = DeviceTree::from_fdt(&Fdt::new(VIRT_8).unwrap());
        let cpus = tree.find_node_mut("/cpus").unwrap();
        let phandle = 0x77_u32;
        let cpu = cpus.child_mut("cpu@0").unwrap();
        cpu.remove_property("phandle");
        cpu.add_property(Property::new_unchecked("phandle", phandle));
        let mut node = DeviceTreeNode::new_unchecked("core0");
        node.add_property(Property::new_unchecked("cpu", phandle));
        for _ in 0..clusters {
            let mut around = DeviceTreeNode::new_unchecked("cluster0");
            around.add_child(node);
            node = around;
        }
        let mut map = DeviceTreeNode::new_unchecked("cpu-map");
        map.add_child(node);
        cpus.remove_child("cpu-map");
        cpus.add_child(map);
        read(&tree.to_dtb()).unwrap().cpus[0].place
    };
    // The innermost counts.
    assert_eq!(place(1).unwrap().cluster, Some(0));
    assert_eq!(place(7).unwrap().cluster, Some(6));
    assert_eq!(place(9), None);
}
