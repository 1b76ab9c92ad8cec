//! Made-up machines, each what a good one is but for one thing.

use std::{
    string::{String, ToString},
    vec,
    vec::Vec,
};

use dtoolkit::{Node, Property, fdt::Fdt, model::DeviceTree};
use proptest::prelude::*;

use super::*;

#[cfg(unix)]
mod as_called;
mod hooks;
mod loading;
mod logs;
mod next;
mod refusals;
mod screen;
mod warns;

const VIRT_8: &[u8] = include_bytes!("../../tests/data/dtb/virt-8-gicv3-hvc.dtb");

const IOMEM: &str = "\
09000000-09000fff : pl011@9000000
40000000-7fffffff : System RAM
  40000000-401fffff : reserved
  40210000-420fffff : Kernel code
  42100000-427fffff : reserved
  60000000-6fffffff : Crash kernel
  7f000000-7fffffff : reserved
";

/// A machine on which every way works.
fn good() -> Facts {
    Facts {
        release: "6.1.0-56-arm64".into(),
        iomem: IOMEM.into(),
        cmdline: "BOOT_IMAGE=/vmlinuz root=/dev/vda1 crashkernel=256M".into(),
        kexec: true,
        crash_size: 256 << 20,
        crash_loaded: true,
        lockdown: "[none] integrity confidentiality".into(),
        config: Some("CONFIG_KEXEC=y\nCONFIG_KEXEC_FILE=y\n".into()),
        tree: Some(VIRT_8.into()),
        cpus: 8,
        dumper: Some(Dumper::KdumpTools),
        tool: Tool::UpdateGrub,
        ..Facts::default()
    }
}

/// A header, and the words by which the image is known.
fn image(size: u64) -> Vec<u8> {
    let mut image = vec![0; 4096];
    image[16..24].copy_from_slice(&size.to_le_bytes());
    image[24..32].copy_from_slice(&0b1010_u64.to_le_bytes());
    image[56..60].copy_from_slice(b"ARMd");
    image[64..80].copy_from_slice(b"stalecore: exit ");
    image
}

fn judged(facts: &Facts, options: &str, append: &str, image: &[u8]) -> Outlook {
    judged_with(facts, options, append, image, None)
}

fn judged_with(
    facts: &Facts,
    options: &str,
    append: &str,
    image: &[u8],
    next: Option<Next<'_>>,
) -> Outlook {
    let options = Options::from_bootargs(options).unwrap();
    let ask = Ask {
        image,
        options: &options,
        append,
        command: "/usr/bin/stalecore",
        next,
    };
    judge(facts, &ask)
}

fn outcome(facts: &Facts, way: Way) -> Outcome {
    let outlook = judged(facts, "", "", &image(6 << 20));
    outlook.ways.into_iter().find(|o| o.way == way).unwrap()
}

fn load(facts: &Facts, way: Way) -> Load {
    match outcome(facts, way).deed.unwrap() {
        Deed::Load(load) => load,
        Deed::Hooks(_) => panic!("hooks"),
    }
}

fn hooks(facts: &Facts) -> Hooks {
    match outcome(facts, Way::AfterDump).deed.unwrap() {
        Deed::Hooks(hooks) => hooks,
        Deed::Load(_) => panic!("loaded"),
    }
}

/// What the tree of a load says in `/chosen`.
fn chosen(load: &Load, name: &str) -> Option<Vec<u8>> {
    let fdt = Fdt::new(&load.pieces[1].bytes).unwrap();
    let chosen = fdt.root().child("chosen").unwrap();
    Some(chosen.property(name)?.value().to_vec())
}

/// The same tree with something else in it.
fn tree(change: impl FnOnce(&mut DeviceTree)) -> Option<Vec<u8>> {
    let mut tree = DeviceTree::from_fdt(&Fdt::new(VIRT_8).unwrap());
    change(&mut tree);
    Some(tree.to_dtb())
}

#[test]
fn what_is_lost_is_said() {
    let warns = outcome(&good(), Way::Crash).warns.join("; ");
    assert!(warns.contains("the next crash leaves no dump"), "{warns}");
    let mut facts = good();
    facts.crash_loaded = false;
    facts.offline = 2;
    facts.watchdogs = vec![("iTCO_wdt".into(), 30)];
    let warns = outcome(&facts, Way::AfterDump).warns.join("; ");
    assert!(warns.contains("no crash kernel is loaded"), "{warns}");
    assert!(
        warns.contains("watchdog iTCO_wdt runs, and may reset the machine 30 s after"),
        "{warns}"
    );
    assert!(warns.contains("2 CPUs that Linux has offline"), "{warns}");
    let machine = judged(&facts, "", "", &image(6 << 20)).machine.join("\n");
    for part in [
        "Linux 6.1.0-56-arm64, 8 CPUs, 2 offline",
        "256 MiB at 0x60000000 reserved, none loaded",
        "Secure Boot off, lockdown [none]",
        "by device-tree: 8 cores, PSCI by hvc",
        "console: PL011 at 0x9000000",
    ] {
        assert!(machine.contains(part), "{part}: {machine}");
    }
}

#[test]
fn tables_that_linux_shows_are_read_as_the_image_does() {
    let mut facts = good();
    facts.tree = tree(|tree| {
        for name in [
            "cpus",
            "intc@8000000",
            "memory@40000000",
            "psci",
            "pl011@9000000",
        ] {
            tree.root.remove_child(name);
        }
        let chosen = tree.root.child_mut("chosen").unwrap();
        let mut set = |name: &str, value: u64| {
            chosen.add_property(dtoolkit::model::DeviceTreeProperty::new_unchecked(
                name, value,
            ));
        };
        set("linux,uefi-system-table", 0x7f00_0000);
        set("linux,uefi-mmap-start", 0x7e00_0000);
        set("linux,uefi-mmap-size", 4800);
        set("linux,uefi-mmap-desc-size", 48);
        set("linux,uefi-mmap-desc-ver", 1);
    });
    let refusal = outcome(&facts, Way::Now).deed.unwrap_err();
    assert!(
        refusal.what.contains("/sys/firmware/acpi/tables is empty"),
        "{refusal}"
    );
    // Two cores and a GICv3 in a MADT, as Linux shows it: without a root.
    let mut madt = b"APIC".to_vec();
    madt.resize(44, 0);
    for cpu in 0..2_u8 {
        let mut gicc = vec![0_u8; 80];
        (gicc[0], gicc[1], gicc[12], gicc[68]) = (0xb, 80, 1, cpu);
        madt.extend(gicc);
    }
    let mut gicd = vec![0_u8; 24];
    (gicd[0], gicd[1], gicd[11], gicd[20]) = (0xc, 24, 8, 3);
    madt.extend(gicd);
    let mut gicr = vec![0_u8; 16];
    (gicr[0], gicr[1], gicr[7], gicr[14]) = (0xe, 16, 8, 4);
    madt.extend(gicr);
    let length = (madt.len() as u32).to_le_bytes();
    madt[4..8].copy_from_slice(&length);
    facts.tables = vec![madt];
    facts.cmdline = "earlycon=pl011,0x9000000".into();
    let outlook = judged(&facts, "stalecore.stale=spin", "", &image(6 << 20));
    let machine = outlook.machine.join("\n");
    assert!(machine.contains("by acpi: 2 cores, no PSCI"), "{machine}");
    // Two are too few for an initiator, a stale core and one that watches; or they are not.
    if let Err(refusal) = &outlook.ways[0].deed {
        assert!(!refusal.what.contains("ACPI"), "{refusal}");
    }
    // Of what the tables lack the image's own words, once.
    facts.tables[0].truncate(44 + 2 * 80);
    facts.tables[0][4] = 44 + 2 * 80;
    let refusal = outcome(&facts, Way::Now).deed.unwrap_err();
    let said = "would not start: ACPI: the MADT names no GIC";
    assert!(refusal.what.contains(said), "{refusal}");
}

proptest! {
    /// Any text is a file of Linux's.
    #[test]
    fn any_facts_are_judged(iomem in "(  )?[0-9a-f]{0,17}-[0-9a-f]{0,17} : (System RAM|Crash kernel|x)\n{0,3}", text in "\\PC{0,40}", tree in proptest::collection::vec(any::<u8>(), 0..64)) {
        let facts = Facts {
            iomem: iomem.clone(),
            cmdline: text.to_string(),
            lockdown: text.clone(),
            dumper: Some(Dumper::KdumpUtils(text)),
            ..good()
        };
        let _ = outcome(&facts, Way::Now);
        let _ = outcome(&Facts { tree: Some(tree), ..facts }, Way::Crash);
    }

    /// What is free is memory, and nothing is in it.
    #[test]
    fn what_is_free_is_free(parts in proptest::collection::vec((0_u64..64, 1_u64..8), 0..8)) {
        use std::fmt::Write;
        let mut text = String::from("100000-13ffff : System RAM\n");
        for (base, size) in &parts {
            let base = 0x10_0000 + (base << 12);
            writeln!(text, "  {base:x}-{:x} : reserved", base + (size << 12) - 1).unwrap();
        }
        let iomem = iomem::Iomem::read(&text);
        let taken = iomem.named("reserved");
        for part in iomem.free() {
            prop_assert!(part.base >= 0x10_0000 && part.end() <= 0x14_0000);
            prop_assert!(taken.iter().all(|other| !other.overlaps(&part)));
        }
    }
}

#[test]
fn each_way_has_its_name_and_says_what_it_costs() {
    assert_eq!(Way::ALL.map(Way::name), ["now", "crash", "after-dump"]);
    let [now, crash, after] = Way::ALL.map(Way::about);
    assert!(now.contains("every core starts fresh"), "{now}");
    assert!(crash.contains("at the cost of the dump"), "{crash}");
    assert!(after.contains("nothing is lost"), "{after}");
}
