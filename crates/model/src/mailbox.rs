//! How one core asks another to do something: one word each way, no lock.
//!
//! The asking side writes a command and then a new sequence number; the other
//! side, which may sleep in between, takes the command once and answers with
//! the same number. Plain loads and stores with acquire and release order: a
//! core that is stuck can hold nothing that the asking side needs.

use core::sync::atomic::{AtomicU32, Ordering};

/// The mailbox of one core; one other core at a time may ask.
#[derive(Debug, Default)]
pub struct Mailbox {
    command: AtomicU32,
    asked: AtomicU32,
    taken: AtomicU32,
    done: AtomicU32,
}

impl Mailbox {
    /// A mailbox in which nothing was asked.
    pub const fn new() -> Self {
        Self {
            command: AtomicU32::new(0),
            asked: AtomicU32::new(0),
            taken: AtomicU32::new(0),
            done: AtomicU32::new(0),
        }
    }

    /// Asks for a command. What was written before this call is visible to the core that
    /// takes the command. The previous one must be done.
    pub fn ask(&self, command: u32) {
        self.command.store(command, Ordering::Relaxed);
        let next = self.asked.load(Ordering::Relaxed).wrapping_add(1);
        self.asked.store(next, Ordering::Release);
    }

    /// Takes a command that was asked and not yet taken.
    pub fn take(&self) -> Option<u32> {
        let asked = self.asked.load(Ordering::Acquire);
        if asked == self.taken.load(Ordering::Relaxed) {
            return None;
        }
        let command = self.command.load(Ordering::Relaxed);
        self.taken.store(asked, Ordering::Relaxed);
        Some(command)
    }

    /// Answers the command taken last. What was written before this call is visible to the
    /// core that sees [`Self::is_done`].
    pub fn finish(&self) {
        let taken = self.taken.load(Ordering::Relaxed);
        self.done.store(taken, Ordering::Release);
    }

    /// Is everything that was asked done?
    pub fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire) == self.asked.load(Ordering::Relaxed)
    }

    /// Forgets what was asked: the core has been reset and starts again.
    pub fn reset(&self) {
        let asked = self.asked.load(Ordering::Relaxed);
        self.taken.store(asked, Ordering::Relaxed);
        self.done.store(asked, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_taken_once_and_answered() {
        let mailbox = Mailbox::new();
        assert!(mailbox.is_done());
        assert_eq!(mailbox.take(), None);
        mailbox.ask(7);
        assert!(!mailbox.is_done());
        assert_eq!(mailbox.take(), Some(7));
        assert_eq!(mailbox.take(), None);
        assert!(!mailbox.is_done());
        mailbox.finish();
        assert!(mailbox.is_done());
    }

    #[test]
    fn a_reset_core_owes_nothing() {
        let mailbox = Mailbox::new();
        mailbox.ask(1);
        mailbox.reset();
        assert!(mailbox.is_done());
        assert_eq!(mailbox.take(), None);
    }
}
