//! Maintenance and barriers: what is executed, and what a DSB completes.

use super::{Caches, Line, Who};
use crate::decode::DataOp;
use stalecore_model::hazard::Kind;

/// An operation that no DSB has completed yet.
pub(super) struct Pending {
    pub(super) physical: u64,
    /// `None` is `ic ivau`.
    op: Option<DataOp>,
    at: u64,
    pub(super) who: Who,
    /// What its core had learned from others by then.
    learned: u32,
}

impl Caches {
    /// `dc` by address.
    pub fn data(&self, who: Who, op: DataOp, physical: u64) {
        let at = self.tick();
        let mut core = self.core(who).lock();
        self.each_line(physical, 1, |line, address| {
            if op == DataOp::Ivac
                && let Some((writer, _)) = line.dirty
            {
                (self.sink)(Kind::DirtyDiscarded, who, writer, address);
            }
            if matches!(op, DataOp::Ivac | DataOp::Civac)
                && let Some(writer) = line.bypassed
                && writer.core == who.core
                && line.changed >= core.barrier
            {
                (self.sink)(Kind::NoBarrier, who, writer, address);
            }
        });
        let learned = core.learned;
        core.pending.push(Pending {
            physical,
            op: Some(op),
            at,
            who,
            learned,
        });
    }

    /// `dc` by set and way: stands for the loop over all of this core's caches that it is
    /// part of.
    pub fn set_way(&self, who: Who) {
        self.core(who).lock().by_set_way = true;
    }

    /// `ic ivau`.
    pub fn ivau(&self, who: Who, physical: u64) {
        let at = self.tick();
        let mut clean = false;
        self.each_line(physical, 1, |line, _| clean = !line.unclean);
        // Before the clean it has no effect: a fetch brings the old bytes back.
        if clean {
            let mut core = self.core(who).lock();
            let learned = core.learned;
            core.pending.push(Pending {
                physical,
                op: None,
                at,
                who,
                learned,
            });
        }
    }

    /// `ic iallu`, or with `shared` `ic ialluis`.
    pub fn invalidate_all(&self, who: Who, shared: bool) {
        let at = self.tick();
        self.core(who).lock().pending_all.push((at, shared));
    }

    /// A `dsb`; see [`crate::decode::Event::Dsb`].
    pub fn dsb(&self, who: Who, full: bool, shared: bool) {
        let done = self.tick();
        let mut core = self.core(who).lock();
        core.barrier = done;
        if !full {
            return;
        }
        let all = std::mem::take(&mut core.pending_all);
        for (at, for_all) in all {
            core.iallu = (at, done);
            if for_all && shared {
                *self.ialluis.lock() = (at, done);
            } else if for_all {
                core.pending_all.push((at, true));
            }
        }
        if std::mem::take(&mut core.by_set_way) {
            self.clean_all(who, done);
        }
        if !shared {
            return;
        }
        for one in std::mem::take(&mut core.pending) {
            self.each_line(one.physical, 1, |line, _| complete(line, &one, done));
        }
    }

    fn clean_all(&self, who: Who, done: u64) {
        for (_, page) in self.pages.touched() {
            for line in page.lines() {
                let mut line = line.lock();
                if line
                    .dirty
                    .is_some_and(|(writer, _)| writer.core == who.core)
                {
                    clean(&mut line, done);
                }
                line.bypassed = None;
            }
        }
    }

    /// A `dmb`.
    pub fn dmb(&self, who: Who) {
        let now = self.tick();
        self.core(who).lock().barrier = now;
    }

    /// Discards what this core has fetched: ISB, exception entry or return.
    pub fn synchronise(&self, who: Who) {
        let now = self.tick();
        self.core(who).lock().synced = now;
    }
}

/// A line's newest bytes reach memory.
pub(super) fn clean(line: &mut Line, done: u64) {
    unify(line, done);
    (line.dirty, line.early) = (None, None);
}

/// A line's newest bytes reach the point of unification.
fn unify(line: &mut Line, done: u64) {
    if line.unclean {
        (line.unclean, line.at_pou) = (false, done);
    }
}

/// A DSB completes an operation: what was stored before it has reached its destination.
fn complete(line: &mut Line, one: &Pending, done: u64) {
    if line.renewed < one.at {
        match one.op {
            Some(_) => unify(line, done),
            // An earlier one that suffices stays: cores may have executed an ISB since.
            None if !line.unclean && line.invalidated.0 <= line.at_pou => {
                line.invalidated = (one.at, done);
            }
            None => {}
        }
    }
    if matches!(one.op, Some(DataOp::Ivac | DataOp::Civac)) {
        line.polled = Some((one.who.core, one.learned));
    }
    if line.changed < one.at
        && let Some(op) = one.op
        && op != DataOp::Cvau
    {
        clean(line, done);
        if op != DataOp::Cvac {
            line.bypassed = None;
        }
    }
}
