"""What Linux boots into, as cpio archives."""

import functools
import pathlib
import re
import stat

import modules
from machine import DIST, LINUX

GUEST = pathlib.Path(__file__).parent / "guest"
CONSOLE = (stat.S_IFCHR | 0o600, b"")


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


def executable(path):
    return (0o100755, pathlib.Path(path).read_bytes())


@functools.cache
def libraries(program):
    """The names in Debian's lib of what a program is linked against."""
    dynamic = modules.tool("readelf", "-d", program).stdout.decode()
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", dynamic))
    return needed.union(*(libraries(LINUX / "lib" / name) for name in needed))


def command(scratch):
    """The command for aarch64 Linux, as a file of the guest's."""
    stripped = scratch / "stalecore"
    modules.tool("strip", "-o", stripped, DIST / "aarch64-linux/stalecore")
    return {"bin/stalecore": executable(stripped)}


def common(init):
    """The script that runs first, Debian's programs, and the image."""
    files = {
        "init": executable(GUEST / init),
        "bin/busybox": executable(LINUX / "busybox"),
        "stalecore.img": executable(DIST / "stalecore.img"),
        "tmp/empty": (0o100644, b""),
        "proc/empty": (0o100644, b""),
        "sys/empty": (0o100644, b""),
        "dev/console": CONSOLE,
    }
    for program in ("kexec", "makedumpfile"):
        files[f"bin/{program}"] = executable(LINUX / program)
        for name in libraries(LINUX / program):
            files[f"lib/{name}"] = executable(LINUX / "lib" / name)
    return files


def first(kernel):
    """For the kernel that crashes or hands over, with the kernel that follows it."""
    files = common("init")
    files["vmlinuz"] = executable(LINUX / kernel / "vmlinuz")
    files["capture.cpio"] = (0o100644, newc(common("capture")))
    for name in ("reed_solomon", "ramoops"):
        files[f"{name}.ko"] = executable(LINUX / kernel / f"{name}.ko")
    base = LINUX / kernel / f"{modules.BASE}.ko"
    for name in modules.INIT:
        content, where = modules.module(base, name, kernel == "newest")
        files[f"modules/{name}.ko"] = (0o100644, content)
        files[f"modules/{name}.where"] = (0o100644, where.encode())
    return newc(files)
