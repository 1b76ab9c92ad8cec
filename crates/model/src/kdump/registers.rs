//! A dump of the registers, as `show_regs` of each kernel lays it out.

use alloc::{format, string::String, vec::Vec};

use super::Kernel;

/// The processor state in letters: an upper-case letter is a set bit.
pub fn pstate(kernel: Kernel, spsr: u64) -> String {
    let bit = |n: u32| spsr >> n & 1 == 1;
    let flag = |n: u32, letter: char| {
        if bit(n) {
            letter.to_ascii_uppercase()
        } else {
            letter.to_ascii_lowercase()
        }
    };
    let sign = |n: u32| if bit(n) { '+' } else { '-' };
    let nzcv: String = [(31, 'n'), (30, 'z'), (29, 'c'), (28, 'v')]
        .iter()
        .map(|(n, c)| flag(*n, *c))
        .collect();
    let daif: String = [(9, 'd'), (8, 'a'), (7, 'i'), (6, 'f')]
        .iter()
        .map(|(n, c)| flag(*n, *c))
        .collect();
    let facts = kernel.facts();
    let mut text = format!("pstate: {:08x} ({nzcv} {daif}", spsr & 0xffff_ffff);
    for (n, name) in facts.pstate_signs {
        text.push_str(&format!(" {}{name}", sign(*n)));
    }
    if facts.shows_btype {
        let branch = ["--", "-c", "j-", "jc"][(spsr >> 10 & 3) as usize];
        text.push_str(&format!(" BTYPE={branch}"));
    }
    text.push(')');
    text
}

/// The stack pointer's line, then those of x29 down to x0. Kernels with two columns leave
/// a space after the second.
pub fn dump(kernel: Kernel, sp: u64, x: &[u64; 31]) -> Vec<String> {
    let mut lines = Vec::new();
    lines.push(format!("sp : {sp:016x}"));
    let columns = kernel.register_columns();
    let mut numbers = (0..30).rev();
    loop {
        let row: Vec<String> = numbers
            .by_ref()
            .take(columns)
            .map(|n| format!("x{n:<2}: {:016x}", x[n]))
            .collect();
        if row.is_empty() {
            return lines;
        }
        let end = if columns == 2 { " " } else { "" };
        lines.push(row.join(" ") + end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_own_states() {
        assert_eq!(
            pstate(Kernel::V4_18, 0x8000_0005),
            "pstate: 80000005 (Nzcv daif -PAN -UAO)"
        );
        assert_eq!(
            pstate(Kernel::V4_18, 0x4000_0085),
            "pstate: 40000085 (nZcv daIf -PAN -UAO)"
        );
    }

    #[test]
    fn newer_kernels_say_more() {
        assert_eq!(
            pstate(Kernel::V5_10, 0x6040_0089),
            "pstate: 60400089 (nZCv daIf +PAN -UAO -TCO BTYPE=--)"
        );
        assert_eq!(
            pstate(Kernel::V6_1, 0x6040_00c9),
            "pstate: 604000c9 (nZCv daIF +PAN -UAO -TCO -DIT -SSBS BTYPE=--)"
        );
    }

    #[test]
    fn two_columns_then_three() {
        let x = core::array::from_fn(|n| n as u64);
        let old = dump(Kernel::V4_18, 0xffff_0000_4630_fd20, &x);
        assert_eq!(old.len(), 1 + 15);
        assert_eq!(old[0], "sp : ffff00004630fd20");
        assert_eq!(old[1], "x29: 000000000000001d x28: 000000000000001c ");
        assert_eq!(old[11], "x9 : 0000000000000009 x8 : 0000000000000008 ");
        let new = dump(Kernel::V6_1, 0, &x);
        assert_eq!(new.len(), 1 + 10);
        assert_eq!(
            new[10],
            "x2 : 0000000000000002 x1 : 0000000000000001 x0 : 0000000000000000"
        );
    }

    #[test]
    fn a_branch_type_is_told_in_two_letters() {
        for (bits, branch) in [(0x400, "-c"), (0x800, "j-"), (0xc00, "jc")] {
            let text = pstate(Kernel::V6_1, 0x6040_00c9 | bits);
            assert!(text.ends_with(&format!(" BTYPE={branch})")), "{text}");
        }
    }
}
