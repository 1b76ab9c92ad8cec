//! What a region holds, as the next boot, a loader or a test reads it.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{
    CRC, ENTRY_HEAD, FLIGHTS, Flight, HEADER, JOURNAL, Kind, MAGIC, PLAN, Trial, VERSION, check,
    half, word,
};

/// What a region holds, read only.
#[derive(Clone, Copy, Debug)]
pub struct Log<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) plan: &'a str,
}

impl<'a> Log<'a> {
    /// Reads a region; `None` where nothing was ever recorded.
    ///
    /// # Errors
    /// Something was recorded, but its head is damaged.
    pub fn read(bytes: &'a [u8]) -> Result<Option<Self>, String> {
        if word(bytes, 0) != Some(MAGIC) {
            return Ok(None);
        }
        let damaged = || "the flight recorder's head is damaged: what it held is lost".to_string();
        let half = |at| half(bytes, at).ok_or_else(damaged);
        if CRC.checksum(bytes.get(..HEADER - 4).ok_or_else(damaged)?) != half(HEADER - 4)? {
            return Err(damaged());
        }
        if half(8)? != VERSION {
            return Err(format!(
                "the flight recorder is of version {}; allowed: {VERSION}",
                half(8)?
            ));
        }
        let length = half(12)? as usize;
        let plan = bytes
            .get(PLAN..PLAN + length.min(JOURNAL - PLAN))
            .filter(|plan| half(16) == Ok(CRC.checksum(plan)))
            .and_then(|plan| core::str::from_utf8(plan).ok());
        Ok(Some(Self {
            bytes,
            plan: plan.ok_or_else(damaged)?,
        }))
    }

    /// The plan that it belongs to, as [`Recorder::create`](super::Recorder::create) was given it.
    pub const fn plan(&self) -> &'a str {
        self.plan
    }

    /// The entries, oldest first, up to the first that is damaged.
    pub const fn entries(&self) -> Entries<'a> {
        Entries {
            bytes: self.bytes,
            at: JOURNAL,
        }
    }

    /// What is wrong with the journal, if anything is.
    pub fn damage(&self) -> Option<String> {
        let mut entries = self.entries();
        let whole = entries.by_ref().count();
        (entries.length() != Some(0)).then(|| {
            format!(
                "the flight recorder's journal is damaged behind entry {whole}: what followed is lost"
            )
        })
    }

    /// The operation in flight, if there was one.
    pub fn flight(&self) -> Option<Flight> {
        Flight::from_words(self.newest_flight()?)
    }

    pub(super) fn newest_flight(&self) -> Option<[u64; Flight::WORDS]> {
        FLIGHTS
            .iter()
            .filter_map(|slot| {
                let end = slot + Flight::WORDS * 8;
                let mut words = [0; Flight::WORDS];
                for (nth, value) in words.iter_mut().enumerate() {
                    *value = word(self.bytes, slot + nth * 8)?;
                }
                (word(self.bytes, end)? == check(&words)).then_some(words)
            })
            .max_by_key(|words| words[0])
    }

    /// CNTVCT_EL0 at entry of the boot that began the plan.
    pub fn first_entered(&self) -> Option<u64> {
        let mut entries = self.entries();
        let (_, text) = entries.find(|(kind, _)| *kind == Kind::Boot)?;
        text.parse().ok()
    }

    /// Has the run ended in order?
    pub fn ended(&self) -> bool {
        self.entries().any(|(kind, _)| kind == Kind::End)
    }

    /// Starts in a row, up to now, that have finished nothing.
    pub fn idle_boots(&self) -> u32 {
        self.entries().fold(0, |idle, (kind, _)| match kind {
            Kind::Boot => idle + 1,
            Kind::Context | Kind::Step | Kind::Saved => idle,
            Kind::Record | Kind::Trial | Kind::End => 0,
        })
    }

    /// Has it found something since it was last written to a file?
    pub fn is_worth_saving(&self) -> bool {
        let flight = self.flight().is_some();
        self.entries().fold(flight, |worth, (kind, _)| match kind {
            Kind::Saved => flight,
            Kind::Record | Kind::Trial | Kind::End => true,
            Kind::Boot | Kind::Context | Kind::Step => worth,
        })
    }

    /// For a file: the records as on the console, and what else there is to say.
    pub fn to_text(&self) -> String {
        let mut text = format!("stalecore: flight recorder of: {}\n", self.plan);
        let mut say = |words: &str| {
            text.push_str(words);
            text.push('\n');
        };
        for (kind, words) in self.entries() {
            match kind {
                Kind::Boot => say("stalecore: boot"),
                Kind::Context | Kind::Record => say(&format!("# {words}")),
                Kind::Trial => say(&format!("stalecore: trial: case {words}")),
                Kind::Step => say(&format!("stalecore: about to do: {words}")),
                Kind::End => say("stalecore: the run has ended in order"),
                Kind::Saved => {}
            }
        }
        if let Some(damage) = self.damage() {
            say(&format!("stalecore: {damage}"));
        }
        if let Some(flight) = self.flight() {
            let at = flight.seen.site.map_or_else(String::new, |site| {
                format!(", at {}, address {:#x}", site.place(), flight.seen.address)
            });
            say(&format!(
                "stalecore: in flight when the machine was reset: case {} on CPU {}{at}{}",
                flight.case,
                flight.cpu,
                match flight.still_ms {
                    0 => String::new(),
                    ms => format!(", still for {ms} ms"),
                }
            ));
        }
        text
    }

    /// What was about to be done, if nothing was recorded since: it may be what did not
    /// return.
    pub fn begun(&self) -> Option<&'a str> {
        let mut before = None;
        for (kind, text) in self.entries() {
            match kind {
                Kind::Step => before = Some(text),
                Kind::Boot | Kind::Saved => {}
                Kind::Context | Kind::Record | Kind::Trial | Kind::End => before = None,
            }
        }
        before
    }

    /// The trials of the search for a case's culprits, oldest first: one that
    /// was begun and not ended stands as it is.
    pub fn trials(&self, case: u32) -> Vec<Trial> {
        let mut trials: Vec<Trial> = Vec::new();
        for (_, text) in self.entries().filter(|(kind, _)| *kind == Kind::Trial) {
            let Some(trial) = Trial::parse(text).filter(|trial| trial.case == case) else {
                continue;
            };
            match trials.last_mut().filter(|last| last.blocked.is_none()) {
                Some(last) if trial.blocked.is_some() => *last = trial,
                _ => trials.push(trial),
            }
        }
        trials
    }
}

/// The entries of a journal: kind and text.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl Entries<'_> {
    /// The length of the next; `None` where there is no room for one.
    fn length(&self) -> Option<usize> {
        half(self.bytes, self.at).map(|length| length as usize)
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Kind, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let length = self.length().filter(|length| *length > 0)?;
        let start = self.at.checked_add(ENTRY_HEAD)?;
        let body = self.bytes.get(start..start.checked_add(length)?)?;
        if half(self.bytes, self.at + 4)? != CRC.checksum(body) {
            return None;
        }
        let (letter, text) = body.split_first()?;
        let found = (Kind::of(*letter)?, core::str::from_utf8(text).ok()?);
        self.at = (start + length).next_multiple_of(8);
        Some(found)
    }
}
