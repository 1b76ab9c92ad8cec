//! HiSilicon's MN: a block of registers with four counters of 48 bits.

use super::{COUNTERS, IN_USE, Registers, UNREADABLE, Why};

pub(super) const NAME: &str = "hisi-mn";

const CONTROL: u64 = 0x408;
/// They count.
const ENABLE: u32 = 1 << 6;
/// Which of them do.
const COUNTING: u64 = 0x1c00;
const EVENTS: u64 = 0x1d00;
const COUNTER: u64 = 0x1e00;
/// The events that are counted, by their numbers; named in [`super::told`].
const COUNTED: u32 = 0x81_08_03_02;

/// An MN whose counters run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Mn;

impl Mn {
    pub(super) fn start(registers: &impl Registers, taken: bool) -> Result<Self, Why> {
        let read = |offset| registers.read_word(offset).ok_or((UNREADABLE, offset));
        let (control, counting) = (read(CONTROL)?, read(COUNTING)?);
        let ours = read(EVENTS)? == COUNTED;
        if !taken && !ours && control & ENABLE != 0 && counting != 0 {
            return Err((IN_USE, COUNTING));
        }
        registers.write_word(EVENTS, COUNTED);
        registers.write_word(COUNTING, counting | 0xf);
        registers.write_word(CONTROL, control | ENABLE);
        Ok(Self)
    }

    pub(super) fn read(registers: &impl Registers) -> [u64; COUNTERS] {
        core::array::from_fn(|nth| registers.read(COUNTER + 8 * nth as u64).unwrap_or(0))
    }
}
