//! How far the path came.

use super::*;

/// Its logs, by name.
pub fn all() -> Vec<(&'static str, String)> {
    let started = |release: &str| boot(release, 4) + &sysrq(release) + STOP + START;
    let jumped = |release: &str| started(release) + BYE;
    let captured = || jumped("6.1.0") + CAPTURE;
    let by_hand = |lines: &str| boot("6.1.0", 4) + lines;
    vec![
        (
            "the dump was saved",
            captured() + "|kdump: saving vmcore complete\n",
        ),
        (
            "a capture kernel that boots",
            captured() + "pci 0000: probed\n",
        ),
        (
            "a capture kernel that reached user space",
            captured() + "Run /init as init process\n",
        ),
        (
            "a capture kernel of which nothing more is known",
            jumped("6.1.0") + &CAPTURE.replace("Kernel", "|Kernel"),
        ),
        (
            "a capture kernel that copies",
            captured() + "|kdump: saving vmcore\n|Copying data : [ 45.2 %] -  eta: 12s\n",
        ),
        (
            "a capture kernel whose dump failed",
            captured() + "|kdump: saving vmcore failed\n",
        ),
        (
            "a capture kernel that crashed itself",
            captured()
                + "Kernel panic - not syncing: VFS: Unable to mount root fs\n"
                + &on(0, "6.1.0"),
        ),
        (
            "a capture kernel that left",
            captured() + "reboot: Restarting system\n",
        ),
        (
            "another boot behind the capture kernel's",
            captured() + &"pci 0000: probed\n".repeat(4) + &boot("6.1.0", 4),
        ),
        (
            "a boot that is not known",
            jumped("6.1.0") + "Booting Linux on physical CPU 0x0000000000 [0x410fd083]\n",
        ),
        (
            "a reset",
            jumped("6.1.0") + "|EFI stub: Booting Linux Kernel...\n",
        ),
        (
            "nothing behind the panic",
            by_hand("Kernel panic - not syncing: no reason\n"),
        ),
        (
            "nothing behind the stop",
            boot("6.1.0", 4) + &sysrq("6.1.0") + STOP,
        ),
        ("nothing behind the list", unstopped("6.1.0", 4, "1-3")),
        (
            "nothing behind the list, loaded not known",
            by_hand("Kernel panic - not syncing: no reason\n") + STOP + &failed("1-3"),
        ),
        (
            "nothing behind the list, none loaded",
            unstopped("6.1.0", 4, "1-3").replace("Kdump: loaded ", ""),
        ),
        (
            "no crash kernel, none loaded",
            boot("6.1.0", 4)
                + &sysrq("6.1.0").replace("Kdump: loaded ", "")
                + STOP
                + "Kernel Offset: disabled\nRebooting in 5 seconds..\n",
        ),
        (
            "no crash kernel, one loaded",
            boot("6.1.0", 4)
                + &sysrq("6.1.0")
                + STOP
                + "---[ end Kernel panic - not syncing ]---\n",
        ),
        (
            "no crash kernel, loaded not known",
            by_hand("Kernel panic - not syncing: no reason\n")
                + STOP
                + "---[ end Kernel panic - not syncing ]---\n",
        ),
        (
            "no crash kernel, and a core that did not stop",
            unstopped("6.12.0", 4, "3").replace("Kdump: loaded ", "")
                + "Rebooting in 5 seconds..\n",
        ),
        ("begun, 4.18", started("4.18.0")),
        ("begun, 4.19", started("4.19.0")),
        ("begun, 5.10", started("5.10.0")),
        ("begun, 6.1", started("6.1.0")),
        (
            "begun, of unknown age",
            started("x").replace("Linux version x (gcc)\n", ""),
        ),
        ("jumped, 4.18", jumped("4.18.0")),
        (
            "jumped, of unknown age",
            jumped("x").replace("Linux version x (gcc)\n", ""),
        ),
        (
            "no panic behind a soft lockup",
            boot("6.1.0", 4) + &soft(1, "hang"),
        ),
        ("no panic behind a hard lockup", boot("6.1.0", 4) + &hard(1)),
        (
            "no panic behind an RCU stall",
            boot("6.1.0", 4) + &rcu(&[1], BY_0),
        ),
        (
            "no panic behind an SError",
            by_hand("SError Interrupt on CPU1, code 0x00000000be000000 -- SError\n"),
        ),
        ("no panic behind an oops", boot("6.1.0", 4) + &oops(1)),
        (
            "no panic behind an oops that is over",
            boot("6.1.0", 4) + &oops(1) + WARNED,
        ),
        ("only the firmware", EL3.into()),
    ]
}
