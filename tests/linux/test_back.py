"""`--then kexec` on Debian's kernels: the harness starts, at its end, the kernel that
was loaded beside it, with every core and the command line that it had before."""

import os
import re

import pytest

import initramfs
import modules
from machine import CPUS, DIST, LINUX, Machine

KERNELS = os.environ["KERNELS"].split()
KERNEL = "6.1" if "6.1" in KERNELS else KERNELS[-1]
PLAN = "--ops ic-ivau --stale spin,cpu-off --samples 64"


@pytest.fixture(scope="module")
def initrd(tmp_path_factory):
    """As for the other rows, and in /boot what comes back."""
    scratch = tmp_path_factory.mktemp("back")
    stripped = scratch / "stalecore"
    modules.tool("strip", "-o", stripped, DIST / "aarch64-linux/stalecore")
    back = {
        "init": initramfs.executable(initramfs.GUEST / "back"),
        "bin/busybox": initramfs.executable(LINUX / "busybox"),
        "dev/console": initramfs.CONSOLE,
        "proc/empty": (0o100644, b""),
        "sys/empty": (0o100644, b""),
    }
    more = {
        "bin/stalecore": initramfs.executable(stripped),
        "boot/back": (0o100644, initramfs.newc(back)),
    }
    (scratch / "initrd").write_bytes(initramfs.first(KERNEL) + initramfs.newc(more))
    return scratch / "initrd"


def handed_over(plan):
    """The row of a guest that is handed over, to come back."""
    return (
        "release=$(uname -r)\n"
        "ln -s /vmlinuz /boot/vmlinuz-$release\n"
        "ln -s /boot/back /boot/initrd.img-$release\n"
        'echo "WENT WITH: $(cat /proc/cmdline)"\n'
        f"stalecore deploy now --then kexec --start {plan}"
    )


@pytest.mark.parametrize("level,firmware", [("el1", "tree"), ("nvhe", "acpi")])
def test_linux_comes_back(level, firmware, initrd, tmp_path):
    machine = Machine(tmp_path, initrd, KERNEL, level, firmware == "acpi", "some=word")
    try:
        with machine.start() as guest:
            guest.ask(handed_over(PLAN))
            code = guest.host(tmp_path / "run", 200)
            back = guest.read(b"BACK HAS ENDED", seconds=100)
            log = guest.log.decode(errors="replace")
    finally:
        machine.remove()
    assert code == 0 and back, log[-6000:]
    went, came = (re.search(f"{word} WITH: (.*)\r", log)[1] for word in ("WENT", "BACK"))
    assert went == came and "some=word" in went
    assert f"BACK ON: 0-{CPUS - 1}\r" in log, log[-3000:]
    entered = "EL2" if level == "nvhe" else "EL1"
    assert log.count(f"All CPU(s) started at {entered}") >= 2, log[-6000:]
    assert not re.search("WARNING|unexpected|BUG:", log[log.index("exit 0") :]), log[-6000:]


@pytest.mark.parametrize("held", [0, 1], ids=["who-would-start-it", "another"])
def test_with_a_core_that_hangs_the_machine_is_reset(held, initrd, tmp_path):
    plan = "--ops selftest-hang --stale spin --stale-cpus 2 --deadline-ms 300"
    plan += f" --initiators {held}"
    machine = Machine(tmp_path, initrd, KERNEL)
    try:
        with machine.start() as guest:
            guest.ask(handed_over(plan))
            code = guest.host(tmp_path / "run", 200)
            guest.drain(30)
            log = guest.log.decode(errors="replace")
    finally:
        machine.remove()
    assert code == 4, log[-3000:]
    # With -no-reboot the reset is the end.
    assert guest.qemu.poll() == 0 and "BACK WITH" not in log, log[-3000:]
    assert f"stalecore: no kexec: CPU {held} is not off; a reset instead\r" in log
