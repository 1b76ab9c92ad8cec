//! The machine that QEMU is asked for: everything about its command line.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use stalecore_model::cpuset::MAX_CPUS;

use super::el3;

/// The machine as the command line gives it.
#[derive(clap::Args, Clone)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// How many CPUs: 1 to 512
    #[arg(long, value_name = "N", default_value = "8", value_parser = cpus)]
    pub cpus: usize,
    /// QEMU's model of the CPU
    #[arg(long, value_name = "MODEL", default_value = "cortex-a72")]
    pub cpu: String,
    /// The interrupt controller: GICv2 (up to 8 CPUs) or GICv3
    #[arg(long, value_name = "VERSION", default_value = "3", value_parser = ["2", "3"])]
    pub gic: String,
    /// The exception level at which the image is entered
    #[arg(long, value_name = "LEVEL", default_value = "2", value_parser = ["1", "2", "3"])]
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

impl MachineArgs {
    /// Is the image to be entered at EL3?
    pub fn at_el3(&self) -> bool {
        self.el == "3"
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
        Ok(())
    }

    /// QEMU's arguments.
    pub fn arguments(&self, boot: &Boot<'_>) -> Vec<OsString> {
        let mut machine = format!("virt,gic-version={}", self.gic);
        match self.el.as_str() {
            "1" => {}
            "2" => machine += ",virtualization=on",
            _ => machine += ",virtualization=on,secure=on",
        }
        let threads = if boot.icount { "single" } else { "multi" };
        let mut words: Vec<OsString> = [
            "-machine",
            &machine,
            "-accel",
            &format!("tcg,thread={threads}"),
            "-cpu",
            &self.cpu,
            "-smp",
            &self.cpus.to_string(),
            "-m",
            &format!("{}M", self.mem),
            "-nodefaults",
            "-no-reboot",
            "-display",
            "none",
            "-serial",
            "stdio",
        ]
        .iter()
        .map(OsString::from)
        .collect();
        let mut add = |flag: &str, value: OsString| words.extend([flag.into(), value]);
        if boot.icount {
            add("-icount", "shift=0".into());
        }
        if boot.semihosting {
            add("-semihosting-config", "enable=on,target=native".into());
        }
        match boot.el3 {
            None => add("-kernel", boot.image.into()),
            Some(entry) => {
                add("-kernel", entry.into());
                let mut loader = OsString::from("loader,file=");
                loader.push(escaped(boot.image));
                loader.push(format!(",addr={:#x},force-raw=on", el3::IMAGE));
                add("-device", loader);
            }
        }
        if !boot.arguments.is_empty() {
            add("-append", boot.arguments.into());
        }
        let mut monitor = OsString::from("unix:");
        monitor.push(escaped(boot.monitor));
        monitor.push(",server=on,wait=off");
        add("-qmp", monitor);
        words.extend(self.qemu_arg.iter().cloned());
        words
    }
}

/// What is booted on the machine, and how.
pub struct Boot<'a> {
    /// The flat image.
    pub image: &'a Path,
    /// The boot arguments.
    pub arguments: &'a str,
    /// The kernel that enters the image at EL3, where that was asked for.
    pub el3: Option<&'a Path>,
    /// Where QEMU's monitor listens.
    pub monitor: &'a Path,
    /// Count instructions, one a nanosecond?
    pub icount: bool,
    /// Let the image end through semihosting?
    pub semihosting: bool,
}

/// A path inside a list of QEMU's options, where a comma is doubled.
fn escaped(path: &Path) -> OsString {
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

    fn line(args: &[&str], icount: bool, semihosting: bool) -> String {
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            machine: MachineArgs,
        }
        let only: Only = clap::Parser::parse_from([&["x"], args].concat());
        only.machine.check().unwrap();
        let words = only.machine.arguments(&Boot {
            image: Path::new("a b.img"),
            arguments: "stalecore.ops=none",
            el3: only.machine.at_el3().then_some(Path::new("el3.elf")),
            monitor: Path::new("/tmp/q"),
            icount,
            semihosting,
        });
        crate::words::shell(&as_text(Path::new("qemu"), &words))
    }

    #[test]
    fn the_default_machine() {
        assert_eq!(
            line(&[], false, true),
            "qemu -machine virt,gic-version=3,virtualization=on -accel tcg,thread=multi \
             -cpu cortex-a72 -smp 8 -m 1024M -nodefaults -no-reboot -display none -serial stdio \
             -semihosting-config enable=on,target=native -kernel 'a b.img' \
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
    fn el3_is_entered_through_a_few_instructions() {
        let line = line(&["--el=3"], false, true);
        for part in [
            "virtualization=on,secure=on ",
            "-kernel el3.elf -device 'loader,file=a b.img,addr=0x40400000,force-raw=on' -append",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert_eq!(escaped(Path::new("a,b")), "a,,b");
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
