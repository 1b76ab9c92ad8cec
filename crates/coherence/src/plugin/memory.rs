//! Reads the machine's memory for page tables: directly from QEMU's own memory, once it is
//! known where, and until then through the core.

use parking_lot::RwLock;

use super::qemu;

/// A piece of physical memory in QEMU's own.
#[derive(Clone, Copy)]
struct Window {
    physical: u64,
    host: usize,
    size: usize,
}

/// The pieces that are known.
#[derive(Default)]
pub struct Ram(RwLock<Vec<Window>>);

impl Ram {
    /// Notes that this physical address is at this place in QEMU.
    pub fn learn(&self, physical: u64, host: usize) {
        if host == 0 || self.host(physical).is_some() {
            return;
        }
        let Some((start, end)) = mapping(host) else {
            return;
        };
        let before = (host - start) as u64;
        // What would lie below physical address 0 belongs to something else.
        let before = before.min(physical);
        let start = host - before as usize;
        self.0.write().push(Window {
            physical: physical - before,
            host: start,
            size: end - start,
        });
    }

    fn host(&self, physical: u64) -> Option<usize> {
        self.0.read().iter().find_map(|window| {
            let offset = usize::try_from(physical.checked_sub(window.physical)?).ok()?;
            (offset + 8 <= window.size).then_some(window.host + offset)
        })
    }

    /// The eight bytes at an aligned physical address.
    pub fn word(&self, physical: u64) -> Option<u64> {
        if let Some(host) = self.host(physical).filter(|host| host % 8 == 0) {
            // SAFETY: it lies in memory that QEMU has mapped for as long as the
            // machine runs; others may write it, hence volatile.
            return Some(unsafe { (host as *const u64).read_volatile() });
        }
        // Works for programs that map their tables to themselves, as firmware does.
        // SAFETY: GLib gives a new array.
        let bytes = unsafe { qemu::g_byte_array_new() };
        // SAFETY: the array is valid; QEMU fills it.
        let read = unsafe { qemu::qemu_plugin_read_memory_vaddr(physical, bytes, 8) };
        // SAFETY: as above.
        let array = unsafe { &*bytes };
        if !read || array.len < 8 {
            return None;
        }
        // SAFETY: it has eight bytes, at whatever alignment.
        Some(u64::from_le(unsafe {
            array.data.cast::<u64>().read_unaligned()
        }))
    }
}

/// The bounds of this process' mapping that an address lies in.
fn mapping(address: usize) -> Option<(usize, usize)> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        let (range, _) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let start = usize::from_str_radix(start, 16).ok()?;
        let end = usize::from_str_radix(end, 16).ok()?;
        (start..end).contains(&address).then_some((start, end))
    })
}
