"""The examples of docs/ci are valid for the services that they are written for, and
this tree understands every command in them."""

import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs/ci"
STALECORE = ROOT / "dist/stalecore"
# Where a command begins on a shell line.
MAKE = re.compile(r"\bmake( -C \w+)? ([a-z][a-z-]*)\b")
COMMAND = re.compile(r"\bdist/stalecore ([a-z].*)$")


def load(name):
    return yaml.safe_load((EXAMPLES / name).read_text())


def scripts(value):
    """The shell lines anywhere in a workflow or a pipeline."""
    for key, inner in value.items():
        if key in ("run", "script", "before_script"):
            for line in [inner] if isinstance(inner, str) else inner:
                yield from line.splitlines()
        elif isinstance(inner, dict):
            yield from scripts(inner)
        elif isinstance(inner, list):
            for item in inner:
                if isinstance(item, dict):
                    yield from scripts(item)


@pytest.mark.parametrize(
    ("name", "schema"),
    [("github.yml", "vendor.github-workflows"), ("gitlab.yml", "vendor.gitlab-ci")],
)
def test_the_service_s_schema_accepts_it(name, schema):
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, EXAMPLES / name],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml"])
def test_the_make_targets_exist(name):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    used = [m[2] for line in scripts(load(name)) for m in [MAKE.search(line)] if m]
    assert used
    assert set(used) <= set(targets)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    """An emulator that ends without a word."""
    path = tmp_path_factory.mktemp("fake") / "qemu"
    path.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "QEMU emulator version 7.2.0"\nexit 0\n'
    )
    path.chmod(0o755)
    return path


def understood(words, emulator, out):
    """Does `stalecore run` get as far as starting the emulator?"""
    done = subprocess.run(
        [STALECORE, "run", *words, "--qemu", emulator, "--out", out],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "nothing came from the machine" in done.stderr, done.stderr


@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml"])
def test_the_commands_are_understood(name, emulator, tmp_path):
    used = Counter()
    for line in scripts(load(name)):
        if match := re.search(r"ARGS='([^']*)'", line):
            understood(shlex.split(match[1]), emulator, tmp_path / "make")
        if not (match := COMMAND.search(line)):
            continue
        command, *words = shlex.split(match[1])
        used[command] += 1
        if command == "run":
            at = words.index("--out")
            del words[at : at + 2]
            understood(words, emulator, tmp_path / str(len(used)))
        else:
            # The arguments themselves are right: only the runs are missing.
            done = subprocess.run(
                [STALECORE, command, *words], capture_output=True, text=True, cwd=tmp_path
            )
            assert "cannot read" in done.stderr, done.stderr
    assert used["run"]


def test_the_boot_arguments_are_understood(emulator, tmp_path):
    image = load("lava/qemu.yaml")["actions"][0]["deploy"]["images"]["kernel"]["image_arg"]
    labgrid = load("labgrid/qemu.yaml")["targets"]["main"]["drivers"]["QEMUDriver"]["boot_args"]
    for text in shlex.split(image)[-1], labgrid:
        words = text.split()
        assert words and all(word.startswith("stalecore.") for word in words)
        flags = [word.replace("stalecore.", "--", 1) for word in words]
        understood(flags, emulator, tmp_path / "out")


def test_what_lava_makes_of_a_console(tmp_path):
    """LAVA's monitor reads from `start` to `end` and takes every match between
    as a result, through `fixupdict`, with a name of letters and digits."""
    subprocess.run(
        f"{STALECORE} run -q --out {tmp_path} --cpus 4 --stale spin,wfe --lines cold,dirty-here "
        "--ops dc-civac,selftest-fault".split(),
        capture_output=True,
        timeout=120,
    )
    console = (tmp_path / "console.log").read_bytes().decode("ascii")
    [monitor] = load("lava/qemu.yaml")["actions"][-1]["test"]["monitors"]
    _, begun, console = console.partition(monitor["start"])
    assert begun
    console = re.split(monitor["end"], console)[0]
    results = {}
    for match in re.finditer(monitor["pattern"], console):
        name = re.sub(r"\W+", "_", match["test_case_id"].strip().lower())
        assert name not in results, name
        results[name] = monitor["fixupdict"][match["result"]]
    run = json.loads((tmp_path / "run.json").read_text())
    assert len(results) == len(run["cases"]) == 8
    assert set(results.values()) == {"pass", "fail"}
    assert results["selftest_fault_state_wfe_line_cold"] == "fail"
    # On the console `"v":"ok"` stands for `"verdict":"completed"`.
    verdicts = {word["name"] for word in words("verdicts")}
    assert set(monitor["fixupdict"]) == verdicts - {"completed"} | {"ok"}


def test_labgrid_s_tests_see_a_block(tmp_path):
    """The same environment with a control that must block: the run ends in
    order, and the tests fail because of it."""
    environment = load("labgrid/qemu.yaml")
    driver = environment["targets"]["main"]["drivers"]["QEMUDriver"]
    driver["boot_args"] = (
        "stalecore.ops=none,selftest-hang stalecore.stale=spin stalecore.deadline-ms=500"
    )
    environment["images"]["stalecore"] = str(ROOT / "dist/stalecore.img")
    changed = tmp_path / "blocked.yaml"
    changed.write_text(yaml.safe_dump(environment))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--lg-env", changed]
        + [EXAMPLES / "labgrid"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"test_it_ends_in_order\S* PASSED", done.stdout), done.stdout
    assert re.search(r"test_the_totals_agree\S* PASSED", done.stdout), done.stdout
    assert "selftest-hang under spin" in done.stdout, done.stdout


def test_a_run_is_what_the_schema_says(tmp_path):
    """As docs/report-format.md tells to check one."""
    done = subprocess.run(
        f"{STALECORE} run -q --out {tmp_path} --cpus 3 --stale spin --deadline-ms 500 "
        "--fabric deaf=spin --ops none,ic-ivau --lines dirty-here,shared".split(),
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 4
    schema = ROOT / "docs/run.schema.json"
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--schemafile", schema, tmp_path / "run.json"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def words(kind):
    """A list of the glossary."""
    done = subprocess.run([STALECORE, "list", "--json"], capture_output=True, check=True)
    return json.loads(done.stdout)[kind]
