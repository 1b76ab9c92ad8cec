//! What a machine's CPUs were doing when one was stalled, and a second that is kept from
//! running: each stores the block that it begins, and looks at a word that says whether it
//! may.

use std::{
    collections::HashMap,
    ffi::{CStr, c_char, c_int, c_uint, c_void},
    fmt::Write,
    ptr,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    OnExecute, Place, REGISTER, qemu_plugin_insn_vaddr, qemu_plugin_tb_get_insn,
    qemu_plugin_tb_n_insns, word_of,
};

/// One word for each CPU, which QEMU keeps.
#[repr(C)]
#[derive(Clone, Copy)]
struct Words {
    board: *mut c_void,
    offset: usize,
}

/// GLib's GArray and GByteArray.
#[repr(C)]
struct Array<T> {
    data: *mut T,
    length: c_uint,
}

#[repr(C)]
struct Register {
    handle: *mut c_void,
    name: *const c_char,
    feature: *const c_char,
}

type OnCpu = extern "C" fn(u64, c_uint);

unsafe extern "C" {
    fn qemu_plugin_register_vcpu_init_cb(id: u64, callback: OnCpu);
    fn qemu_plugin_get_registers() -> *mut Array<Register>;
    fn qemu_plugin_read_register(handle: *mut c_void, into: *mut Array<u8>) -> c_int;
    fn g_byte_array_new() -> *mut Array<u8>;
    fn qemu_plugin_scoreboard_new(size: usize) -> *mut c_void;
    fn qemu_plugin_u64_get(words: Words, cpu: c_uint) -> u64;
    fn qemu_plugin_u64_set(words: Words, cpu: c_uint, value: u64);
    fn qemu_plugin_num_vcpus() -> c_int;
    fn qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(
        block: *mut c_void,
        what: c_int,
        words: Words,
        value: u64,
    );
    fn qemu_plugin_register_vcpu_tb_exec_cond_cb(
        block: *mut c_void,
        callback: OnExecute,
        flags: c_int,
        when: c_int,
        words: Words,
        value: u64,
        data: *mut c_void,
    );
}

/// QEMU_PLUGIN_INLINE_STORE_U64 and QEMU_PLUGIN_COND_NE.
const STORE: c_int = 1;
const NOT_EQUAL: c_int = 3;

struct Boards {
    /// The last instruction of the block that each CPU is in.
    block: Words,
    /// Is it kept from running?
    kept: Words,
}

// SAFETY: QEMU's own functions alone follow the pointers, from any thread.
unsafe impl Send for Boards {}
// SAFETY: as above.
unsafe impl Sync for Boards {}

static BOARDS: OnceLock<Boards> = OnceLock::new();
/// x0 to x30.
static REGISTERS: OnceLock<Vec<usize>> = OnceLock::new();
/// The last instruction of each block, by address.
static LAST: Mutex<Option<HashMap<u64, u32>>> = Mutex::new(None);

/// What is executed again and again, and how often, for each CPU.
const CPUS: usize = 16;
static ROW_AT: [AtomicU64; CPUS] = [const { AtomicU64::new(0) }; CPUS];
static ROW: [AtomicU64; CPUS] = [const { AtomicU64::new(0) }; CPUS];

/// Does the one that is kept from running stand?
static STANDS: AtomicBool = AtomicBool::new(false);
/// How long it stands on when the other goes on: until that has moved its mark.
const STANDS_ON: Duration = Duration::from_millis(300);
/// How long its standing is waited for.
const UNTIL_IT_STANDS: Duration = Duration::from_secs(5);

/// To be called when the plugin is installed with this number.
pub fn begin(id: u64) {
    let words = || {
        // SAFETY: it is QEMU that makes it.
        let board = unsafe { qemu_plugin_scoreboard_new(size_of::<u64>()) };
        Words { board, offset: 0 }
    };
    BOARDS.get_or_init(|| Boards {
        block: words(),
        kept: words(),
    });
    // SAFETY: QEMU gave this number.
    unsafe { qemu_plugin_register_vcpu_init_cb(id, found) }
}

/// A CPU is there: all have the same registers.
extern "C" fn found(_id: u64, _cpu: c_uint) {
    REGISTERS.get_or_init(|| {
        // SAFETY: QEMU gives an array of descriptors, which nobody frees.
        let array = unsafe { &*qemu_plugin_get_registers() };
        // SAFETY: it has that many elements.
        let all = unsafe { std::slice::from_raw_parts(array.data, array.length as usize) };
        let named: HashMap<_, _> = all
            .iter()
            .map(|register| {
                // SAFETY: names are strings that end with 0.
                let name = unsafe { CStr::from_ptr(register.name) };
                (name.to_string_lossy(), register.handle as usize)
            })
            .collect();
        let handle = |n| named.get(format!("x{n}").as_str()).copied();
        (0..31).map_while(handle).collect()
    });
}

/// Has each CPU store that it is in this block, and stand if it is to.
pub fn follow(block: *mut c_void) {
    let Some(boards) = BOARDS.get() else { return };
    // SAFETY: QEMU gave this block, which has an instruction, and lives as long as this call.
    let (at, word) = unsafe {
        let many = qemu_plugin_tb_n_insns(block);
        let last = qemu_plugin_tb_get_insn(block, many - 1);
        (qemu_plugin_insn_vaddr(last), word_of(last))
    };
    let mut known = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    known.get_or_insert_default().insert(at, word);
    // SAFETY: the block is QEMU's, and so are the words.
    unsafe {
        qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(block, STORE, boards.block, at);
        qemu_plugin_register_vcpu_tb_exec_cond_cb(
            block,
            stand,
            0,
            NOT_EQUAL,
            boards.kept,
            0,
            ptr::null_mut(),
        );
    }
}

/// Stands for as long as this CPU is kept from running, and on.
extern "C" fn stand(cpu: c_uint, _data: *mut c_void) {
    let Some(boards) = BOARDS.get() else { return };
    STANDS.store(true, Ordering::Release);
    // SAFETY: the words are QEMU's, and it is this CPU's.
    while unsafe { qemu_plugin_u64_get(boards.kept, cpu) } != 0 {
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(STANDS_ON);
    STANDS.store(false, Ordering::Release);
}

/// Keeps a CPU from running, and returns when it stands.
pub fn keep_from_running(cpu: Option<c_uint>) {
    let (Some(cpu), Some(boards)) = (cpu, BOARDS.get()) else {
        return;
    };
    // SAFETY: the words are QEMU's.
    unsafe { qemu_plugin_u64_set(boards.kept, cpu, 1) }
    let begun = Instant::now();
    while !STANDS.load(Ordering::Acquire) {
        assert!(
            begun.elapsed() < UNTIL_IT_STANDS,
            "CPU {cpu} does not stand"
        );
        thread::sleep(Duration::from_millis(1));
    }
}

/// Lets it run, soon.
pub fn let_run(cpu: Option<c_uint>) {
    if let (Some(cpu), Some(boards)) = (cpu, BOARDS.get()) {
        // SAFETY: the words are QEMU's.
        unsafe { qemu_plugin_u64_set(boards.kept, cpu, 0) }
    }
}

/// How often in a row this CPU has executed the instruction there, before now.
pub fn in_a_row(cpu: c_uint, at: u64) -> u64 {
    let (Some(row_at), Some(row)) = (ROW_AT.get(cpu as usize), ROW.get(cpu as usize)) else {
        return 0;
    };
    if row_at.swap(at, Ordering::Relaxed) != at {
        row.store(0, Ordering::Relaxed);
    }
    row.fetch_add(1, Ordering::Relaxed)
}

/// What is told of that, of the operand, and of the blocks in which all CPUs are: the
/// address and the word of the last instruction of each.
pub fn seen(cpu: c_uint, place: &Place, in_a_row: u64) -> String {
    let register = (place.word & REGISTER) as usize;
    let handles = REGISTERS.get();
    let operand = handles.and_then(|all| all.get(register)).map(|handle| {
        // SAFETY: GLib gives a new array, and QEMU writes that register's bytes there: eight.
        unsafe {
            let into = g_byte_array_new();
            assert_eq!(qemu_plugin_read_register(*handle as *mut c_void, into), 8);
            (*into).data.cast::<u64>().read_unaligned()
        }
    });
    let operand = operand.map_or(String::from("null"), |value| value.to_string());
    let mut line = format!(",\"row\":{in_a_row},\"operand\":{operand},\"cpus\":[");
    let known = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: it only counts.
    let many = unsafe { qemu_plugin_num_vcpus() };
    for other in 0..many.unsigned_abs() {
        let at = match BOARDS.get() {
            // The stalled one has the instruction itself.
            Some(boards) if other != cpu => {
                // SAFETY: the words are QEMU's.
                unsafe { qemu_plugin_u64_get(boards.block, other) }
            }
            _ => place.at,
        };
        let word = known.as_ref().and_then(|known| known.get(&at));
        let word = word.copied().unwrap_or_default();
        let comma = if other == 0 { "" } else { "," };
        write!(line, "{comma}[{at},{word}]").expect("a string takes all");
    }
    line + "]"
}
