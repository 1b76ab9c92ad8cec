//! How long one operation took after every core had been idle for a while: a line for
//! each length.

use std::collections::BTreeMap;

use stalecore_model::{
    record::{CaseRecord, Dwell},
    run::Run,
};

use super::{figures, table::fold};

/// The latest operation after each length of dwell, with its baseline's latest.
pub fn dwells(run: &Run, width: usize) -> String {
    let Some(machine) = &run.machine else {
        return String::new();
    };
    let mut worst: BTreeMap<u32, (u64, &CaseRecord, &Dwell)> = BTreeMap::new();
    for case in &run.cases {
        for dwell in &case.dwell {
            let Some(ticks) = dwell.samples.max() else {
                continue;
            };
            let found = worst.entry(dwell.ms).or_insert((ticks, case, dwell));
            if ticks > found.0 {
                *found = (ticks, case, dwell);
            }
        }
    }
    let time = |ticks| figures::time(figures::nanoseconds(ticks, machine));
    let lines = worst.into_iter().map(|(ms, (ticks, case, dwell))| {
        let baseline = dwell.baseline.max();
        let baseline = baseline.map_or(String::new(), |ticks| {
            format!(", {} with every other core parked", time(ticks))
        });
        fold(
            &format!(
                "After {} in which nobody did anything one operation took at most {}: {} under \
                 {}{baseline}.",
                figures::time(f64::from(ms) * 1e6),
                time(ticks),
                case.op,
                case.state
            ),
            width,
        )
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{self, Shape, plain};
    use stalecore_model::{
        glossary::{StaleState, Subject, Verdict},
        histogram::Histogram,
    };

    #[test]
    fn the_latest_of_each_length_is_named() {
        let one = |ticks| {
            let mut histogram = Histogram::new();
            histogram.add(ticks);
            histogram
        };
        let case = |state, late: u64| {
            let mut record = plain::case(1, Subject::IcIvau, state, Verdict::Completed, None);
            record.dwell = [(0, 100), (1000, late)]
                .map(|(ms, ticks)| Dwell {
                    ms,
                    samples: one(ticks),
                    baseline: one(90),
                })
                .into();
            record
        };
        let mut run = synthetic::run(&Shape::default());
        assert_eq!(dwells(&run, 200), "");
        run.machine.as_mut().unwrap().counter_hz = 1_000_000;
        run.cases = vec![case(StaleState::Spin, 200), case(StaleState::Wfe, 7000)];
        let text = dwells(&run, 200);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(
            lines[1],
            "After 1.00s in which nobody did anything one operation took at most 7.00ms: ic-ivau \
             under wfe, 90.0µs with every other core parked."
        );
    }
}
