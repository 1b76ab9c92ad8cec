//! What a log is expected to show, and whether it does: a board farm's tests ask,
//! "does kdump work on this machine?".

use super::{crash::Crash, outcome::Outcome, reading::Reading, step::Step};

/// How many crashes are listed one by one.
const MAX_TOLD: usize = 100;

/// An expectation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// The dump of every crash was saved.
    Saved,
    /// Every crash reached "Bye!".
    Bye,
    /// In every crash all other CPUs stopped.
    StoppedAll,
    /// There is no crash.
    NoCrash,
}

impl Expect {
    /// Every expectation with its name.
    pub const ALL: [(&'static str, Self); 4] = [
        ("saved", Self::Saved),
        ("bye", Self::Bye),
        ("stopped-all", Self::StoppedAll),
        ("no-crash", Self::NoCrash),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, expect)| *expect == self);
        found.map_or("", |(name, _)| name)
    }

    /// Does a crash meet it?
    fn met(self, crash: &Crash) -> bool {
        let went_on = crash.has(Step::CrashKernel) || crash.panic_ended.is_some();
        match self {
            Self::Saved => crash.has(Step::VmcoreSaved),
            Self::Bye => crash.has(Step::Bye),
            Self::StoppedAll => {
                crash.has(Step::StopSgi)
                    && went_on
                    && !crash.has(Step::FailedToStop)
                    && !crash.has(Step::StaleWarning)
            }
            Self::NoCrash => false,
        }
    }
}

/// What an expectation asks about one crash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// Its number in the log, from 1.
    pub number: u64,
    /// The line that it begins in, from 1; 0 where none is known.
    pub line: u64,
    /// The same for the same failure.
    pub signature: String,
    /// What it was, and how it ended.
    pub words: String,
    met: [bool; Expect::ALL.len()],
}

impl Told {
    /// Does it miss the expectation? Without one, any crash is a failure.
    pub fn misses(&self, expect: Option<Expect>) -> bool {
        expect.is_none_or(|e| !self.met[e as usize])
    }
}

/// What an expectation asks about a whole log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    crashes: u64,
    met: [u64; Expect::ALL.len()],
    told: Vec<Told>,
}

impl Tally {
    /// Counts a crash.
    pub(crate) fn count(&mut self, crash: &Crash, number: u64) {
        let met = Expect::ALL.map(|(_, expect)| expect.met(crash));
        self.crashes += 1;
        for (count, met) in self.met.iter_mut().zip(met) {
            *count += u64::from(met);
        }
        if self.told.len() < MAX_TOLD {
            let reading = Reading::of(crash, number);
            self.told.push(Told {
                number,
                line: reading.head.line.unwrap_or(0),
                words: format!(
                    "{}: {}",
                    reading.head.kind.words(),
                    Outcome::of(crash).words()
                ),
                signature: reading.signature,
                met,
            });
        }
    }

    /// Is the expectation met, by every crash of at least one, or (no-crash) by there
    /// being none?
    pub fn meets(&self, expect: Expect) -> bool {
        match expect {
            Expect::NoCrash => self.crashes == 0,
            expect => self.crashes > 0 && self.met[expect as usize] == self.crashes,
        }
    }

    /// Why it is not met, in one line.
    pub fn missed(&self, expect: Expect) -> String {
        match expect {
            Expect::NoCrash => format!("expected no-crash: {} in the log", crashes(self.crashes)),
            _ if self.crashes == 0 => format!("expected {}: no crash in the log", expect.name()),
            _ => {
                let missed = self.crashes - self.met[expect as usize];
                let text = match (expect, missed) {
                    // A list of CPUs may be what is wrong, or that the log ends first.
                    (Expect::StoppedAll, 1) => "does not show that",
                    (Expect::StoppedAll, _) => "do not show that",
                    _ => "did not come that far",
                };
                format!(
                    "expected {}: {missed} of {} {text}",
                    expect.name(),
                    crashes(self.crashes)
                )
            }
        }
    }

    /// The first crashes, one by one.
    pub fn told(&self) -> &[Told] {
        &self.told
    }

    /// How many crashes there are after those, and how many of them miss the
    /// expectation (without one, each does).
    pub fn further(&self, expect: Option<Expect>) -> (u64, u64) {
        let count = |told: &dyn Fn(&&Told) -> bool| self.told.iter().filter(told).count() as u64;
        let missed = expect.map_or(self.crashes, |e| self.crashes - self.met[e as usize]);
        (
            self.crashes - count(&|_| true),
            missed - count(&|told| told.misses(expect)),
        )
    }
}

fn crashes(count: u64) -> String {
    match count {
        1 => "1 crash".into(),
        count => format!("{count} crashes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRASH: &str = "[    1.000000] sysrq: Trigger a crash\n\
                         [    1.100000] Kernel panic - not syncing: sysrq triggered crash\n\
                         [    1.200000] SMP: stopping secondary CPUs\n\
                         [    1.300000] Starting crashdump kernel...\n";

    fn tally(log: &str) -> Tally {
        super::super::write_words(log.as_bytes(), std::io::sink()).unwrap()
    }

    #[test]
    fn expectations_are_met_or_not() {
        let bye = format!("{CRASH}[    1.400000] Bye!\n");
        let saved = format!(
            "{bye}[    0.000000] Booting Linux on physical CPU 0x0000000000 [0x0]\n\
             kdump: saving vmcore complete\n"
        );
        let stale = CRASH.replace(
            "[    1.3",
            "[    1.250000] SMP: failed to stop secondary CPUs 1\n[    1.3",
        );
        for (log, met) in [
            ("", [false, false, false, true]),
            (CRASH, [false, false, true, false]),
            (&bye, [false, true, true, false]),
            (&saved, [true, true, true, false]),
            (&stale, [false, false, false, false]),
        ] {
            let tally = tally(log);
            assert_eq!(Expect::ALL.map(|(_, e)| tally.meets(e)), met, "{log}");
        }
    }

    #[test]
    fn what_is_not_told_one_by_one_is_counted() {
        let bye = format!("{CRASH}[    1.400000] Bye!\n");
        let log = bye.repeat(MAX_TOLD) + CRASH + &bye;
        let tally = tally(&log);
        assert_eq!(tally.told().len(), MAX_TOLD);
        assert!(
            !tally
                .told()
                .iter()
                .any(|told| told.misses(Some(Expect::Bye)))
        );
        assert_eq!(tally.further(Some(Expect::Bye)), (2, 1));
        assert_eq!(tally.further(None), (2, 2));
        assert!(!tally.meets(Expect::Bye));
    }

    /// The same failure has the same signature, whoever's CPU it was and when.
    #[test]
    fn signatures_are_the_same_for_the_same_failure() {
        let one = &tally(CRASH).told[0].signature;
        let later = CRASH.replace("[    1.", "[   71.");
        assert_eq!(one, &tally(&later).told[0].signature);
        let further = format!("{CRASH}[    1.400000] Bye!\n");
        assert_ne!(one, &tally(&further).told[0].signature);
    }
}
