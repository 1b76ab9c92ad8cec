//! The pieces that kernel messages are made of: numbers, symbols, the `CPU:`
//! line of a dump, the name and pid of a task.

use memchr::{memchr, memchr_iter, memrchr, memrchr_iter};

use super::prefix::digits;

/// A kernel address as the kernel prints it, `symbol+0x278/0x2f8`, or as people
/// copy it, without the numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Symbol {
    /// The function.
    pub name: String,
    /// Bytes from its start, where printed.
    pub offset: Option<u64>,
    /// Its size in bytes, where printed.
    pub size: Option<u64>,
}

impl std::fmt::Display for Symbol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        if let Some(offset) = self.offset {
            write!(f, "+{offset:#x}")?;
        }
        match self.size {
            Some(size) => write!(f, "/{size:#x}"),
            None => Ok(()),
        }
    }
}

/// Who was running, from the line that every dump carries.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CpuLine {
    /// The CPU that printed it.
    pub cpu: u32,
    /// The task's pid.
    pub pid: Option<u32>,
    /// The task's name.
    pub comm: Option<String>,
    /// Was a crash kernel loaded? `None` where the line is cut off.
    pub kdump_loaded: Option<bool>,
    /// The kernel's release.
    pub release: Option<String>,
}

/// Takes the decimal number that the text begins with.
pub fn number(text: &[u8]) -> Option<(u32, &[u8])> {
    let end = text
        .iter()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(text.len());
    let value = u32::try_from(digits(&text[..end])?).ok()?;
    Some((value, &text[end..]))
}

/// Takes a hexadecimal number with its `0x`.
pub fn hexadecimal(text: &[u8]) -> Option<(u64, &[u8])> {
    let text = text.strip_prefix(b"0x")?;
    let end = text
        .iter()
        .position(|b| !b.is_ascii_hexdigit())
        .unwrap_or(text.len());
    let value = std::str::from_utf8(&text[..end]).ok()?;
    Some((u64::from_str_radix(value, 16).ok()?, &text[end..]))
}

/// Reads `symbol+0x278/0x2f8`, with `[<address>]` before it and `[module]`, its
/// bare name, `(P)` or a source line behind it, and nothing else on the line.
pub fn symbol(text: &[u8]) -> Option<Symbol> {
    let text = behind_address(text)?;
    let plus = text.iter().position(|b| *b == b'+')?;
    let name = &text[..plus];
    if !is_name(name) {
        return None;
    }
    let (offset, mut rest) = hexadecimal(&text[plus + 1..])?;
    let mut size = None;
    if let Some(behind) = rest.strip_prefix(b"/") {
        let (bytes, behind) = hexadecimal(behind)?;
        size = Some(bytes);
        rest = behind;
    }
    if !(rest.is_empty() || rest.starts_with(b" ")) || !is_trimming(rest) {
        return None;
    }
    Some(Symbol {
        name: ascii(name),
        offset: Some(offset),
        size,
    })
}

/// Reads a frame of which only the name is left, perhaps with the source line
/// that a decoder put there: `el1_irq`, `el1_irq (arch/arm64/kernel/entry.S:672)`.
/// Many words look like that: only for places where there must be a frame.
pub fn bare_symbol(text: &[u8]) -> Option<Symbol> {
    let text = behind_address(text)?;
    let end = memchr(b' ', text).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    (is_name(name) && is_trimming(rest)).then(|| Symbol {
        name: ascii(name),
        offset: None,
        size: None,
    })
}

fn behind_address(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii();
    let text = text.strip_prefix(b"? ").unwrap_or(text);
    let Some(behind) = text.strip_prefix(b"[<") else {
        return Some(text);
    };
    let close = behind.windows(2).position(|w| w == b">]")?;
    Some(behind[close + 2..].trim_ascii_start())
}

fn is_name(name: &[u8]) -> bool {
    let inside = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'$');
    name.first().is_some_and(|b| !b.is_ascii_digit())
        && name.len() <= 200
        && name.iter().all(inside)
}

/// What may follow a symbol: a module, with or without brackets, marks such as
/// `(P)`, a source line, with or without parentheses.
fn is_trimming(text: &[u8]) -> bool {
    let mut inside = None;
    let mut words = 0;
    for word in text.split(|b| *b == b' ').filter(|w| !w.is_empty()) {
        words += 1;
        match (inside, word[0]) {
            (None, b'[') => inside = Some(b']'),
            (None, b'(') => inside = Some(b')'),
            (None, _) => {
                let is_source = memchr(b':', word)
                    .is_some_and(|at| word[at + 1..].first().is_some_and(u8::is_ascii_digit));
                let is_module = word
                    .iter()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
                if !(is_source || is_module && words == 1 || is_module && text.contains(&b'(')) {
                    return false;
                }
            }
            _ => {}
        }
        if let Some(close) = inside
            && word.ends_with(&[close])
        {
            inside = None;
        }
    }
    words <= 6
}

/// Reads what follows `CPU: `, in the forms of all kernels since 4.x.
pub fn cpu_line(text: &[u8]) -> Option<CpuLine> {
    let (cpu, rest) = number(text)?;
    let mut rest = rest.strip_prefix(b" ")?;
    if let Some(behind) = rest.strip_prefix(b"UID: ") {
        rest = number(behind)?.1.strip_prefix(b" ")?;
    }
    let (pid, rest) = number(rest.strip_prefix(b"PID: ")?)?;
    let mut line = CpuLine {
        cpu,
        ..CpuLine::default()
    };
    let Some(rest) = rest.strip_prefix(b" Comm: ") else {
        return Some(line);
    };
    line.pid = Some(pid);
    // The name may hold spaces: it ends where one of the fixed words begins.
    let words: [&[u8]; 3] = [b" Kdump: loaded ", b" Tainted: ", b" Not tainted "];
    let fixed = |at: &usize| words.iter().any(|word| rest[*at..].starts_with(word));
    let Some(end) = memchr_iter(b' ', rest).find(fixed) else {
        return Some(line);
    };
    line.comm = Some(clean(&rest[..end]));
    let rest = &rest[end..];
    line.kdump_loaded = Some(rest.starts_with(b" Kdump: loaded "));
    line.release = release(rest);
    Some(line)
}

/// The word before ` #1`, the build number.
fn release(text: &[u8]) -> Option<String> {
    let behind = |at: &usize| text.get(at + 1).is_some_and(u8::is_ascii_digit);
    let before = text[..memrchr_iter(b'#', text).find(behind)?].strip_suffix(b" ")?;
    let start = memrchr(b' ', before)? + 1;
    kernel_release(&before[start..])
}

/// A kernel's release: a word that begins with a digit.
pub fn kernel_release(word: &[u8]) -> Option<String> {
    let fits = word.first().is_some_and(u8::is_ascii_digit)
        && word.len() < 100
        && word.iter().all(u8::is_ascii_graphic);
    fits.then(|| ascii(word))
}

/// Reads ` [containerd:2333]`; the name may hold any character.
pub fn task(text: &[u8]) -> Option<(String, u32)> {
    let inside = text.trim_ascii().strip_prefix(b"[")?.strip_suffix(b"]")?;
    let colon = memrchr(b':', inside)?;
    let (pid, rest) = number(&inside[colon + 1..])?;
    rest.is_empty().then(|| (clean(&inside[..colon]), pid))
}

/// Makes text from the log printable: valid UTF-8, on one line, without control
/// characters, runs of spaces as one, at most 200 characters.
pub fn clean(text: &[u8]) -> String {
    if text.len() <= LONGEST && is_clean(text) {
        return ascii(text);
    }
    let text = String::from_utf8_lossy(text.get(..4 * LONGEST).unwrap_or(text));
    let words: Vec<_> = text.split_ascii_whitespace().collect();
    words
        .join(" ")
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .take(LONGEST)
        .collect()
}

/// Text that is known to be ASCII.
pub fn ascii(text: &[u8]) -> String {
    String::from_utf8(text.to_vec()).unwrap_or_default()
}

/// How many characters of a text are kept.
const LONGEST: usize = 200;

/// Is it ASCII without control characters, its words one space apart?
fn is_clean(text: &[u8]) -> bool {
    let mut before = b' ';
    let fits = text.iter().all(|b| {
        let fits = b.is_ascii_graphic() || *b == b' ' && before != b' ';
        before = *b;
        fits
    });
    fits && (before != b' ' || text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lines_of_all_ages() {
        let line = cpu_line(b"24 PID: 2333 Comm: containerd Kdump: loaded Tainted: G           OE    --------- -  - 4.18.0-147.5.1.el8_1.aarch64 #1").unwrap();
        assert_eq!((line.cpu, line.pid), (24, Some(2333)));
        assert_eq!(line.comm.as_deref(), Some("containerd"));
        assert_eq!(line.kdump_loaded, Some(true));
        assert_eq!(
            line.release.as_deref(),
            Some("4.18.0-147.5.1.el8_1.aarch64")
        );
        let line =
            cpu_line(b"3 UID: 0 PID: 1 Comm: my task Not tainted 6.15.0 #7 PREEMPT").unwrap();
        assert_eq!(line.comm.as_deref(), Some("my task"));
        assert_eq!((line.cpu, line.kdump_loaded), (3, Some(false)));
        assert_eq!(line.release.as_deref(), Some("6.15.0"));
    }

    #[test]
    fn a_cut_cpu_line_keeps_what_is_whole() {
        let line = cpu_line(b"24 PID: 2333 Comm: contai").unwrap();
        assert_eq!(
            (line.pid, line.comm, line.release),
            (Some(2333), None, None)
        );
        let line = cpu_line(b"24 PID: 2333 Comm: x Not tainted 6.1").unwrap();
        assert_eq!(line.release, None);
        assert_eq!(cpu_line(b"24 PI"), None);
    }

    #[test]
    fn symbols_with_and_without_trimmings() {
        for text in [
            " el1_irq+0xb0/0x140",
            "[<ffff000008081234>] el1_irq+0xb0/0x140",
            "el1_irq+0xb0/0x140 [xfs]",
            "el1_irq+0xb0/0x140 (P)",
            "el1_irq+0xb0/0x140 xfs",
            "el1_irq+0xb0/0x140 [xfs] (P)",
            "el1_irq+0xb0/0x140 (arch/arm64/kernel/entry.S:672)",
            "el1_irq+0xb0/0x140 arch/arm64/kernel/entry.S:672",
            "? el1_irq+0xb0/0x140",
        ] {
            let found = symbol(text.as_bytes()).unwrap();
            assert_eq!(found.to_string(), "el1_irq+0xb0/0x140");
        }
        for text in [
            "flush_icache_range + 0x5c",
            "a+0xzz",
            "x = a+0x1/0x2",
            "a+0x1/0x2;",
        ] {
            assert_eq!(symbol(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn frames_without_numbers() {
        for text in [
            "el1_irq",
            " el1_irq ",
            "[<ffff000008081234>] el1_irq",
            "el1_irq (arch/arm64/kernel/entry.S:672)",
            "el1_irq (kernel/smp.c:442 (discriminator 2))",
            "el1_irq (kernel/smp.c:442) xfs",
            "el1_irq arch/arm64/kernel/entry.S:672",
            "el1_irq [xfs]",
        ] {
            let found = bare_symbol(text.as_bytes()).map(|s| s.to_string());
            assert_eq!(found.as_deref(), Some("el1_irq"), "{text}");
        }
        for text in [
            "Code: d2800100 52800021",
            "it says so",
            "---[ end trace 0 ]---",
            "~ # ls",
        ] {
            assert_eq!(bare_symbol(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn task_names_may_hold_colons() {
        assert_eq!(
            task(b" [kworker/24:1H:512]"),
            Some(("kworker/24:1H".into(), 512))
        );
        assert_eq!(task(b" [contain"), None);
    }

    #[test]
    fn shown_text_cannot_steer_a_terminal() {
        assert_eq!(clean(b" a\x1b[2J\xff  b\n"), "a\u{fffd}[2J\u{fffd} b");
    }
}
