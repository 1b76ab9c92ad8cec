//! The serial console. Firmware has set the line up; nothing here changes
//! that, and no wait for it is unbounded.

#![expect(unsafe_code, reason = "the UART's registers")]

use core::{fmt, ptr::NonNull};

use arm_pl011_uart::{PL011Registers, Uart as Pl011};
use safe_mmio::UniqueMmioPointer;
use spin::Mutex;
use stalecore_model::platform::{Uart, UartKind};

use super::arch;

/// How long one character may wait for room, in ticks of CNTVCT_EL0 per Hz of
/// CNTFRQ_EL0: a tenth of a second, a hundred times what 1,200 baud needs.
const ROOM_WAIT: u64 = 10;

enum Device {
    Pl011(Pl011<'static>),
    Ns16550(Ns16550),
}

/// A 16550 whose registers may be spread and wide, as on DesignWare's.
struct Ns16550 {
    base: usize,
    shift: u32,
    wide: bool,
}

impl Ns16550 {
    /// Line status: room in the transmitter's holding register.
    fn has_room(&self) -> bool {
        let address = self.base + (5 << self.shift);
        let status = if self.wide {
            // SAFETY: `base` is the UART's, mapped as Device for the image's
            // lifetime; reading the line status has no effect on output.
            unsafe { (address as *const u32).read_volatile() }
        } else {
            // SAFETY: as above.
            u32::from(unsafe { (address as *const u8).read_volatile() })
        };
        status & (1 << 5) != 0
    }

    fn write(&self, byte: u8) {
        if self.wide {
            // SAFETY: writes the transmitter's holding register of a mapped
            // UART.
            unsafe { (self.base as *mut u32).write_volatile(u32::from(byte)) }
        } else {
            // SAFETY: as above.
            unsafe { (self.base as *mut u8).write_volatile(byte) }
        }
    }
}

/// A console.
pub struct Console {
    device: Device,
}

impl Console {
    /// A console on this UART, which must be mapped.
    ///
    /// # Safety
    /// The registers must be mapped as Device memory, and nothing else may
    /// drive them.
    pub unsafe fn new(uart: &Uart) -> Option<Self> {
        let base = usize::try_from(uart.registers.base).ok()?;
        let device = match uart.kind {
            UartKind::Pl011 => {
                let registers = NonNull::new(base as *mut PL011Registers)?;
                // SAFETY: the caller vouches for the mapping and that this is
                // the only one.
                Device::Pl011(Pl011::new(unsafe { UniqueMmioPointer::new(registers) }))
            }
            UartKind::Ns16550 => Device::Ns16550(Ns16550 {
                base,
                shift: uart.reg_shift,
                wide: uart.io_width == 4,
            }),
        };
        Some(Self { device })
    }

    fn put(&mut self, byte: u8) {
        let start = arch::cntvct();
        let wait = arch::cntfrq_el0() / ROOM_WAIT;
        loop {
            let room = match &self.device {
                Device::Pl011(uart) => !uart.is_tx_fifo_full(),
                Device::Ns16550(uart) => uart.has_room(),
            };
            if room {
                break;
            }
            if arch::cntvct().wrapping_sub(start) > wait {
                return; // a dead line must not hold up the run
            }
        }
        match &mut self.device {
            Device::Pl011(uart) => uart.write_word(byte),
            Device::Ns16550(uart) => uart.write(byte),
        }
    }
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.put(b'\r');
            }
            self.put(byte);
        }
        Ok(())
    }
}

static CONSOLE: Mutex<Option<Console>> = Mutex::new(None);

/// Makes `console` the one that [`print`] writes to. What comes begins a line of
/// its own: firmware, or a boot that was reset, may have left half of one.
pub fn install(console: Console) {
    *CONSOLE.lock() = Some(console);
    print(format_args!("\n"));
}

/// Writes text to the console, if there is one: see [`with`].
pub fn print(text: fmt::Arguments<'_>) {
    with(|console| {
        // Writing to a console cannot fail: a dead line swallows it.
        let _ = console.write_fmt(text);
    });
}

/// Gives the console to `write`, if there is one. Only the conductor and a core that
/// ends the run write; a core that was stopped in the middle of a line does
/// not hold up the one that reports it.
pub fn with(write: impl FnOnce(&mut dyn fmt::Write)) {
    let mut tries = 0;
    let mut guard = loop {
        if let Some(guard) = CONSOLE.try_lock() {
            break guard;
        }
        tries += 1;
        if tries > 1_000_000 {
            // SAFETY: whoever holds the lock has not let go of it within a
            // million tries, so it is stuck, and this core is about to end the
            // run: two writers of a UART garble a line, no more.
            unsafe { CONSOLE.force_unlock() }
            tries = 0;
        }
        arch::pause();
    };
    if let Some(console) = guard.as_mut() {
        write(console);
    }
}

/// Prints a line.
macro_rules! println {
    ($($argument:tt)*) => {
        $crate::hal::console::print(format_args!("{}\n", format_args!($($argument)*)))
    };
}
pub(crate) use println;
