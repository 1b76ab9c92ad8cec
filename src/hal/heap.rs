//! The heap: for boot, and for the conductor between cases.

#![expect(unsafe_code, reason = "the global allocator, and its space")]

use core::{
    alloc::{GlobalAlloc, Layout},
    cell::UnsafeCell,
    mem::MaybeUninit,
    ptr::{self, NonNull},
    sync::atomic::{AtomicBool, Ordering},
};

use linked_list_allocator::Heap;
use spin::Mutex;

const HEAP_SIZE: usize = 4 << 20;

#[repr(C, align(4096))]
struct HeapSpace(UnsafeCell<MaybeUninit<[u8; HEAP_SIZE]>>);

// SAFETY: only the allocator below touches the space, under its lock.
unsafe impl Sync for HeapSpace {}

/// The linker script puts it in front of what the entry code clears: that would take longer
/// than all else that a boot clears.
#[unsafe(link_section = ".bss.not_cleared")]
static HEAP_SPACE: HeapSpace = HeapSpace(UnsafeCell::new(MaybeUninit::uninit()));

/// The allocator, one at a time.
struct Allocator(Mutex<Heap>);

// SAFETY: `Heap` hands out disjoint blocks of its space, aligned as the layout asks;
// the lock makes it one at a time.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0
            .lock()
            .allocate_first_fit(layout)
            .map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if let Some(pointer) = NonNull::new(pointer) {
            // SAFETY: the caller gives back what `alloc` gave it.
            unsafe { self.0.lock().deallocate(pointer, layout) }
        }
    }
}

#[global_allocator]
static ALLOCATOR: Allocator = Allocator(Mutex::new(Heap::empty()));

static HAS_SPACE: AtomicBool = AtomicBool::new(false);

/// Gives the heap its space; the first thing that the image does.
pub fn init() {
    assert!(!HAS_SPACE.swap(true, Ordering::Relaxed), "once");
    let space = HEAP_SPACE.0.get().cast::<u8>();
    // SAFETY: the space is static and used by nothing else; this runs once.
    unsafe { ALLOCATOR.0.lock().init(space, HEAP_SIZE) }
}
