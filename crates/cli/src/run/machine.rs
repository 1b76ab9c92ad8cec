//! The machine that QEMU is asked for, and the whole of QEMU's command line.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use stalecore_model::{cpuset::MAX_CPUS, errata, run::TcgThread};

use super::tcg;

/// What runs the machine's CPUs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Accel {
    /// QEMU emulates them
    Tcg,
    /// The cores of an Arm host, under its hypervisor
    Kvm,
}

impl Accel {
    /// The name in QEMU's words and in `run.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcg => "tcg",
            Self::Kvm => "kvm",
        }
    }
}

/// The machine as the command line gives it.
#[derive(clap::Args, Clone)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// How many CPUs: 1 to 512
    #[arg(long, value_name = "N", default_value = "8", value_parser = cpus)]
    pub cpus: usize,
    /// What runs the CPUs: QEMU's emulation, or the cores of an Arm host, each
    /// CPU pinned to one (no semihosting)
    #[arg(long, value_enum, value_name = "HOW", default_value = "tcg")]
    pub accel: Accel,
    /// Which threads of the host QEMU emulates the CPUs in
    #[arg(long, value_enum, value_name = "HOW", default_value = "auto")]
    pub tcg_thread: tcg::Asked,
    /// QEMU's model of the CPU [default: cortex-a72; with --accel kvm: host]
    #[arg(
        long,
        value_name = "MODEL",
        hide_default_value = true,
        default_value = "cortex-a72",
        default_value_if("accel", "kvm", "host")
    )]
    pub cpu: String,
    /// The interrupt controller: GICv2 (up to 8 CPUs), GICv3, or the host's [default: 3; with
    /// --accel kvm: host]
    #[arg(long, value_name = "VERSION", hide_default_value = true, default_value = "3",
          default_value_if("accel", "kvm", "host"), value_parser = ["2", "3", "host"])]
    pub gic: String,
    /// The exception level at which the image is entered [default: 2; with --accel kvm: 1]
    #[arg(long, value_name = "LEVEL", hide_default_value = true, default_value = "2",
          default_value_if("accel", "kvm", "1"), value_parser = ["1", "2", "3"])]
    pub el: String,
    /// Memory: 64M to 8G
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = mebibytes)]
    pub mem: u32,
    /// Another argument for QEMU, passed on as it stands (repeatable)
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub qemu_arg: Vec<OsString>,
}

/// CPU models of QEMU that `virt` takes although they have no AArch64.
const AARCH32_ONLY: &[&str] = &["cortex-a7", "cortex-a15"];

/// GICv2 has no room for more (Arm IHI 0048).
const GICV2_CPUS: usize = 8;

/// MIDR_EL1 of QEMU's models, in versions 7.2 to 10.
const MODELS: &[(&str, u64)] = &[
    ("cortex-a35", 0x411f_d040),
    ("cortex-a53", 0x410f_d034),
    ("cortex-a55", 0x412f_d050),
    ("cortex-a57", 0x411f_d070),
    ("cortex-a72", 0x410f_d083),
    ("cortex-a76", 0x414f_d0b1),
    ("cortex-a710", 0x412f_d471),
    ("neoverse-n1", 0x414f_d0c1),
    ("neoverse-n2", 0x410f_d493),
    ("neoverse-v1", 0x411f_d402),
    ("a64fx", 0x461f_0010),
    ("max", 0x000f_0510),
];

impl MachineArgs {
    /// What is known about the machine before it starts: its cores, if QEMU's model
    /// is a known one. What the image finds is what counts.
    pub fn known(&self) -> errata::Machine {
        // A model may be followed by properties: `max,sve=off`.
        let model = self.cpu.split(',').next().unwrap_or_default();
        let known = MODELS.iter().filter(|(name, _)| *name == model);
        errata::Machine {
            midrs: known.map(|(_, midr)| *midr).collect(),
            board: "virt".into(),
        }
    }

    /// Is the image to be entered at EL3?
    pub fn at_el3(&self) -> bool {
        self.el == "3"
    }

    /// Is QEMU given a plugin?
    pub fn has_plugin(&self) -> bool {
        let mut words = self.qemu_arg.iter().filter_map(|word| word.to_str());
        words.any(|word| matches!(word, "-plugin" | "--plugin"))
    }

    /// Checks what QEMU would refuse, or accept and never boot.
    ///
    /// # Errors
    /// One line with what is allowed.
    pub fn check(&self) -> Result<(), String> {
        if self.gic == "2" && self.cpus > GICV2_CPUS {
            return Err(format!(
                "--cpus: {} CPUs with --gic 2; allowed: 1 to {GICV2_CPUS}, or --gic 3",
                self.cpus
            ));
        }
        if AARCH32_ONLY.contains(&self.cpu.as_str()) {
            return Err(format!(
                "--cpu: {} has no AArch64; allowed: cortex-a35, cortex-a53, cortex-a57, \
                 cortex-a72, cortex-a76, a64fx, neoverse-n1, max and others, as QEMU has them",
                self.cpu
            ));
        }
        match self.accel {
            Accel::Tcg => self.check_tcg(),
            // The host's part is `kvm::check`.
            Accel::Kvm => Ok(()),
        }
    }

    /// Refuses what only a host's own cores have.
    fn check_tcg(&self) -> Result<(), String> {
        for (flag, value) in [("cpu", &self.cpu), ("gic", &self.gic)] {
            if value == "host" {
                return Err(format!("--{flag}: host without --accel kvm"));
            }
        }
        Ok(())
    }

    /// QEMU's arguments.
    pub fn arguments(&self, launch: &Launch<'_>) -> Vec<OsString> {
        let mut machine = format!("virt,gic-version={}", self.gic);
        match self.el.as_str() {
            "1" => {}
            "2" => machine += ",virtualization=on",
            _ => machine += ",virtualization=on,secure=on",
        }
        let accel = match launch.threads {
            None => self.accel.name().into(),
            Some(threads) => format!(
                "{},thread={}",
                self.accel.name(),
                match threads {
                    TcgThread::Single => "single",
                    // Of a run that is split, a boot has one or the other.
                    TcgThread::Multi | TcgThread::Split => "multi",
                }
            ),
        };
        let mut words: Vec<OsString> = [
            "-machine",
            &machine,
            "-accel",
            &accel,
            "-cpu",
            &self.cpu,
            "-smp",
            &self.cpus.to_string(),
            "-m",
            &format!("{}M", self.mem),
            // Its threads are named after their CPUs.
            "-name",
            "stalecore,debug-threads=on",
            "-nodefaults",
            "-display",
            "none",
            "-serial",
            "stdio",
        ]
        .iter()
        .map(OsString::from)
        .collect();
        let mut add = |flag: &str, value: &str| words.extend([flag.into(), value.into()]);
        if launch.icount {
            add("-icount", "shift=0");
        }
        if launch.semihosting {
            // What the image asks for goes to a debugger, and there is none: it can end
            // the machine, but neither open a file nor run a command on the host.
            add("-semihosting-config", "enable=on,target=gdb");
        }
        if self.accel == Accel::Kvm {
            // It begins once its CPUs are pinned.
            words.push("-S".into());
        }
        words.extend(launch.boot.iter().cloned());
        let mut monitor = OsString::from("unix:");
        monitor.push(escaped(launch.monitor));
        monitor.push(",server=on,wait=off");
        words.extend(["-qmp".into(), monitor]);
        words.extend(self.qemu_arg.iter().cloned());
        words
    }
}

/// What is run on the machine, and how.
pub struct Launch<'a> {
    /// QEMU's words for what boots the image.
    pub boot: &'a [OsString],
    /// Where QEMU's monitor listens.
    pub monitor: &'a Path,
    /// The threads in which it emulates the CPUs, where it does.
    pub threads: Option<TcgThread>,
    /// Count instructions, one a nanosecond?
    pub icount: bool,
    /// Let the image end through semihosting?
    pub semihosting: bool,
}

/// A path inside a list of QEMU's options, where a comma is doubled.
pub fn escaped(path: &Path) -> OsString {
    let bytes = path.as_os_str().as_bytes();
    let doubled = bytes.iter().flat_map(|b| match b {
        b',' => &b",,"[..],
        b => std::slice::from_ref(b),
    });
    OsString::from_vec(doubled.copied().collect())
}

/// The whole command as text, for people and for `run.json`.
pub fn as_text(program: &Path, words: &[OsString]) -> Vec<String> {
    let program: PathBuf = program.into();
    [program.into_os_string()]
        .iter()
        .chain(words)
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

fn cpus(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=MAX_CPUS).contains(&n) => Ok(n),
        _ => Err(format!("allowed: 1 to {MAX_CPUS}")),
    }
}

/// Reads a size like `512M`, `2G` or `512` (MiB).
fn mebibytes(text: &str) -> Result<u32, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'M' | b'm') => (&text[..text.len() - 1], 1),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 1024),
        _ => (text, 1),
    };
    let size = digits
        .parse::<u32>()
        .ok()
        .filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|n| n.checked_mul(unit));
    match size {
        Some(size) if (64..=8192).contains(&size) => Ok(size),
        _ => Err("allowed: 64M to 8G, like 512M or 2G".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(args: &[&str]) -> MachineArgs {
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            machine: MachineArgs,
        }
        let only: Only = clap::Parser::parse_from([&["x"], args].concat());
        only.machine
    }

    fn words(machine: &MachineArgs, icount: bool, semihosting: bool) -> String {
        let boot = ["-kernel", "a b.img", "-append", "stalecore.ops=none"];
        let words = machine.arguments(&Launch {
            boot: &boot.map(OsString::from),
            monitor: Path::new("/tmp/q"),
            threads: match (machine.accel, icount) {
                (Accel::Kvm, _) => None,
                (Accel::Tcg, true) => Some(TcgThread::Single),
                (Accel::Tcg, false) => Some(TcgThread::Multi),
            },
            icount,
            semihosting,
        });
        stalecore_model::shell::quoted(&as_text(Path::new("qemu"), &words))
    }

    fn line(args: &[&str], icount: bool, semihosting: bool) -> String {
        let machine = machine(args);
        machine.check().unwrap();
        words(&machine, icount, semihosting)
    }

    #[test]
    fn the_default_machine() {
        assert_eq!(
            line(&[], false, true),
            "qemu -machine virt,gic-version=3,virtualization=on -accel tcg,thread=multi \
             -cpu cortex-a72 -smp 8 -m 1024M -name stalecore,debug-threads=on -nodefaults -display none -serial stdio \
             -semihosting-config enable=on,target=gdb -kernel 'a b.img' \
             -append stalecore.ops=none -qmp unix:/tmp/q,server=on,wait=off"
        );
    }

    #[test]
    fn another_machine() {
        let line = line(
            &[
                "--gic=2",
                "--el=1",
                "--mem=64M",
                "--qemu-arg",
                "-d",
                "--qemu-arg",
                "it's",
            ],
            true,
            false,
        );
        for part in [
            "virt,gic-version=2 ",
            "tcg,thread=single",
            "-m 64M",
            "-icount shift=0",
            "wait=off -d 'it'\\''s'",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert!(!line.contains("semihosting"), "{line}");
    }

    #[test]
    fn el3_has_all_levels() {
        let line = line(&["--el=3"], false, true);
        assert!(line.contains("virtualization=on,secure=on "), "{line}");
        assert_eq!(escaped(Path::new("a,b")), "a,,b");
    }

    #[test]
    fn a_host_s_cores_need_kvm() {
        for args in [["--cpu=host"], ["--gic=host"]] {
            let error = machine(&args).check().unwrap_err();
            assert!(error.contains("host without --accel kvm"), "{error}");
        }
    }

    #[test]
    fn kvm_s_machine() {
        let line = words(&machine(&["--accel=kvm", "--cpus=4"]), false, false);
        assert_eq!(
            line,
            "qemu -machine virt,gic-version=host -accel kvm -cpu host -smp 4 -m 1024M \
             -name stalecore,debug-threads=on -nodefaults \
             -display none -serial stdio -S -kernel 'a b.img' \
             -append stalecore.ops=none -qmp unix:/tmp/q,server=on,wait=off"
        );
        let line = words(
            &machine(&["--accel=kvm", "--gic=3", "--cpu=max"]),
            false,
            false,
        );
        assert!(line.contains("gic-version=3 -accel kvm -cpu max"), "{line}");
    }

    #[test]
    fn sizes() {
        for (text, size) in [("64M", 64), ("8G", 8192), ("512", 512), ("1g", 1024)] {
            assert_eq!(mebibytes(text), Ok(size));
        }
        for text in [
            "63M",
            "9G",
            "",
            "G",
            "1T",
            "+64",
            "99999999999G",
            "4194305G",
        ] {
            assert!(mebibytes(text).is_err(), "{text}");
        }
    }
}
