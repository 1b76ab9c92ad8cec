//! Words and figures of the report: times, ratios, and text that came from
//! somebody else.

use std::fmt::Write;

use maud::Render;
use stalecore_model::{glossary::Verdict, options::Milli, run::Run};

/// The most characters of one foreign text that are shown.
const SHOWN: usize = 2000;

/// Text from the console, a file or the user. It is escaped like all text;
/// in addition, whatever could deceive a reader (control characters, characters
/// that reverse the direction of writing or have no width) is replaced,
/// and what is too long is cut.
pub struct Said<'a>(pub &'a str);

impl Said<'_> {
    /// The text that is shown, not yet escaped.
    pub fn clean(&self) -> String {
        let mut chars = self.0.chars();
        let mut text: String = chars
            .by_ref()
            .take(SHOWN)
            .map(|c| match c {
                '\n' | '\t' => ' ',
                '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => '\u{fffd}',
                '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' => '\u{fffd}',
                c if c.is_control() => '\u{fffd}',
                c => c,
            })
            .collect();
        let rest = chars.count();
        if rest > 0 {
            let more = counted(rest as u64, "more character", "more characters");
            let _ = write!(text, "… ({more})");
        }
        text
    }
}

impl Render for Said<'_> {
    fn render_to(&self, buffer: &mut String) {
        self.clean().as_str().render_to(buffer);
    }
}

/// Turns ticks of a run's counter into time.
#[derive(Clone, Copy)]
pub struct Clock {
    /// Nanoseconds in a tick; 1 where the frequency is not known.
    pub ns: f64,
    known: bool,
}

impl Clock {
    /// The clock of that run.
    pub fn of(run: &Run) -> Self {
        match run.machine.as_ref().map(|m| m.counter_hz) {
            Some(hz) if hz > 0 => Self {
                ns: 1e9 / hz as f64,
                known: true,
            },
            _ => Self {
                ns: 1.0,
                known: false,
            },
        }
    }

    /// A clock of known tick, in nanoseconds.
    #[cfg(test)]
    pub const fn of_tick(ns: f64) -> Self {
        Self { ns, known: true }
    }

    /// Ticks as a time with its unit, to three digits; as ticks where the
    /// frequency is not known.
    pub fn show(self, ticks: u64) -> String {
        let value = ticks as f64 * self.ns;
        if self.known {
            time(value)
        } else {
            format!("{}\u{a0}ticks", grouped(ticks))
        }
    }
}

/// Nanoseconds as a time with its unit, to three digits.
pub fn time(ns: f64) -> String {
    let (value, unit) = match ns {
        n if n < 999.5 => (n, "ns"),
        n if n < 999.5e3 => (n / 1e3, "µs"),
        n if n < 999.5e6 => (n / 1e6, "ms"),
        n if n < 9_999.5e9 => (n / 1e9, "s"),
        n => return format!("{:.0e}\u{a0}s", n / 1e9),
    };
    format!("{}\u{a0}{unit}", three_digits(value))
}

/// A number to three digits, without trailing zeros.
pub fn three_digits(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    if decimals == 0 {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').into()
}

/// A number of things: `no lines`, `1 line`, `1,234 lines`.
pub fn counted(n: u64, one: &str, many: &str) -> String {
    match n {
        0 => format!("no {many}"),
        1 => format!("1 {one}"),
        n => format!("{} {many}", grouped(n)),
    }
}

/// A count with a comma at every thousand.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the largest unit that they fill, to three digits.
pub fn bytes(count: u64) -> String {
    let (unit, size) = match count {
        c if c < 1 << 10 => return format!("{c}\u{a0}bytes"),
        c if c < 1 << 20 => ("KiB", 10),
        c if c < 1 << 30 => ("MiB", 20),
        _ => ("GiB", 30),
    };
    let value = count as f64 / (1_u64 << size) as f64;
    format!("{}\u{a0}{unit}", three_digits(value))
}

/// A slow-down in a heat map's cell: about three characters.
pub fn short_ratio(milli: Milli) -> String {
    match milli {
        m if m < 95 => format!("{:.2}", f64::from(m) / 1e3),
        m if m < 9950 => format!("{:.1}", f64::from(m) / 1e3),
        m if m < 999_500 => format!("{:.0}", f64::from(m) / 1e3),
        m if m < 9_950_000 => format!("{:.1}k", f64::from(m) / 1e6),
        m => format!("{:.0}k", f64::from(m) / 1e6),
    }
}

/// A slow-down in running text: `3.21×`.
pub fn ratio(milli: Milli) -> String {
    if milli >= 1_000_000 {
        return format!("{}×", grouped((u64::from(milli) + 500) / 1000));
    }
    format!("{}×", three_digits(f64::from(milli) / 1e3))
}

/// The mark of a verdict, recognizable without colour, on paper and in any font.
pub const fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Completed => "✓",
        Verdict::Skipped => "–",
        Verdict::Inconclusive => "?",
        Verdict::Slowed => "▲",
        Verdict::Faulted => "!",
        Verdict::Blocked => "■",
        Verdict::Incoherent => "≠",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_a_unit() {
        for (ns, text) in [
            (0.0, "0 ns"),
            (0.5, "0.5 ns"),
            (140.0, "140 ns"),
            (999.6, "1 µs"),
            (12_340.0, "12.3 µs"),
            (2.5e9, "2.5 s"),
            (1.8e19, "2e10 s"),
        ] {
            assert_eq!(time(ns).replace('\u{a0}', " "), text);
        }
    }

    #[test]
    fn figures() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(12), "12");
        assert_eq!(bytes(49_152).replace('\u{a0}', " "), "48 KiB");
        assert_eq!(short_ratio(1049), "1.0");
        assert_eq!(short_ratio(240_400), "240");
        assert_eq!(short_ratio(1_601_000), "1.6k");
        assert_eq!(short_ratio(u32::MAX), "4295k");
        assert_eq!(short_ratio(20), "0.02");
        assert_eq!(ratio(3210), "3.21×");
        assert_eq!(ratio(90_062_500), "90,063×");
    }

    #[test]
    fn foreign_text_cannot_deceive() {
        let said = Said("a\u{202e}b\u{1b}[31m<script>\n")
            .render()
            .into_string();
        assert_eq!(said, "a\u{fffd}b\u{fffd}[31m&lt;script&gt; ");
        let long = "x".repeat(5000);
        assert!(Said(&long).clean().ends_with("(3,000 more characters)"));
    }
}
