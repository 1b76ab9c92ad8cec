"""Kernel modules that bring a CPU into a known state. Each is one of the kernel's
own modules with another init function, so that neither headers nor a compiler for
the kernel are needed. objcopy drops the signature with what lies behind the file's
end; Debian's kernels load such a module and say so."""

import functools
import pathlib
import re
import subprocess
import tempfile

BASE = "ts_fsm"
# Where the address of a kernel symbol goes: the guest looks it up in its kallsyms.
SYMBOL = 0x5CA1AB1E_00000000

# Interrupts masked and never taken again, as `wait` goes on.
MASKED = "msr daifset, #0xf\n{wait}"
# Preemption off: inside a spin lock. (Where the kernel preempts nothing on its own, the
# function is none of its own, and unneeded.)
NO_PREEMPTION = (
    "sub sp, sp, #16\nstr xzr, [sp]\nmov x0, sp\nldr x2, {_raw_spin_lock}\nblr x2\n"
)
# Waits, with interrupts open, until the guest's DEADLINE, in ns since boot: nothing
# can be loaded any more once a CPU hangs.
AWAIT = """ldr x19, {DEADLINE}
ldr x20, {ktime_get}
0: blr x20
cmp x0, x19
b.lo 0b
"""
# Of two CPUs that await the same time one is to be the second.
LATER = "mov x2, #0x80000\n0: subs x2, x2, #1\nb.hi 0b\n"
NULL = "mov x0, #0\nstr x0, [x0]\n"

# What the init function does, {name} being the address of a symbol. As the states of
# the harness are called where it has one.
INIT = {
    "spin": MASKED.format(wait="0: b 0b"),
    "wfi": MASKED.format(wait="0: wfi\nb 0b"),
    "wfe": MASKED.format(wait="0: wfe\nb 0b"),
    # Not even an interrupt that is pending ends this one: its CPU interface is off
    # (ICC_IGRPEN1_EL1). The others keep a core of the host's busy.
    "asleep": MASKED.format(wait="msr s3_0_c12_c12_7, xzr\nisb\n0: wfi\nb 0b"),
    "ldxr": MASKED.format(
        wait="sub sp, sp, #16\n0: ldxr w0, [sp]\nadd w0, w0, #1\nstxr w1, w0, [sp]\nb 0b"
    ),
    # Waits for a spin lock that nobody gives back, as spin_lock_irqsave does.
    "qspinlock": MASKED.format(
        wait="sub sp, sp, #16\nmov w1, #1\nstr x1, [sp]\nmov x0, sp\n"
        "ldr x2, {queued_spin_lock_slowpath}\nblr x2"
    ),
    # Interrupts open from here on.
    "busy": "{no_preemption}0: b 0b",
    "lock": "{no_preemption}sub sp, sp, #16\nmov w1, #1\nstr x1, [sp]\nmov x0, sp\n"
    "ldr x2, {queued_spin_lock_slowpath}\nblr x2",
    "everyone": "{no_preemption}" + LATER + "ldr x2, {kick_all_cpus_sync}\nblr x2",
    "sleep": "mov w0, #0x7fffffff\nldr x2, {msleep}\nblr x2",
    "panic": 'adr x0, 9f\nldr x2, {panic}\nblr x2\n9: .asciz "asked for by the test"\n.balign 4',
    "null": NULL,
    "null-masked": "msr daifset, #2\n" + NULL,
    "null-later": "msr daifset, #2\n" + LATER + NULL,
}


def tool(name, *args):
    command = [f"aarch64-linux-gnu-{name}", *args]
    return subprocess.run(command, check=True, timeout=60, capture_output=True)


@functools.cache
def module(base, name, preemptible):
    """The module `name` made of the file `base`: its bytes, and lines for the guest
    of what is missing in them: offset and symbol, or DEADLINE, or CPU for a digit of
    the module's name. `preemptible` kernels take a CPU from a task in the kernel at
    any time."""
    code, symbols = AWAIT + INIT[name], []

    class Pool(dict):
        def __missing__(self, symbol):
            if symbol not in symbols:
                symbols.append(symbol)
            return f"symbol{symbols.index(symbol)}"

    pool = Pool()
    pool["no_preemption"] = NO_PREEMPTION.format_map(pool) if preemptible else ""
    code = code.format_map(pool)
    words = "".join(f"symbol{n}: .quad {SYMBOL + n:#x}\n" for n in range(len(symbols)))
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        (scratch / "init.S").write_text(f"paciasp\n{code}\n.balign 8\n{words}")
        tool("as", "-o", scratch / "init.o", scratch / "init.S")
        tool("objcopy", "-O", "binary", "-j", ".text", scratch / "init.o", scratch / "init.bin")
        update = f".init.text={scratch / 'init.bin'}"
        remove = "--remove-relocations=.init.text"
        tool("objcopy", remove, "--update-section", update, base, scratch / "out.ko")
        content = (scratch / "out.ko").read_bytes()
    where = [
        f"{content.index((SYMBOL + n).to_bytes(8, 'little'))} {symbol}\n"
        for n, symbol in enumerate(symbols)
    ]
    content = content.replace(f"{BASE}\0".encode(), b"hang_0\0")
    where += [f"{found.end() - 2} CPU\n" for found in re.finditer(rb"hang_0\0", content)]
    return content, "".join(where)
