"""Machines that are booted once, and the table of what was seen."""

import os
import pathlib
import signal

import pytest

import initramfs
from machine import Machine


def pytest_configure():
    """Who is told to stop stops its guests first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def machines(tmp_path_factory):
    """Machines by kernel, level, description and words."""
    booted = {}
    initrds = {}

    def get(kernel, level="el1", uefi=False, words=""):
        key = (kernel, level, uefi, words)
        if key not in booted:
            if kernel not in initrds:
                initrds[kernel] = tmp_path_factory.mktemp(f"initrd-{kernel}") / "initrd"
                initrds[kernel].write_bytes(initramfs.first(kernel))
            scratch = tmp_path_factory.mktemp("machine")
            booted[key] = Machine(scratch, initrds[kernel], *key)
        return booted[key]

    yield get
    for machine in booted.values():
        machine.remove()


@pytest.fixture(scope="session")
def table():
    """A table of kernel, way, what happened and what triage says, written at the end
    beside the kernels."""
    rows = [("kernel", "way", "what happened", "what triage says", "wrong"), ("---",) * 5]
    yield lambda *row: rows.append((*row[:-1], ", ".join(row[-1]) or "-"))
    text = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    pathlib.Path(os.environ["LINUX"], "crashes.md").write_text(text)
    print("\n" + text)
