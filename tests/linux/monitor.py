"""QEMU's monitor and its stub for a debugger: what the test does to a machine behind
its back."""

import json
import mmap
import re
import socket
import time

PAGE = 4096
CHUNK = 256 * PAGE


def monitored(scratch):
    """QEMU's arguments for a monitor."""
    return ["-qmp", f"unix:{scratch / 'monitor'},server=on,wait=off"]


def debugged(scratch):
    """QEMU's arguments for its debugger stub."""
    return ["-gdb", f"unix:{scratch / 'gdb'},server=on,wait=off"]


def connect(path, seconds=60):
    """A connection to a socket that QEMU is about to make."""
    until = time.monotonic() + seconds
    while True:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(seconds)
        try:
            connection.connect(str(path))
            return connection
        except OSError:
            connection.close()
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


class Monitor:
    """QMP, as QEMU's qmp-spec has it."""

    def __init__(self, scratch):
        self.lines = connect(scratch / "monitor").makefile("rw")
        self.ask("qmp_capabilities")

    def ask(self, what, **arguments):
        """The answer to a command; events before it are skipped."""
        json.dump({"execute": what, "arguments": arguments}, self.lines)
        self.lines.write("\n")
        self.lines.flush()
        while True:
            answer = json.loads(self.lines.readline())
            assert "error" not in answer, answer
            if "return" in answer:
                return answer["return"]

    def wait(self, what, status, seconds=120):
        """Waits until the answer has this status."""
        until = time.monotonic() + seconds
        while (seen := self.ask(what)["status"]) != status:
            assert seen != "failed" and time.monotonic() < until, seen
            time.sleep(0.05)

    def keep(self, state):
        """Writes the machine's state to a file."""
        self.ask("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
        self.ask("migrate", uri=f"exec:cat > {state}")
        self.wait("query-migrate", "completed")

    def memory(self, ranges, path):
        """Writes what these ranges of addresses hold to files; gives the files."""
        files = [path.with_suffix(f".{first:x}") for first, _ in ranges]
        for file, (first, end) in zip(files, ranges):
            self.ask("pmemsave", val=first, size=end - first, filename=str(file))
        return files


def different(one, other):
    """The offsets of the pages that differ between two files of the same size."""
    with open(one, "rb") as one, open(other, "rb") as other:
        a = mmap.mmap(one.fileno(), 0, access=mmap.ACCESS_READ)
        b = mmap.mmap(other.fileno(), 0, access=mmap.ACCESS_READ)
        chunks = (at for at in range(0, len(a), CHUNK) if a[at : at + CHUNK] != b[at : at + CHUNK])
        pages = (page for at in chunks for page in range(at, at + CHUNK, PAGE))
        return [at for at in pages if a[at : at + PAGE] != b[at : at + PAGE]]


class Debugger:
    """As much of GDB's remote protocol as one breakpoint needs; the machine is stopped
    from the beginning."""

    def __init__(self, scratch):
        self.connection = connect(scratch / "gdb")
        self.got = b""

    def ask(self, text, answer):
        """Waits for this answer; others, such as that the machine has stopped, are skipped."""
        checksum = sum(text.encode()) % 256
        self.connection.sendall(f"${text}#{checksum:02x}".encode())
        while True:
            found = re.search(rb"[$]([^#]*)#..", self.got)
            if not found:
                got = self.connection.recv(4096)
                assert got, f"no answer to {text}"
                self.got += got
                continue
            self.got = self.got[found.end() :]
            self.connection.sendall(b"+")
            if found[1].startswith(answer):
                return

    def stop_at(self, address):
        """Lets the machine run until a core fetches from this address."""
        self.ask(f"Z1,{address:x},4", b"OK")
        self.ask("c", b"T05")
        self.ask(f"z1,{address:x},4", b"OK")

    def leave(self):
        """Lets the machine run on."""
        self.ask("D", b"OK")
        self.connection.close()
