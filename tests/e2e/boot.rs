//! The image booted by real firmware, from the disk that the command makes:
//! EDK2, U-Boot, and GRUB on EDK2. The same plan must give the same answer.

use stalecore_model::{cpuset::CpuSet, glossary::Verdict, run::Run};

use crate::dist::{Booted, built};

/// A way to boot.
struct Way {
    name: &'static str,
    /// Where the machine's description comes from.
    source: &'static str,
    /// What has to be built for it.
    needs: &'static [&'static str],
    /// Something that its firmware prints before the image does.
    says: &'static str,
}

const WAYS: &[Way] = &[
    Way {
        name: "image",
        source: "device-tree",
        needs: &[],
        says: "",
    },
    Way {
        name: "uefi",
        source: "acpi",
        needs: &["stalecore.efi"],
        says: "stalecore.cfg",
    },
    Way {
        name: "u-boot",
        source: "device-tree",
        needs: &[],
        says: "Starting kernel",
    },
    Way {
        name: "grub",
        source: "acpi",
        needs: &["stalecore.efi", "grubaa64.efi"],
        says: "load options",
    },
    // The next goes here.
];

impl Way {
    fn boot(&self, args: &str) -> Booted {
        for file in self.needs {
            built(file);
        }
        // Emulation on a busy host makes some medians late, which is no difference
        // between the ways.
        Booted::new(&format!("--boot {} --cpus 4 {args}", self.name))
    }
}

/// What each case is and its verdict, in no order.
fn cases(run: &Run) -> Vec<String> {
    let mut cases: Vec<_> = run
        .cases
        .iter()
        .map(|case| {
            let verdict = match case.verdict {
                Verdict::Slowed => Verdict::Completed,
                verdict => verdict,
            };
            format!("{} {} {} {verdict}", case.op, case.state, case.line)
        })
        .collect();
    cases.sort();
    cases
}

#[test]
fn every_firmware_gives_the_same_cases_and_verdicts() {
    let mut expected = None;
    for firmware in WAYS {
        let (way, says) = (firmware.name, firmware.says);
        let booted = firmware.boot("--ops ic-ivau,dc-civac --stale spin,wfe");
        let booted = booted.ends(0, &["ic-ivau"]);
        let run = &booted.run;
        let machine = run.machine.as_ref().unwrap();
        assert_eq!(
            (machine.source.as_str(), machine.entry_el, machine.cpus),
            (firmware.source, 2, 4),
            "{way}"
        );
        assert_eq!(run.garbled, 0, "{way}: {:?}", run.notes);
        let cases = cases(run);
        assert_eq!(cases.len(), 4, "{way}");
        assert_eq!(&cases, expected.get_or_insert(cases.clone()), "{way}");
        // What firmware says first is kept, but is not ours.
        let console = booted.console();
        let chatter = console.split("KTAP version 1").next().unwrap();
        assert_eq!(
            chatter.trim().is_empty(),
            says.is_empty(),
            "{way}: {chatter}"
        );
        assert!(chatter.contains(says), "{way}: {chatter}");
    }
}

#[test]
fn a_deaf_core_blocks_whoever_booted_the_image() {
    for firmware in WAYS {
        let way = firmware.name;
        let booted = firmware.boot("--fabric deaf=spin --stale spin --ops ic-ivau");
        let booted = booted.ends(4, &["Made by the fabric, a model: ic-ivau on CPU 0"]);
        assert_eq!(booted.run.blocks[0].seen_by, "sentinel", "{way}");
    }
}

#[test]
fn firmware_hands_over_at_el1_too() {
    for firmware in WAYS {
        let way = firmware.name;
        let booted = firmware.boot("--el 1 --no-semihosting --stale spin --ops ic-ivau");
        let booted = booted.ends(0, &[]);
        let machine = booted.run.machine.as_ref().unwrap();
        assert_eq!(
            (machine.entry_el, machine.psci.as_deref()),
            (1, Some("hvc")),
            "{way}"
        );
        assert!(
            booted.console().trim_end().ends_with("stalecore: exit 0"),
            "{way}"
        );
    }
}

#[test]
fn a_usb_stick_boots_and_acpi_s_sockets_and_clusters_reach_the_report() {
    let booted = Booted::new(
        "--boot uefi --disk usb --cpus 8 --ops ic-ivau --stale spin --el 1 \
         --qemu-arg -smp --qemu-arg cpus=8,sockets=2,clusters=2,cores=2",
    );
    let booted = booted.ends(0, &[]);
    let topology = booted.run.topology.as_ref().unwrap();
    let text = |groups: &[CpuSet]| -> Vec<_> { groups.iter().map(ToString::to_string).collect() };
    assert_eq!(text(&topology.sockets), ["0-3", "4-7"]);
    assert_eq!(text(&topology.clusters), ["0-1", "2-3", "4-5", "6-7"]);
    let page = booted.report();
    for part in ["2: CPUs 0-3 · 4-7", ", socket 1, cluster 2\""] {
        assert!(page.contains(part), "{part} is missing");
    }
}

/// The states that hold a real core under KVM, with everything else as it is there:
/// no semihosting, entered at EL1.
#[test]
fn what_a_guest_of_kvm_would_run() {
    let booted = WAYS[0].boot(
        "--el 1 --no-semihosting --ops ic-ivau,dc-civac,flush-icache-range \
         --stale spin,branch-self,dmb-loop,ldxr-stxr,load-storm",
    );
    let booted = booted.ends(0, &[]);
    assert_eq!(booted.run.cases.len(), 15);
    assert!(!booted.ended.err.contains("semihosting"));
}

#[test]
fn boot_loaders_do_not_tell_where_they_were_built() {
    let loader = std::fs::read(built("stalecore.efi")).unwrap();
    let has = |part: &[u8]| loader.windows(part.len()).any(|window| window == part);
    assert!(has(b"MZ") && has(b"back to the firmware"));
    // A file of symbols is named by its checksum, which no two places have in common.
    assert!(!has(b".pdb") && !has(b"RSDS"));
}
