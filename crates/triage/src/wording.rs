//! Recognises the kernel's messages about a crash, in the wording of the
//! kernels from 4.x on.

use super::{fields, message::Message};

/// Reads one message; `None` for all others. `complete` says that the line
/// was not cut off at its end.
pub fn parse(text: &[u8], complete: bool) -> Option<Message<'_>> {
    let text = text.trim_ascii();
    // The most frequent come first.
    let found = fence(text)
        .or_else(|| frame(text))
        .or_else(|| dump(text))
        .or_else(|| lockup(text, complete))
        .or_else(|| crash(text))
        .or_else(|| stop(text))
        .or_else(|| boot(text))?;
    // What a cut would have changed without making it unreadable is left out.
    let sure = complete
        || !matches!(
            found,
            Message::Hardware(_)
                | Message::Pc(_)
                | Message::Lr(_)
                | Message::Frame(_)
                | Message::Backtrace(_)
                | Message::CpusUp(_)
                | Message::CaptureSign
                | Message::PrimarySign
        );
    sure.then_some(found)
}

fn lockup(text: &[u8], complete: bool) -> Option<Message<'_>> {
    let mut text = text;
    for prefix in [&b"SDEI "[..], b"NMI ", b"watchdog: "] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    if let Some(rest) = text.strip_prefix(b"BUG: soft lockup - CPU#") {
        let (cpu, rest) = fields::number(rest)?;
        let (stuck_s, rest) = fields::number(rest.strip_prefix(b" stuck for ")?)?;
        // No kernel's, but the played one's watchdog may be faster than a second.
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
    if let Some(rest) = text.strip_prefix(b"CPU") {
        text = fields::number(rest)?.1.strip_prefix(b": ")?;
    }
    let rest = text.strip_prefix(b"Watchdog detected hard LOCKUP on cpu ")?;
    let number = fields::number(rest);
    let whole = number.filter(|(_, behind)| complete || !behind.is_empty());
    Some(Message::HardLockup {
        cpu: whole.map(|(cpu, _)| cpu),
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
    if text.starts_with(b"---[ end Kernel panic") || text.starts_with(b"Rebooting in ") {
        return Some(Message::PanicEnd);
    }
    let sysrq = text.strip_prefix(b"sysrq: ").unwrap_or(text);
    let sysrq = sysrq.strip_prefix(b"SysRq : ").unwrap_or(sysrq);
    (sysrq == b"Trigger a crash").then_some(Message::SysrqCrash)
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
    let text = text.strip_prefix(b"SMP: ")?;
    if text == b"stopping secondary CPUs" {
        return Some(Message::Stopping);
    }
    if let Some(list) = text.strip_prefix(b"failed to stop secondary CPUs") {
        return Some(Message::FailedToStop(list.trim_ascii()));
    }
    let retry = text.strip_prefix(b"retry stop with ")?;
    let retry = retry.strip_prefix(b"SDEI ").unwrap_or(retry);
    retry
        .strip_prefix(b"NMI for CPUs ")
        .map(|list| Message::Retry(list.trim_ascii()))
}

fn boot(text: &[u8]) -> Option<Message<'_>> {
    if text.starts_with(b"Booting Linux on physical CPU 0x") {
        return Some(Message::Boot(None));
    }
    if let Some(rest) = text.strip_prefix(b"Linux version ") {
        let end = memchr::memchr(b' ', rest)?;
        return Some(Message::Boot(Some(fields::kernel_release(&rest[..end])?)));
    }
    let firmware: [&[u8]; 5] = [
        b"EFI stub: ",
        b"NOTICE:  BL1: ",
        b"NOTICE:  BL2: ",
        b"NOTICE:  BL31: v",
        b"U-Boot 20",
    ];
    if firmware.iter().any(|start| text.starts_with(start)) {
        return Some(Message::Firmware);
    }
    let reserve = text.strip_prefix(b"OF: fdt: ").unwrap_or(text);
    if reserve.starts_with(b"Reserving ") && reserve.ends_with(b" for elfcorehdr") {
        return Some(Message::CaptureSign);
    }
    let arguments = text.strip_prefix(b"Kernel ").unwrap_or(text);
    if arguments
        .get(1..)
        .is_some_and(|a| a.starts_with(b"ommand line: "))
    {
        let has = |word: &[u8]| arguments.split(|b| *b == b' ').any(|w| w.starts_with(word));
        return if has(b"elfcorehdr=") {
            Some(Message::CaptureSign)
        } else if has(b"crashkernel=") {
            Some(Message::PrimarySign)
        } else if has(b"reset_devices") || has(b"irqpoll") {
            Some(Message::CaptureSign)
        } else {
            None
        };
    }
    if text.starts_with(b"kdump") && text.ends_with(b"saving vmcore complete") {
        return Some(Message::VmcoreSaved);
    }
    cpus_up(text)
}

/// `smp: Brought up 8 nodes, 128 CPUs`, with its older wordings.
fn cpus_up(text: &[u8]) -> Option<Message<'_>> {
    let text = text.strip_prefix(b"smp: ").unwrap_or(text);
    let rest = text.strip_prefix(b"Brought up ")?.strip_suffix(b" CPUs")?;
    let count = rest.rsplit(|b| *b == b' ').next()?;
    let (count, tail) = fields::number(count)?;
    tail.is_empty().then_some(Message::CpusUp(count))
}

fn fence(text: &[u8]) -> Option<Message<'_>> {
    let is_fence = text.starts_with(b"```") || text.starts_with(b"~~~");
    is_fence.then_some(Message::Fence)
}

/// A line that is one symbol: a name up to `+0x`, digits, perhaps a module.
/// Whoever uses it reads it in full.
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
    for start in [&b"pc : "[..], b"PC is at "] {
        if let Some(rest) = text.strip_prefix(start) {
            return Some(Message::Pc(fields::symbol(rest)));
        }
    }
    for start in [&b"lr : "[..], b"LR is at "] {
        if let Some(rest) = text.strip_prefix(start) {
            return Some(Message::Lr(fields::symbol(rest)));
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
        _ if text.starts_with(b"RIP: ") => Some(Message::Foreign),
        _ => None,
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
        for start in ["NMI watchdog: ", "watchdog: ", "watchdog: CPU7: "] {
            let text = format!("{start}Watchdog detected hard LOCKUP on cpu 3");
            assert_eq!(read(&text), Some(Message::HardLockup { cpu: Some(3) }));
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
            Some(Message::HardLockup { cpu: None })
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

    #[test]
    fn capture_and_primary_kernels_differ_in_their_arguments() {
        let line = "Kernel command line: BOOT_IMAGE=/vmlinuz irqpoll nr_cpus=1 reset_devices";
        assert_eq!(read(line), Some(Message::CaptureSign));
        let line = "Kernel command line: BOOT_IMAGE=/vmlinuz crashkernel=512M";
        assert_eq!(read(line), Some(Message::PrimarySign));
        let line = "Reserving 4KB of memory at 0x202fffff000 for elfcorehdr";
        assert_eq!(read(line), Some(Message::CaptureSign));
    }

    #[test]
    fn boot_tells_the_cpu_count() {
        for text in ["smp: Brought up 8 nodes, 128 CPUs", "Brought up 128 CPUs"] {
            assert_eq!(read(text), Some(Message::CpusUp(128)));
        }
    }
}
