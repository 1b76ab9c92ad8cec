//! CPUs that are stuck, and who found them.

use super::*;

/// Its logs, by name.
pub fn all() -> Vec<(&'static str, String)> {
    let b = || boot("6.1.0", 4);
    let path = |list: &str| STOP.to_string() + &failed(list) + START + WARNING + WARNED + BYE;
    let buddy = |by: u32, cpu: u32| {
        format!("watchdog: CPU{by}: Watchdog detected hard LOCKUP on cpu {cpu}\n")
    };
    let asked = |by: u32, cpu: u32| format!("Sending NMI from CPU {by} to CPUs {cpu}:\n");
    vec![
        ("a soft lockup of the CPU that panicked", stuck_in("hang")),
        (
            "a soft lockup, and others that did not stop",
            b() + &soft(1, "hang") + &soft_panic(1) + &path("0,2-3"),
        ),
        (
            "a soft lockup, 4.18",
            stuck_in("_raw_spin_lock").replace("6.1.0", "4.18.0"),
        ),
        (
            "a core that did not stop, and is parked",
            (b() + &soft(2, "cpu_park_loop") + &soft(1, "hang") + &soft_panic(1) + &path("0,2-3"))
                .replace("6.1.0", "6.12.0"),
        ),
        (
            "a soft lockup of a CPU that waits for others",
            stuck_in("smp_call_function_many_cond"),
        ),
        (
            "a soft lockup behind the panic",
            b() + &soft(1, "hang") + &soft_panic(1) + &soft(2, "hang") + STOP + START + BYE,
        ),
        (
            "two CPUs that print at once",
            b() + "watchdog: BUG: soft lockup - CPU#1 stuck for 23s! [sh:118]\n\
                   watchdog: BUG: soft lockup - CPU#2 stuck for 23s! [sh:118]\n"
                + &on(1, "6.1.0")
                + &on(2, "6.1.0")
                + "pc : hang+0x10/0x20\npc : hang+0x10/0x20\n"
                + &soft_panic(1)
                + STOP
                + START
                + BYE,
        ),
        (
            "a CPU in maintenance of its own",
            b() + &soft(2, "flush_icache_range") + &soft(1, "hang") + &soft_panic(1) + STOP,
        ),
        (
            "a hard lockup of the CPU that panicked",
            b() + &hard(1)
                + &on(1, "6.1.0")
                + "pc : hang+0x10/0x20\n"
                + &hard_panic(1, "watchdog_overflow_callback")
                + STOP
                + START
                + BYE,
        ),
        (
            "the same by SDEI",
            b() + &hard(1)
                + &on(1, "6.1.0")
                + "pc : hang+0x10/0x20\n"
                + &hard_panic(1, "sdei_watchdog_callback")
                + STOP
                + START
                + BYE,
        ),
        (
            "a hard lockup elsewhere, found by an NMI",
            b() + &hard(2) + &hard_panic(1, "watchdog_overflow_callback") + &path("0,2-3"),
        ),
        (
            "a hard lockup elsewhere, found by SDEI",
            b() + &hard(2) + &hard_panic(1, "sdei_watchdog_callback") + &path("0,2-3"),
        ),
        (
            "a hard lockup elsewhere, found by another CPU",
            b() + &buddy(1, 2) + &hard_panic(1, "watchdog_buddy_check_hardlockup") + &path("0,2-3"),
        ),
        (
            "a hard lockup elsewhere, found somehow",
            b() + &hard(2) + &hard_panic(1, "panic") + &path("0,2-3"),
        ),
        (
            "a hard lockup found by another CPU behind the panic",
            b() + &sysrq("6.1.0") + &buddy(1, 2) + &path("1-3"),
        ),
        (
            "a hard lockup behind the panic",
            b() + &sysrq("6.1.0") + &hard(2) + &path("1-3"),
        ),
        (
            "a CPU that waits for another one's backtrace",
            b() + &buddy(1, 2)
                + &asked(1, 2)
                + &buddy(0, 1)
                + &hard_panic(0, "watchdog_buddy_check_hardlockup")
                + &path("1-3"),
        ),
        (
            "a CPU that gave no backtrace",
            b() + &rcu(&[1], BY_0) + &asked(0, 1) + "sh: next\n" + &rcu_panic(0) + &path("1-3"),
        ),
        (
            "an RCU stall of several",
            b() + &rcu(&[1, 2], BY_0) + &rcu_panic(0) + &path("1-3"),
        ),
        (
            "an RCU stall found by itself",
            b() + &rcu(&[1], ITSELF) + &rcu_panic(1) + &path("0,2-3"),
        ),
        (
            "an RCU stall found by nobody",
            b() + &rcu(&[1], "") + &rcu_panic(0) + &path("1-3"),
        ),
        (
            "a stalled CPU that stopped",
            (b() + &rcu(&[1, 2], BY_0) + &rcu_panic(0) + &path("2")).replace("6.1.0", "6.12.0"),
        ),
        (
            "a workqueue's lockup",
            b() + "BUG: workqueue lockup - pool cpus=2 node=0 flags=0x0 nice=0 stuck for 36s!\n"
                + &sysrq("6.1.0")
                + &path("1-3"),
        ),
        (
            "a CPU that waits for another one's answer",
            b() + "smp: csd: Detected non-responsive CSD lock (#1) on CPU#3, waiting 5000000006 ns \
                   for CPU#02 do_nothing+0x0/0x10(0x0).\n"
                + &sysrq("6.1.0")
                + &path("1-3"),
        ),
        (
            "a hard lockup without a path",
            b() + &hard(2) + &hard_panic(1, "watchdog_overflow_callback"),
        ),
    ]
}
