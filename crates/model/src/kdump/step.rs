//! The steps of the crash path, in order, and the record that says which was
//! reached.

use alloc::{format, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

use super::{Kernel, message};
use crate::{
    cpuset::CpuSet,
    glossary::Subject,
    mark::{Phase, Seen},
    plan::Case,
    record::Block,
};

/// Something that the crash path does; each is reported before it is done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Step {
    /// The crash image is loaded and, in newer kernels, flushed.
    Load,
    /// Cores get stuck; the watchdog runs.
    Lockup,
    /// The watchdog has found the initiator stuck.
    SoftLockup,
    /// The kernel gives up.
    Panic,
    /// All other cores are asked to stop.
    StopCpus,
    /// Those that did not stop are asked again, by NMI.
    RetryStop,
    /// Some have not stopped.
    FailedToStop,
    /// The crash kernel is about to be started.
    Starting,
    /// The warning that cores may be stale.
    Warn,
    /// The relocation code is copied to its page.
    Copy,
    /// The page is written back to memory.
    FlushDcache,
    /// The page is made visible to instruction fetch.
    FlushIcache,
    /// The list and the pages on it are written back.
    ListFlush,
    /// The last line.
    Bye,
    /// Everything masked, MMU off, jump into the relocation code.
    Jump,
    /// The crash kernel runs.
    CrashKernel,
    /// Its first broadcast to instruction caches: `ic ialluis; dsb ish`.
    BroadcastIc,
    /// Its first broadcast to TLBs: `tlbi vaale1is; dsb ish`.
    BroadcastTlbi,
    /// It checks what was loaded.
    Segments,
    /// It says what each core was doing.
    Report,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 20] = [
        Self::Load,
        Self::Lockup,
        Self::SoftLockup,
        Self::Panic,
        Self::StopCpus,
        Self::RetryStop,
        Self::FailedToStop,
        Self::Starting,
        Self::Warn,
        Self::Copy,
        Self::FlushDcache,
        Self::FlushIcache,
        Self::ListFlush,
        Self::Bye,
        Self::Jump,
        Self::CrashKernel,
        Self::BroadcastIc,
        Self::BroadcastTlbi,
        Self::Segments,
        Self::Report,
    ];

    /// The step of that number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// What a kernel's log shows when the step was reached: part of a line, or nothing if
    /// the kernel is silent.
    pub const fn text(self) -> Option<&'static str> {
        match self {
            Self::SoftLockup => Some("BUG: soft lockup - CPU#"),
            Self::Panic => Some(message::PANIC),
            Self::StopCpus => Some(message::STOPPING),
            Self::RetryStop => Some("SMP: retry stop with NMI for CPUs "),
            Self::FailedToStop => Some("SMP: failed to stop secondary CPUs "),
            Self::Starting => Some(message::STARTING),
            Self::Warn => Some(message::STALE),
            Self::Bye => Some(message::BYE),
            _ => None,
        }
    }

    /// What it is, in words.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Load => "loading the crash image",
            Self::Lockup => "getting stuck in the lock",
            Self::SoftLockup => "soft lockup found",
            Self::Panic => "panic",
            Self::StopCpus => "stopping the other cores",
            Self::RetryStop => "asking again by NMI",
            Self::FailedToStop => "cores that did not stop",
            Self::Starting => "starting the crash kernel",
            Self::Warn => "warning that cores may be stale",
            Self::Copy => "copying the relocation code",
            Self::FlushDcache => "writing the relocation code back to memory",
            Self::FlushIcache => "making the relocation code visible to instruction fetch",
            Self::ListFlush => "writing the list of pages back to memory",
            Self::Bye => "the last line",
            Self::Jump => "MMU off, jump into the relocation code",
            Self::CrashKernel => "the crash kernel runs",
            Self::BroadcastIc => "the crash kernel's first ic ialluis",
            Self::BroadcastTlbi => "the crash kernel's first tlbi vaale1is",
            Self::Segments => "checking the loaded segments",
            Self::Report => "saying what each core was doing",
        }
    }
}

impl Step {
    /// The routine that the step runs.
    pub fn routine(self, kernel: Kernel) -> &'static str {
        match self {
            Self::FlushIcache => kernel.icache_routine(),
            Self::BroadcastIc => "capture_ic_ialluis",
            Self::BroadcastTlbi => "capture_tlbi_vaale1is",
            _ => kernel.dcache_routine(),
        }
    }

    /// The name of an instruction in the step: the crash kernel broadcasts the last-level
    /// form of TLBI, for which the mark names another operation.
    pub fn symbol(self, instruction: Subject) -> &'static str {
        match (self, instruction) {
            (Self::BroadcastTlbi, Subject::TlbiVaae1is) => "tlbi vaale1is",
            _ => instruction.symbol(),
        }
    }

    /// The report of an operation that is held up in this step, according to the mark; the
    /// other cores are not in it yet.
    pub fn block(
        self,
        kernel: Kernel,
        case: &Case,
        cpu: usize,
        seen: &Seen,
        waited_ms: u64,
        seen_by: &str,
    ) -> Block {
        let mut block = case.block(cpu, seen, waited_ms, seen_by);
        block.at = match seen.site {
            Some(site) if site.phase == Phase::Step => {
                format!("{}+{}", self.routine(kernel), site.offset)
            }
            _ => self.about().into(),
        };
        if let Some(site) = seen.site {
            block.instruction = self.symbol(site.instruction).into();
        }
        block.address = block.address.filter(|address| address.0 != 0);
        block
    }
}

/// The steps of a kernel's crash path; `failed` if a core does not stop.
pub fn sequence(kernel: Kernel, failed: bool) -> Vec<Step> {
    Step::ALL
        .into_iter()
        .filter(|step| match step {
            Step::RetryStop => failed && kernel.names_only_failed(),
            Step::FailedToStop | Step::Warn => failed,
            Step::Copy | Step::FlushDcache | Step::FlushIcache | Step::ListFlush => {
                kernel.flushes_at_crash()
            }
            _ => true,
        })
        .collect()
}

/// A step was reached.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct KdumpRecord {
    /// Which.
    pub step: Step,
    /// When, since the image's entry, in milliseconds.
    pub at_ms: u64,
    /// The core that reached it.
    pub cpu: u32,
    /// The cores that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<CpuSet>,
    /// What the user should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        glossary::{LineState, StaleState},
        mark::Site,
        record::Hex,
    };

    #[test]
    fn numbers_are_in_order() {
        for (number, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(step as usize, number);
            assert_eq!(Step::from_number(number as u8), Some(step));
        }
        assert_eq!(Step::from_number(20), None);
    }

    #[test]
    fn the_report_own_log_has_its_steps_in_order_and_stops_before_bye() {
        // What the report's log shows, a line for each step that prints.
        let log = [
            "[8489810.600917] watchdog: BUG: soft lockup - CPU#24 stuck for 23s! [containerd:2333]",
            "[8489810.693530] Kernel panic - not syncing: softlockup: hung tasks",
            "[8489810.732562] SMP: stopping secondary CPUs",
            "[8489811.776734] SMP: failed to stop secondary CPUs 0-23,25-127",
            "[8489811.786399] Starting crashdump kernel...",
            "[8489811.789213] Some CPUs may be stale, kdump will be unreliable.",
        ];
        let printed: Vec<_> = sequence(Kernel::V4_18, true)
            .into_iter()
            .filter_map(|step| step.text().map(|text| (step, text)))
            .collect();
        for (line, (step, text)) in log.iter().zip(&printed) {
            assert!(line.contains(text), "{step:?}: {line}");
        }
        assert_eq!(printed[log.len()].0, Step::Bye);
    }

    #[test]
    fn newer_kernels_do_nothing_between_the_warning_and_bye() {
        let steps = sequence(Kernel::V6_1, true);
        let warn = steps.iter().position(|s| *s == Step::Warn).unwrap();
        assert_eq!(steps[warn + 1], Step::Bye);
        assert!(!steps.contains(&Step::RetryStop));
        assert!(sequence(Kernel::V6_12, true).contains(&Step::RetryStop));
        assert!(!sequence(Kernel::V4_18, false).contains(&Step::Warn));
    }

    #[test]
    fn a_block_is_told_in_the_kernel_s_words() {
        let case = Case {
            number: 1,
            subject: Subject::IcIvau,
            state: StaleState::Qspinlock,
            line: LineState::DirtyHere,
        };
        let block = |step: Step, phase, instruction, address| {
            let seen = Seen {
                sequence: 1,
                site: Some(Site {
                    offset: 0x20,
                    ..Site::of(instruction, phase)
                }),
                address,
                returned: 7,
            };
            step.block(Kernel::V4_18, &case, 24, &seen, 2000, "CPU 127")
        };
        // The report's own.
        let hang = block(Step::FlushIcache, Phase::Step, Subject::IcIvau, 0x4000);
        assert_eq!(
            (&*hang.at, &*hang.instruction, hang.address),
            ("flush_icache_range+32", "ic ivau", Some(Hex(0x4000)))
        );
        assert_eq!(
            (hang.initiator, hang.returned, hang.waited_ms),
            (24, 7, 2000)
        );
        let copy = block(Step::FlushDcache, Phase::Step, Subject::DcCivac, 0x4000);
        assert_eq!(copy.at, "__flush_dcache_area+32");
        // The first ones of the crash kernel are single, and the last takes no address.
        let first = block(Step::BroadcastIc, Phase::Step, Subject::IcIalluis, 0);
        assert_eq!((&*first.at, first.address), ("capture_ic_ialluis+32", None));
        let first = block(Step::BroadcastTlbi, Phase::Step, Subject::TlbiVaae1is, 0);
        assert_eq!(
            (&*first.at, &*first.instruction, first.address),
            ("capture_tlbi_vaale1is+32", "tlbi vaale1is", None)
        );
        // Outside of a routine the step has words of its own.
        let elsewhere = block(Step::Segments, Phase::Check, Subject::DcCivac, 0x4000);
        assert_eq!(elsewhere.at, "checking the loaded segments");
    }

    #[test]
    fn a_record_is_short() {
        let record = KdumpRecord {
            step: Step::FlushIcache,
            at_ms: 12,
            cpu: 24,
            cpus: None,
            detail: None,
        };
        assert_eq!(
            serde_json::to_string(&record).unwrap(),
            "{\"step\":\"flush-icache\",\"at_ms\":12,\"cpu\":24}"
        );
    }
}
