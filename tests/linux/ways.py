"""The ways in which the kernels are crashed, and what then happened, which is known
because the row did it."""

import dataclasses

import machine

CPUS = frozenset(range(machine.CPUS))
# The other detector would complain first, about the CPU that is waited for.
SOFT = "set_ nmi_watchdog 0; set_ softlockup_panic 1; set_ watchdog_thresh 2; "
OOPS = "set_ panic_on_oops 1; "
ENDED = b"CAPTURE HAS ENDED"


@dataclasses.dataclass(frozen=True)
class Way:
    """`row` for the guest; the line ends `quiet` seconds behind `mark`. One of the CPUs
    `by` goes down the kdump path, those of `hung` are still stuck then, all others
    have stopped."""

    name: str
    row: str
    by: frozenset
    hung: frozenset = frozenset()
    kinds: tuple = ("sysrq",)
    outcomes: tuple = ("capture-boots",)
    crashes: int = 1
    loaded: bool = True
    either: bool = False
    # Does the log name the CPUs that hang, even where the list does not?
    named: bool = False
    offline: frozenset = frozenset()
    # How far the capture kernel comes, if it is to be told.
    reached: str = ""
    mark: bytes = ENDED
    quiet: float = 0
    # Only if every way is asked for: it shows little that others do not.
    later: bool = False
    kernels: tuple = ("5.10", "6.1", "6.12", "newest")

    def happened(self):
        """In words."""
        hung = f"; {cpus(self.hung)} did not stop" if self.hung else "; all stopped"
        return f"CPU {cpus(self.by)} crashes{hung}"


def cpus(numbers):
    return ",".join(map(str, sorted(numbers)))


def way(name, row, by, hung=(), **more):
    hung = frozenset(hung)
    by = (CPUS - hung) if by is None else frozenset(by)
    return Way(name, row, by, hung, **more)


HARD = ("6.12", "newest")
WAYS = [
    way("sysrq", "crash 1", {1}),
    way("one-hung", "hang 2 spin; crash 0", {0}, {2}),
    way("two-hung", "soon; hang 2 wfi; hang 3 wfe; now; crash 0", {0}, {2, 3}),
    way("ldxr", "hang 3 ldxr; crash 1", {1}, {3}, later=True),
    way("waits-for-a-lock", "hang 2 qspinlock; crash 0", {0}, {2}, later=True),
    way("soft-lockup", SOFT + "hang 2 busy", {2}, kinds=("soft-lockup",)),
    way(
        "soft-lockup-in-a-lock",
        SOFT + "hang 3 lock",
        {3},
        kinds=("soft-lockup",),
        later=True,
    ),
    way(
        "waits-for-a-cpu",
        SOFT + "hang 3 ldxr; hang 2 everyone",
        {2},
        {3},
        kinds=("soft-lockup",),
        later=True,
        # Elsewhere it was not seen: a module's own loading may already wait, asleep.
        kernels=("6.1",),
    ),
    way(
        "hard-lockup",
        "set_ hardlockup_panic 1; set_ watchdog_thresh 2; hang 2 spin",
        None,
        {2},
        kinds=("hard-lockup",),
        named=True,
        kernels=HARD,
    ),
    way(
        "rcu-stall",
        "set_ panic_on_rcu_stall 1; "
        "echo 3 > /sys/module/rcupdate/parameters/rcu_cpu_stall_timeout; hang 2 spin",
        None,
        {2},
        kinds=("rcu-stall",),
        named=True,
    ),
    way(
        "hung-task",
        "set_ hung_task_panic 1; set_ hung_task_timeout_secs 2; hang 2 sleep",
        None,
        kinds=("hung-task",),
    ),
    way("oops", OOPS + "hang 3 null", {3}, kinds=("oops",)),
    way("panic", "hang 3 panic", {3}, kinds=("panic",), later=True),
    way(
        "two-oopses",
        OOPS + "soon; hang 2 null-masked; hang 3 null-later; now",
        {2, 3},
        # Who takes the lock first; the other waits for it with interrupts masked.
        either=True,
        kinds=("oops",),
    ),
    way(
        "no-crash-kernel",
        "kexec -p -u; crash 1",
        {1},
        outcomes=("no-crash-kernel",),
        loaded=False,
        mark=b"Rebooting in",
        quiet=5,
    ),
    way(
        "post-notifiers",
        "echo Y > /sys/module/kernel/parameters/crash_kexec_post_notifiers; hang 2 wfi; crash 0",
        {0},
        {2},
    ),
    way(
        "dump-saved",
        "capture capture=dump; hang 2 wfi; crash 0",
        {0},
        {2},
        outcomes=("dump-saved", "capture-boots"),
    ),
    way("old-log-again", "capture capture=dmesg; hang 2 wfi; crash 0", {0}, {2}, later=True),
    way(
        "capture-hangs",
        "capture capture=hang; crash 1",
        {1},
        reached="dump-started",
        mark=b"saving to",
        quiet=3,
    ),
    way(
        "capture-silent",
        "capture console=tty0 quiet; crash 1",
        {1},
        outcomes=("silent-capture",),
        later=True,
        mark=b"Bye!",
        quiet=12,
    ),
    way(
        "capture-panics",
        "capture rdinit=/none; crash 1",
        {1},
        crashes=2,
        mark=b"Rebooting in",
        quiet=5,
    ),
    way(
        "offline",
        "echo 0 > /sys/devices/system/cpu/cpu3/online; hang 2 wfi; crash 0",
        {0},
        {2},
        later=True,
        offline=frozenset({3}),
    ),
    way(
        "no-panic",
        "set_ watchdog_thresh 1; hang 2 busy",
        {2},
        kinds=("soft-lockup",),
        outcomes=("no-panic",),
        mark=b"soft lockup",
        quiet=4,
    ),
    way("no-time", "echo N > /sys/module/printk/parameters/time; hang 2 wfe; crash 0", {0}, {2}, later=True),
]
