//! Writes a made-up run.json, to look at a report or to measure `report` and
//! `compare` without a machine:
//!
//! `cargo run --release -p stalecore-synthetic -- DIR cases=3000 samples=1000000`

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use stalecore_synthetic as synthetic;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().context("which directory?")?;
    let mut shape = synthetic::Shape::default();
    for arg in args {
        let (key, value) = arg.split_once('=').context("key=value")?;
        let number = || value.parse::<usize>().context("a number");
        match key {
            "cases" => shape.cases = number()?,
            "samples" => shape.samples = number()? as u32,
            "cpus" => shape.cpus = number()?,
            "stale" => shape.stale = number()?,
            "initiators" => shape.initiators = number()?,
            "seed" => shape.seed = number()? as u64,
            "late" => shape.late = value.parse()?,
            "sweep" => shape.sweep = value == "on",
            _ => bail!("no such key: {key}"),
        }
    }
    fs::create_dir_all(&dir)?;
    let run = synthetic::run(&shape);
    fs::write(Path::new(&dir).join("run.json"), serde_json::to_vec(&run)?)?;
    Ok(())
}
