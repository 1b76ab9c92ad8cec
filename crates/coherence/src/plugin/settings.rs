//! What the plugin is told: `key=value`, separated by commas on QEMU's command
//! line.

use std::{
    ffi::{CStr, c_char, c_int},
    path::PathBuf,
};

use crate::line::{PAGE, SMALLEST_LINE};

/// The plugin's settings.
pub struct Settings {
    /// `elf=FILE`: the program whose hazards are wanted; without it all hazards.
    pub elf: Option<PathBuf>,
    /// `out=FILE`: where to write, one JSON record per line; without it text on standard
    /// error.
    pub out: Option<PathBuf>,
    /// `line=BYTES`: how long lines are, here as log2; 64 bytes without it.
    pub line: u32,
    /// `ignore=SYMBOL+OFFSET`, repeatable: an instruction to pass over.
    pub ignore: Vec<String>,
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// What is wrong, and what is allowed.
    pub fn read(words: &[String]) -> Result<Self, String> {
        let mut settings = Self {
            elf: None,
            out: None,
            line: SMALLEST_LINE,
            ignore: Vec::new(),
        };
        for word in words {
            match word.split_once('=') {
                Some(("elf", path)) => settings.elf = Some(path.into()),
                Some(("out", path)) => settings.out = Some(path.into()),
                Some(("line", bytes)) => {
                    let line = bytes.parse::<u32>().ok().filter(|n| n.is_power_of_two());
                    let line = line.map(u32::ilog2);
                    settings.line = line
                        .filter(|line| (SMALLEST_LINE..PAGE).contains(line))
                        .ok_or_else(|| format!("{word}: allowed: 64, 128, 256, 512, 1024, 2048"))?;
                }
                Some(("ignore", site)) => settings.ignore.push(site.to_string()),
                _ => {
                    return Err(format!(
                        "{word}: allowed: elf=FILE, out=FILE, line=BYTES, ignore=SYMBOL+OFFSET"
                    ));
                }
            }
        }
        Ok(settings)
    }
}

/// The strings of an `argv`.
///
/// # Safety
/// `argv` points to `argc` strings that end with 0.
pub unsafe fn words(argc: c_int, argv: *const *const c_char) -> Vec<String> {
    (0..usize::try_from(argc).unwrap_or(0))
        .map(|index| {
            // SAFETY: there are that many.
            let word = unsafe { argv.add(index) };
            // SAFETY: and each is a pointer.
            let word = unsafe { *word };
            // SAFETY: the caller's.
            unsafe { text(word) }
        })
        .collect()
}

/// A string of C's.
///
/// # Safety
/// It is one that ends with 0.
pub unsafe fn text(string: *const c_char) -> String {
    // SAFETY: the caller's.
    unsafe { CStr::from_ptr(string) }
        .to_string_lossy()
        .into_owned()
}
