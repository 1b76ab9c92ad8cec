//! The axes of the histograms. Plots of the same run with the same range share
//! one drawing of them, kept in the page's definitions.

use std::{collections::BTreeMap, fmt::Write};

use super::text::{Clock, time};
use stalecore_model::run::Run;

/// From the plot's left edge to the axis: room for the labels.
pub const LEFT: i32 = 80;
/// The length of the axis of time.
pub const WIDTH: i32 = 600;
/// The height of a panel.
pub const PANEL: i32 = 104;
/// The width of the class's name and the empty block's label side by side, in the
/// larger letters that a phone gets.
const NAMES: i32 = 400;
const TOP: i32 = 16;
const GAP: i32 = 24;

/// What the axes of a plot depend on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frame {
    /// Which run: each has its own empty block.
    pub run: usize,
    /// The range of time, in powers of ten of nanoseconds.
    pub decades: (i32, i32),
    /// The smallest share, as a negative power of ten.
    pub floor: u32,
    /// The classes, one panel each.
    pub classes: Vec<&'static str>,
}

impl Frame {
    /// The position of a time in nanoseconds, within the panel's edges.
    pub fn x(&self, ns: f64) -> i32 {
        let (low, high) = (f64::from(self.decades.0), f64::from(self.decades.1));
        let part = (ns.max(1e-12).log10() - low) / (high - low);
        LEFT + (f64::from(WIDTH) * part.clamp(0.0, 1.0)).round() as i32
    }

    /// How high a share of the samples reaches, without limits.
    pub fn height_of(&self, share: f64) -> i32 {
        let floor = f64::from(self.floor);
        (f64::from(PANEL) * (1.0 + share.log10() / floor)).round() as i32
    }

    /// The baseline of a panel.
    pub fn bottom(&self, panel: usize) -> i32 {
        TOP + PANEL + (PANEL + GAP) * panel as i32
    }

    /// The height of the whole plot.
    pub fn height(&self) -> i32 {
        self.bottom(self.classes.len() - 1) + 42
    }
}

/// The axes in use, by the order in which they were asked for.
#[derive(Default)]
pub struct Axes {
    frames: BTreeMap<Frame, usize>,
}

impl Axes {
    /// The name under which the plot's axes will be found.
    pub fn id(&mut self, frame: &Frame) -> String {
        let next = self.frames.len();
        format!("a{}", *self.frames.entry(frame.clone()).or_insert(next))
    }

    /// Writes the definitions of all axes in use.
    pub fn define(&self, out: &mut String, runs: &[Run]) {
        out.push_str("<svg class=defs aria-hidden=true><defs>");
        for (frame, id) in &self.frames {
            let _ = write!(out, "<g id=a{id} class=ax>");
            let run = runs.get(frame.run);
            for (panel, class) in frame.classes.iter().enumerate() {
                let last = panel + 1 == frame.classes.len();
                draw(out, frame, frame.bottom(panel), class, run, last);
            }
            out.push_str("</g>");
        }
        out.push_str("</defs></svg>");
    }
}

/// Draws one panel's axes, its class and the empty block; the panels share the
/// labels of time under the last.
fn draw(out: &mut String, frame: &Frame, bottom: i32, class: &str, run: Option<&Run>, last: bool) {
    let right = LEFT + WIDTH;
    let top = bottom - PANEL;
    let _ = write!(out, "<path class=grid d=\"");
    for decade in frame.decades.0..=frame.decades.1 {
        let _ = write!(out, "M{} {top}V{bottom}", frame.x(10_f64.powi(decade)));
    }
    let every = frame.floor.div_ceil(3).max(1);
    let shares = || {
        (0..=frame.floor).step_by(every as usize).map(|power| {
            let y = bottom - frame.height_of(10_f64.powi(-(power as i32)));
            (power, y)
        })
    };
    for (_, y) in shares() {
        let _ = write!(out, "M{LEFT} {y}H{right}");
    }
    let _ = write!(out, "\"/><path class=axis d=\"M{LEFT} {bottom}H{right}\"/>");
    for (power, y) in shares() {
        let (x, y, share) = (LEFT - 8, y + 6, share(power));
        let _ = write!(out, "<text x={x} y={y} text-anchor=end>{share}</text>");
    }
    if last {
        times(out, frame, bottom + 30);
    }
    let _ = write!(
        out,
        "<text class=name x={right} y={} text-anchor=end>{class}</text>",
        top + 18
    );
    let empty = run.and_then(empty_block).map(|ns| frame.x(ns));
    if let Some(x) = empty {
        // On the side where it does not run into the class's name.
        let (text, anchor) = if x + NAMES > right {
            (x - 6, " text-anchor=end")
        } else {
            (x + 6, "")
        };
        let y = top + 16;
        let _ = write!(
            out,
            "<path class=empty d=\"M{x} {top}V{bottom}\"/><text class=empty x={text} y={y}{anchor}>empty block</text>",
        );
    }
}

/// Labels the decades of time, as many as there is room for.
fn times(out: &mut String, frame: &Frame, y: i32) {
    let (low, high) = frame.decades;
    for decade in (low..=high).step_by(((high - low + 5) / 6).max(1) as usize) {
        let ns = 10_f64.powi(decade);
        let x = frame.x(ns);
        let anchor = if x + 20 > LEFT + WIDTH {
            "end"
        } else {
            "middle"
        };
        let _ = write!(
            out,
            "<text x={x} y={y} text-anchor={anchor}>{}</text>",
            time(ns)
        );
    }
}

/// The median of a run's empty block, in nanoseconds.
pub fn empty_block(run: &Run) -> Option<f64> {
    let ticks = run.machine.as_ref()?.empty.quantile(500)?;
    Some(ticks as f64 * Clock::of(run).ns)
}

/// A negative power of ten as a share.
fn share(power: u32) -> String {
    match power {
        0..=2 => format!("{}\u{a0}%", 10_u32.pow(2 - power)),
        3 => "0.1\u{a0}%".into(),
        4 => "0.01\u{a0}%".into(),
        5 | 6 => format!("{}\u{a0}ppm", 10_u32.pow(6 - power)),
        n => format!("10⁻{}", superscript(n)),
    }
}

fn superscript(number: u32) -> String {
    let digits = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    number
        .to_string()
        .bytes()
        .map(|b| digits[usize::from(b - b'0')])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use stalecore_synthetic::{self as synthetic, Shape};

    fn frame(decades: (i32, i32), floor: u32) -> Frame {
        Frame {
            run: 0,
            decades,
            floor,
            classes: vec!["complete", "issue"],
        }
    }

    #[test]
    fn the_ends_of_the_range_are_the_ends_of_the_axis() {
        let frame = frame((1, 4), 2);
        assert_eq!(frame.x(10.0), LEFT);
        assert_eq!(frame.x(10_000.0), LEFT + WIDTH);
        assert_eq!(frame.x(0.0), LEFT);
        assert_eq!((frame.height_of(1.0), frame.height_of(0.01)), (PANEL, 0));
    }

    #[test]
    fn the_empty_block_keeps_clear_of_the_class() {
        let run = synthetic::run(&Shape::default());
        let drawn = |decades| {
            let mut out = String::new();
            draw(
                &mut out,
                &frame(decades, 2),
                120,
                "complete",
                Some(&run),
                false,
            );
            out
        };
        // At about 24 ns: left of the middle, and left of all but the beginning.
        assert!(drawn((1, 2)).contains("text-anchor=end>empty block"));
        let far = drawn((1, 6));
        assert!(far.contains("empty block") && !far.contains("text-anchor=end>empty block"));
    }

    #[test]
    fn equal_axes_are_drawn_once() {
        let mut axes = Axes::default();
        let first = axes.id(&frame((1, 4), 2));
        assert_eq!(axes.id(&frame((1, 4), 2)), first);
        assert_ne!(axes.id(&frame((1, 4), 6)), first);
        let mut out = String::new();
        axes.define(&mut out, &[]);
        assert_eq!(out.matches("class=ax>").count(), 2);
    }

    #[test]
    fn shares_are_words_that_people_read() {
        assert_eq!(share(0).replace('\u{a0}', " "), "100 %");
        assert_eq!(share(6).replace('\u{a0}', " "), "1 ppm");
        assert_eq!(share(12), "10⁻¹²");
    }
}
