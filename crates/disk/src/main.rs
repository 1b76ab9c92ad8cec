//! `stalecore-disk OUT PATH=FILE…`: an image OUT with each FILE of the host as
//! PATH in its EFI system partition.

use std::{env, error::Error, fs, path::Path, process::ExitCode};

fn main() -> ExitCode {
    match make(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("stalecore-disk: {e}");
            ExitCode::from(2)
        }
    }
}

fn make(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [out, files @ ..] = arguments else {
        return Err("usage: stalecore-disk OUT PATH=FILE...".into());
    };
    let mut contents = Vec::new();
    for word in files {
        let (path, file) = word
            .split_once('=')
            .ok_or_else(|| format!("'{word}' is not PATH=FILE"))?;
        let bytes = fs::read(file).map_err(|e| format!("{file}: {e}"))?;
        contents.push((path, bytes));
    }
    let files: Vec<(&str, &[u8])> = contents.iter().map(|(p, b)| (*p, b.as_slice())).collect();
    stalecore_disk::write(Path::new(out), &files).map_err(|e| format!("{out}: {e}"))?;
    Ok(())
}
