//! Where the image's log may be kept over a reset: what Linux says of its own ramoops, and
//! what to do where it has none.
//!
//! Sources: Linux's `fs/pstore/ram.c` and `platform.c`, `reserve_mem=` and `mem=` in
//! Documentation/admin-guide/kernel-parameters.txt.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{Facts, Refusal, iomem::Iomem};
use crate::{platform::Platform, ramoops::Ramoops};

/// The console of a default run, with what more CPUs and notes add.
const DEFAULT_RUN: u64 = 128 << 10;
/// From this release on, as the oldest that is maintained, Linux reserves memory by name.
const BY_NAME: (u32, u32) = (6, 12);

/// The region that the image would write to, if something names one.
///
/// # Errors
/// One line: a word on the command line is wrong.
pub(super) fn named(bootargs: &str, platform: &Platform) -> Result<Option<Ramoops>, String> {
    Ok(Ramoops::of_bootargs(bootargs)?.or(platform.ramoops))
}

/// What else keeps Linux's logs over a reset, where ramoops does not.
pub(super) fn other(facts: &Facts) -> Option<&str> {
    let name = facts.pstore.as_str();
    (!["", "(null)", "ramoops"].contains(&name)).then_some(name)
}

/// Can the image leave its log in that region?
pub(super) fn check(
    found: Option<Ramoops>,
    facts: &Facts,
    iomem: &Iomem,
    warns: &mut Vec<String>,
) -> Result<(), Refusal> {
    let Some(ramoops) = found else {
        return Err(missing(facts));
    };
    ramoops
        .check()
        .map_err(|why| Refusal::new(why, "a region as docs/boards/README.md has it"))?;
    let region = ramoops.region;
    if let Some(owner) = iomem.owner(&region) {
        return Err(Refusal::new(
            format!(
                "ramoops: {:#x} to {:#x} is not kept for it, but {owner}, as /proc/iomem has it",
                region.base,
                region.end()
            ),
            reserved(facts),
        ));
    }
    let console = ramoops.console();
    if (1..DEFAULT_RUN).contains(&console) {
        warns.push(format!(
            "ramoops keeps the last {} KiB of the log, and a default run writes about 100: a longer zone is ramoops.console_size=512K on Linux's command line",
            console >> 10
        ));
    }
    Ok(())
}

/// Nothing says where the region is: why, and how Linux is to have one.
fn missing(facts: &Facts) -> Refusal {
    let mut words = facts.cmdline.split_ascii_whitespace();
    let by_name = words.find(|word| word.starts_with("ramoops.mem_name="));
    if let Some(word) = by_name {
        return match facts.ramoops_loaded {
            false => Refusal::new(
                format!(
                    "ramoops: Linux's command line has {word}, and the module that knows its address is not loaded"
                ),
                "modprobe ramoops",
            ),
            true => Refusal::new(
                format!(
                    "ramoops: Linux's command line has {word}, and Linux has reserved nothing of that name"
                ),
                reserved(facts),
            ),
        };
    }
    let why = match other(facts) {
        Some(name) => format!(
            "ramoops: nothing says where it is; Linux keeps its logs by {name} (/sys/module/pstore/parameters/backend), to which the image cannot write"
        ),
        None => "ramoops: nothing says where it is".to_string(),
    };
    Refusal::new(why, reserved(facts))
}

/// How Linux is told to leave memory alone.
fn reserved(facts: &Facts) -> String {
    if release(&facts.release).is_none_or(|release| release < BY_NAME) {
        return "a reboot with mem= on Linux's command line, a few MiB less than it has, and here --append 'ramoops.mem_address=0x… ramoops.mem_size=1M ramoops.console_size=512K', of what is left over".into();
    }
    let mut words = String::from(
        "reserve_mem=2M:4096:stalecore ramoops.mem_name=stalecore ramoops.console_size=512K",
    );
    // Only one keeps logs, and the first that is there.
    if other(facts).is_some() {
        words.push_str(" pstore.backend=ramoops");
    }
    format!(
        "{}; and after it: modprobe ramoops",
        facts.tool.kernel_word(&words)
    )
}

/// `6.12.3-arm64` is (6, 12).
fn release(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}
