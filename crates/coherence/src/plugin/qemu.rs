//! QEMU's plugin interface, version 4, as far as it is used here; and two
//! functions of the GLib that QEMU is linked with.

use std::ffi::{c_char, c_int, c_uint, c_void};

/// The plugin's own number.
pub type Id = u64;
/// What an access was, opaque.
pub type MemoryInfo = u32;

/// What kind of machine loads the plugin.
#[repr(C)]
pub struct Info {
    pub target_name: *const c_char,
    pub oldest_version: c_int,
    pub version: c_int,
    pub system_emulation: bool,
    pub smp_vcpus: c_int,
    pub max_vcpus: c_int,
}

/// A block of instructions that is being translated.
#[repr(C)]
pub struct Block(c_void);
/// One of its instructions.
#[repr(C)]
pub struct Instruction(c_void);
/// A physical address.
#[repr(C)]
pub struct Physical(c_void);
/// A register.
#[repr(C)]
pub struct Register(c_void);

/// A register that can be read.
#[repr(C)]
pub struct RegisterName {
    pub handle: *mut Register,
    pub name: *const c_char,
    pub feature: *const c_char,
}

/// What was loaded or stored, up to 16 bytes.
#[repr(C)]
pub struct Value {
    pub kind: c_int,
    pub low: u64,
    pub high: u64,
}

/// GLib's GArray and GByteArray.
#[repr(C)]
pub struct Array<T> {
    pub data: *mut T,
    pub len: c_uint,
}

/// The callback reads registers.
pub const READS_REGISTERS: c_uint = 1;
/// Loads and stores.
pub const READ_WRITE: c_uint = 3;

pub type OnCpu = extern "C" fn(Id, c_uint);
pub type OnBlock = extern "C" fn(Id, *mut Block);
pub type OnExit = extern "C" fn(Id, *mut c_void);
pub type OnExecute = extern "C" fn(c_uint, *mut c_void);
pub type OnMemory = extern "C" fn(c_uint, MemoryInfo, u64, *mut c_void);

unsafe extern "C" {
    pub fn qemu_plugin_register_vcpu_init_cb(id: Id, callback: OnCpu);
    pub fn qemu_plugin_register_vcpu_tb_trans_cb(id: Id, callback: OnBlock);
    pub fn qemu_plugin_register_atexit_cb(id: Id, callback: OnExit, data: *mut c_void);
    pub fn qemu_plugin_register_vcpu_tb_exec_cb(
        block: *mut Block,
        callback: OnExecute,
        flags: c_uint,
        data: *mut c_void,
    );
    pub fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut Instruction,
        callback: OnExecute,
        flags: c_uint,
        data: *mut c_void,
    );
    pub fn qemu_plugin_register_vcpu_mem_cb(
        instruction: *mut Instruction,
        callback: OnMemory,
        flags: c_uint,
        access: c_uint,
        data: *mut c_void,
    );
    pub fn qemu_plugin_tb_n_insns(block: *const Block) -> usize;
    pub fn qemu_plugin_tb_get_insn(block: *const Block, index: usize) -> *mut Instruction;
    pub fn qemu_plugin_insn_data(
        instruction: *const Instruction,
        to: *mut c_void,
        len: usize,
    ) -> usize;
    pub fn qemu_plugin_insn_vaddr(instruction: *const Instruction) -> u64;
    pub fn qemu_plugin_insn_haddr(instruction: *const Instruction) -> *const c_void;
    pub fn qemu_plugin_mem_size_shift(info: MemoryInfo) -> c_uint;
    pub fn qemu_plugin_mem_get_value(info: MemoryInfo) -> Value;
    pub fn qemu_plugin_mem_is_store(info: MemoryInfo) -> bool;
    pub fn qemu_plugin_get_hwaddr(info: MemoryInfo, address: u64) -> *mut Physical;
    pub fn qemu_plugin_hwaddr_is_io(physical: *const Physical) -> bool;
    pub fn qemu_plugin_hwaddr_phys_addr(physical: *const Physical) -> u64;
    pub fn qemu_plugin_get_registers() -> *mut Array<RegisterName>;
    pub fn qemu_plugin_read_register(handle: *mut Register, to: *mut Array<u8>) -> c_int;
    pub fn qemu_plugin_read_memory_vaddr(address: u64, to: *mut Array<u8>, len: usize) -> bool;
    pub fn g_byte_array_new() -> *mut Array<u8>;
    pub fn g_byte_array_set_size(array: *mut Array<u8>, len: c_uint) -> *mut Array<u8>;
}
