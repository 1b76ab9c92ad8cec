//! The serial console. Firmware has set the line up; nothing here changes
//! that, and no wait for it is unbounded.

#![expect(
    unsafe_code,
    reason = "one owner of the UART's registers, and of the console"
)]

use core::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use arm_pl011_uart::{PL011Registers, Uart as Pl011};
use safe_mmio::UniqueMmioPointer;
use spin::Mutex;
use stalecore_model::{
    platform::{
        Uart, UartKind,
        uarts::{Flag, Words},
    },
    ramoops,
    uart::{Drain, Next, Takeover, write_resumed},
};

use super::{arch, clock, mmio};

/// How long a UART's FIFO may take to empty, in milliseconds: 32 bytes at 1,200 baud.
const FLUSH_MS: u64 = 300;

/// Registers of a PL011, from UARTDR to UARTDMACR.
const PL011_USED: usize = 19;

enum Device {
    Pl011(Pl011<'static>),
    Ns16550(Ns16550),
    Words(OfWords),
}

impl Device {
    fn has_room(&self) -> bool {
        match self {
            Self::Pl011(uart) => !uart.is_tx_fifo_full(),
            Self::Ns16550(uart) => uart.status() & LSR_ROOM != 0,
            Self::Words(uart) => uart.is(uart.words.room),
        }
    }

    fn is_busy(&self) -> bool {
        match self {
            Self::Pl011(uart) => uart.is_busy(),
            Self::Ns16550(uart) => uart.status() & LSR_EMPTY == 0,
            Self::Words(uart) => !uart.is(uart.words.idle),
        }
    }

    fn write(&mut self, byte: u8) {
        match self {
            Self::Pl011(uart) => uart.write_word(byte),
            Self::Ns16550(uart) => uart.write(byte),
            Self::Words(uart) => uart.write(byte),
        }
    }

    /// The byte received, if any; a damaged one does not count.
    fn read(&mut self) -> Option<u8> {
        match self {
            Self::Pl011(uart) => uart.read_word().ok().flatten(),
            Self::Ns16550(uart) => (uart.status() & LSR_CAME != 0).then(|| uart.read()),
            Self::Words(uart) => uart.read(),
        }
    }
}

/// A 16550's line status: room in the transmitter's holding register.
const LSR_ROOM: u32 = 1 << 5;
/// The transmitter is empty.
const LSR_EMPTY: u32 = 1 << 6;
/// The receiver holds a byte.
const LSR_CAME: u32 = 1;

/// A 16550 whose registers may be spread and wide, as on DesignWare's.
struct Ns16550 {
    base: u64,
    shift: u32,
    wide: bool,
}

impl Ns16550 {
    /// Line status.
    fn status(&self) -> u32 {
        self.register(5)
    }

    /// The receiver's buffer.
    fn read(&self) -> u8 {
        self.register(0) as u8
    }

    fn register(&self, number: u64) -> u32 {
        let address = self.base + (number << self.shift);
        if self.wide {
            mmio::read_u32(address)
        } else {
            mmio::read_u8(address).into()
        }
    }

    fn write(&self, byte: u8) {
        // The transmitter's holding register.
        if self.wide {
            mmio::write_u32(self.base, byte.into());
        } else {
            mmio::write_u8(self.base, byte);
        }
    }
}

/// A UART of a few words, as the model's table has it.
struct OfWords {
    base: u64,
    words: Words,
}

impl OfWords {
    fn at(&self, offset: u16) -> u64 {
        self.base + u64::from(offset)
    }

    fn is(&self, flag: Flag) -> bool {
        flag.is_in(mmio::read_u32(self.at(flag.at)))
    }

    fn write(&self, byte: u8) {
        if let Some((offset, value)) = self.words.before {
            mmio::write_u32(self.at(offset), value);
        }
        mmio::write_u32(self.at(self.words.send), byte.into());
    }

    fn read(&self) -> Option<u8> {
        if !self.is(self.words.came?) {
            return None;
        }
        let word = mmio::read_u32(self.at(self.words.receive));
        (word & self.words.bad == 0).then_some(word as u8)
    }
}

/// A console.
pub struct Console {
    device: Device,
    drain: Drain,
}

/// Where what is printed goes: to the console, to memory that Linux reads after the
/// reset, or both.
struct Out {
    console: Option<Console>,
    kept: Option<ramoops::Log<'static>>,
}

impl fmt::Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if let Some(kept) = &mut self.kept {
            kept.write(text.as_bytes());
        }
        match &mut self.console {
            Some(console) => console.write_str(text),
            None => Ok(()),
        }
    }
}

/// Has a console been made? There is one.
static MADE: AtomicBool = AtomicBool::new(false);

impl Console {
    /// The console, on this UART, which the tables in use must map; the first time
    /// only.
    pub fn new(uart: &Uart) -> Option<Self> {
        if MADE.swap(true, Ordering::Relaxed) {
            return None;
        }
        let base = uart.registers.base;
        let device = match (uart.kind.words(), uart.kind) {
            (Some(words), _) => Device::Words(OfWords { base, words }),
            (None, UartKind::Pl011) => {
                // Those that the driver has functions for; a PL011's may begin
                // anywhere in a page.
                let registers = mmio::registers::<[u32; PL011_USED]>(base);
                let registers = registers.cast::<PL011Registers>();
                // SAFETY: `mmio::registers` has seen that what is used is mapped, and
                // this is its only driver, as it runs once.
                Device::Pl011(Pl011::new(unsafe { UniqueMmioPointer::new(registers) }))
            }
            (None, _) => Device::Ns16550(Ns16550 {
                base,
                shift: uart.reg_shift,
                wide: uart.io_width == 4,
            }),
        };
        Some(Self {
            device,
            drain: Drain::new(),
        })
    }

    fn put(&mut self, byte: u8) {
        let hz = clock::frequency();
        loop {
            let device = &self.device;
            let next = self.drain.next(byte, clock::now, hz, || device.has_room());
            match next {
                Next::Wait => arch::pause(),
                Next::Write => break self.device.write(byte),
                Next::Drop => {
                    LOST.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Next::Resume(lost) => {
                    // Writing to a console cannot fail.
                    let _ = write_resumed(self, lost, LOST.load(Ordering::Relaxed));
                }
            }
        }
        PROGRESS.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits a moment for what was written to leave the UART.
    fn flush(&self) {
        if !self.drain.is_given_up() {
            clock::wait_ms(FLUSH_MS, || !self.device.is_busy());
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

/// Bytes that were written or dropped: shows whether a core that holds the console goes
/// on.
static PROGRESS: AtomicU64 = AtomicU64::new(0);

/// Bytes that were dropped, in all. Nothing in the image reads it; it is for whoever
/// looks at the memory of a machine that fell silent.
#[used]
static LOST: AtomicU64 = AtomicU64::new(0);

static OUT: Mutex<Out> = Mutex::new(Out {
    console: None,
    kept: None,
});

/// Makes `console` the one that [`print`] writes to. Output begins on a new line, as
/// firmware, or a boot that was reset, may have left half of one.
pub fn install(console: Console) {
    OUT.lock().console = Some(console);
    print(format_args!("\n"));
}

/// From now on what is printed is kept there too.
pub fn keep(log: ramoops::Log<'static>) {
    OUT.lock().kept = Some(log);
}

/// Bytes that the memory for Linux had no room for, if there is any.
pub fn not_kept() -> Option<u64> {
    OUT.try_lock()?.kept.as_ref().map(ramoops::Log::lost)
}

/// Writes text to the console, and to what is kept: see [`with`].
pub fn print(text: fmt::Arguments<'_>) {
    with(|console| {
        // Writing to a console cannot fail: a dead line swallows what is written.
        let _ = console.write_fmt(text);
    });
}

/// Gives the console to `write`, and what is kept. Only the conductor and a core that
/// ends the run write; a core that was stopped in the middle of a line does
/// not hold up the one that reports it.
pub fn with(write: impl FnOnce(&mut dyn fmt::Write)) {
    let progress = || PROGRESS.load(Ordering::Relaxed);
    let mut wait = None;
    let mut guard = loop {
        if let Some(guard) = OUT.try_lock() {
            break guard;
        }
        let now = clock::now();
        if wait.get_or_insert(Takeover::new(now, progress())).is_due(
            now,
            clock::frequency(),
            progress(),
        ) {
            // SAFETY: whoever holds the lock has written nothing for a second, or has
            // held it for longer than any record takes, so it is lost, and this core is
            // about to end the run: at worst, two writers of a UART garble a line.
            unsafe { OUT.force_unlock() }
            wait = None;
        }
        arch::pause();
    };
    write(&mut *guard);
}

/// The next byte received on the console, if any. Called only where the boot arguments
/// allow it: what else is sent on that line is not for the image.
pub fn heard() -> Option<u8> {
    OUT.try_lock()?.console.as_mut()?.device.read()
}

/// Waits a moment for what was printed to leave the machine, as its next step may be its
/// last.
pub fn flush() {
    if let Some(out) = OUT.try_lock()
        && let Some(console) = &out.console
    {
        console.flush();
    }
}

/// Prints a line.
macro_rules! println {
    ($($argument:tt)*) => {
        $crate::hal::console::print(format_args!("{}\n", format_args!($($argument)*)))
    };
}
pub(crate) use println;
