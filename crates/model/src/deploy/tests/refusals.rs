//! What cannot work, and what would make it work.

use super::*;

#[test]
fn what_is_refused_is_one_line_with_what_would_help() {
    use Way::{AfterDump, Crash, Now};
    type Change = fn(&mut Facts);
    let rows: [(&[Way], Change, &str, &str); 27] = [
        (
            &Way::ALL,
            |f| {
                f.iomem =
                    "00000000-00000000 : System RAM\n  00000000-00000000 : Kernel code\n".into()
            },
            "shows no addresses",
            "sudo before this command",
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
            &[Crash, AfterDump],
            |f| f.iomem = f.iomem.replace("Crash kernel", "reserved"),
            "no memory is reserved",
            "crashkernel=256M\"' >> /etc/default/grub.d/stalecore.cfg && update-grub && reboot",
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
fn a_word_that_the_image_would_not_take_is_refused() {
    for (append, why) in [
        ("stalecore.bogus=1", "bogus: no such key"),
        ("stalecore.ops", "no '=' and value"),
        ("stalecore.stale-cpus=99", "99"),
        (
            "earlycon=lpuart,0x1000",
            "earlycon: 'lpuart,0x1000' is not allowed",
        ),
    ] {
        let outlook = judged(&good(), "", append, &image(6 << 20));
        let refusal = outlook.ways[0].deed.clone().unwrap_err();
        assert!(refusal.what.contains(why), "{refusal}");
    }
    // Linux has consoles that the image has not; who else can hear it is told.
    let mut facts = good();
    facts.cmdline += " earlycon=lpuart,0x1000 earlycon=efifb earlycon=pl011,0x9000000";
    let bootargs = load(&facts, Way::Now).bootargs;
    assert_eq!(bootargs, "earlycon=pl011,0x9000000");
}
