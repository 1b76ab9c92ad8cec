//! `--check-coherence`: the plugin that models caches beside the emulator, and
//! what it found.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use stalecore_model::{
    hazard::{Found, MaintenanceSite},
    run::Run,
};

use super::{boot::files::beside, machine::escaped, qemu::Qemu};

/// The plugin's name beside this command.
const PLUGIN: &str = "libstalecore_coherence.so";
/// The image with its symbols, beside this command.
const ELF: &str = "stalecore.elf";
/// The emulator that `tools/qemu` leaves beside this command.
const QEMU: &str = "qemu/usr/bin/qemu-system-aarch64";

/// The oldest emulator whose plugins can do what this one does (version 4 of
/// the interface).
const OLDEST_QEMU: (u32, u32) = (9, 2);

/// What follows `--check-coherence`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Asked {
    /// Instructions to pass over, as `symbol+offset`.
    ignored: Vec<String>,
    /// How long lines are, in bytes.
    line: Option<u32>,
}

/// Reads `ignore=SYMBOL+OFFSET` and `line=BYTES`, several with commas between.
///
/// # Errors
/// What is allowed.
pub fn asked(text: &str) -> Result<Asked, String> {
    let mut asked = Asked::default();
    for word in text.split(',').filter(|word| !word.is_empty()) {
        let bytes = |n: &u32| n.is_power_of_two() && (64..=2048).contains(n);
        match word.split_once('=') {
            Some(("ignore", site)) if !site.is_empty() => asked.ignored.push(site.to_string()),
            Some(("line", n)) if n.parse().is_ok_and(|n| bytes(&n)) => asked.line = n.parse().ok(),
            _ => {
                return Err(
                    "allowed: nothing, or ignore=SYMBOL+OFFSET and line=64, 128, … 2048, \
                            with commas between"
                        .into(),
                );
            }
        }
    }
    Ok(asked)
}

/// The emulator: the one asked for, else the one beside this command, else the one
/// that is installed.
///
/// # Errors
/// It is not new enough.
pub fn qemu(asked: Option<&Path>) -> anyhow::Result<Qemu> {
    let own = beside(QEMU, "").ok();
    let qemu = Qemu::find(asked.or(own.as_deref()))?;
    ensure!(
        qemu.is_at_least(OLDEST_QEMU),
        "--check-coherence: {} is QEMU {}; allowed: {}.{} and newer; 'make qemu' leaves one in \
         dist/",
        qemu.program.display(),
        qemu.version,
        OLDEST_QEMU.0,
        OLDEST_QEMU.1
    );
    Ok(qemu)
}

/// The plugin about to be loaded.
pub struct Checker {
    plugin: PathBuf,
    elf: PathBuf,
    out: PathBuf,
    asked: Asked,
}

impl Checker {
    /// Finds what is needed; the plugin will write into `scratch`.
    ///
    /// # Errors
    /// What is missing, and how to get it.
    pub fn find(asked: &Asked, image: Option<&Path>, scratch: &Path) -> anyhow::Result<Self> {
        let plugin = beside(PLUGIN, "'make build' makes it")?;
        let elf = match image {
            Some(path) => path.to_path_buf(),
            None => beside(ELF, "'make build' makes it")?,
        };
        ensure!(
            fs::read(&elf).is_ok_and(|bytes| crate::flatten::is_elf(&bytes)),
            "--check-coherence: {} has no symbols; allowed with --image: the ELF file",
            elf.display()
        );
        Ok(Self {
            plugin,
            elf,
            out: scratch.join("coherence"),
            asked: asked.clone(),
        })
    }

    /// QEMU's words for it.
    pub fn words(&self) -> [OsString; 2] {
        let mut plugin = OsString::from("file=");
        plugin.push(escaped(&self.plugin));
        for (key, path) in [("elf", &self.elf), ("out", &self.out)] {
            plugin.push(format!(",{key}="));
            plugin.push(escaped(path));
        }
        if let Some(bytes) = self.asked.line {
            plugin.push(format!(",line={bytes}"));
        }
        for site in &self.asked.ignored {
            plugin.push(format!(",ignore={site}"));
        }
        ["-plugin".into(), plugin]
    }

    /// Adds what it found to the run.
    ///
    /// # Errors
    /// One line: it did not see all of the image's run, or what it wrote cannot
    /// be read.
    pub fn take(&self, run: &mut Run) -> Result<(), String> {
        self.read(run).map_err(|error| format!("{error:#}"))
    }

    fn read(&self, run: &mut Run) -> anyhow::Result<()> {
        let name = || self.out.display().to_string();
        let text = fs::read_to_string(&self.out).with_context(name)?;
        for line in text.lines() {
            match serde_json::from_str(line).with_context(name)? {
                Found::Hazard(hazard) => run.hazards.push(hazard),
                Found::Coverage(coverage) => run.coherence = Some(coverage),
            }
        }
        let mut hazards = std::mem::take(&mut run.hazards);
        for hazard in &mut hazards {
            hazard.meant = run.meant(hazard);
        }
        run.hazards = hazards;
        let Some(coverage) = &run.coherence else {
            bail!("the checker of caches did not end: the machine was stopped before");
        };
        if coverage.image.is_none() {
            bail!(
                "the checker of caches has not seen the image run: is it {}?",
                self.elf.display()
            );
        }
        if coverage.other {
            bail!(
                "the image that ran is not {}; 'make dist' makes both",
                self.elf.display()
            );
        }
        let met = |site: &&MaintenanceSite| site.ignored;
        let met: Vec<_> = coverage
            .sites
            .iter()
            .filter(met)
            .map(|site| &site.at)
            .collect();
        if let Some(missed) = self.asked.ignored.iter().find(|site| !met.contains(site)) {
            bail!("ignore={missed}: no maintenance was executed there");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_named() {
        assert_eq!(asked("").unwrap(), Asked::default());
        let two = asked("ignore=a+4,line=256,ignore=b::c").unwrap();
        assert_eq!(two.ignored, ["a+4", "b::c"]);
        assert_eq!(two.line, Some(256));
        for wrong in [
            "a+4",
            "ignore=",
            "ignore=a+4,b",
            "line=96",
            "line=32",
            "line=",
        ] {
            assert!(asked(wrong).unwrap_err().contains("ignore=SYMBOL+OFFSET"));
        }
    }

    #[test]
    fn the_plugin_gets_its_files() {
        let checker = Checker {
            plugin: "/a,b/p.so".into(),
            elf: "/e".into(),
            out: "/o".into(),
            asked: asked("ignore=f+4").unwrap(),
        };
        assert_eq!(
            checker.words()[1],
            "file=/a,,b/p.so,elf=/e,out=/o,ignore=f+4"
        );
    }

    fn taken(found: &str) -> (Run, Result<(), String>) {
        let scratch = tempfile::tempdir().unwrap();
        let checker = Checker {
            plugin: PathBuf::new(),
            elf: "stalecore.elf".into(),
            out: scratch.path().join("coherence"),
            asked: asked("ignore=f+4").unwrap(),
        };
        fs::write(&checker.out, found).unwrap();
        let mut run = Run::default();
        let taken = checker.take(&mut run);
        (run, taken)
    }

    #[test]
    fn silence_is_not_taken_for_nothing_found() {
        let covers = |image, sites, other| {
            format!(
                "{{\"coverage\":{{\"image\":{image},\"other\":{other},\"accesses\":1,\"fetches\":1,\
                 \"sites\":[{sites}],\"unseen\":[]}}}}\n"
            )
        };
        let coverage = |image, sites| covers(image, sites, false);
        let site = "{\"at\":\"f+4\",\"address\":\"0x4\",\"instruction\":\"dc ivac\",\"times\":1,\"ignored\":true}";
        let image = "\"0x40200000\"";
        for (found, problem) in [
            (String::new(), Some("did not end")),
            (coverage("null", site), Some("has not seen the image")),
            (covers(image, site, true), Some("is not stalecore.elf")),
            (coverage(image, ""), Some("ignore=f+4: no maintenance")),
            (coverage(image, site), None),
        ] {
            let (_, taken) = taken(&found);
            match problem {
                Some(problem) => assert!(taken.unwrap_err().contains(problem)),
                None => taken.unwrap(),
            }
        }
        let side = "{\"cpu\":0,\"at\":\"f\",\"pc\":\"0x1\",\"what\":\"load\"}";
        let hazard = format!(
            "{{\"hazard\":{{\"kind\":\"read-stale\",\"by\":{side},\"with\":{side},\"line\":\"0x40\"}}}}\n"
        );
        let (run, taken) = taken(&(hazard + &coverage(image, site)));
        taken.unwrap();
        assert_eq!(run.hazards.len(), 1);
    }
}
