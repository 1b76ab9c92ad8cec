//! The screen: what is to be seen of the run, for who stands before the machine. It is
//! drawn where nothing is timed: when a record is written, and before orders are handed
//! over.

use alloc::string::String;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use spin::Mutex;
use stalecore_model::{
    framebuffer::Framebuffer, glossary::Subject, record::Record, screen::Screen,
};

use super::recorder::empty_caches;
use crate::hal::{arch, arena::Uncached, clock, exit};

/// How often it is said which case is run, at most.
const NOW_MS: u64 = 250;
/// How long the last of it stays before the machine is turned off or reset, in milliseconds.
pub const STAYS_MS: u64 = 60_000;

static SCREEN: Mutex<Option<Screen<'static>>> = Mutex::new(None);
/// CNTVCT_EL0 when it was last said which case is run.
static SAID: AtomicU64 = AtomicU64::new(0);
/// Has the harness said why it ends?
static FAILED: AtomicBool = AtomicBool::new(false);

/// Shows the first lines in `memory`, whole pages that the frame buffer lies in. Where it is
/// memory that a cache may hold, as firmware has drawn there too, `cached`, caches are
/// emptied: to be done before there is a fabric, which would take that for an operation.
pub fn set_up(frame: Framebuffer, memory: Uncached, cached: bool) {
    let bytes = memory.bytes();
    if cached {
        empty_caches(bytes.as_ptr_range());
    }
    let from = (frame.base - frame.pages().base) as usize;
    // Its pages were made for it.
    if let Ok(screen) = Screen::new(frame, &mut bytes[from..]) {
        *SCREEN.lock() = Some(screen);
        with(Screen::draw);
    }
}

/// Shows what is to be seen of a record. An operation may be in flight: this waits for
/// nothing, and executes no barrier.
pub fn show(record: &Record) {
    with(|screen| {
        if screen.page.take(record) {
            if matches!(record, Record::End(_)) {
                screen.page.stays(exit::stays_ms());
            }
            screen.draw();
        }
    });
}

/// Says which cases are about to be run, now and then: nothing is in flight, and what was
/// drawn has left this core before anything is.
pub fn now(first: usize, last: usize, subject: Subject) {
    if clock::ms_since(SAID.load(Ordering::Relaxed)) < NOW_MS {
        return;
    }
    SAID.store(clock::now(), Ordering::Relaxed);
    with(|screen| {
        screen.page.now(first, last, subject);
        screen.draw();
        settle();
    });
}

/// Waits until what was drawn has left this core.
#[inline(never)]
fn settle() {
    arch::dsb_sy();
}

/// Says why the harness ends; what comes of saying it is not said.
pub fn fail(why: impl FnOnce() -> String) {
    if FAILED.swap(true, Ordering::Relaxed) {
        return;
    }
    with(|screen| {
        screen.page.fail(&why());
        screen.page.stays(exit::stays_ms());
        screen.draw();
    });
}

/// Gives the screen to `draw`, if there is one and nobody else has it: a core that was
/// stopped while it drew holds nobody up.
fn with(draw: impl FnOnce(&mut Screen<'static>)) {
    if let Some(mut guard) = SCREEN.try_lock()
        && let Some(screen) = guard.as_mut()
    {
        draw(screen);
    }
}
