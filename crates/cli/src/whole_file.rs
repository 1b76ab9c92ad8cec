//! Files that are read within a bound, and written whole or not at all.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};

/// Writes a file beside its place, then moves it there: a reader sees the whole new
/// file or the old one, and a full disk leaves the old one. What is no regular file,
/// like a pipe, is written to directly.
///
/// # Errors
/// Names the file.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    // Through a symbolic link, as a plain write would go.
    let to = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    said(replace(&to, bytes), path)
}

/// The same for a file of a run's directory, which may be shared or have been sent around:
/// never through a symbolic link.
///
/// # Errors
/// Names the file, also where it is a link.
pub fn write_here(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    no_link(path)?;
    said(replace(path, bytes), path)
}

/// Fails where a symbolic link is. One that is put there later is replaced, or not opened.
///
/// # Errors
/// Names the link.
pub fn no_link(path: &Path) -> anyhow::Result<()> {
    ensure!(
        !path.is_symlink(),
        "{} is a symbolic link, and is not written through; allowed: a file, or none",
        path.display()
    );
    Ok(())
}

fn said(done: io::Result<()>, path: &Path) -> anyhow::Result<()> {
    done.map_err(without_part)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The same error without the name of the file beside it, which tells nobody anything.
fn without_part(error: io::Error) -> io::Error {
    match error.to_string().split_once(" at path ") {
        Some((said, _)) => io::Error::new(error.kind(), said),
        None => error,
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Ok(there) = fs::metadata(path) {
        // The directory may be writable although this file is not.
        let mut file = OpenOptions::new().write(true).open(path)?;
        if !there.is_file() {
            return file.write_all(bytes);
        }
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let mut part = tempfile::Builder::new()
        .prefix(".stalecore-")
        .suffix(".part")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(dir.map_or(PathBuf::from("."), PathBuf::from))?;
    part.write_all(bytes)?;
    part.as_file().sync_all()?;
    part.persist(path)?;
    Ok(())
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// It cannot be read, or is larger; without its name.
pub fn read(path: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    ensure!(
        bytes.len() as u64 <= limit,
        "larger than {} MiB",
        limit >> 20
    );
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        write(&file, b"one").unwrap();
        // As any file that a program makes.
        let made = dir.path().join("b");
        fs::write(&made, "").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&file), mode(&made));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write(&link, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let error = write_here(&link, b"three").unwrap_err().to_string();
        assert!(error.contains("link is a symbolic link"), "{error}");
        assert_eq!(fs::read(&file).unwrap(), b"two");
        // Nor through one that was put there just now.
        replace(&link, b"three").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::read(&link).unwrap(), b"three");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
        let error = write(&dir.path().join("no/where"), b"").unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains("no/where: No such file"), "{error}");
        assert!(!error.contains(".part"), "{error}");
    }

    #[test]
    fn a_full_disk_leaves_the_file_before() {
        assert!(write(Path::new("/dev/full"), b"x").is_err());
        write(Path::new("/dev/null"), b"x").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn an_endless_file_is_refused() {
        let error = read(Path::new("/dev/zero"), 2 << 20).unwrap_err();
        assert_eq!(error.to_string(), "larger than 2 MiB");
        assert!(read(Path::new("/dev/null"), 0).unwrap().is_empty());
    }
}
