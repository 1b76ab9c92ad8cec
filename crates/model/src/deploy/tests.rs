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
mod screen;

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
fn what_is_refused_is_one_line_with_what_would_help() {
    use Way::{AfterDump, Crash, Now};
    type Change = fn(&mut Facts);
    let rows: [(&[Way], Change, &str, &str); 28] = [
        (
            &Way::ALL,
            |f| {
                f.iomem =
                    "00000000-00000000 : System RAM\n  00000000-00000000 : Kernel code\n".into()
            },
            "shows no addresses",
            "sudo /usr/bin/stalecore deploy",
        ),
        (
            &Way::ALL,
            |f| {
                f.lockdown = "none [integrity] confidentiality".into();
                f.secure_boot = true;
            },
            "lockdown (integrity: Secure Boot is on)",
            "mokutil --disable-validation",
        ),
        (
            &Way::ALL,
            |f| {
                f.lockdown = "none integrity [confidentiality]".into();
                f.cmdline += " lockdown=confidentiality";
                f.tool = Tool::Grubby;
            },
            "lockdown (confidentiality: lockdown=confidentiality on its command line)",
            "grubby --update-kernel=ALL --remove-args=lockdown=confidentiality",
        ),
        (
            &Way::ALL,
            |f| f.lockdown = "none [integrity] confidentiality".into(),
            "its own configuration",
            "LOCK_DOWN_KERNEL_FORCE",
        ),
        (
            &Way::ALL,
            |f| {
                f.load_disabled = true;
                f.disabled_by = Some("/etc/sysctl.d/99-hard.conf".into());
            },
            "kexec_load_disabled is 1",
            "sed -i /kexec_load_disabled/d /etc/sysctl.d/99-hard.conf && reboot",
        ),
        (
            &Way::ALL,
            |f| f.load_disabled = true,
            "kexec_load_disabled is 1",
            "found and removed",
        ),
        (
            &[Now],
            |f| f.limits[0] = true,
            "kexec_load_limit_reboot is 0",
            "reboot",
        ),
        (
            &[Crash],
            |f| f.limits[1] = true,
            "kexec_load_limit_panic is 0",
            "reboot",
        ),
        (
            &Way::ALL,
            |f| f.config = Some("# CONFIG_KEXEC is not set\n".into()),
            "has no kexec",
            "CONFIG_KEXEC=y",
        ),
        (
            &Way::ALL,
            |f| f.config = Some("CONFIG_KEXEC_FILE=y\n".into()),
            "only by kexec_file_load",
            "CONFIG_KEXEC=y",
        ),
        (
            &Way::ALL,
            |f| f.kexec = false,
            "has no kexec",
            "CONFIG_KEXEC=y",
        ),
        (
            &Way::ALL,
            |f| f.tree = None,
            "there is no /sys/firmware/fdt",
            "another way in",
        ),
        (
            &Way::ALL,
            |f| f.tree = Some(vec![1, 2, 3]),
            "/sys/firmware/fdt",
            "another way in",
        ),
        (
            &Way::ALL,
            |f| {
                f.tree = tree(|tree| {
                    tree.root.remove_child("cpus");
                });
            },
            "no usable node below /cpus",
            "another way in",
        ),
        (
            &Way::ALL,
            |f| {
                f.tree = tree(|tree| {
                    tree.root.remove_child("pl011@9000000");
                });
            },
            "nobody would hear the image",
            "--ramoops on",
        ),
        (
            &Way::ALL,
            |f| f.cmdline = "earlycon=lpuart,0x1000".into(),
            "earlycon: 'lpuart,0x1000' is not allowed",
            "corrected",
        ),
        (
            &[Crash, AfterDump],
            |f| f.iomem = f.iomem.replace("Crash kernel", "reserved"),
            "no memory is reserved",
            "crashkernel=256M\"' > /etc/default/grub.d/stalecore.cfg && update-grub && reboot",
        ),
        (
            &[Crash, AfterDump],
            |f| {
                f.iomem = f.iomem.replace("Crash kernel", "reserved");
                f.tool = Tool::Grubby;
            },
            "no memory is reserved",
            "grubby --update-kernel=ALL --args=crashkernel=256M && reboot",
        ),
        (
            &[Crash, AfterDump],
            |f| {
                f.iomem = f.iomem.replace("Crash kernel", "reserved");
                f.tool = Tool::Unknown;
            },
            "no memory is reserved",
            "a reboot with crashkernel=256M",
        ),
        (
            &[Crash],
            |f| f.iomem = f.iomem.replace("60000000-6fffffff", "60000000-607fffff"),
            "the reservation at 0x60000000 has 8 MiB; 13 are needed",
            "crashkernel=256M",
        ),
        (
            &[Crash],
            |f| f.iomem = f.iomem.replace("60000000-6fffffff", "60100000-60dfffff"),
            "the reservation at 0x60100000 is not at a multiple of 2 MiB, and 12 of its 13 MiB are behind one; 13 are needed",
            "crashkernel=256M",
        ),
        // The image alone would fit, but no kernel that saves a dump.
        (
            &[AfterDump],
            |f| f.iomem = f.iomem.replace("60000000-6fffffff", "60000000-63ffffff"),
            "has 64 MiB; 128 are needed",
            "crashkernel=256M",
        ),
        (
            &[AfterDump],
            |f| f.dumper = None,
            "nothing saves dumps here",
            "apt-get install kdump-tools",
        ),
        (
            &[AfterDump],
            |f| {
                f.dumper = Some(Dumper::KdumpUtils(
                    "path /x\n kdump_post /bin/mine\n".into(),
                ))
            },
            "has a hook already, and takes one: kdump_post /bin/mine",
            "[ \"$1\" = 0 ] && /usr/bin/stalecore deploy now --start",
        ),
        (
            &[Now],
            |f| {
                f.tree = tree(|tree| {
                    let cpus = tree.root.child_mut("cpus").unwrap();
                    for cpu in cpus.children_mut() {
                        cpu.add_property(dtoolkit::model::DeviceTreeProperty::new_unchecked(
                            "enable-method",
                            "spin-table",
                        ));
                        cpu.add_property(dtoolkit::model::DeviceTreeProperty::new_unchecked(
                            "cpu-release-addr",
                            0x4000_0000_u64,
                        ));
                    }
                });
            },
            "holds its cores in a spin table",
            "/usr/bin/stalecore deploy crash",
        ),
        (
            &[Now],
            |f| {
                f.vmcore = true;
                f.iomem = "60000000-6fffffff : System RAM\n".into();
            },
            "does not say which memory is its own",
            "reset",
        ),
        (
            &[Crash, AfterDump],
            |f| f.vmcore = true,
            "no reservation of its own",
            "/usr/bin/stalecore deploy now",
        ),
        (
            &[Now],
            |f| f.iomem = "40000000-403fffff : System RAM\n".into(),
            "no 8 MiB of free memory",
            "just been booted",
        ),
    ];
    for (ways, change, what, mend) in rows {
        let mut facts = good();
        change(&mut facts);
        for way in ways {
            let refusal = outcome(&facts, *way).deed.unwrap_err();
            assert!(refusal.what.contains(what), "{way:?}: {refusal}");
            assert!(refusal.mend.contains(mend), "{way:?}: {refusal}");
            let line = refusal.to_string();
            assert!(
                !line.contains('\n') && line.contains("; to make it work: "),
                "{line}"
            );
        }
        // What is in one way's way is in no other's.
        for way in Way::ALL.iter().filter(|way| !ways.contains(way)) {
            if let Err(refusal) = outcome(&facts, *way).deed {
                assert!(!refusal.what.contains(what), "{way:?}: {refusal}");
            }
        }
    }
}

#[test]
fn what_is_no_image_of_ours_is_refused() {
    let mut kernel = image(6 << 20);
    kernel[64..80].fill(0);
    for (bytes, what) in [
        (&kernel[..], "an arm64 kernel, but not stalecore's"),
        (b"\x7fELF", "only 4 bytes"),
        (&[0; 128][..], "no arm64 header"),
        (&image(64)[..], "owns only 64"),
    ] {
        for outcome in judged(&good(), "", "", bytes).ways {
            let refusal = outcome.deed.unwrap_err();
            assert!(refusal.what.contains(what), "{refusal}");
            assert!(refusal.mend.contains("make live"), "{refusal}");
        }
    }
    // Larger than the reservation.
    let large = judged(&good(), "", "", &image(512 << 20));
    let said = large.ways[1].deed.clone().unwrap_err();
    assert!(said.what.contains("has 256 MiB; 519 are needed"), "{said}");
    assert!(said.mend.contains("crashkernel=576M"), "{said}");
}

#[test]
fn a_plan_that_the_machine_cannot_run_is_refused() {
    let outlook = judged(&good(), "stalecore.initiators=9", "", &image(6 << 20));
    let refusal = outlook.ways[0].deed.clone().unwrap_err();
    assert!(refusal.what.contains("initiators"), "{refusal}");
}

#[test]
fn what_is_loaded_lies_where_nothing_is() {
    let load = load(&good(), Way::Now);
    // Behind the kernel, at the first multiple of 2 MiB.
    assert_eq!(load.image().base, 0x4280_0000);
    let pieces = |load: &Load| -> Vec<_> { load.pieces.iter().map(|p| p.region).collect() };
    for (nth, piece) in pieces(&load).iter().enumerate() {
        assert_eq!((piece.base % 0x1_0000, piece.size % 0x1_0000), (0, 0));
        assert!(load.pieces[nth].bytes.len() as u64 <= piece.size);
        for other in &pieces(&load)[nth + 1..] {
            assert!(!piece.overlaps(other));
        }
    }
    // Without a reservation around it, all memory may be used.
    assert_eq!(chosen(&load, "linux,usable-memory-range"), None);
    assert_eq!(chosen(&load, "linux,booted-from-kexec"), Some(vec![]));
}

#[test]
fn a_crash_kernel_stays_in_the_reservation() {
    let load = load(&good(), Way::Crash);
    let reservation = Region {
        base: 0x6000_0000,
        size: 256 << 20,
    };
    for piece in &load.pieces {
        assert_eq!(piece.region.common(&reservation), Some(piece.region));
    }
    let range = [0x6000_0000_u64, 256 << 20].map(u64::to_be_bytes).concat();
    assert_eq!(chosen(&load, "linux,usable-memory-range"), Some(range));
    let seen = crate::platform::devicetree::read(&load.pieces[1].bytes).unwrap();
    assert_eq!(seen.memory, [reservation]);
    // A reservation that is off by a megabyte serves as well, if there is room.
    let mut facts = good();
    facts.iomem = facts.iomem.replace("60000000-", "60100000-");
    let load = self::load(&facts, Way::Crash);
    assert_eq!(load.image().base, 0x6020_0000);
}

#[test]
fn a_kernel_after_a_crash_stays_in_its_memory() {
    let mut facts = good();
    facts.vmcore = true;
    facts.iomem = "60000000-6fffffff : System RAM\n  60000000-61ffffff : Kernel code\n".into();
    let range = [0x6000_0000_u64, 256 << 20].map(u64::to_be_bytes).concat();
    let with_range = range.clone();
    facts.tree = tree(|tree| {
        let chosen = tree.root.child_mut("chosen").unwrap();
        let name = "linux,usable-memory-range";
        chosen.add_property(dtoolkit::model::DeviceTreeProperty::new_unchecked(
            name, with_range,
        ));
    });
    let load = load(&facts, Way::Now);
    assert_eq!(load.image().base, 0x6200_0000);
    assert_eq!(chosen(&load, "linux,usable-memory-range"), Some(range));
}

#[test]
fn a_tree_that_lies_about_memory_is_put_right() {
    let mut facts = good();
    // The tree has a gigabyte from 0x40000000; Linux uses less.
    facts.iomem = facts
        .iomem
        .replace("40000000-7fffffff", "40000000-6fffffff");
    let outcome = outcome(&facts, Way::Now);
    let said = outcome.warns.join("; ");
    assert!(
        said.contains("the tree has memory from 0x40000000 to 0x80000000, Linux uses 0x40000000 to 0x70000000: the image is told what Linux uses"),
        "{said}"
    );
    let Ok(Deed::Load(load)) = outcome.deed else {
        panic!("{:?}", outcome.deed)
    };
    let seen = crate::platform::devicetree::read(&load.pieces[1].bytes).unwrap();
    let memory = Region {
        base: 0x4000_0000,
        size: 0x3000_0000,
    };
    assert_eq!(seen.memory, [memory]);
    assert!(
        self::outcome(&good(), Way::Now)
            .warns
            .iter()
            .all(|w| !w.contains("tree"))
    );
}

#[test]
fn the_first_instructions_give_the_tree_and_jump() {
    let load = load(&good(), Way::Now);
    let [image, tree, first] = &load.pieces[..] else {
        panic!("{} pieces", load.pieces.len())
    };
    assert_eq!(load.entry, first.region.base);
    assert_eq!(first.bytes.len(), 40);
    assert_eq!(first.bytes[24..32], tree.region.base.to_le_bytes());
    assert_eq!(first.bytes[32..40], image.region.base.to_le_bytes());
    // ldr x0 and ldr x4 reach those words: imm19 is in words, from bit 5.
    let word = |nth: usize| u32::from_le_bytes(first.bytes[4 * nth..][..4].try_into().unwrap());
    for (nth, register, target) in [(0, 0, 24), (1, 4, 32)] {
        assert_eq!(word(nth) >> 24, 0x58);
        assert_eq!(word(nth) & 31, register);
        assert_eq!(4 * nth as u32 + 4 * (word(nth) >> 5 & 0x7ffff), target);
    }
}

/// A kernel of 40 MiB in memory, and a ramdisk.
const KERNEL: u64 = 40 << 20;

fn with_next(facts: &Facts, options: &str, kernel: &[u8]) -> Outlook {
    let initrd = vec![7; 100_000];
    let next = Next {
        kernel,
        initrd: &initrd,
    };
    judged_with(facts, options, "", &image(6 << 20), Some(next))
}

#[test]
fn the_next_kernel_is_loaded_beside_the_image() {
    let facts = good();
    let outlook = with_next(&facts, "stalecore.then=kexec", &image(KERNEL));
    let Ok(Deed::Load(load)) = &outlook.ways[0].deed else {
        panic!("{:?}", outlook.ways[0].deed)
    };
    let [own, own_tree, _, first, tree, kernel, initrd] = &load.pieces[..] else {
        panic!("{} pieces", load.pieces.len())
    };
    // All of it is free memory, in whole pages, and nothing overlaps.
    let free = iomem::Iomem::read(&facts.iomem).free();
    for (nth, piece) in load.pieces.iter().enumerate() {
        let region = piece.region;
        assert!(free.iter().any(|part| part.common(&region) == Some(region)));
        assert_eq!((region.base % 0x1_0000, region.size % 0x1_0000), (0, 0));
        assert!(piece.bytes.len() as u64 <= region.size);
        let others = &load.pieces[nth + 1..];
        assert!(others.iter().all(|other| !other.region.overlaps(&region)));
    }
    assert_eq!(
        (own.region.base % (2 << 20), kernel.region.base % (2 << 20)),
        (0, 0)
    );
    // The image is told of one range, which begins with the first instructions, and takes
    // none of it.
    let next = load.next.unwrap();
    assert_eq!(next.base, first.region.base);
    for piece in [first, tree, kernel, initrd] {
        assert_eq!(next.common(&piece.region), Some(piece.region));
    }
    assert!(!next.overlaps(&own.region));
    let seen = crate::platform::devicetree::read(&own_tree.bytes).unwrap();
    assert!(seen.reserved.contains(&next));
    assert_eq!(seen.kexec.unwrap().next, Some(next));
    // They give the kernel its tree, which has this Linux's arguments and the ramdisk.
    assert_eq!(first.bytes[24..32], tree.region.base.to_le_bytes());
    assert_eq!(first.bytes[32..40], kernel.region.base.to_le_bytes());
    let fdt = Fdt::new(&tree.bytes).unwrap();
    let chosen = fdt.root().child("chosen").unwrap();
    let value = |name| {
        chosen
            .property(name)
            .map(|property| property.value().to_vec())
    };
    let cmdline = [facts.cmdline.as_bytes(), &[0]].concat();
    assert_eq!(value("bootargs"), Some(cmdline));
    let start = initrd.region.base;
    assert_eq!(
        value("linux,initrd-start"),
        Some(start.to_be_bytes().to_vec())
    );
    let end = (start + 100_000).to_be_bytes().to_vec();
    assert_eq!(value("linux,initrd-end"), Some(end));
    assert_eq!(value("stalecore,next"), None);
    // It is the whole machine's: memory is what it was.
    assert!(fdt.root().child("memory@40000000").is_some());
}

#[test]
fn a_next_kernel_that_cannot_be_started_is_refused() {
    let then = "stalecore.then=kexec";
    let refused = |outlook: Outlook, way: usize| outlook.ways[way].deed.clone().unwrap_err();
    let good_kernel = image(KERNEL);
    let none = judged(&good(), then, "", &image(6 << 20));
    assert!(refused(none, 0).what.contains("no kernel to be started"));
    let packed = with_next(&good(), then, &[0x1f; 100]);
    assert!(
        refused(packed, 0)
            .what
            .contains("the next kernel: the image has no arm64 header")
    );
    let large = with_next(&good(), then, &image(2 << 30));
    assert!(
        refused(large, 0)
            .what
            .contains("no 2053 MiB of free memory")
    );
    // After a crash nothing is known of what still runs.
    let crash = with_next(&good(), then, &good_kernel);
    for way in [1, 2] {
        let refusal = refused(crash.clone(), way);
        assert!(refusal.what.contains("after a crash"), "{refusal}");
        assert_eq!(refusal.mend, "--then reset");
    }
    let mut facts = good();
    facts.tree = tree(|tree| {
        tree.root.remove_child("psci");
    });
    let refusal = refused(with_next(&facts, then, &good_kernel), 0);
    assert!(refusal.what.contains("no PSCI from 0.2 on"), "{refusal}");
    let fabric = "stalecore.then=kexec stalecore.fabric=deaf=spin";
    let refusal = refused(with_next(&good(), fabric, &good_kernel), 0);
    assert!(refusal.what.contains("the fabric keeps EL2"), "{refusal}");
}

#[test]
fn the_command_line_has_what_linux_says_of_consoles_and_logs() {
    let mut facts = good();
    facts.cmdline += " earlycon=pl011,0x9000000 quiet acpi_rsdp=0x1000";
    facts.ramoops = [
        "mem_address=0x7f000000",
        "mem_size=1048576",
        "console_size=65536",
    ]
    .map(String::from)
    .to_vec();
    let outlook = judged(
        &facts,
        "stalecore.ramoops=on stalecore.then=reset",
        " extra=1 ",
        &image(6 << 20),
    );
    let Ok(Deed::Load(load)) = outlook.ways[0].deed.clone() else {
        panic!("{:?}", outlook.ways[0].deed)
    };
    assert_eq!(
        load.bootargs,
        "stalecore.then=reset stalecore.ramoops=on earlycon=pl011,0x9000000 acpi_rsdp=0x1000 \
         ramoops.mem_address=0x7f000000 ramoops.mem_size=1048576 ramoops.console_size=65536 extra=1"
    );
    let text = [load.bootargs.as_bytes(), &[0]].concat();
    assert_eq!(chosen(&load, "bootargs"), Some(text));
    // A region that nobody names, and one that cannot be used.
    facts.ramoops.clear();
    for (append, what) in [
        ("", "nothing says where it is"),
        ("ramoops.mem_address=0x123", "no ramoops.mem_size"),
        ("ramoops.mem_address=0x123 ramoops.mem_size=1M", "0x123"),
    ] {
        let outlook = judged(&facts, "stalecore.ramoops=on", append, &image(6 << 20));
        let refusal = outlook.ways[0].deed.clone().unwrap_err();
        assert!(refusal.what.contains(what), "{refusal}");
    }
}

#[test]
fn where_a_log_is_kept_is_found_or_what_makes_it_so_is_said() {
    const OF_THE_MODULE: [&str; 3] = [
        "mem_address=0x7f000000",
        "mem_size=2097152",
        "console_size=524288",
    ];
    type Change = fn(&mut Facts);
    let rows: [(Change, &str, &str); 7] = [
        (
            |_| (),
            "ramoops: nothing says where it is;",
            "a reboot with mem= on Linux's command line",
        ),
        (
            |f| f.release = "6.12.3-arm64".into(),
            "ramoops: nothing says where it is;",
            "reserve_mem=2M:4096:stalecore ramoops.mem_name=stalecore ramoops.console_size=512K\"' > /etc/default/grub.d/stalecore.cfg && update-grub && reboot; and after it: modprobe ramoops",
        ),
        (
            |f| {
                f.release = "7.3.4".into();
                f.pstore = "efi_pstore".into();
                f.tool = Tool::Grubby;
            },
            "Linux keeps its logs by efi_pstore",
            "--args='reserve_mem=2M:4096:stalecore ramoops.mem_name=stalecore ramoops.console_size=512K pstore.backend=ramoops' && reboot",
        ),
        (
            |f| f.pstore = "erst".into(),
            "Linux keeps its logs by erst",
            "mem=",
        ),
        (
            |f| f.cmdline += " ramoops.mem_name=oops",
            "has ramoops.mem_name=oops, and the module that knows its address is not loaded",
            "modprobe ramoops",
        ),
        (
            |f| {
                f.cmdline += " ramoops.mem_name=oops";
                f.ramoops_loaded = true;
            },
            "has reserved nothing of that name",
            "mem=",
        ),
        (
            |f| {
                f.ramoops = ["mem_address=0x70000000", "mem_size=0x100000"]
                    .map(String::from)
                    .into()
            },
            "0x70000000 to 0x70100000 is memory that Linux uses",
            "mem=",
        ),
    ];
    let judged_so = |facts: &Facts| judged(facts, "stalecore.ramoops=on", "", &image(6 << 20));
    for (change, what, mend) in rows {
        let mut facts = good();
        change(&mut facts);
        let outlook = judged_so(&facts);
        for outcome in outlook.ways {
            let refusal = outcome.deed.unwrap_err();
            let line = refusal.to_string();
            assert!(line.contains(what) && refusal.mend.contains(mend), "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
        // Who does not ask for it is not told to reboot.
        assert!(outcome(&facts, Way::Now).deed.is_ok());
    }
    let mut facts = good();
    facts.pstore = "erst".into();
    let machine = judged_so(&facts).machine.join("\n");
    assert!(
        machine.contains("ramoops: none; Linux keeps its logs by erst"),
        "{machine}"
    );
    // The module's own address counts, whatever the command line calls it.
    facts.cmdline += " ramoops.mem_name=oops ramoops.console_size=4096";
    facts.ramoops = OF_THE_MODULE.map(String::from).into();
    let outlook = judged_so(&facts);
    let machine = outlook.machine.join("\n");
    assert!(
        machine.contains("ramoops: 2048 KiB at 0x7f000000"),
        "{machine}"
    );
    assert!(
        outlook.ways[0].deed.is_ok()
            && outlook.ways[0].warns.iter().all(|w| !w.contains("ramoops"))
    );
    // A short zone is a warning.
    facts.ramoops[2] = "console_size=65536".into();
    let warns = judged_so(&facts).ways[0].warns.join("; ");
    assert!(
        warns.contains("ramoops keeps the last 64 KiB of the log"),
        "{warns}"
    );
}

#[test]
fn hooks_start_the_harness_once_the_dump_is_saved() {
    let written = hooks(&good());
    let [unit, script] = &written.edits[..] else {
        panic!("{written:?}")
    };
    assert!(
        unit.text
            .contains(&std::format!("ExecStart=\nExecStart={}\n", script.path))
    );
    assert!(script.executable && !unit.executable);
    for part in [
        "if kdump-config savecore &&\n",
        "|| /usr/bin/stalecore deploy --saved \"${KDUMP_COREDIR:-/var/crash}\"; }; then\n\t/usr/bin/stalecore deploy now --start\n",
    ] {
        assert!(script.text.contains(part), "{}", script.text);
    }
    assert!(script.text.ends_with("reboot -f\n"));

    let mut facts = good();
    let conf = "# mine\npath /var/crash\ncore_collector makedumpfile -l -d 31";
    facts.dumper = Some(Dumper::KdumpUtils(conf.into()));
    let written = hooks(&facts);
    let [post, changed] = &written.edits[..] else {
        panic!("{written:?}")
    };
    assert!(
        post.text
            .contains("[ \"$1\" = 0 ] || exit 0\n/usr/bin/stalecore deploy now --start\n")
    );
    assert_eq!(changed.path, KDUMP_CONF);
    assert!(changed.text.starts_with(conf));
    assert!(changed.text.contains(&std::format!(
        "\nextra_bins /usr/bin/stalecore\nkdump_post {}\n",
        post.path
    )));
    assert_eq!(written.next, Some("kdumpctl restart"));
    // Written twice it is there once, and it is taken back whole.
    facts.dumper = Some(Dumper::KdumpUtils(changed.text.clone()));
    assert_eq!(hooks(&facts).edits[1].text, changed.text);
    assert_eq!(without(&changed.text), std::format!("{conf}\n"));
}

#[test]
fn hooks_have_the_plan() {
    let outlook = judged(
        &good(),
        "stalecore.ops=ic-ivau stalecore.then=reset",
        "earlycon=pl011,0x9000000",
        &image(6 << 20),
    );
    let Ok(Deed::Hooks(hooks)) = outlook.ways[2].deed.clone() else {
        panic!("{:?}", outlook.ways[2].deed)
    };
    let script = &hooks.edits[1].text;
    assert!(
        script.contains(
            "deploy now --start --ops=ic-ivau --then=reset --append=earlycon=pl011,0x9000000\n"
        ),
        "{script}"
    );
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
