//! Recognises the kernel's messages about a crash, as kernels from 4.x on word them.

mod boot;
mod firmware;
mod stall;
mod tool;

use super::{fields, message::Message};

pub use boot::part;

/// Reads one message; `None` for all others. `complete` says that the line
/// was not cut off at its end.
pub fn parse(text: &[u8], complete: bool) -> Option<Message<'_>> {
    let text = text.trim_ascii();
    let found = families(text, complete)?;
    // A message that a cut may have changed without making it unreadable is left out.
    let sure = complete
        || !matches!(
            found,
            Message::Hardware(_)
                | Message::Pc(_)
                | Message::Lr(_)
                | Message::Frame(_)
                | Message::Backtrace(_)
                | Message::CpusUp(_)
                | Message::RcuCpu(_)
                | Message::Asked(..)
                | Message::FirmwareRegister(..)
                | Message::CaptureSign
                | Message::PrimarySign
        );
    sure.then_some(found)
}

/// Asks each family of messages in turn, the most frequent first. One by one, and not
/// chained: a message is large, and would be moved at each link.
fn families(text: &[u8], complete: bool) -> Option<Message<'_>> {
    for family in [fence, frame, dump] {
        let found = family(text);
        if found.is_some() {
            return found;
        }
    }
    let found = lockup(text, complete);
    if found.is_some() {
        return found;
    }
    for family in [
        crash,
        stop,
        stall::parse,
        boot::parse,
        firmware::parse,
        tool::parse,
    ] {
        let found = family(text);
        if found.is_some() {
            return found;
        }
    }
    None
}

fn lockup(text: &[u8], complete: bool) -> Option<Message<'_>> {
    let mut text = text;
    for prefix in [&b"SDEI "[..], b"NMI ", b"watchdog: "] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    if let Some(rest) = text.strip_prefix(b"BUG: soft lockup - CPU#") {
        let (cpu, rest) = fields::number(rest)?;
        let (stuck_s, rest) = fields::number(rest.strip_prefix(b" stuck for ")?)?;
        // Not from a real kernel, but the staged one's watchdog may need less than a second.
        let rest = match rest.strip_prefix(b".") {
            Some(fraction) => fields::number(fraction)?.1,
            None => rest,
        };
        return Some(Message::SoftLockup {
            cpu,
            stuck_s,
            task: fields::task(rest.strip_prefix(b"s!")?),
        });
    }
    // Since 6.17 the line begins with the CPU that found it.
    let mut by = None;
    if let Some(rest) = text.strip_prefix(b"CPU") {
        let (cpu, rest) = fields::number(rest)?;
        by = Some(cpu);
        text = rest.strip_prefix(b": ")?;
    }
    let rest = text.strip_prefix(b"Watchdog detected hard LOCKUP on cpu ")?;
    let number = fields::number(rest);
    let whole = number.filter(|(_, behind)| complete || !behind.is_empty());
    Some(Message::HardLockup {
        cpu: whole.map(|(cpu, _)| cpu),
        by,
    })
}

fn crash(text: &[u8]) -> Option<Message<'_>> {
    let oops = [
        &b"Internal error: "[..],
        b"Unable to handle kernel ",
        b"kernel BUG at ",
    ];
    if oops.iter().any(|start| text.starts_with(start)) {
        return Some(Message::Oops(text));
    }
    if let Some(reason) = text.strip_prefix(b"Kernel panic - not syncing") {
        let reason = reason.strip_prefix(b":").unwrap_or(reason);
        return Some(Message::Panic(reason.trim_ascii()));
    }
    if let Some(rest) = text.strip_prefix(b"panic: ") {
        return redirected(rest);
    }
    if let Some(rest) = text.strip_prefix(b"Rebooting in ") {
        return Some(Message::PanicEnd(fields::number(rest).map(|(s, _)| s)));
    }
    if text.starts_with(b"---[ end Kernel panic") {
        return Some(Message::PanicEnd(None));
    }
    if text.starts_with(b"Kernel Offset: ") || text.starts_with(b"Memory Limit: ") {
        return Some(Message::Notifiers);
    }
    let sysrq = text.strip_prefix(b"sysrq: ").unwrap_or(text);
    let sysrq = sysrq.strip_prefix(b"SysRq : ").unwrap_or(sysrq);
    (sysrq == b"Trigger a crash").then_some(Message::SysrqCrash)
}

/// `Redirecting from CPU 3 to CPU 0 for crash kernel.`
fn redirected(text: &[u8]) -> Option<Message<'_>> {
    if text.starts_with(b"failed to redirect to CPU ") {
        return Some(Message::NotRedirected);
    }
    let (from, rest) = fields::number(text.strip_prefix(b"Redirecting from CPU ")?)?;
    let (to, rest) = fields::number(rest.strip_prefix(b" to CPU ")?)?;
    rest.starts_with(b" for crash kernel")
        .then_some(Message::Redirected(from, to))
}

fn stop(text: &[u8]) -> Option<Message<'_>> {
    match text {
        b"Bye!" => return Some(Message::Bye),
        b"Starting crashdump kernel..." | b"Loading crashdump kernel..." => {
            return Some(Message::CrashKernel);
        }
        b"Some CPUs may be stale, kdump will be unreliable." => {
            return Some(Message::StaleWarning);
        }
        _ => {}
    }
    if let Some(said) = text.strip_prefix(b"sdei_nmi: ") {
        return Some(Message::SdeiNmi(said));
    }
    // Lower case in trees with the generic stop code.
    let text = text
        .strip_prefix(b"SMP: ")
        .or(text.strip_prefix(b"smp: "))?;
    if text == b"stopping secondary CPUs" {
        return Some(Message::Stopping);
    }
    if let Some(list) = text.strip_prefix(b"failed to stop secondary CPUs") {
        return Some(Message::FailedToStop(list.trim_ascii()));
    }
    let retry = text.strip_prefix(b"retry stop with ")?;
    if let Some(list) = retry.strip_prefix(b"SDEI NMI for CPUs ") {
        return Some(Message::RetrySdei(list.trim_ascii()));
    }
    retry
        .strip_prefix(b"NMI for CPUs ")
        .map(|list| Message::Retry(list.trim_ascii()))
}

fn fence(text: &[u8]) -> Option<Message<'_>> {
    let is_fence = text.starts_with(b"```") || text.starts_with(b"~~~");
    is_fence.then_some(Message::Fence)
}

/// A line that is one symbol: a name up to `+0x`, digits, perhaps a module. The caller
/// reads it in full.
fn frame(text: &[u8]) -> Option<Message<'_>> {
    let name = text
        .iter()
        .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'$')))?;
    let digits = text[name..].strip_prefix(b"+0x");
    let behind = digits.map(|d| {
        d.iter()
            .find(|b| !(b.is_ascii_hexdigit() || matches!(b, b'/' | b'x')))
            .unwrap_or(&b' ')
    });
    let is_frame = name > 0 && behind == Some(&b' ') || text.starts_with(b"[<");
    is_frame.then_some(Message::Frame(text))
}

fn dump(text: &[u8]) -> Option<Message<'_>> {
    if let Some(rest) = text.strip_prefix(b"CPU: ") {
        return fields::cpu_line(rest).map(Message::Cpu);
    }
    if let Some(rest) = text.strip_prefix(b"WARNING: ") {
        return warn_cpu(rest).map(Message::Warn);
    }
    if let Some(name) = text.strip_prefix(b"Hardware name: ") {
        return Some(Message::Hardware(fields::clean(name)));
    }
    if let Some(other) = foreign(text) {
        return Some(Message::Foreign(other));
    }
    // The register is always a symbol or an address: what is left of a symbol
    // without its numbers still is one.
    let symbol = |rest| fields::symbol(rest).or_else(|| fields::bare_symbol(rest));
    for start in [&b"pc : "[..], b"PC is at "] {
        if let Some(rest) = text.strip_prefix(start) {
            return Some(Message::Pc(symbol(rest)));
        }
    }
    for start in [&b"lr : "[..], b"LR is at "] {
        if let Some(rest) = text.strip_prefix(start) {
            return Some(Message::Lr(symbol(rest)));
        }
    }
    if let Some(rest) = text.strip_prefix(b"NMI backtrace for cpu ") {
        return fields::number(rest).map(|(cpu, _)| Message::Backtrace(cpu));
    }
    match text {
        b"Call trace:" => Some(Message::CallTrace),
        _ if text.starts_with(b"---[ end trace ") && text.ends_with(b"]---") => {
            Some(Message::EndTrace)
        }
        _ => None,
    }
}

/// Rows that only another architecture prints, and which one it is.
fn foreign(text: &[u8]) -> Option<&'static str> {
    let has = |word: &[u8]| memchr::memmem::find(text, word).is_some();
    let begins = |word: &[u8]| text.starts_with(word);
    if begins(b"RIP: ") {
        Some("x86")
    } else if begins(b"epc : ") && has(b" ra : ") || begins(b"status: ") && has(b"badaddr: ") {
        Some("riscv")
    } else if begins(b"NIP [c0") || begins(b"NIP:  ") || begins(b"REGS: ") && has(b" TRAP: ") {
        Some("powerpc")
    } else if begins(b"pc : [<") && has(b"psr: ") {
        Some("32-bit Arm")
    } else if begins(b"Krnl PSW") {
        Some("s390")
    } else if text == b"Call Trace:" {
        Some("another architecture")
    } else {
        None
    }
}

/// `CPU: 24 PID: 2333 at file:line function`, and since 6.18
/// `file:line at function, CPU#24: task/2333`.
fn warn_cpu(text: &[u8]) -> Option<u32> {
    if let Some(rest) = text.strip_prefix(b"CPU: ") {
        let (cpu, rest) = fields::number(rest)?;
        return rest.starts_with(b" PID: ").then_some(cpu);
    }
    let at = memchr::memmem::find(text, b", CPU#")?;
    let (cpu, rest) = fields::number(&text[at + b", CPU#".len()..])?;
    rest.starts_with(b": ").then_some(cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Message<'_>> {
        parse(text.as_bytes(), true)
    }

    #[test]
    fn lockups_of_all_ages() {
        let soft = Message::SoftLockup {
            cpu: 24,
            stuck_s: 23,
            task: Some(("containerd".into(), 2333)),
        };
        for start in ["watchdog: ", "NMI watchdog: ", ""] {
            let text = format!("{start}BUG: soft lockup - CPU#24 stuck for 23s! [containerd:2333]");
            assert_eq!(read(&text), Some(soft.clone()));
        }
        let played = "watchdog: BUG: soft lockup - CPU#24 stuck for 23.4s! [containerd:2333]";
        assert_eq!(read(played), Some(soft));
        for (start, by) in [
            ("NMI watchdog: ", None),
            ("watchdog: ", None),
            ("watchdog: CPU7: ", Some(7)),
        ] {
            let text = format!("{start}Watchdog detected hard LOCKUP on cpu 3");
            assert_eq!(read(&text), Some(Message::HardLockup { cpu: Some(3), by }));
        }
    }

    #[test]
    fn numbers_that_may_be_cut_off_are_not_believed() {
        assert_eq!(
            read("watchdog: BUG: soft lockup - CPU#24 stuck for 2"),
            None
        );
        assert_eq!(
            parse(b"watchdog: Watchdog detected hard LOCKUP on cpu 2", false),
            Some(Message::HardLockup {
                cpu: None,
                by: None
            })
        );
    }

    #[test]
    fn both_wordings_of_a_warning_give_the_cpu() {
        let warn = Some(Message::Warn(24));
        assert_eq!(
            read(
                "WARNING: CPU: 24 PID: 2333 at arch/arm64/kernel/machine_kexec.c:159 machine_kexec+0x58/0x3e8"
            ),
            warn
        );
        assert_eq!(
            read(
                "WARNING: arch/arm64/kernel/machine_kexec.c:159 at machine_kexec+0x58/0x3e8, CPU#24: containerd/2333"
            ),
            warn
        );
    }

    #[test]
    fn quoted_source_is_no_message() {
        for text in [
            "pr_info(\"Bye!\\n\");",
            "\"Some CPUs may be stale, kdump will be unreliable.\\n\");",
            "Bye! was never printed",
            "`Bye!`",
            "Starting crashdump kernel... and then nothing",
            "pr_warn(\"SMP: failed to stop secondary CPUs %*pbl\\n\",",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
