//! Identification registers, decoded field by field: what the report shows of
//! a machine beside the raw values. Field layouts are the Arm Architecture
//! Reference Manual's (DDI 0487, chapter D24).

use alloc::{format, string::String, vec, vec::Vec};

/// One field of a register.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// The manual's name: `IminLine`.
    pub name: &'static str,
    /// The highest bit.
    pub high: u32,
    /// The lowest bit.
    pub low: u32,
    /// The field's value.
    pub value: u64,
    /// What that value means.
    pub meaning: String,
}

const fn bits(register: u64, high: u32, low: u32) -> u64 {
    (register >> low) & (u64::MAX >> (63 - (high - low)))
}

fn field(
    name: &'static str,
    register: u64,
    (high, low): (u32, u32),
    meaning: impl FnOnce(u64) -> String,
) -> Field {
    let value = bits(register, high, low);
    Field {
        name,
        high,
        low,
        value,
        meaning: meaning(value),
    }
}

/// A number of words, as a power of two, in words for people: `64 bytes`.
fn words(log2: u64) -> String {
    format!("{} bytes", 4_u64 << log2)
}

/// CTR_EL0, the highest field first.
pub fn ctr(register: u64) -> Vec<Field> {
    let needed = |what: &'static str| {
        move |bit| {
            let needed = if bit == 1 { "not needed" } else { "needed" };
            format!("{what} is {needed} before new instructions run")
        }
    };
    let granule = |value| match value {
        0 => "not stated: assume 2048 bytes".into(),
        log2 => words(log2),
    };
    vec![
        field("TminLine", register, (37, 32), |v| match v {
            0 => "not stated".into(),
            _ => words(v),
        }),
        field("DIC", register, (29, 29), needed("ic ivau")),
        field("IDC", register, (28, 28), needed("dc cvau")),
        field("CWG", register, (27, 24), granule),
        field("ERG", register, (23, 20), granule),
        field("DminLine", register, (19, 16), words),
        field("L1Ip", register, (15, 14), |v| {
            [
                "VPIPT: virtual index, physical tag with VMID",
                "reserved (once AIVIVT)",
                "VIPT: virtual index, physical tag",
                "PIPT: physical index, physical tag",
            ][v as usize]
                .into()
        }),
        field("IminLine", register, (3, 0), words),
    ]
}

/// The smallest data and instruction cache lines of CTR_EL0, in bytes.
pub const fn line_sizes(ctr: u64) -> (u64, u64) {
    (4 << bits(ctr, 19, 16), 4 << bits(ctr, 3, 0))
}

/// What a cache holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holds {
    /// Data.
    Data,
    /// Instructions.
    Instructions,
    /// Both.
    Both,
}

/// One cache that CLIDR_EL1 names and CCSIDR_EL1 sizes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cache {
    /// Level, from 1.
    pub level: u32,
    /// What it holds.
    pub holds: Holds,
    /// Its shape; none where no CCSIDR_EL1 was read for it.
    pub geometry: Option<Geometry>,
}

/// The shape of a cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    /// Bytes in a line.
    pub line: u64,
    /// Ways.
    pub ways: u64,
    /// Sets.
    pub sets: u64,
}

impl Geometry {
    /// Reads CCSIDR_EL1. The wide format (FEAT_CCIDX) is known by its sets in
    /// the upper word, which the narrow one reserves as zero.
    pub const fn from_ccsidr(register: u64) -> Self {
        let (ways, sets) = if register >> 32 == 0 {
            (bits(register, 12, 3), bits(register, 27, 13))
        } else {
            (bits(register, 23, 3), bits(register, 55, 32))
        };
        Self {
            line: 16 << bits(register, 2, 0),
            ways: ways + 1,
            sets: sets + 1,
        }
    }

    /// Size in bytes.
    pub const fn size(&self) -> u64 {
        self.line * self.ways * self.sets
    }
}

/// The caches of CLIDR_EL1, with their CCSIDR_EL1 values in the same order:
/// level by level, instructions after data.
pub fn caches(clidr: u64, ccsidr: &[u64]) -> Vec<Cache> {
    let mut shapes = ccsidr.iter().copied().map(Geometry::from_ccsidr);
    let mut found = Vec::new();
    for level in 1..=7 {
        let low = 3 * (level - 1);
        let kinds: &[Holds] = match bits(clidr, low + 2, low) {
            1 => &[Holds::Instructions],
            2 => &[Holds::Data],
            3 => &[Holds::Data, Holds::Instructions],
            4 => &[Holds::Both],
            // None, or reserved: no cache is architecturally visible beyond.
            _ => break,
        };
        for holds in kinds {
            found.push(Cache {
                level,
                holds: *holds,
                geometry: shapes.next(),
            });
        }
    }
    found
}

/// The levels that CLIDR_EL1 states for the points of maintenance.
pub fn clidr_levels(register: u64) -> Vec<Field> {
    let level = |v| match v {
        0 => "no cache needs cleaning".into(),
        n => format!("after cleaning level {n}"),
    };
    vec![
        field("LoUU", register, (29, 27), level),
        field("LoC", register, (26, 24), level),
        field("LoUIS", register, (23, 21), level),
    ]
}

/// The block that `dc zva` clears, in bytes, from DCZID_EL0; none where it is
/// prohibited.
pub const fn dc_zva_block(dczid: u64) -> Option<u64> {
    if bits(dczid, 4, 4) == 1 {
        return None;
    }
    Some(4 << bits(dczid, 3, 0))
}

/// The affinity of MPIDR_EL1: Aff3, Aff2, Aff1, Aff0.
pub const fn affinity(mpidr: u64) -> [u8; 4] {
    [
        bits(mpidr, 39, 32) as u8,
        bits(mpidr, 23, 16) as u8,
        bits(mpidr, 15, 8) as u8,
        bits(mpidr, 7, 0) as u8,
    ]
}

/// Does MPIDR_EL1 say that Aff0 counts threads of a core?
pub const fn is_multithreaded(mpidr: u64) -> bool {
    bits(mpidr, 24, 24) == 1
}

/// MIDR_EL1 in words: `Arm Cortex-A72 r0p3`, or numbers where the part is not
/// known here.
pub fn core_name(midr: u64) -> String {
    let (implementer, part) = (bits(midr, 31, 24), bits(midr, 15, 4));
    let maker = IMPLEMENTERS
        .iter()
        .find(|(code, _)| *code == implementer)
        .map_or_else(
            || format!("implementer {implementer:#04x}"),
            |(_, name)| String::from(*name),
        );
    let core =
        part_name(implementer, part).map_or_else(|| format!("part {part:#05x}"), String::from);
    format!(
        "{maker} {core} r{}p{}",
        bits(midr, 23, 20),
        bits(midr, 3, 0)
    )
}

/// What the maker calls a core, by MIDR_EL1.Implementer and PartNum.
pub fn part_name(implementer: u64, part: u64) -> Option<&'static str> {
    let found = PARTS
        .iter()
        .find(|(i, p, _)| (*i, *p) == (implementer, part));
    found.map(|(.., name)| *name)
}

const IMPLEMENTERS: &[(u64, &str)] = &[
    (0x41, "Arm"),
    (0x42, "Broadcom"),
    (0x43, "Cavium"),
    (0x46, "Fujitsu"),
    (0x48, "HiSilicon"),
    (0x4e, "NVIDIA"),
    (0x50, "Applied Micro"),
    (0x51, "Qualcomm"),
    (0x56, "Marvell"),
    (0x61, "Apple"),
    (0x70, "Phytium"),
    (0xc0, "Ampere"),
];

const PARTS: &[(u64, u64, &str)] = &[
    (0x41, 0xd03, "Cortex-A53"),
    (0x41, 0xd04, "Cortex-A35"),
    (0x41, 0xd05, "Cortex-A55"),
    (0x41, 0xd07, "Cortex-A57"),
    (0x41, 0xd08, "Cortex-A72"),
    (0x41, 0xd09, "Cortex-A73"),
    (0x41, 0xd0a, "Cortex-A75"),
    (0x41, 0xd0b, "Cortex-A76"),
    (0x41, 0xd0c, "Neoverse N1"),
    (0x41, 0xd0d, "Cortex-A77"),
    (0x41, 0xd40, "Neoverse V1"),
    (0x41, 0xd41, "Cortex-A78"),
    (0x41, 0xd42, "Cortex-A78AE"),
    (0x41, 0xd46, "Cortex-A510"),
    (0x41, 0xd47, "Cortex-A710"),
    (0x41, 0xd49, "Neoverse N2"),
    (0x41, 0xd4f, "Neoverse V2"),
    (0x41, 0x8a0, "C1-Nano"),
    (0x41, 0xd48, "Cortex-X2"),
    (0x41, 0xd4b, "Cortex-A78C"),
    (0x41, 0xd4e, "Cortex-X3"),
    (0x41, 0xd82, "Cortex-X4"),
    (0x41, 0xd84, "Neoverse V3"),
    (0x48, 0xd01, "TSV110 (Kunpeng 920)"),
    (0x48, 0xd02, "Kunpeng after the 920"),
    (0x70, 0x303, "FTC310 (E2000)"),
    (0x70, 0x660, "FTC660 (FT-1500A)"),
    (0x70, 0x661, "FTC661 (FT-2000A)"),
    (0x70, 0x662, "FTC662 (FT-2000+)"),
    (0x70, 0x663, "FTC663 (FT-2000/4, D2000 or S2500)"),
    (0x70, 0x664, "FTC664 (E2000)"),
    (0x70, 0x862, "FTC862 (S5000C)"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    fn ctr_map(register: u64) -> BTreeMap<&'static str, (u64, String)> {
        ctr(register)
            .into_iter()
            .map(|f| (f.name, (f.value, f.meaning)))
            .collect()
    }

    #[test]
    fn ctr_of_a_cortex_a72() {
        let fields = ctr_map(0x8444_c004);
        assert_eq!(fields["IminLine"], (4, "64 bytes".into()));
        assert_eq!(fields["DminLine"], (4, "64 bytes".into()));
        assert_eq!(fields["ERG"].1, "64 bytes");
        assert_eq!(fields["L1Ip"].0, 3);
        assert_eq!((fields["IDC"].0, fields["DIC"].0), (0, 0));
        assert!(fields["DIC"].1.starts_with("ic ivau is needed"));
        assert_eq!(line_sizes(0x8444_c004), (64, 64));
    }

    #[test]
    fn ctr_of_a_neoverse_v1_needs_no_maintenance() {
        let fields = ctr_map(0xb444_c004);
        assert_eq!((fields["IDC"].0, fields["DIC"].0), (1, 1));
        assert!(fields["IDC"].1.starts_with("dc cvau is not needed"));
    }

    #[test]
    fn vipt_is_told_from_pipt() {
        assert!(ctr_map(0x8444_8004)["L1Ip"].1.starts_with("VIPT"));
    }

    #[test]
    fn caches_of_a_cortex_a72() {
        let found = caches(0x0a20_0023, &[0x701f_e00a, 0x201f_e012, 0x707f_e07a]);
        let sizes: Vec<_> = found
            .iter()
            .map(|c| (c.level, c.holds, c.geometry.map(|g| g.size() >> 10)))
            .collect();
        assert_eq!(
            sizes,
            [
                (1, Holds::Data, Some(32)),
                (1, Holds::Instructions, Some(48)),
                (2, Holds::Both, Some(1024)),
            ]
        );
        let levels: Vec<_> = clidr_levels(0x0a20_0023).iter().map(|f| f.value).collect();
        assert_eq!(levels, [1, 2, 1]);
    }

    #[test]
    fn the_wide_ccsidr_is_known_by_its_upper_word() {
        let shape = Geometry::from_ccsidr(0x0000_00ff_0000_001a);
        assert_eq!((shape.line, shape.ways, shape.sets), (64, 4, 256));
        assert_eq!(shape.size(), 64 << 10);
    }

    #[test]
    fn names_of_the_machines_in_question() {
        assert_eq!(core_name(0x410f_d083), "Arm Cortex-A72 r0p3");
        assert_eq!(
            core_name(0x481f_d010),
            "HiSilicon TSV110 (Kunpeng 920) r1p0"
        );
        assert!(core_name(0x701f_6633).contains("S2500"));
        assert!(core_name(0x700f_8620).contains("S5000C"));
        assert_eq!(core_name(0x000f_0510), "implementer 0x00 part 0x051 r0p0");
    }

    #[test]
    fn affinities_and_dc_zva() {
        assert_eq!(affinity(0x810b_0100), [0, 0x0b, 1, 0]);
        assert!(is_multithreaded(0x8100_0000) && !is_multithreaded(0x8000_0000));
        assert_eq!(dc_zva_block(4), Some(64));
        assert_eq!(dc_zva_block(0x14), None);
    }

    proptest! {
        #[test]
        fn any_value_decodes(register in any::<u64>(), shapes in proptest::collection::vec(any::<u64>(), 0..4)) {
            prop_assert_eq!(ctr(register).len(), 8);
            prop_assert!(caches(register, &shapes).len() <= 14);
            let _ = (clidr_levels(register), core_name(register), dc_zva_block(register));
        }
    }

    #[test]
    fn a_level_may_hold_instructions_or_data_alone() {
        let geometry = None;
        let cache = |level, holds| Cache {
            level,
            holds,
            geometry,
        };
        assert_eq!(
            caches(0o0421, &[]),
            [
                cache(1, Holds::Instructions),
                cache(2, Holds::Data),
                cache(3, Holds::Both),
            ]
        );
        // Behind a level without a cache there is none.
        assert_eq!(caches(0o4002, &[]), [cache(1, Holds::Data)]);
    }
}
