"""A real Linux hands over to the image: by `kexec -e`, as it crashes, and from the
kernel that runs after the crash, with cores that are really stuck."""

import json
import os

import pytest

from rows import pairwise, rows

KERNELS = os.environ["KERNELS"].split()
PLAN = (
    "stalecore.ops=ic-ivau,dc-civac,tlbi-vaae1is,flush-icache-range "
    "stalecore.stale=spin,wfe stalecore.samples=64"
)
HUNG = {2: "spin", 3: "asleep"}
ROWS = rows(KERNELS)


def script(how, hung):
    """What the guest does: the image is loaded, cores hang, the machine crashes."""
    crash = "".join(f"hang {cpu} {state}; " for cpu, state in hung)
    crash = f"soon; {crash}now; crash 0" if len(hung) > 1 else f"{crash}crash 0"
    return {
        "-e": f"kexec -l /stalecore.img --append='{PLAN}' && kexec -e",
        "-p": f"kexec -p -u; kexec -i -p /stalecore.img --append='{PLAN}' && {crash}",
        "capture": f"capture capture=stalecore {PLAN} && {crash}",
    }[how]


@pytest.mark.parametrize(
    "kernel,level,firmware,how,hung",
    ROWS if os.environ.get("ALL") else pairwise(ROWS),
    ids=lambda value: str(value).lstrip("-"),
)
def test_linux_hands_over(kernel, level, firmware, how, hung, machines, tmp_path):
    hung = list(HUNG.items())[:hung]
    machine = machines(kernel, level, firmware == "acpi", "crashkernel=256M")
    with machine.start() as guest:
        guest.ask(script(how, hung))
        code = guest.host(tmp_path / "run", 400)
    console = (tmp_path / "run" / "console.log").read_text(errors="replace")
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert "Bye!" in console
    # makedumpfile 1.7.8 refuses the 52 bits of address of Debian's kernels from 6.12 on.
    saved = "THE DUMP HOLDS THE CRASH" in console
    assert saved == (how == "capture") or "VA Bits 52 not supported" in console
    assert ("Some CPUs may be stale" in console) == bool(hung)
    assert run["machine"]["entry_el"] == (1 if level == "el1" else 2)
    assert (run["machine"].get("source") == "acpi") == (firmware == "acpi")
    why = " ".join(absent["why"] for absent in run.get("absent", []))
    assert (not why) == (not hung)
    for cpu, _ in hung:
        assert f"stale since before this boot (inherited): MPIDR {cpu:#x}" in why
    # Every case of PLAN has returned; how fast is the emulator's affair.
    verdicts = [case["verdict"] for case in run["cases"]]
    assert len(verdicts) == 8
    assert set(verdicts) <= {"completed", "slowed"}
    assert code == 0


def with_a_deaf_core(machines, tmp_path, options):
    """What came of PLAN beside a core that hung before and does not answer the fabric."""
    machine = machines("6.1", "nvhe", False, "crashkernel=256M")
    with machine.start() as guest:
        load = f"kexec -p -u; kexec -p /stalecore.img --append='{PLAN} {options}'"
        guest.ask(f"{load} && hang 2 spin; crash 0")
        code = guest.host(tmp_path / "run", 240)
    assert code == 4
    return json.loads((tmp_path / "run" / "run.json").read_text())


@pytest.mark.skipif("6.1" not in KERNELS, reason="one kernel is enough")
def test_an_inherited_core_that_is_deaf_is_found(machines, tmp_path):
    run = with_a_deaf_core(machines, tmp_path, "stalecore.fabric=deaf=inherited")
    suspects = [c for block in run["blocks"] for c in block["cores"] if c["role"] == "inherited"]
    assert suspects
    assert [absent["inherited"] for absent in run["absent"]] == [True]


@pytest.mark.skipif("6.1" not in KERNELS, reason="one kernel is enough")
def test_an_inherited_core_is_disturbed_only_where_that_was_asked_for(machines, tmp_path):
    options = "stalecore.fabric=deaf=inherited,heal=sgi stalecore.disturb-inherited=on"
    run = with_a_deaf_core(machines, tmp_path, options)
    (first, *others) = run["blocks"]
    assert not others, "it answers from then on"
    ladder = [(rung["rung"], rung["released"]) for rung in first["ladder"]]
    assert ladder[-1] == ("inherited-sgi", True) and len(ladder) > 2, ladder
    assert any(note.startswith("disturb-inherited: ") for note in run["notes"])
