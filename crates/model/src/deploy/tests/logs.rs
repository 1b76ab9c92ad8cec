//! Where a log is kept, and what Linux says of it.

use super::*;

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
            "reserve_mem=2M:4096:stalecore ramoops.mem_name=stalecore ramoops.console_size=512K\"' >> /etc/default/grub.d/stalecore.cfg && update-grub && reboot; and after it: modprobe ramoops",
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
            "0x70000000 to 0x70100000 is not kept for it, but System RAM",
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

/// What Linux uses, or what is a device's, is no place for a log; what it keeps for nobody is.
#[test]
fn a_log_lies_where_linux_has_nothing() {
    for (base, owner) in [
        (0x4030_0000_u64, "Kernel code"),
        (0x900_0000, "pl011@9000000"),
        (0x6000_0000, "Crash kernel"),
        (0x5000_0000, "System RAM"),
        // Half of it.
        (0x7ef8_0000, "System RAM"),
    ] {
        let append = std::format!("ramoops.mem_address={base:#x} ramoops.mem_size=1M");
        let outlook = judged(&good(), "stalecore.ramoops=on", &append, &image(6 << 20));
        for way in outlook.ways {
            let refusal = way.deed.unwrap_err().what;
            assert!(
                refusal.contains(&std::format!(" is not kept for it, but {owner}")),
                "{refusal}"
            );
        }
    }
    // Reserved, claimed by the module that has it, and beyond what Linux was given.
    let mut facts = good();
    facts.iomem += "  7f000000-7fffffff : reserved\n    7f000000-7f0fffff : ramoops:dump(0/1)\n";
    for (facts, base) in [
        (&good(), 0x7f00_0000_u64),
        (&facts, 0x7f00_0000),
        (&good(), 0x8000_0000),
    ] {
        let append = std::format!("ramoops.mem_address={base:#x} ramoops.mem_size=2M");
        let outlook = judged(facts, "stalecore.ramoops=on", &append, &image(6 << 20));
        assert!(outlook.ways[0].deed.is_ok(), "{:?}", outlook.ways[0].deed);
    }
}
