//! Where the interrupt controller's frames are: which redistributor belongs to a core, and
//! which distributors there are. The image runs exactly this code; the registers that it
//! looks at are passed in.

use alloc::vec::Vec;

use super::{Cpu, Region};

/// One redistributor's frames: 64 KiB for control and LPIs, 64 KiB for SGIs and
/// PPIs.
pub const FRAMES: u64 = 0x2_0000;
/// With those for virtual LPIs (GICv4).
const FRAMES_V4: u64 = 0x4_0000;

/// GICR_TYPER.VLPIS: two more frames follow.
const TYPER_VLPIS: u64 = 1 << 1;
/// GICR_TYPER.Last: the last redistributor of its region.
const TYPER_LAST: u64 = 1 << 4;
/// Aff2.Aff1.Aff0, as in both GICR_TYPER\[55:32\] and MPIDR_EL1\[23:0\].
const AFF_2_1_0: u64 = 0xff_ffff;
/// Aff1.Aff0.
const AFF_1_0: u64 = 0xffff;

/// On the S2500 physical address bits \[43:41\] are the socket.
const SOCKET_SHIFT: u32 = 41;
/// Sockets of an S2500 machine at most.
const SOCKETS: u64 = 8;

/// The interrupt controller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Gic {
    /// GICv2.
    V2 {
        /// Distributor.
        gicd: Region,
        /// CPU interface.
        gicc: Region,
    },
    /// GICv3 and later.
    V3(GicV3),
}

/// A GICv3 or later, as it is described.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GicV3 {
    /// Distributor; where each socket has one, the first socket's.
    pub gicd: Region,
    /// Where redistributors are.
    pub gicr: Vec<Redistributors>,
    /// From one redistributor to the next in bytes, if the description says so
    /// (`redistributor-stride`); otherwise their registers do.
    pub stride: Option<u64>,
    /// Does each socket have a distributor, at its own addresses, and do
    /// redistributors not know their socket (Phytium S2500)?
    pub by_socket: bool,
}

/// A range that holds redistributors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Redistributors {
    /// Where.
    pub region: Region,
    /// Is it a single redistributor, with nothing to look for after it? ACPI names them like
    /// this where the MADT has no GICR structure: what follows the frames of an enabled core
    /// may be a disabled one's, or nothing.
    pub single: bool,
}

/// What is read from a redistributor to know whose it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// GICR_TYPER (offset 0x8).
    pub typer: u64,
    /// GICR_PIDR2 (offset 0xffe8).
    pub pidr2: u32,
}

impl Frame {
    /// Is this a redistributor at all? GICR_PIDR2.ArchRev: 3 and 4 are.
    const fn is_one(self) -> bool {
        matches!(self.pidr2 >> 4 & 0xf, 3 | 4)
    }

    /// Aff3.Aff2.Aff1.Aff0, each where it is in MPIDR_EL1.
    const fn mpidr(self) -> u64 {
        let affinity = self.typer >> 32;
        affinity & AFF_2_1_0 | affinity >> 24 << 32
    }
}

impl GicV3 {
    /// Every redistributor: its address, and what it says. `look` reads the registers of
    /// the frame at an address; it is asked for nothing outside [`Self::gicr`].
    pub fn frames(&self, look: impl Fn(u64) -> Frame) -> Vec<(u64, Frame)> {
        let mut found = Vec::new();
        for redistributors in &self.gicr {
            let region = redistributors.region;
            let mut next = Some(region.base);
            // Only what is described is mapped: the walk stops at the region's end even if
            // no frame says that it is the last.
            while let Some(at) = next
                && at
                    .checked_add(FRAMES)
                    .is_some_and(|end| end <= region.end())
            {
                let frame = look(at);
                if !frame.is_one() {
                    break;
                }
                found.push((at, frame));
                if redistributors.single || frame.typer & TYPER_LAST != 0 {
                    break;
                }
                next = at.checked_add(self.step(frame));
            }
        }
        found
    }

    /// The address of the redistributor of the core of this MPIDR, of [`Self::frames`].
    pub fn redistributor(&self, frames: &[(u64, Frame)], mpidr: u64) -> Option<u64> {
        let first = |wanted: &dyn Fn(u64, Frame) -> bool| {
            let mut frames = frames.iter();
            frames
                .find(|(at, frame)| wanted(*at, *frame))
                .map(|(at, _)| *at)
        };
        if self.by_socket {
            // The frames of two sockets may say the same: only the address tells
            // them apart.
            let socket = mpidr >> 16 & (SOCKETS - 1);
            let found = first(&|at, frame| {
                at >> SOCKET_SHIFT & (SOCKETS - 1) == socket
                    && frame.mpidr() & AFF_1_0 == mpidr & AFF_1_0
            });
            // If the frames know their socket, no address is needed; but a frame that says
            // socket 0 may be any socket's.
            if found.is_some() || socket == 0 {
                return found;
            }
        }
        first(&|_, frame| frame.mpidr() == mpidr)
    }

    fn step(&self, frame: Frame) -> u64 {
        match self.stride {
            // A step smaller than a redistributor's own frames would lead nowhere.
            Some(stride) => stride.max(FRAMES),
            // VLPIS decides, whatever the architecture's revision: HIP07 has these frames
            // though it calls itself GICv3.
            None if frame.typer & TYPER_VLPIS != 0 => FRAMES_V4,
            None => FRAMES,
        }
    }

    /// The distributors of the sockets of these cores; just one where sockets do
    /// not matter.
    pub fn distributors(&self, cpus: &[Cpu]) -> Vec<Region> {
        if !self.by_socket {
            return [self.gicd].into();
        }
        (0..SOCKETS)
            .filter(|socket| {
                *socket == 0
                    || cpus
                        .iter()
                        .any(|cpu| cpu.mpidr >> 16 & (SOCKETS - 1) == *socket)
            })
            .map(|socket| Region {
                base: self.gicd.base | socket << SOCKET_SHIFT,
                size: self.gicd.size,
            })
            .collect()
    }

    /// How many redistributor regions the description names.
    pub fn regions(&self) -> usize {
        self.gicr.len()
    }
}

/// ICC_SGI1R_EL1 (IHI 0069): calls the core of this MPIDR by SGI `sgi`. Its target
/// list has 16 bits; the range selector says which sixteen cores of the cluster.
pub const fn sgi1r(mpidr: u64, sgi: u32) -> u64 {
    let [aff0, aff1, aff2, _, aff3, ..] = mpidr.to_le_bytes();
    (aff3 as u64) << 48
        | (aff0 as u64 >> 4) << 44
        | (aff2 as u64) << 32
        | (sgi as u64 & 0xf) << 24
        | (aff1 as u64) << 16
        | 1 << (aff0 & 0xf)
}

/// Is this acknowledged number an interrupt? 1020 to 1023 say that there was none,
/// or none for this security state.
pub const fn is_interrupt(number: u32) -> bool {
    !matches!(number, 1020..=1023)
}

/// Is this MIDR_EL1 that of the S2500's cores, FTC663? D2000 and FT-2000/4 have
/// the same.
pub const fn is_ftc663(midr: u64) -> bool {
    midr >> 24 & 0xff == 0x70 && midr >> 4 & 0xfff == 0x663
}

#[cfg(test)]
#[path = "gic_tests.rs"]
mod tests;
