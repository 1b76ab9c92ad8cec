//! A short name for a failure that is the same in every log of it, so that a
//! farm of boards can count.

use super::{reading::Reading, stuck::Place};

/// The signature: 16 hexadecimal digits, from what matters of a crash: its
/// kind, where it happened, how far the path came and what the list means. CPU
/// numbers, times, addresses, tasks and the kernel's version do not matter.
pub fn of(reading: &Reading) -> String {
    let function = reading.stack.as_ref().map_or("", |stack| {
        let end = stack.pc.find('+').unwrap_or(stack.pc.len());
        match stack.place {
            Place::Idle => "idle",
            _ => &stack.pc[..end],
        }
    });
    let stale = match &reading.stale {
        Some(stale) if reading.failed_to_stop.is_some() || !reading.hung.is_empty() => {
            format!("{:?}", stale.state)
        }
        _ => String::new(),
    };
    let parts = [
        format!("{:?}", reading.head.kind),
        function.to_string(),
        format!("{:?}", reading.head.outcome),
        format!("{:?}", reading.capture.as_ref().map(|c| c.reached)),
        format!("{:?}", reading.failed_to_stop.as_ref().map(|f| f.meaning)),
        stale,
        reading.in_capture_kernel.to_string(),
    ];
    // FNV-1a: small, and the same on every machine and in every version.
    let hash = parts
        .join("\n")
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{hash:016x}")
}
