//! What an address means to a core: where it is in memory, and whether caches may hold
//! it, by the core's own registers and page tables (Arm ARM, D8).

pub use crate::attributes::Memory;

/// The registers that decide how one exception level translates.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Regime {
    /// SCTLR_ELx.
    pub sctlr: u64,
    /// TCR_ELx.
    pub tcr: u64,
    /// TTBR0_ELx.
    pub ttbr0: u64,
    /// TTBR1_ELx, where there are two ranges.
    pub ttbr1: Option<u64>,
    /// MAIR_ELx.
    pub mair: u64,
    /// Stage 2, where the level is below EL2.
    pub stage2: Stage2,
}

/// The registers of stage 2.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stage2 {
    /// HCR_EL2.
    pub hcr: u64,
    /// VTCR_EL2.
    pub vtcr: u64,
    /// VTTBR_EL2.
    pub vttbr: u64,
}

/// Where a virtual address leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// The physical address.
    pub physical: u64,
    /// What loads and stores use.
    pub data: Memory,
    /// May instruction caches hold it?
    pub fetch_cached: bool,
    /// Was it found in page tables?
    pub translated: bool,
}

const M: u64 = 1;
const C: u64 = 1 << 2;
const I: u64 = 1 << 12;
const HCR_VM: u64 = 1;
const HCR_DC: u64 = 1 << 12;
const HCR_CD: u64 = 1 << 32;
const HCR_ID: u64 = 1 << 33;

/// Reads a descriptor at a physical address; the second argument says whether through the
/// caches.
pub type Read<'a> = &'a mut dyn FnMut(u64, bool) -> Option<u64>;

impl Regime {
    /// Where `va` leads; `None` where it leads nowhere, or the tables cannot be
    /// read.
    pub fn translate(&self, va: u64, read: Read<'_>) -> Option<Mapping> {
        let default_cacheable = self.stage2.hcr & HCR_DC != 0;
        let instruction_cache = self.sctlr & I != 0;
        let (ipa, memory, translated) = if self.sctlr & M == 0 || default_cacheable {
            let memory = if default_cacheable {
                Memory::WriteBack
            } else {
                Memory::Device
            };
            (va & 0x00ff_ffff_ffff_ffff, memory, false)
        } else {
            let (ipa, memory) = self.stage1(va, read)?;
            (ipa, memory, true)
        };
        let off = !translated && !default_cacheable;
        let (physical, second) = if self.stage2.hcr & (HCR_VM | HCR_DC) != 0 {
            self.second(ipa, read)?
        } else {
            (ipa, Memory::WriteBack)
        };
        let both = memory.min(second);
        let enabled = self.sctlr & C != 0 || default_cacheable || off;
        let data = if !enabled || self.stage2.hcr & HCR_CD != 0 && both.is_cached() {
            both.min(Memory::NonCacheable)
        } else {
            both
        };
        // With the MMU off instructions are Normal, and cached if SCTLR.I says so.
        let fetch = if off { second } else { both };
        Some(Mapping {
            physical,
            data,
            fetch_cached: instruction_cache && fetch.is_cached() && self.stage2.hcr & HCR_ID == 0,
            translated,
        })
    }

    fn stage1(&self, va: u64, read: Read<'_>) -> Option<(u64, Memory)> {
        let upper = self.ttbr1.is_some() && va >> 55 & 1 == 1;
        let (table, size, granule, shift) = if upper {
            let granule = match self.tcr >> 30 & 3 {
                1 => 14,
                3 => 16,
                _ => 12,
            };
            (self.ttbr1?, self.tcr >> 16 & 63, granule, 16)
        } else {
            let granule = match self.tcr >> 14 & 3 {
                1 => 16,
                2 => 14,
                _ => 12,
            };
            (self.ttbr0, self.tcr & 63, granule, 0)
        };
        let bits = 64 - u32::try_from(size.max(12)).ok()?;
        let cached = self.tcr >> (8 + shift) & 3 != 0 && self.sctlr & C != 0;
        let stride = granule - 3;
        let levels = (bits - granule).div_ceil(stride);
        // Tables are at intermediate addresses where there is a second stage.
        let second = self.stage2.hcr & HCR_VM != 0;
        let own = *self;
        let mut through = |at: u64, cached: bool| {
            if second {
                let (physical, memory) = own.second(at, read)?;
                read(physical, cached && memory.is_cached())
            } else {
                read(at, cached)
            }
        };
        let walk = Walk {
            granule,
            bits,
            levels,
        };
        let (address, descriptor) = walk.down(table, va, cached, &mut through)?;
        let attribute = (self.mair >> ((descriptor >> 2 & 7) * 8)) as u8;
        Some((address, Memory::from_mair(attribute)))
    }

    fn second(&self, ipa: u64, read: Read<'_>) -> Option<(u64, Memory)> {
        let vtcr = self.stage2.vtcr;
        if self.stage2.hcr & HCR_VM == 0 {
            return Some((ipa, Memory::WriteBack));
        }
        let granule = match vtcr >> 14 & 3 {
            1 => 16,
            2 => 14,
            _ => 12,
        };
        let bits = 64 - u32::try_from((vtcr & 63).max(12)).ok()?;
        let start = u32::try_from(vtcr >> 6 & 3).ok()?;
        // SL0 counts from another level for the larger granules.
        let levels = if granule == 12 { start + 2 } else { start + 1 };
        let cached = vtcr >> 8 & 3 != 0;
        let walk = Walk {
            granule,
            bits,
            levels,
        };
        let (address, descriptor) = walk.down(self.stage2.vttbr, ipa, cached, read)?;
        Some((address, Memory::from_stage2(descriptor >> 2 & 15)))
    }
}

/// The shape of a set of tables.
struct Walk {
    /// log2 of the granule.
    granule: u32,
    /// Bits of the input address.
    bits: u32,
    /// How many levels there are from the root.
    levels: u32,
}

impl Walk {
    /// The output address, and the block's or page's descriptor.
    fn down(&self, root: u64, va: u64, cached: bool, read: Read<'_>) -> Option<(u64, u64)> {
        let va = va & (u64::MAX >> (64 - self.bits));
        let mut table = root & 0x0000_ffff_ffff_fffe;
        for level in (0..self.levels).rev() {
            let shift = self.granule + (self.granule - 3) * level;
            // The root may be wider (joined tables of stage 2) or narrower.
            let width = if level == self.levels - 1 {
                self.bits - shift
            } else {
                self.granule - 3
            };
            let index = va >> shift & ((1 << width) - 1);
            let descriptor = read(table + index * 8, cached)?;
            let output = descriptor & 0x0000_ffff_ffff_ffff & (u64::MAX << self.granule);
            match (descriptor & 3, level) {
                (3, 0) | (1, 1..) => {
                    let mask = (1 << shift) - 1;
                    return Some(((output & !mask) | (va & mask), descriptor));
                }
                (3, _) => table = output,
                _ => return None,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const MAIR: u64 = 0x04 | 0xff << 8 | 0x44 << 16 | 0xbb << 24;
    const ON: u64 = M | C | I;

    fn tables() -> HashMap<u64, u64> {
        HashMap::from([
            // 48 bits of 4 KiB pages.
            (0x1000, 0x2000 | 3),
            (0x2008, 0x3000 | 3),
            // 0x4000_0000: a block, write-back; 0x4020_0000: pages.
            (0x3000, 0x8000_0000 | 1 << 2 | 1),
            (0x3008, 0x4000 | 3),
            (0x4000, 0x9000_0000 | 2 << 2 | 3),
            (0x4008, 0x9000_1000 | 3),
        ])
    }

    fn regime() -> Regime {
        Regime {
            sctlr: ON,
            tcr: 16 | 1 << 8 | 1 << 10,
            ttbr0: 0x1000,
            mair: MAIR,
            ..Regime::default()
        }
    }

    fn look(regime: &Regime, va: u64) -> Option<Mapping> {
        let tables = tables();
        regime.translate(va, &mut |at, _| Some(tables.get(&at).copied().unwrap_or(0)))
    }

    #[test]
    fn blocks_pages_and_holes() {
        let block = look(&regime(), 0x4012_3456).unwrap();
        assert_eq!(
            (block.physical, block.data),
            (0x8012_3456, Memory::WriteBack)
        );
        assert!(block.fetch_cached && block.translated);
        let page = look(&regime(), 0x4020_0010).unwrap();
        assert_eq!(
            (page.physical, page.data),
            (0x9000_0010, Memory::NonCacheable)
        );
        assert!(!page.fetch_cached);
        assert_eq!(look(&regime(), 0x4020_1000).unwrap().data, Memory::Device);
        assert_eq!(look(&regime(), 0x4020_2000), None);
        assert_eq!(look(&regime(), 0x8000_0000), None);
    }

    #[test]
    fn caches_off_and_mmu_off() {
        let no_data = Regime {
            sctlr: M,
            ..regime()
        };
        let block = look(&no_data, 0x4012_3456).unwrap();
        assert_eq!(
            (block.data, block.fetch_cached),
            (Memory::NonCacheable, false)
        );
        let off = look(
            &Regime {
                sctlr: I,
                ..regime()
            },
            0x4012_3456,
        )
        .unwrap();
        assert_eq!((off.physical, off.data), (0x4012_3456, Memory::Device));
        assert!(off.fetch_cached && !off.translated);
        assert!(
            !look(
                &Regime {
                    sctlr: 0,
                    ..regime()
                },
                0
            )
            .unwrap()
            .fetch_cached
        );
        let cacheable = Stage2 {
            hcr: HCR_DC,
            ..Stage2::default()
        };
        let by_default = Regime {
            sctlr: 0,
            stage2: cacheable,
            ..regime()
        };
        assert_eq!(look(&by_default, 0x1000).unwrap().data, Memory::WriteBack);
    }

    #[test]
    fn the_second_stage_weakens_the_first() {
        // One level of 1 GiB blocks: 0x8000_0000 is Normal Non-cacheable, and
        // the tables' own 0 to 1 GiB write-back.
        let tables = tables();
        let mut read = |at: u64, _: bool| match at {
            0x10_0000 => Some(0xf << 2 | 1),
            0x10_0010 => Some(0x8000_0000 | 5 << 2 | 1),
            at => Some(tables.get(&at).copied().unwrap_or(0)),
        };
        let stage2 = Stage2 {
            hcr: HCR_VM,
            vtcr: 25 | 1 << 6 | 1 << 8,
            vttbr: 0x10_0000,
        };
        let two = Regime { stage2, ..regime() };
        let found = two.translate(0x4012_3456, &mut read).unwrap();
        assert_eq!(
            (found.physical, found.data),
            (0x8012_3456, Memory::NonCacheable)
        );
        let off = Regime { sctlr: 0, ..two };
        assert_eq!(off.translate(0x4000_0000, &mut read), None);
    }

    #[test]
    fn two_ranges_and_64_kib() {
        let upper = Regime {
            tcr: 16 << 16 | 3 << 30 | 16 | 1 << 23,
            ttbr1: Some(0x1_0000),
            ..regime()
        };
        let mut read = |at: u64, _: bool| match at {
            0x1_01f8 => Some(0x2_0000 | 3),
            0x2_0000 => Some(0x3_0000 | 3),
            0x3_0000 => Some(0x7_0000 | 1 << 2 | 3),
            _ => Some(0),
        };
        let found = upper.translate(0xffff_fc00_0000_0042, &mut read).unwrap();
        assert_eq!((found.physical, found.data), (0x7_0042, Memory::WriteBack));
    }
}
