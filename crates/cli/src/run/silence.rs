//! The machine has fallen silent: what its emulator still knows.

use std::{collections::BTreeMap, path::Path, time::Duration};

use stalecore_model::cpuset::CpuSet;

use super::qmp::Qmp;

/// How long the monitor may take: it cannot answer at all while an emulated
/// core is held up inside one instruction.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where each core was, one line for each program counter, or why that is not
/// known.
pub fn look(monitor: &Path) -> Vec<String> {
    let asked = Qmp::connect(monitor, PATIENCE).and_then(|mut qmp| qmp.human("info registers -a"));
    match asked {
        Ok(text) => {
            let places = program_counters(&text);
            places
                .into_iter()
                .map(|(pc, cpus)| format!("silence: CPU {cpus} at {pc:#x}"))
                .collect()
        }
        Err(error) => vec![format!("silence: {error:#}")],
    }
}

/// The cores at each program counter, from the monitor's register dump.
fn program_counters(dump: &str) -> BTreeMap<u64, CpuSet> {
    let mut places: BTreeMap<u64, CpuSet> = BTreeMap::new();
    let mut cpu = None;
    for word in dump.split_whitespace() {
        if let Some(number) = word.strip_prefix("CPU#") {
            cpu = number.parse::<usize>().ok();
        } else if let Some(pc) = word.strip_prefix("PC=")
            && let (Some(cpu), Ok(pc)) = (cpu.take(), u64::from_str_radix(pc, 16))
        {
            places.entry(pc).or_default().insert(cpu);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_at_one_place_are_one_line() {
        let dump = "\r\nCPU#0\r\n PC=0000000040080000 X00=0000000000000000\r\n\
                    CPU#1\r\n PC=0000000040080040 X00=PC=1\r\nCPU#2\r\n PC=0000000040080040\r\n";
        let places: Vec<_> = program_counters(dump)
            .into_iter()
            .map(|(pc, cpus)| (pc, cpus.to_string()))
            .collect();
        assert_eq!(
            places,
            [(0x4008_0000, "0".into()), (0x4008_0040, "1-2".into())]
        );
    }
}
