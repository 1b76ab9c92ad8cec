"""The hooks that `stalecore deploy after-dump` writes: a machine with a hung core crashes,
its capture kernel saves the dump as Debian's kdump-tools does (its own script), or as
kdump-utils calls its hook, and only then the harness asks beside the hung core."""

import json
import os

import pytest

import initramfs
from machine import LINUX, Machine

KERNELS = os.environ["KERNELS"].split()
KERNEL = "6.1" if "6.1" in KERNELS else KERNELS[-1]
SETTINGS = "etc/default/kdump-tools"
PLAN = "--ops ic-ivau --stale spin --samples 64 --then off"


def dumper(name):
    """The files of what saves dumps."""
    if name == "kdump-utils":
        return {"etc/kdump.conf": (0o100644, b"path /var/crash\n")}
    root = LINUX / "kdump"
    files = {
        str(path.relative_to(root)): initramfs.executable(path)
        for path in root.rglob("*")
        if path.is_file()
    }
    # As its package installs it.
    files[SETTINGS] = files["usr/share/kdump-tools/kdump-tools.conf"]
    return files


def crash(name, more, tmp_path):
    """A machine of which CPU 0 crashes while CPU 2 hangs, with the hook written before, and
    what it does."""
    more = {
        **initramfs.command(tmp_path),
        "dumped": initramfs.executable(initramfs.GUEST / "dumped"),
        **dumper(name),
        **more,
    }
    (tmp_path / "initrd").write_bytes(initramfs.first(KERNEL) + initramfs.newc(more))
    row = (
        f"stalecore deploy after-dump --yes {PLAN} && echo WRITTEN\n"
        # Into the capture kernel's ramdisk; Debian's has the machine's own root.
        "(cd / && find etc lib/lsb lib/systemd usr dumped bin/stalecore |"
        " cpio -o -H newc > /hooks.cpio) 2> /tmp/cpio\n"
        "cat /capture.cpio /hooks.cpio > /dumped.cpio\n"
        "kexec -i -p /vmlinuz --initrd=/dumped.cpio"
        ' --append="console=ttyAMA0 maxcpus=1 reset_devices panic=2 rdinit=/dumped"\n'
        "hang 2 spin; crash 0"
    )
    return Machine(tmp_path, tmp_path / "initrd", KERNEL, words="crashkernel=256M"), row


@pytest.mark.parametrize("name", ["kdump-tools", "kdump-utils"])
def test_the_dump_is_saved_first(name, tmp_path):
    machine, row = crash(name, {}, tmp_path)
    try:
        with machine.start() as guest:
            guest.ask(row)
            code = guest.host(tmp_path / "run", 300)
            log = guest.log.decode(errors="replace")
    finally:
        machine.remove()
    order = ["WRITTEN", "sysrq triggered crash", "STARTS: ", "saved vmcore", "exit 0"]
    at = [log.find(word) for word in order]
    assert -1 not in at and at == sorted(at), (dict(zip(order, at)), log[-6000:])
    assert "THE HOOK HAS RETURNED" not in log
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert [absent["inherited"] for absent in run["absent"]] == [True]
    assert {case["verdict"] for case in run["cases"]} <= {"completed", "slowed"}
    assert code == 0


@pytest.mark.skipif(not os.environ.get("ALL"), reason="make linux-all has it")
def test_without_a_dump_the_harness_does_not_start(tmp_path):
    """makedumpfile fails; savecore calls its dump saved, as the pipe ends with what packs."""
    (mode, settings) = dumper("kdump-tools")[SETTINGS]
    settings += b'MAKEDUMP_ARGS="-F -d 31 --not-known"\n'
    machine, row = crash("kdump-tools", {SETTINGS: (mode, settings)}, tmp_path)
    try:
        with machine.start() as guest:
            guest.ask(row)
            ended = guest.read(b"reboot: Restarting system", seconds=300)
            log = guest.log.decode(errors="replace")
    finally:
        machine.remove()
    order = ["STARTS: ", "saved vmcore", "is no whole dump: it is empty"]
    at = [log.find(word) for word in order]
    assert ended and -1 not in at and at == sorted(at), (dict(zip(order, at)), log[-6000:])
    assert log.count("Bye!") == 1, log[-3000:]
