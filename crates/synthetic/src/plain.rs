//! Single records with nothing special about them, for tests that change one thing.

use stalecore_model::{
    glossary::{LineState, StaleState, Subject, Verdict},
    plan::Case,
    record::{Block, CaseRecord, Fault, Hex},
};

/// A case without samples, on dirty-here lines.
pub fn case(
    n: usize,
    op: Subject,
    state: StaleState,
    verdict: Verdict,
    why: Option<&str>,
) -> CaseRecord {
    let case = Case {
        number: n,
        subject: op,
        state,
        line: LineState::DirtyHere,
    };
    CaseRecord::blank(&case, verdict, why.map(str::to_string))
}

/// A block report without address, cores and ladder.
pub fn block(n: u32, op: Subject) -> Block {
    Block {
        n,
        op,
        initiator: 0,
        instruction: "ic ivau".into(),
        at: "flush_icache_range+92".into(),
        address: None,
        waited_ms: 2420,
        returned: 7,
        seen_by: "sentinel".into(),
        cores: vec![],
        baseline: false,
        behind: false,
        witness: Vec::new(),
        starved: None,
        ladder: vec![],
    }
}

/// A fault of the self-test that faults.
pub fn fault(n: u32, op: Subject) -> Fault {
    Fault {
        n,
        op,
        initiator: 0,
        esr: Hex(0x9600_0147),
        syndrome: "data abort, translation fault level 3".into(),
        far: Hex(0),
        elr: Hex(0x4008),
        at: "selftest_fault+8".into(),
        returned: -14,
    }
}
