"""A real Linux hands over to the image: by `kexec -e`, and as it crashes, with
cores that are really stuck."""

import pytest

from machine import KERNELS, MODULES, boot, executable, hanging_module, initramfs

PLAN = "stalecore.ops=ic-ivau,dc-civac,tlbi-vaae1is,flush-icache-range stalecore.stale=spin,wfe stalecore.samples=64"


def load(how, plan):
    return f"kexec {how} /stalecore.img --append='{plan}' || exit\n"


def crash(hung):
    """Has cores hang, one after the other, and crashes."""
    lines = []
    for cpu, module in hung.items():
        lines.append(f"taskset {1 << cpu:x} insmod /{module}.ko &")
        lines.append("sleep 1")
    return "\n".join([*lines, "echo c > /proc/sysrq-trigger\n"])


def completed(result):
    """Every case of PLAN has returned; how fast is the emulator's affair."""
    assert result.code == 0
    assert len(result.verdicts()) == 8
    assert set(result.verdicts()) <= {"completed", "slowed"}


@pytest.mark.parametrize("level", ["el1", "nvhe", "vhe"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_an_orderly_handover(kernel, level, tmp_path):
    row = load("-l", PLAN) + "kexec -e\n"
    result = boot(kernel, level, initramfs(row), tmp_path)
    assert "Bye!" in result.console
    assert result.run["machine"]["entry_el"] == (1 if level == "el1" else 2)
    assert not result.run.get("absent")
    completed(result)


@pytest.mark.parametrize("level", ["el1", "nvhe"])
def test_a_crash_beside_a_core_that_hangs(level, tmp_path):
    kernel, hung = KERNELS[0], {2: MODULES[0]}
    modules = {f"{m}.ko": executable(hanging_module(kernel, m, tmp_path)) for m in hung.values()}
    initrd = initramfs(load("-p", PLAN) + crash(hung), **modules)
    result = boot(kernel, level, initrd, tmp_path, words="crashkernel=64M")
    assert "Some CPUs may be stale" in result.console
    [absent] = result.run["absent"]
    assert absent["cpus"] == "2"
    assert "stale since before this boot (inherited): MPIDR 0x2" in absent["why"]
    completed(result)


@pytest.mark.parametrize("how", ["-l", "-p"])
def test_a_machine_that_only_acpi_describes(how, tmp_path):
    row = load(how, PLAN) + ("kexec -e\n" if how == "-l" else crash({}))
    words = "crashkernel=64M" if how == "-p" else ""
    result = boot(KERNELS[0], "el1", initramfs(row), tmp_path, words=words, uefi=True)
    assert result.run["machine"]["source"] == "acpi"
    completed(result)
