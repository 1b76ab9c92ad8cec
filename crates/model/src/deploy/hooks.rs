//! The files by which a capture kernel, once it has saved its dump, hands over to the
//! image: Debian's kdump-tools, whose capture kernel has the machine's own root, and
//! kdump-utils (Fedora, RHEL, openEuler), which puts what `/etc/kdump.conf` names into an
//! initramfs by dracut.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use super::{Ask, Facts, Refusal};
use crate::shell;

/// What saves dumps here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Dumper {
    /// Debian's kdump-tools.
    KdumpTools,
    /// kdump-utils, or kexec-tools of RHEL and openEuler, with its `/etc/kdump.conf`.
    KdumpUtils(String),
}

/// A file that is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    /// Where.
    pub path: &'static str,
    /// All of it.
    pub text: String,
    /// Is it a program?
    pub executable: bool,
    /// Was it there before, and is it to stay?
    pub shared: bool,
}

/// What is written, and what makes it count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hooks {
    /// The files.
    pub edits: Vec<Edit>,
    /// The command after that, if there is one.
    pub next: Option<&'static str>,
}

/// A drop-in of the service that saves dumps.
const UNIT: &str = "/etc/systemd/system/kdump-tools-dump.service.d/stalecore.conf";
/// What it starts.
const SCRIPT: &str = "/usr/local/sbin/stalecore-after-dump";
/// What `kdump_post` starts.
const POST: &str = "/etc/kdump-stalecore";
/// Where kdump-utils is told.
pub const KDUMP_CONF: &str = "/etc/kdump.conf";
const BEGIN: &str = "# stalecore deploy: begin";
const END: &str = "# stalecore deploy: end";

impl Dumper {
    /// The files that are there once hooks are written, but for those of others.
    pub const FILES: [&'static str; 3] = [UNIT, SCRIPT, POST];
}

/// `/etc/kdump.conf` as it was before. Without the line that ends what was written it is not
/// known how much that is: all stays.
pub fn without(conf: &str) -> String {
    let mut kept = String::new();
    let mut written = String::new();
    for line in conf.split_inclusive('\n') {
        match (line.trim_end(), written.is_empty()) {
            (END, false) => written.clear(),
            (BEGIN, true) | (_, false) => written.push_str(line),
            _ => kept.push_str(line),
        }
    }
    kept + &written
}

/// A command that is gone when the hook runs, which kdump-tools starts from the disk.
pub(super) fn in_memory(facts: &Facts, ask: &Ask<'_>) -> Option<String> {
    let gone = ["/tmp/", "/run/", "/dev/shm/"];
    let lies = gone.iter().any(|dir| ask.command.starts_with(dir));
    (lies && facts.dumper == Some(Dumper::KdumpTools)).then(|| {
        format!(
            "the hook starts {}, which may be gone after a crash, as that directory may lie in memory: copy it to /usr/local/sbin, and deploy from there",
            ask.command
        )
    })
}

pub(super) fn hooks(facts: &Facts, ask: &Ask<'_>) -> Result<Hooks, Refusal> {
    let Some(dumper) = &facts.dumper else {
        return Err(Refusal::new(
            "nothing saves dumps here: neither kdump-tools nor kdump-utils (/etc/kdump.conf) is installed",
            "apt-get install kdump-tools, or dnf install kdump-utils",
        ));
    };
    let mut words = vec![ask.command.to_string()];
    words.extend(["deploy", "now", "--start"].map(String::from));
    let options = ask.options.to_bootargs();
    let arguments = options
        .split_ascii_whitespace()
        .filter_map(|word| word.strip_prefix("stalecore.")?.split_once('='));
    words.extend(arguments.map(|(key, value)| format!("--{key}={value}")));
    let append = super::kept(facts, ask);
    if !append.is_empty() {
        words.push(format!("--append={append}"));
    }
    let command = shell::quoted(&words);
    let look = shell::quoted(&[ask.command, "deploy", "--saved"].map(String::from));
    let edit = |path, text, executable| Edit {
        path,
        text,
        executable,
        shared: false,
    };
    Ok(match dumper {
        Dumper::KdumpTools => Hooks {
            edits: vec![
                edit(
                    UNIT,
                    format!(
                        "# Written by stalecore deploy: after the dump, the harness.\n[Service]\nExecStart=\nExecStart={SCRIPT}\n"
                    ),
                    false,
                ),
                edit(
                    SCRIPT,
                    format!(
                        "#!/bin/sh\n# Written by stalecore deploy. Runs in the kernel after a crash, with the settings\n# of /etc/default/kdump-tools: saves the dump as that does, and then, if it was saved,\n# starts the harness, which ends with a reset. savecore may call a dump saved that has\n# broken off (of makedumpfile in a pipe it asks only the last program), so one that is on\n# this machine is looked at.\nif kdump-config savecore &&\n\t{{ [ -n \"$SSH$NFS$FTP\" ] || {look} \"${{KDUMP_COREDIR:-/var/crash}}\"; }}; then\n\t{command}\nelif [ -n \"$KDUMP_FAIL_CMD\" ]; then\n\teval \"$KDUMP_FAIL_CMD\"\nfi\nreboot -f\n"
                    ),
                    true,
                ),
            ],
            next: Some("systemctl daemon-reload"),
        },
        Dumper::KdumpUtils(conf) => {
            let before = without(conf);
            let set = |key| {
                let mut lines = before.lines();
                lines.find(|line| line.split_whitespace().next() == Some(key))
            };
            if let Some(line) = set("kdump_post") {
                return Err(Refusal::new(
                    format!(
                        "{KDUMP_CONF} has a hook already, and takes one: {}",
                        line.trim()
                    ),
                    format!("this line at the end of that hook: [ \"$1\" = 0 ] && {command}"),
                ));
            }
            // Of a second one kdumpctl says that it is twice there, and saves no dump any more.
            let bins = match set("extra_bins") {
                None => format!("extra_bins {}\n", ask.command),
                Some(line) if line.split_whitespace().any(|word| word == ask.command) => {
                    String::new()
                }
                Some(line) => {
                    return Err(Refusal::new(
                        format!(
                            "{KDUMP_CONF} takes one line of extra_bins, and has: {}",
                            line.trim()
                        ),
                        format!(
                            "sed -i 's|^[[:space:]]*extra_bins.*|& {}|' {KDUMP_CONF}",
                            ask.command
                        ),
                    ));
                }
            };
            let break_ = if before.is_empty() || before.ends_with('\n') {
                ""
            } else {
                "\n"
            };
            Hooks {
                edits: vec![
                    edit(
                        POST,
                        format!(
                            "#!/bin/sh\n# Written by stalecore deploy: kdump_post of {KDUMP_CONF}. If the dump was saved,\n# starts the harness, which ends with a reset; else final_action follows.\n[ \"$1\" = 0 ] || exit 0\n{command}\n"
                        ),
                        true,
                    ),
                    Edit {
                        path: KDUMP_CONF,
                        text: format!("{before}{break_}{BEGIN}\n{bins}kdump_post {POST}\n{END}\n"),
                        executable: false,
                        shared: true,
                    },
                ],
                next: Some("kdumpctl restart"),
            }
        }
    })
}
