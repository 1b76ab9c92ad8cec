//! The screen that firmware has set up, for the image to go on with.
#![expect(unsafe_code, reason = "looks at the screen without taking it")]

use alloc::{format, string::String};

use stalecore_model::{
    efi,
    framebuffer::{Format, Framebuffer},
    platform::Region,
};
use uefi::{
    Handle,
    boot::{self, OpenProtocolAttributes, OpenProtocolParams},
    println,
    proto::console::gop::{GraphicsOutput, PixelFormat},
};

use crate::memory;

/// A screen.
pub struct Screen {
    /// Where it is.
    pub framebuffer: Framebuffer,
    /// The memory that it lies in, if it is memory as any other.
    pub memory: Option<Region>,
}

/// Finds the first screen that can be drawn in without firmware, and says what was found.
///
/// # Errors
/// Firmware gives no memory map.
pub fn find() -> Result<Option<Screen>, String> {
    let handles = boot::find_handles::<GraphicsOutput>().unwrap_or_default();
    let mut found = None;
    for handle in handles {
        match of(handle) {
            Ok(framebuffer) => {
                println!("  screen    {framebuffer}");
                found = Some(framebuffer);
                break;
            }
            Err(why) => println!("  screen    not for the image: {why}"),
        }
    }
    let Some(framebuffer) = found else {
        return Ok(None);
    };
    let pages = framebuffer.pages();
    let is_memory = efi::is_memory(memory::map()?.into_iter(), &pages);
    Ok(Some(Screen {
        framebuffer,
        memory: is_memory.then_some(pages),
    }))
}

/// The frame buffer of one.
fn of(handle: Handle) -> Result<Framebuffer, String> {
    let asked = OpenProtocolParams {
        handle,
        agent: boot::image_handle(),
        controller: None,
    };
    // SAFETY: nothing that is called before this is dropped removes the protocol. To open
    // it for the loader alone would take the screen from firmware's console.
    let mut output = unsafe {
        boot::open_protocol::<GraphicsOutput>(asked, OpenProtocolAttributes::GetProtocol)
    }
    .map_err(|e| format!("{e}"))?;
    let mode = output.current_mode_info();
    let format = match mode.pixel_format() {
        PixelFormat::Rgb => Some("x8b8g8r8"),
        PixelFormat::Bgr => Some("x8r8g8b8"),
        PixelFormat::Bitmask => mode.pixel_bitmask().and_then(|mask| {
            let format = Format::of_masks([mask.red, mask.green, mask.blue]);
            format.map(|format| format.name)
        }),
        PixelFormat::BltOnly => return Err("firmware alone draws in it".into()),
    };
    let format = format.ok_or("pixels of no known format")?;
    let (width, height) = mode.resolution();
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let mut memory = output.frame_buffer();
    let region = Region {
        base: memory.as_mut_ptr() as u64,
        size: memory.size() as u64,
    };
    // A pixel has 32 bits, whatever is in it.
    let stride = number(mode.stride()).saturating_mul(4);
    Framebuffer::new(region, [number(width), number(height), stride], format)
}
