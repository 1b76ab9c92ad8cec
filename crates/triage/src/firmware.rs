//! What firmware said beside the kernel: exceptions in EL3, error records.

use super::mark::Mark;

/// How many lines of error records are kept.
const MAX_RECORDS: usize = 8;

/// Affinity fields of an MPIDR.
const AFFINITY: u64 = 0xff_00ff_ffff;

/// One exception or panic of firmware's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct El3 {
    /// Where it is in the log.
    pub mark: Mark,
    /// Its first line.
    pub text: String,
    /// ESR_EL3, if shown.
    pub esr: Option<u64>,
    /// ELR_EL3, if shown.
    pub elr: Option<u64>,
    /// The core's MPIDR_EL1, if shown.
    pub mpidr: Option<u64>,
}

/// Everything of that kind in one crash.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Firmware {
    /// Exceptions and panics.
    pub el3: Vec<El3>,
    /// Lines of error records, with their numbers.
    pub records: Vec<(String, u64)>,
    /// The core that an error record names.
    pub record_mpidr: Option<u64>,
}

impl Firmware {
    /// A complaint; several lines in a row are one.
    pub fn complain(&mut self, text: String, mark: Mark) {
        let near = |e: &El3| mark.line.abs_diff(e.mark.line) <= 40;
        let weak = |text: &str| text.starts_with("Unexpected affinity");
        let room = self.el3.len() < 8;
        match self.el3.last_mut().filter(|e| near(e)) {
            Some(known) if weak(&known.text) => known.text = text,
            Some(_) => {}
            None if room => self.el3.push(El3 {
                mark,
                text,
                esr: None,
                elr: None,
                mpidr: None,
            }),
            None => {}
        }
    }

    /// A register.
    pub fn register(&mut self, name: &[u8], value: u64) {
        if name == b"mpidr" {
            self.record_mpidr = Some(value);
            return;
        }
        let Some(last) = self.el3.last_mut() else {
            return;
        };
        match name {
            b"esr_el3" => last.esr = Some(value),
            b"elr_el3" => last.elr = Some(value),
            b"mpidr_el1" => last.mpidr = Some(value),
            _ => {}
        }
    }

    /// A line of an error record.
    pub fn record(&mut self, text: String, line: u64) {
        if self.records.len() < MAX_RECORDS {
            self.records.push((text, line));
        }
    }
}

/// The CPU with this MPIDR, as the boot listed them.
pub fn cpu_of(mpidr: u64, known: &[(u32, u64)]) -> Option<u32> {
    let same = |known: &&(u32, u64)| known.1 & AFFINITY == mpidr & AFFINITY;
    known.iter().find(same).map(|(cpu, _)| *cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_known_by_their_affinity() {
        let known = [(0, 0), (1, 0x100), (2, 0x1_0000_0000)];
        assert_eq!(cpu_of(0x8100_0100, &known), Some(1));
        assert_eq!(cpu_of(0x1_8100_0000, &known), Some(2));
        assert_eq!(cpu_of(0x8100_0300, &known), None);
    }
}
