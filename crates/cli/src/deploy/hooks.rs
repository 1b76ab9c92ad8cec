//! The hooks of kdump: written and removed.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use anyhow::Context;
use stalecore_model::{
    deploy::{Dumper, Hooks, KDUMP_CONF, without},
    exit::ExitCode,
};

use crate::{stdout, whole_file};

/// The most that /etc/kdump.conf has.
const LARGEST: u64 = 1 << 20;

/// Writes them.
///
/// # Errors
/// What the file system refuses.
pub fn write(hooks: &Hooks) -> anyhow::Result<ExitCode> {
    let mut said = String::new();
    for edit in &hooks.edits {
        let path = Path::new(edit.path);
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        let before = fs::metadata(path).map(|there| there.permissions());
        whole_file::write(path, edit.text.as_bytes())?;
        let mode = match (before, edit.executable) {
            (Ok(before), _) if edit.shared => before,
            (_, true) => fs::Permissions::from_mode(0o755),
            (_, false) => fs::Permissions::from_mode(0o644),
        };
        fs::set_permissions(path, mode)?;
        said += &format!("wrote {}\n", edit.path);
    }
    if let Some(next) = hooks.next {
        said += &format!("now run: {next}\n");
    }
    said += "to take it back: stalecore deploy --undo\n";
    stdout::print(&said)?;
    Ok(ExitCode::Expected)
}

/// Removes them.
///
/// # Errors
/// What the file system refuses.
pub fn undo() -> anyhow::Result<ExitCode> {
    let mut said = String::new();
    for path in Dumper::FILES
        .map(Path::new)
        .iter()
        .filter(|path| path.exists())
    {
        fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
        said += &format!("removed {}\n", path.display());
    }
    let conf = Path::new(KDUMP_CONF);
    if let Ok(bytes) = whole_file::read(conf, LARGEST) {
        let before = String::from_utf8_lossy(&bytes).into_owned();
        let after = without(&before);
        if after.lines().count() != before.lines().count() {
            whole_file::write(conf, after.as_bytes())?;
            said += &format!("{KDUMP_CONF} is as it was; now run: kdumpctl restart\n");
        }
    }
    if said.is_empty() {
        said = "there are no hooks of stalecore's here\n".into();
    }
    stdout::print(&said)?;
    Ok(ExitCode::Expected)
}
