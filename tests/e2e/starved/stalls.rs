//! A plugin for QEMU that stalls one instruction for some seconds: the n-th timed
//! `ic ivau` (one that follows a read of the counter), on the thread of the CPU that
//! executes it. To the host's kernel that thread sleeps; to the machine the instruction
//! does not return.

use std::{
    ffi::{c_char, c_int, c_uint, c_void},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

type OnBlock = extern "C" fn(u64, *mut c_void);
type OnExecute = extern "C" fn(c_uint, *mut c_void);

unsafe extern "C" {
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: u64, callback: OnBlock);
    fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut c_void,
        callback: OnExecute,
        flags: c_int,
        data: *mut c_void,
    );
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

/// Which of them, and for how many seconds.
const NTH: u32 = if cfg!(user) { 100_000 } else { 150 };
const SECONDS: u64 = 6;

/// `ic ivau, x0`, and its register.
const IC_IVAU: u32 = 0xd50b_7520;
const REGISTER: u32 = 0x1f;

/// Instructions of a block with a timed one, at most: barriers behind it.
const SHORT: usize = if cfg!(user) { 4 } else { 3 };

static COUNT: AtomicU32 = AtomicU32::new(0);

#[unsafe(no_mangle)]
pub extern "C" fn qemu_plugin_install(
    id: u64,
    _info: *const c_void,
    _argc: c_int,
    _argv: *mut *mut c_char,
) -> c_int {
    // SAFETY: QEMU gave this number, and the callback is a function.
    unsafe { qemu_plugin_register_vcpu_tb_trans_cb(id, translated) };
    0
}

extern "C" fn translated(_id: u64, block: *mut c_void) {
    let mut word = 0_u32;
    // A read of the counter and an `isb` end a block, so what is timed alone begins
    // one that is short; the harness's own loops are longer.
    // SAFETY: QEMU gave this block, which has an instruction and lives as long as this
    // call; there is room for the four bytes that are asked for.
    unsafe {
        let instruction = qemu_plugin_tb_get_insn(block, 0);
        #[cfg(not(user))]
        qemu_plugin_insn_data(instruction, (&raw mut word).cast(), size_of::<u32>());
        #[cfg(user)]
        (&raw mut word).write(qemu_plugin_insn_data(instruction).read_unaligned());
        let short = qemu_plugin_tb_n_insns(block) <= SHORT;
        if short && word & !REGISTER == IC_IVAU {
            let data = std::ptr::null_mut();
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, executed, 0, data);
        }
    }
}

extern "C" fn executed(_cpu: c_uint, _data: *mut c_void) {
    if COUNT.fetch_add(1, Ordering::Relaxed) + 1 == NTH {
        thread::sleep(Duration::from_secs(SECONDS));
    }
}
