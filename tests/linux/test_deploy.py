"""`stalecore deploy` on Debian's kernels: it looks, loads without kexec-tools, and the
image that it has inside runs."""

import json
import os

import pytest

import initramfs
from machine import Machine

KERNEL = os.environ["KERNELS"].split()[-1]
PLAN = "--ops ic-ivau,dc-civac --stale spin,wfe --samples 64"


@pytest.fixture(scope="module")
def initrd(tmp_path_factory):
    """As for the other rows, and the command for aarch64 Linux."""
    scratch = tmp_path_factory.mktemp("deploy")
    more = initramfs.newc(initramfs.command(scratch))
    (scratch / "initrd").write_bytes(initramfs.first(KERNEL) + more)
    return scratch / "initrd"


@pytest.mark.parametrize(
    "level,firmware,row,hung",
    [
        ("el1", "tree", f"stalecore deploy now --yes {PLAN} && kexec -e", []),
        ("nvhe", "acpi", f"stalecore deploy now --start {PLAN}", []),
        ("el1", "acpi", f"stalecore deploy crash --yes {PLAN} && hang 2 spin; crash 0", [2]),
    ],
    ids=["yes", "start", "crash"],
)
def test_a_machine_is_handed_over(level, firmware, row, hung, initrd, tmp_path):
    words = "crashkernel=256M"
    machine = Machine(tmp_path, initrd, KERNEL, level, firmware == "acpi", words)
    try:
        with machine.start() as guest:
            guest.ask(f"stalecore deploy {PLAN}; echo LOOKED, $?\n{row}")
            code = guest.host(tmp_path / "run", 300)
    finally:
        machine.remove()
    console = (tmp_path / "run" / "console.log").read_text(errors="replace")
    for part in (
        "LOOKED, 0",
        "crash kernel: 256 MiB at",
        "5 cores, PSCI by",
        "console: PL011 at 0x9000000",
        "now: can be done",
        "crash: can be done",
        "after-dump: cannot be done: nothing saves dumps here",
        "Bye!",
    ):
        assert part in console, f"{part}: {console[-6000:]}"
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (run["machine"].get("source") == "acpi") == (firmware == "acpi")
    why = " ".join(absent["why"] for absent in run.get("absent", []))
    assert (not why) == (not hung)
    for cpu in hung:
        assert f"stale since before this boot (inherited): MPIDR {cpu:#x}" in why
    assert [case["verdict"] in ("completed", "slowed") for case in run["cases"]] == [True] * 4
    assert code == 0
