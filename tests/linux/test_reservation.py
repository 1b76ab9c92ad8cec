"""As a crash kernel the image writes nothing outside its reservation: all other
memory is the same at the image's first instruction and when it has ended."""

import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from machine import MEMORY
from monitor import Debugger, Monitor, debugged, different, monitored
from test_kexec import script

KERNEL = os.environ["KERNELS"].split()[-1]


# A core that goes on storing to a page of the previous kernel is seen, and nothing else.
@pytest.mark.parametrize("state,pages", [("spin", 0), ("ldxr", 1)])
def test_nothing_outside_is_written(state, pages, machines, tmp_path):
    machine = machines(KERNEL, words="crashkernel=256M")
    more = ["-no-shutdown", *monitored(tmp_path), *debugged(tmp_path)]
    with machine.start(*more) as guest:
        guest.ask("grep Crash.kernel /proc/iomem\n" + script("-p", [(2, state)]))
        assert guest.read(b"Crash kernel\r\n", seconds=30)
        first, last = re.findall(rb"([0-9a-f]+)-([0-9a-f]+) : Crash", guest.log)[-1]
        first, end = int(first, 16), int(last, 16) + 1
        outside = [(MEMORY[0], first), (end, MEMORY[1])]
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
    written = {at for pair in zip(before, after) for at in different(*pair)}
    for file in before + after:
        file.unlink()
    assert len(written) == pages, [hex(at) for at in written]
