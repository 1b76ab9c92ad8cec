//! What a booting kernel says about itself, and how far a capture kernel gets.

use super::super::{capture::Progress, fields, message::Message};

/// Reads one line.
pub fn parse(text: &[u8]) -> Option<Message<'_>> {
    if let Some(rest) = text.strip_prefix(b"Booting Linux on physical CPU 0x") {
        let end = rest.iter().position(|b| !b.is_ascii_hexdigit())?;
        let digits = str::from_utf8(&rest[..end]).ok()?;
        return Some(Message::BootOn(u64::from_str_radix(digits, 16).ok()));
    }
    if let Some(rest) = text.strip_prefix(b"Linux version ") {
        let end = memchr::memchr(b' ', rest)?;
        return Some(Message::Boot(fields::kernel_release(&rest[..end])?));
    }
    if part(text).is_some() {
        return Some(Message::PstorePart);
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
    arguments(text)
        .or_else(|| cpus_up(text))
        .or_else(|| plugged(text))
        .or_else(|| progress(text))
}

/// `Panic#1 Part2`: a record's number and the part of it.
pub fn part(text: &[u8]) -> Option<(u32, u32)> {
    let rest = [&b"Panic#"[..], b"Oops#", b"Emergency#"]
        .iter()
        .find_map(|kind| text.strip_prefix(*kind))?;
    let (record, rest) = fields::number(rest)?;
    let (part, rest) = fields::number(rest.strip_prefix(b" Part")?)?;
    rest.is_empty().then_some((record, part))
}

/// The kernel's command line: memory reserved for a crash kernel, or a capture kernel's
/// arguments.
fn arguments(text: &[u8]) -> Option<Message<'_>> {
    let arguments = text.strip_prefix(b"Kernel ").unwrap_or(text);
    if !arguments.get(1..)?.starts_with(b"ommand line: ") {
        return None;
    }
    let has = |word: &[u8]| arguments.split(|b| *b == b' ').any(|w| w.starts_with(word));
    if has(b"elfcorehdr=") {
        Some(Message::CaptureSign)
    } else if has(b"crashkernel=") {
        Some(Message::PrimarySign)
    } else if has(b"reset_devices") || has(b"irqpoll") {
        Some(Message::CaptureSign)
    } else {
        None
    }
}

/// `smp: Brought up 8 nodes, 128 CPUs`, `1 node, 1 CPU`, with older wordings.
fn cpus_up(text: &[u8]) -> Option<Message<'_>> {
    let text = text.strip_prefix(b"smp: ").unwrap_or(text);
    let rest = text.strip_prefix(b"Brought up ")?;
    let rest = rest.strip_suffix(b" CPUs").or(rest.strip_suffix(b" CPU"))?;
    let count = rest.rsplit(|b| *b == b' ').next()?;
    let (count, tail) = fields::number(count)?;
    tail.is_empty().then_some(Message::CpusUp(count))
}

/// `psci: CPU3 killed (polled 0 ms)`, `CPU3: shutdown`, `CPU3: Booted secondary
/// processor 0x0000000003 [0x410fd083]`, and the oldest's `[410fd083]` alone.
fn plugged(text: &[u8]) -> Option<Message<'_>> {
    let rest = text
        .strip_prefix(b"psci: ")
        .unwrap_or(text)
        .strip_prefix(b"CPU")?;
    let (cpu, rest) = fields::number(rest)?;
    if rest.starts_with(b" killed") || rest == b": shutdown" {
        return Some(Message::Plugged { cpu, mpidr: None });
    }
    if rest.starts_with(b": stopping") {
        return Some(Message::StopTaken(cpu));
    }
    let rest = rest.strip_prefix(b": Booted secondary processor ")?;
    let mpidr = match fields::hexadecimal(rest) {
        Some((mpidr, _)) => mpidr,
        None if rest.starts_with(b"[") => u64::MAX,
        None => return None,
    };
    Some(Message::Plugged {
        cpu,
        mpidr: Some(mpidr),
    })
}

/// A capture kernel's milestones.
fn progress(text: &[u8]) -> Option<Message<'_>> {
    let has = |word: &[u8]| memchr::memmem::find(text, word).is_some();
    if text.starts_with(b"Run /") && has(b" as init process") || text.starts_with(b"dracut: ") {
        return Some(Message::Progress(Progress::UserSpace));
    }
    let dump = has(b"vmcore") || has(b"umpfile") || has(b"Copying data");
    if dump {
        let saved: [&[u8]; 6] = [
            b"saving vmcore complete",
            b"umpfile is saved to",
            b"saved vmcore in ",
            b"saved vmcore to ",
            b"Saved vmcore to ",
            b"aved vmcore ",
        ];
        let failed: [&[u8]; 4] = [
            b"saving vmcore failed",
            b"ailed to save vmcore",
            b"umpfile Failed",
            b"umpfile failed",
        ];
        if failed.iter().any(|words| has(words)) {
            return Some(Message::Progress(Progress::Failed));
        }
        if saved.iter().any(|words| has(words)) && !has(b"dmesg") {
            return Some(Message::VmcoreSaved);
        }
        if text.starts_with(b"Copying data") {
            return Some(Message::Progress(Progress::Copying(percent(text))));
        }
        let begun = has(b"saving vmcore") || has(b"saving to ") || has(b"makedumpfile ");
        if begun && text.starts_with(b"kdump") || text.starts_with(b"makedumpfile") {
            return Some(Message::Progress(Progress::DumpStarted));
        }
    }
    let down: [&[u8]; 3] = [b"Power down", b"Restarting system", b"System halted"];
    let left = text.strip_prefix(b"reboot: ")?;
    down.iter()
        .any(|words| left.starts_with(words))
        .then_some(Message::Progress(Progress::Left))
}

/// `Copying data : [ 45.2 %] -  eta: 12s`: whole percents.
fn percent(text: &[u8]) -> Option<u8> {
    let open = memchr::memchr(b'[', text)?;
    let (whole, _) = fields::number(text[open + 1..].trim_ascii_start())?;
    u8::try_from(whole).ok().filter(|p| *p <= 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Message<'_>> {
        parse(text.as_bytes())
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
        for (text, count) in [
            ("smp: Brought up 8 nodes, 128 CPUs", 128),
            ("Brought up 128 CPUs", 128),
            ("smp: Brought up 1 node, 1 CPU", 1),
        ] {
            assert_eq!(read(text), Some(Message::CpusUp(count)));
        }
    }

    #[test]
    fn cpus_come_and_go() {
        for text in [
            "psci: CPU3 killed (polled 0 ms)",
            "CPU3: shutdown",
            "psci: CPU3 killed.",
        ] {
            assert_eq!(
                read(text),
                Some(Message::Plugged {
                    cpu: 3,
                    mpidr: None
                }),
                "{text}"
            );
        }
        assert_eq!(
            read("CPU3: Booted secondary processor 0x0000000103 [0x410fd083]"),
            Some(Message::Plugged {
                cpu: 3,
                mpidr: Some(0x103)
            })
        );
        assert_eq!(read("CPU3: stopping"), Some(Message::StopTaken(3)));
    }

    #[test]
    fn milestones_of_a_capture_kernel() {
        for (text, wanted) in [
            (
                "Run /init as init process",
                Message::Progress(Progress::UserSpace),
            ),
            ("kdump: saving vmcore complete", Message::VmcoreSaved),
            ("kdump[512]: saving vmcore complete", Message::VmcoreSaved),
            (
                "The dumpfile is saved to /sysroot/var/crash/vmcore.",
                Message::VmcoreSaved,
            ),
            (
                "kdump-config: saved vmcore in /var/crash/202603040506.",
                Message::VmcoreSaved,
            ),
            (
                "kdump: saving vmcore",
                Message::Progress(Progress::DumpStarted),
            ),
            (
                "kdump: saving vmcore failed",
                Message::Progress(Progress::Failed),
            ),
            (
                "Copying data : [ 45.2 %] -  eta: 12s",
                Message::Progress(Progress::Copying(Some(45))),
            ),
            ("reboot: Power down", Message::Progress(Progress::Left)),
        ] {
            assert_eq!(read(text), Some(wanted), "{text}");
        }
        for text in [
            "kdump: saving vmcore-dmesg.txt complete",
            "it saved vmcores",
        ] {
            assert!(!matches!(read(text), Some(Message::VmcoreSaved)), "{text}");
        }
    }
}
