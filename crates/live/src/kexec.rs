//! The next kernel: given to Linux piece by piece, and started.

#![expect(unsafe_code, reason = "system calls")]

use std::io;

/// Bytes and where they go, in whole pages: what is behind the bytes is zeros.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Physical address.
    pub base: u64,
    /// Size there.
    pub size: u64,
}

/// `struct kexec_segment` of `linux/kexec.h`.
#[repr(C)]
struct Segment {
    bytes: *const u8,
    length: usize,
    base: usize,
    size: usize,
}

/// `KEXEC_ON_CRASH`.
const ON_CRASH: libc::c_ulong = 1;

/// Has Linux keep these for the next kernel, or as its crash kernel, entered at `entry`.
///
/// # Errors
/// Those of `kexec_load`.
pub fn load(pieces: &[Piece<'_>], entry: u64, on_crash: bool) -> io::Result<()> {
    let segments: Vec<Segment> = pieces
        .iter()
        .map(|piece| Segment {
            bytes: piece.bytes.as_ptr(),
            length: piece.bytes.len(),
            base: piece.base as usize,
            size: piece.size as usize,
        })
        .collect();
    let flags = if on_crash { ON_CRASH } else { 0 };
    // SAFETY: the kernel reads the segments, and from each as many bytes as it has.
    let done = unsafe {
        libc::syscall(
            libc::SYS_kexec_load,
            entry,
            segments.len(),
            segments.as_ptr(),
            flags,
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Starts what was loaded; returns only if that failed. Files are written out, but nothing
/// is shut down.
pub fn start() -> io::Error {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::sync() };
    // SAFETY: a plain number.
    unsafe { libc::reboot(libc::RB_KEXEC) };
    io::Error::last_os_error()
}
