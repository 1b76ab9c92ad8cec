//! From a running Linux into the image: what `stalecore deploy` makes of the machine that
//! it stands on. The facts are gathered elsewhere; what follows from them is here: which
//! ways there are, what would be loaded where, and why something cannot work, with the one
//! thing that would make it work.
//!
//! Sources: Linux's `kexec_load(2)`, Documentation/arch/arm64/booting.rst,
//! Documentation/admin-guide/kdump/kdump.rst, `security/lockdown`.

mod dump;
mod firmware;
mod hooks;
mod iomem;
mod load;
mod logs;
mod refusal;
mod screen;
mod sight;

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

pub use dump::{DUMP_ENDS, dump};
pub use hooks::{Dumper, Edit, Hooks, KDUMP_CONF, without};
pub use load::{Load, Next, Piece};
pub use refusal::{Refusal, Tool};
pub use screen::Shown;

use crate::{
    handover::image::ImageHeader,
    options::{Options, Then},
    plan::Plan,
    platform::{Platform, Start, earlycon},
    region::Region,
    words,
};
use iomem::Iomem;

/// How the image is entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// From the Linux that runs, whose other cores then are off.
    Now,
    /// As its crash kernel, in place of the one that saves dumps.
    Crash,
    /// From the kernel that runs after a crash, once it has saved the dump.
    AfterDump,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Now, Self::Crash, Self::AfterDump];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Crash => "crash",
            Self::AfterDump => "after-dump",
        }
    }

    /// What it is, in words.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Now => "from this Linux, by kexec -e or systemctl kexec: every core starts fresh",
            Self::Crash => {
                "as the crash kernel, when Linux crashes: beside the cores that it leaves stuck, at the cost of the dump"
            }
            Self::AfterDump => {
                "after a crash, when its dump is saved: beside the same cores, and nothing is lost"
            }
        }
    }
}

/// What was gathered of a machine. Text is as Linux's files have it; a file that is not
/// there is `None` or empty.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Facts {
    /// The kernel's release.
    pub release: String,
    /// `/proc/iomem`.
    pub iomem: String,
    /// `/proc/cmdline`.
    pub cmdline: String,
    /// `/sys/kernel/kexec_loaded` is there: the kernel has kexec at all.
    pub kexec: bool,
    /// `/sys/kernel/kexec_crash_size`.
    pub crash_size: u64,
    /// `/sys/kernel/kexec_crash_loaded`.
    pub crash_loaded: bool,
    /// `/sys/kernel/security/lockdown`.
    pub lockdown: String,
    /// Firmware's variable SecureBoot is 1.
    pub secure_boot: bool,
    /// `kernel.kexec_load_disabled`.
    pub load_disabled: bool,
    /// The file that sets it, if one was found.
    pub disabled_by: Option<String>,
    /// `kernel.kexec_load_limit_reboot` and `_panic` are 0: nothing may be loaded any more.
    pub limits: [bool; 2],
    /// The kernel's configuration, where it can be read.
    pub config: Option<String>,
    /// `/sys/firmware/fdt`.
    pub tree: Option<Vec<u8>>,
    /// The ACPI tables.
    pub tables: Vec<Vec<u8>>,
    /// MIDR_EL1 of the first core.
    pub midr: u64,
    /// CPUs that Linux has, and those that are offline.
    pub cpus: usize,
    /// Which of them are offline.
    pub offline: usize,
    /// The parameters of the module ramoops, as `name=value`.
    pub ramoops: Vec<String>,
    /// Is that module there at all?
    pub ramoops_loaded: bool,
    /// What keeps Linux's logs over a reset: `/sys/module/pstore/parameters/backend`.
    pub pstore: String,
    /// What Linux shows of a screen.
    pub screen: Shown,
    /// Watchdogs that run: the name, and the seconds that they allow.
    pub watchdogs: Vec<(String, u32)>,
    /// `/proc/vmcore` is there: this is the kernel that runs after a crash.
    pub vmcore: bool,
    /// What saves dumps here.
    pub dumper: Option<Dumper>,
    /// What edits the boot loader's command line here.
    pub tool: Tool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The image.
    pub image: &'a [u8],
    /// What it is to run.
    pub options: &'a Options,
    /// More words for its command line.
    pub append: &'a str,
    /// How this command is called on this machine.
    pub command: &'a str,
    /// The kernel for `--then kexec`.
    pub next: Option<Next<'a>>,
}

/// What would be done one way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Deed {
    /// This is loaded.
    Load(Load),
    /// These files are written.
    Hooks(Hooks),
}

/// What there is to say about one way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Which.
    pub way: Way,
    /// What would be done, or why it cannot.
    pub deed: Result<Deed, Refusal>,
    /// What should be known before.
    pub warns: Vec<String>,
}

/// What there is to say about a machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outlook {
    /// The machine, line by line.
    pub machine: Vec<String>,
    /// Each way.
    pub ways: Vec<Outcome>,
}

/// The most that the harness takes besides the image: what all cores share, and for each.
const SHARED: u64 = 4 << 20;
const EACH: u64 = 128 << 10;
/// The tree and the first instructions, at a boundary of the image's.
const TREE: u64 = 2 << 20;
/// What a kernel that saves dumps takes at least; below it none comes up.
const CAPTURE: u64 = 128 << 20;

/// Judges a machine.
pub fn judge(facts: &Facts, ask: &Ask<'_>) -> Outlook {
    let iomem = Iomem::read(&facts.iomem);
    let platform = firmware::platform(facts, &bootargs(facts, ask));
    let mut options = ask.options.clone();
    let screen = match &platform {
        Ok(platform) => screen::place(options.framebuffer, platform, facts, &iomem),
        Err(_) => Ok(options.framebuffer),
    };
    if let Ok(found) = screen {
        options.framebuffer = found;
    }
    let ask = &Ask {
        options: &options,
        ..*ask
    };
    let bootargs = bootargs(facts, ask);
    let mut machine = sight::machine(facts, &iomem);
    if let Ok(platform) = &platform {
        let ramoops = logs::named(&bootargs, platform).ok().flatten();
        machine.extend(sight::described(platform, ramoops, facts));
    }
    let one = |way| {
        let known = Known {
            facts,
            ask,
            iomem: &iomem,
            platform: &platform,
            screen: screen.as_ref().err(),
            bootargs: &bootargs,
        };
        let mut warns = Vec::new();
        let deed = known.deed(way, &mut warns);
        Outcome { way, deed, warns }
    };
    Outlook {
        machine,
        ways: Way::ALL.map(one).into(),
    }
}

/// The image's command line: the plan, and [`kept`].
fn bootargs(facts: &Facts, ask: &Ask<'_>) -> String {
    let mut all = vec![ask.options.to_bootargs(), kept(facts, ask)];
    all.retain(|word| !word.is_empty());
    all.join(" ")
}

/// What Linux's own command line and module say of consoles and ramoops, and what was asked
/// for.
fn kept(facts: &Facts, ask: &Ask<'_>) -> String {
    const KEPT: [&str; 3] = ["earlycon=", "acpi_rsdp=", "ramoops."];
    let words = facts.cmdline.split_ascii_whitespace();
    let mut all: Vec<String> = words
        .filter(|word| KEPT.iter().any(|begin| word.starts_with(begin)))
        // Linux has consoles that the image has not.
        .filter(|word| earlycon::console(word).is_ok())
        .map(ToString::to_string)
        .collect();
    all.extend(facts.ramoops.iter().map(|word| format!("ramoops.{word}")));
    all.extend(ask.append.split_ascii_whitespace().map(ToString::to_string));
    all.join(" ")
}

/// Everything a decision is made from.
struct Known<'a> {
    facts: &'a Facts,
    ask: &'a Ask<'a>,
    iomem: &'a Iomem,
    platform: &'a Result<Platform, String>,
    /// Why a screen that was asked for cannot be.
    screen: Option<&'a Refusal>,
    bootargs: &'a str,
}

impl Known<'_> {
    fn deed(&self, way: Way, warns: &mut Vec<String>) -> Result<Deed, Refusal> {
        let header = self.image()?;
        refusal::kernel(self.facts, way)?;
        if self.iomem.is_hidden() {
            return Err(Refusal::new(
                "/proc/iomem shows no addresses to who is not root",
                "sudo before this command",
            ));
        }
        let platform = self.described()?;
        self.plan(platform)?;
        self.screen.cloned().map_or(Ok(()), Err)?;
        screen::check(self.ask.options.framebuffer, self.iomem)?;
        self.read_by_somebody(platform, warns)?;
        self.may_come_back(way, platform)?;
        if self.facts.offline > 0 {
            let cpus = words::with(self.facts.offline, "CPU", "CPUs");
            warns.push(format!(
                "{} {cpus} that Linux has offline will be started",
                self.facts.offline
            ));
        }
        self.tell_memory(platform, warns);
        // SBSA's the image serves itself, where firmware describes it.
        let served = |name: &str| platform.watchdog.is_some() && name == "SBSA Generic Watchdog";
        let others = self
            .facts
            .watchdogs
            .iter()
            .filter(|(name, _)| !served(name));
        for (name, seconds) in others {
            warns.push(format!(
                "watchdog {name} runs, and may reset the machine {seconds} s after the image has begun: stop it before (systemctl stop watchdog, or wdctl names who serves it), or choose a plan that is shorter"
            ));
        }
        let need = header.image_size + TREE + SHARED + EACH * platform.cpus.len() as u64;
        match way {
            Way::Now => self.now(&header, platform, warns).map(Deed::Load),
            Way::Crash => {
                let room = self.reserved(need)?;
                if self.facts.crash_loaded {
                    warns.push("the crash kernel that is loaded now is replaced: the next crash leaves no dump".into());
                }
                self.loaded(&header, &[room], &[room], platform)
                    .map(Deed::Load)
            }
            Way::AfterDump => {
                self.reserved(need.max(CAPTURE))?;
                if !self.facts.crash_loaded {
                    warns.push("no crash kernel is loaded at present: without one a crash leaves neither dump nor answer".into());
                }
                warns.extend(hooks::in_memory(self.facts, self.ask));
                hooks::hooks(self.facts, self.ask).map(Deed::Hooks)
            }
        }
    }

    /// A tree may have memory that Linux does not use, or that is not there.
    fn tell_memory(&self, platform: &Platform, warns: &mut Vec<String>) {
        let kexec = platform.kexec.as_ref();
        // Then memory is UEFI's map, or what a kernel after a crash was left.
        if kexec.is_some_and(|kexec| kexec.uefi.is_some() || !kexec.usable.is_empty()) {
            return;
        }
        let linux = self.iomem.named("System RAM");
        // Kept out of Linux's own map, and told to the image too.
        let known: Vec<_> = linux.iter().chain(&platform.reserved).copied().collect();
        let known = Region::joined(known);
        let inside = |region: &Region| known.iter().any(|k| k.common(region) == Some(*region));
        if platform.memory.iter().all(inside) {
            return;
        }
        let told = |regions: &[Region]| {
            let each: Vec<_> = regions
                .iter()
                .map(|region| format!("{:#x} to {:#x}", region.base, region.end()))
                .collect();
            each.join(", ")
        };
        warns.push(format!(
            "the tree has memory from {}, Linux uses {}: the image is told what Linux uses",
            told(&Region::joined(platform.memory.clone())),
            told(&linux)
        ));
    }

    /// Is it the harness's?
    fn image(&self) -> Result<ImageHeader, Refusal> {
        let image = self.ask.image;
        let mend = "make live, whose command has the image inside";
        let header = ImageHeader::read(image).map_err(|why| Refusal::new(why, mend))?;
        // A kernel has the same header; none has this in it.
        let ours = b"stalecore: exit ";
        if !image.windows(ours.len()).any(|window| window == ours) {
            return Err(Refusal::new(
                "the image is an arm64 kernel, but not stalecore's",
                mend,
            ));
        }
        Ok(header)
    }

    fn described(&self) -> Result<&Platform, Refusal> {
        self.platform.as_ref().map_err(|why| {
            Refusal::new(
                format!("the image would not start: {why}"),
                "another way in (docs/boards/README.md), and the files in /sys/firmware sent to us",
            )
        })
    }

    fn plan(&self, platform: &Platform) -> Result<(), Refusal> {
        // With the words of --append, as the image reads them.
        let options = Options::from_bootargs(self.bootargs)
            .map_err(|why| Refusal::new(why, "the word corrected, in --append"))?;
        let plan = Plan::new(&options, platform.cpus.len());
        plan.map(drop)
            .map_err(|why| Refusal::new(why, "another plan: stalecore list has the words"))
    }

    /// Somebody must be able to read the answer.
    fn read_by_somebody(
        &self,
        platform: &Platform,
        warns: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        let wrong = |why: String| Refusal::new(why, "the word corrected, in --append");
        let named = earlycon::console(self.bootargs).map_err(wrong)?;
        if self.ask.options.ramoops {
            let found = logs::named(self.bootargs, platform).map_err(wrong)?;
            return logs::check(found, self.facts, self.iomem, warns);
        }
        if platform.uart.is_none() && named.is_none() {
            return Err(Refusal::new(
                "nobody would hear the image: neither firmware nor Linux names a UART that it can drive",
                "--append earlycon=pl011,0x… (or uart8250,mmio32,0x…), or --ramoops on",
            ));
        }
        Ok(())
    }

    /// Can the image start another kernel at the end?
    fn may_come_back(&self, way: Way, platform: &Platform) -> Result<(), Refusal> {
        if self.ask.options.then != Then::Kexec {
            return Ok(());
        }
        let mend = "--then reset";
        if way != Way::Now || self.facts.vmcore {
            return Err(Refusal::new(
                "--then kexec: after a crash cores and devices may still run that the next kernel knows nothing of",
                mend,
            ));
        }
        if platform.psci.is_none() || platform.psci_functions.is_some() {
            return Err(Refusal::new(
                "--then kexec: no PSCI from 0.2 on, by which a core is turned off and seen to be off",
                mend,
            ));
        }
        if self.ask.options.fabric.is_some() {
            return Err(Refusal::new(
                "--then kexec: the fabric keeps EL2",
                format!("{mend}, or no --fabric"),
            ));
        }
        Ok(())
    }

    fn now(
        &self,
        header: &ImageHeader,
        platform: &Platform,
        warns: &mut Vec<String>,
    ) -> Result<Load, Refusal> {
        let held = |cpu: &crate::platform::Cpu| matches!(cpu.start, Start::SpinTable(_));
        if !self.facts.vmcore && platform.cpus.len() > 1 && platform.cpus.iter().any(held) {
            return Err(Refusal::new(
                "firmware holds its cores in a spin table, from which Linux cannot send them back: it refuses kexec -e (\"CPUs are stuck in the kernel\")",
                format!("{} deploy crash", self.ask.command),
            ));
        }
        let usable = platform.kexec.as_ref().map(|kexec| kexec.usable.as_slice());
        let usable = usable.unwrap_or_default();
        if self.facts.vmcore && usable.is_empty() {
            return Err(Refusal::new(
                "this is the kernel after a crash, and its tree does not say which memory is its own (linux,usable-memory-range): the image would write into the crashed kernel's",
                "the reset that the capture kernel does anyway",
            ));
        }
        if self.facts.crash_loaded && !self.facts.vmcore {
            warns.push(
                "the crash kernel that is loaded stays so, and is gone with this Linux".into(),
            );
        }
        let free = self.iomem.free();
        // What is inside the range is all that a kernel after a crash may write.
        let free: Vec<Region> = match usable {
            [] => free,
            usable => free
                .iter()
                .flat_map(|part| usable.iter().filter_map(|range| part.common(range)))
                .collect(),
        };
        self.loaded(header, &free, usable, platform)
    }

    /// The reservation, as far as the image can use it.
    fn reserved(&self, need: u64) -> Result<Region, Refusal> {
        let facts = self.facts;
        let mend = |mib: u64| {
            let aligned = need.div_ceil(64 << 20) * 64;
            facts
                .tool
                .kernel_word(&format!("crashkernel={}M", aligned.max(mib)))
        };
        let found = self.iomem.named("Crash kernel");
        if facts.vmcore {
            return Err(Refusal::new(
                "this is the kernel after a crash, which has no reservation of its own",
                format!("{} deploy now", self.ask.command),
            ));
        }
        let Some(largest) = found.iter().max_by_key(|region| region.size) else {
            return Err(Refusal::new(
                "no memory is reserved for a crash kernel",
                mend(256),
            ));
        };
        let mib = |bytes: u64| bytes >> 20;
        let whole = load::aligned(largest);
        if whole.size >= need {
            return Ok(*largest);
        }
        let what = match largest.size >= need {
            true => format!(
                "the reservation at {:#x} is not at a multiple of 2 MiB, and {} of its {} MiB are behind one; {} are needed",
                largest.base,
                mib(whole.size),
                mib(largest.size),
                mib(need)
            ),
            false => format!(
                "the reservation at {:#x} has {} MiB; {} are needed",
                largest.base,
                mib(largest.size),
                need.div_ceil(1 << 20)
            ),
        };
        Err(Refusal::new(what, mend(256)))
    }

    fn loaded(
        &self,
        header: &ImageHeader,
        room: &[Region],
        usable: &[Region],
        platform: &Platform,
    ) -> Result<Load, Refusal> {
        let facts = self.facts;
        let tree = facts.tree.as_deref().unwrap_or_default();
        let uefi = platform.kexec.as_ref().is_some_and(|k| k.uefi.is_some());
        // What Linux uses is what there is, whatever the tree says.
        let memory = (!uefi).then(|| self.iomem.named("System RAM"));
        let unread = |why: String| Refusal::new(why, "the files in /sys/firmware sent to us");
        let no_room = |bytes: u64| {
            Refusal::new(
                format!(
                    "no {} MiB of free memory lie at a multiple of 2 MiB",
                    bytes.div_ceil(1 << 20)
                ),
                "the same on a machine that has just been booted",
            )
        };
        let changes = load::Changes {
            bootargs: self.bootargs,
            memory: memory.as_deref(),
            usable,
            ..load::Changes::default()
        };
        let place = |tree| {
            let placed = Load::place(self.ask.image, header, tree, room);
            placed.ok_or_else(|| no_room(header.image_size + TREE))
        };
        let mut placed = place(load::tree(tree, &changes).map_err(unread)?)?;
        if self.ask.options.then == Then::Kexec {
            let next = self.ask.next.ok_or_else(|| {
                Refusal::new(
                    "--then kexec: there is no kernel to be started",
                    "--next-kernel FILE",
                )
            })?;
            let wrong = |why: String| {
                Refusal::new(
                    format!("--then kexec: the next kernel: {why}"),
                    "--next-kernel FILE, of an arm64 kernel as boot/Image or gzip has it",
                )
            };
            let size = next.size().map_err(wrong)?;
            // It stays in front of all that the tree with one property more may move.
            let taken = Region {
                base: placed.image().base,
                size: placed.entry + 2 * TREE - placed.image().base,
            };
            let at = Load::beside(room, &taken, size).ok_or_else(|| no_room(size))?;
            let changes = load::Changes {
                next: Some(at),
                ..changes
            };
            placed = place(load::tree(tree, &changes).map_err(unread)?)?;
            let pieces = next.pieces(&at, tree, &facts.cmdline).map_err(wrong)?;
            placed.pieces.extend(pieces);
            placed.next = Some(at);
        }
        Ok(Load {
            bootargs: self.bootargs.into(),
            usable: usable.to_vec(),
            ..placed
        })
    }
}

#[cfg(test)]
mod tests;
