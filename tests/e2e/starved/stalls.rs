//! A plugin for QEMU that stalls instructions for some time: the n-th timed `ic ivau` (one
//! that follows a read of the counter), on the thread of the CPU that executes it. To
//! the host's kernel that thread sleeps; to the machine the instruction does not return.
//! It shares nothing with what is to find that.
//!
//! Arguments choose others: `stall=WORD/CPU/NTH/MS` (the instruction, in hexadecimal,
//! without a register; only there), or `…/BESIDE`, a CPU that is kept from running
//! meanwhile and for a while after; any number of these. With `out=FILE` a line is added to
//! that for each, once it is over, or the machine is: what was stalled and what the other
//! CPUs were executing, as JSON. With `count=FILE` it stalls nothing, and the file is told
//! how many instructions were executed; with `blocks=FILE` also where: a line for each
//! block, its address and how many of its instructions.

use std::{
    ffi::{CStr, c_char, c_int, c_uint, c_void},
    fs,
    io::Write,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

#[cfg(not(user))]
mod cpus;

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

/// What is stalled where nothing else is asked for: of which execution, how long.
const NTH: u32 = if cfg!(user) { 100_000 } else { 150 };
const TIME: Duration = Duration::from_secs(6);

/// The callback reads registers.
const READS_REGISTERS: c_int = 1;

/// An execution to stall.
struct Stall {
    word: u32,
    /// Only there.
    cpu: Option<c_uint>,
    nth: u32,
    time: Duration,
    /// Who is kept from running meanwhile.
    #[cfg(not(user))]
    beside: Option<c_uint>,
    /// Executions so far.
    count: AtomicU32,
}

impl Stall {
    /// Reads `d50b7520/0/150/6000`, or with another CPU behind that.
    fn of(text: &str) -> Self {
        let words: Vec<&str> = text.split('/').collect();
        let number = |nth: usize| words[nth].parse::<u32>().expect("a number");
        Self {
            word: u32::from_str_radix(words[0], 16).expect("a word") & !REGISTER,
            cpu: Some(number(1)),
            nth: number(2),
            time: Duration::from_millis(number(3).into()),
            #[cfg(not(user))]
            beside: (words.len() > 4).then(|| number(4)),
            count: AtomicU32::new(0),
        }
    }

    const fn first() -> Self {
        Self {
            word: IC_IVAU,
            cpu: None,
            nth: NTH,
            time: TIME,
            #[cfg(not(user))]
            beside: None,
            count: AtomicU32::new(0),
        }
    }
}

/// What is wanted.
struct Wanted {
    stalls: Vec<Stall>,
    out: Option<String>,
    count: Option<String>,
    blocks: Option<String>,
}

static WANTED: OnceLock<Wanted> = OnceLock::new();

impl Wanted {
    fn of(words: &[String]) -> Self {
        let values = |key: &'static str| {
            let words = words.iter().filter_map(|word| word.split_once('='));
            words.filter_map(move |(k, value)| (k == key).then_some(value))
        };
        let value = |key| values(key).next().map(String::from);
        let mut stalls: Vec<Stall> = values("stall").map(Stall::of).collect();
        if stalls.is_empty() {
            stalls.push(Stall::first());
        }
        Self {
            stalls,
            out: value("out"),
            count: value("count"),
            blocks: value("blocks"),
        }
    }
}

/// Instructions of a block with a timed one, at most: barriers behind it.
const SHORT: usize = if cfg!(user) { 4 } else { 3 };

static INSTRUCTIONS: AtomicU64 = AtomicU64::new(0);

/// A block, as it was translated.
struct Block {
    at: u64,
    many: u64,
    executed: AtomicU64,
}

static BLOCKS: Mutex<Vec<&'static Block>> = Mutex::new(Vec::new());

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
        if wanted.count.is_some() || wanted.blocks.is_some() {
            qemu_plugin_register_vcpu_tb_trans_cb(id, counted);
            qemu_plugin_register_atexit_cb(id, over, std::ptr::null_mut());
        } else {
            #[cfg(not(user))]
            cpus::begin(id);
            qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
            qemu_plugin_register_atexit_cb(id, left, std::ptr::null_mut());
        }
    }
    0
}

extern "C" fn counted(_id: u64, block: *mut c_void) {
    // SAFETY: QEMU gave this block, which has an instruction; the data is never freed.
    unsafe {
        let own: &'static Block = Box::leak(Box::new(Block {
            at: qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(block, 0)),
            many: qemu_plugin_tb_n_insns(block) as u64,
            executed: AtomicU64::new(0),
        }));
        BLOCKS.lock().expect("nobody panics with it").push(own);
        let data = std::ptr::from_ref(own).cast_mut().cast();
        qemu_plugin_register_vcpu_tb_exec_cb(block, add, 0, data);
    }
}

extern "C" fn add(_cpu: c_uint, block: *mut c_void) {
    // SAFETY: `counted` passed a block, which is never freed.
    let block = unsafe { &*block.cast::<Block>() };
    INSTRUCTIONS.fetch_add(block.many, Ordering::Relaxed);
    block.executed.fetch_add(block.many, Ordering::Relaxed);
}

extern "C" fn over(_id: u64, _data: *mut c_void) {
    let file = WANTED.get().and_then(|wanted| wanted.count.as_ref());
    let many = INSTRUCTIONS.load(Ordering::Relaxed);
    if let Some(file) = file {
        fs::write(file, format!("{many}\n")).expect("the file of the count");
    }
    if let Some(file) = WANTED.get().and_then(|wanted| wanted.blocks.as_ref()) {
        let blocks = BLOCKS.lock().expect("nobody panics with it");
        let line = |block: &&Block| {
            let executed = block.executed.load(Ordering::Relaxed);
            format!("{:#x} {executed}\n", block.at)
        };
        let text: String = blocks.iter().map(line).collect();
        fs::write(file, text).expect("the file of the blocks");
    }
}

/// The word of an instruction.
///
/// # Safety
/// QEMU gave it in the callback that runs.
unsafe fn word_of(instruction: *const c_void) -> u32 {
    let mut word = 0_u32;
    // SAFETY: there is room for the four bytes that are asked for; every instruction has
    // as many.
    unsafe {
        #[cfg(not(user))]
        qemu_plugin_insn_data(instruction, (&raw mut word).cast(), size_of::<u32>());
        #[cfg(user)]
        (&raw mut word).write(qemu_plugin_insn_data(instruction).read_unaligned());
    }
    word
}

extern "C" fn translated(_id: u64, block: *mut c_void) {
    let Some(wanted) = WANTED.get() else { return };
    #[cfg(not(user))]
    cpus::follow(block);
    // A read of the counter and an `isb` end a block, so what is timed alone begins
    // one that is short; the harness's own loops are longer.
    // SAFETY: QEMU gave this block, which has an instruction and lives as long as this
    // call; the data of the callback is an address in the machine, which is not followed
    // here, or a number.
    unsafe {
        let instruction = qemu_plugin_tb_get_insn(block, 0);
        let word = word_of(instruction);
        let short = qemu_plugin_tb_n_insns(block) <= SHORT;
        let mut words = wanted.stalls.iter().map(|stall| stall.word);
        if short && words.any(|one| one == word & !REGISTER) {
            let at = qemu_plugin_insn_vaddr(instruction);
            let flags = if cfg!(user) { 0 } else { READS_REGISTERS };
            let place = Box::leak(Box::new(Place { at, word }));
            let place: *mut Place = place;
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, executed, flags, place.cast());
        }
    }
}

/// An instruction that may be stalled.
struct Place {
    at: u64,
    word: u32,
}

extern "C" fn executed(cpu: c_uint, place: *mut c_void) {
    let Some(wanted) = WANTED.get() else { return };
    // SAFETY: it is one that `translated` has made, which nobody changes or frees.
    let place = unsafe { &*place.cast::<Place>() };
    #[cfg(not(user))]
    let in_a_row = cpus::in_a_row(cpu, place.at);
    let here = wanted.stalls.iter().filter(|stall| {
        stall.word == place.word & !REGISTER && stall.cpu.is_none_or(|only| only == cpu)
    });
    for stall in here {
        if stall.count.fetch_add(1, Ordering::Relaxed) + 1 != stall.nth {
            continue;
        }
        #[cfg(not(user))]
        let seen = cpus::seen(cpu, place, in_a_row);
        #[cfg(user)]
        let seen = String::new();
        let (at, nth, word) = (place.at, stall.nth, stall.word);
        let what = format!(
            "\"cpu\":{cpu},\"word\":\"{word:x}\",\"nth\":{nth},\"at\":{at}{seen}"
        );
        let begin = Instant::now();
        under_way().push((cpu, begin, what));
        #[cfg(not(user))]
        cpus::keep_from_running(stall.beside);
        thread::sleep(stall.time);
        tell(|own| own == cpu);
        #[cfg(not(user))]
        cpus::let_run(stall.beside);
    }
}

/// What is stalled now: the CPU, since when, and what is told of it.
static UNDER_WAY: Mutex<Vec<(c_uint, Instant, String)>> = Mutex::new(Vec::new());

fn under_way() -> MutexGuard<'static, Vec<(c_uint, Instant, String)>> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells of what is stalled on these CPUs and took so long, once.
fn tell(of: impl Fn(c_uint) -> bool) {
    let out = WANTED.get().and_then(|wanted| wanted.out.as_ref());
    under_way().retain(|(cpu, begin, what)| {
        if let (true, Some(out)) = (of(*cpu), out) {
            let line = format!("{{{what},\"ms\":{}}}\n", begin.elapsed().as_millis());
            let file = fs::OpenOptions::new().create(true).append(true).open(out);
            let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
            written.expect("the file of what was stalled");
        }
        !of(*cpu)
    });
}

/// The machine ends: what does not return is told all the same.
extern "C" fn left(_id: u64, _data: *mut c_void) {
    tell(|_| true);
}
