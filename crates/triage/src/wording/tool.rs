//! What the `crash` utility prints about a vmcore: `sys`, `bt -a`, and its
//! warnings.

use super::super::{
    fields::{self, Symbol},
    message::Message,
};

/// Reads one line.
pub fn parse(text: &[u8]) -> Option<Message<'_>> {
    if let Some(rest) = text.strip_prefix(b"PID: ") {
        return task(rest);
    }
    if text.starts_with(b"#") {
        return frame(text);
    }
    if let Some(rest) = text.strip_prefix(b"RELEASE: ") {
        return fields::kernel_release(rest.trim_ascii()).map(Message::ToolRelease);
    }
    if let Some(rest) = text.strip_prefix(b"PANIC: ") {
        return Some(Message::ToolPanic(rest.trim_ascii().trim_ascii_start()));
    }
    if let Some(rest) = text.strip_prefix(b"CPUS: ") {
        return fields::number(rest).map(|(count, _)| Message::ToolCpus(count));
    }
    if let Some(rest) = text.strip_prefix(b"PC: ") {
        return in_brackets(rest).map(Message::ToolPc);
    }
    let at = memchr::memmem::find(text, b"NT_PRSTATUS note for cpu: ")?;
    let (cpu, _) = fields::number(&text[at + b"NT_PRSTATUS note for cpu: ".len()..])?;
    Some(Message::NoRegisters(cpu))
}

/// `PID: 2333   TASK: ffff8021f0b45d00  CPU: 24  COMMAND: "containerd"`.
fn task(rest: &[u8]) -> Option<Message<'_>> {
    let (pid, rest) = fields::number(rest)?;
    let behind = |word: &[u8]| memchr::memmem::find(rest, word).map(|at| &rest[at + word.len()..]);
    behind(b" TASK: ")?;
    let (cpu, _) = fields::number(behind(b" CPU: ")?)?;
    let name = behind(b"COMMAND: \"")?;
    let name = name.strip_suffix(b"\"").unwrap_or(name);
    Some(Message::ToolTask(pid, cpu, fields::clean(name)))
}

/// `#2 [ffff00001020f6e0] panic at ffff0000080e5f84`.
fn frame(text: &[u8]) -> Option<Message<'_>> {
    let (_, rest) = fields::number(&text[1..])?;
    let rest = rest.trim_ascii_start().strip_prefix(b"[")?;
    let rest = rest[memchr::memchr(b']', rest)? + 1..].trim_ascii_start();
    let at = memchr::memmem::find(rest, b" at ")?;
    fields::bare_symbol(&rest[..at]).map(Message::ToolFrame)
}

/// `ffff000008d5a498  [queued_spin_lock_slowpath+248]`, the offset in decimal.
fn in_brackets(text: &[u8]) -> Option<Symbol> {
    let open = memchr::memchr(b'[', text)?;
    let inside = &text[open + 1..memchr::memchr(b']', text)?.max(open + 1)];
    let plus = memchr::memchr(b'+', inside).unwrap_or(inside.len());
    let mut symbol = fields::bare_symbol(&inside[..plus])?;
    symbol.offset = inside
        .get(plus + 1..)
        .and_then(fields::number)
        .map(|(offset, _)| offset.into());
    Some(symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_utilitys_lines_are_read() {
        assert_eq!(
            parse(b"PID: 2333   TASK: ffff8021f0b45d00  CPU: 24  COMMAND: \"containerd\""),
            Some(Message::ToolTask(2333, 24, "containerd".into()))
        );
        let Some(Message::ToolFrame(frame)) =
            parse(b"#2 [ffff00001020f6e0] panic at ffff0000080e5f84")
        else {
            panic!("a frame");
        };
        assert_eq!(frame.to_string(), "panic");
        let Some(Message::ToolPc(pc)) =
            parse(b"PC: ffff000008d5a498  [queued_spin_lock_slowpath+248]")
        else {
            panic!("a program counter");
        };
        assert_eq!(pc.to_string(), "queued_spin_lock_slowpath+0xf8");
        assert_eq!(
            parse(b"WARNING: cannot find NT_PRSTATUS note for cpu: 23"),
            Some(Message::NoRegisters(23))
        );
        assert_eq!(parse(b"CPUS: 128"), Some(Message::ToolCpus(128)));
        assert_eq!(parse(b"#1 SMP PREEMPT"), None);
    }
}
