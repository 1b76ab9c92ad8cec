//! The words by which interesting lines are found, and what finding one means
//! for the search behind it.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, Input, Match, MatchKind, packed};

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
    /// Where the word begins.
    pub start: usize,
    /// Where in the text its line is touched.
    pub at: usize,
    /// Where the word ends.
    pub end: usize,
    /// The least depth that looks for it.
    pub depth: Depth,
    /// It speaks of a crash: more is wanted behind it.
    pub is_crash: bool,
}

/// What is searched for at once: the words of a depth, with those of the one before it
/// where one search for both is faster.
const LISTS: [(Depth, &[&[&str]]); 3] = [
    (Depth::Crashes, &[CRASH, CONTEXT]),
    (Depth::Outline, &[CRASH, CONTEXT, OUTLINE]),
    (Depth::Details, &[DETAILS]),
];

/// Of a search, the words that are there at every depth.
const ALWAYS: usize = CRASH.len() + CONTEXT.len();

/// The lists to be searched for each depth.
const fn lists(depth: Depth) -> &'static [usize] {
    match depth {
        Depth::Crashes => &[0],
        Depth::Outline => &[1],
        Depth::Details => &[1, 2],
    }
}

/// A search for one of several words.
struct Words {
    /// Many bytes at once, where the processor has instructions for that.
    vector: Option<packed::Searcher>,
    /// One by one.
    automaton: AhoCorasick,
}

impl Words {
    fn new(words: &[&str]) -> Self {
        // More words at once than the library would take on its own: each is four
        // bytes or longer, and they differ early.
        let mut vector = packed::Config::new()
            .heuristic_pattern_limits(false)
            .builder();
        Self {
            vector: vector.extend(words).build(),
            automaton: AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostFirst)
                .build(words)
                .expect("a few dozen short words fit the automaton"),
        }
    }

    fn find(&self, text: &[u8], at: usize) -> Option<Match> {
        match &self.vector {
            Some(vector) => vector.find_in(text, (at..text.len()).into()),
            None => self.automaton.find(Input::new(text).range(at..)),
        }
    }
}

/// A search for each.
static SEARCHES: LazyLock<[Words; LISTS.len()]> =
    LazyLock::new(|| LISTS.map(|(_, words)| Words::new(&words.concat())));

/// A text, and where the next word of each depth is.
pub struct Search<'t> {
    text: &'t [u8],
    next: [Next; LISTS.len()],
}

/// What is known of the words of a depth.
#[derive(Clone, Copy)]
enum Next {
    /// Nothing.
    Unknown,
    /// None is left.
    None,
    /// The first one at or behind the place that was asked for last.
    Is(Found),
}

impl<'t> Search<'t> {
    /// Begins to search a text.
    pub fn new(text: &'t [u8]) -> Self {
        Self {
            text,
            next: [Next::Unknown; LISTS.len()],
        }
    }

    /// Does the text open with a word that [`Self::find`] only knows behind a line end?
    pub fn opens_with_fence(&self) -> bool {
        self.text.starts_with(b"```") || self.text.starts_with(b"~~~")
    }

    /// Finds the first word from `at` on, which never goes back.
    pub fn find(&mut self, at: usize, depth: Depth) -> Option<Found> {
        let words = lists(depth).iter().filter_map(|list| self.next(*list, at));
        words.min_by_key(|word| word.start)
    }

    /// The first word of a depth from `at` on.
    fn next(&mut self, list: usize, at: usize) -> Option<Found> {
        match self.next[list] {
            Next::None => return None,
            Next::Is(found) if found.start >= at => return Some(found),
            _ => {}
        }
        let word = SEARCHES[list].find(self.text, at);
        let found = word.map(|word| Found {
            start: word.start(),
            // A line end at the front of a word belongs to the line before.
            at: word.start() + usize::from(self.text[word.start()] == b'\n'),
            end: word.end(),
            depth: match LISTS[list].0 {
                Depth::Details => Depth::Details,
                _ if word.pattern().as_usize() < ALWAYS => Depth::Crashes,
                depth => depth,
            },
            is_crash: list != 2 && word.pattern().as_usize() < CRASH.len(),
        });
        self.next[list] = found.map_or(Next::None, Next::Is);
        found
    }
}
