//! The two histograms of a case over each other, in as little SVG as possible:
//! a report has thousands of them. Both axes are logarithmic; the axes
//! themselves are drawn once for all plots that share them (see `axis`).

use std::fmt::Write;

use stalecore_model::histogram::Histogram;

use super::{
    axis::{Axes, Frame, LEFT, PANEL, WIDTH},
    text::Clock,
};

/// Shares below this are tail: drawn in half octaves instead of the full
/// resolution, which is kept for where the samples are.
const TAIL: f64 = 0.004;

/// A class of samples: with stale cores, and its baseline.
pub struct Pair<'a> {
    /// `complete` or `issue`.
    pub class: &'static str,
    /// With stale cores.
    pub stale: &'a Histogram,
    /// With every other core parked.
    pub base: &'a Histogram,
}

/// One step of a histogram's outline.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Step {
    /// Where it begins, in ticks.
    low: f64,
    /// Where it ends, in ticks.
    high: f64,
    /// The share of all samples in the largest bucket of the step.
    share: f64,
}

fn steps(histogram: &Histogram) -> Vec<Step> {
    let total = histogram.count() as f64;
    let half_octave = |v: f64| (v.max(1.0).log2() * 2.0).floor();
    let mut steps: Vec<Step> = Vec::new();
    for (low, next, count) in histogram.buckets() {
        // On a logarithmic axis nothing is at 0: half a tick stands for it.
        let step = Step {
            low: (low as f64).max(0.5),
            high: next as f64,
            share: f64::from(count) / total,
        };
        if let Some(last) = steps.last_mut() {
            let tail = step.share < TAIL && last.share < TAIL;
            if tail && half_octave(step.low) == half_octave(last.low) {
                last.high = step.high;
                last.share = last.share.max(step.share);
                continue;
            }
        }
        steps.push(step);
    }
    steps
}

/// What the plots of one run have in common.
#[derive(Clone, Copy)]
pub struct Source {
    /// Which run.
    pub run: usize,
    /// Its clock.
    pub clock: Clock,
    /// Its empty block in nanoseconds, to which the axes reach.
    pub empty: Option<f64>,
}

/// Writes the plot of one or two classes, one under the other.
pub fn histograms(out: &mut String, pairs: &[Pair<'_>], source: Source, axes: &mut Axes) {
    let clock = source.clock;
    let all = || {
        pairs
            .iter()
            .flat_map(|p| [p.stale, p.base])
            .filter(|h| h.count() > 0)
    };
    let (Some(low), Some(high)) = (
        all().filter_map(Histogram::min).min(),
        all().filter_map(Histogram::max).max(),
    ) else {
        return;
    };
    let most = all().map(Histogram::count).max().unwrap_or(1);
    let (low, high) = (low as f64 * clock.ns, high as f64 * clock.ns);
    let empty = source.empty.unwrap_or(low);
    let frame = Frame {
        run: source.run,
        decades: decades(low.min(empty), high.max(empty), clock.ns),
        floor: (most as f64).log10().ceil().clamp(1.0, 18.0) as u32,
        classes: pairs.iter().map(|p| p.class).collect(),
    };
    let _ = write!(
        out,
        "<svg class=p viewBox=\"0 0 {} {}\" aria-hidden=true><use href=#{} />",
        LEFT + WIDTH + 16,
        frame.height(),
        axes.id(&frame)
    );
    for (panel, pair) in pairs.iter().enumerate() {
        let bottom = frame.bottom(panel);
        outline(out, 's', pair.stale, &frame, bottom, clock);
        outline(out, 'b', pair.base, &frame, bottom, clock);
    }
    out.push_str("</svg>");
}

/// The whole decades of nanoseconds around `low..=high`, as powers of ten.
fn decades(low: f64, high: f64, tick: f64) -> (i32, i32) {
    let low = low.max(tick / 2.0).log10().floor() as i32;
    let high = (high.max(tick) * 1.0001).log10().ceil() as i32;
    (low, high.max(low + 1))
}

/// Writes the outline of one histogram, and a mark at its median below the
/// axis.
fn outline(out: &mut String, class: char, h: &Histogram, frame: &Frame, bottom: i32, clock: Clock) {
    let steps = steps(h);
    let Some(first) = steps.first() else {
        return;
    };
    let x = |ticks: f64| frame.x(ticks * clock.ns);
    let (mut at, mut level) = (x(first.low), 0);
    let _ = write!(out, "<path class={class} d=\"M{at} {bottom}");
    for step in &steps {
        let (low, high) = (x(step.low), x(step.high));
        // A share at the floor is one sample: still to be seen.
        let height = (frame.height_of(step.share)).clamp(3, PANEL);
        if low > at {
            up(out, -level);
            let _ = write!(out, "m{} 0", low - at);
            level = 0;
            at = low;
        }
        if high > at {
            up(out, height - level);
            let _ = write!(out, "h{}", high - at);
            level = height;
            at = high;
        }
    }
    up(out, -level);
    if let Some(median) = h.quantile(500) {
        let _ = write!(out, "M{} {}v9", x((median as f64).max(0.5)), bottom + 1);
    }
    out.push_str("\"/>");
}

/// Goes up by this much; SVG counts downwards.
fn up(out: &mut String, by: i32) {
    if by != 0 {
        let _ = write!(out, "v{}", -by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stalecore_synthetic::{histogram, random};

    fn draw(stale: &Histogram, base: &Histogram) -> String {
        let mut out = String::new();
        let pair = Pair {
            class: "complete",
            stale,
            base,
        };
        let source = Source {
            run: 0,
            clock: Clock::of_tick(1.0),
            empty: Some(24.0),
        };
        histograms(&mut out, &[pair], source, &mut Axes::default());
        out
    }

    /// The sum of each path's vertical moves: a correct outline ends at the level
    /// where it began.
    fn levels(svg: &str) -> Vec<i32> {
        svg.split(" d=\"")
            .skip(1)
            .map(|path| {
                let outline = &path[1..path[1..].find(['M', '"']).unwrap() + 1];
                let rises = outline.split('v').skip(1);
                rises
                    .map(|v| v.split(['h', 'm']).next().unwrap().parse::<i32>().unwrap())
                    .sum()
            })
            .collect()
    }

    #[test]
    fn outlines_come_back_to_the_axis() {
        let mut random = random(7);
        for samples in [1, 64, 1000, 1_000_000] {
            let stale = histogram(&mut random, samples, 900.0);
            let base = histogram(&mut random, samples, 140.0);
            assert_eq!(levels(&draw(&stale, &base)), [0, 0], "{samples} samples");
        }
    }

    #[test]
    fn a_million_samples_take_few_bytes() {
        let mut random = random(3);
        let stale = histogram(&mut random, 1_000_000, 900.0);
        let svg = draw(&stale, &stale);
        assert!(svg.len() < 800, "{} bytes: {svg}", svg.len());
    }

    #[test]
    fn extremes_stay_within_the_frame() {
        let mut h = Histogram::new();
        for value in [0, 1, u64::MAX] {
            h.add_many(value, u32::MAX);
        }
        let svg = draw(&h, &Histogram::new());
        assert_eq!(levels(&svg), [0]);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn nothing_to_draw_draws_nothing() {
        assert_eq!(draw(&Histogram::new(), &Histogram::new()), "");
    }

    #[test]
    fn only_the_tail_is_coarse() {
        let mut h = Histogram::new();
        for value in 100..140 {
            h.add_many(value, 1000);
        }
        let fine = steps(&h).len();
        for value in (1000..100_000).step_by(50) {
            h.add(value);
        }
        let all = steps(&h);
        assert_eq!(all.iter().filter(|s| s.high <= 145.0).count(), fine);
        assert!(all.len() - fine <= 15, "{}", all.len());
    }
}
