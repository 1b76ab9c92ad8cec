//! The words by which interesting lines are found, and what finding one means
//! for the search behind it.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

/// Words of the lines that begin a crash or are a step of it. All words of all
/// lists have at least four bytes: the search tests that many at once.
const CRASH: &[&str] = &[
    "soft lockup",
    "hard LOCKUP",
    "Kernel panic",
    "Redirecting from CPU",
    "Internal error",
    "Unable to handle kernel",
    "kernel BUG at",
    "Trigger a crash",
    "secondary CPUs",
    "retry stop with",
    "crashdump kernel",
    "may be stale",
    "Bye!",
    "NMI backtrace for",
    " PID: ",
    "detected stalls on",
    "detected expedited stalls",
    "self-detected stall",
    "SError Interrupt",
    "Bad mode in ",
    "CSD lock",
    "in EL3",
    "PANIC at PC",
    "Unhandled Exception",
    "COMMAND: ",
];

/// Words of the lines that tell where a log, a boot or a quotation begins.
const CONTEXT: &[&str] = &[
    "Booting Linux on",
    "Linux version ",
    "Brought up ",
    "psci: CPU",
    ": shutdown",
    "Booted secondary",
    "Panic#",
    "Oops#",
    "NT_PRSTATUS note",
    "\n```",
    " ```",
    "\n~~~",
];

/// Words of the lines that go on with a crash already begun: who ran, how it
/// ended.
const OUTLINE: &[&str] = &[
    ", CPU#",
    "elfcorehdr",
    "ommand line: ",
    "EFI stub: ",
    "NOTICE:  BL",
    "U-Boot 20",
    "vmcore",
    "umpfile",
    "Copying data",
    "Run /init",
    "reboot: ",
    "Rebooting in ",
    "failed to redirect",
    "(detected by",
    "softirq=",
    "ncpus=",
    " jiffies ",
    "Sending NMI",
    "sdei_nmi",
    ": stopping",
    "Kernel Offset",
    "Memory Limit",
    "Hardware Error",
    "workqueue lockup",
    "blocked for more than",
    "mpidr",
    "_el3 ",
    "affinity info",
    "RELEASE: ",
    "PANIC: ",
    "CPUS: ",
    "keep_bootcon",
];

/// Words of its registers and traces, the bulk of its lines.
const DETAILS: &[&str] = &[
    "Hardware name",
    "pc : ",
    "lr : ",
    "PC is at ",
    "LR is at ",
    "RIP: ",
    "epc : ",
    "badaddr: ",
    "psr: ",
    "NIP ",
    "NIP: ",
    " TRAP: ",
    "Krnl PSW",
    "Call Trace:",
    "Call trace:",
    " PC: ffff",
    " LR: ffff",
    " at ffff",
    "+0x0",
    "+0x1",
    "+0x2",
    "+0x3",
    "+0x4",
    "+0x5",
    "+0x6",
    "+0x7",
    "+0x8",
    "+0x9",
    "+0xa",
    "+0xb",
    "+0xc",
    "+0xd",
    "+0xe",
    "+0xf",
    "end trace ",
];

/// How much is looked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Depth {
    /// Whatever begins a crash or tells where one is.
    Crashes,
    /// How a crash goes on as well.
    Outline,
    /// Its registers and traces as well.
    Details,
}

/// A word found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// Where in the text its line is touched.
    pub at: usize,
    /// Where the word ends.
    pub end: usize,
    /// The least depth that looks for it.
    pub depth: Depth,
    /// It speaks of a crash: more is wanted behind it.
    pub is_crash: bool,
}

/// One search for each depth; a word's number counts through the lists.
static SEARCHES: LazyLock<[AhoCorasick; 3]> = LazyLock::new(|| {
    [
        &[CRASH, CONTEXT][..],
        &[CRASH, CONTEXT, OUTLINE],
        &[CRASH, CONTEXT, OUTLINE, DETAILS],
    ]
    .map(|lists| {
        AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(lists.concat())
            .expect("a few dozen short words fit the automaton")
    })
});

/// Finds the first word in the text.
pub fn find(text: &[u8], depth: Depth) -> Option<Found> {
    let found = SEARCHES[depth as usize].find(text)?;
    let word = found.pattern().as_usize();
    let depth = if word < CRASH.len() + CONTEXT.len() {
        Depth::Crashes
    } else if word < CRASH.len() + CONTEXT.len() + OUTLINE.len() {
        Depth::Outline
    } else {
        Depth::Details
    };
    // A line end at the front of a word belongs to the line before.
    let line_end = usize::from(text[found.start()] == b'\n');
    Some(Found {
        at: found.start() + line_end,
        end: found.end(),
        depth,
        is_crash: word < CRASH.len(),
    })
}

/// Does the text open with a word that [`find`] only knows behind a line end?
pub fn opens_with_fence(text: &[u8]) -> bool {
    text.starts_with(b"```") || text.starts_with(b"~~~")
}
