"""A machine with Debian's own kernel under QEMU, which waits for its row: booted once,
kept so, and started from there, where QEMU can keep it."""

import os
import pathlib
import socket
import subprocess
import threading
import time

from monitor import Monitor, monitored

HERE = pathlib.Path(__file__).resolve().parents[2]
DIST = HERE / "dist"
LINUX = pathlib.Path(os.environ["LINUX"])
UEFI = "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd"
READY = b"READY FOR A ROW\r\n"
# Two that hang leave an initiator, one to be stale, and one to watch.
CPUS = 5
# Where the machine's memory begins and ends.
MEMORY = (0x40000000, 0x80000000)

# QEMU's words for how Linux is entered: at EL1, at EL2 without and with E2H.
LEVELS = {
    "el1": ["-machine", "virt,gic-version=3", "-cpu", "cortex-a72"],
    "nvhe": ["-machine", "virt,gic-version=3,virtualization=on", "-cpu", "cortex-a72"],
    "vhe": ["-machine", "virt,gic-version=3,virtualization=on", "-cpu", "neoverse-n1"],
}
# Where a machine can be kept. Under VHE Linux waits by EL2's physical timer, and QEMU
# keeps only EL1's (VMSTATE_TIMER_PTR in its target/arm/machine.c): a CPU that slept when
# it was kept has a comparator in the past afterwards, and no interrupt, ever. Linux then
# hangs as soon as it waits for that CPU.
KEPT = ("el1", "nvhe")


class Guest:
    """A QEMU that runs, and its serial line."""

    def __init__(self, command, log=b""):
        self.log = bytearray(log)
        self.line, end = socket.socketpair()
        with end:
            chardev = f"socket,id=line,fd={end.fileno()}"
            command = [*command, "-chardev", chardev, "-serial", "chardev:line"]
            self.qemu = subprocess.Popen(command, pass_fds=[end.fileno()])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.qemu.kill()
        self.qemu.wait()
        self.line.close()

    def receive(self, until):
        """What comes next; nothing if the guest has ended or the time is `until`."""
        self.line.settimeout(max(until - time.monotonic(), 0.01))
        try:
            got = self.line.recv(1 << 16)
        except OSError:  # the time is over, or the guest is gone
            return b""
        self.log += got
        return got

    def read(self, *words, seconds):
        """Reads until one of the words comes or the guest ends; was it a word?"""
        until, start = time.monotonic() + seconds, len(self.log)
        longest = max(map(len, words))
        while got := self.receive(until):
            tail = self.log[max(start, len(self.log) - len(got) - longest) :]
            if any(word in tail for word in words):
                return True
        return False

    def drain(self, seconds):
        """Reads what comes in the next seconds, or until the guest ends."""
        until = time.monotonic() + seconds
        while self.receive(until):
            pass

    def ask(self, row):
        """Has the guest do the lines of `row`. The first byte that comes to a UART that
        was kept is lost."""
        self.line.sendall(f"\n\n{row}\nEND\n".encode())

    def serve(self, listener, until):
        """Hands the line on to who connects."""
        with listener.accept()[0] as other:
            while got := self.receive(until):
                try:
                    other.sendall(got)
                except OSError:
                    return

    def host(self, out, seconds):
        """The host command's exit code for what comes on the line."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            until = time.monotonic() + seconds
            serve = threading.Thread(target=self.serve, args=(listener, until), daemon=True)
            serve.start()
            port = f"tcp:127.0.0.1:{listener.getsockname()[1]}"
            command = [DIST / "stalecore", "serial", port, "--quiet", "--timeout", "200"]
            command += ["--out", out]
            return subprocess.run(command, timeout=seconds, check=False).returncode


class Machine:
    """A kernel, how it is entered, what describes the machine to it, and its words; if
    it can be kept, it is booted as soon as it is asked for, and only once."""

    def __init__(self, scratch, initrd, kernel, level="el1", uefi=False, words=""):
        self.command = ["qemu-system-aarch64", *LEVELS[level], "-smp", str(CPUS)]
        self.command += ["-m", "1G"]
        self.command += ["-accel", "tcg,thread=multi", "-nodefaults", "-display", "none"]
        self.command += ["-nic", "none", "-no-reboot"]
        self.command += ["-bios", UEFI] if uefi else []
        self.command += ["-kernel", LINUX / kernel / "vmlinuz", "-initrd", initrd]
        self.command += ["-append", f"console=ttyAMA0 rdinit=/init panic=2 {words}"]
        self.state = scratch / "state" if level in KEPT else None
        if self.state:
            with self.boot(*monitored(scratch)) as guest:
                self.log = bytes(guest.log)
                Monitor(scratch).keep(self.state)

    def boot(self, *more):
        """From its first instruction, until it waits for its row."""
        guest = Guest([*self.command, *more])
        try:
            assert guest.read(READY, seconds=300), guest.log.decode(errors="replace")[-2000:]
        except BaseException:  # who is told to stop, too
            guest.__exit__()
            raise
        return guest

    def start(self, *more):
        """As it waits for its row, with more words for QEMU."""
        if not self.state:
            return self.boot(*more)
        incoming = ["-incoming", f"exec:cat {self.state}"]
        return Guest([*self.command, *incoming, *more], self.log)

    def remove(self):
        """What was kept."""
        if self.state:
            self.state.unlink()
