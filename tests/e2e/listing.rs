//! The report's two routines, disassembled from the built image and compared with the
//! report's listings, instruction by instruction.

use std::process::Command;

use stalecore_model::symbols::Symbols;

use crate::{dist::built, fake::Ended};

/// `__flush_dcache_area` of the report: each instruction, from offset 0.
const FLUSH_DCACHE_AREA: &[&str] = &[
    "mrs x3, ctr_el0",
    "nop",
    "ubfx x3, x3, #16, #4",
    "mov x2, #0x4",
    "lsl x2, x2, x3",
    "add x1, x0, x1",
    "sub x3, x2, #0x1",
    "bic x0, x0, x3",
    "dc civac, x0",
    "add x0, x0, x2",
    "cmp x0, x1",
    "b.cc +32",
    "dsb sy",
    "ret",
];

/// `flush_icache_range` of the report.
const FLUSH_ICACHE_RANGE: &[&str] = &[
    "nop",
    "nop",
    "mrs x3, ctr_el0",
    "nop",
    "ubfx x3, x3, #16, #4",
    "mov x2, #0x4",
    "lsl x2, x2, x3",
    "sub x3, x2, #0x1",
    "bic x4, x0, x3",
    "dc cvau, x4",
    "add x4, x4, x2",
    "cmp x4, x1",
    "b.cc +36",
    "dsb ish",
    "nop",
    "nop",
    "mrs x3, ctr_el0",
    "nop",
    "and x3, x3, #0xf",
    "mov x2, #0x4",
    "lsl x2, x2, x3",
    "sub x3, x2, #0x1",
    "bic x3, x0, x3",
    "ic ivau, x3",
    "add x3, x3, x2",
    "cmp x3, x1",
    "b.cc +92",
    "dsb ish",
    "isb",
    "mov x0, #0x0",
    "ret",
    "mov x0, #0xfffffffffffffff2",
    "b +120",
];

/// What objdump says about a symbol: its address, and its instructions with branches
/// as offsets.
fn disassembled(symbol: &str) -> (u64, Vec<String>) {
    let mut command = Command::new("aarch64-linux-gnu-objdump");
    command
        .arg(format!("--disassemble={symbol}"))
        .arg("--no-show-raw-insn")
        .arg(built("stalecore.elf"));
    let ended = Ended::of(&mut command);
    assert_eq!(ended.code, 0, "{ended:?}");
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let mut start = None;
    let mut instructions = Vec::new();
    for line in ended.out.lines() {
        if let Some((address, rest)) = line.split_once(" <")
            && rest == format!("{symbol}>:")
        {
            start = hex(address);
        }
        let Some((address, text)) = line.split_once(":\t") else {
            continue;
        };
        let (Some(address), Some(start)) = (hex(address.trim()), start) else {
            continue;
        };
        assert_eq!(address, start + 4 * instructions.len() as u64);
        let text = text.split("//").next().unwrap();
        let mut words: Vec<_> = text.split_whitespace().map(String::from).collect();
        // A branch: the address and <symbol+0x20> behind it.
        if words[0].starts_with('b') && words.len() == 3 {
            let target = hex(&words[1]).unwrap();
            words.truncate(1);
            words.push(format!("+{}", target - start));
        }
        instructions.push(words.join(" ").replace("b.lo", "b.cc"));
    }
    (start.expect("no such symbol"), instructions)
}

#[test]
fn the_routines_are_the_report_s_to_the_instruction() {
    for (symbol, expected) in [
        ("__flush_dcache_area", FLUSH_DCACHE_AREA),
        ("flush_icache_range", FLUSH_ICACHE_RANGE),
    ] {
        let (_, found) = disassembled(symbol);
        for (nth, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert_eq!(found, expected, "{symbol}+{}", 4 * nth);
        }
        // Padding to the next routine may follow the last instruction.
        let rest = found.get(expected.len()..).unwrap();
        assert!(
            rest.iter()
                .all(|i| i == "nop" || i.starts_with("udf") || i.starts_with("...")),
            "{symbol}: {rest:?}"
        );
    }
}

#[test]
fn the_place_of_the_hang_is_named_as_in_the_report() {
    let image = std::fs::read(built("stalecore.img")).unwrap();
    let table = image.windows(4).enumerate().filter(|(_, w)| w == b"sym2");
    let tables: Vec<_> = table
        .filter_map(|(at, _)| Symbols::read(&image[at..]))
        .collect();
    for (symbol, offset) in [("flush_icache_range", 92), ("__flush_dcache_area", 32)] {
        let (start, _) = disassembled(symbol);
        assert!(
            tables
                .iter()
                .filter_map(|table| table.find(start + offset))
                .any(|(name, at)| name.to_string() == symbol && at == offset),
            "{symbol}+{offset}"
        );
    }
}
