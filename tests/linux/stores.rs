//! A plugin for QEMU that tells which pages are stored to from a machine's second kernel
//! on: from when an instruction at `first` is executed. With `out=FILE` a line is added to
//! that for the first store to a page, by an instruction between `first` and `end` (`own`) or
//! by another (`other`), both in hexadecimal: who, the CPU, the physical address of the page.
//! What QEMU stores on its own, a device or a `dc zva`, is not among them.

use std::{
    ffi::{CStr, c_char, c_int, c_uint, c_void},
    fs,
    io::Write,
    ops::Range,
    ptr,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

type OnBlock = extern "C" fn(u64, *mut c_void);
type OnExecute = extern "C" fn(c_uint, *mut c_void);
type OnAccess = extern "C" fn(c_uint, u32, u64, *mut c_void);

unsafe extern "C" {
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: u64, callback: OnBlock);
    fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut c_void,
        callback: OnExecute,
        flags: c_int,
        data: *mut c_void,
    );
    fn qemu_plugin_register_vcpu_mem_cb(
        instruction: *mut c_void,
        callback: OnAccess,
        flags: c_int,
        which: c_int,
        data: *mut c_void,
    );
    fn qemu_plugin_insn_vaddr(instruction: *const c_void) -> u64;
    fn qemu_plugin_tb_n_insns(block: *const c_void) -> usize;
    fn qemu_plugin_tb_get_insn(block: *const c_void, nth: usize) -> *mut c_void;
    fn qemu_plugin_get_hwaddr(access: u32, address: u64) -> *const c_void;
    fn qemu_plugin_hwaddr_is_io(address: *const c_void) -> bool;
    fn qemu_plugin_hwaddr_phys_addr(address: *const c_void) -> u64;
}

/// The first version of QEMU's interface, which every later one has too.
#[unsafe(no_mangle)]
pub static qemu_plugin_version: c_int = 1;

/// QEMU_PLUGIN_MEM_W.
const STORES: c_int = 2;
const PAGE: u64 = 4096;
/// Where the memory of `virt` begins, and how many pages of it are told apart: 1 GiB.
const MEMORY: u64 = 0x4000_0000;
const PAGES: usize = 1 << 18;

struct Wanted {
    /// The second kernel's memory, in which its instructions are.
    own: Range<u64>,
    out: Mutex<fs::File>,
}

static WANTED: OnceLock<Wanted> = OnceLock::new();
static BEGUN: AtomicBool = AtomicBool::new(false);

/// A bit for each page that was stored to, by others and by its own.
static STORED: [[AtomicU64; PAGES / 64]; 2] =
    [const { [const { AtomicU64::new(0) }; PAGES / 64] }; 2];

#[unsafe(no_mangle)]
pub extern "C" fn qemu_plugin_install(
    id: u64,
    _info: *const c_void,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    let words: Vec<String> = (0..argc as usize)
        .map(|nth| {
            // SAFETY: QEMU passes `argc` strings, which end with a zero.
            let text = unsafe { CStr::from_ptr(*argv.add(nth)) };
            text.to_string_lossy().into_owned()
        })
        .collect();
    let value = |key| {
        let mut words = words.iter().filter_map(|word| word.split_once('='));
        words
            .find(|(k, _)| *k == key)
            .expect("first, end and out")
            .1
    };
    let address = |key| u64::from_str_radix(value(key), 16).expect("an address");
    WANTED.get_or_init(|| Wanted {
        own: address("first")..address("end"),
        out: Mutex::new(fs::File::create(value("out")).expect("the file")),
    });
    // SAFETY: QEMU gave this number.
    unsafe { qemu_plugin_register_vcpu_tb_trans_cb(id, translated) }
    0
}

extern "C" fn translated(_id: u64, block: *mut c_void) {
    let Some(wanted) = WANTED.get() else { return };
    // SAFETY: QEMU gave this block, which has as many instructions; the data of the
    // callbacks is a number.
    unsafe {
        for nth in 0..qemu_plugin_tb_n_insns(block) {
            let instruction = qemu_plugin_tb_get_insn(block, nth);
            let at = qemu_plugin_insn_vaddr(instruction);
            if at == wanted.own.start {
                qemu_plugin_register_vcpu_insn_exec_cb(instruction, begun, 0, ptr::null_mut());
            }
            let own = ptr::without_provenance_mut(usize::from(wanted.own.contains(&at)));
            qemu_plugin_register_vcpu_mem_cb(instruction, stored, 0, STORES, own);
        }
    }
}

extern "C" fn begun(_cpu: c_uint, _data: *mut c_void) {
    BEGUN.store(true, Ordering::Relaxed);
}

extern "C" fn stored(cpu: c_uint, access: u32, address: u64, own: *mut c_void) {
    if !BEGUN.load(Ordering::Relaxed) {
        return;
    }
    // SAFETY: it is the access of this callback.
    let (device, at) = unsafe {
        let at = qemu_plugin_get_hwaddr(access, address);
        (
            qemu_plugin_hwaddr_is_io(at),
            qemu_plugin_hwaddr_phys_addr(at),
        )
    };
    if device {
        return;
    }
    let page = (at - MEMORY) / PAGE;
    let bit = 1 << (page % 64);
    let known = &STORED[own.addr()][page as usize / 64];
    if known.load(Ordering::Relaxed) & bit == 0 && known.fetch_or(bit, Ordering::Relaxed) & bit == 0
    {
        let who = ["other", "own"][own.addr()];
        let mut out = WANTED
            .get()
            .expect("it is installed")
            .out
            .lock()
            .expect("nobody panics with it");
        writeln!(out, "{who} {cpu} {:x}", page * PAGE + MEMORY).expect("the file");
    }
}
