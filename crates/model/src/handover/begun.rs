//! A machine that is to reset itself (`after-block=reset`) and loses memory in a reset
//! would begin its plan again for ever, as the flight recorder is in memory. So, before a
//! plan runs, the loader notes on its volume that it has begun; if it finds that note and
//! nothing in memory, it gives up the reset.

use alloc::{
    format,
    string::{String, ToString},
};

/// The file's name, in the root of the loader's volume.
pub const FILE: &str = "stalecore-begun.txt";

/// The word that makes the machine reset itself, and what it becomes.
const RESET: &str = "stalecore.after-block=reset";
const END: &str = "stalecore.after-block=end";

/// What to do about the file before the image is entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begun {
    /// Nothing: the plan never resets the machine.
    None,
    /// Write it: the plan begins.
    Write,
    /// Leave it: memory holds the plan, which goes on.
    Keep,
    /// Remove it, and let the plan end where it would reset the machine: it was begun, but
    /// memory does not have it.
    Lost,
}

impl Begun {
    /// Decides, for these boot arguments: `file` is the file's content, if there is one;
    /// `in_memory` says that the flight recorder holds a plan that has not ended.
    pub fn decide(bootargs: &str, file: Option<&str>, in_memory: bool) -> Self {
        if !asks_for_reset(bootargs) {
            Self::None
        } else if in_memory {
            Self::Keep
        } else if file.is_some_and(|text| text.trim() == bootargs.trim()) {
            Self::Lost
        } else {
            Self::Write
        }
    }
}

fn asks_for_reset(bootargs: &str) -> bool {
    bootargs.split_ascii_whitespace().any(|word| word == RESET)
}

/// The boot arguments with which the plan ends where it would have reset the
/// machine.
pub fn without_reset(bootargs: &str) -> String {
    let words = bootargs.split_ascii_whitespace();
    let words = words.map(|word| if word == RESET { END } else { word });
    words.fold(String::new(), |text, word| match text.as_str() {
        "" => word.to_string(),
        _ => format!("{text} {word}"),
    })
}

/// What the user is told where memory was lost.
pub const LOST: &str = "this plan was begun before, and memory knows nothing of it: either the \
     machine was off since, or a reset loses its memory; so this time the run ends where it \
     would reset the machine";

/// What the user is told where nothing can be kept, for this reason.
pub fn not_kept(why: &str) -> String {
    format!(
        "after-block=reset: that the plan was begun cannot be kept on the loader's volume ({why}), \
         and a machine whose reset loses memory would begin it for ever; so the run ends where it \
         would reset the machine"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "stalecore.ops=ic-ivau stalecore.after-block=reset";

    #[test]
    fn a_machine_that_loses_its_memory_begins_once_and_ends() {
        // It begins; its reset loses memory; it ends; it may be started again.
        let mut file = None;
        let mut seen = alloc::vec::Vec::new();
        for _ in 0..4 {
            let begun = Begun::decide(PLAN, file, false);
            file = match begun {
                Begun::Write => Some(PLAN),
                _ => None,
            };
            seen.push(begun);
        }
        assert_eq!(seen, [Begun::Write, Begun::Lost, Begun::Write, Begun::Lost]);
    }

    #[test]
    fn one_that_keeps_it_goes_on() {
        assert_eq!(Begun::decide(PLAN, None, true), Begun::Keep);
        assert_eq!(Begun::decide(PLAN, Some(PLAN), true), Begun::Keep);
    }

    #[test]
    fn other_plans_are_none_of_its_business() {
        assert_eq!(
            Begun::decide(PLAN, Some("stalecore.ops=none"), false),
            Begun::Write
        );
        for plan in [
            "stalecore.ops=ic-ivau",
            "stalecore.after-block=end",
            "after-block=reset",
        ] {
            assert_eq!(Begun::decide(plan, Some(plan), false), Begun::None);
        }
    }

    #[test]
    fn only_the_reset_is_taken_out() {
        assert_eq!(
            without_reset("a=b  stalecore.after-block=reset stalecore.bisect=on"),
            "a=b stalecore.after-block=end stalecore.bisect=on"
        );
    }
}
