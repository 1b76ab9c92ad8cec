"""A real Linux hands over to the image: by `kexec -e`, and as it crashes, with
cores that are really stuck."""

import pytest

from machine import KERNELS, boot, initramfs

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


@pytest.mark.parametrize("kernel", KERNELS)
def test_an_orderly_handover(kernel, tmp_path):
    row = load("-l", PLAN) + "kexec -e\n"
    result = boot(kernel, "el1", initramfs(row), tmp_path)
    assert "Bye!" in result.console
    assert result.run["machine"]["entry_el"] == 1
    completed(result)


@pytest.mark.parametrize("how", ["-l", "-p"])
def test_a_machine_that_only_acpi_describes(how, tmp_path):
    row = load(how, PLAN) + ("kexec -e\n" if how == "-l" else crash({}))
    words = "crashkernel=64M" if how == "-p" else ""
    result = boot(KERNELS[0], "el1", initramfs(row), tmp_path, words=words, uefi=True)
    assert result.run["machine"]["source"] == "acpi"
    completed(result)
