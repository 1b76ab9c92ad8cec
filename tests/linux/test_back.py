"""`--then kexec` on Debian's kernels: the harness starts, at its end, the kernel that
was loaded beside it, with every core and the command line that it had before. Where a core
still stands in what blocked, the machine is reset instead."""

import functools
import gzip
import itertools
import os
import re
import struct

import pytest

import initramfs
from machine import CPUS, LINUX, Machine

KERNELS = os.environ["KERNELS"].split()
KERNEL = "6.1" if "6.1" in KERNELS else KERNELS[-1]
# Every kernel as it is entered and described, or one by two ways.
EVERY = list(itertools.product(KERNELS, ("el1", "nvhe", "vhe"), ("tree", "acpi")))
TWO = [(KERNEL, "el1", "tree"), (KERNEL, "nvhe", "acpi")]
PLAN = "--ops ic-ivau --stale spin,cpu-off --samples 64"


@pytest.fixture(scope="module")
def initrds(tmp_path_factory):
    """By kernel: as for the other rows, and in /boot what comes back."""
    return functools.cache(lambda kernel: made(kernel, tmp_path_factory.mktemp("back")))


def zboot(image):
    """A kernel as CONFIG_EFI_ZBOOT packs it, without the EFI program around it."""
    payload = gzip.compress(image, 6)
    head = struct.pack("<2s2x4sII8x32s8x", b"MZ", b"zimg", 64, len(payload), b"gzip")
    return head + payload


def made(kernel, scratch):
    back = {
        "init": initramfs.executable(initramfs.GUEST / "back"),
        "bin/busybox": initramfs.executable(LINUX / "busybox"),
        "dev/console": initramfs.CONSOLE,
        "proc/empty": (0o100644, b""),
        "sys/empty": (0o100644, b""),
    }
    more = {
        "boot/back": (0o100644, initramfs.newc(back)),
        "boot/packed": (0o100644, zboot((LINUX / kernel / "vmlinuz").read_bytes())),
        **initramfs.command(scratch),
    }
    (scratch / "initrd").write_bytes(initramfs.first(kernel) + initramfs.newc(more))
    return scratch / "initrd"


def handed_over(plan, file="/vmlinuz"):
    """The row of a guest that is handed over, to come back with the kernel in `file`."""
    return (
        "release=$(uname -r)\n"
        f"ln -s {file} /boot/vmlinuz-$release\n"
        "ln -s /boot/back /boot/initrd.img-$release\n"
        'echo "WENT WITH: $(cat /proc/cmdline)"\n'
        f"stalecore deploy now --then kexec --start {plan}"
    )


# One of them is packed as distributions pack kernels for EFI.
@pytest.mark.parametrize("kernel,level,firmware", EVERY if os.environ.get("ALL") else TWO)
def test_linux_comes_back(kernel, level, firmware, initrds, tmp_path):
    packed = (kernel, level, firmware) == TWO[1]
    machine = Machine(tmp_path, initrds(kernel), kernel, level, firmware == "acpi", "some=word")
    try:
        with machine.start() as guest:
            guest.ask(handed_over(PLAN, "/boot/packed" if packed else "/vmlinuz"))
            code = guest.host(tmp_path / "run", 200)
            back = guest.read(b"BACK HAS ENDED", seconds=100)
            log = guest.log.decode(errors="replace")
    finally:
        machine.remove()
    assert code == 0 and back, log[-6000:]
    went, came = (re.search(f"{word} WITH: (.*)\r", log)[1] for word in ("WENT", "BACK"))
    assert went == came and "some=word" in went
    assert f"BACK ON: 0-{CPUS - 1}\r" in log, log[-3000:]
    entered = "EL1" if level == "el1" else "EL2"
    assert log.count(f"All CPU(s) started at {entered}") >= 2, log[-6000:]
    assert not re.search("WARNING|unexpected|BUG:", log[log.index("exit 0") :]), log[-6000:]


@pytest.mark.parametrize("held", [0, 1], ids=["who-would-start-it", "another"])
def test_with_a_core_that_hangs_the_machine_is_reset(held, initrds, tmp_path):
    plan = "--ops selftest-hang --stale spin --stale-cpus 2 --deadline-ms 300"
    plan += f" --initiators {held}"
    machine = Machine(tmp_path, initrds(KERNEL), KERNEL)
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
