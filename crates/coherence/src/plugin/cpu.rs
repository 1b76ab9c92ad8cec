//! One core of QEMU's: its registers, and where its addresses lead.

use std::{cell::Cell, collections::HashMap, ffi::CStr};

use super::{Checker, qemu};
use crate::{
    line::{PAGE, What, Who},
    translate::{Memory, Regime, Stage2},
};

/// Handles of the registers, the same for each core.
pub struct Registers {
    x: Vec<usize>,
    named: HashMap<String, usize>,
}

thread_local! {
    /// Where QEMU puts what it reads; one for each of its threads.
    static READ: Cell<*mut qemu::Array<u8>> = const { Cell::new(std::ptr::null_mut()) };
}

impl Registers {
    /// The registers that the core offers; to be called only while QEMU sets a core up.
    pub fn find() -> Self {
        // SAFETY: QEMU gives an array of descriptors.
        let array = unsafe { qemu::qemu_plugin_get_registers() };
        // SAFETY: it stays, as nobody frees it.
        let array = unsafe { &*array };
        // SAFETY: it has that many elements.
        let all = unsafe { std::slice::from_raw_parts(array.data, array.len as usize) };
        let named: HashMap<_, _> = all
            .iter()
            .map(|register| {
                // SAFETY: names are strings that end with 0.
                let name = unsafe { CStr::from_ptr(register.name) };
                (
                    name.to_string_lossy().into_owned(),
                    register.handle as usize,
                )
            })
            .collect();
        let x = (0..31)
            .map_while(|n| named.get(&format!("x{n}")).copied())
            .collect();
        Self { x, named }
    }

    fn read(&self, handle: usize) -> u64 {
        let mut to = READ.get();
        if to.is_null() {
            // SAFETY: GLib gives a new array.
            to = unsafe { qemu::g_byte_array_new() };
            READ.set(to);
        }
        // SAFETY: the array is this thread's.
        unsafe { qemu::g_byte_array_set_size(to, 0) };
        // SAFETY: the handle is one of QEMU's, and this is one of its cores.
        let size = unsafe { qemu::qemu_plugin_read_register(handle as *mut _, to) };
        let size = usize::try_from(size).unwrap_or(0).min(8);
        // SAFETY: QEMU has put that many bytes there.
        let data = unsafe { (*to).data };
        // SAFETY: and they stay there until this thread's next read.
        let bytes = unsafe { std::slice::from_raw_parts(data, size) };
        bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    fn named(&self, name: &str) -> u64 {
        self.named.get(name).map_or(0, |handle| self.read(*handle))
    }

    /// A general register; 31 is zero.
    pub fn x(&self, number: u8) -> u64 {
        self.x
            .get(usize::from(number))
            .map_or(0, |handle| self.read(*handle))
    }

    /// The exception level.
    pub fn level(&self) -> u8 {
        (self.named("cpsr") >> 2 & 3) as u8
    }

    /// CTR_EL0.
    pub fn ctr(&self) -> u64 {
        self.named("CTR_EL0")
    }

    /// The bytes that `dc zva` zeroes.
    pub fn zeroed(&self) -> u64 {
        match self.named("DCZID_EL0") & 15 {
            0 => 64,
            words => 4 << words,
        }
    }

    /// Is the MMU on at that level?
    pub fn translates(&self, el: u8) -> bool {
        self.regime(el).sctlr & 1 == 1
    }

    /// What translates addresses at an exception level.
    fn regime(&self, el: u8) -> Regime {
        const E2H: u64 = 1 << 34;
        let hcr = self.named("HCR_EL2");
        match el {
            0 | 1 => Regime {
                sctlr: self.named("SCTLR"),
                tcr: self.named("TCR_EL1"),
                ttbr0: self.named("TTBR0_EL1"),
                ttbr1: Some(self.named("TTBR1_EL1")),
                mair: self.named("MAIR_EL1"),
                stage2: Stage2 {
                    hcr,
                    vtcr: self.named("VTCR_EL2"),
                    vttbr: self.named("VTTBR_EL2"),
                },
            },
            2 => Regime {
                sctlr: self.named("SCTLR_EL2"),
                tcr: self.named("TCR_EL2"),
                ttbr0: self.named("TTBR0_EL2"),
                ttbr1: (hcr & E2H != 0).then(|| self.named("TTBR1_EL2")),
                mair: self.named("MAIR_EL2"),
                stage2: Stage2::default(),
            },
            _ => Regime {
                sctlr: self.named("SCTLR_EL3"),
                tcr: self.named("TCR_EL3"),
                ttbr0: self.named("TTBR0_EL3"),
                ttbr1: None,
                mair: self.named("MAIR_EL3"),
                stage2: Stage2::default(),
            },
        }
    }

    fn vectors(&self, el: u8) -> u64 {
        self.named(match el {
            0 | 1 => "VBAR",
            2 => "VBAR_EL2",
            _ => "VBAR_EL3",
        })
    }
}

/// Where an address leads.
#[derive(Clone, Copy)]
pub struct Place {
    /// The physical address.
    pub physical: u64,
    /// What loads and stores use.
    pub data: Memory,
    /// May instruction caches hold it?
    pub fetch_cached: bool,
    /// Is it a device's register?
    pub device: bool,
}

/// One level's translations, as they were last found.
struct Level {
    regime: Regime,
    vectors: u64,
    generation: u64,
    pages: Vec<Option<(u64, Place)>>,
}

/// How many pages of a level are kept.
const KEPT: usize = 1024;

/// A core.
#[derive(Default)]
pub struct Cpu {
    el: u8,
    levels: [Option<Level>; 4],
    first: Option<u64>,
    /// Accesses that QEMU says went elsewhere than the registers and tables say.
    pub disagreed: u64,
    /// Accesses that were checked.
    pub accesses: u64,
    /// Blocks whose fetch was checked.
    pub blocks: u64,
}

impl Cpu {
    /// Its registers have changed, or are about to: forgets what they led to.
    pub fn forget(&mut self) {
        self.levels = Default::default();
    }

    /// Is the first core back where it began, so that the machine has been reset?
    pub fn began_again(&mut self, core: u32, pc: u64) -> bool {
        if core != 0 {
            return false;
        }
        match self.first {
            None => {
                self.first = Some(pc);
                false
            }
            Some(first) => {
                let again = first == pc;
                if again {
                    self.forget();
                }
                again
            }
        }
    }

    /// It executes a block at `pc`; is that where an exception begins?
    pub fn enter(&mut self, registers: &Registers, el: u8, pc: u64) -> bool {
        self.el = el;
        self.blocks += 1;
        let level = Self::level(&mut self.levels, registers, el);
        pc.wrapping_sub(level.vectors) < 0x800 && pc & 0x7f == 0
    }

    fn level<'a>(
        levels: &'a mut [Option<Level>; 4],
        registers: &Registers,
        el: u8,
    ) -> &'a mut Level {
        levels[usize::from(el & 3)].get_or_insert_with(|| Level {
            regime: registers.regime(el),
            vectors: registers.vectors(el),
            generation: 0,
            pages: vec![None; KEPT],
        })
    }

    /// Where an address leads; with `info` if QEMU has just accessed it.
    pub fn translate(
        &mut self,
        checker: &Checker,
        who: Who,
        address: u64,
        info: Option<qemu::MemoryInfo>,
    ) -> Option<Place> {
        let generation = checker.caches.generation();
        let level = Self::level(&mut self.levels, &checker.registers, self.el);
        if level.generation != generation {
            level.generation = generation;
            level.pages.fill(None);
        }
        let (page, offset) = (address >> PAGE, address & ((1 << PAGE) - 1));
        let slot = page as usize % KEPT;
        if let Some((_, place)) = level.pages[slot].filter(|(known, _)| *known == page) {
            return Some(Place {
                physical: place.physical | offset,
                ..place
            });
        }
        let walker = Who {
            what: What::Walk,
            ..who
        };
        let mut walked = Vec::new();
        let mut read = |at: u64, cached: bool| {
            walked.push((at, cached));
            checker.ram.word(at)
        };
        let mapping = level.regime.translate(address, &mut read)?;
        for (at, cached) in walked {
            let memory = if cached {
                Memory::WriteBack
            } else {
                Memory::NonCacheable
            };
            checker.caches.read(walker, at, 8, memory);
        }
        let mut place = Place {
            physical: mapping.physical & !((1 << PAGE) - 1),
            data: mapping.data,
            fetch_cached: mapping.fetch_cached,
            device: false,
        };
        // What QEMU itself knows about the place.
        if let Some(info) = info {
            // SAFETY: this is QEMU's callback for that access.
            let known = unsafe { qemu::qemu_plugin_get_hwaddr(info, address) };
            if !known.is_null() {
                // SAFETY: QEMU has just given it.
                place.device = unsafe { qemu::qemu_plugin_hwaddr_is_io(known) };
                // SAFETY: as above.
                let physical = unsafe { qemu::qemu_plugin_hwaddr_phys_addr(known) };
                if !place.device && physical != mapping.physical {
                    self.disagreed += 1;
                    return None;
                }
            }
        }
        if mapping.translated && !place.device && info.is_some() {
            checker.caches.mapped(who, place.physical, place.data);
        }
        // Only an access shows whether it is a device.
        if info.is_some() || mapping.data != Memory::Device {
            level.pages[slot] = Some((page, place));
        }
        Some(Place {
            physical: place.physical | offset,
            ..place
        })
    }
}
