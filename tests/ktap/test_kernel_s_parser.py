"""The kernel's own KTAP parser, kunit_parser.py, reads the image's console, finds
no error in it, and counts what the image counts. KUNIT is the directory it is in."""

import collections
import json
import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, os.environ["KUNIT"])
import kunit_parser

HERE = pathlib.Path(__file__).resolve().parents[2]

Counts = collections.namedtuple("Counts", "passed failed skipped crashed errors")


def boot(out, *args):
    """Runs a plan; its records and the lines of its console."""
    command = [HERE / "dist/stalecore", "run", "--quiet", "--out", out, *args]
    subprocess.run(command, timeout=300, check=False)
    run = json.loads((out / "run.json").read_text())
    return run, (out / "console.log").read_text().splitlines()


def parse(lines):
    counts = kunit_parser.parse_run_tests(lines).counts
    return Counts(*(getattr(counts, name) for name in Counts._fields))


def counted(run):
    """What the parser must find, by the closing record."""
    verdicts = dict(run["end"]["verdicts"])
    passed = verdicts.pop("completed", 0) + verdicts.pop("slowed", 0)
    skipped = verdicts.pop("skipped", 0)
    return Counts(passed, sum(verdicts.values()), skipped, 0, 0)


def test_a_plan_with_every_state(tmp_path):
    # With instructions counted the states that never wait are skipped.
    run, lines = boot(tmp_path, "--cpus", "4", "--no-semihosting", "--icount")
    found = parse(lines)
    assert found == counted(run)
    assert sum(found) == len(run["cases"])
    assert found.passed > 100 and found.skipped > 100


@pytest.mark.parametrize(
    "operation", ["selftest-hang", "selftest-fault", "selftest-stale", "selftest-unseen"]
)
def test_a_case_that_fails(tmp_path, operation):
    args = ["--cpus", "4", "--ops", f"none,{operation}", "--stale", "spin,wfe"]
    run, lines = boot(tmp_path, *args, "--deadline-ms", "1000")
    found = parse(lines)
    assert found == counted(run)
    assert found.failed > 0


def test_what_is_missing_is_an_error(tmp_path):
    _, lines = boot(tmp_path, "--cpus", "4", "--ops", "none", "--stale", "spin,wfe")
    assert parse(lines).errors == 0
    lost = next(n for n, line in enumerate(lines) if line.startswith("    ok "))
    assert parse(lines[:lost] + lines[lost + 1 :]).errors > 0
