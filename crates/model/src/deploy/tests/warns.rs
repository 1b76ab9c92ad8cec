//! What should be known before.

use dtoolkit::model::{DeviceTreeNode, DeviceTreeProperty};

use super::*;

fn warns(facts: &Facts, way: Way) -> Vec<String> {
    outcome(facts, way).warns
}

/// A node for what is only there, with these properties.
fn node(name: &str, properties: Vec<DeviceTreeProperty>) -> DeviceTreeNode {
    let mut node = DeviceTreeNode::new_unchecked(name);
    for property in properties {
        node.add_property(property);
    }
    node
}

#[test]
fn a_machine_on_which_nothing_is_lost_has_no_warning() {
    let mut facts = good();
    let said = warns(&facts, Way::Now);
    assert!(
        matches!(&said[..], [one] if one.contains("gone with this Linux")),
        "{said:?}"
    );
    facts.crash_loaded = false;
    for way in [Way::Now, Way::Crash] {
        assert_eq!(warns(&facts, way), Vec::<String>::new());
    }
}

#[test]
fn only_the_watchdog_that_the_image_serves_is_no_danger() {
    let mut facts = good();
    facts.watchdogs = vec![
        ("SBSA Generic Watchdog".into(), 10),
        ("iTCO_wdt".into(), 30),
    ];
    let named = |facts: &Facts| {
        let said = warns(facts, Way::Crash).join("; ");
        facts
            .watchdogs
            .iter()
            .map(|(name, _)| said.contains(&format!("watchdog {name} runs")))
            .collect::<Vec<_>>()
    };
    // Firmware does not tell the image of either.
    assert_eq!(named(&facts), [true, true]);
    facts.tree = tree(|tree| {
        let frames: [u64; 4] = [0x2a44_0000, 0x1000, 0x2a45_0000, 0x1000];
        tree.root.add_child(node(
            "watchdog@2a440000",
            vec![
                DeviceTreeProperty::new_unchecked("compatible", "arm,sbsa-gwdt"),
                DeviceTreeProperty::new_unchecked("reg", frames.map(u64::to_be_bytes).concat()),
            ],
        ));
    });
    assert_eq!(named(&facts), [false, true]);
}

#[test]
fn memory_that_the_image_has_not_from_the_tree_is_not_compared_with_it() {
    let less = |facts: &Facts| {
        let said = warns(facts, Way::Now).join("; ");
        assert!(outcome(facts, Way::Now).deed.is_ok());
        said.contains("the tree has memory from")
    };
    let mut facts = good();
    facts.iomem = facts
        .iomem
        .replace("40000000-7fffffff", "40000000-6fffffff");
    assert!(less(&facts));
    let with = |properties: &[(&'static str, Vec<u64>)]| {
        tree(|tree| {
            let chosen = tree.root.child_mut("chosen").unwrap();
            for (name, values) in properties {
                let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_be_bytes()).collect();
                chosen.add_property(DeviceTreeProperty::new_unchecked(*name, bytes));
            }
        })
    };
    // UEFI's map says what there is,
    facts.tree = with(&[
        ("linux,uefi-system-table", vec![0x6f00_0000]),
        ("linux,uefi-mmap-start", vec![0x6e00_0000]),
        ("linux,uefi-mmap-size", vec![4800]),
        ("linux,uefi-mmap-desc-size", vec![48]),
        ("linux,uefi-mmap-desc-ver", vec![1]),
    ]);
    assert!(!less(&facts));
    // or what a crashed kernel left to this one, of which it may keep a part to itself.
    facts.vmcore = true;
    facts.iomem = "60000000-6effffff : System RAM\n  60000000-61ffffff : Kernel code\n".into();
    facts.tree = with(&[("linux,usable-memory-range", vec![0x6000_0000, 256 << 20])]);
    assert!(!less(&facts));
    assert_eq!(warns(&facts, Way::Now), Vec::<String>::new());
}

#[test]
fn a_spin_table_is_in_the_way_of_those_that_linux_has_taken_from_it() {
    let held = |at: u64, change: fn(&mut DeviceTree)| {
        tree(|tree| {
            change(tree);
            let cpus = tree.root.child_mut("cpus").unwrap();
            for cpu in cpus.children_mut() {
                cpu.add_property(DeviceTreeProperty::new_unchecked(
                    "enable-method",
                    "spin-table",
                ));
                cpu.add_property(DeviceTreeProperty::new_unchecked("cpu-release-addr", at));
            }
        })
    };
    let refused = |facts: &Facts| outcome(facts, Way::Now).deed.err().map(|why| why.what);
    let mut facts = good();
    facts.tree = held(0x4000_0000, |_| {});
    assert!(refused(&facts).unwrap().contains("in a spin table"));
    // With one core there is none to be sent back.
    facts.tree = held(0x4000_0000, |tree| {
        let cpus = tree.root.child_mut("cpus").unwrap();
        for nth in 1..8 {
            cpus.remove_child(&format!("cpu@{nth}")).unwrap();
        }
    });
    assert_eq!(refused(&facts), None);
    // The kernel after a crash has started no other.
    facts.vmcore = true;
    facts.iomem = "60000000-6fffffff : System RAM\n  60000000-61ffffff : Kernel code\n".into();
    facts.tree = held(0x6f00_0000, |tree| {
        let range = [0x6000_0000_u64, 256 << 20].map(u64::to_be_bytes).concat();
        let chosen = tree.root.child_mut("chosen").unwrap();
        chosen.add_property(DeviceTreeProperty::new_unchecked(
            "linux,usable-memory-range",
            range,
        ));
    });
    assert_eq!(refused(&facts), None);
}
