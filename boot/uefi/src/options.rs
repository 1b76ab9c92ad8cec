//! What is asked for: in the load options, else in `stalecore.cfg`.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use stalecore_model::handover::words::{MAX_FILE, Words};
use uefi::{
    CStr16, CString16, Status, boot, cstr16,
    proto::{
        device_path::text::{AllowShortcuts, DisplayOnly},
        loaded_image::LoadedImage,
        media::file::{File, FileAttribute, FileMode, RegularFile},
    },
};

/// Its name, beside the loader or in the root of the same volume.
const NAME: &CStr16 = cstr16!("stalecore.cfg");

/// What is asked for, and where.
pub struct Options {
    /// What.
    pub words: Words,
    /// Where it was found, in words.
    pub from: String,
}

/// Looks for options.
///
/// # Errors
/// One line: something is asked for that cannot be.
pub fn find() -> Result<Options, String> {
    let loaded = boot::open_protocol_exclusive::<LoadedImage>(boot::image_handle())
        .map_err(|e| format!("firmware does not say how the loader was loaded: {e}"))?;
    let options = loaded.load_options_as_bytes().unwrap_or_default();
    let words = Words::from_load_options(options).map_err(|e| format!("load options: {e}"))?;
    if !words.is_empty() {
        return Ok(Options {
            words,
            from: "load options".to_string(),
        });
    }
    let directory = directory(&loaded);
    drop(loaded);
    for directory in [directory, Some(String::new())].into_iter().flatten() {
        let path = format!("{directory}\\{NAME}");
        if let Some(bytes) = read(&path)? {
            let words = Words::from_file(&bytes).map_err(|e| format!("{path}: {e}"))?;
            return Ok(Options { words, from: path });
        }
    }
    Ok(Options {
        words,
        from: format!("neither load options nor {NAME}"),
    })
}

/// The directory that the loader lies in, without a backslash at the end;
/// `None` where it did not come from a file.
fn directory(loaded: &LoadedImage) -> Option<String> {
    let path = loaded
        .file_path()?
        .to_string16(DisplayOnly(true), AllowShortcuts(false))
        .ok()?
        .to_string();
    let (directory, _) = path.rsplit_once('\\')?;
    let slash = if directory.starts_with('\\') || directory.is_empty() {
        ""
    } else {
        "\\"
    };
    Some(format!("{slash}{directory}"))
}

/// The file on the loader's own volume; `None` where there is none.
fn read(path: &str) -> Result<Option<Vec<u8>>, String> {
    let wrong = |e: &dyn core::fmt::Display| format!("{path}: {e}");
    let name = CString16::try_from(path).map_err(|e| wrong(&e))?;
    // Loaded from elsewhere (a network, another loader): no volume to look on.
    let Ok(mut volume) = boot::get_image_file_system(boot::image_handle()) else {
        return Ok(None);
    };
    let mut root = volume.open_volume().map_err(|e| wrong(&e))?;
    match root.open(&name, FileMode::Read, FileAttribute::empty()) {
        Ok(handle) => match handle.into_regular_file() {
            Some(file) => read_all(file).map(Some).map_err(|e| wrong(&e)),
            None => Err(wrong(&"is no file")),
        },
        Err(e) if e.status() == Status::NOT_FOUND => Ok(None),
        Err(e) => Err(wrong(&e)),
    }
}

/// One byte more than allowed at most, so that too long a file is seen as such.
fn read_all(mut file: RegularFile) -> uefi::Result<Vec<u8>> {
    let mut bytes = vec![0; MAX_FILE + 1];
    let mut filled = 0;
    loop {
        let read = file.read(&mut bytes[filled..])?;
        filled += read;
        if read == 0 || filled == bytes.len() {
            bytes.truncate(filled);
            return Ok(bytes);
        }
    }
}
