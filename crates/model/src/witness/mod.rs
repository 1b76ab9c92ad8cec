//! Counters that the interconnect itself keeps of DVM: the second witness of an operation
//! that does not return, which asks no core. Read from memory-mapped registers alone.
//!
//! Registers and events are those that Linux uses (drivers/perf/arm-cmn.c, and
//! drivers/perf/hisilicon/hisi_uncore_mn_pmu.c). Not yet run on silicon.

mod cmn;
mod mn;
mod reading;

use cmn::Cmn;
use mn::Mn;
pub use reading::{COUNTERS, Reading, told};

use crate::region::Region;

/// The registers of one interconnect, by their offset in its region. The caller keeps to
/// what is mapped: outside of it, and where the access takes an exception, there is
/// nothing to read.
pub trait Registers {
    /// Reads a register of 64 bits.
    fn read(&self, offset: u64) -> Option<u64>;
    /// Writes one that could be read.
    fn write(&self, offset: u64, value: u64);
    /// As [`Self::read`], of 32 bits.
    fn read_word(&self, offset: u64) -> Option<u32>;
    /// As [`Self::write`], of 32 bits.
    fn write_word(&self, offset: u64, value: u32);
}

/// Which kind of registers are there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An Arm mesh: CMN-600, CMN-650, CMN-700, CMN S3 or CI-700, which says so itself.
    Cmn,
    /// HiSilicon's MN, where a die's DVM requests meet.
    Mn,
}

impl Kind {
    /// By a device tree's `compatible`.
    pub fn of_compatible(name: &str) -> Option<Self> {
        let known = name.strip_prefix("arm,c")?;
        matches!(known, "mn-600" | "mn-650" | "mn-700" | "mn-s3" | "i-700").then_some(Self::Cmn)
    }

    /// By ACPI's `_HID`.
    pub fn of_hid(hid: &[u8]) -> Option<Self> {
        match hid {
            b"ARMHC600" | b"ARMHC650" | b"ARMHC700" | b"ARMHC003" => Some(Self::Cmn),
            b"HISI0222" => Some(Self::Mn),
            _ => None,
        }
    }
}

/// What firmware says of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Described {
    /// Which registers.
    pub kind: Kind,
    /// Where they are.
    pub region: Region,
    /// Where in them the mesh's root node is (CMN-600; later ones have it first).
    pub root: u64,
}

/// One whose counters run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Witness(Model);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Model {
    Cmn(Cmn),
    Mn(Mn),
}

impl Witness {
    /// Finds the counters and starts them. Somebody else's are left alone unless they are
    /// to be `taken`.
    ///
    /// # Errors
    /// What is not as it must be, or that the counters are in use.
    pub fn start(
        registers: &impl Registers,
        described: &Described,
        taken: bool,
    ) -> Result<Self, Why> {
        let model = match described.kind {
            Kind::Cmn => Model::Cmn(Cmn::start(registers, described.root, taken)?),
            Kind::Mn => Model::Mn(Mn::start(registers, taken)?),
        };
        Ok(Self(model))
    }

    /// Its name, by which [`told`] knows what is counted.
    pub const fn name(&self) -> &'static str {
        match &self.0 {
            Model::Cmn(cmn) => cmn.name(),
            Model::Mn(_) => mn::NAME,
        }
    }

    /// What the counters stand at.
    pub fn read(&self, registers: &impl Registers) -> [u64; COUNTERS] {
        match &self.0 {
            Model::Cmn(cmn) => cmn.read(registers),
            Model::Mn(_) => Mn::read(registers),
        }
    }
}

/// Why counters cannot be read: in words, and where, or what stands there.
pub type Why = (&'static str, u64);

/// What is said where the counters are somebody else's.
const IN_USE: &str = "its counters are in use";
/// What is said where a register cannot be read.
const UNREADABLE: &str = "a register cannot be read";

#[cfg(test)]
mod tests;
