"""`stalecore live` on Debian's own kernels: it runs, takes CPUs offline, and those are
back when it has been killed."""

import os
import stat

import pytest

import initramfs
from machine import DIST, LEVELS, LINUX, Guest

CPUS = 4


@pytest.mark.parametrize("kernel", os.environ["KERNELS"].split())
def test_it_runs_on_a_linux_and_leaves_it_as_it_was(kernel, tmp_path):
    files = {
        "init": initramfs.executable(initramfs.GUEST / "live"),
        "bin/busybox": initramfs.executable(LINUX / "busybox"),
        "bin/stalecore": initramfs.executable(DIST / "aarch64-linux/stalecore"),
        "dev/console": (stat.S_IFCHR | 0o600, b""),
    }
    files |= {f"{name}/empty": (0o100644, b"") for name in ("tmp", "proc", "sys")}
    initrd = tmp_path / "initrd"
    initrd.write_bytes(initramfs.newc(files))
    command = ["qemu-system-aarch64", *LEVELS["vhe"], "-smp", str(CPUS), "-m", "1G"]
    command += ["-accel", "tcg,thread=multi", "-nodefaults", "-display", "none"]
    command += ["-nic", "none", "-no-reboot", "-kernel", LINUX / kernel / "vmlinuz"]
    command += ["-initrd", initrd, "-append", "console=ttyAMA0 rdinit=/init quiet panic=2"]
    with Guest(command) as guest:
        ended = guest.read(b"THE ROW HAS ENDED", seconds=300)
        said = guest.log.decode(errors="replace")
    assert ended, said[-2000:]
    for part in (
        "PLAN ENDED WITH 0",
        # A CPU without CTR_EL0.IDC, and none that needs it: Linux says that it has.
        "EL0: CTR_EL0 takes as long as a trap",
        "the core's own instructions, and no trap",
        "OFF ENDED WITH 0, ONLINE 0-3",
        "FIFO ENDED WITH 0",
        "AFTER SIGKILL ONLINE 0-3",
        "under cpu-off, on CPU 0, CPUs 1-2",
    ):
        assert part in said, f"{part}: {said[-6000:]}"
    assert "NO FIFO SEEN" not in said
    left = said.split("OFFLINE, AND LEFT ")[1].split()[0]
    assert left != "0-3", said[-2000:]
