//! How far a capture kernel came: milestones seen after its first line.

use serde::Serialize;

use super::mark::Mark;

/// A milestone, as a line shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// The kernel handed over to user space.
    UserSpace,
    /// The dump is being written.
    DumpStarted,
    /// This much of it has been written, in percent.
    Copying(Option<u8>),
    /// It could not be written.
    Failed,
    /// The machine was switched off or restarted.
    Left,
}

/// How far it came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Its first lines.
    #[default]
    KernelBoots,
    /// User space.
    UserSpace,
    /// The dump was begun.
    DumpStarted,
    /// The dump was saved.
    DumpSaved,
}

impl Stage {
    /// In words, to follow "it came as far as".
    pub const fn words(self) -> &'static str {
        match self {
            Self::KernelBoots => "its own boot",
            Self::UserSpace => "user space",
            Self::DumpStarted => "the writing of the dump",
            Self::DumpSaved => "the saved dump",
        }
    }
}

/// How it ended, as far as the log shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The log ends: it hung, or the log was cut off.
    #[default]
    LogEnds,
    /// It said that the dump failed.
    DumpFailed,
    /// It crashed itself.
    Panicked,
    /// It switched the machine off or restarted it.
    Left,
    /// Firmware or another kernel speaks next.
    NextBoot,
}

/// What was seen of a capture kernel.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Capture {
    /// The furthest milestone.
    pub stage: Stage,
    /// The line that shows it.
    pub stage_line: Option<u64>,
    /// Percent of the dump written.
    pub percent: Option<u8>,
    /// How it ended.
    pub end: End,
    /// The last line heard from it, and its text.
    pub last: Option<(Mark, String)>,
}

impl Capture {
    /// Takes in a milestone.
    pub fn note(&mut self, progress: Progress, line: u64) {
        let stage = match progress {
            Progress::UserSpace => Stage::UserSpace,
            Progress::DumpStarted => Stage::DumpStarted,
            Progress::Copying(percent) => {
                self.percent = percent.or(self.percent);
                Stage::DumpStarted
            }
            Progress::Failed => {
                self.end = End::DumpFailed;
                Stage::DumpStarted
            }
            Progress::Left => {
                if self.end == End::LogEnds {
                    self.end = End::Left;
                }
                return;
            }
        };
        self.reach(stage, line);
    }

    /// Notes a stage.
    pub fn reach(&mut self, stage: Stage, line: u64) {
        if stage > self.stage || self.stage_line.is_none() {
            self.stage = stage;
            self.stage_line = Some(line);
        }
    }
}
