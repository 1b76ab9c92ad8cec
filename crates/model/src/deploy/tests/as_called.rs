//! The hooks as the tools call them that save dumps, by each shell that may be `sh` there,
//! with programs that only write down how they were called.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    string::{String, ToString},
    vec::Vec,
};

use super::*;

/// A directory of programs, which is removed.
struct Programs(PathBuf);

impl Programs {
    fn new(name: &str) -> Self {
        let name = std::format!("stalecore-{name}-{}", std::process::id());
        let programs = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&programs.0).unwrap();
        programs.add("kdump-config", "exit $SAVECORE");
        programs.add(
            "stalecore",
            "[ \"$2\" = --saved ] && exit $LOOK; exit $START",
        );
        programs.add("reboot", "");
        programs.add("failed", "");
        programs
    }

    fn add(&self, name: &str, then: &str) -> PathBuf {
        let text = std::format!("#!/bin/sh\necho {name} \"$@\" >> \"$CALLS\"\n{then}\n");
        self.write(name, &text)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// What a hook calls, and its status; nothing where there is no such shell.
    fn run(
        &self,
        shell: &str,
        hook: &Path,
        words: &[&str],
        env: &str,
    ) -> Option<(Vec<String>, i32)> {
        let calls = self.0.join("calls");
        fs::write(&calls, "").unwrap();
        let mut command = Command::new(shell);
        command.arg(hook).args(words).env("CALLS", &calls);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", std::format!("{}:{path}", self.0.display()));
        let names = ["SSH", "NFS", "FTP", "KDUMP_COREDIR", "KDUMP_FAIL_CMD"];
        for name in names {
            command.env_remove(name);
        }
        let settings = ["SAVECORE=0", "LOOK=0", "START=2"].into_iter();
        for (name, value) in settings
            .chain(env.split(';'))
            .filter_map(|s| s.split_once('='))
        {
            command.env(name, value);
        }
        let status = command.status().ok()?.code().unwrap();
        let text = fs::read_to_string(&calls).unwrap();
        Some((text.lines().map(ToString::to_string).collect(), status))
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const SHELLS: [&str; 3] = ["sh", "dash", "bash"];
const SAVE: &str = "kdump-config savecore";
const LOOK: &str = "stalecore deploy --saved /var/crash";
const START: &str = "stalecore deploy now --start";
const FAILED: &str = "failed as told";
const REBOOT: &str = "reboot -f";

#[test]
fn kdump_tools_hook_starts_the_harness_beside_a_whole_dump_only() {
    let programs = Programs::new("kdump-tools");
    let text = hooks(&good()).edits[1].text.replace("/usr/bin/", "");
    let hook = programs.write("hook", &text);
    for (env, calls) in [
        // It comes back only if it could not start.
        ("", &[SAVE, LOOK, START, REBOOT][..]),
        ("LOOK=2", &[SAVE, LOOK, REBOOT]),
        (
            "LOOK=2;KDUMP_FAIL_CMD=failed as told",
            &[SAVE, LOOK, FAILED, REBOOT],
        ),
        ("SAVECORE=1", &[SAVE, REBOOT]),
        (
            "SAVECORE=1;KDUMP_FAIL_CMD=failed as told",
            &[SAVE, FAILED, REBOOT],
        ),
        (
            "KDUMP_FAIL_CMD=failed as told",
            &[SAVE, LOOK, START, REBOOT],
        ),
        (
            "KDUMP_COREDIR=/my crash",
            &[SAVE, "stalecore deploy --saved /my crash", START, REBOOT],
        ),
        // On another machine it cannot be looked at.
        ("SSH=u@h;LOOK=2", &[SAVE, START, REBOOT]),
        ("NFS=h:/d;LOOK=2", &[SAVE, START, REBOOT]),
        ("FTP=h:d;LOOK=2", &[SAVE, START, REBOOT]),
    ] {
        for shell in SHELLS {
            if let Some((called, _)) = programs.run(shell, &hook, &[], env) {
                assert_eq!(called, calls, "{shell}: {env}");
            }
        }
    }
}

#[test]
fn kdump_utils_hook_goes_by_the_status_of_the_dump() {
    let mut facts = good();
    facts.dumper = Some(Dumper::KdumpUtils("path /var/crash\n".into()));
    let programs = Programs::new("kdump-utils");
    let text = hooks(&facts).edits[0].text.replace("/usr/bin/", "");
    let hook = programs.write("hook", &text);
    for (words, calls, ends) in [
        // kdump.conf(5): "The exit status of the current dump process is fed to it".
        (&["0"][..], &[START][..], 2),
        (&["1"], &[], 0),
        (&["143"], &[], 0),
        (&[""], &[], 0),
        (&[], &[], 0),
        // Whatever else a later version gives.
        (
            &["0", "/kdumproot/var/crash/127.0.0.1-2026/vmcore"],
            &[START],
            2,
        ),
    ] {
        for shell in SHELLS {
            if let Some((called, status)) = programs.run(shell, &hook, words, "") {
                assert_eq!(
                    (called, status),
                    (calls.iter().map(ToString::to_string).collect(), ends),
                    "{shell}: {words:?}"
                );
            }
        }
    }
}
