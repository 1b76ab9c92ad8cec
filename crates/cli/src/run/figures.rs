//! Figures for people: a time with its unit, a slow-down, and both of a case.

use stalecore_model::{
    glossary::Verdict,
    histogram::Histogram,
    options::Milli,
    record::{CaseRecord, Machine},
    verdict,
};

/// A time with three figures: `4.21ns`, `140ns`, `12.3µs`.
pub fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        n if n < 999.5 => (n, "ns"),
        n if n < 999.5e3 => (n / 1e3, "µs"),
        n if n < 999.5e6 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    let decimals = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}{unit}")
}

/// A slow-down: `×0.04`, `×1.0`, `×2.4`, `×140`.
pub fn factor(milli: Milli) -> String {
    let decimals = match milli {
        0..950 => 2,
        950..9950 => 1,
        _ => 0,
    };
    format!("×{:.decimals$}", f64::from(milli) / 1000.0)
}

/// The samples by which a case is shown: complete, or issue where only that
/// class has any.
const fn shown(case: &CaseRecord) -> &Histogram {
    if case.complete.count() > 0 {
        &case.complete
    } else {
        &case.issue
    }
}

/// The median of one operation in nanoseconds, if the case has samples.
pub fn median(case: &CaseRecord, machine: &Machine) -> Option<f64> {
    let ticks = shown(case).quantile(500)?;
    Some(nanoseconds(ticks, machine) / f64::from(case.batch.max(1)))
}

/// Ticks of the counter in nanoseconds.
pub fn nanoseconds(ticks: u64, machine: &Machine) -> f64 {
    ticks as f64 * 1e9 / machine.counter_hz.max(1) as f64
}

/// How much later than its baseline a case was, as the image judges it.
pub fn slowdown(case: &CaseRecord, machine: Option<&Machine>) -> Option<Milli> {
    let resolution = machine.map_or(0, |machine| verdict::resolution(&machine.empty));
    case.slowdown(resolution)
}

/// Between what it lies, some 95 % sure, where the record has the rounds, and these say it:
/// what was slowed behind a dwell has none.
pub fn interval(case: &CaseRecord, machine: Option<&Machine>) -> Option<(Milli, Milli)> {
    let resolution = machine.map_or(0, |machine| verdict::resolution(&machine.empty));
    let dwell = case.behind_dwell(resolution);
    if case.verdict == Verdict::Slowed && dwell.is_some() && dwell == case.slowdown(resolution) {
        return None;
    }
    let rounds = case.rounds.as_ref()?;
    rounds.slowdown(resolution).map(|(_, interval)| interval)
}

/// An interval of slow-downs: `×0.9–4.2`.
pub fn between(low: Milli, high: Milli) -> String {
    let (low, high) = (factor(low), factor(high));
    match low == high {
        true => low,
        false => format!("{low}–{}", high.trim_start_matches('×')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stalecore_model::{
        glossary::{LineState, StaleState, Subject},
        plan::Case,
        record::Dwell,
        rounds::{Class, Rounds},
    };

    #[test]
    fn what_was_slowed_behind_a_dwell_has_no_interval_of_rounds() {
        let case = Case {
            number: 1,
            subject: Subject::IcIvau,
            state: StaleState::Spin,
            line: LineState::DirtyHere,
        };
        let mut record = CaseRecord::blank(&case, Verdict::Slowed, None);
        let mut rounds = Rounds::new(Class::Complete);
        (0..5).for_each(|_| rounds.push(Some(1000), 1000, (1, 1)));
        record.rounds = Some(rounds);
        assert!(interval(&record, None).is_some());
        let samples = |ticks| {
            let mut all = Histogram::new();
            all.add_many(ticks, 5);
            all
        };
        record.dwell.push(Dwell {
            ms: 50,
            samples: samples(74_000),
            baseline: samples(1000),
        });
        assert_eq!(interval(&record, None), None);
        record.verdict = Verdict::Completed;
        assert!(interval(&record, None).is_some());
    }

    #[test]
    fn three_figures() {
        for (nanoseconds, text) in [
            (0.0, "0.00ns"),
            (9.996, "10.0ns"),
            (140.4, "140ns"),
            (999.6, "1.00µs"),
            (12_345.0, "12.3µs"),
            (2.5e9, "2.50s"),
        ] {
            assert_eq!(time(nanoseconds), text);
        }
        for (milli, text) in [
            (1000, "×1.0"),
            (9949, "×9.9"),
            (9999, "×10"),
            (140_000, "×140"),
        ] {
            assert_eq!(factor(milli), text);
        }
        assert_eq!(between(900, 4200), "×0.90–4.2");
        assert_eq!(between(1000, 1001), "×1.0");
    }
}
