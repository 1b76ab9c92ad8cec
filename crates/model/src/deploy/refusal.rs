//! Why something cannot work, and what would make it work.

use alloc::{
    format,
    string::{String, ToString},
};
use core::fmt;

use super::{Facts, Way};
use crate::shell;

/// Why not, and the one thing to do about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Why not.
    pub what: String,
    /// A command, or where there is none, what else.
    pub mend: String,
}

impl Refusal {
    pub(super) fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            mend: mend.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; to make it work: {}", self.what, self.mend)
    }
}

/// What edits the kernel's command line here.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Tool {
    /// Debian's `/etc/default/grub.d` and `update-grub`.
    UpdateGrub,
    /// Fedora's and openEuler's `grubby`.
    Grubby,
    /// Something else.
    #[default]
    Unknown,
}

impl Tool {
    /// The command that gives the kernel one more word, or several.
    pub(super) fn kernel_word(self, word: &str) -> String {
        match self {
            Self::UpdateGrub => format!(
                "echo 'GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT {word}\"' >> /etc/default/grub.d/stalecore.cfg && update-grub && reboot"
            ),
            Self::Grubby => format!(
                "grubby --update-kernel=ALL --args={} && reboot",
                shell::quoted(&[word.to_string()])
            ),
            Self::Unknown => {
                format!("a reboot with {word} on the kernel's command line")
            }
        }
    }

    /// The command that takes one away.
    fn without(self, word: &str) -> String {
        match self {
            Self::Grubby => format!("grubby --update-kernel=ALL --remove-args={word} && reboot"),
            _ => format!("a reboot without {word} on the kernel's command line"),
        }
    }
}

/// What the kernel itself is against.
pub(super) fn kernel(facts: &Facts, way: Way) -> Result<(), Refusal> {
    let locked = facts
        .lockdown
        .split_whitespace()
        .find_map(|word| word.strip_prefix('[')?.strip_suffix(']'))
        .filter(|mode| *mode != "none");
    if let Some(mode) = locked {
        let word = facts
            .cmdline
            .split_ascii_whitespace()
            .find(|word| word.starts_with("lockdown="));
        let (why, mend) = match (word, facts.secure_boot) {
            (Some(word), _) => (format!("{word} on its command line"), facts.tool.without(word)),
            (None, true) => (
                "Secure Boot is on".to_string(),
                "mokutil --disable-validation && reboot (and the password at the next start), or Secure Boot off in firmware's menu".to_string(),
            ),
            (None, false) => (
                "its own configuration".to_string(),
                "a kernel that is not built with CONFIG_LOCK_DOWN_KERNEL_FORCE_*".to_string(),
            ),
        };
        return Err(Refusal::new(
            format!(
                "Linux is in lockdown ({mode}: {why}) and starts signed kernels only, which the image is not"
            ),
            mend,
        ));
    }
    if facts.load_disabled {
        let mend = match &facts.disabled_by {
            Some(file) => format!("sed -i /kexec_load_disabled/d {file} && reboot"),
            None => {
                "a reboot, with whatever sets kernel.kexec_load_disabled found and removed".into()
            }
        };
        return Err(Refusal::new(
            "kernel.kexec_load_disabled is 1, which lasts until the next boot",
            mend,
        ));
    }
    let limit = facts.limits[usize::from(way == Way::Crash)];
    if limit && way != Way::AfterDump {
        return Err(Refusal::new(
            format!(
                "kernel.kexec_load_limit_{} is 0: nothing may be loaded any more until the next boot",
                if way == Way::Crash { "panic" } else { "reboot" }
            ),
            "reboot",
        ));
    }
    let has = |name: &str| {
        let config = facts.config.as_deref()?;
        Some(config.lines().any(|line| line == name))
    };
    // A configuration that cannot be read says nothing.
    if !facts.kexec || has("CONFIG_KEXEC=y") == Some(false) {
        let what = match (facts.kexec, has("CONFIG_KEXEC_FILE=y")) {
            (true, Some(true)) => {
                "this kernel loads only by kexec_file_load (CONFIG_KEXEC is not set), which gives the image no tree of its own"
            }
            _ => "this kernel has no kexec (CONFIG_KEXEC is not set)",
        };
        return Err(Refusal::new(
            what,
            "a reboot into a kernel with CONFIG_KEXEC=y, as the distributions' are",
        ));
    }
    Ok(())
}
