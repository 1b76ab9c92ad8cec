//! What was found, written as it is found: QEMU may be killed at any time.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::Write,
    sync::atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use stalecore_model::{
    hazard::{Coverage, Found, Hazard, Kind, Side},
    hex::Hex,
};

use super::{CHECKER, settings::Settings};
use crate::{
    decode,
    line::{What, Who},
    sites::{Program, Sites},
};

/// The most hazards that are written, each with places of its own.
const MOST: usize = 1000;

/// Where findings go.
pub struct Report {
    /// How many cores the machine has at most.
    pub cores: usize,
    /// log2 of the bytes of a line.
    pub line: u32,
    /// The instructions and their names.
    pub sites: Sites,
    out: Mutex<Option<File>>,
    seen: Mutex<HashSet<(Kind, u64, u64)>>,
    unseen: AtomicBool,
    other: AtomicBool,
    own_only: bool,
}

impl Report {
    /// Opens what the settings name.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn new(settings: Settings, cores: usize) -> Result<Self, String> {
        let program = match &settings.elf {
            None => Program::default(),
            Some(path) => {
                let name = path.display();
                let elf = fs::read(path).map_err(|error| format!("{name}: {error}"))?;
                Program::read(&elf).map_err(|error| format!("{name}: {error}"))?
            }
        };
        let out = settings.out.map(|path| {
            File::create(&path).map_err(|error| format!("{}: {error}", path.display()))
        });
        Ok(Self {
            cores,
            line: settings.line,
            sites: Sites::of(program, settings.ignore),
            out: Mutex::new(out.transpose()?),
            seen: Mutex::default(),
            unseen: AtomicBool::new(false),
            other: AtomicBool::new(false),
            own_only: settings.elf.is_some(),
        })
    }

    /// Reports a hazard, unless neither side is the program's.
    pub fn hazard(&self, kind: Kind, by: Who, with: Who, line: u64) {
        let place = |who: Who| self.sites.get(who.site).map_or(0, |known| known.pc);
        {
            // By place: code that is rewritten counts as a new instruction each time.
            let mut seen = self.seen.lock();
            if seen.len() >= MOST || !seen.insert((kind, place(by), place(with))) {
                return;
            }
        }
        let owns = |who: Who| {
            let known = self.sites.get(who.site);
            known.is_some_and(|known| self.sites.program.name(known.pc).is_some())
        };
        if self.own_only && !owns(by) && !owns(with) {
            return;
        }
        let hazard = Hazard {
            kind,
            by: self.side(by),
            with: self.side(with),
            line: Hex(line),
            meant: Vec::new(),
        };
        self.write(&Found::Hazard(hazard));
    }

    fn side(&self, who: Who) -> Side {
        let (pc, code) = self
            .sites
            .get(who.site)
            .map_or((0, 0), |known| (known.pc, known.code));
        let what = match who.what {
            What::Load => "load",
            What::Store => "store",
            What::Zero => "dc zva",
            What::Fetch => "fetch",
            What::Walk => "table walk",
            What::Maintenance => decode::name(code),
        };
        Side {
            cpu: who.core.into(),
            at: self.sites.name(pc),
            pc: Hex(pc),
            what: what.into(),
        }
    }

    /// There is an instruction whose accesses QEMU does not report.
    pub fn unseen(&self) {
        self.unseen.store(true, Ordering::Relaxed);
    }

    /// What runs is not what the ELF file has.
    pub fn other_program(&self) {
        self.other.store(true, Ordering::Relaxed);
    }

    /// The machine has ended.
    pub fn finish(&self) {
        let cpus = CHECKER.get().map(|checker| &checker.cpus);
        let mut unseen = Vec::new();
        if self.unseen.load(Ordering::Relaxed) {
            unseen.push("SVE, SME or MOPS accessed memory".to_string());
        }
        let disagreed: u64 =
            cpus.map_or(0, |cpus| cpus.iter().map(|cpu| cpu.lock().disagreed).sum());
        if disagreed > 0 {
            unseen.push(format!(
                "{disagreed} accesses went elsewhere than the page tables say"
            ));
        }
        self.write(&Found::Coverage(Coverage {
            image: self.sites.program.start().map(Hex),
            accesses: cpus.map_or(0, |cpus| cpus.iter().map(|cpu| cpu.lock().accesses).sum()),
            fetches: cpus.map_or(0, |cpus| cpus.iter().map(|cpu| cpu.lock().blocks).sum()),
            sites: self.sites.maintenance(),
            other: self.other.load(Ordering::Relaxed),
            unseen,
        }));
    }

    fn write(&self, found: &Found) {
        let mut out = self.out.lock();
        // If the reader is gone, that is no reason to stop the machine.
        let _ = match (out.as_mut(), found) {
            (Some(file), _) => serde_json::to_string(found)
                .map_err(std::io::Error::from)
                .and_then(|json| writeln!(file, "{json}")),
            (
                None,
                Found::Hazard(Hazard {
                    kind,
                    by,
                    with,
                    line,
                    ..
                }),
            ) => writeln!(
                std::io::stderr(),
                "hazard: {} {}; {}; line {line}",
                by.text(),
                kind.about(),
                with.text()
            ),
            (None, Found::Coverage(c)) => writeln!(
                std::io::stderr(),
                "coherence: {} accesses, {} fetches, {} sites of maintenance",
                c.accesses,
                c.fetches,
                c.sites.len()
            ),
        };
    }
}
