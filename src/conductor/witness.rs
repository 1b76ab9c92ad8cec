//! The interconnect's own counters of DVM, where firmware names them: read by plain loads,
//! and beside a block only once its record and the first rung's are out, as a load may be
//! what does not return.

use alloc::{format, vec::Vec};

use spin::Once;
use stalecore_model::{
    platform::Region,
    record::{Hex, Record},
    witness::{COUNTERS, Described, Reading, Registers, Witness},
};

use crate::{hal::mmio, report};

/// Registers that are mapped.
struct Mapped(Region);

impl Mapped {
    /// Where these bytes are, if all of them are inside, and in their place.
    fn address(&self, offset: u64, size: u64) -> Option<u64> {
        let inside = offset <= self.0.size.checked_sub(size)?;
        (inside && offset.is_multiple_of(size)).then_some(self.0.base + offset)
    }
}

impl Registers for Mapped {
    fn read(&self, offset: u64) -> Option<u64> {
        self.address(offset, 8).and_then(mmio::probe_u64)
    }

    fn write(&self, offset: u64, value: u64) {
        mmio::write_u64(self.0.base + offset, value);
    }

    fn read_word(&self, offset: u64) -> Option<u32> {
        self.address(offset, 4).and_then(mmio::probe_u32)
    }

    fn write_word(&self, offset: u64, value: u32) {
        mmio::write_u32(self.0.base + offset, value);
    }
}

static WITNESSES: Once<Vec<(Mapped, Witness)>> = Once::new();

/// What all of their counters stand at.
pub type Counts = Vec<[u64; COUNTERS]>;

/// Starts the counters of those that are described, and mapped, even those that somebody
/// else uses if they are to be `taken`.
pub fn set_up(described: &[Described], taken: bool) {
    let mut all = Vec::new();
    for described in described {
        let mapped = Mapped(described.region);
        let base = described.region.base;
        report::about_to(&format!("looking for DVM counters at {base:#x}"));
        let started = Witness::start(&mapped, described, taken);
        let (what, at) = match &started {
            Ok(_) => ("DVM counters are read", 0),
            Err((why, at)) => (*why, *at),
        };
        report::note(format!("interconnect at {base:#x}: {what} ({at:#x})"));
        all.extend(started.ok().map(|witness| (mapped, witness)));
    }
    WITNESSES.call_once(|| all);
}

fn all() -> impl Iterator<Item = &'static (Mapped, Witness)> {
    WITNESSES.get().into_iter().flatten()
}

/// Reads them. Only while nothing is in flight.
pub fn read() -> Counts {
    all()
        .map(|(mapped, witness)| witness.read(mapped))
        .collect()
}

/// Reads each beside a block, and reports it; what is read is said before, as it may be the
/// last that is. `waited_ms` says how long the operation had not returned.
pub fn read_beside(case: usize, returned: bool, waited_ms: impl Fn() -> u64) {
    for one in all() {
        let base = one.0.0.base;
        report::about_to(&format!(
            "case {case}: reading the DVM counters of the interconnect at {base:#x}"
        ));
        let counts = one.1.read(&one.0);
        told(case, waited_ms(), returned, one, &counts);
    }
}

/// Reports what was read before the case.
pub fn tell(case: usize, counts: &Counts) {
    for (one, counts) in all().zip(counts) {
        told(case, 0, false, one, counts);
    }
}

fn told(
    case: usize,
    waited_ms: u64,
    returned: bool,
    (mapped, witness): &(Mapped, Witness),
    counts: &[u64; COUNTERS],
) {
    report::record(&Record::Witness(Reading {
        n: case as u32,
        of: witness.name().into(),
        at: Hex(mapped.0.base),
        waited_ms,
        returned,
        counts: counts.to_vec(),
    }));
}
