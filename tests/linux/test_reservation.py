"""As a crash kernel the image writes nothing outside its reservation: none of its
instructions stores there, as a plugin of QEMU's sees, and all other memory is the same at
the image's first instruction and when it has ended."""

import collections
import os
import pathlib
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from machine import CPUS, MEMORY
from monitor import Debugger, Monitor, debugged, different, monitored
from test_kexec import script

KERNEL = os.environ["KERNELS"].split()[-1]
HUNG = 2
RESERVED = re.compile(rb"crashkernel reserved: 0x([0-9a-f]+) - 0x([0-9a-f]+)")


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """The plugin that tells of stores."""
    made = tmp_path_factory.mktemp("plugin") / "stores.so"
    rustc = ["rustc", "--edition", "2024", "--crate-type", "cdylib", "-O", "-o", made]
    subprocess.run([*rustc, pathlib.Path(__file__).with_name("stores.rs")], check=True)
    return made


def stores(told):
    """By who stored, the image or others: by page, the CPU that did so first."""
    pages = collections.defaultdict(dict)
    for who, cpu, page in map(str.split, told.read_text().splitlines()):
        pages[who][int(page, 16)] = int(cpu)
    return pages["own"], pages["other"]


# A core that goes on storing to a page of the previous kernel is seen, and nothing else.
@pytest.mark.parametrize("state,pages", [("spin", 0), ("ldxr", 1)])
def test_nothing_outside_is_written(state, pages, plugin, machines, tmp_path):
    machine = machines(KERNEL, words="crashkernel=256M")
    first, end = (int(address, 16) for address in RESERVED.search(machine.log).groups())
    outside = [(MEMORY[0], first), (end, MEMORY[1])]
    told = tmp_path / "stores"
    more = ["-no-shutdown", *monitored(tmp_path), *debugged(tmp_path)]
    more += ["-plugin", f"{plugin},first={first:x},end={end:x},out={told}"]
    with machine.start(*more) as guest:
        guest.ask("grep Crash.kernel /proc/iomem\n" + script("-p", [(HUNG, state)]))
        # It runs: who connects before is in the way of what was kept.
        assert guest.read(b"%x-%x : Crash kernel\r\n" % (first, end - 1), seconds=60)
        debugger, monitor = Debugger(tmp_path), Monitor(tmp_path)

        def at_entry():
            debugger.stop_at(first)
            before = monitor.memory(outside, tmp_path / "before")
            debugger.leave()
            return before

        # A serial line that nobody reads would hold up the machine.
        with ThreadPoolExecutor(1) as pool:
            before = pool.submit(at_entry)
            assert guest.host(tmp_path / "run", 400) == 0
            before = before.result()
        monitor.wait("query-status", "shutdown")
        after = monitor.memory(outside, tmp_path / "after")
    pairs = zip(outside, before, after)
    written = [start + at for (start, _), *pair in pairs for at in different(*pair)]
    for file in before + after:
        file.unlink()
    assert len(written) == pages, [hex(at) for at in written]
    own, other = stores(told)
    assert all(first <= page < end for page in own), [hex(page) for page in own]
    # So that it is known to see them: each core that took part, and the one that hangs.
    assert set(own.values()) == set(range(CPUS)) - {HUNG}
    assert list(other.items()) == [(page, HUNG) for page in written]
