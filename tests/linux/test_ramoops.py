"""The image's log in Linux's ramoops memory: the Linux that boots after the reset shows
it, and it is what came over the serial line."""

import base64
import json
import os
import re
import subprocess

import pytest

import initramfs
from machine import DIST, READY, Machine
from test_kexec import PLAN

KERNEL = os.environ["KERNELS"].split()[-1]
# Behind what `mem=` leaves to Linux.
SIZES = "mem_address=0x7d000000 mem_size=0x100000 console_size=0x40000"
# Memory that Linux reserves by name, wherever it likes.
NAMED = "mem_name=oops console_size=0x40000"


def loaded(parameters):
    """The lines that load the module, as modprobe does."""
    return f"insmod /reed_solomon.ko\ninsmod /ramoops.ko {parameters}\n"


def of_parameters(parameters):
    """As Linux's command line has them."""
    return " ".join(f"ramoops.{parameter}" for parameter in parameters.split())


def is_there_after_the_reset(guest, parameters, scratch):
    """Boots what is reset, and compares what Linux shows with what came before."""
    assert guest.host(scratch / "line", 200) == 0, guest.log[-4000:]
    assert guest.read(READY, seconds=200)
    guest.ask(
        f"{loaded(parameters)}"
        "mount -t pstore pstore /sys/fs/pstore\n"
        "for file in /sys/fs/pstore/*; do\n"
        "echo SHOWN ${file##*/}; base64 $file; echo END OF FILE\n"
        "done\n"
        "echo ALL OF IT."
    )
    assert guest.read(b"ALL OF IT.", seconds=100), guest.log[-2000:]
    shown = scratch / "pstore"
    shown.mkdir()
    for name, text in re.findall(
        r"^SHOWN (\S+)\r\n(.*?)^END OF FILE", guest.log.decode(errors="replace"), re.M | re.S
    ):
        (shown / name).write_bytes(base64.b64decode(text))
    assert [file.name for file in shown.iterdir()] == ["console-ramoops-0"]
    command = [DIST / "stalecore", "read", shown, "--out", scratch / "read", "--quiet"]
    assert subprocess.run(command, check=False, timeout=60).returncode == 0
    line, read = (
        json.loads((scratch / out / "run.json").read_text()) for out in ("line", "read")
    )
    for what in ("machine", "plan", "cases", "blocks", "end"):
        assert line.get(what) == read.get(what), what
    return read


def test_the_log_is_there_after_the_reset(machines, tmp_path):
    machine = machines(KERNEL, words="mem=960M")
    plan = f"{PLAN} stalecore.ramoops=on stalecore.then=reset {of_parameters(SIZES)}"
    with machine.start("-action", "reboot=reset") as guest:
        guest.ask(f"kexec -l /stalecore.img --append='{plan}' && kexec -e")
        assert len(is_there_after_the_reset(guest, SIZES, tmp_path)["cases"]) == 8


@pytest.mark.skipif(KERNEL not in ("6.12", "newest"), reason="it reserves nothing by name")
def test_deploy_finds_it_where_no_tree_has_it(tmp_path):
    initrd = tmp_path / "initrd"
    more = initramfs.newc(initramfs.command(tmp_path))
    initrd.write_bytes(initramfs.first(KERNEL) + more)
    words = f"reserve_mem=2M:4096:oops {of_parameters(NAMED)}"
    machine = Machine(tmp_path, initrd, KERNEL, uefi=True, words=words)
    try:
        with machine.start("-action", "reboot=reset") as guest:
            guest.ask(
                "stalecore deploy now --ramoops on\n"
                f"{loaded(NAMED)}"
                "stalecore deploy now --start --ramoops on"
                " --ops ic-ivau,dc-civac --stale spin,wfe --samples 64"
            )
            read = is_there_after_the_reset(guest, NAMED, tmp_path)
    finally:
        machine.remove()
    assert read["machine"]["source"] == "acpi" and len(read["cases"]) == 4
    before = "ramoops: Linux's command line has ramoops.mem_name=oops, and the module that"
    assert before.encode() in guest.log and b"to make it work: modprobe ramoops" in guest.log
