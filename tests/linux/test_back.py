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


@pytest.mark.parametrize("level,firmware", [("el1", "tree"), ("nvhe", "acpi")])
def test_linux_comes_back(level, firmware, initrd, tmp_path):
    machine = Machine(tmp_path, initrd, KERNEL, level, firmware == "acpi", "some=word")
    try:
        with machine.start() as guest:
            guest.ask(
                "release=$(uname -r)\n"
                "ln -s /vmlinuz /boot/vmlinuz-$release\n"
                "ln -s /boot/back /boot/initrd.img-$release\n"
                'echo "WENT WITH: $(cat /proc/cmdline)"\n'
                f"stalecore deploy now --then kexec --start {PLAN}"
            )
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
