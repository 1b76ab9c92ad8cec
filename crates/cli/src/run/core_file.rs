//! `--core`: the machine's memory and registers as a core file, one thread for
//! each core, written by the emulator.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use object::{
    Endianness,
    elf::{FileHeader64, PT_LOAD, ProgramHeader64},
    read::elf::{FileHeader, ProgramHeader},
};
use serde_json::json;

use super::qmp::Qmp;

/// How long the emulator may write: half a minute, and a second for this many MiB.
const PATIENCE: Duration = Duration::from_secs(30);
const MIB_PER_SECOND: u32 = 16;

/// The header and program headers lie within the first bytes of a core file.
const HEADERS: u64 = 64 << 10;

/// A core file that is wanted.
pub struct CoreFile {
    path: PathBuf,
    name: String,
    patience: Duration,
    /// Whether it could be saved, once that was tried.
    saved: Option<anyhow::Result<()>>,
}

impl CoreFile {
    /// A core file of a machine with `mem` MiB at `path`, which is checked but
    /// not changed.
    ///
    /// # Errors
    /// It could not be written.
    pub fn new(path: &Path, mem: u32) -> anyhow::Result<Self> {
        let named = || format!("--core: {}", path.display());
        // The emulator may run in another directory.
        let path = std::path::absolute(path).with_context(named)?;
        let name = path.to_str().map(str::to_string);
        let name = name.with_context(|| format!("{}: not UTF-8", named()))?;
        let mut options = OpenOptions::new();
        match options.write(true).create_new(true).open(&path) {
            Ok(_) => fs::remove_file(&path).with_context(named)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let mut options = OpenOptions::new();
                options.write(true).open(&path).with_context(named)?;
            }
            Err(error) => return Err(error).with_context(named),
        }
        Ok(Self {
            path,
            name,
            patience: PATIENCE + Duration::from_secs((mem / MIB_PER_SECOND).into()),
            saved: None,
        })
    }

    /// Saves the machine as it is now, the first time.
    pub fn save(&mut self, qmp: &mut Qmp) {
        if self.saved.is_none() {
            self.saved = Some(self.write(qmp));
        }
    }

    /// Notes that saving could not even be tried.
    pub fn fail(&mut self, error: anyhow::Error) {
        self.saved.get_or_insert(Err(error));
    }

    /// Whether it was saved, in words, with the image at this address.
    ///
    /// # Errors
    /// It could not be written.
    pub fn told(&self, image: u64) -> Result<String, String> {
        let path = self.path.display();
        match &self.saved {
            None => Ok("no core file was saved, as nothing was held up or reported".into()),
            Some(Ok(())) => Ok(format!(
                "core file {path}; look at it with: gdb-multiarch -ex 'core-file {path}' -ex \
                 'add-symbol-file stalecore.elf -o {image:#x}' -ex 'info threads'"
            )),
            Some(Err(error)) => Err(format!("{error:#}")),
        }
    }

    fn write(&self, qmp: &mut Qmp) -> anyhow::Result<()> {
        let named = || format!("--core: {}", self.path.display());
        let protocol = format!("file:{}", self.name);
        let arguments = json!({ "paging": false, "protocol": protocol });
        // QEMU would make the file unwritable.
        let written = File::create(&self.path)
            .map_err(anyhow::Error::from)
            .and_then(|_| qmp.slow_command("dump-guest-memory", &arguments, self.patience))
            .and_then(|_| map_as_is(&self.path));
        if written.is_err() && fs::metadata(&self.path).is_ok_and(|file| file.is_file()) {
            // Part of a core file is of no use.
            let _ = fs::remove_file(&self.path);
        }
        written.with_context(named)
    }
}

/// Gives the memory in a core file the virtual addresses that it has in the
/// image, which maps memory one to one; the emulator only knows physical addresses.
///
/// # Errors
/// The file is no core file, or cannot be changed.
fn map_as_is(path: &Path) -> anyhow::Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let mut bytes = Vec::new();
    (&mut file).take(HEADERS).read_to_end(&mut bytes)?;
    let header = FileHeader64::<Endianness>::parse(&*bytes).context("no core file")?;
    let endian = header.endian().context("no core file")?;
    let first = header.e_phoff(endian);
    let Ok(segments) = header.program_headers(endian, &*bytes) else {
        bail!("the program headers of the core file are not at its beginning");
    };
    for (nth, segment) in segments.iter().enumerate() {
        if segment.p_type(endian) != PT_LOAD {
            continue;
        }
        let mut changed = *segment;
        changed.p_vaddr = changed.p_paddr;
        let size = size_of::<ProgramHeader64<Endianness>>();
        file.seek(SeekFrom::Start(first + (nth * size) as u64))?;
        file.write_all(object::pod::bytes_of(&changed))?;
    }
    Ok(())
}
