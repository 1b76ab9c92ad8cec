//! A plugin for QEMU that stalls one instruction for some time: the n-th timed `ic ivau`
//! (one that follows a read of the counter), on the thread of the CPU that executes it. To
//! the host's kernel that thread sleeps; to the machine the instruction does not return.
//! It shares nothing with what is to find that.
//!
//! Arguments choose otherwise: `nth=`, `ms=`, `word=` (the instruction, in hexadecimal,
//! without a register), `cpu=` (only there), `out=` (a file that is told, once it has
//! stalled: CPU, address, milliseconds). With `count=FILE` it stalls nothing, and the file
//! is told how many instructions were executed.

use std::{
    ffi::{CStr, c_char, c_int, c_uint, c_void},
    fs,
    sync::{
        OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

type OnBlock = extern "C" fn(u64, *mut c_void);
type OnExecute = extern "C" fn(c_uint, *mut c_void);
type OnExit = extern "C" fn(u64, *mut c_void);

unsafe extern "C" {
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: u64, callback: OnBlock);
    fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut c_void,
        callback: OnExecute,
        flags: c_int,
        data: *mut c_void,
    );
    fn qemu_plugin_register_vcpu_tb_exec_cb(
        block: *mut c_void,
        callback: OnExecute,
        flags: c_int,
        data: *mut c_void,
    );
    fn qemu_plugin_register_atexit_cb(id: u64, callback: OnExit, data: *mut c_void);
    fn qemu_plugin_insn_vaddr(instruction: *const c_void) -> u64;
    fn qemu_plugin_tb_n_insns(block: *const c_void) -> usize;
    fn qemu_plugin_tb_get_insn(block: *const c_void, nth: usize) -> *mut c_void;
    #[cfg(not(user))]
    fn qemu_plugin_insn_data(instruction: *const c_void, into: *mut c_void, length: usize)
    -> usize;
    #[cfg(user)]
    fn qemu_plugin_insn_data(instruction: *const c_void) -> *const u32;
}

/// The version of QEMU's interface; with `user` the first, of Debian's qemu-aarch64.
#[unsafe(no_mangle)]
pub static qemu_plugin_version: c_int = if cfg!(user) { 1 } else { 4 };

/// `ic ivau, x0`, and its register.
const IC_IVAU: u32 = 0xd50b_7520;
const REGISTER: u32 = 0x1f;

/// What to stall.
struct Wanted {
    nth: u32,
    time: Duration,
    word: u32,
    cpu: Option<c_uint>,
    out: Option<String>,
    count: Option<String>,
}

static WANTED: OnceLock<Wanted> = OnceLock::new();

impl Wanted {
    fn of(words: &[String]) -> Self {
        let value = |key: &str| {
            let mut found = words.iter().filter_map(|word| word.split_once('='));
            found.find(|(k, _)| *k == key).map(|(_, value)| value)
        };
        let number = |key| value(key).map(|text| text.parse::<u64>().expect("a number"));
        let word = value("word").map(|text| u32::from_str_radix(text, 16).expect("a word"));
        Self {
            nth: number("nth").map_or(if cfg!(user) { 100_000 } else { 150 }, |n| n as u32),
            time: Duration::from_millis(number("ms").unwrap_or(6000)),
            word: word.unwrap_or(IC_IVAU) & !REGISTER,
            cpu: number("cpu").map(|n| n as c_uint),
            out: value("out").map(String::from),
            count: value("count").map(String::from),
        }
    }
}

/// Instructions of a block with a timed one, at most: barriers behind it.
const SHORT: usize = if cfg!(user) { 4 } else { 3 };

static COUNT: AtomicU32 = AtomicU32::new(0);
static INSTRUCTIONS: AtomicU64 = AtomicU64::new(0);

#[unsafe(no_mangle)]
pub extern "C" fn qemu_plugin_install(
    id: u64,
    _info: *const c_void,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    let word = |nth: usize| {
        // SAFETY: QEMU passes `argc` strings, which end with a zero.
        let text = unsafe { CStr::from_ptr(*argv.add(nth)) };
        text.to_string_lossy().into_owned()
    };
    let words: Vec<String> = (0..argc as usize).map(word).collect();
    let wanted = WANTED.get_or_init(|| Wanted::of(&words));
    // SAFETY: QEMU gave this number, and the callbacks are functions.
    unsafe {
        if wanted.count.is_some() {
            qemu_plugin_register_vcpu_tb_trans_cb(id, counted);
            qemu_plugin_register_atexit_cb(id, over, std::ptr::null_mut());
        } else {
            qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
        }
    }
    0
}

extern "C" fn counted(_id: u64, block: *mut c_void) {
    // SAFETY: QEMU gave this block; the data is a number and no address.
    unsafe {
        let many = qemu_plugin_tb_n_insns(block);
        qemu_plugin_register_vcpu_tb_exec_cb(block, add, 0, many as *mut c_void);
    }
}

extern "C" fn add(_cpu: c_uint, many: *mut c_void) {
    INSTRUCTIONS.fetch_add(many as u64, Ordering::Relaxed);
}

extern "C" fn over(_id: u64, _data: *mut c_void) {
    let file = WANTED.get().and_then(|wanted| wanted.count.as_ref());
    let many = INSTRUCTIONS.load(Ordering::Relaxed);
    if let Some(file) = file {
        fs::write(file, format!("{many}\n")).expect("the file of the count");
    }
}

extern "C" fn translated(_id: u64, block: *mut c_void) {
    let mut word = 0_u32;
    // A read of the counter and an `isb` end a block, so what is timed alone begins
    // one that is short; the harness's own loops are longer.
    // SAFETY: QEMU gave this block, which has an instruction and lives as long as this
    // call; there is room for the four bytes that are asked for; the data of the
    // callback is an address in the machine, which is not followed here.
    unsafe {
        let instruction = qemu_plugin_tb_get_insn(block, 0);
        #[cfg(not(user))]
        qemu_plugin_insn_data(instruction, (&raw mut word).cast(), size_of::<u32>());
        #[cfg(user)]
        (&raw mut word).write(qemu_plugin_insn_data(instruction).read_unaligned());
        let short = qemu_plugin_tb_n_insns(block) <= SHORT;
        if short
            && WANTED
                .get()
                .is_some_and(|wanted| wanted.word == word & !REGISTER)
        {
            let at = qemu_plugin_insn_vaddr(instruction) as *mut c_void;
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, executed, 0, at);
        }
    }
}

extern "C" fn executed(cpu: c_uint, at: *mut c_void) {
    let Some(wanted) = WANTED.get() else { return };
    if wanted.cpu.is_some_and(|only| only != cpu) {
        return;
    }
    if COUNT.fetch_add(1, Ordering::Relaxed) + 1 == wanted.nth {
        let begin = Instant::now();
        thread::sleep(wanted.time);
        if let Some(out) = &wanted.out {
            let ms = begin.elapsed().as_millis();
            fs::write(out, format!("{cpu} {:#x} {ms}\n", at as usize)).expect("the file");
        }
    }
}
