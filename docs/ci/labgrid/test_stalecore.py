"""Boots stalecore on a labgrid target and asks what its console says.

    pytest --lg-env qemu.yaml --lg-log

The target needs a power port and a console. A board whose boot loader has to
be talked to brings a strategy that ends in the image's first line.
"""

import os
from collections import Counter

import pytest
from pexpect import TIMEOUT

from ktap import parse

# The image bounds each operation itself; this is for a machine that says
# nothing at all. Seconds for the whole run.
LIMIT = int(os.environ.get("STALECORE_LIMIT", "300"))


@pytest.fixture(scope="module")
def ended(target):
    """The console of one run, and the exit code on its last line."""
    power = target.get_driver("PowerProtocol")
    serial = target.get_driver("ConsoleProtocol")
    power.cycle()
    try:
        serial.expect("KTAP version 1", timeout=LIMIT)
        _, text, match, _ = serial.expect(r"stalecore: exit (\d+)\r?\n", timeout=LIMIT)
    except TIMEOUT:
        pytest.fail(f"no last line within {LIMIT} s")
    finally:
        power.off()
    return parse(text.decode("ascii", "replace")), int(match[1])


def test_it_ends_in_order(ended):
    console, code = ended
    assert console.mistakes == []
    assert [end["exit"] for end in console.of("end")] == [code]


def test_the_totals_agree(ended):
    console, _ = ended
    cases, [end], [plan] = console.of("case"), console.of("end"), console.of("plan")
    assert console.operations == console.planned_operations
    assert len(console.cases) == len(cases) == plan["cases"]
    # What is `completed` says `"v": "ok"`.
    verdicts = Counter("completed" if case.get("v") == "ok" else case["verdict"] for case in cases)
    assert dict(end["verdicts"]) == verdicts
    skipped = sum(case.skipped for case in console.cases)
    assert skipped == dict(end["verdicts"]).get("skipped", 0)


def test_nothing_was_blocked(ended, subtests):
    """One result for each case, and the run's own verdict."""
    console, code = ended
    for case in console.cases:
        with subtests.test(f"{case.operation} under {case.state}"):
            if case.skipped:
                pytest.skip(case.directive.removeprefix("SKIP "))
            assert case.ok, case.directive
    assert console.of("block") == []
    assert code == 0
