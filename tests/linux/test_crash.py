"""Debian's kernels are crashed in every way; `stalecore triage` says what happened,
and the command that it gives stages it."""

import json
import os
import re
import subprocess

import pytest

from machine import DIST
from ways import CPUS, WAYS, cpus

KERNELS = os.environ["KERNELS"].split()


def numbers(text):
    """CPUs of a list as the kernel prints them."""
    ends = (part.split("-") for part in text.split(",") if part)
    return {cpu for end in ends for cpu in range(int(end[0]), int(end[-1]) + 1)}


def wrong(way, reading, log):
    """What is not as it was, in words."""
    release = log.split("Linux version ")[1].split()[0]
    crash = reading["crashes"][0] if reading["crashes"] else {}
    stale = crash.get("stale") or {"cpus": "", "basis": None, "state": None}
    hung = way.by - {crash.get("cpu")} if way.either else way.hung
    exact = (crash.get("failed_to_stop") or {}).get("meaning") == "still-online" or way.named
    staged = numbers(stale["cpus"])
    # Whoever finds a CPU waits for its backtrace with interrupts masked, for up to
    # 10 s: longer than it takes to be found in turn, and not to stop.
    asked = re.findall(r"Sending NMI from CPU (\d+) to CPUs (\d+):", log)
    waiting = {int(by) for by, cpu in asked if int(cpu) in hung} - {crash.get("cpu")}
    checks = {
        "crashes": reading["crash_count"] == way.crashes,
        "kind": crash.get("kind") in way.kinds,
        "outcome": crash.get("outcome") in way.outcomes,
        "cpu": crash.get("cpu") in way.by,
        "release": (crash.get("kernel") or {}).get("release") == release,
        "kdump_loaded": crash.get("kdump_loaded") in (way.loaded, None),
        "in_capture_kernel": crash.get("in_capture_kernel") is False,
        "offline": numbers(crash.get("offline") or "") == way.offline,
        "capture": not way.reached or crash["capture"]["reached"] == way.reached,
        # Without a crash kernel there is no path into one to stage.
        "command": (crash.get("command") is not None) == way.loaded,
    }
    if way.outcomes == ("no-panic",):
        # The CPU that is stuck, and not those that are well.
        checks["stale"] = staged == way.by
        checks["cpu"] = crash.get("cpu") is None and crash.get("stuck_cpu") in way.by
    elif hung:
        others = CPUS - {crash.get("cpu")}
        both = (hung, hung | waiting)
        checks["stale"] = staged in both if exact else hung <= staged <= others
        if crash["kind"] == "hard-lockup":
            checks["stuck"] = {crash["stuck_cpu"]} == hung
        checks["basis"] = stale["basis"] != "took-sgi"
    else:
        checks["stale"] = stale["state"] == "parked"
    if way.crashes == 2:
        checks["second"] = reading["crashes"][-1]["in_capture_kernel"]
    return [name for name, right in checks.items() if not right]


def summary(reading):
    """What triage says, in words."""
    crashes = []
    for crash in reading["crashes"]:
        stale = crash["stale"] or {"state": "nothing", "cpus": "", "basis": ""}
        staged = f"{stale['state']} on {stale['cpus']} ({stale['basis']})"
        crashes.append(f"{crash['kind']} on CPU {crash['cpu']}, {crash['outcome']}, {staged}")
    return " / ".join(crashes) or "no crash"


def choice():
    """Ways with one kernel each, in turn, or all with each that knows them."""
    every = os.environ.get("ALL")
    for n, way in enumerate(way for way in WAYS if every or not way.later):
        kernels = [kernel for kernel in KERNELS if kernel in way.kernels]
        for kernel in kernels if every else kernels[n % max(len(kernels), 1) :][:1]:
            yield pytest.param(kernel, way, id=f"{kernel}-{way.name}")


@pytest.mark.parametrize("kernel,way", list(choice()))
def test_triage_says_what_happened(kernel, way, machines, table, tmp_path):
    with machines(kernel, words="crashkernel=256M").start() as guest:
        guest.ask(way.row)
        assert guest.read(way.mark, seconds=400), guest.log.decode(errors="replace")[-3000:]
        guest.drain(way.quiet)
        log = tmp_path / "console.log"
        log.write_bytes(guest.log)
    triage = subprocess.run([DIST / "stalecore", "triage", "--json", log], timeout=60, capture_output=True)
    assert triage.returncode == 0
    reading = json.loads(triage.stdout)
    differences = wrong(way, reading, log.read_text(errors="replace"))
    command = reading["crashes"] and reading["crashes"][0]["command"]
    if command:
        argv = [DIST / "stalecore", *command["argv"][1:], "--samples", "16", "--quiet"]
        argv += ["--out", tmp_path / "run"]
        staged = subprocess.run(argv, timeout=300, capture_output=True)
        # A core that does not answer blocks the path.
        if staged.returncode != (4 if "--fabric" in argv else 0):
            differences.append(f"command ends with {staged.returncode}")
    table(kernel, way.name, way.happened(), summary(reading), differences)
    assert not differences, f"{summary(reading)}: wrong: {differences}: {log}"
