//! Notes on the loader's volume that a plan has begun which may reset the machine:
//! see [`stalecore_model::handover::begun`].

use alloc::{
    format,
    string::{String, ToString},
    vec,
};

use stalecore_model::handover::{
    begun::{Begun, FILE, LOST, not_kept, without_reset},
    words::MAX_FILE,
};
use uefi::{
    CString16, Status, boot, println,
    proto::media::file::{File, FileAttribute, FileHandle, FileMode, RegularFile},
};

/// The boot arguments that the image is given, and what the user should know.
pub struct Settled {
    /// As asked for, or without the reset.
    pub bootargs: String,
    /// For the report.
    pub note: Option<String>,
}

/// Writes, keeps or removes the file before the image is entered; `unfinished`
/// says that the flight recorder holds a plan that has not ended.
pub fn settle(bootargs: &str, unfinished: bool) -> Settled {
    let held = read();
    let file = held.as_ref().ok().and_then(Option::as_deref);
    let end = |note: String| {
        println!("  note      {note}");
        Settled {
            bootargs: without_reset(bootargs),
            note: Some(note),
        }
    };
    match (
        Begun::decide(bootargs, file, unfinished),
        held.as_ref().err(),
    ) {
        (Begun::Write, Some(why)) => return end(not_kept(why)),
        (Begun::Write, None) => {
            if let Err(why) = write(bootargs) {
                return end(not_kept(&why));
            }
        }
        (Begun::Lost, _) => {
            // If it cannot be removed, it only ends the next run too.
            let _ = remove();
            return end(LOST.to_string());
        }
        (Begun::None | Begun::Keep, _) => {}
    }
    Settled {
        bootargs: bootargs.to_string(),
        note: None,
    }
}

/// The file, if there is one.
fn open(mode: FileMode) -> Result<Option<FileHandle>, String> {
    let wrong = |e: &dyn core::fmt::Display| format!("{FILE}: {e}");
    let path = CString16::try_from(FILE).map_err(|e| wrong(&e))?;
    let mut volume =
        boot::get_image_file_system(boot::image_handle()).map_err(|e| format!("{e}"))?;
    let mut root = volume.open_volume().map_err(|e| format!("{e}"))?;
    match root.open(&path, mode, FileAttribute::empty()) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.status() == Status::NOT_FOUND => Ok(None),
        Err(e) => Err(wrong(&e)),
    }
}

fn regular(file: FileHandle) -> Result<RegularFile, String> {
    file.into_regular_file()
        .ok_or_else(|| format!("{FILE}: is no file"))
}

fn read() -> Result<Option<String>, String> {
    let Some(file) = open(FileMode::Read)? else {
        return Ok(None);
    };
    let mut bytes = vec![0; MAX_FILE];
    let length = regular(file)?
        .read(&mut bytes)
        .map_err(|e| format!("{FILE}: {e}"))?;
    bytes.truncate(length);
    // What is not text is not a plan.
    Ok(Some(String::from_utf8(bytes).unwrap_or_default()))
}

fn remove() -> Result<(), String> {
    match open(FileMode::ReadWrite)? {
        Some(file) => file.delete().map_err(|e| format!("{FILE}: {e}")),
        None => Ok(()),
    }
}

/// Writes a new file: the old one may be longer.
fn write(text: &str) -> Result<(), String> {
    remove()?;
    let file = open(FileMode::CreateReadWrite)?.ok_or_else(|| format!("{FILE}: not made"))?;
    let mut file = regular(file)?;
    file.write(text.as_bytes())
        .map_err(|e| format!("{FILE}: {:?}", e.status()))?;
    file.flush().map_err(|e| format!("{FILE}: {e}"))
}
