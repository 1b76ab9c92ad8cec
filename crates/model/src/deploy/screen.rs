//! Where the screen is that firmware has set up, as Linux knows it. After kexec nobody else
//! tells the image: UEFI is gone, and its stub gives a screen to the kernel alone, in the
//! kernel's own `screen_info` or in a configuration table that the kernel clears as it reads
//! it (`drivers/firmware/efi/efi-init.c`).
//!
//! Sources: Linux's `drivers/video/fbdev/efifb.c` and `simplefb.c`,
//! `drivers/firmware/sysfb_simplefb.c`, `drivers/gpu/drm/sysfb`.

use alloc::{format, string::String};

use super::{Facts, Refusal, iomem::Iomem};
use crate::{
    framebuffer::{Choice, Framebuffer},
    platform::Platform,
};

/// What Linux shows of a frame buffer below `/sys/class/graphics/fb0`.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Shown {
    /// `name`.
    pub name: String,
    /// `virtual_size`.
    pub size: String,
    /// `stride`.
    pub stride: String,
    /// `bits_per_pixel`.
    pub bits: String,
}

/// Whose the memory is in `/proc/iomem` while a driver for firmware's screens has it. One for
/// the graphics card itself takes it from them, and may have moved the screen.
const OWNERS: [&str; 5] = ["BOOTFB", "efifb", "efidrm", "simplefb", "simpledrm"];
/// Drivers that draw in the memory itself; any other shows a copy of its own, whose rows may
/// have another length.
const DIRECT: [&str; 2] = ["EFI VGA", "simple"];
/// What is mapped of a screen is whole pages.
const PAGE: u64 = 4096;

/// The screen that Linux has.
///
/// # Errors
/// Why it is none that can be drawn in.
fn linux(shown: &Shown, iomem: &Iomem) -> Result<Framebuffer, &'static str> {
    let mut owned = OWNERS.iter().flat_map(|owner| iomem.named(owner));
    let memory = owned
        .next()
        .ok_or("no driver for a screen of firmware's has memory in /proc/iomem")?;
    let number = |text: &str| text.trim().parse::<u32>().ok();
    let (width, height) = shown.size.split_once(',').unwrap_or_default();
    let sizes = [number(width), number(height), number(&shown.stride)];
    let [Some(width), Some(height), Some(stride)] = sizes else {
        return Err("/sys/class/graphics/fb0 is not there");
    };
    let pixels = u64::from(stride) * u64::from(height);
    if !DIRECT.contains(&&*shown.name) && pixels.next_multiple_of(PAGE) != memory.size {
        return Err("how long its rows are is known to its driver alone");
    }
    // Masks are not shown; these are those of UEFI's usual formats.
    let format = match number(&shown.bits) {
        Some(32) => "x8r8g8b8",
        Some(24) => "r8g8b8",
        Some(16) => "r5g6b5",
        _ => return Err("its pixels have neither 16, 24 nor 32 bits"),
    };
    Framebuffer::new(memory, [width, height, stride], format)
        .map_err(|_| "/sys/class/graphics/fb0 and /proc/iomem do not agree")
}

/// Does a screen lie where Linux has none of its own?
///
/// # Errors
/// It would be drawn over what Linux has there.
pub(super) fn check(asked: Choice, iomem: &Iomem) -> Result<(), Refusal> {
    let Choice::At(screen) = asked else {
        return Ok(());
    };
    let memory = screen.pages();
    let ram = iomem.named("System RAM");
    // (A driver for firmware's screens has it for a screen.)
    let owner = iomem.owner(&memory);
    match owner.filter(|owner| !OWNERS.contains(owner)) {
        Some(owner) if ram.iter().any(|ram| ram.overlaps(&memory)) => Err(Refusal::new(
            format!(
                "--framebuffer: {:#x} to {:#x} is no screen, but {owner}, as /proc/iomem has it",
                memory.base,
                memory.end()
            ),
            "its place, as Linux's log has it (dmesg | grep efifb), or no --framebuffer",
        )),
        _ => Ok(()),
    }
}

/// What the image is told of a screen, where one is asked for with no place: nothing if the
/// tree describes it.
///
/// # Errors
/// There is none that is known.
pub(super) fn place(
    asked: Choice,
    platform: &Platform,
    facts: &Facts,
    iomem: &Iomem,
) -> Result<Choice, Refusal> {
    if asked != Choice::On || platform.framebuffer.is_some() {
        return Ok(asked);
    }
    linux(&facts.screen, iomem).map(Choice::At).map_err(|why| {
        Refusal::new(
            format!("--framebuffer on: nothing says where a screen is: {why}"),
            "its place, as Linux's log has it (dmesg | grep efifb), or no --framebuffer",
        )
    })
}
