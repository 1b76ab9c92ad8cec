#!/usr/bin/env python3
"""Dump the ACPI tables that EDK2 leaves in the memory of a QEMU machine.

usage: dump.py OUT.txt.gz -- QEMU options (-M virt,... -smp ...)

Boots EDK2 to its shell, stops the machine, saves its memory through the
monitor, follows RSDP and XSDT in it, and writes what they name in the text
form of ACPICA's acpidump, gzipped.
"""

import gzip
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

FIRMWARE = "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd"
RAM = 0x4000_0000
MIB = 512


def saved_memory(options):
    with tempfile.TemporaryDirectory() as scratch:
        console, image = f"{scratch}/console", f"{scratch}/memory"
        qemu = subprocess.Popen(
            ["qemu-system-aarch64", "-m", str(MIB), "-display", "none", "-nodefaults",
             "-net", "none", "-bios", FIRMWARE, "-serial", f"file:{console}",
             "-qmp", f"unix:{scratch}/qmp,server=on,wait=off", *options])
        try:
            deadline = time.time() + 300
            while not (os.path.exists(console) and b"Shell>" in open(console, "rb").read()):
                if time.time() > deadline or qemu.poll() is not None:
                    sys.exit("EDK2's shell was not reached")
                time.sleep(1)
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(f"{scratch}/qmp")
            qmp = connection.makefile("rw")
            qmp.readline()
            arguments = {"val": RAM, "size": MIB << 20, "filename": image}
            for command in ({"execute": "qmp_capabilities"}, {"execute": "stop"},
                            {"execute": "pmemsave", "arguments": arguments}):
                qmp.write(json.dumps(command) + "\n")
                qmp.flush()
                answer = {}
                while "return" not in answer:
                    answer = json.loads(qmp.readline())
                    if "error" in answer:
                        sys.exit(answer["error"])
            return open(image, "rb").read()
        finally:
            qemu.kill()
            qemu.wait()


def find_rsdp(memory):
    """Tables lie elsewhere in memory too, while QEMU's own copies last: the
    RSDP that counts has right checksums and points at an XSDT."""
    at = memory.find(b"RSD PTR ")
    while at >= 0:
        rsdp = memory[at:at + 36]
        if sum(rsdp[:20]) % 256 == 0 and sum(rsdp) % 256 == 0 and rsdp[15] >= 2:
            xsdt = struct.unpack_from("<Q", rsdp, 24)[0] - RAM
            if 0 <= xsdt < len(memory) and memory[xsdt:xsdt + 4] == b"XSDT":
                return at, xsdt
        at = memory.find(b"RSD PTR ", at + 1)
    sys.exit("no RSDP")


def text(name, address, data):
    lines = [f"{name} @ 0x{address:016X}"]
    for i in range(0, len(data), 16):
        row = data[i:i + 16]
        letters = "".join(chr(b) if 32 <= b < 127 else "." for b in row)
        lines.append(f"    {i:04X}: {' '.join(f'{b:02X}' for b in row):47}  {letters}")
    return "\n".join(lines) + "\n\n"


def main():
    split = sys.argv.index("--")
    memory = saved_memory(sys.argv[split + 1:])
    rsdp, xsdt = find_rsdp(memory)

    def table(at):
        return memory[at:at + struct.unpack_from("<I", memory, at + 4)[0]]

    out = text("RSD PTR ", rsdp + RAM, memory[rsdp:rsdp + 36])
    out += text("XSDT", xsdt + RAM, table(xsdt))
    for (address,) in struct.iter_unpack("<Q", table(xsdt)[36:]):
        data = table(address - RAM)
        out += text(data[:4].decode(), address, data)
    with open(sys.argv[1], "wb") as file:
        file.write(gzip.compress(out.encode(), 9, mtime=0))


main()
