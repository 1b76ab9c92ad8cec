//! Complaints about CPUs that make no progress, except the watchdogs': RCU,
//! workqueues, function calls, tasks.

use super::super::{fields, message::Message};

/// Reads one.
pub fn parse(text: &[u8]) -> Option<Message<'_>> {
    let text = text.strip_prefix(b"smp: ").unwrap_or(text);
    csd(text)
        .or_else(|| rcu(text.strip_prefix(b"rcu: ").unwrap_or(text).trim_ascii()))
        .or_else(|| asked(text))
        .or_else(|| workqueue(text))
        .or_else(|| hung(text))
}

/// `INFO: rcu_preempt detected stalls on CPUs/tasks:` and what follows it.
fn rcu(text: &[u8]) -> Option<Message<'_>> {
    if let Some(rest) = text.strip_prefix(b"INFO: rcu_") {
        let end = memchr::memchr(b' ', rest)?;
        let said = &rest[end + 1..];
        let opens: [&[u8]; 3] = [
            b"detected stalls on CPU",
            b"detected expedited stalls on CPU",
            b"self-detected stall on CPU",
        ];
        let fits = opens.iter().any(|start| said.starts_with(start));
        return fits.then(|| Message::RcuStall(in_braces(said)));
    }
    if let Some(rest) = text.strip_prefix(b"(detected by ") {
        let (by, rest) = fields::number(rest)?;
        return rest.starts_with(b", t=").then(|| Message::RcuBy {
            by: Some(by),
            cpus: ncpus(rest),
        });
    }
    if text.starts_with(b"(t=") && memchr::memmem::find(text, b" jiffies ").is_some() {
        return Some(Message::RcuBy {
            by: None,
            cpus: ncpus(text),
        });
    }
    stalled(text).map(Message::RcuCpu)
}

/// `3-...0: (1 GPs behind) idle=…`.
fn stalled(text: &[u8]) -> Option<u32> {
    let (cpu, rest) = fields::number(text)?;
    let colon = memchr::memchr(b':', rest.get(..9).unwrap_or(rest))?;
    let flag = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'!' | b'?');
    let flags = rest[..colon].strip_prefix(b"-")?;
    let fits = flags.len() >= 3
        && flags.iter().all(flag)
        && rest[colon + 1..].trim_ascii_start().starts_with(b"(");
    fits.then_some(cpu)
}

/// `{ 2-...D 3-.... }`.
fn in_braces(text: &[u8]) -> Vec<u32> {
    let inside = memchr::memchr(b'{', text)
        .zip(memchr::memchr(b'}', text))
        .and_then(|(open, close)| text.get(open + 1..close));
    inside
        .into_iter()
        .flat_map(|list| list.split(|b| *b == b' '))
        .filter_map(|word| Some(fields::number(word)?.0))
        .take(600)
        .collect()
}

fn ncpus(text: &[u8]) -> Option<u32> {
    let at = memchr::memmem::find(text, b"ncpus=")?;
    Some(fields::number(&text[at + b"ncpus=".len()..])?.0)
}

/// `Sending NMI from CPU 2 to CPUs 3:`.
fn asked(text: &[u8]) -> Option<Message<'_>> {
    let rest = text.strip_prefix(b"Sending NMI from CPU ")?;
    let (by, rest) = fields::number(rest)?;
    let list = rest.strip_prefix(b" to CPUs ")?;
    Some(Message::Asked(by, list.strip_suffix(b":").unwrap_or(list)))
}

/// `csd: Detected non-responsive CSD lock (#1) on CPU#3, waiting 5000000006 ns
/// for CPU#02 do_nothing+0x0/0x10(0x0).`, and `Re-detected` later.
fn csd(text: &[u8]) -> Option<Message<'_>> {
    let text = text.strip_prefix(b"csd: ").unwrap_or(text);
    let text = text.strip_prefix(b"Re-").unwrap_or(text);
    let lower = text.get(1..)?;
    if !lower.starts_with(b"etected ") || memchr::memmem::find(text, b"CSD lock (#").is_none() {
        return None;
    }
    let numbered = |word: &[u8]| {
        let at = memchr::memmem::find(text, word)? + word.len();
        fields::number(&text[at..]).map(|(cpu, _)| cpu)
    };
    Some(Message::CsdWait {
        cpu: numbered(b" on CPU#")?,
        on: numbered(b" for CPU#")?,
    })
}

/// `BUG: workqueue lockup - pool cpus=2 node=0 flags=0x0 nice=0 stuck for 36s!`.
fn workqueue(text: &[u8]) -> Option<Message<'_>> {
    let rest = text.strip_prefix(b"BUG: workqueue lockup - pool cpus=")?;
    Some(Message::Workqueue(fields::number(rest)?.0))
}

/// `INFO: task sh:118 blocked for more than 122 seconds.`.
fn hung(text: &[u8]) -> Option<Message<'_>> {
    let fits = text.starts_with(b"INFO: task ")
        && memchr::memmem::find(text, b" blocked for more than ").is_some();
    fits.then_some(Message::HungTask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stalls_of_all_ages() {
        for (text, wanted) in [
            (
                "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
                Message::RcuStall(vec![]),
            ),
            (
                "INFO: rcu_sched self-detected stall on CPU { 3}  (t=5250 jiffies)",
                Message::RcuStall(vec![3]),
            ),
            (
                "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 2-...D 11-.... } 5282 jiffies",
                Message::RcuStall(vec![2, 11]),
            ),
            (
                "rcu: \t3-...0: (1 GPs behind) idle=0a4c/1/0x4 softirq=118/118 fqs=2624",
                Message::RcuCpu(3),
            ),
            (
                "\t12-....: (5249 ticks this GP) idle=0a4/1/1 softirq=1/1",
                Message::RcuCpu(12),
            ),
            (
                "rcu: \t(detected by 2, t=5252 jiffies, g=292241, q=10 ncpus=8)",
                Message::RcuBy {
                    by: Some(2),
                    cpus: Some(8),
                },
            ),
            (
                "\t(t=5250 jiffies g=1 q=2 ncpus=4)",
                Message::RcuBy {
                    by: None,
                    cpus: Some(4),
                },
            ),
            (
                "smp: csd: Detected non-responsive CSD lock (#1) on CPU#3, waiting 5000000006 ns for CPU#02 do_nothing+0x0/0x10(0x0).",
                Message::CsdWait { cpu: 3, on: 2 },
            ),
            (
                "BUG: workqueue lockup - pool cpus=2 node=0 flags=0x0 nice=0 stuck for 36s!",
                Message::Workqueue(2),
            ),
            (
                "Sending NMI from CPU 2 to CPUs 3-4:",
                Message::Asked(2, b"3-4"),
            ),
            (
                "INFO: task sh:118 blocked for more than 122 seconds.",
                Message::HungTask,
            ),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(wanted), "{text}");
        }
        for text in ["3-4: (x)", "rcu: Hierarchical RCU implementation.", "(t=1)"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
