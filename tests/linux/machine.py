"""A machine with Debian's own kernel, kexec-tools and busybox, which hands over to
the image by kexec, and whose serial line the host command reads."""

import json
import os
import pathlib
import re
import socket
import stat
import subprocess

HERE = pathlib.Path(__file__).resolve().parents[2]
DIST = HERE / "dist"
LINUX = pathlib.Path(os.environ["LINUX"])
KERNELS = os.environ["KERNELS"].split()
UEFI = "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd"
MODULES = ["ts_fsm", "ts_kmp"]

# QEMU's words for how Linux is entered: at EL1, at EL2 without and with E2H.
LEVELS = {
    "el1": ["-machine", "virt,gic-version=3", "-cpu", "cortex-a72"],
    "nvhe": ["-machine", "virt,gic-version=3,virtualization=on", "-cpu", "cortex-a72"],
    "vhe": ["-machine", "virt,gic-version=3,virtualization=on", "-cpu", "neoverse-n1"],
}

# kexec-tools looks for _text, which Debian's kernels do not list.
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
awk '$3 == "_stext" {print $1, "T _text"} {print}' /proc/kallsyms > /tmp/kallsyms
mount --bind /tmp/kallsyms /proc/kallsyms
# One core for all of this: another is to hang.
taskset 2 sh /row
echo THE ROW HAS ENDED
poweroff -f
"""


def executable(path):
    return (0o100755, pathlib.Path(path).read_bytes())


def newc(files):
    """A cpio archive as the kernel's buffer-format.rst has it; `files` are names
    with mode and bytes."""
    names = {str(parent) for name in files for parent in pathlib.PurePosixPath(name).parents}
    entries = {name: (stat.S_IFDIR | 0o755, b"") for name in sorted(names - {"."})}
    entries |= files
    archive = bytearray()

    def pad():
        archive.extend(bytes(-len(archive) % 4))

    def add(number, name, mode, data):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        archive.extend(b"070701" + b"".join(b"%08X" % field for field in fields))
        archive.extend(name.encode() + b"\0")
        pad()
        archive.extend(data)
        pad()

    for number, (name, (mode, data)) in enumerate(entries.items(), 1):
        add(number, name, mode, data)
    add(0, "TRAILER!!!", 0, b"")
    return bytes(archive)


def initramfs(row, **more):
    files = {
        "init": (0o100755, INIT.encode()),
        "row": (0o100644, row.encode()),
        "bin/busybox": executable(LINUX / "busybox"),
        "bin/kexec": executable(LINUX / "kexec"),
        "stalecore.img": executable(DIST / "stalecore.img"),
        "tmp/empty": (0o100644, b""),
        "proc/empty": (0o100644, b""),
        "sys/empty": (0o100644, b""),
        "dev/console": (stat.S_IFCHR | 0o600, b""),
    }
    files |= {f"lib/{path.name}": executable(path) for path in (LINUX / "lib").iterdir()}
    return newc(files | more)


def hanging_module(kernel, name, scratch):
    """One of the kernel's own modules whose init function has been exchanged for
    two instructions: mask everything, stay here. objcopy drops the signature with
    what lies behind the file's end; Debian's kernels load it and say so."""
    module = LINUX / kernel / f"{name}.ko"
    sections = tool("objdump", "-h", module).stdout.decode()
    size = int(re.search(r" \.init\.text +([0-9a-f]+)", sections)[1], 16)
    (scratch / "hang.S").write_text("msr daifset, #0xf\n0: b 0b\n")
    tool("as", "-o", scratch / "hang.o", scratch / "hang.S")
    tool("objcopy", "-O", "binary", "-j", ".text", scratch / "hang.o", scratch / "hang.bin")
    os.truncate(scratch / "hang.bin", size)
    out = scratch / f"{name}.ko"
    tool(
        "objcopy",
        "--remove-relocations=.init.text",
        "--update-section",
        f".init.text={scratch / 'hang.bin'}",
        module,
        out,
    )
    return out


def tool(name, *args):
    command = [f"aarch64-linux-gnu-{name}", *args]
    return subprocess.run(command, check=True, timeout=60, capture_output=True)


class Result:
    """What the host command made of the line."""

    def __init__(self, code, out):
        self.code = code
        self.console = (out / "console.log").read_text(errors="replace")
        self.run = json.loads((out / "run.json").read_text())

    def verdicts(self):
        return [case["verdict"] for case in self.run["cases"]]


def boot(kernel, level, initrd, out, *, words="", cpus=4, memory="1G", uefi=False, seconds=240):
    """Boots Linux, and reads the line until the image has ended."""
    (out / "initrd").write_bytes(initrd)
    with socket.create_server(("127.0.0.1", 0)) as line:
        port = line.getsockname()[1]
        chardev = f"socket,id=line,fd={line.fileno()},server=on,wait=on"
        command = ["qemu-system-aarch64", *LEVELS[level], "-smp", str(cpus), "-m", memory]
        command += ["-accel", "tcg,thread=multi", "-nodefaults", "-display", "none"]
        command += ["-nic", "none", "-no-reboot", "-chardev", chardev, "-serial", "chardev:line"]
        command += ["-bios", UEFI] if uefi else []
        command += ["-kernel", LINUX / kernel / "vmlinuz", "-initrd", out / "initrd"]
        words = f"console=ttyAMA0 rdinit=/init panic=5 {words}"
        qemu = subprocess.Popen([*command, "-append", words], pass_fds=[line.fileno()])
        try:
            serial = [DIST / "stalecore", "serial", f"tcp:127.0.0.1:{port}"]
            serial += ["--quiet", "--timeout", "100", "--out", out / "run"]
            code = subprocess.run(serial, timeout=seconds, check=False).returncode
        finally:
            qemu.kill()
            qemu.wait()
    return Result(code, out / "run")
