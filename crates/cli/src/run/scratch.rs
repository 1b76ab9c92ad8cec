//! The scratch directory of a run. It is removed when the run ends; if the host
//! command was killed, the next run removes it.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    process::getuid,
};
use tempfile::{Builder, TempDir};

/// How the directory's name begins.
const PREFIX: &str = "stalecore-run-";

/// The file in it that a living owner holds locked. A directory without it is not
/// ours.
const OWNER: &str = "owner.lock";

/// A directory for the files of one run.
pub struct Scratch {
    dir: TempDir,
    _owner: File,
}

impl Scratch {
    /// Makes one in the temporary directory, and removes those whose owner is dead.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> io::Result<Self> {
        let parent = env::temp_dir();
        sweep(&parent);
        Self::within(&parent)
    }

    fn within(parent: &Path) -> io::Result<Self> {
        loop {
            let dir = Builder::new().prefix(PREFIX).tempdir_in(parent)?;
            let owner = dir.path().join(OWNER);
            let file = File::create_new(&owner)?;
            flock(&file, FlockOperation::LockExclusive)?;
            // Another run may just have taken it for an abandoned one.
            if fs::metadata(&owner).is_ok_and(|there| is(&there, &file)) {
                return Ok(Self { dir, _owner: file });
            }
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

fn is(there: &fs::Metadata, file: &File) -> bool {
    file.metadata()
        .is_ok_and(|ours| (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
}

/// Removes this user's scratch directories that nobody holds any more. One that
/// cannot be removed stays and does no harm.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            let _ = remove_if_dead(&entry.path());
        }
    }
}

fn remove_if_dead(dir: &Path) -> io::Result<()> {
    let there = fs::symlink_metadata(dir)?;
    if !there.is_dir() || there.uid() != getuid().as_raw() {
        return Ok(());
    }
    let owner = OpenOptions::new()
        .write(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(dir.join(OWNER))?;
    flock(&owner, FlockOperation::NonBlockingLockExclusive)?;
    fs::remove_dir_all(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_dead_owner_left_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let parent = parent.path();
        let alive = Scratch::within(parent).unwrap();
        let dead = parent.join("stalecore-run-dead");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(OWNER), "").unwrap();
        fs::write(dead.join("disk.img"), "large").unwrap();
        // Somebody's folder that happens to be called so, and a link.
        let foreign = parent.join("stalecore-run-notes");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("notes"), "mine").unwrap();
        let linked = tempfile::tempdir().unwrap();
        fs::write(linked.path().join(OWNER), "").unwrap();
        let link = parent.join("stalecore-run-link");
        std::os::unix::fs::symlink(linked.path(), &link).unwrap();
        sweep(parent);
        assert!(!dead.exists());
        for kept in [alive.path(), &foreign.join("notes"), &link, linked.path()] {
            assert!(kept.exists(), "{}", kept.display());
        }
        let path = alive.path().to_path_buf();
        drop(alive);
        assert!(!path.exists());
    }
}
