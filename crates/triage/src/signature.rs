//! A short name for a failure that is the same in every log of it, so that a
//! farm of boards can count.

use super::{
    capture::Stage,
    cpus::Meaning,
    outcome::{Kind, Outcome},
    stale::{Stack, Stale},
    stuck::Place,
};

/// What of a crash makes its signature. CPU numbers, times, addresses, tasks and the
/// kernel's version do not.
pub struct Marks<'a> {
    /// Its kind.
    pub kind: Kind,
    /// The stack of the crash.
    pub stack: Option<&'a Stack>,
    /// How far the path came.
    pub outcome: Outcome,
    /// How far the capture kernel came.
    pub reached: Option<Stage>,
    /// What the list of CPUs means.
    pub meaning: Option<Meaning>,
    /// The stale cores, if the log shows that there were any.
    pub stale: Option<&'a Stale>,
    /// It happened in a capture kernel.
    pub in_capture: bool,
}

/// The signature: 16 hexadecimal digits.
pub fn of(marks: &Marks<'_>) -> String {
    let function = marks.stack.map_or("", |stack| {
        let end = stack.pc.find('+').unwrap_or(stack.pc.len());
        match stack.place {
            Place::Idle => "idle",
            _ => &stack.pc[..end],
        }
    });
    let stale = marks
        .stale
        .map_or(String::new(), |stale| format!("{:?}", stale.state));
    let parts = [
        format!("{:?}", marks.kind),
        function.to_string(),
        format!("{:?}", marks.outcome),
        format!("{:?}", marks.reached),
        format!("{:?}", marks.meaning),
        stale,
        marks.in_capture.to_string(),
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
