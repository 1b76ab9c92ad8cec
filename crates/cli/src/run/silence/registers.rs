//! The registers of all cores, as QEMU's monitor prints them.

use std::collections::BTreeMap;

/// What is read of a core's registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Registers {
    /// The program counter.
    pub pc: u64,
    /// X30, where the last call came from.
    pub lr: u64,
    /// PSTATE, in the layout of SPSR_ELx.
    pub pstate: u64,
}

/// PSTATE.I.
const MASKED: u64 = 1 << 7;

impl Registers {
    /// Does the core mask interrupts?
    pub const fn masked(&self) -> bool {
        self.pstate & MASKED != 0
    }

    /// The exception level that it is at.
    pub const fn level(&self) -> u64 {
        self.pstate >> 2 & 3
    }
}

/// Reads the answer to `info registers -a`: each core that has a program
/// counter there.
pub fn read(dump: &str) -> BTreeMap<usize, Registers> {
    let mut cores: BTreeMap<usize, Registers> = BTreeMap::new();
    let mut cpu = None;
    for word in dump.split_whitespace() {
        if let Some(number) = word.strip_prefix("CPU#") {
            cpu = number.parse::<usize>().ok();
            continue;
        }
        let Some((name, digits)) = word.split_once('=') else {
            continue;
        };
        let (Some(cpu), Ok(value)) = (cpu, u64::from_str_radix(digits, 16)) else {
            continue;
        };
        match name {
            "PC" => cores.entry(cpu).or_default().pc = value,
            "X30" | "PSTATE" => {
                if let Some(core) = cores.get_mut(&cpu) {
                    let slot = match name {
                        "X30" => &mut core.lr,
                        _ => &mut core.pstate,
                    };
                    *slot = value;
                }
            }
            _ => {}
        }
    }
    cores
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn registers_as_qemu_prints_them() {
        let dump = "\r\nCPU#0\r\n PC=0000000040080000 X00=0000000000000000 X01=00000000000000ff\r\n\
                    X29=0000000000000000 X30=0000000040080124  SP=0000000040090000\r\n\
                    PSTATE=600003c5 -ZC- EL1h     FPCR=00000000 FPSR=00000000\r\n\
                    \r\nCPU#12\r\n PC=0000000040080040 X00=PC=1\r\n\
                    X30=0000000000000001\r\nPSTATE=80000009 N--- EL2h\r\n";
        let cores = read(dump);
        assert_eq!(cores.len(), 2);
        assert_eq!(
            (cores[&0].pc, cores[&0].lr, cores[&0].level()),
            (0x4008_0000, 0x4008_0124, 1)
        );
        assert!(cores[&0].masked());
        assert_eq!(
            (cores[&12].pc, cores[&12].masked(), cores[&12].level()),
            (0x4008_0040, false, 2)
        );
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(dump in "(CPU#[0-9]{0,22}|PC=[0-9a-fz]{0,20}|X30=[0-9a-f]{0,17}|[ =\\r\\n]){0,40}") {
            let _ = read(&dump);
        }
    }
}
