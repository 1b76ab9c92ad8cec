mod fetch;

use std::sync::Arc;

use super::*;
use crate::decode::DataOp;

const LINE_AT: u64 = 0x4000_1040;

type Hazards = Arc<Mutex<Vec<(Kind, u16, u16)>>>;

/// A machine of three cores, and what was found: kind, who, with whom.
struct Machine {
    caches: Caches,
    found: Hazards,
    stored: std::cell::Cell<u64>,
}

impl Machine {
    fn new(traits: Traits) -> Self {
        let found = Hazards::default();
        let sink = Arc::clone(&found);
        let sink: Sink =
            Box::new(move |kind, by, with, _| sink.lock().push((kind, by.core, with.core)));
        Self {
            caches: Caches::new(3, traits, sink),
            found,
            stored: 0.into(),
        }
    }

    /// What was found since it was last asked.
    fn found(&self) -> Vec<(Kind, u16, u16)> {
        std::mem::take(&mut self.found.lock())
    }

    /// Stores what was not there before.
    fn store(&self, core: u16, memory: Memory) {
        self.stored.set(self.stored.get() + 1);
        self.store_again(core, memory);
    }

    /// Stores what was there before.
    fn store_again(&self, core: u16, memory: Memory) {
        let bytes = self.stored.get().to_le_bytes();
        self.caches
            .write(who(core, What::Store), LINE_AT + 8, &bytes, memory);
    }

    fn load(&self, core: u16, memory: Memory) {
        self.caches
            .read(who(core, What::Load), LINE_AT + 16, 8, memory);
    }

    fn fetch(&self, core: u16) {
        self.caches.fetch(who(core, What::Fetch), LINE_AT, true);
    }

    fn dc(&self, core: u16, op: DataOp) {
        self.caches
            .data(who(core, What::Maintenance), op, LINE_AT + 63);
    }

    fn ivau(&self, core: u16) {
        self.caches.ivau(who(core, What::Maintenance), LINE_AT);
    }

    fn dsb(&self, core: u16) {
        self.caches.dsb(who(core, What::Maintenance), true, true);
    }

    fn isb(&self, core: u16) {
        self.caches.synchronise(who(core, What::Maintenance));
    }

    fn sev(&self, core: u16) {
        self.caches.signal(who(core, What::Maintenance));
    }
}

fn who(core: u16, what: What) -> Who {
    Who {
        core,
        what,
        site: u32::from(core) + 1,
    }
}

fn machine() -> Machine {
    Machine::new(Traits::default())
}

const CACHED: Memory = Memory::WriteBack;
const PAST: Memory = Memory::Device;

#[test]
fn what_is_cached_everywhere_is_coherent() {
    let m = machine();
    for core in 0..3 {
        m.store(core, CACHED);
        m.load(2 - core, CACHED);
        m.sev(core);
    }
    m.caches.finish();
    assert_eq!(m.found(), []);
}

#[test]
fn what_is_never_cached_needs_nothing() {
    let m = machine();
    m.store(0, PAST);
    m.load(1, Memory::NonCacheable);
    m.store(1, Memory::NonCacheable);
    assert_eq!(m.found(), []);
}

#[test]
fn a_read_past_the_caches_needs_a_clean_that_a_dsb_completed() {
    for (op, clean) in [
        (DataOp::Civac, true),
        (DataOp::Cvac, true),
        (DataOp::Cvau, false),
    ] {
        let m = machine();
        m.store(0, CACHED);
        m.dc(0, op);
        m.dsb(0);
        m.sev(0);
        m.load(1, PAST);
        let expected: &[_] = if clean {
            &[]
        } else {
            &[(Kind::ReadPastDirty, 1, 0)]
        };
        assert_eq!(m.found(), expected, "{op:?}");
    }
    // The DSB that waits for stores alone, or for this core alone, is none.
    for (full, shared) in [(false, true), (true, false)] {
        let m = machine();
        m.store(0, CACHED);
        m.dc(0, DataOp::Civac);
        m.caches.dsb(who(0, What::Maintenance), full, shared);
        m.sev(0);
        m.load(1, PAST);
        assert_eq!(m.found(), [(Kind::ReadPastDirty, 1, 0)]);
    }
}

#[test]
fn a_core_s_own_dirty_line_hides_memory_from_it_too() {
    let m = machine();
    m.store(0, CACHED);
    m.load(0, PAST);
    assert_eq!(m.found(), [(Kind::ReadPastDirty, 0, 0)]);
}

#[test]
fn who_polls_past_the_caches_may_be_early() {
    let m = machine();
    m.store(0, CACHED);
    m.load(1, PAST);
    m.dc(0, DataOp::Civac);
    m.dsb(0);
    m.load(1, PAST);
    m.caches.finish();
    assert_eq!(m.found(), []);
    // But the clean has to come.
    m.store(0, CACHED);
    m.load(1, PAST);
    m.caches.finish();
    assert_eq!(m.found(), [(Kind::ReadPastDirty, 1, 0)]);
}

#[test]
fn a_clean_does_not_cover_what_is_stored_after_it() {
    let m = machine();
    m.store(0, CACHED);
    m.dc(0, DataOp::Civac);
    m.store(0, CACHED);
    m.dsb(0);
    m.sev(0);
    m.load(1, PAST);
    assert_eq!(m.found(), [(Kind::ReadPastDirty, 1, 0)]);
}

#[test]
fn telling_before_the_dsb_is_too_early() {
    let m = machine();
    m.store(0, CACHED);
    m.dc(0, DataOp::Civac);
    m.sev(0);
    m.dsb(0);
    m.load(1, PAST);
    assert_eq!(m.found(), [(Kind::NoDsb, 1, 0)]);
}

#[test]
fn a_write_past_the_caches_does_not_survive_a_dirty_line() {
    let m = machine();
    m.store(0, CACHED);
    m.store(1, PAST);
    assert_eq!(m.found(), [(Kind::WritePastDirty, 1, 0)]);
}

#[test]
fn what_was_written_past_the_caches_is_read_after_an_invalidate() {
    let m = machine();
    m.store(0, PAST);
    m.load(0, CACHED);
    assert_eq!(m.found(), [(Kind::ReadStale, 0, 0)]);
    for op in [DataOp::Ivac, DataOp::Civac] {
        m.store(0, PAST);
        m.dsb(0);
        m.dc(0, op);
        m.dsb(0);
        m.load(1, CACHED);
        m.store(1, CACHED);
        m.dc(1, DataOp::Civac);
        m.dsb(1);
        assert_eq!(m.found(), [], "{op:?}");
    }
    m.store(0, PAST);
    m.store(1, CACHED);
    assert_eq!(m.found(), [(Kind::WriteStale, 1, 0)]);
}

#[test]
fn an_invalidate_before_the_write_is_not_enough() {
    let m = machine();
    m.dc(0, DataOp::Ivac);
    m.dsb(0);
    m.store(0, PAST);
    m.load(0, CACHED);
    assert_eq!(m.found(), [(Kind::ReadStale, 0, 0)]);
}

#[test]
fn an_invalidate_of_one_s_own_write_past_the_caches_needs_a_barrier() {
    let m = machine();
    m.store(0, PAST);
    m.dc(0, DataOp::Ivac);
    m.dsb(0);
    assert_eq!(m.found(), [(Kind::NoBarrier, 0, 0)]);
    m.store(0, PAST);
    m.caches.dmb(who(0, What::Maintenance));
    m.dc(0, DataOp::Ivac);
    assert_eq!(m.found(), []);
}

#[test]
fn who_invalidates_and_reads_polls() {
    let m = machine();
    m.dc(1, DataOp::Civac);
    m.dsb(1);
    m.store(0, PAST);
    m.load(1, CACHED);
    assert_eq!(m.found(), []);
    // Who has heard of the write in between does not.
    m.dc(1, DataOp::Civac);
    m.dsb(1);
    m.store(0, PAST);
    m.caches.learn(who(1, What::Load));
    m.load(1, CACHED);
    assert_eq!(m.found(), [(Kind::ReadStale, 1, 0)]);
    // Nor does who has not waited for the invalidate.
    m.store(0, PAST);
    m.dc(1, DataOp::Civac);
    m.load(1, CACHED);
    assert_eq!(m.found(), [(Kind::ReadStale, 1, 0)]);
}

#[test]
fn a_block_of_zeros_needs_nothing_of_the_line() {
    let m = machine();
    m.store(0, PAST);
    m.caches
        .write(who(1, What::Zero), LINE_AT, &[0; 64], CACHED);
    m.load(1, CACHED);
    assert_eq!(m.found(), []);
}

#[test]
fn dirty_data_is_not_thrown_away() {
    let m = machine();
    m.store(0, CACHED);
    m.dc(1, DataOp::Ivac);
    assert_eq!(m.found(), [(Kind::DirtyDiscarded, 1, 0)]);
}

#[test]
fn a_core_that_was_off_has_nothing_dirty_and_fetches_anew() {
    let m = machine();
    m.store(0, CACHED);
    m.caches.turn_off(who(0, What::Maintenance));
    m.load(1, PAST);
    m.store(1, PAST);
    assert_eq!(m.found(), []);
}

#[test]
fn live_mappings_agree() {
    let m = machine();
    m.caches.mapped(who(0, What::Load), LINE_AT, CACHED);
    m.caches.mapped(who(1, What::Load), LINE_AT, CACHED);
    assert_eq!(m.found(), []);
    m.caches.mapped(who(1, What::Load), LINE_AT, PAST);
    assert_eq!(m.found(), [(Kind::Mismatched, 1, 1)]);
    // Once the tables were changed and that is known, the old one is dead.
    m.caches.read(who(0, What::Walk), 0x4000_2000, 8, CACHED);
    m.caches
        .write(who(0, What::Store), 0x4000_2000, &[1; 8], CACHED);
    m.caches.tlbi();
    m.caches.mapped(who(0, What::Load), LINE_AT, CACHED);
    assert_eq!(m.found(), []);
}

#[test]
fn a_reset_machine_knows_nothing() {
    let m = machine();
    m.store(0, CACHED);
    m.store(0, PAST);
    m.found();
    m.caches.reset();
    m.load(0, CACHED);
    m.load(1, PAST);
    m.fetch(1);
    assert_eq!(m.found(), []);
}

#[test]
fn an_access_over_a_line_s_end_is_in_both() {
    let m = machine();
    m.caches
        .write(who(0, What::Store), LINE_AT - 4, &[1; 8], Memory::Device);
    m.caches.read(who(0, What::Load), LINE_AT - 64, 1, CACHED);
    m.caches.read(who(0, What::Load), LINE_AT, 1, CACHED);
    m.caches.read(who(0, What::Load), LINE_AT + 64, 1, CACHED);
    assert_eq!(m.found().len(), 2);
}

#[test]
fn two_words_may_share_a_longer_line() {
    for (line, found) in [(6, 0), (8, 1)] {
        let m = Machine::new(Traits {
            line,
            ..Traits::default()
        });
        m.store(0, PAST);
        m.caches
            .write(who(1, What::Store), LINE_AT + 64, &[1; 8], CACHED);
        assert_eq!(m.found().len(), found, "{line}");
    }
}
