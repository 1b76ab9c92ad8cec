//! Small line charts to one scale: latency against depth, or against the
//! number of stale cores. The control and the worst line are named and told
//! apart by their strokes; the others are the background.

use std::fmt::Write;

use maud::Render;
use stalecore_model::glossary::StaleState;

use super::text::{Said, time};

const LEFT: i32 = 58;
const WIDTH: i32 = 250;
const TOP: i32 = 20;
const HEIGHT: i32 = 130;

/// How a line is drawn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Place {
    /// In the background.
    Other,
    /// What the rest is measured against.
    Control,
    /// What matters most.
    Worst,
}

impl Place {
    /// The place of a stale state, when `worst` is the worst one.
    pub fn of(state: StaleState, worst: StaleState) -> Self {
        match state {
            s if s == worst && s != StaleState::Parked => Self::Worst,
            StaleState::Parked => Self::Control,
            _ => Self::Other,
        }
    }

    const fn class(self) -> char {
        match self {
            Self::Other => 'o',
            Self::Control => 'b',
            Self::Worst => 's',
        }
    }
}

/// One line of a chart.
pub struct Line {
    /// How it is drawn.
    pub place: Place,
    /// What it is called, where there is room.
    pub name: String,
    /// Nanoseconds at each tick of the horizontal axis, where known.
    pub points: Vec<Option<f64>>,
}

/// One chart.
pub struct Chart {
    /// The text above it.
    pub title: String,
    /// The lines.
    pub lines: Vec<Line>,
}

impl Chart {
    /// The whole decades of nanoseconds that hold all points.
    pub fn range(&self) -> (i32, i32) {
        let points = self.lines.iter().flat_map(|l| l.points.iter().flatten());
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for ns in points.filter(|ns| **ns > 0.0) {
            low = low.min(*ns);
            high = high.max(*ns);
        }
        if low > high {
            return (0, 1);
        }
        let (low, high) = (
            low.log10().floor() as i32,
            (high * 1.0001).log10().ceil() as i32,
        );
        (low, high.max(low + 1))
    }

    /// Draws it over the given decades; `ticks` label the horizontal axis.
    pub fn draw(&self, out: &mut String, ticks: &[String], (low, high): (i32, i32)) {
        let last = ticks.len().saturating_sub(1).max(1) as f64;
        let x = |nth: usize| LEFT + (f64::from(WIDTH) * nth as f64 / last) as i32;
        let y = |ns: f64| {
            let part = (ns.max(1e-12).log10() - f64::from(low)) / f64::from(high - low);
            TOP + HEIGHT - (f64::from(HEIGHT) * part.clamp(0.0, 1.0)) as i32
        };
        out.push_str("<figure class=chart><figcaption>");
        Said(&self.title).render_to(out);
        let _ = write!(
            out,
            "</figcaption><svg viewBox=\"0 0 {} {}\" aria-hidden=true><path class=grid d=\"",
            LEFT + WIDTH + 12,
            TOP + HEIGHT + 24
        );
        let every = ((high - low + 3) / 4).max(1) as usize;
        for decade in (low..=high).step_by(every) {
            let _ = write!(out, "M{LEFT} {}h{WIDTH}", y(10_f64.powi(decade)));
        }
        out.push_str("\"/>");
        for decade in (low..=high).step_by(every) {
            let ns = 10_f64.powi(decade);
            let _ = write!(
                out,
                "<text x={} y={} text-anchor=end>{}</text>",
                LEFT - 5,
                y(ns) + 4,
                time(ns)
            );
        }
        let every = ticks.len().div_ceil(8).max(1);
        for (nth, tick) in ticks.iter().enumerate().step_by(every) {
            let _ = write!(
                out,
                "<text x={} y={} text-anchor=middle>",
                x(nth),
                TOP + HEIGHT + 17
            );
            Said(tick).render_to(out);
            out.push_str("</text>");
        }
        let mut lines: Vec<_> = self.lines.iter().collect();
        lines.sort_by_key(|l| l.place);
        let mut names = Vec::new();
        for line in lines {
            let _ = write!(out, "<path class={} d=\"", line.place.class());
            let mut command = 'M';
            for (nth, ns) in line.points.iter().enumerate() {
                match ns {
                    Some(ns) => {
                        let _ = write!(out, "{command}{} {}", x(nth), y(*ns));
                        command = 'L';
                    }
                    None => command = 'M',
                }
            }
            out.push_str("\"/>");
            let end = line.points.iter().rev().flatten().next();
            if let (Place::Worst | Place::Control, Some(ns)) = (line.place, end) {
                names.push((y(*ns), line));
            }
        }
        label(out, &mut names);
        out.push_str("</svg></figure>");
    }
}

/// Draws all charts to one scale, so that they can be compared.
pub fn draw_all(charts: &[Chart], ticks: &[String]) -> String {
    let range = charts
        .iter()
        .map(Chart::range)
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
        .unwrap_or((0, 1));
    let mut out = String::from("<div class=charts>");
    for chart in charts {
        chart.draw(&mut out, ticks, range);
    }
    out.push_str("</div>");
    out
}

/// Names lines at their right end, moved apart where they would overlap.
fn label(out: &mut String, names: &mut [(i32, &Line)]) {
    names.sort_by_key(|(y, _)| *y);
    let mut free = 0;
    let lowest = names.len().saturating_sub(1);
    for (nth, (y, line)) in names.iter().enumerate() {
        // Above the line's end; the lowest of several goes below its own.
        let below = nth == lowest && nth > 0 && *y + 16 < TOP + HEIGHT;
        let at = if below {
            *y + 15
        } else {
            (*y - 7).max(free + 12)
        };
        let at = at.min(TOP + HEIGHT - 4);
        free = at;
        let _ = write!(
            out,
            "<text class=\"name {}\" x={} y={at} text-anchor=end>",
            line.place.class(),
            LEFT + WIDTH
        );
        Said(&line.name).render_to(out);
        out.push_str("</text>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(place: Place, points: &[Option<f64>]) -> Line {
        Line {
            place,
            name: "dc-storm".into(),
            points: points.into(),
        }
    }

    #[test]
    fn the_range_is_whole_decades_around_the_points() {
        let chart = |points: &[Option<f64>]| Chart {
            title: String::new(),
            lines: vec![line(Place::Other, points)],
        };
        assert_eq!(chart(&[Some(14.0), None, Some(2300.0)]).range(), (1, 4));
        assert_eq!(chart(&[Some(100.0)]).range(), (2, 3));
        assert_eq!(chart(&[None]).range(), (0, 1));
        assert_eq!(chart(&[Some(0.0)]).range(), (0, 1));
    }

    #[test]
    fn a_gap_in_the_points_is_a_gap_in_the_line() {
        let chart = Chart {
            title: "<b>".into(),
            lines: vec![line(Place::Worst, &[Some(10.0), None, Some(100.0)])],
        };
        let mut out = String::new();
        chart.draw(&mut out, &["1".into(), "2".into(), "4".into()], (1, 2));
        assert!(out.contains("d=\"M58 150M308 20\""), "{out}");
        assert!(out.contains("&lt;b&gt;") && out.contains(">dc-storm</text>"));
    }

    #[test]
    fn the_worst_is_drawn_last() {
        let chart = Chart {
            title: String::new(),
            lines: vec![
                line(Place::Worst, &[Some(1.0)]),
                line(Place::Other, &[Some(1.0)]),
            ],
        };
        let mut out = String::new();
        chart.draw(&mut out, &["1".into()], (0, 1));
        assert!(out.find("class=o").unwrap() < out.find("class=s").unwrap());
    }
}
