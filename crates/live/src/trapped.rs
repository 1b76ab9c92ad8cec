//! Does Linux let EL0 execute what is to be timed, or does a trap stand behind it? By what
//! each takes against a call of the kernel, and by whether it ends in a signal.

use std::{thread, time::Duration};

use stalecore_model::glossary::Subject;
use stalecore_routines::{
    instructions,
    probe::{self, DepthBlock},
};

use crate::{
    buffers::Buffers,
    initiator::COUNTER,
    machine,
    os::{self, Side},
};

/// What is timed by one instruction alone.
const INSTRUCTIONS: [Subject; 4] = [
    Subject::DcCivac,
    Subject::DcCvac,
    Subject::DcCvau,
    Subject::IcIvau,
];

/// Operations in a batch, and batches, of which the shortest counts.
const BATCH: u32 = 512;
const BATCHES: usize = 64;

/// The page that Linux gives as an instruction line where it makes one up.
const MADE_UP: usize = 4096;

/// An instruction that ends the program here.
///
/// # Errors
/// No process can be had to try it in.
pub fn lacking(own: &Buffers) -> Result<Vec<Subject>, String> {
    let mut lacking = Vec::new();
    for subject in INSTRUCTIONS {
        let Some(probe) = probe::of(subject) else {
            continue;
        };
        match os::fork().map_err(|error| format!("fork: {error}"))? {
            Side::Child => {
                (probe.issue[COUNTER as usize])(own.area.data);
                instructions::ctr_el0();
                os::leave(0)
            }
            Side::Parent(child) => {
                let mut status = None;
                for _ in 0..2000 {
                    status = os::ended(child).map_err(|error| format!("waitpid: {error}"))?;
                    if status.is_some() {
                        break;
                    }
                    thread::sleep(Duration::from_millis(1));
                }
                match status {
                    Some(0) => {}
                    Some(_) => lacking.push(subject),
                    None => {
                        return Err(format!(
                            "{subject} has not returned for two seconds, with nothing stale: \
                             nothing can be measured here"
                        ));
                    }
                }
            }
        }
    }
    Ok(lacking)
}

/// What each takes, in tenths of nanoseconds.
struct Costs {
    call: u64,
    ctr: u64,
    operations: Vec<(Subject, u64)>,
}

/// Times them on this thread.
fn costs(own: &Buffers, size: usize, lacking: &[Subject]) -> Costs {
    let hz = instructions::cntfrq_el0().max(1);
    let tenths = |ticks: u64| ticks * 10_000_000_000 / hz / u64::from(BATCH);
    let shortest = |run: &dyn Fn() -> u64| {
        let all = (0..BATCHES).map(|_| run());
        tenths(all.min().unwrap_or(0))
    };
    let times = |what: &dyn Fn()| {
        shortest(&|| {
            let from = COUNTER.now();
            (0..BATCH).for_each(|_| what());
            COUNTER.now().wrapping_sub(from)
        })
    };
    let here = INSTRUCTIONS
        .iter()
        .filter(|subject| !lacking.contains(subject));
    let operations = here.filter_map(|subject| {
        let block: DepthBlock = probe::of(*subject)?.depth?[COUNTER as usize];
        Some((*subject, shortest(&|| block(own.area.data, size, BATCH).0)))
    });
    Costs {
        call: times(&os::null_call),
        ctr: times(&|| {
            std::hint::black_box(instructions::ctr_el0());
        }),
        operations: operations.collect(),
    }
}

impl Costs {
    /// Did it take as long as this part of a call, in percent? A trap that is answered at
    /// once takes less than one: three quarters, under Debian's 6.1.
    const fn is_trapped(&self, cost: u64, part: u64) -> bool {
        cost * 100 >= self.call * part
    }
}

/// What was found, in words, on a CPU of this kind.
pub fn notes(own: &Buffers, size: usize, lacking: &[Subject], midr: u64) -> Vec<String> {
    told(
        &costs(own, size, lacking),
        lacking,
        midr,
        instructions::ctr_el0(),
    )
}

fn told(costs: &Costs, lacking: &[Subject], midr: u64, ctr: u64) -> Vec<String> {
    let time = |tenths: u64| format!("{}.{} ns", tenths / 10, tenths % 10);
    let each: Vec<_> = costs
        .operations
        .iter()
        .map(|(subject, cost)| format!("{} {}", subject.symbol(), time(*cost)))
        .collect();
    let mut notes = vec![format!(
        "EL0: a call of the kernel takes {}, a read of CTR_EL0 {}, {} (the shortest of {BATCHES} \
         batches of {BATCH}, no barrier)",
        time(costs.call),
        time(costs.ctr),
        each.join(", ")
    )];
    // A read that is none takes next to nothing.
    if costs.is_trapped(costs.ctr, 50) {
        notes.push(
            "EL0: CTR_EL0 takes as long as a trap: Linux answers it (SCTLR_EL1.UCT is 0), and each \
             routine, which reads it as the kernel's does, is late by that"
                .into(),
        );
    }
    // One bit opens all of them to EL0, and cleaning a clean line is quick on any core.
    let all = costs
        .operations
        .iter()
        .all(|(_, cost)| costs.is_trapped(*cost, 70));
    let slow = |(subject, cost): &&(Subject, u64)| {
        *subject == Subject::IcIvau && costs.is_trapped(*cost, 100)
    };
    if all {
        notes.push(
            "EL0: all maintenance takes as long as a trap: Linux carries it out (SCTLR_EL1.UCI is \
             0), and what is timed is a trap, the instruction, and the way back"
                .into(),
        );
    } else if costs.operations.iter().any(|one| slow(&one)) {
        notes.push(
            "EL0: ic ivau takes as long as a trap, and other maintenance does not: Linux lets EL0 \
             execute it; firmware may trap it, or this is what it takes here"
                .into(),
        );
    } else {
        notes.push("EL0: what is timed are the core's own instructions, and no trap".into());
    }
    if instruction_line(ctr) >= MADE_UP {
        let n1 = midr >> 24 & 0xff == 0x41 && midr >> 4 & 0xfff == 0xd0c;
        notes.push(format!(
            "EL0: CTR_EL0 gives an instruction line of {} bytes, which Linux makes up{}: a routine \
             here has one ic ivau for each, where the kernel's own has more, or none",
            instruction_line(ctr),
            if n1 {
                " for erratum 1542419 of Neoverse N1, whose ic ivau firmware traps"
            } else {
                ""
            }
        ));
    }
    for subject in lacking {
        notes.push(format!("EL0: {} ends the program here", subject.symbol()));
    }
    notes
}

const fn instruction_line(ctr: u64) -> usize {
    4 << (ctr & 0xf)
}

/// Bytes of a line that holds both kinds, as this machine's cores have them.
pub fn line(ctr: u64) -> usize {
    let data = 4 << (ctr >> 16 & 0xf);
    match instruction_line(ctr) {
        made_up if made_up >= MADE_UP => data,
        code => data.max(code),
    }
}

/// As [`notes`], bound to a CPU.
pub fn notes_on(cpu: usize, own: Buffers, size: usize, lacking: Vec<Subject>) -> Vec<String> {
    let timed = thread::spawn(move || {
        // Elsewhere it is as good, where it cannot be bound.
        let _ = os::pin(0, cpu);
        notes(&own, size, &lacking, machine::midr(cpu))
    });
    timed.join().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ctr: u64, dc: u64, ic: u64) -> Costs {
        Costs {
            call: 2000,
            ctr,
            operations: vec![(Subject::DcCivac, dc), (Subject::IcIvau, ic)],
        }
    }

    #[test]
    fn what_takes_as_long_as_a_call_is_a_trap() {
        let native = told(&of(40, 3000, 100), &[], 0x410f_d400, 0xb444_c004).join("\n");
        assert!(native.contains("the core's own instructions"), "{native}");
        assert!(native.contains("ic ivau 10.0 ns"), "{native}");
        let n1 = told(&of(1560, 300, 9000), &[], 0x413f_d0c1, 0x9444_800a).join("\n");
        for part in ["UCT is 0", "firmware may trap it", "4096 bytes", "1542419"] {
            assert!(n1.contains(part), "{part}: {n1}");
        }
        let all = told(&of(40, 3000, 3000), &[Subject::DcCvau], 0, 0x8444_c004).join("\n");
        assert!(all.contains("UCI is 0"), "{all}");
        assert!(all.contains("dc cvau ends the program"), "{all}");
    }

    #[test]
    fn a_line_that_is_made_up_is_not_believed() {
        assert_eq!(line(0x8444_c004), 64);
        assert_eq!(line(0x9444_800a), 64);
    }
}
