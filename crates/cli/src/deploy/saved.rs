//! Was a dump saved, and is it whole? For the hook of kdump-tools, before the harness takes
//! the machine.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context, bail};
use stalecore_model::{
    deploy::{DUMP_ENDS, dump},
    exit::ExitCode,
};

use crate::{stdout, whole_file};

/// Says what the dump is that has been saved below `folder` since this kernel booted.
///
/// # Errors
/// One line: there is none, or it is not whole.
pub fn look(folder: &Path) -> anyhow::Result<ExitCode> {
    let text = whole_file::read(Path::new("/proc/uptime"), 4096).context("/proc/uptime")?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let seconds = text.split_whitespace().next().and_then(|s| s.parse().ok());
    let up = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let up = up.context("/proc/uptime has no number")?;
    let booted = SystemTime::now() - up;
    stdout::print(&format!("{}\n", whole(folder, booted)?))?;
    Ok(ExitCode::Expected)
}

/// The newest dump, in words.
fn whole(folder: &Path, booted: SystemTime) -> anyhow::Result<String> {
    let mut found = Vec::new();
    collect(folder, 1, &mut found).with_context(|| {
        format!(
            "no dump can be looked for in {}; allowed: the folder that dumps are saved into",
            folder.display()
        )
    })?;
    let newest = found.into_iter().max();
    let Some((_, path)) = newest.filter(|(saved, _)| *saved >= booted) else {
        bail!(
            "no dump was saved below {} since this kernel booted",
            folder.display()
        );
    };
    let read = || -> std::io::Result<_> {
        let mut file = File::open(&path)?;
        let size = file.metadata()?.len();
        let (mut begin, mut end) = (Vec::new(), Vec::new());
        file.by_ref()
            .take(DUMP_ENDS.0 as u64)
            .read_to_end(&mut begin)?;
        file.seek(SeekFrom::Start(size.saturating_sub(DUMP_ENDS.1 as u64)))?;
        file.read_to_end(&mut end)?;
        Ok((size, begin, end))
    };
    let (size, begin, end) = read().with_context(|| path.display().to_string())?;
    match dump(size, &begin, &end) {
        Ok(what) => Ok(format!("{}: {what}", path.display())),
        Err(why) => bail!("{} is no whole dump: {why}", path.display()),
    }
}

/// The files that are called as kdump-tools calls its dumps (dump.STAMP or, not packed by
/// makedumpfile, vmcore.STAMP), in this folder and those `deep` below it.
///
/// # Errors
/// The folder cannot be read; one below it is passed over.
fn collect(
    folder: &Path,
    deep: u32,
    found: &mut Vec<(SystemTime, PathBuf)>,
) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_dump = ["dump.", "vmcore."]
            .iter()
            .any(|begin| name.starts_with(begin));
        if kind.is_dir() && deep > 0 {
            // Another program's, perhaps, as lost+found is.
            let _ = collect(&entry.path(), deep - 1, found);
        } else if kind.is_file() && is_dump {
            let saved = entry.metadata().and_then(|data| data.modified());
            found.extend(saved.ok().map(|saved| (saved, entry.path())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(path: &Path, saved: SystemTime) {
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(saved).unwrap();
    }

    #[test]
    fn the_newest_dump_since_the_boot_counts() {
        let folder = tempfile::tempdir().unwrap();
        let booted = SystemTime::now() - Duration::from_secs(100);
        let said = || whole(folder.path(), booted).map_err(|error| error.to_string());
        let save = |name: &str, bytes: &[u8], seconds: u64| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            let saved = booted + Duration::from_secs(seconds);
            stamp(&path, saved);
        };
        assert!(said().unwrap_err().contains("no dump was saved below"));
        fs::write(folder.path().join("file"), "").unwrap();
        for (name, cause) in [("none", "No such file"), ("file", "Not a directory")] {
            let why = whole(&folder.path().join(name), booted).unwrap_err();
            let why = format!("{why:#}");
            assert!(why.contains(name) && why.contains(cause), "{why}");
        }
        save("202611270000/dump.202611270000", b"\x7fELF", 0);
        let earlier = booted - Duration::from_secs(9);
        let old = folder.path().join("202611270000/dump.202611270000");
        stamp(&old, earlier);
        assert!(said().unwrap_err().contains("since this kernel booted"));
        // Not its log, and nothing that is still being written.
        save("202611270106/dmesg.202611270106", b"[0.0]", 8);
        save("202611270106/dump-incomplete", b"makedumpfile", 9);
        assert!(said().unwrap_err().contains("since this kernel booted"));
        save("202611270106/dump.202611270106", b"", 9);
        let why = said().unwrap_err();
        assert!(
            why.contains("dump.202611270106 is no whole dump: it is empty"),
            "{why}"
        );
        let mut flat = b"makedumpfile\0\0\0\0".to_vec();
        flat.resize(5000, 0);
        save("202611270107/dump.202611270107", &flat, 20);
        assert!(said().unwrap_err().contains("broke off after 5000 bytes"));
        flat.extend([0xff; 16]);
        save("202611270108/dump.202611270108", &flat, 30);
        assert!(
            said()
                .unwrap()
                .ends_with("dump.202611270108: a flattened dump of makedumpfile's")
        );
        // One segment, with nothing in it.
        let mut core = b"\x7fELF".to_vec();
        core.resize(64 + 56, 0);
        (core[32], core[54], core[56]) = (64, 56, 1);
        save("202611270109/vmcore.202611270109", &core, 40);
        assert!(
            said()
                .unwrap()
                .ends_with("vmcore.202611270109: a core file")
        );
    }
}
