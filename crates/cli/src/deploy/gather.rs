//! What Linux shows of the machine below a root directory. Nothing is decided here: what
//! is not there, or cannot be read, is left empty.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use stalecore_model::{
    cpuset::CpuSet,
    deploy::{Dumper, Facts, KDUMP_CONF, Shown, Tool},
};

use crate::whole_file;

/// The most that is read of one file.
const LARGEST: u64 = 16 << 20;

/// Firmware's variable.
const SECURE_BOOT: &str =
    "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// The tables that the image reads.
const TABLES: [&str; 5] = ["APIC", "GTDT", "SPCR", "FACP", "PPTT"];
/// Where settings of the kernel are.
const SYSCTL: [&str; 4] = [
    "etc/sysctl.d",
    "run/sysctl.d",
    "usr/local/lib/sysctl.d",
    "usr/lib/sysctl.d",
];
/// The parameters of ramoops that the image knows.
const RAMOOPS: [&str; 7] = [
    "mem_address",
    "mem_size",
    "record_size",
    "console_size",
    "ftrace_size",
    "pmsg_size",
    "ecc",
];

/// Files below a directory.
struct Root<'a>(&'a Path);

impl Root<'_> {
    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        whole_file::read(&self.0.join(path), LARGEST).ok()
    }

    fn text(&self, path: &str) -> Option<String> {
        Some(String::from_utf8_lossy(&self.bytes(path)?).into_owned())
    }

    fn word(&self, path: &str) -> String {
        self.text(path).unwrap_or_default().trim().to_string()
    }

    fn has(&self, path: &str) -> bool {
        self.0.join(path).exists()
    }

    fn files(&self, dir: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.join(dir))
            .into_iter()
            .flatten()
            .flatten();
        let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
        files.sort();
        files
    }

    /// A number of CPUs.
    fn cpus(&self, list: &str) -> usize {
        let path = format!("sys/devices/system/cpu/{list}");
        CpuSet::parse(&self.word(&path)).map_or(0, |cpus| cpus.len())
    }
}

/// Reads everything.
pub fn facts(root: &Path) -> Facts {
    let root = Root(root);
    let release = root.word("proc/sys/kernel/osrelease");
    let is = |path: &str, value: &str| root.word(path) == value;
    Facts {
        iomem: root.text("proc/iomem").unwrap_or_default(),
        cmdline: root.word("proc/cmdline"),
        kexec: root.has("sys/kernel/kexec_loaded"),
        crash_size: root
            .word("sys/kernel/kexec_crash_size")
            .parse()
            .unwrap_or(0),
        crash_loaded: is("sys/kernel/kexec_crash_loaded", "1"),
        lockdown: root.word("sys/kernel/security/lockdown"),
        // Four bytes of attributes before it.
        secure_boot: root
            .bytes(SECURE_BOOT)
            .is_some_and(|bytes| bytes.get(4) == Some(&1)),
        load_disabled: is("proc/sys/kernel/kexec_load_disabled", "1"),
        disabled_by: disabled_by(&root),
        limits: ["reboot", "panic"]
            .map(|which| is(&format!("proc/sys/kernel/kexec_load_limit_{which}"), "0")),
        config: config(&root, &release),
        tree: root.bytes("sys/firmware/fdt"),
        tables: TABLES
            .iter()
            .filter_map(|name| root.bytes(&format!("sys/firmware/acpi/tables/{name}")))
            .collect(),
        midr: hexadecimal(&root.word("sys/devices/system/cpu/cpu0/regs/identification/midr_el1")),
        cpus: root.cpus("present"),
        offline: root.cpus("offline"),
        ramoops: ramoops(&root),
        ramoops_loaded: root.has("sys/module/ramoops"),
        pstore: root.word("sys/module/pstore/parameters/backend"),
        screen: screen(&root),
        watchdogs: watchdogs(&root),
        vmcore: root.has("proc/vmcore"),
        dumper: dumper(&root),
        tool: tool(&root),
        release,
    }
}

fn hexadecimal(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or(0)
}

fn config(root: &Root<'_>, release: &str) -> Option<String> {
    let Some(packed) = root.bytes("proc/config.gz") else {
        return root.text(&format!("boot/config-{release}"));
    };
    let mut text = String::new();
    let reader = GzDecoder::new(packed.as_slice());
    reader.take(LARGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The files that say that nothing may be loaded: once one has said so, no other can take
/// it back.
fn disabled_by(root: &Root<'_>) -> Option<String> {
    let mut files: BTreeMap<_, PathBuf> = BTreeMap::new();
    // One of the same name in a directory before stands for it.
    for path in SYSCTL.iter().flat_map(|dir| root.files(dir)) {
        if let Some(name) = path.file_name() {
            files.entry(name.to_os_string()).or_insert(path);
        }
    }
    let last = root.0.join("etc/sysctl.conf");
    let found: Vec<_> = files
        .into_values()
        .chain([last])
        .filter(|path| {
            let bytes = whole_file::read(path, LARGEST).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            text.lines().any(disables)
        })
        .map(|path| {
            let below = path.strip_prefix(root.0).unwrap_or(&path);
            format!("/{}", below.display())
        })
        .collect();
    (!found.is_empty()).then(|| found.join(" "))
}

/// Does this line of sysctl.d's set `kernel.kexec_load_disabled` to 1? A name may have
/// slashes, and a minus sign before it.
fn disables(line: &str) -> bool {
    let set = line.trim().trim_start_matches('-').split_once('=');
    set.is_some_and(|(name, value)| {
        name.trim().replace('/', ".") == "kernel.kexec_load_disabled" && value.trim() == "1"
    })
}

/// Where Linux itself keeps its logs over a reset.
fn ramoops(root: &Root<'_>) -> Vec<String> {
    let value = |name: &str| root.word(&format!("sys/module/ramoops/parameters/{name}"));
    let is_none = |value: &str| ["", "0", "0x0"].contains(&value);
    if is_none(&value("mem_address")) {
        return Vec::new();
    }
    let known = RAMOOPS.map(|name| (name, value(name)));
    let given = known.iter().filter(|(_, value)| !value.is_empty());
    given
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

fn screen(root: &Root<'_>) -> Shown {
    let word = |name: &str| root.word(&format!("sys/class/graphics/fb0/{name}"));
    Shown {
        name: word("name"),
        size: word("virtual_size"),
        stride: word("stride"),
        bits: word("bits_per_pixel"),
    }
}

/// Those that run.
fn watchdogs(root: &Root<'_>) -> Vec<(String, u32)> {
    let files = root.files("sys/class/watchdog").into_iter();
    let read = |path: &Path, name: &str| {
        let bytes = whole_file::read(&path.join(name), LARGEST).unwrap_or_default();
        String::from_utf8_lossy(&bytes).trim().to_string()
    };
    files
        .filter(|path| read(path, "state") == "active")
        .map(|path| {
            let seconds = read(&path, "timeout").parse().unwrap_or(0);
            (read(&path, "identity"), seconds)
        })
        .collect()
}

fn dumper(root: &Root<'_>) -> Option<Dumper> {
    if root.has("usr/sbin/kdump-config") {
        return Some(Dumper::KdumpTools);
    }
    root.text(KDUMP_CONF.trim_start_matches('/'))
        .map(Dumper::KdumpUtils)
}

fn tool(root: &Root<'_>) -> Tool {
    let has = |name: &str| {
        ["usr/sbin", "sbin", "usr/bin"]
            .iter()
            .any(|dir| root.has(&format!("{dir}/{name}")))
    };
    match () {
        () if has("update-grub") && root.has("etc/default/grub.d") => Tool::UpdateGrub,
        () if has("grubby") => Tool::Grubby,
        () => Tool::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_forbids_loading_is_the_one_that_says_1() {
        let root = tempfile::tempdir().unwrap();
        let found = |files: &[(&str, &str)]| {
            for (path, text) in files {
                let path = root.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            disabled_by(&Root(root.path()))
        };
        assert_eq!(found(&[]), None);
        let a = (
            "etc/sysctl.d/10-a.conf",
            "# kernel.kexec_load_disabled=1\nkernel.kexec_load_disabled=0\n",
        );
        assert_eq!(found(&[a]), None);
        let b = ("etc/sysctl.d/99-b.conf", "kernel/kexec_load_disabled = 1\n");
        assert_eq!(found(&[b]).unwrap(), "/etc/sysctl.d/99-b.conf");
        // Masked by the one in /etc.
        let masked = (
            "usr/lib/sysctl.d/10-a.conf",
            "kernel.kexec_load_disabled=1\n",
        );
        assert_eq!(found(&[masked]).unwrap(), "/etc/sysctl.d/99-b.conf");
        let c = ("etc/sysctl.conf", "-kernel.kexec_load_disabled=1\n");
        assert_eq!(
            found(&[c]).unwrap(),
            "/etc/sysctl.d/99-b.conf /etc/sysctl.conf"
        );
    }
}
