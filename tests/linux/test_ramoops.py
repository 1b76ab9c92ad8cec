"""The image's log in Linux's ramoops memory: the Linux that boots after the reset shows
it, and it is what came over the serial line."""

import base64
import json
import os
import re
import subprocess

from machine import DIST, READY
from test_kexec import PLAN

KERNEL = os.environ["KERNELS"].split()[-1]
# Behind what `mem=` leaves to Linux.
SIZES = {"mem_address": "0x7d000000", "mem_size": "0x100000", "console_size": "0x40000"}


def test_the_log_is_there_after_the_reset(machines, tmp_path):
    machine = machines(KERNEL, words="mem=960M")
    parameters = [f"{name}={value}" for name, value in SIZES.items()]
    more = " ".join(f"ramoops.{parameter}" for parameter in parameters)
    plan = f"{PLAN} stalecore.ramoops=on stalecore.then=reset {more}"
    with machine.start("-action", "reboot=reset") as guest:
        guest.ask(f"kexec -l /stalecore.img --append='{plan}' && kexec -e")
        assert guest.host(tmp_path / "line", 200) == 0
        assert guest.read(READY, seconds=200)
        guest.ask(
            "insmod /reed_solomon.ko\n"
            f"insmod /ramoops.ko {' '.join(parameters)}\n"
            "mount -t pstore pstore /sys/fs/pstore\n"
            "for file in /sys/fs/pstore/*; do\n"
            "echo SHOWN ${file##*/}; base64 $file; echo END OF FILE\n"
            "done\n"
            "echo ALL OF IT."
        )
        assert guest.read(b"ALL OF IT.", seconds=100), guest.log[-2000:]
    shown = tmp_path / "pstore"
    shown.mkdir()
    for name, text in re.findall(
        r"^SHOWN (\S+)\r\n(.*?)^END OF FILE", guest.log.decode(errors="replace"), re.M | re.S
    ):
        (shown / name).write_bytes(base64.b64decode(text))
    assert [file.name for file in shown.iterdir()] == ["console-ramoops-0"]
    command = [DIST / "stalecore", "read", shown, "--out", tmp_path / "read", "--quiet"]
    assert subprocess.run(command, check=False, timeout=60).returncode == 0
    line, read = (
        json.loads((tmp_path / out / "run.json").read_text()) for out in ("line", "read")
    )
    for what in ("machine", "plan", "cases", "blocks", "end"):
        assert line.get(what) == read.get(what), what
    assert len(read["cases"]) == 8
